#include "runtime/agent/leftover_runs.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>

#include <cerrno>
#include <filesystem>
#include <vector>

#include "runtime/agent/log.hpp"
#include "runtime/agent/processes.hpp"
#include "runtime/agent/reactor.hpp"
#include "runtime/agent/run_table.hpp"

namespace vigil::agent {

namespace {

std::vector<std::string> marks_in(RunTable& table) {
  std::vector<std::string> marks;
  for (const RunTable::Slot& slot : table.slots())
    if (slot.leader.load() != 0) marks.push_back(table.mark_of(slot));
  return marks;
}

Status kill_all(const std::vector<std::string>& marks, const std::string& path, Instant patience_ends) {
  if (marks.empty()) return {};
  bool told = false;
  while (true) {
    // Again at each look: one of them may have forked between two.
    const std::vector<Process> living = processes_with_marks(marks);
    if (living.empty()) return {};
    if (!told) log_line("killing " + std::to_string(living.size()) + " processes that an earlier agent was running (" + path + ")");
    told = true;
    for (const Process& process : living) signal_process(process, SIGKILL);
    if (Reactor::now() >= patience_ends)
      return Error::of(std::to_string(living.size()) + " processes of commands of an earlier agent cannot be killed, one is " +
                       std::to_string(living.front().pid) + "; find out what it waits for");
    ::poll(nullptr, 0, 2);
  }
}

}  // namespace

Status kill_leftover_runs(const std::string& state_directory, Duration patience) {
  const Instant patience_ends = Reactor::now() + patience;
  std::error_code failed;
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::directory_iterator(state_directory, failed))
    if (entry.path().filename().string().starts_with(RunTable::file_prefix)) paths.push_back(entry.path().string());
  if (failed) return Error::from_errno("looking in " + state_directory + " for what an earlier agent ran", failed.value());
  Status result;
  for (const std::string& path : paths) {
    OwnedFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    if (!fd.valid()) return Error::from_errno("opening " + path + ", which tells what an earlier agent ran", errno);
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) continue;
    Result<RunTable> table = RunTable::attach(std::move(fd));
    Status killed;
    // One that is no table was never finished: its life had run nothing yet.
    if (table) killed = kill_all(marks_in(*table), path, patience_ends);
    if (killed)
      ::unlink(path.c_str());
    else
      result = killed;
  }
  return result;
}

}  // namespace vigil::agent
