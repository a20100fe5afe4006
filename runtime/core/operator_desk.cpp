// What operators ask of this node is carried to the coordinator, repeated until answered, and answered
// in the end whatever happens. See node_parts.hpp.
#include "runtime/core/node_parts.hpp"
#include "runtime/core/quorum.hpp"

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
  const bool vouches = asked.command.verb == OperatorVerb::quorum_override || asked.command.verb == OperatorVerb::confirm_down;
  if (vouches && !lease_good(now)) return on_vouched(now, asked);
  if (asked.command.verb == OperatorVerb::quorum_override) {
    scratch.push(effect::OperatorAnswer{asked.id, false, "this node has a quorum and decides with it: there is nothing to override"});
    return;
  }
  if (!membership.member() || !lease_good(now)) {
    scratch.push(effect::OperatorAnswer{asked.id, false,
                                        "this node has no quorum and may not decide; see 'vigil status' for the reason"});
    return;
  }
  if (!operators.try_push({asked.id, asked.command, now, now + patience}))
    scratch.push(effect::OperatorAnswer{asked.id, false, "too many commands at once; try again in a moment"});
}

// Why the operator's word that these are down cannot take the place of a quorum here; nullptr: it can.
const char* NodeCore::Parts::objection_to_override(NodeSet down, NodeSet named) const {
  if (down.empty()) return "refused: every other node is heard here; see 'vigil quorum' for what is waited for";
  if (!named.includes(down)) return "refused: a node that you have not named is silent too; look again with 'vigil quorum'";
  if (!rule_of(config, QuorumKind::overridden, table.self_heard | NodeSet::of(self)).exists())
    return "refused: no node that is heard here has a vote";
  return nullptr;
}

// Without a quorum there is nobody to ask: the operator's word takes the place of the votes that are missing.
void NodeCore::Parts::on_vouched(Instant now, const event::OperatorAsked& asked) {
  NodeSet down = NodeSet::of(asked.command.node);
  if (asked.command.verb == OperatorVerb::quorum_override) {
    down = {};
    for (std::size_t i = 0; i < config.nodes.size(); ++i)
      if (i != self && !table.self_heard.has(static_cast<NodeId>(i))) down.add(static_cast<NodeId>(i));
    if (const char* objection = objection_to_override(down, asked.command.vouched); objection != nullptr) {
      scratch.push(effect::OperatorAnswer{asked.id, false, objection});
      return;
    }
  }
  if (asked.wall_ns <= Voter::years_begin_ns) {
    scratch.push(effect::OperatorAnswer{asked.id, false, "refused: this node's clock is not set, and of two words the one by the later clock holds; set it first"});
    return;
  }
  effect::OperatorAnswer answer{asked.id, membership.vouch(membership_context(now), down, asked.wall_ns), {}};
  membership_due = true;
  if (!answer.accepted)
    answer.text = "refused: this node hears it, or is it";
  else if (asked.command.verb == OperatorVerb::quorum_override)
    answer.text = "on your word all nodes not heard here count as down; start none where it cannot hear this one";
  else
    answer.text = "it counts as down on your word, also for the quorum, until it is heard here again";
  if (answer.accepted)
    for (NodeId node : down) note(JournalKind::observed, EventName::quorum_rule, node, "counts as down on the operator's word");
  scratch.push(answer);
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
