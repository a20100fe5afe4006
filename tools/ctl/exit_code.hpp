// What `vigil` returns to the shell; documented in --help and vigil(8). Never renumber.
#pragma once

namespace vigil::ctl {

enum ExitCode : int {
  exit_ok = 0,
  exit_failed = 1,       // refused, or it did not work
  exit_usage = 2,        // the command line makes no sense
  exit_unreachable = 3,  // no answer from the vigild on this node
  exit_degraded = 4,     // status --exit-code: something is not as it should be
  exit_timed_out = 5,    // accepted, but not done within --timeout; it goes on
};

}  // namespace vigil::ctl
