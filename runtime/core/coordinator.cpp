#include "runtime/core/coordinator.hpp"

#include "runtime/base/seeded_bugs.hpp"
#include "runtime/core/key_rotation.hpp"

namespace vigil {

void Coordinator::resign() {
  leading_ = false;
  acks_.clear();
  replies_.clear();
}

void Coordinator::on_committed(const Record& record, Effects& effects) {
  // The draft may have grown since it was proposed; it is kept while we go on leading one epoch.
  const bool same_epoch = leading_ && committed_.stamp.epoch == record.stamp.epoch;
  leading_ = true;
  committed_ = record;
  if (!same_epoch) {
    acks_.clear();
    replies_.clear();
    if (!seeded_bug(Bug::draft_of_earlier_lead) || draft_.group_count == 0) draft_ = record.state;
    return;
  }
  for (std::size_t i = acks_.size(); i-- > 0;)
    if (acks_[i].proposed) {
      effects.push(effect::SendMessage{acks_[i].to, ReportAck{acks_[i].serial}});
      acks_.erase(i);
    }
  for (std::size_t i = replies_.size(); i-- > 0;)
    if (replies_[i].proposed) {
      effects.push(effect::SendMessage{replies_[i].to, replies_[i].reply});
      replies_.erase(i);
    }
}

void Coordinator::on_report(NodeId from, const Report& report, const NodeFacts& facts, Effects& effects) {
  if (!leading_) return;
  for (const OwedAck& owed : acks_)
    if (owed.to == from && owed.serial == report.serial) return;  // a repetition; the answer is on its way
  if (acks_.full()) return;                                      // it will be repeated
  if (!apply_report(config_, from, report, facts, draft_)) {
    effects.push(effect::SendMessage{from, ReportAck{report.serial}});  // stale: nothing left to say
    return;
  }
  if (draft_ == committed_.state) {
    effects.push(effect::SendMessage{from, ReportAck{report.serial}});
    return;
  }
  Budget& budget = draft_.groups[report.group].last;
  if (report.kind == ReportKind::acquired && budget.detect_us > 0 && budget.agree_us == 0) budget.agree_us = agree_us_;
  acks_.push({from, report.serial, false});
}

// Nothing is answered: the sender looks for its part in the record, and repeats itself until it is there.
void Coordinator::on_key_report(NodeId from, const KeyReport& report) {
  if (leading_) apply_key_report(from, report, draft_.keys);
}

void Coordinator::on_operator(NodeId from, const OperatorRequest& request, const NodeFacts& facts, Effects& effects) {
  if (!leading_) return;
  for (const OwedReply& owed : replies_)
    if (owed.to == from && owed.reply.id == request.id) return;
  if (replies_.full()) return;
  OperatorReply reply;
  reply.id = request.id;
  reply.accepted = apply_operator(config_, committed_.view, request.command, facts, draft_, reply.text);
  if (!reply.accepted || draft_ == committed_.state) {
    effects.push(effect::SendMessage{from, reply});
    return;
  }
  replies_.push({from, reply, false});
}

bool Coordinator::next_state(const NodeFacts& facts, ClusterState& state) {
  if (!leading_) return false;
  place(config_, committed_.view, facts, draft_);
  // Those that an operator vouched for may be a majority when they are back: they must hear this view, and not each
  // other alone under the old key.
  if (committed_.view.rule.kind != QuorumKind::overridden)
    advance_keys(committed_.view.members, draft_.keys);
  // An answer owed for a change that was undone again still needs a commit to carry it.
  const bool owes = !acks_.empty() || !replies_.empty();
  if (draft_ == committed_.state && !committed_.joint() && !owes) return false;
  state = draft_;
  for (OwedAck& owed : acks_) owed.proposed = true;
  for (OwedReply& owed : replies_) owed.proposed = true;
  return true;
}

}  // namespace vigil
