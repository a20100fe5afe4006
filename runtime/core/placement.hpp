// Decides which node should own which group. A pure function from (configuration, members, group
// states, operator's wishes, facts) to the next cluster state; `vigil simulate` and golden tests run it.
#pragma once

#include "runtime/base/cluster.hpp"
#include "runtime/base/message.hpp"
#include "runtime/base/record.hpp"
#include "runtime/core/facts.hpp"

namespace vigil {

// The state before the first view: every group offline, wanted as configured.
ClusterState initial_state(const ClusterConfig& config);

// Members left the view: groups they own or may still hold become unproven there, ownerless.
// `expelled` fell silent; `left` said goodbye after stopping everything (proven).
// `clean_rejoined` are members in a new incarnation, which were admitted only after they had cleaned:
// nothing of theirs is unproven any more, and what they owned before has no owner now.
void apply_view_change(const ClusterConfig& config, NodeSet expelled, NodeSet left, NodeSet clean_rejoined,
                       ClusterState& state);

// A node's report; returns false when it is stale (generation or owner no longer match) and changes nothing.
bool apply_report(const ClusterConfig& config, NodeId from, const Report& report, const NodeFacts& facts,
                  ClusterState& state);

// An operator's word. `text` explains a refusal, or what will happen. Returns whether it was accepted.
bool apply_operator(const ClusterConfig& config, const View& view, const OperatorCommand& command,
                    const NodeFacts& facts, ClusterState& state, BoundedString<127>& text);

// Gives ownerless wanted groups an owner, moves those that must or should move (standby, leaving,
// network lost, failure, fallback, pin), blocks those whose proof cannot come (application state and
// an unfenced node), and unblocks them when it came. Idempotent: place(place(s)) == place(s).
void place(const ClusterConfig& config, const View& view, const NodeFacts& facts, ClusterState& state);

}  // namespace vigil
