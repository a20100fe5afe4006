#include "runtime/events/hooks.hpp"

namespace vigil::events {

namespace {

void collect(const ClusterConfig& config, EventName event, HookStage stage, HookList& list) {
  for (std::size_t i = 0; i < config.hooks.size(); ++i) {
    const HookConfig& hook = config.hooks[i];
    if (hook.event == static_cast<std::uint8_t>(event) && hook.stage == stage) list.push(static_cast<HookIndex>(i));
  }
}

}  // namespace

HookList hooks_of(const ClusterConfig& config, EventName event, HookStage stage) {
  HookList list;
  collect(config, event, stage, list);
  return list;
}

HookList hooks_of_event(const ClusterConfig& config, EventName event) {
  HookList list;
  for (const HookStage stage : {HookStage::pre, HookStage::command, HookStage::post})
    collect(config, event, stage, list);
  return list;
}

std::optional<HookSequence::Step> HookSequence::next() const {
  if (position_ == main_.size()) return std::nullopt;
  Step step;
  step.hook = main_[position_];
  step.retry = phase_ == Phase::retrying;
  if (phase_ == Phase::recovering) {
    step.recovery_for = step.hook;
    step.hook = recovery_[recovery_position_];
  }
  return step;
}

void HookSequence::advance() {
  phase_ = Phase::normal;
  ++position_;
}

void HookSequence::finished(HookOutcome outcome) {
  VIGIL_ASSERT(position_ < main_.size());
  const HookIndex current = main_[position_];
  switch (phase_) {
    case Phase::normal:
      if (outcome == HookOutcome::ok) return advance();
      if (recovery_.empty()) {
        failures_.push({current, outcome});
        return advance();
      }
      first_outcome_ = outcome;
      recovery_position_ = 0;
      phase_ = Phase::recovering;
      return;
    case Phase::recovering:
      if (outcome != HookOutcome::ok) {
        failures_.push({current, first_outcome_});
        failures_.push({recovery_[recovery_position_], outcome});
        return advance();
      }
      if (++recovery_position_ == recovery_.size()) phase_ = Phase::retrying;
      return;
    case Phase::retrying:
      if (outcome != HookOutcome::ok) failures_.push({current, outcome});
      return advance();
  }
}

}  // namespace vigil::events
