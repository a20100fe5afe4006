// Kills what an earlier life of this node left running. A command ends with its agent, by the launcher's hand
// when the agent dies; when both are killed together, nobody is left to do it, and a start that goes on behind the
// next agent's back would bring up what that one has just found stopped. So nothing counts as clean before this
// has succeeded.
//
// What ran is in the table that they left behind in the state directory; its processes are those that carry the
// marks in it, with all that descend from them. What a command had left in the background when it ended, an
// application above all, is not in the table, and lives on: stopping that is the group's affair. A process that
// cleared its environment and lost its parent as well is not found.
//
// A table whose launcher or agent lives is left alone: they hold its lock.
#pragma once

#include <string>

#include "runtime/base/result.hpp"
#include "runtime/base/time.hpp"

namespace vigil::agent {

// Blocks for `patience` at most, when something resists SIGKILL (a process in an uninterruptible wait): that is the
// error; ask again.
Status kill_leftover_runs(const std::string& state_directory, Duration patience);

}  // namespace vigil::agent
