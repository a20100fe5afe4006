#include "runtime/agent/processes.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <memory>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "runtime/agent/owned_fd.hpp"
#include "runtime/agent/pidfd.hpp"

namespace vigil::agent {

namespace {

// A whole file of /proc; empty when it cannot be read.
std::string read_proc(pid_t pid, const char* name) {
  const OwnedFd fd(::open(("/proc/" + std::to_string(pid) + "/" + name).c_str(), O_RDONLY | O_CLOEXEC));
  std::string text;
  if (!fd.valid()) return text;
  std::array<char, 4096> buffer{};
  while (true) {
    const ssize_t got = ::read(fd.get(), buffer.data(), buffer.size());
    if (got <= 0) return text;
    text.append(buffer.data(), static_cast<std::size_t>(got));
  }
}

std::optional<Process> read_process(pid_t pid) {
  const std::string stat = read_proc(pid, "stat");
  // The second field, the command in parentheses, may hold anything: count from its end (proc(5)).
  const std::size_t end = stat.rfind(')');
  if (end == std::string::npos) return std::nullopt;
  Process process;
  process.pid = pid;
  unsigned long long start = 0;
  const int fields = std::sscanf(stat.c_str() + end + 1,
                                 " %c %d %d %d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
                                 &process.state, &process.parent, &process.group, &process.session, &start);
  if (fields != 5) return std::nullopt;
  process.start_ticks = start;
  return process;
}

// Empty: it carries none.
std::string mark_of(pid_t pid) {
  const std::string environment = read_proc(pid, "environ");
  const std::string name = std::string(run_mark_name) + "=";
  for (std::size_t at = 0; at < environment.size();) {
    std::size_t end = environment.find('\0', at);
    if (end == std::string::npos) end = environment.size();
    if (environment.compare(at, name.size(), name) == 0) return environment.substr(at + name.size(), end - at - name.size());
    at = end + 1;
  }
  return {};
}

bool is_dead(const Process& process) { return process.state == 'Z' || process.state == 'X'; }

// Those of `all` that descend from root, root itself not included.
std::vector<Process> descendants(const std::vector<Process>& all, pid_t root) {
  std::unordered_map<pid_t, std::vector<const Process*>> children;
  for (const Process& process : all) children[process.parent].push_back(&process);
  std::vector<Process> found;
  std::unordered_set<pid_t> seen = {root};
  std::vector<pid_t> open = {root};
  while (!open.empty()) {
    const pid_t parent = open.back();
    open.pop_back();
    for (const Process* child : children[parent]) {
      if (!seen.insert(child->pid).second) continue;
      found.push_back(*child);
      open.push_back(child->pid);
    }
  }
  return found;
}

}  // namespace

std::vector<Process> list_processes() {
  std::vector<Process> all;
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir("/proc"), &::closedir);
  if (!directory) return all;
  while (const dirent* entry = ::readdir(directory.get())) {
    const std::string_view name = entry->d_name;
    pid_t pid = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (error != std::errc() || end != name.data() + name.size()) continue;
    if (const auto process = read_process(pid)) all.push_back(*process);
  }
  return all;
}

std::vector<Process> processes_of_run(pid_t root, const RunIdentity& run) {
  std::vector<Process> members;
  for (const Process& process : descendants(list_processes(), root)) {
    if (is_dead(process)) continue;
    if (process.group == run.leader || process.session == run.leader || mark_of(process.pid) == run.mark)
      members.push_back(process);
  }
  return members;
}

std::vector<Process> processes_with_marks(const std::vector<std::string>& marks) {
  const std::vector<Process> all = list_processes();
  std::unordered_map<pid_t, pid_t> parent_of;
  for (const Process& process : all) parent_of[process.pid] = process.parent;
  std::unordered_set<pid_t> above;  // this process, and those that it descends from
  for (pid_t pid = ::getpid(); pid != 0 && above.insert(pid).second;) {
    const auto found = parent_of.find(pid);
    pid = found == parent_of.end() ? 0 : found->second;
  }
  std::unordered_map<pid_t, Process> members;
  for (const Process& process : all) {
    if (above.contains(process.pid)) continue;
    const std::string mark = mark_of(process.pid);
    if (mark.empty() || std::find(marks.begin(), marks.end(), mark) == marks.end()) continue;
    members.emplace(process.pid, process);
    for (const Process& child : descendants(all, process.pid)) members.emplace(child.pid, child);
  }
  std::vector<Process> living;
  for (const auto& [pid, process] : members)
    if (!is_dead(process)) living.push_back(process);
  return living;
}

bool signal_process(const Process& process, int signal_number) {
  const OwnedFd handle = open_pidfd(process.pid);
  if (!handle.valid()) return false;
  const auto again = read_process(process.pid);
  if (!again || again->start_ticks != process.start_ticks) return false;
  return signal_pidfd(handle, signal_number);
}

}  // namespace vigil::agent
