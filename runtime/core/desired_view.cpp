#include "runtime/core/desired_view.hpp"

#include "runtime/base/seeded_bugs.hpp"

namespace vigil {

namespace {

int broken_pairs(const PeerTable& table, NodeSet nodes, NodeId node) {
  int broken = 0;
  for (NodeId other : nodes)
    if (other != node && !table.connected(node, other)) ++broken;
  return broken;
}

Incarnation incarnation_of(const DesiredInput& input, NodeId node) {
  return node == input.table->self ? input.self_incarnation : input.table->peers[node].latest.incarnation;
}

// A view keeps the incarnation in which a node was last a member: once out, only another one comes in.
bool was_member_before(const Record& base, NodeId node, const Incarnation& incarnation) {
  if (seeded_bug(Bug::readmit_voted_out_life)) return false;
  return base.view.incarnations[node] == incarnation || base.previous.incarnations[node] == incarnation;
}

// A new incarnation may come in once it is clean, of one configuration and one time with us, and heard long enough.
bool may_join(const DesiredInput& input, NodeId node) {
  if (input.table->clock_apart.has(node) && !seeded_bug(Bug::wrong_clock_admitted)) return false;
  if (was_member_before(*input.base, node, incarnation_of(input, node))) return false;
  if (node == input.table->self) return input.self_ready;
  const Peer& peer = input.table->peers[node];
  if (!peer.known || !peer.heard || !peer.latest.ready || !peer.latest.clean || peer.latest.leaving) return false;
  if (peer.latest.config_hash != input.config->hash) return false;
  // Who shows that it has the record in force will get the next one. Heartbeats alone may come by links that are too
  // narrow for a record, and a proposal that waits for such a node would hold up every change of the view.
  if (peer.latest.committed.epoch < input.committed) return false;
  return !peer.heard_since.is_never() && input.table->now - peer.heard_since >= input.config->timing.admission();
}

// Members of the base view that are there in the same incarnation.
void sort_members(const DesiredInput& input, DesiredView& desired) {
  for (NodeId node : input.base->view.members) {
    const bool self = node == input.table->self;
    const Peer& peer = input.table->peers[node];
    const bool present = self || (peer.known && peer.heard && peer.latest.config_hash == input.config->hash);
    const bool same = input.base->view.holds(node, incarnation_of(input, node)) &&
                      !(seeded_bug(Bug::wrong_clock_expelled) && input.table->clock_apart.has(node));
    const bool leaving = self ? input.self_leaving : peer.known && peer.latest.leaving;
    if (present && same && !leaving)
      desired.kept.add(node);
    else if (same && leaving)
      desired.left.add(node);
    else
      desired.expelled.add(node);
  }
}

}  // namespace

NodeSet largest_connected(const PeerTable& table, NodeSet nodes, NodeId coordinator) {
  // As a rule, each hears all, and gets the records.
  bool whole = !table.behind.intersects(nodes);
  for (NodeId node : nodes) {
    const NodeSet heard = node == table.self ? table.self_heard : table.peers[node].latest.heard;
    whole = whole && (heard | NodeSet::of(node)).includes(nodes);
  }
  if (whole) return nodes;
  for (;;) {
    NodeId worst = no_node;
    int most = 0;
    for (NodeId node : nodes) {
      const int broken = broken_pairs(table, nodes, node);
      if (broken == 0) continue;
      const bool worse = broken > most || (broken == most && worst == coordinator) ||
                         (broken == most && node != coordinator);
      if (worse) {
        worst = node;
        most = broken;
      }
    }
    if (worst == no_node) return nodes;
    nodes.remove(worst);
  }
}

DesiredView desired_view(const DesiredInput& input) {
  DesiredView desired;
  const View& base = input.base->view;
  sort_members(input, desired);
  const NodeSet connected = largest_connected(*input.table, desired.kept, base.coordinator);
  desired.expelled = desired.expelled | (desired.kept - connected);
  desired.kept = connected;
  const NodeSet held_out = base.is_quorum_holding(desired.kept) ? input.table->held_out : NodeSet{};
  for (std::size_t i = 0; i < input.config->nodes.size(); ++i) {
    const auto node = static_cast<NodeId>(i);
    if (held_out.has(node)) continue;
    if (base.holds(node, incarnation_of(input, node)) || !may_join(input, node)) continue;
    bool fits = true;
    for (NodeId other : desired.kept | desired.joining) fits = fits && input.table->connected(node, other);
    if (fits) desired.joining.add(node);
  }
  desired.members = desired.kept | desired.joining;
  for (NodeId node : desired.members) desired.incarnations[node] = incarnation_of(input, node);
  return desired;
}

}  // namespace vigil
