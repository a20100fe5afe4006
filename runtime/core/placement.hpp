// Decides which node should own which group. A pure function from (configuration, members, group
// states, operator's wishes, facts) to the next cluster state; `vigil simulate` and golden tests run it.
//
// The coordinator derives the next record's state with the apply_ functions, then with place(), and
// proposes the result. Nothing here proves anything: it writes down which nodes may still serve a
// group (`unproven`), and only events that are proofs take a node off that list.
//
//   owner changes from a live member     it becomes unproven; its release (of the new generation) proves
//   owner or unproven node expelled      stays unproven; its lease's end or a fence is the new owner's to
//                                        check. An application with state = disks or elsewhere: blocked
//                                        until the node is confirmed down or comes back clean
//   node left, or came back clean        proven everywhere
//   owner reports acquired               it held every proof before it began: all proven
//
// Between place() calls these hold: a group online has no unproven node; the owner is never unproven;
// every unproven node is a member or in `unfenced`; `pinned` is the owner or nobody.
#pragma once

#include "runtime/base/cluster.hpp"
#include "runtime/base/message.hpp"
#include "runtime/base/record.hpp"
#include "runtime/core/facts.hpp"

namespace vigil {

// The state before the first view: every group offline, wanted as configured.
ClusterState initial_state(const ClusterConfig& config);

// The state when all members come with another configuration than `before` was made for (a cluster changes
// it by stopping, so that everybody is clean): every group anew, and each of them unproven on every node
// of before that may still serve something: members of before, unfenced or unproven ones, but those who are
// `present` now, clean.
ClusterState state_of_new_configuration(const ClusterConfig& config, const ClusterState& before, NodeSet members,
                                        NodeSet present);

// After a cold start the state may lack the last moments before everything went down: whoever of `absent` may
// run an application that must not run twice counts as unproven for it.
void distrust_absent(const ClusterConfig& config, NodeSet absent, ClusterState& state);

// This node is down for certain: nothing waits for it any more. False: nothing did.
bool count_as_down(const ClusterConfig& config, NodeId node, ClusterState& state);

// Members left the view: groups they own or may still hold become unproven there, ownerless.
// `expelled` fell silent; `left` said goodbye after stopping everything (proven).
// `clean_rejoined` are members in a new incarnation, which were admitted only after they had cleaned:
// nothing of theirs is unproven any more, and what they owned before has no owner now. A node may be
// in `expelled` and in `clean_rejoined` of one change. At a cold start every member is clean_rejoined.
void apply_view_change(const ClusterConfig& config, NodeSet expelled, NodeSet left, NodeSet clean_rejoined,
                       ClusterState& state);

// A node's report; returns false when it is stale (generation or owner no longer match) and changes nothing.
// A report other than `restarted` may be applied again without harm.
bool apply_report(const ClusterConfig& config, NodeId from, const Report& report, const NodeFacts& facts,
                  ClusterState& state);

// An operator's word. `text` explains a refusal, or what will happen. Returns whether it was accepted.
bool apply_operator(const ClusterConfig& config, const View& view, const OperatorCommand& command,
                    const NodeFacts& facts, ClusterState& state, BoundedString<127>& text);

// Gives ownerless wanted groups an owner, moves those that must or should move (standby, leaving,
// network lost, failure, fallback, pin), blocks those whose proof cannot come (application state and
// an unfenced node), and unblocks them when it came. Idempotent: place(place(s)) == place(s).
// A group on its way to a new owner is left alone unless that owner itself may not have it any more.
void place(const ClusterConfig& config, const View& view, const NodeFacts& facts, ClusterState& state);

}  // namespace vigil
