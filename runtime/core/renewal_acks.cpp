#include "runtime/core/renewal_acks.hpp"

namespace vigil {

void RenewalBook::push(NodeId node, RenewalAcks& acks) const {
  acks.push({node, entries_[node].sent_ns - entries_[node].sent_ns % renewal_unit.ns});
}

void RenewalBook::tell(Instant since, Epoch epoch, NodeSet holders, NodeSet owners, RenewalAcks& acks) {
  acks.clear();
  owners = owners & holders;
  // Owners that do not fit all the same take turns like the others: nobody is passed over for ever.
  if (static_cast<std::size_t>(owners.count()) >= room_) owners = {};
  for (NodeId node : owners)
    if (counts(node, since, epoch)) push(node, acks);
  for (std::size_t seen = 0; seen < limits::max_nodes && acks.size() < room_; ++seen) {
    const NodeId node = turn_;
    turn_ = static_cast<NodeId>((turn_ + 1) % limits::max_nodes);
    if (holders.has(node) && !owners.has(node) && counts(node, since, epoch)) push(node, acks);
  }
}

}  // namespace vigil
