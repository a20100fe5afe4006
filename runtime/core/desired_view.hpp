// Decides which nodes should form the next view. Pure: from the newest known record and from who hears
// whom. Every member with the same evidence reaches the same answer.
#pragma once

#include "runtime/base/cluster.hpp"
#include "runtime/base/record.hpp"
#include "runtime/core/peers.hpp"

namespace vigil {

struct DesiredView {
  NodeSet members;     // who should be in
  NodeSet kept;        // of these, members of the base view in the same incarnation
  NodeSet joining;     // of these, new incarnations
  NodeSet expelled;    // of the base view, silent, cut off from the rest, or out of reach of messages
  NodeSet left;        // of the base view, said goodbye
  std::array<Incarnation, limits::max_nodes> incarnations{};

  bool changes(const View& base) const { return members != base.members || !joining.empty(); }
};

// `self_incarnation` and `self_ready`: our own, since the table holds only peers. `committed`: the epoch in force.
struct DesiredInput {
  const ClusterConfig* config = nullptr;
  const PeerTable* table = nullptr;
  const Record* base = nullptr;
  Incarnation self_incarnation;
  bool self_ready = false;
  bool self_leaving = false;
  Epoch committed;
};

DesiredView desired_view(const DesiredInput& input);

// Two nodes of a set that do not hear each other both ways cannot work in one view: leaves out, one by
// one, the node with the most broken pairs (never first the coordinator; of equals the highest id).
NodeSet largest_connected(const PeerTable& table, NodeSet nodes, NodeId coordinator);

}  // namespace vigil
