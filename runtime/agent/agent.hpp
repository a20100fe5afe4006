// vigil-agent's whole: takes requests of vigild from the socket, hands them to the lanes, sends back
// what came of them. It decides nothing: what runs where is vigild's word.
//
// Its life:
//   waiting   for the lock in the state directory, which an earlier agent of this node holds while it
//             stops what it ran; nothing is read and nothing runs until then. Then what commands of an earlier
//             life still run is killed (leftover_runs.hpp); `clean` fails while some of it lives
//   serving   Hello was sent
//   stopping  vigild is gone (end of the socket), or SIGTERM (the launcher is gone, or passes on its
//             own): no start begins, monitors are off, applications that may run are stopped, each
//             within its stop_timeout, all side by side; then the hooks that still run are killed
//   ended     exit_status() says whether every application is stopped
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "runtime/agent/group_lane.hpp"
#include "runtime/agent/hook_lane.hpp"
#include "runtime/agent/journal_file.hpp"
#include "runtime/agent/protocol.hpp"
#include "runtime/agent/reactor.hpp"
#include "runtime/agent/runner.hpp"
#include "runtime/agent/tie_breaker_lane.hpp"

namespace vigil::agent {

struct AgentOptions {
  NodeId self = no_node;
  std::uint32_t session = 1;
  std::string state_directory;
};

class Agent {
 public:
  static constexpr int exit_ok = 0;
  static constexpr int exit_not_stopped = 3;

  // `reactor`, `runner` and `config` must outlive the agent.
  Agent(Reactor& reactor, Runner& runner, const ClusterConfig& config, AgentOptions options, OwnedFd socket);
  ~Agent();
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;

  // Opens the journal and begins to wait for the lock; the rest happens in the reactor, which is
  // stopped when all is over.
  Status open();
  // May be called more than once. `reason`: one line.
  void shut_down(const std::string& reason);
  int exit_status() const { return exit_status_; }

 private:
  enum class Phase : std::uint8_t { waiting, serving, stopping, ended };
  static constexpr std::size_t outbox_limit = 4096;

  void try_lock();
  void serve();
  void on_socket(std::uint32_t events);
  void handle(std::span<const std::byte> packet, bool journal_only);
  void handle_request(const AgentRequest& request);
  void ask_application(const AgentRequest& request);
  void use_tie_breaker(const UseTieBreaker& request);
  void clean(const AgentRequest& request);
  bool leftovers_are_gone();
  void run_hooks(const AgentRequest& request);
  void on_hook_failed(const HookLane::Failure& failure);
  void on_monitor_failed(GroupIndex group, const Monitor::Failure& failure);
  // Runs the hooks of event_error or config_too_long, unless it was one of these that failed.
  void tell_problem(const AgentRequest& cause, EventName problem, const std::string& text);
  void reply(const AgentRequest& request, const LaneResult& result);
  template <Packet T>
  void send(T message);
  void flush();
  void stop_groups();
  void check_ended();
  HookLane& hook_lane(GroupIndex group);

  Reactor& reactor_;
  Runner& runner_;
  const ClusterConfig& config_;
  AgentOptions options_;
  OwnedFd socket_;
  OwnedFd lock_;
  WatchId socket_watch_ = 0;
  TimerId lock_timer_ = 0;
  TimerId end_timer_ = 0;
  bool said_waiting_ = false;
  bool serving_ever_ = false;
  bool leftovers_gone_ = false;  // of an earlier life
  std::string leftovers_text_;   // why not
  Phase phase_ = Phase::waiting;
  int exit_status_ = exit_ok;
  std::unique_ptr<JournalWriter> journal_;
  std::vector<std::unique_ptr<GroupLane>> groups_;
  std::vector<std::unique_ptr<HookLane>> hooks_;  // one a group, and the last for all others
  TieBreakerLane tie_breaker_;
  std::deque<std::vector<std::byte>> outbox_;
};

}  // namespace vigil::agent
