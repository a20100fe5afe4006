// The program vigil-agent, as a function: reads its arguments and the configuration, puts the parts
// together, runs until all is over. It is started by the launcher, with a socket that leads to vigild.
#pragma once

namespace vigil::agent {

// Exit status: 0 ended in good order, 1 could not run (a line on standard error says why), 2 wrong
// arguments or configuration, 3 ended, but an application could not be stopped.
int run_program(int argc, char** argv);

}  // namespace vigil::agent
