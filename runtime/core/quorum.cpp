#include "runtime/core/quorum.hpp"

#include "runtime/base/seeded_bugs.hpp"

namespace vigil {

namespace {

// What the rule of a view with these members should come to.
QuorumRule wanted_rule(const ClusterConfig& config, const View& now, NodeSet staying) {
  if (config.quorum.policy != QuorumPolicy::last_man_standing) return configured_rule(config);
  // The last one goes on by the tie-breaker, if there is one: it can be taken from him, a vote of his own cannot.
  if (!config.quorum.tie_breaker.empty() && staying.count() < 2) return now.rule;
  const QuorumRule rule = rule_of(config, QuorumKind::last_man_standing, staying);
  return rule.exists() ? rule : now.rule;
}

}  // namespace

QuorumRule rule_of(const ClusterConfig& config, QuorumKind kind, NodeSet nodes) {
  QuorumRule rule;
  int votes = 0;
  for (NodeId node : nodes) {
    const std::uint8_t own = config.nodes[node].votes;
    if (own == 0) continue;
    votes += own;
    rule.voters.add(node);
    rule.votes[node] = own;
    rule.weighted = rule.weighted || own != 1;
  }
  if (!rule.weighted) rule.votes = {};
  if (votes == 0) return rule;
  rule.kind = kind;
  rule.needed = majority_of(votes);
  rule.tie_breaker = !config.quorum.tie_breaker.empty();
  return rule;
}

QuorumRule configured_rule(const ClusterConfig& config) {
  NodeSet all;
  for (std::size_t i = 0; i < config.nodes.size(); ++i) all.add(static_cast<NodeId>(i));
  const bool by_members = config.quorum.policy == QuorumPolicy::last_man_standing;
  return rule_of(config, by_members ? QuorumKind::last_man_standing : QuorumKind::majority, all);
}

bool decides_by_own_quorum(const ClusterConfig& config, const View& view) {
  return config.quorum.policy == QuorumPolicy::last_man_standing || !config.quorum.tie_breaker.empty() ||
         view.rule.kind != QuorumKind::majority || view.rule.tie_breaker || view.also.exists();
}

bool starts_with_every_voter(const ClusterConfig& config) {
  return config.quorum.wait_for_all || config.quorum.policy == QuorumPolicy::last_man_standing ||
         !config.quorum.tie_breaker.empty();
}

bool rule_change_due(const ClusterConfig& config, const Record& committed, NodeSet staying) {
  if (committed.joint() || !committed.view.exists()) return false;
  if (committed.view.also.exists()) return true;
  const QuorumRule wanted = wanted_rule(config, committed.view, staying);
  return !(wanted == committed.view.rule) && wanted.is_quorum(committed.view.members);
}

void change_rule(const ClusterConfig& config, const View& now, NodeSet staying, View& next) {
  if (now.also.exists()) {
    next.rule = now.rule;
    next.also = QuorumRule{};
    return;
  }
  next.rule = wanted_rule(config, now, staying);
  if (!seeded_bug(Bug::rule_changes_in_one_step)) next.also = now.rule;
}

}  // namespace vigil
