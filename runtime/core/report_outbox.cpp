#include "runtime/core/report_outbox.hpp"

namespace vigil {

ReportOutbox::Outgoing ReportOutbox::make(const HolderContext& context, ReportKind kind) const {
  Outgoing outgoing;
  outgoing.active = true;
  outgoing.report.group = group_;
  outgoing.report.generation = context.record->state.groups[group_].generation;
  outgoing.report.kind = kind;
  outgoing.report.serial = ++*context.next_report;
  outgoing.epoch = context.record->view.epoch;
  outgoing.next = context.now;
  outgoing.pause = config_->timing.retry();
  return outgoing;
}

void ReportOutbox::advance(const HolderContext& context, std::optional<ReportKind> wanted, const Budget& budget,
                           NodeId also_to, Effects& effects) {
  const std::uint32_t generation = context.record->state.groups[group_].generation;
  if (!wanted) {
    state_.active = false;
  } else if (!state_.active || state_.report.kind != *wanted || state_.report.generation != generation) {
    state_ = make(context, *wanted);
    if (*wanted == ReportKind::acquired) state_.report.budget = budget;
  }
  if (notice_.report.generation != generation) notice_.active = false;
  send_if_due(context, notice_, no_node, effects);
  send_if_due(context, state_, also_to, effects);
}

void ReportOutbox::notice(const HolderContext& context, ReportKind kind) { notice_ = make(context, kind); }

void ReportOutbox::send_if_due(const HolderContext& context, Outgoing& outgoing, NodeId also_to,
                               Effects& effects) const {
  if (!outgoing.active) return;
  const View& view = context.record->view;
  if (outgoing.epoch != view.epoch) {
    outgoing.epoch = view.epoch;
    outgoing.acknowledged = false;
    outgoing.next = context.now;
    outgoing.pause = config_->timing.retry();
  }
  if (context.now < outgoing.next) return;
  if (view.coordinator != no_node) effects.push(effect::SendMessage{view.coordinator, outgoing.report});
  if (also_to != no_node && also_to != view.coordinator && also_to != context.self)
    effects.push(effect::SendMessage{also_to, outgoing.report});
  outgoing.sent = context.now;
  outgoing.next = context.now + outgoing.pause;
  outgoing.pause = shorter(outgoing.pause * 2, slowest());
}

void ReportOutbox::on_ack(std::uint32_t serial) {
  if (notice_.active && notice_.report.serial == serial) notice_.active = false;
  if (!state_.active || state_.report.serial != serial || state_.acknowledged) return;
  state_.acknowledged = true;
  state_.pause = slowest();
  state_.next = state_.sent + slowest();
}

Instant ReportOutbox::next_deadline() const {
  return earlier(state_.active ? state_.next : Instant::never(), notice_.active ? notice_.next : Instant::never());
}

}  // namespace vigil
