// What the tests of the agent share: a reactor with a runner, a directory of their own, and waiting for
// an outcome with a limit instead of sleeping.
#pragma once

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>

#include "runtime/agent/reactor.hpp"
#include "runtime/agent/run_table.hpp"
#include "runtime/agent/runner.hpp"

namespace vigil::test {

// A directory that goes away with its object.
class Directory {
 public:
  Directory() {
    std::string pattern = "/tmp/vigil-test-XXXXXX";
    path_ = ::mkdtemp(pattern.data());
  }
  ~Directory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

inline std::string content(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// True when the process exists and is not merely waiting to be reaped.
inline bool lives(pid_t pid) {
  if (pid <= 0) return false;
  const std::string stat = content("/proc/" + std::to_string(pid) + "/stat");
  const std::size_t end = stat.rfind(')');
  return end != std::string::npos && stat.size() > end + 2 && stat[end + 2] != 'Z' && stat[end + 2] != 'X';
}

inline pid_t pid_in(const std::string& path) { return std::atoi(content(path).c_str()); }

inline bool wait_for(const std::function<bool()>& condition, Duration limit = Duration::from_s(10)) {
  const Instant end = agent::Reactor::now() + limit;
  while (!condition()) {
    if (agent::Reactor::now() > end) return false;
    ::usleep(5'000);
  }
  return true;
}

struct Bench {
  Bench() {
    Result<agent::RunTable> made = agent::RunTable::create_in_memory();
    good = reactor.open().ok() && made.ok();
    if (!good) return;
    table = std::move(*made);
    runner = std::make_unique<agent::Runner>(reactor, table, 1);
    good = runner->open().ok();
  }

  // Turns the reactor until the condition holds; false when it does not within the limit.
  bool until(const std::function<bool()>& condition, Duration limit = Duration::from_s(10)) {
    const Instant end = agent::Reactor::now() + limit;
    while (!condition()) {
      if (agent::Reactor::now() > end) return false;
      reactor.turn(Duration::from_ms(20));
    }
    return true;
  }
  void pass(Duration time) {
    const Instant end = agent::Reactor::now() + time;
    while (agent::Reactor::now() < end) reactor.turn(end - agent::Reactor::now());
  }

  bool good = false;
  agent::Reactor reactor;
  agent::RunTable table;
  std::unique_ptr<agent::Runner> runner;
};

}  // namespace vigil::test
