// Watches one application: runs its monitor command every monitor_interval and tells once when it
// fails or exceeds its time; after that it is silent until it is switched on anew. Never two at once:
// a monitor that takes longer than the interval is followed by the next as soon as it ends.
//
// The groups' monitors are spread over the interval, so that dozens with equal intervals do not start
// in one moment. A monitor that could not even be started (no processes, no memory) says nothing about
// the application: three of these in a row count as a failure.
#pragma once

#include <functional>

#include "runtime/agent/protocol.hpp"
#include "runtime/agent/reactor.hpp"
#include "runtime/agent/runner.hpp"
#include "runtime/events/event_context.hpp"

namespace vigil::agent {

class Monitor {
 public:
  struct Failure {
    std::uint32_t generation = 0;
    RunResult result;
  };
  using OnFailure = std::function<void(const Failure&)>;

  Monitor(Reactor& reactor, Runner& runner, const ClusterConfig& config, GroupIndex group, OnFailure on_failure)
      : reactor_(reactor), runner_(runner), config_(config), group_(group), on_failure_(std::move(on_failure)) {}
  ~Monitor() { off(); }
  Monitor(const Monitor&) = delete;
  Monitor& operator=(const Monitor&) = delete;

  // From now on, for context.generation. Does nothing for an application without a monitor command.
  // Switched on while on: goes on with the new context; what runs at the moment counts for it.
  void on(const events::EventContext& context);
  // At once; a monitor that runs is killed and its result is of no interest.
  void off();
  bool is_on() const { return on_; }

  // When the first run is due after on(): a part of `interval`, different for each group.
  static Duration phase_of(GroupIndex group, Duration interval);

 private:
  void arm(Instant when);
  void probe();
  void on_result(const RunResult& result);

  Reactor& reactor_;
  Runner& runner_;
  const ClusterConfig& config_;
  GroupIndex group_;
  OnFailure on_failure_;
  bool on_ = false;
  events::EventContext context_;
  Instant due_;
  TimerId timer_ = 0;
  RunId run_ = 0;
  int not_started_ = 0;
};

}  // namespace vigil::agent
