// The whole of `vigil` behind main(): parses the arguments and runs the command.
#pragma once

namespace vigil::ctl {

// Returns an ExitCode. Does not exit, so that tests can call it.
int run_command_line(int argc, char** argv);

}  // namespace vigil::ctl
