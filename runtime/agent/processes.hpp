// Finds and signals the processes that belong to one run, from /proc.
//
// A run is a command with everything it started. Its processes are those descendants of the agent (or,
// once that is dead, of the launcher; both are subreapers, so nothing escapes upwards) that are in the
// run's process group or session, or carry its mark in their environment: a process that made itself
// a new session still has the mark. Signals go through a pidfd after the process was looked at again,
// so that a reused process id is never hit.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace vigil::agent {

struct Process {
  pid_t pid = 0;
  pid_t parent = 0;
  pid_t group = 0;
  pid_t session = 0;
  char state = '?';               // 'Z': dead, waiting to be reaped
  std::uint64_t start_ticks = 0;  // with pid: identity
};

// Environment variable that marks the processes of a run.
inline constexpr std::string_view run_mark_name = "VIGIL_RUN";

struct RunIdentity {
  pid_t leader = 0;  // process id, process group and session of its shell
  std::string mark;  // value of run_mark_name
};

// Every process that can be seen. Processes that end meanwhile are left out.
std::vector<Process> list_processes();

// The living processes of the run below `root`.
std::vector<Process> processes_of_run(pid_t root, const RunIdentity& run);

// The living processes that carry one of these marks, wherever they descend from, and all that descend from them.
// Never this process or one that it descends from.
std::vector<Process> processes_with_marks(const std::vector<std::string>& marks);

// True when the signal was sent to exactly this process.
bool signal_process(const Process& process, int signal_number);

}  // namespace vigil::agent
