// A view: who is in, in which incarnation, under which quorum rule; and the arithmetic of quorums.
#pragma once

#include <array>
#include <cstdint>

#include "runtime/base/ids.hpp"

namespace vigil {

// Where a view's rule comes from. `majority`: more than half of all configured votes, equal or weighted, fixed
// while the configuration lasts. `last_man_standing`: more than half of the votes of the members, agreed anew
// after each change of members. `overridden`: as that, on the operator's word that everybody else is down.
enum class QuorumKind : std::uint8_t { majority, last_man_standing, overridden };

// Who may vote, with how many votes, and how many are needed: always more than half of all of them, so that two
// quorums of one rule share a voter. Under `tie_breaker`, exactly half is enough for whoever holds it.
struct QuorumRule {
  QuorumKind kind = QuorumKind::majority;
  NodeSet voters;             // every node with a vote, in the view or not
  std::uint16_t needed = 0;   // votes; 0: no rule
  bool tie_breaker = false;
  bool weighted = false;      // false: one vote a voter
  std::array<std::uint8_t, limits::max_nodes> votes{};  // of each voter, if weighted

  bool exists() const { return needed > 0; }
  std::uint16_t votes_of(NodeSet nodes) const {
    if (!weighted) return static_cast<std::uint16_t>((nodes & voters).count());
    std::uint16_t sum = 0;
    for (NodeId node : nodes & voters) sum = static_cast<std::uint16_t>(sum + votes[node]);
    return sum;
  }
  bool is_quorum(NodeSet nodes) const { return exists() && votes_of(nodes) >= needed; }
  // With the tie-breaker in hand.
  bool is_quorum_holding(NodeSet nodes) const {
    return is_quorum(nodes) || (exists() && tie_breaker && 2 * votes_of(nodes) == votes_of(voters));
  }
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
  // While the rule changes, the old one counts as well: a quorum is one by both. Otherwise it does not exist.
  QuorumRule also;

  bool exists() const { return !members.empty(); }
  // True when `node` is a member in exactly this incarnation.
  bool holds(NodeId node, Incarnation incarnation) const {
    return members.has(node) && incarnation.known() && incarnations[node] == incarnation;
  }
  // True when these members together may decide in this view.
  bool is_quorum(NodeSet nodes) const {
    return rule.is_quorum(nodes & members) && (!also.exists() || also.is_quorum(nodes & members));
  }
  // The same for whoever holds the tie-breaker for this view or its successor.
  bool is_quorum_holding(NodeSet nodes) const {
    return rule.is_quorum_holding(nodes & members) && (!also.exists() || also.is_quorum_holding(nodes & members));
  }
  // True when every quorum of this view contains at least one of `nodes`: they know all that it decided,
  // and nothing can be decided in it without them.
  bool is_hit_by(NodeSet nodes) const { return !is_quorum_holding(members - nodes); }
  // Its members decide only while the tie-breaker is theirs.
  bool lives_by_tie_breaker() const { return !is_quorum(members) && is_quorum_holding(members); }

  bool operator==(const View&) const = default;
};

}  // namespace vigil
