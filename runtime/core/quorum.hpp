// Decides by which rule a view counts, and when that rule changes. Pure: configuration and views in, rules out.
//
// Under `majority` and `weighted` the rule is the configuration's, always. Under `last_man_standing` it follows
// the members: once a change of members is committed, a change of the rule follows it in two views of its own,
// the first of which counts by both rules (View::also). No set of nodes can decide by the new rule while another
// can still decide by the old one.
#pragma once

#include "runtime/base/cluster.hpp"
#include "runtime/base/record.hpp"

namespace vigil {

// More than half of all configured votes.
QuorumRule configured_rule(const ClusterConfig& config);
// More than half of the votes of these nodes. Does not exist when they have none.
QuorumRule rule_of(const ClusterConfig& config, QuorumKind kind, NodeSet nodes);

// Must successors of this view be decided by its own quorums alone? While one rule counts for ever, sets of nodes
// that are majorities of it share a node whatever view they are in, and that is enough (DESIGN section 5). Not
// when rules change or a tie-breaker stands in for votes.
bool decides_by_own_quorum(const ClusterConfig& config, const View& view);
// A start without any view that is known to live needs every voter: a smaller view of some may go on elsewhere.
bool starts_with_every_voter(const ClusterConfig& config);

// Is it time to change the rule of this committed view? `staying`: its members that are not about to leave.
bool rule_change_due(const ClusterConfig& config, const Record& committed, NodeSet staying);
// The next step of that change, into `next`, a view of the same members.
void change_rule(const ClusterConfig& config, const View& now, NodeSet staying, View& next);

}  // namespace vigil
