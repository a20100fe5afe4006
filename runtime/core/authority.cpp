#include "runtime/core/authority.hpp"

#include "runtime/base/seeded_bugs.hpp"
#include "runtime/core/quorum.hpp"

namespace vigil {

namespace {

bool is_quorum(const Ballot& ballot, const View& view, NodeSet nodes) {
  return ballot.tie_breaker ? view.is_quorum_holding(nodes) : view.is_quorum(nodes);
}

// Nothing can be decided in `view` without these, or by them while the tie-breaker is ours.
bool hits(const Ballot& ballot, const View& view, NodeSet nodes) {
  return ballot.tie_breaker ? !view.is_quorum(view.members - nodes) : view.is_hit_by(nodes);
}

// The members that answered in their old life are a quorum of it; nodes that are down for certain count, as long
// as whatever a quorum decided is known to one that answered.
bool decides(const Ballot& ballot, const View& view) {
  const NodeSet survivors = same_incarnations(view, ballot.promised, *ballot.incarnations);
  return is_quorum(ballot, view, survivors | (ballot.vouched & view.members)) && hits(ballot, view, survivors);
}

// Where rules change or a tie-breaker counts: by the view's own quorum, and by that of the view before while the
// newest is in doubt.
bool decided_by_own_quorum(const Ballot& ballot) {
  const Record& base = *ballot.base;
  return base.view.exists() && decides(ballot, base.view) && (!ballot.in_doubt || decides(ballot, base.previous));
}

// Would this node know of a record that was accepted after `base`, by itself among others?
bool is_informed(const Ballot& ballot, NodeId node) {
  if (!ballot.recovering.has(node)) return true;
  if (ballot.forgotten == nullptr) return false;
  const std::uint64_t forgotten = (*ballot.forgotten)[node];
  if (forgotten != 0) return forgotten < ballot.base->stamp.epoch.counter;
  // Its first life; or it has lost its state file: then the view knows an earlier one.
  const Incarnation& last = ballot.base->view.incarnations[node];
  return !last.known() || last == (*ballot.incarnations)[node];
}

// (a) of DESIGN section 5.
bool hit_by_promises(const ClusterConfig& config, const Ballot& ballot) {
  const Record& base = *ballot.base;
  if (!base.view.exists()) return false;
  if (!base.view.is_hit_by(same_incarnations(base.view, ballot.promised, *ballot.incarnations))) return false;
  if (!ballot.in_doubt) return true;
  // What the view before decided up to `base` is known: the candidate of `base` had collected it. It can decide nothing
  // more where each quorum of it has a member bound by a promise, or gone with its old life.
  if (!base.previous.is_hit_by(ballot.promised)) return false;
  // Since then an earlier view may have gone another way: each quorum that could has one here who would know.
  NodeSet informed;
  for (const NodeId node : ballot.promised)
    if (is_informed(ballot, node)) informed.add(node);
  const QuorumRule rule = configured_rule(config);
  return !rule.is_quorum(rule.voters - informed);
}

// Could voters of the last view, other than these, be a quorum of it somewhere?
bool may_go_on_without(const Ballot& ballot, NodeSet gone) {
  const QuorumRule& last = ballot.base->view.rule;
  return ballot.base->view.exists() && last.is_quorum_holding(last.voters - gone);
}

// (b): so many nodes have restarted that no quorum of any view can have survived; by the rule of the
// configuration, and by that of the last view: it may have been smaller.
bool nothing_survived(const ClusterConfig& config, const Ballot& ballot) {
  if (starts_with_every_voter(config)) return false;
  const NodeSet gone = ballot.recovering;
  const QuorumRule rule = configured_rule(config);
  if (rule.is_quorum(rule.voters - gone)) return false;
  return !may_go_on_without(ballot, gone);
}

}  // namespace

NodeSet same_incarnations(const View& view, NodeSet nodes, const std::array<Incarnation, limits::max_nodes>& known) {
  NodeSet same;
  for (NodeId node : nodes)
    if (view.holds(node, known[node]) || (seeded_bug(Bug::other_life_counts_as_survivor) && view.members.has(node)))
      same.add(node);
  return same;
}

Authority authority_of(const ClusterConfig& config, const Ballot& ballot) {
  const Record& base = *ballot.base;
  const QuorumRule rule = configured_rule(config);
  if (rule.votes_of(ballot.promised) == 0) return Authority::none;
  // Every voter of this file may be few of those of the last one.
  const bool other_file = base.view.exists() && base.state.config_hash != config.hash;
  const bool every_voter = (ballot.promised | ballot.vouched).includes(rule.voters) &&
                           !(other_file && may_go_on_without(ballot, ballot.recovering | ballot.vouched));
  if (seeded_bug(Bug::start_without_every_voter) && rule.is_quorum(ballot.promised)) return Authority::cold_start;
  if (decides_by_own_quorum(config, base.view)) {
    if (decided_by_own_quorum(ballot)) return ballot.vouched.empty() ? Authority::strict : Authority::unanimous;
    return every_voter ? Authority::cold_start : Authority::none;
  }
  // A word about some lets nobody start beside the rest: under one rule for ever, who was down and is back is a vote.
  if (!rule.is_quorum(ballot.promised)) return every_voter ? Authority::cold_start : Authority::none;
  if (hit_by_promises(config, ballot) || (base.view.exists() && seeded_bug(Bug::commit_without_old_quorum))) {
    const NodeSet survivors = same_incarnations(base.view, ballot.promised, *ballot.incarnations);
    return !ballot.in_doubt && base.view.is_quorum(survivors) ? Authority::strict : Authority::unanimous;
  }
  return every_voter || nothing_survived(config, ballot) ? Authority::cold_start : Authority::none;
}

}  // namespace vigil
