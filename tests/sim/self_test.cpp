// The checker's own test: each case is a short history told to a checker over three hand-made machines.
#include "tests/sim/self_test.hpp"

#include <cstdio>
#include <memory>

#include "tests/sim/checker.hpp"
#include "tests/sim/codec.hpp"
#include "tests/sim/disk.hpp"
#include "tests/sim/scenario.hpp"
#include "tests/sim/world.hpp"

namespace vigil::sim {
namespace {

constexpr SimTime ms = 1'000'000;
constexpr SimTime later = 20'000 * ms;  // long after every start

// Three nodes, one group with one address and an application, all daemons up since time zero.
struct Rig {
  Machines machines;
  Soundness soundness;
  Checker checker{machines, soundness};
  ClusterConfig config;
  QuorumRule rule;  // of the views to come

  explicit Rig(ApplicationState state = ApplicationState::elsewhere) {
    GroupConfig group;
    group.addresses.push(AddressConfig{});
    group.application.present = true;
    group.application.state = state;
    config.groups.push(group);
    for (NodeId id = 0; id < 3; ++id) {
      NodeConfig node;
      node.id = id;
      config.nodes.push(node);
    }
    rule.voters = NodeSet::from_bits(7);
    rule.needed = 2;
    checker.reset(config, config, 3);
    for (NodeId node = 0; node < 3; ++node) start(node, 0);
  }
  void start(NodeId node, SimTime now) {
    Machine& machine = machines[node];
    machine.powered = true;
    machine.daemon = {node + 1u, machine.daemon.start_id + 1};
    checker.started(now, node, {}, {});
  }
  Instant clock(NodeId node, SimTime now) const { return machines[node].clock.at(now); }

