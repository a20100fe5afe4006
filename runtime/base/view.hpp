// A view: who is in, in which incarnation, under which quorum rule; and the arithmetic of quorums.
#pragma once

#include <array>
#include <cstdint>

#include "runtime/base/ids.hpp"

namespace vigil {

// How a view counts. `majority`: more than half of all configured votes, fixed while the view lasts.
// Other rules (weighted, last man standing, arbiter, tie-breaker) fill the same fields differently:
// who may vote, with how many votes, and how many are needed.
enum class QuorumKind : std::uint8_t { majority };

struct QuorumRule {
  QuorumKind kind = QuorumKind::majority;
  NodeSet voters;             // every node with a vote, in the view or not
  std::uint16_t needed = 0;   // votes; one vote a voter under `majority`

  std::uint16_t votes_of(NodeSet nodes) const { return static_cast<std::uint16_t>((nodes & voters).count()); }
  bool operator==(const QuorumRule&) const = default;
};

constexpr std::uint16_t majority_of(int votes) { return static_cast<std::uint16_t>(votes / 2 + 1); }

struct View {
  Epoch epoch;
  NodeId coordinator = no_node;
  NodeSet members;
  // Of members; of others, the incarnation in which they were last a member: it never comes back.
  std::array<Incarnation, limits::max_nodes> incarnations{};
  QuorumRule rule;

  bool exists() const { return !members.empty(); }
  // True when `node` is a member in exactly this incarnation.
  bool holds(NodeId node, Incarnation incarnation) const {
    return members.has(node) && incarnation.known() && incarnations[node] == incarnation;
  }
  // True when these members together may decide in this view.
  bool is_quorum(NodeSet nodes) const { return rule.needed > 0 && rule.votes_of(nodes & members) >= rule.needed; }
  // True when every quorum of this view contains at least one of `nodes`: they know all that it decided,
  // and nothing can be decided in it without them.
  bool is_hit_by(NodeSet nodes) const { return !is_quorum(members - nodes); }

  bool operator==(const View&) const = default;
};

}  // namespace vigil
