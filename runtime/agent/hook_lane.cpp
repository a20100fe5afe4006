#include "runtime/agent/hook_lane.hpp"

#include "runtime/agent/command_spec.hpp"

namespace vigil::agent {

namespace {

events::HookList sequence_of(const ClusterConfig& config, const AgentRequest& request) {
  if (request.stage == Stage::notify) return {};
  if (request.stage == Stage::whole) return events::hooks_of_event(config, request.event);
  return events::hooks_of(config, request.event, static_cast<HookStage>(request.stage));
}

events::HookList recovery_of(const ClusterConfig& config, const AgentRequest& request) {
  if (request.stage == Stage::recovery) return {};
  return events::hooks_of(config, request.event, HookStage::recovery);
}

events::HookOutcome hook_outcome(Outcome outcome) {
  if (outcome == Outcome::ok) return events::HookOutcome::ok;
  return outcome == Outcome::timed_out ? events::HookOutcome::timed_out : events::HookOutcome::failed;
}

}  // namespace

void HookLane::ask(const AgentRequest& request, Done done) {
  if (shutting_down_) return done(LaneResult{Outcome::killed, 0, {}, "not run: the agent is stopping"});
  if (request.stage == Stage::notify || request.stage == Stage::whole) notify(request);
  const events::HookList hooks = sequence_of(config_, request);
  if (hooks.empty()) return done(LaneResult{});
  if (queue_.size() >= queue_limit) {
    RunResult refused;
    refused.outcome = Outcome::failed;
    refused.started = false;
    refused.text = std::to_string(queue_limit) + " events wait for their hooks already; this one's are not run";
    LaneResult outcome;
    report(request, hooks[0], refused, &outcome);
    return done(outcome);
  }
  queue_.push_back(
      Job{request, events::HookSequence(hooks, recovery_of(config_, request)), std::move(done), {}, {}, {}});
  pump();
}

void HookLane::shut_down() {
  shutting_down_ = true;
  queue_.clear();
}

void HookLane::notify(const AgentRequest& request) {
  for (const events::HookIndex hook : events::hooks_of(config_, request.event, HookStage::notify))
    runner_.start(hook_spec(config_, context_of(request, self_, events::Action::hook), hook),
                  [this, request, hook](const RunResult& result) {
                    if (result.outcome != Outcome::ok) report(request, hook, result, nullptr);
                  });
}

void HookLane::pump() {
  if (current_ || queue_.empty()) return;
  current_.emplace(std::move(queue_.front()));
  queue_.pop_front();
  current_->began = Reactor::now();
  step();
}

void HookLane::step() {
  const auto next = shutting_down_ ? std::nullopt : current_->sequence.next();
  if (!next) {
    const Job job = std::move(*current_);
    current_.reset();
    LaneResult outcome = job.outcome;
    outcome.took = Reactor::now() - job.began;
    job.done(outcome);
    return pump();
  }
  events::EventContext context = context_of(current_->request, self_, events::Action::hook);
  if (next->recovery_for) {
    const HookConfig& broken = config_.hooks[*next->recovery_for];
    const RunResult& result = current_->main_result;
    context.failed = events::FailedHook{broken.command.str(), broken.stage, result.outcome == Outcome::timed_out,
                                        result.exit_status};
  }
  const events::HookSequence::Step now = *next;
  runner_.start(hook_spec(config_, std::move(context), now.hook),
                [this, now](const RunResult& result) { on_result(now, result); });
}

void HookLane::on_result(const events::HookSequence::Step& done, const RunResult& result) {
  Job& job = *current_;
  const std::size_t failures_before = job.sequence.failures().size();
  if (!done.recovery_for) job.main_result = result;
  job.sequence.finished(hook_outcome(result.outcome));
  // A recovery hook that fails makes two: the hook that it was for, and itself.
  for (std::size_t i = failures_before; i < job.sequence.failures().size(); ++i) {
    const std::uint8_t hook = job.sequence.failures()[i].hook;
    report(job.request, hook, hook == done.hook ? result : job.main_result, &job.outcome);
  }
  step();
}

void HookLane::report(const AgentRequest& request, std::uint8_t hook, const RunResult& result, LaneResult* outcome) {
  if (outcome != nullptr && outcome->outcome == Outcome::ok) {
    outcome->outcome = result.outcome;
    outcome->exit_status = result.exit_status;
    outcome->text = "hook '" + config_.hooks[hook].command.str() + "'";
    if (!result.text.empty()) outcome->text += ": " + result.text;
  }
  if (!shutting_down_) failed_(Failure{request, hook, result});
}

}  // namespace vigil::agent