  // A view of these nodes as they run now.
  View view(Epoch epoch, NodeSet members) const {
    View view;
    view.epoch = epoch;
    view.coordinator = epoch.proposer;
    view.members = members;
    for (const NodeId node : members) view.incarnations[node] = machines[node].daemon;
    view.rule = rule;
    return view;
  }
  Record record(std::uint64_t counter, NodeId proposer, NodeSet members, const Record* base = nullptr) const {
    Record record;
    record.stamp = {{counter, proposer}, 1};
    record.view = view(record.stamp.epoch, members);
    if (base != nullptr) {
      record.previous = base->view;
      record.expelled = base->view.members - members;
      record.state = base->state;
    }
    return record;
  }
  void prepare(SimTime now, const Record& record) {
    Prepare prepare;
    prepare.epoch = record.stamp.epoch;
    prepare.members = record.view.members;
    prepare.expel = record.expelled;
    prepare.base = {record.previous.epoch, 1};
    checker.sending(now, record.stamp.epoch.proposer, prepare);
  }
  void promise(SimTime now, NodeId voter, Epoch epoch, Stamp accepted) {
    Promise promise;
    promise.epoch = epoch;
    promise.accepted.stamp = accepted;
    checker.sending(now, voter, promise);
    checker.receiving(epoch.proposer, promise);
  }
  void accept(SimTime now, const Record& record, NodeSet voters) {
    checker.sending(now, record.stamp.epoch.proposer, Accept{record, {}});
    for (const NodeId voter : voters) {
      checker.sending(now, voter, Accepted{record.stamp});
      checker.accepted(now, voter, record);
    }
  }
  // The whole of a view change, as it should be.
  Record agree(SimTime now, std::uint64_t counter, NodeId proposer, NodeSet members, NodeSet voters,
               const Record* base = nullptr) {
    const Record made = record(counter, proposer, members, base);
    prepare(now, made);
    for (const NodeId voter : voters)
      if (voter != proposer) promise(now, voter, made.stamp.epoch, base != nullptr ? base->stamp : Stamp{});
    accept(now, made, voters);
    for (const NodeId voter : voters) checker.committed(now, voter, made);
    return made;
  }
  void add_address(NodeId node, SimTime now, SimTime lease_ends) {
    checker.opening_gate(now, node, 0, 0, clock(node, lease_ends));
    AddressSlot& slot = machines[node].addresses[0][0];
    slot.gate = true;
    slot.lease_until = clock(node, lease_ends);
    slot.adapters = 1;
    if (machines[node].serves(0, 0, now)) checker.serving(now, node, 0, 0);
  }
  void start_application(NodeId node, SimTime now) {
    checker.starting_application(now, node, 0);
    machines[node].running[0] = true;
  }
};

const NodeSet all = NodeSet::from_bits(7);
const NodeSet ab = NodeSet::from_bits(3);
const NodeSet bc = NodeSet::from_bits(6);

struct Case {
  const char* name;
  Invariant expected;
  void (*tell)(Rig&);
  ApplicationState state = ApplicationState::elsewhere;
};

// ---- I1, I3: resources ----------------------------------------------------------------------------

void address_after_lease(Rig& rig) {
  rig.add_address(0, later, later + 100 * ms);
  rig.add_address(1, later + 100 * ms, later + 200 * ms);
}
void address_before_lease_end(Rig& rig) {
  rig.add_address(0, later, later + 100 * ms);
  rig.add_address(1, later + 99 * ms, later + 200 * ms);
}
void address_on_slow_clock(Rig& rig) {
  rig.machines[0].clock.set(later, Instant{5}, -99'000);
  rig.add_address(0, later, later);
  rig.machines[0].addresses[0][0].lease_until = rig.clock(0, later) + Duration{100 * ms};
  rig.add_address(1, later + 105 * ms, later + 200 * ms);
}
void late_order_opens_nothing(Rig& rig) {
  rig.add_address(0, later, later + 100 * ms);
  rig.add_address(1, later + 50 * ms, later + 40 * ms);
}
void gate_reopened(Rig& rig) {
  rig.add_address(0, later, later + 100 * ms);
  rig.add_address(1, later + 150 * ms, later + 300 * ms);
  rig.machines[0].addresses[0][0].lease_until = rig.clock(0, later + 300 * ms);
  rig.checker.serving(later + 200 * ms, 0, 0, 0);
}
void live_member_not_released(Rig& rig) {
  rig.agree(later, 1, 0, all, all);
  rig.add_address(0, later, later + 10 * ms);
  rig.add_address(1, later + 50 * ms, later + 90 * ms);
}
void live_member_released(Rig& rig) {
  rig.agree(later, 1, 0, all, all);
  rig.add_address(0, later, later + 10 * ms);
  rig.machines[0].addresses[0][0] = {};
  rig.add_address(1, later + 5 * ms, later + 90 * ms);
}
void application_twice(Rig& rig) {
  rig.start_application(0, later);
  rig.start_application(1, later + 9000 * ms);
}
void application_after_stop(Rig& rig) {
  rig.start_application(0, later);
  rig.machines[0].running[0] = false;
  rig.start_application(1, later + 1);
}
void stateless_beside_member(Rig& rig) {
  rig.agree(later, 1, 0, all, all);
  rig.start_application(0, later);
  rig.start_application(1, later + 1);
}
void stateless_beside_expelled(Rig& rig) {
  rig.start_application(0, later);
  const Record first = rig.agree(later, 1, 0, all, all);
  rig.soundness.node[0] = sim_never;
  rig.agree(later + 1, 2, 1, bc, bc, &first);
  rig.start_application(1, later + 2);
}

// ---- a machine that stands still ------------------------------------------------------------------

// Node 1 stands from `later` on, with a lease of 100 ms; node 2 takes over; node 1 goes on.
void stand_and_go_on(Rig& rig, bool clock_stands) {
  rig.add_address(0, later, later + 100 * ms);
  Machine& machine = rig.machines[0];
  if (clock_stands) {
    machine.clock.stop(later);
    machine.exposed_until = machine.clock.at(later) + rig.config.timing.lease;
  }
  machine.stopped = true;
  rig.add_address(1, later + 300 * ms, later + 900 * ms);
  machine.stopped = false;
  if (clock_stands) machine.clock.go(later + 400 * ms, 0);
}
void exposed_for_one_lease(Rig& rig) {
  stand_and_go_on(rig, true);
  rig.checker.serving(later + 400 * ms, 0, 0, 0);
}
void exposed_for_longer(Rig& rig) {
  stand_and_go_on(rig, true);
  rig.machines[0].addresses[0][0].lease_until = rig.machines[0].exposed_until + Duration{1};
  rig.checker.serving(later + 410 * ms, 0, 0, 0);
}
void frozen_is_no_excuse(Rig& rig) {
  stand_and_go_on(rig, false);
  rig.machines[0].addresses[0][0].lease_until = rig.clock(0, later + 900 * ms);
  rig.checker.serving(later + 400 * ms, 0, 0, 0);
}
void late_order_after_standing(Rig& rig) {
  stand_and_go_on(rig, true);
  rig.checker.opening_gate(later + 400 * ms, 0, 0, 0, rig.machines[0].exposed_until);
}
void new_order_after_standing(Rig& rig) {
  stand_and_go_on(rig, true);
  rig.checker.opening_gate(later + 400 * ms, 0, 0, 0, rig.machines[0].exposed_until + Duration{1});
}

// ---- I3: leases -----------------------------------------------------------------------------------

void acknowledged(Rig& rig, SimTime at, NodeId voter) {
  rig.checker.acknowledging(at, voter, 0, rig.machines[0].daemon, rig.clock(0, at).ns);
}
void renewal_of_quorum(Rig& rig) {
  acknowledged(rig, later, 1);
  rig.checker.renewing(later + 20 * ms, 0, rig.clock(0, later) + rig.config.timing.lease);
}
void renewal_from_ack_time(Rig& rig) {
  acknowledged(rig, later, 1);
  rig.checker.renewing(later + 20 * ms, 0, rig.clock(0, later + 20 * ms) + rig.config.timing.lease);
}
// By the rule of an operator who vouches for all others.
void override_rule(QuorumRule& rule, NodeId left) {
  rule.kind = QuorumKind::overridden;
  rule.voters = NodeSet::of(left);
  rule.needed = 1;
}
void renewal_alone_by_its_view(Rig& rig) {
  Record alone = rig.record(1, 0, NodeSet::of(0));
  override_rule(alone.view.rule, 0);
  rig.checker.asked({OperatorVerb::quorum_override, no_index, no_node, bc});
  rig.accept(later, alone, NodeSet::of(0));
  rig.checker.committed(later, 0, alone);
  rig.checker.renewing(later, 0, rig.clock(0, later) + rig.config.timing.lease);
}
void renewal_by_too_few_of_its_view(Rig& rig) {
  rig.agree(later, 1, 0, all, all);
  rig.checker.renewing(later, 0, rig.clock(0, later) + Duration{1});
}
void renewal_alone(Rig& rig) { rig.checker.renewing(later, 0, rig.clock(0, later) + Duration{1}); }
void ack_after_expulsion(Rig& rig) {
  const Record first = rig.agree(later, 1, 0, all, all);
  rig.soundness.node[0] = sim_never;
  const Record second = rig.record(2, 1, bc, &first);
  rig.prepare(later + 1, second);
  rig.promise(later + 2, 2, second.stamp.epoch, first.stamp);
  acknowledged(rig, later + 3, 2);
}
void ack_after_readmission(Rig& rig) {
  const Record first = rig.agree(later, 1, 0, all, all);
  rig.soundness.node[0] = sim_never;
  const Record second = rig.record(2, 1, bc, &first);
  rig.prepare(later + 1, second);
  rig.promise(later + 2, 2, second.stamp.epoch, first.stamp);
  rig.agree(later + 3, 3, 0, all, all, &first);
  acknowledged(rig, later + 4, 2);
}
void restarted_voter_speaks(Rig& rig, SimTime after) {
  acknowledged(rig, later, 1);
  rig.checker.stopped(1);
  rig.start(1, later + 1);
  rig.promise(later + 1 + after, 1, {9, 0}, {});
}
void restarted_voter_too_soon(Rig& rig) { restarted_voter_speaks(rig, rig.config.timing.lease.ns); }
void restarted_voter_in_time(Rig& rig) { restarted_voter_speaks(rig, outlast(rig.config.timing.lease).ns); }

// ---- I2: agreement --------------------------------------------------------------------------------

void good_views(Rig& rig) {
  const Record first = rig.agree(later, 1, 0, all, all);
  rig.soundness.node[0] = sim_never;
  rig.agree(later + 1, 2, 1, bc, bc, &first);
}
void commit_by_one(Rig& rig) {
  const Record made = rig.record(1, 0, all);
  rig.accept(later, made, NodeSet::of(0));
  rig.checker.committed(later, 0, made);
}
void commit_without_joiner(Rig& rig) {
  const Record first = rig.agree(later, 1, 0, ab, ab);
  const Record second = rig.record(2, 0, all, &first);
  rig.prepare(later + 1, second);
  rig.promise(later + 2, 1, second.stamp.epoch, first.stamp);
  rig.accept(later + 3, second, ab);
  rig.checker.committed(later + 4, 0, second);
}
void commit_by_a_dead_life(Rig& rig) {
  const Record made = rig.record(1, 0, all);
  rig.start(1, later);  // another life than the view's
  rig.accept(later, made, ab);
  rig.checker.committed(later, 0, made);
}
void without_old_quorum(Rig& rig) {
  const Record first = rig.agree(later, 1, 0, ab, ab);
  Record second = rig.record(2, 2, NodeSet::of(2), &first);
  override_rule(second.view.rule, 2);
  rig.soundness.node[0] = rig.soundness.node[1] = sim_never;
  rig.accept(later + 1, second, NodeSet::of(2));
  rig.checker.committed(later + 1, 2, second);
}
void old_quorum_is_gone(Rig& rig) {
  const Record first = rig.agree(later, 1, 0, ab, ab);
  rig.soundness.node[0] = sim_never;
  rig.checker.stopped(0);
  rig.agree(later + 1, 2, 1, bc, bc, &first);
}
void two_records_one_stamp(Rig& rig) {
  Record made = rig.agree(later, 1, 0, all, all);
  made.state.groups[0].generation = 5;
  rig.checker.accepted(later, 1, made);
}
void two_views_one_epoch(Rig& rig) {
  Record made = rig.agree(later, 1, 0, all, all);
  made.stamp.version = 2;
  made.view.members = ab;
  rig.checker.accepted(later, 1, made);
}
void committed_goes_back(Rig& rig) {
  const Record first = rig.agree(later, 1, 0, all, all);
  rig.agree(later + 1, 2, 0, all, all, &first);
  rig.checker.committed(later + 2, 1, first);
}
void vote_goes_back(Rig& rig) {
  rig.promise(later, 1, {5, 2}, {});
  rig.promise(later + 1, 1, {5, 0}, {});
}
void vote_repeated_in_next_life(Rig& rig) {
  rig.promise(later, 1, {5, 2}, {});
  rig.checker.stopped(1);
  rig.start(1, later + 1);
  rig.promise(later + later, 1, {5, 2}, {});
}

void vote_after_lost_state(Rig& rig) {
  rig.promise(later, 1, {5, 2}, {});
  rig.checker.stopped(1);
  rig.checker.forgot(1);
  rig.start(1, later + 1);
  rig.promise(later + later, 1, {5, 2}, {});
}
void two_files_in_one_view(Rig& rig) {
  rig.checker.stopped(2);
  rig.machines[2].daemon.start_id += 1;
  rig.checker.started(later, 2, {}, {}, true);
  rig.agree(later, 1, 0, all, all);
}

// ---- I2: rules of quorum --------------------------------------------------------------------------

void follow_members(Rig& rig) {
  rig.config.quorum.policy = QuorumPolicy::last_man_standing;
  rig.rule.kind = QuorumKind::last_man_standing;
}
void share_register(Rig& rig) {
  rig.config.quorum.tie_breaker = "register";
  rig.config.nodes[2].votes = 0;
  rig.rule.voters = ab;
  rig.rule.tie_breaker = true;
}
// The second node goes on without the first, which lives.
void go_on_as_half(Rig& rig, bool won) {
  share_register(rig);
  const Record first = rig.agree(later, 1, 0, ab, ab);
  rig.soundness.node[0] = sim_never;
  if (won) rig.checker.tie_breaker_won(later + 1, 1, {2, 1});
  rig.agree(later + 2, 2, 1, NodeSet::of(1), NodeSet::of(1), &first);
}
void half_with_tie_breaker(Rig& rig) { go_on_as_half(rig, true); }
void half_without_tie_breaker(Rig& rig) { go_on_as_half(rig, false); }
void tie_breaker_of_another(Rig& rig) {
  share_register(rig);
  rig.checker.tie_breaker_won(later, 1, {2, 0});
}
void other_half_goes_on_too(Rig& rig) {
  go_on_as_half(rig, true);
  const Record second = rig.record(3, 0, NodeSet::of(0));
  rig.accept(later + 5, second, NodeSet::of(0));
  rig.checker.committed(later + 5, 0, second);
}
void renewal_by_register(Rig& rig, SimTime from) {
  go_on_as_half(rig, true);
  rig.checker.tie_breaker_read(1, true, rig.clock(1, later + 1).ns, {2, 1});
  rig.checker.renewing(later + 20 * ms, 1, rig.clock(1, from) + rig.config.timing.lease);
}
void renewal_from_reading(Rig& rig) { renewal_by_register(rig, later + 1); }
void renewal_beyond_reading(Rig& rig) { renewal_by_register(rig, later + 2); }
void first_view_of_some(Rig& rig) {
  follow_members(rig);
  rig.agree(later, 1, 0, ab, ab);
}
void first_view_waits_for_all(Rig& rig) {
  rig.config.quorum.wait_for_all = true;
  rig.agree(later, 1, 0, ab, ab);
}
// The rule comes to count the two who are left.
void shrink_rule(Rig& rig, bool both) {
  follow_members(rig);
  const Record first = rig.agree(later, 1, 0, all, all);
  rig.soundness.node[0] = sim_never;
  const Record second = rig.agree(later + 1, 2, 1, bc, bc, &first);
  rig.rule.voters = bc;
  Record third = rig.record(3, 1, bc, &second);
  if (both) third.view.also = second.view.rule;
  rig.prepare(later + 2, third);
  rig.promise(later + 2, 2, third.stamp.epoch, second.stamp);
  rig.accept(later + 2, third, bc);
  rig.checker.committed(later + 2, 1, third);
}
void rule_in_two_steps(Rig& rig) { shrink_rule(rig, true); }
void rule_in_one_step(Rig& rig) { shrink_rule(rig, false); }
void rule_counts_other_votes(Rig& rig) {
  rig.rule.needed = 1;
  rig.agree(later, 1, 0, all, all);
}

// ---- keys and clocks ------------------------------------------------------------------------------

void use_keys(Rig& rig, NodeId node, std::uint8_t sending, std::initializer_list<SimKey> held) {
  SimKeys keys;
  for (const SimKey& key : held) keys.add(key);
  rig.checker.keys_changed(later + 5, node, keys, sending);
}
void all_have_first_key(Rig& rig) {
  for (NodeId node = 0; node < 3; ++node) use_keys(rig, node, 1, {{1, 7}});
  rig.agree(later, 1, 0, all, all);
}
void sends_what_others_hold(Rig& rig) {
  all_have_first_key(rig);
  for (NodeId node = 0; node < 3; ++node) use_keys(rig, node, 1, {{1, 7}, {2, 8}});
  use_keys(rig, 0, 2, {{1, 7}, {2, 8}});
}
void sends_too_soon(Rig& rig) {
  all_have_first_key(rig);
  use_keys(rig, 0, 1, {{1, 7}, {2, 8}});
  use_keys(rig, 1, 1, {{1, 7}, {2, 8}});
  use_keys(rig, 0, 2, {{1, 7}, {2, 8}});
}
void another_key_of_that_id(Rig& rig) {
  all_have_first_key(rig);
  use_keys(rig, 0, 1, {{1, 9}});
}
void take_in_with_clock(Rig& rig, std::int64_t seconds) {
  const Record first = rig.agree(later, 1, 0, ab, ab);
  for (NodeId node = 0; node < 3; ++node) rig.checker.clock_set(node, node == 2 ? seconds * 1'000'000'000 : 0, false);
  rig.agree(later + 1, 2, 0, all, all, &first);
}
void clock_far_off(Rig& rig) { take_in_with_clock(rig, -100); }
void clock_near(Rig& rig) { take_in_with_clock(rig, 40); }

// ---- I4: an operator's word -----------------------------------------------------------------------

// A record that follows `first` in its epoch, with another word in its state.
void decide(Rig& rig, Record& record, void (*change)(ClusterState&)) {
  record.stamp.version += 1;
  record.previous = {};
  change(record.state);
  rig.accept(later, record, all);
  rig.checker.committed(later, 0, record);
}
void word_is_kept(Rig& rig) {
  Record record = rig.agree(later, 1, 0, all, all);
  rig.checker.asked({OperatorVerb::group_offline, 0, no_node});
  decide(rig, record, [](ClusterState& state) { state.groups[0].wanted = false; });
  rig.checker.answered(later, 0, 1, true);
}
void word_not_decided(Rig& rig) {
  rig.agree(later, 1, 0, all, all);
  rig.checker.asked({OperatorVerb::group_offline, 0, no_node});
  rig.checker.answered(later, 0, 1, true);
}
void word_refused(Rig& rig) {
  rig.agree(later, 1, 0, all, all);
  rig.checker.asked({OperatorVerb::group_offline, 0, no_node});
  rig.checker.answered(later, 0, 1, false);
}
void word_lost(Rig& rig) {
  Record record = rig.agree(later, 1, 0, all, all);
  rig.checker.asked({OperatorVerb::group_offline, 0, no_node});
  decide(rig, record, [](ClusterState& state) { state.groups[0].wanted = false; });
  decide(rig, record, [](ClusterState& state) { state.groups[0].wanted = true; });
}
void standby_lost(Rig& rig) {
  Record record = rig.agree(later, 1, 0, all, all);
  rig.checker.asked({OperatorVerb::node_standby, no_index, 2});
  decide(rig, record, [](ClusterState& state) { state.standby.add(2); });
  decide(rig, record, [](ClusterState& state) { state.standby.remove(2); });
}
void standby_unasked(Rig& rig) {
  Record record = rig.agree(later, 1, 0, all, all);
  rig.checker.asked({OperatorVerb::node_standby, no_index, 1});
  decide(rig, record, [](ClusterState& state) { state.standby.add(2); });
}

// ---- I4, I6 ---------------------------------------------------------------------------------------

void epoch_forgets(Rig& rig) {
  const Record first = rig.agree(later, 1, 0, ab, ab);
  const Record second = rig.record(2, 2, bc, &first);
  rig.soundness.node[0] = sim_never;
  rig.prepare(later + 1, second);
  rig.promise(later + 2, 1, second.stamp.epoch, {});  // knows better
  rig.accept(later + 3, second, bc);
  rig.checker.committed(later + 4, 2, second);
}
void epoch_forgets_after_power_failure(Rig& rig) {
  const Record first = rig.agree(later, 1, 0, ab, ab);
  for (NodeId node = 0; node < 3; ++node) rig.start(node, later + 1);
  const Record second = rig.record(2, 2, bc, &first);
  rig.prepare(later + 2, second);
  rig.promise(later + 3, 1, second.stamp.epoch, {});
  rig.accept(later + 4, second, bc);
  rig.checker.committed(later + 5, 2, second);
}
void generation_goes_back(Rig& rig) {
  Record first = rig.record(1, 0, all);
  first.state.groups[0].generation = 3;
  rig.accept(later, first, all);
  rig.checker.committed(later, 0, first);
  Record second = first;
  second.stamp.version = 2;
  second.state.groups[0].generation = 2;
  rig.accept(later, second, all);
  rig.checker.committed(later, 0, second);
}
void sound_node_expelled(Rig& rig) {
  const Record first = rig.agree(later, 1, 0, all, all);
  rig.agree(later + later, 2, 1, bc, bc, &first);
}
void paused_node_expelled(Rig& rig) {
  const Record first = rig.agree(later, 1, 0, all, all);
  rig.soundness.node[0] = later + later - 300 * ms;  // thawed then
  rig.agree(later + later, 2, 1, bc, bc, &first);
}
void cut_off_node_expelled(Rig& rig) {
  const Record first = rig.agree(later, 1, 0, all, all);
  rig.soundness.pair[0][2] = rig.soundness.pair[2][0] = sim_never;
  rig.agree(later + later, 2, 1, bc, bc, &first);
}

constexpr Case cases[] = {
    {"address taken over after the lease", Invariant::none, address_after_lease},
    {"address taken over before the lease's end", Invariant::proof, address_before_lease_end},
    {"… which a slow clock stretches", Invariant::proof, address_on_slow_clock},
    {"a late order finds its own lease over", Invariant::none, late_order_opens_nothing},
    {"two nodes serve one address", Invariant::one_owner, gate_reopened},
    {"a live member has not released", Invariant::proof, live_member_not_released},
    {"a live member has released", Invariant::none, live_member_released},
    {"an application runs twice", Invariant::one_owner, application_twice},
    {"an application starts after its stop", Invariant::none, application_after_stop},
    {"a stateless one beside a live member's", Invariant::proof, stateless_beside_member, ApplicationState::none},
    {"a stateless one beside an expelled node's", Invariant::none, stateless_beside_expelled, ApplicationState::none},
    {"a machine that stood serves for one lease", Invariant::none, exposed_for_one_lease},
    {"… for longer", Invariant::one_owner, exposed_for_longer},
    {"… though its clock went on", Invariant::one_owner, frozen_is_no_excuse},
    {"an order from before it stood", Invariant::none, late_order_after_standing},
    {"… for a later lease", Invariant::proof, new_order_after_standing},
    {"a lease from a quorum's acknowledgement", Invariant::none, renewal_of_quorum},
    {"a lease from the acknowledgement's arrival", Invariant::proof, renewal_from_ack_time},
    {"a lease alone, where the view is one", Invariant::none, renewal_alone_by_its_view},
    {"a lease without a quorum of its view", Invariant::proof, renewal_by_too_few_of_its_view},
    {"a lease without a quorum", Invariant::proof, renewal_alone},
    {"acknowledged after the vote to expel", Invariant::proof, ack_after_expulsion},
    {"acknowledged after a newer view took it in", Invariant::none, ack_after_readmission},
    {"a restarted voter speaks too soon", Invariant::proof, restarted_voter_too_soon},
    {"a restarted voter has waited", Invariant::none, restarted_voter_in_time},
    {"views that follow each other well", Invariant::none, good_views},
    {"a commit by one of three", Invariant::agreement, commit_by_one},
    {"a commit before the one who joins", Invariant::agreement, commit_without_joiner},
    {"a commit that counts another life", Invariant::agreement, commit_by_a_dead_life},
    {"a commit without the old quorum", Invariant::agreement, without_old_quorum},
    {"… of which one life has ended", Invariant::none, old_quorum_is_gone},
    {"two records under one stamp", Invariant::agreement, two_records_one_stamp},
    {"two views in one epoch", Invariant::agreement, two_views_one_epoch},
    {"a committed stamp goes back", Invariant::agreement, committed_goes_back},
    {"a vote goes back", Invariant::agreement, vote_goes_back},
    {"a vote repeated in the next life", Invariant::agreement, vote_repeated_in_next_life},
    {"… whose state file was lost", Invariant::none, vote_after_lost_state},
    {"two configuration files in one view", Invariant::agreement, two_files_in_one_view},
    {"half of the votes and the tie-breaker", Invariant::none, half_with_tie_breaker},
    {"half of the votes without it", Invariant::agreement, half_without_tie_breaker},
    {"the other half too", Invariant::agreement, other_half_goes_on_too},
    {"the tie-breaker won for another", Invariant::agreement, tie_breaker_of_another},
    {"a lease from a reading of it", Invariant::none, renewal_from_reading},
    {"… from later", Invariant::proof, renewal_beyond_reading},
    {"a first view without every voter", Invariant::agreement, first_view_of_some},
    {"… where it is to wait for all", Invariant::agreement, first_view_waits_for_all},
    {"a rule that changes in two steps", Invariant::none, rule_in_two_steps},
    {"… in one", Invariant::agreement, rule_in_one_step},
    {"a rule that counts other votes", Invariant::agreement, rule_counts_other_votes},
    {"a key that all hold is sent under", Invariant::none, sends_what_others_hold},
    {"… before all hold it", Invariant::keys, sends_too_soon},
    {"… that is another one", Invariant::keys, another_key_of_that_id},
    {"a clock far off is taken in", Invariant::accuser, clock_far_off},
    {"a clock off by less", Invariant::none, clock_near},
    {"an operator's word is decided and kept", Invariant::none, word_is_kept},
    {"… accepted, and never decided", Invariant::durability, word_not_decided},
    {"… refused", Invariant::none, word_refused},
    {"… decided, and lost", Invariant::durability, word_lost},
    {"a standby that is lost", Invariant::durability, standby_lost},
    {"a standby that nobody asked for", Invariant::durability, standby_unasked},
    {"an epoch that forgets a commit", Invariant::durability, epoch_forgets},
    {"… after all have lost their power", Invariant::none, epoch_forgets_after_power_failure},
    {"a generation goes back", Invariant::durability, generation_goes_back},
    {"a sound node is expelled", Invariant::accuser, sound_node_expelled},
    {"a node that was frozen is expelled", Invariant::none, paused_node_expelled},
    {"a node that one member cannot hear is expelled", Invariant::none, cut_off_node_expelled},
};

// ---- whole runs, frames and disks -----------------------------------------------------------------

// The first quiet seed with a clean takeover at its end, and a group that hangs or none.
bool find_exam(bool with_cursed_group, Scenario& scenario) {
  for (std::uint64_t seed = 1; seed < 2'000; ++seed) {
    make_scenario(seed, 3, scenario);
    scenario.faults.clear();
    if (!scenario.exam || (scenario.cursed_group != no_index) != with_cursed_group) continue;
    auto world = std::make_unique<World>();
    const RunResult result = world->run(scenario, TraceMode::hash_only);
    if (result.takeover_part > 0) return true;
  }
  return false;
}

// What a run with bounds of this many hundredths comes to.
Invariant run_with_bounds(bool with_cursed_group, std::int64_t percent) {
  auto scenario = std::make_unique<Scenario>();
  if (!find_exam(with_cursed_group, *scenario)) return Invariant::assertion;
  auto world = std::make_unique<World>();
  scenario->takeover_percent = percent;
  return world->run(*scenario, TraceMode::hash_only).violation.invariant;
}

Invariant damaged_frames() {
  auto codec = std::make_unique<Codec>();
  auto message = std::make_unique<MessageFrame>();
  message->message = OperatorReply{7, true, "as asked"};
  HeartbeatFrame heartbeat;
  heartbeat.heartbeat.incarnation = message->incarnation = {1, 2};
  for (std::uint64_t bit = 0; bit < 2'000; ++bit)
    if (!codec->refuses(1, heartbeat, bit) || !codec->refuses(1, *message, bit)) return Invariant::wire;
  // And whole ones pass, or that would say nothing.
  return codec->carry(1, heartbeat) && codec->carry(1, *message) ? Invariant::none : Invariant::wire;
}

Invariant torn_writes() {
  Random random(1);
  for (int i = 0; i < 200; ++i) {
    Disk disk;
    disk.store({1, {}, {}});
    disk.store({2, {}, {}});
    disk.tear({3, {}, {}}, random);
    StoredState state;
    if (!disk.load(0, state) || (state.epoch_ceiling != 2 && state.epoch_ceiling != 3)) return Invariant::wire;
    if (!disk.load(0, state)) return Invariant::wire;
  }
  return Invariant::none;
}

struct LargerCase {
  const char* name;
  Invariant expected;
  Invariant (*run)();
};
constexpr LargerCase larger_cases[] = {
    {"a clean takeover within its bound", Invariant::none, [] { return run_with_bounds(false, 100); }},
    {"… beside a group that hangs", Invariant::none, [] { return run_with_bounds(true, 100); }},
    {"a takeover that takes longer", Invariant::convergence, [] { return run_with_bounds(false, 5); }},
    {"… beside a group that hangs", Invariant::isolation, [] { return run_with_bounds(true, 5); }},
    {"damaged frames are refused", Invariant::none, damaged_frames},
    {"torn writes leave the last whole one", Invariant::none, torn_writes},
};

bool told(const char* name, bool right, Invariant seen, const std::string& text) {
  std::printf("%s %-48s %s%s%s\n", right ? "ok    " : "WRONG ", name, to_string(seen), text.empty() ? "" : ": ",
              text.c_str());
  return right;
}

}  // namespace

int self_test() {
  int wrong = 0;
  for (const Case& one : cases) {
    const auto rig = std::make_unique<Rig>(one.state);
    one.tell(*rig);
    const Violation& seen = rig->checker.violation();
    wrong += told(one.name, seen.invariant == one.expected, seen.invariant, seen.text) ? 0 : 1;
  }
  for (const LargerCase& one : larger_cases) {
    const Invariant seen = one.run();
    wrong += told(one.name, seen == one.expected, seen, "") ? 0 : 1;
  }
  const std::size_t all_cases = std::size(cases) + std::size(larger_cases);
  std::printf("self-test: %zu passed, %d failed\n", all_cases - static_cast<std::size_t>(wrong), wrong);
  return wrong == 0 ? 0 : 1;
}

}  // namespace vigil::sim
