#include "runtime/core/renewal_acks.hpp"

namespace vigil {

namespace {

// A renewal is told while a lease has still half of its time (timing.hpp: a lease lasts six beats and more).
constexpr std::size_t most_beats = 3;

}  // namespace

RenewalBook::RenewalBook(std::size_t room, std::size_t links, std::size_t nodes, NodeId first)
    : room_(room), nodes_(nodes) {
  // Links that beat alike stay as far apart as they begin.
  for (std::size_t link = 0; link < links; ++link)
    turns_[link] = static_cast<NodeId>((first + link * nodes / links) % nodes);
}

void RenewalBook::push(NodeId node, RenewalAcks& acks) const {
  acks.push({node, entries_[node].sent_ns - entries_[node].sent_ns % renewal_unit.ns});
}

// Owners go first only as long as nobody else's lease runs out for it, and by one link alone: the others may be down.
bool RenewalBook::leaves_room_for_others(NodeSet holders, NodeSet owners) const {
  const auto first = static_cast<std::size_t>(owners.count());
  const auto others = static_cast<std::size_t>(holders.count()) - first;
  return first < room_ && others <= most_beats * (room_ - first);
}

void RenewalBook::tell(LinkIndex link, Instant since, Epoch epoch, NodeSet holders, NodeSet owners, RenewalAcks& acks) {
  acks.clear();
  owners = owners & holders;
  if (!leaves_room_for_others(holders, owners)) owners = {};
  for (NodeId node : owners)
    if (counts(node, since, epoch)) push(node, acks);
  NodeId& turn = turns_[link];
  for (std::size_t seen = 0; seen < nodes_ && acks.size() < room_; ++seen) {
    const NodeId node = turn;
    turn = static_cast<NodeId>((turn + 1u) % nodes_);
    if (holders.has(node) && !owners.has(node) && counts(node, since, epoch)) push(node, acks);
  }
}

}  // namespace vigil
