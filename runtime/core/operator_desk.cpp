// What operators ask of this node is carried to the coordinator, repeated until answered, and answered
// in the end whatever happens. See node_parts.hpp.
#include "runtime/core/node_parts.hpp"

namespace vigil {

namespace {

constexpr Duration patience = Duration::from_s(10);
// A request of our own, made again until the cluster agrees that we leave; nobody waits for its answer.
constexpr std::uint64_t leave_id = ~std::uint64_t{0};

}  // namespace

void NodeCore::Parts::on_operator(Instant now, const event::OperatorAsked& asked) {
  if (asked.command.verb == OperatorVerb::node_stop && asked.command.node == self) {
    stop_wanted = true;
    if (!membership.member() || !lease_good(now)) {
      scratch.push(effect::OperatorAnswer{asked.id, true, "stopping without a quorum: what runs here is stopped, and not taken over"});
      return;
    }
  }
  if (!membership.member() || !lease_good(now)) {
    scratch.push(effect::OperatorAnswer{asked.id, false,
                                        "this node has no quorum and may not decide; see 'vigil status' for the reason"});
    return;
  }
  if (!operators.try_push({asked.id, asked.command, now, now + patience}))
    scratch.push(effect::OperatorAnswer{asked.id, false, "too many commands at once; try again in a moment"});
}

void NodeCore::Parts::ask_to_leave(Instant now) {
  for (const PendingOperator& pending : operators)
    if (pending.command.verb == OperatorVerb::node_stop && pending.command.node == self) return;
  (void)operators.try_push({leave_id, {OperatorVerb::node_stop, no_index, self}, now, now + patience});
}

void NodeCore::Parts::on_operator_reply(const OperatorReply& reply) {
  for (std::size_t i = 0; i < operators.size(); ++i) {
    if (operators[i].id != reply.id) continue;
    operators.erase(i);
    scratch.push(effect::OperatorAnswer{reply.id, reply.accepted, reply.text});
    return;
  }
}

void NodeCore::Parts::advance_operators(Instant now) {
  for (std::size_t i = operators.size(); i-- > 0;) {
    PendingOperator& pending = operators[i];
    if (now >= pending.give_up) {
      scratch.push(effect::OperatorAnswer{pending.id, false,
                                          "no coordinator answered within 10 s; it may still have been carried out"});
      operators.erase(i);
      continue;
    }
    if (now < pending.resend) continue;
    pending.resend = now + config.timing.candidacy_step();
    scratch.push(effect::SendMessage{membership.committed().view.coordinator, OperatorRequest{pending.id, pending.command}});
  }
}

}  // namespace vigil
