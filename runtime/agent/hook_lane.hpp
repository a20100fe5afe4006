// Runs the hooks of one group's events, or of those that concern no group, in the order of the events
// and of events::HookSequence. Lanes never wait for each other (I7), nor for an application's lane: an
// event that nobody waits for cannot delay a start. Which hooks run is decided by runtime/events.
#pragma once

#include <deque>
#include <functional>
#include <optional>

#include "runtime/agent/group_lane.hpp"
#include "runtime/agent/protocol.hpp"
#include "runtime/agent/runner.hpp"
#include "runtime/events/hooks.hpp"

namespace vigil::agent {

class HookLane {
 public:
  using Done = std::function<void(const LaneResult&)>;
  // A hook failed for good. `context` is that of the event.
  struct Failure {
    AgentRequest request;
    std::uint8_t hook = 0;
    RunResult result;
  };
  using Failed = std::function<void(const Failure&)>;

  // Events that wait at most; beyond it, new ones are refused: hooks are far slower than their events.
  static constexpr std::size_t queue_limit = 256;

  HookLane(Runner& runner, const ClusterConfig& config, NodeId self, Failed failed)
      : runner_(runner), config_(config), self_(self), failed_(std::move(failed)) {}
  HookLane(const HookLane&) = delete;
  HookLane& operator=(const HookLane&) = delete;

  // `done` is called once, with the first failure of the request's hooks, if any; at once where there
  // is nothing to wait for.
  void ask(const AgentRequest& request, Done done);
  // What waits is forgotten; nothing new begins.
  void shut_down();
  bool idle() const { return !current_; }

 private:
  struct Job {
    AgentRequest request;
    events::HookSequence sequence;
    Done done;
    Instant began;
    RunResult main_result;  // of the hook that a recovery is for
    LaneResult outcome;
  };

  void notify(const AgentRequest& request);
  void pump();
  void step();
  void on_result(const events::HookSequence::Step& step, const RunResult& result);
  void report(const AgentRequest& request, std::uint8_t hook, const RunResult& result, LaneResult* outcome);

  Runner& runner_;
  const ClusterConfig& config_;
  NodeId self_;
  Failed failed_;
  bool shutting_down_ = false;
  std::deque<Job> queue_;
  std::optional<Job> current_;
};

}  // namespace vigil::agent
