// What the tests of the agent share: a reactor with a runner, the other end of the socket, a directory of their
// own, and waiting for an outcome with a limit instead of sleeping.
#pragma once

#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "runtime/agent/protocol.hpp"
#include "runtime/agent/reactor.hpp"
#include "runtime/agent/run_table.hpp"
#include "runtime/agent/runner.hpp"
#include "tests/unit/directory.hpp"

namespace vigil::test {

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

inline const char* const outcome_names[] = {"ok", "failed", "timed_out", "killed"};

// vigild's end of the socket to its agent: asks, and keeps what it hears as text, "hello1 7:ok ".
class VigildEnd {
 public:
  template <typename T>
  void send(T message) {
    agent::seal(message);
    const auto bytes = agent::bytes_of(message);
    ::send(socket.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  }
  // Of the agent that said hello last, unless another session is named.
  void ask(agent::Verb verb, GroupIndex group, std::uint32_t request, std::optional<std::uint32_t> of_session = {}) {
    agent::AgentRequest message;
    message.session = of_session.value_or(session);
    message.request = request;
    message.verb = verb;
    message.group = group;
    message.wait = 1;
    message.event = verb == agent::Verb::event ? EventName::node_down : EventName::none;
    send(message);
  }
  // Takes in what was sent so far; true when exactly this was heard in all.
  bool heard_exactly(const std::string& expected) {
    std::array<std::byte, agent::max_packet_bytes> buffer{};
    for (ssize_t got = 0; (got = ::recv(socket.get(), buffer.data(), buffer.size(), MSG_DONTWAIT)) > 0;)
      heard += text_of({buffer.data(), static_cast<std::size_t>(got)}) + " ";
    return heard == expected;
  }

  agent::OwnedFd socket;
  std::uint32_t session = 1;
  pid_t agent_pid = 0;
  std::string heard;
  agent::AgentReply last;

 protected:
  bool tell_unless(bool heard_it) const {
    if (!heard_it) std::fprintf(stderr, "heard: %s\n", heard.c_str());
    return heard_it;
  }

 private:
  std::string text_of(std::span<const std::byte> packet) {
    using agent::Defect;
    agent::Hello hello;
    agent::AgentReply reply;
    agent::AgentDown down;
    agent::ApplicationFailed failed;
    agent::HookFailed hook;
    agent::TieBreakerUsed used;
    if (read_packet(packet, hello) == Defect::none) {
      session = hello.session;
      agent_pid = hello.pid;
      return "hello" + std::to_string(session);
    }
    if (read_packet(packet, reply) == Defect::none) {
      last = reply;
      const std::string problem = reply.problem == EventName::none ? "" : "/" + std::string(to_string(reply.problem));
      return std::to_string(reply.request) + ":" + outcome_names[static_cast<int>(reply.outcome)] + problem;
    }
    if (read_packet(packet, down) == Defect::none)
      return "down" + std::to_string(down.session) + "/" + std::to_string(down.exit_status);
    if (read_packet(packet, failed) == Defect::none) return "failed" + std::to_string(failed.group);
    if (read_packet(packet, hook) == Defect::none)
      return "hook" + std::to_string(hook.hook) + "/" + std::string(to_string(hook.problem));
    if (read_packet(packet, used) == Defect::none)
      return "tie" + std::to_string(used.request) + (used.ok != 0 ? ":" + std::to_string(used.held.counter) : ":no");
    return "?";
  }
};

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
