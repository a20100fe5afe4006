// One resource group's application on this node: its starts, stops, clean-ups and its monitor, one
// after another in the order asked. Lanes know nothing of each other, so that a hanging script holds up
// its own group alone (I7). It decides nothing: it does what it is told, and tells what came of it.
//
//   start   runs the start command. With a monitor command, done only when the monitor succeeds, within
//           start_timeout in all (tried at once, then after 50 ms, growing to 1 s).
//   stop    cancels the starts before it, waiting ones and the running one, which is killed with all
//           that it started before the stop command begins.
//   clean   as stop, but asks the monitor first (if there is one). Status 0: running, it is stopped.
//           Time exceeded: unknown, it is stopped. Status 7: not running (as in OCF), nothing to do.
//           Any other: not well or not running; it is stopped to be sure, but since the monitor says
//           that nothing runs, a stop command that fails then does no harm. Without a monitor it is
//           always stopped.
//
// Each of these switches the monitor off; only monitor_on switches it on.
#pragma once

#include <deque>
#include <functional>
#include <optional>

#include "runtime/agent/monitor.hpp"
#include "runtime/agent/protocol.hpp"
#include "runtime/agent/reactor.hpp"
#include "runtime/agent/runner.hpp"

namespace vigil::agent {

struct LaneResult {
  Outcome outcome = Outcome::ok;
  int exit_status = 0;
  Duration took;
  std::string text;
};

class GroupLane {
 public:
  using Done = std::function<void(const LaneResult&)>;
  using Failed = std::function<void(const Monitor::Failure&)>;

  // All must outlive the lane. The group must be one of the configuration's.
  GroupLane(Reactor& reactor, Runner& runner, const ClusterConfig& config, NodeId self, GroupIndex group,
            Failed failed);
  ~GroupLane();
  GroupLane(const GroupLane&) = delete;
  GroupLane& operator=(const GroupLane&) = delete;

  // verb: start, stop or clean. `done` is called exactly once, maybe at once.
  void ask(const AgentRequest& request, Done done);
  // Asked for during a start, it is switched on when that has succeeded.
  void monitor_on(const AgentRequest& request);
  void monitor_off();

  bool idle() const { return !current_ && queue_.empty(); }
  // False only when this lane knows that nothing of the application runs (or that it has none).
  bool may_run() const { return present_ && running_ != Running::no; }
  // The application may run from before: an earlier agent had started it.
  void assume_running() { running_ = Running::unknown; }
  // Ends everything: no start begins any more, and what may run is stopped. `done` as in ask().
  void shut_down(Done done);

 private:
  enum class Running : std::uint8_t { no, unknown, yes };
  enum class Step : std::uint8_t { command, probe, pause };
  struct Operation {
    AgentRequest request;
    Done done;
  };
  struct Current {
    Current(Operation asked, Instant now) : operation(std::move(asked)), began(now) {}
    Operation operation;
    Step step = Step::command;
    Instant began;
    Instant deadline;                        // start: of all its steps
    Duration pause = Duration::from_ms(50);  // start: until the next probe
    RunId run = 0;
    TimerId timer = 0;
    bool cancelled = false;
    bool stopped_to_be_sure = false;  // clean: the monitor had said that it does not run
  };

  const ApplicationConfig& application() const { return config_.groups[group_].application; }
  void pump();
  void begin(Operation operation);
  void run(events::Action action, Duration timeout, std::function<void(const RunResult&)> then);
  void run_stop();
  void probe_start();
  void on_start_command(const RunResult& result);
  void on_start_probe(const RunResult& result);
  void on_stop_command(const RunResult& result);
  void on_clean_probe(const RunResult& result);
  void cancel_starts();
  void finish(Outcome outcome, int exit_status, std::string text);

  Reactor& reactor_;
  Runner& runner_;
  const ClusterConfig& config_;
  NodeId self_;
  GroupIndex group_;
  bool present_;
  Running running_ = Running::no;
  bool shutting_down_ = false;
  std::deque<Operation> queue_;
  std::optional<Current> current_;
  std::optional<AgentRequest> monitor_after_start_;
  Monitor monitor_;
};

}  // namespace vigil::agent
