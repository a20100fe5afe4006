// The arithmetic of votes, by the checker's own hand: what a rule allows is worked out here from who votes and how
// much, and never asked of the code that is judged.
#pragma once

#include "runtime/base/cluster.hpp"
#include "runtime/base/view.hpp"

namespace vigil::sim {

enum class Share : std::uint8_t { less, half, more };

// What part of all votes of this rule these nodes have.
inline Share share_of(const QuorumRule& rule, NodeSet nodes) {
  int all = 0;
  int theirs = 0;
  for (std::size_t i = 0; i < limits::max_nodes; ++i) {
    const auto node = static_cast<NodeId>(i);
    if (!rule.voters.has(node)) continue;
    const int votes = rule.weighted ? rule.votes[i] : 1;
    all += votes;
    if (nodes.has(node)) theirs += votes;
  }
  if (2 * theirs > all) return Share::more;
  return 2 * theirs == all && all > 0 ? Share::half : Share::less;
}

inline bool rule_allows(const QuorumRule& rule, NodeSet nodes, bool holding) {
  const Share share = share_of(rule, nodes);
  return share == Share::more || (share == Share::half && holding && rule.tie_breaker);
}

// May these nodes, as far as they are its members, decide in this view? `holding`: the tie-breaker.
inline bool decides(const View& view, NodeSet nodes, bool holding) {
  const NodeSet members = nodes & view.members;
  const bool changing = !view.also.voters.empty();
  return rule_allows(view.rule, members, holding) && (!changing || rule_allows(view.also, members, holding));
}

// A rule that counts these nodes, each with its configured votes, is this one.
inline bool counts_exactly(const QuorumRule& rule, const ClusterConfig& config, NodeSet nodes) {
  int all = 0;
  for (const NodeConfig& node : config.nodes) {
    const bool counted = nodes.has(node.id) && node.votes > 0;
    if (rule.voters.has(node.id) != counted) return false;
    if (!counted) continue;
    if ((rule.weighted ? rule.votes[node.id] : 1) != node.votes) return false;
    all += node.votes;
  }
  return all > 0 && rule.needed == all / 2 + 1 && rule.tie_breaker == !config.quorum.tie_breaker.empty();
}

inline NodeSet voters_of(const ClusterConfig& config) {
  NodeSet voters;
  for (const NodeConfig& node : config.nodes)
    if (node.votes > 0) voters.add(node.id);
  return voters;
}

}  // namespace vigil::sim
