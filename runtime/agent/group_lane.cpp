#include "runtime/agent/group_lane.hpp"

#include "runtime/agent/command_spec.hpp"

namespace vigil::agent {

namespace {

constexpr int ocf_not_running = 7;
constexpr Duration longest_pause = Duration::from_s(1);

}  // namespace

GroupLane::GroupLane(Reactor& reactor, Runner& runner, const ClusterConfig& config, NodeId self, GroupIndex group,
                     Failed failed)
    : reactor_(reactor),
      runner_(runner),
      config_(config),
      self_(self),
      group_(group),
      present_(config.groups[group].application.present),
      monitor_(reactor, runner, config, group, std::move(failed)) {}

GroupLane::~GroupLane() {
  if (current_) reactor_.cancel(current_->timer);
}

void GroupLane::ask(const AgentRequest& request, Done done) {
  if (!present_) return done(LaneResult{});
  monitor_off();
  if (request.verb == Verb::start && shutting_down_)
    return done(LaneResult{Outcome::killed, 0, {}, "not started: the agent is stopping"});
  if (request.verb != Verb::start) cancel_starts();
  queue_.push_back(Operation{request, std::move(done)});
  pump();
}

void GroupLane::monitor_on(const AgentRequest& request) {
  if (!present_ || shutting_down_) return;
  if (idle()) return monitor_.on(context_of(request, self_, events::Action::monitor));
  // Asked while its start is still running: once that succeeded. Behind a stop there is nothing to watch.
  const Verb last = queue_.empty() ? current_->operation.request.verb : queue_.back().request.verb;
  if (last == Verb::start) monitor_after_start_ = request;
}

void GroupLane::monitor_off() {
  monitor_.off();
  monitor_after_start_.reset();
}

void GroupLane::shut_down(Done done) {
  shutting_down_ = true;
  monitor_off();
  cancel_starts();
  AgentRequest request;
  request.group = group_;
  request.verb = running_ == Running::unknown ? Verb::clean : Verb::stop;
  request.text.assign("vigild is gone: nothing may run without it");
  request.boot_ns = Reactor::now().ns;
  // Otherwise something before it may still change what runs: asked again when its turn comes.
  if (idle() && !may_run()) return done(LaneResult{});
  ask(request, std::move(done));
}

void GroupLane::cancel_starts() {
  std::deque<Operation> kept;
  std::deque<Operation> dropped;
  for (Operation& operation : queue_)
    (operation.request.verb == Verb::start ? dropped : kept).push_back(std::move(operation));
  queue_ = std::move(kept);
  if (current_ && current_->operation.request.verb == Verb::start && !current_->cancelled) {
    current_->cancelled = true;
    if (current_->step == Step::pause) {
      reactor_.cancel(current_->timer);
      // From the loop, as everything else: the caller is about to queue what comes next.
      current_->timer = reactor_.after(Duration{}, [this](Duration) {
        finish(Outcome::killed, 0, "overtaken by a stop while its monitor did not succeed yet");
      });
    } else {
      runner_.cancel(current_->run);
    }
  }
  for (Operation& operation : dropped)
    operation.done(LaneResult{Outcome::killed, 0, {}, "overtaken by a stop before its turn came"});
}

void GroupLane::pump() {
  if (current_ || queue_.empty()) return;
  Operation next = std::move(queue_.front());
  queue_.pop_front();
  begin(std::move(next));
}

void GroupLane::begin(Operation operation) {
  const Verb verb = operation.request.verb;
  current_.emplace(std::move(operation), Reactor::now());
  const ApplicationConfig& app = application();
  // A stop that was under way when the end came may have done it already.
  if (shutting_down_ && running_ == Running::no && verb != Verb::start) return finish(Outcome::ok, 0, "not running");
  switch (verb) {
    case Verb::start:
      running_ = Running::yes;
      current_->deadline = current_->began + app.start_timeout;
      if (app.start.empty()) return on_start_command(RunResult{});
      return run(events::Action::start, app.start_timeout, [this](const RunResult& r) { on_start_command(r); });
    case Verb::clean:
      if (app.monitor.empty()) return run_stop();
      return run(events::Action::monitor, app.monitor_timeout, [this](const RunResult& r) { on_clean_probe(r); });
    default:
      return run_stop();
  }
}

void GroupLane::run(events::Action action, Duration timeout, std::function<void(const RunResult&)> then) {
  RunSpec spec = application_spec(config_, context_of(current_->operation.request, self_, action));
  spec.timeout = timeout;
  current_->run = runner_.start(std::move(spec), std::move(then));
}

void GroupLane::run_stop() {
  if (application().stop.empty()) return on_stop_command(RunResult{});
  run(events::Action::stop, application().stop_timeout, [this](const RunResult& r) { on_stop_command(r); });
}

void GroupLane::on_start_command(const RunResult& result) {
  if (result.outcome != Outcome::ok || application().monitor.empty())
    return finish(result.outcome, result.exit_status, result.text);
  probe_start();
}

void GroupLane::probe_start() {
  const Duration left = current_->deadline - Reactor::now();
  if (current_->cancelled) return finish(Outcome::killed, 0, "overtaken by a stop");
  if (left.ns <= 0) return finish(Outcome::timed_out, 0, "started, but its monitor did not succeed in time");
  current_->step = Step::probe;
  run(events::Action::monitor, shorter(left, application().monitor_timeout),
      [this](const RunResult& r) { on_start_probe(r); });
}

void GroupLane::on_start_probe(const RunResult& result) {
  if (current_->cancelled) return finish(Outcome::killed, result.exit_status, "overtaken by a stop");
  if (result.outcome == Outcome::ok) return finish(Outcome::ok, 0, result.text);
  const Instant now = Reactor::now();
  if (now + current_->pause >= current_->deadline) {
    std::string text = "started, but its monitor did not succeed in time";
    if (!result.text.empty()) text += "; it says: " + result.text;
    return finish(Outcome::timed_out, result.exit_status, std::move(text));
  }
  current_->step = Step::pause;
  current_->timer = reactor_.after(current_->pause, [this](Duration) { probe_start(); });
  current_->pause = shorter(current_->pause * 3 / 2, longest_pause);
}

void GroupLane::on_clean_probe(const RunResult& result) {
  if (result.outcome == Outcome::failed && result.started && result.exit_status == ocf_not_running) {
    running_ = Running::no;
    return finish(Outcome::ok, 0, "not running");
  }
  current_->stopped_to_be_sure = result.outcome == Outcome::failed && result.started;
  run_stop();
}

void GroupLane::on_stop_command(const RunResult& result) {
  if (result.outcome == Outcome::ok) running_ = Running::no;
  if (result.outcome == Outcome::failed && result.started && current_->stopped_to_be_sure) {
    running_ = Running::no;
    return finish(Outcome::ok, 0, "not running, as its monitor says");
  }
  finish(result.outcome, result.exit_status, result.text);
}

void GroupLane::finish(Outcome outcome, int exit_status, std::string text) {
  const Current ended = std::move(*current_);
  current_.reset();
  ended.operation.done(LaneResult{outcome, exit_status, Reactor::now() - ended.began, std::move(text)});
  pump();
  if (!idle() || !monitor_after_start_) return;
  if (outcome == Outcome::ok) monitor_.on(context_of(*monitor_after_start_, self_, events::Action::monitor));
  monitor_after_start_.reset();
}

}  // namespace vigil::agent
