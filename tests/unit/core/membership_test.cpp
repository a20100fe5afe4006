// The proofs, one by one: each is suppressed, and the decision that rests on it must not come. Whole cores
// on a scripted network where several must act together, one Membership alone where one suffices.
#include "runtime/core/membership.hpp"

#include "tests/unit/core/cluster_fixture.hpp"
#include "tests/unit/core/peers_fixture.hpp"
// Last: cmocka's macros (fail, …) bite the standard library.
#include "tests/unit/cmocka.hpp"

using namespace vigil;
using namespace vigil::testing;

namespace {

constexpr Timing lan = timing_of(Profile::lan);

std::function<bool()> committed_above(ClusterRig& rig, NodeId node, Epoch epoch) {
  return [&rig, node, epoch] { return rig.up(node) && rig.core(node).committed().stamp.epoch > epoch; };
}

// ---- a view without its proofs ----------------------------------------------------------------------

// Every kind of message that a view change needs, lost one kind at a time.
void without_a_quorums_word_there_is_no_view(void**) {
  for (const char* kind : {"Prepare", "Promise", "Accept", "Accepted"}) {
    Cluster c("alpha beta gamma");
    ClusterRig& rig = c.boot();
    const Epoch epoch = rig.core(beta).committed().stamp.epoch;
    rig.lose(losing({kind}));
    rig.crash(alpha);
    rig.run(Duration::from_s(2));
    for (const NodeId node : {beta, gamma}) {
      assert_true(rig.core(node).committed().stamp.epoch == epoch);
      assert_false(rig.serves(node));
    }
    rig.lose_nothing();
    assert_true(
        rig.run_until([&] { return rig.settled(c.named("beta,gamma")) && (rig.serves(beta) || rig.serves(gamma)); },
                      Duration::from_s(2)));
    assert_int_equal(rig.violations(), 0);
  }
}

// Two old lives of five may still decide with a third one. One old and two new lives are a majority that
// does not hit every quorum of the view.
void promises_that_do_not_hit_the_old_view_decide_nothing(void**) {
  Cluster c("alpha beta gamma delta epsilon");
  ClusterRig& rig = c.boot();
  const Epoch epoch = rig.core(gamma).committed().stamp.epoch;
  rig.part({c.named("alpha,beta,gamma"), c.named("delta,epsilon")});
  rig.start(alpha);
  rig.start(beta);
  rig.run(Duration::from_s(10));
  for (NodeId node = 0; node < 5; ++node) {
    assert_true(rig.core(node).committed().stamp.epoch == epoch);
    assert_false(rig.serves(node));
  }
  // Delta comes over: what the old alpha and beta decided with epsilon, neither it nor gamma knows.
  rig.part({c.named("alpha,beta,gamma,delta"), c.named("epsilon")});
  rig.run(Duration::from_s(3));
  for (NodeId node = 0; node < 5; ++node) assert_true(rig.core(node).committed().stamp.epoch == epoch);
  // Three old lives are in every quorum of five.
  rig.heal();
  assert_true(
      rig.run_until([&] { return rig.settled(c.named("alpha,beta,gamma,delta,epsilon")); }, Duration::from_s(5)));
  assert_int_equal(rig.violations(), 0);
}

// So many restarted that no quorum can have survived: those that are there may go on, without the rest.
void a_majority_of_restarts_is_a_cold_start(void**) {
  Cluster c("alpha beta gamma delta epsilon");
  ClusterRig& rig = c.boot();
  rig.operate(alpha, {OperatorVerb::group_offline, 0, no_node});
  rig.run(Duration::from_ms(100));
  rig.crash(delta);
  rig.crash(epsilon);
  for (const NodeId node : {alpha, beta, gamma}) rig.start(node);
  assert_true(rig.run_until([&] { return rig.settled(c.named("alpha,beta,gamma")); }, Duration::from_s(5)));
  assert_false(rig.core(alpha).committed().state.groups[0].wanted);  // nothing that was decided is lost
  assert_int_equal(rig.violations(), 0);
}

void who_joins_must_accept(void**) {
  Cluster c("alpha beta gamma");
  ClusterRig& rig = c.boot();
  rig.crash(gamma);
  assert_true(rig.run_until([&] { return rig.settled(c.named("alpha,beta")); }));
  const Epoch epoch = rig.core(alpha).committed().stamp.epoch;
  rig.lose(losing({"Accepted", "Prepare"}, gamma));  // nor may it lead, and accept by itself
  rig.start(gamma);
  rig.run(Duration::from_s(3));
  for (const NodeId node : {alpha, beta}) {
    assert_true(rig.core(node).committed().view.members == c.named("alpha,beta"));
    assert_true(rig.core(node).committed().stamp.epoch == epoch);
  }
  assert_true(rig.serves(alpha));  // and those who are in go on serving meanwhile
  rig.lose_nothing();
  assert_true(rig.run_until([&] { return rig.settled(c.named("alpha,beta,gamma")); }, Duration::from_s(3)));
  assert_int_equal(rig.violations(), 0);
}

// A successor of a record in doubt needs everybody in its view.
void after_a_record_in_doubt_all_must_accept(void**) {
  for (const bool doubt : {false, true}) {
    Cluster c("alpha beta gamma delta epsilon");
    ClusterRig& rig = c.boot();
    const Epoch epoch = rig.core(alpha).committed().stamp.epoch;
    if (doubt) {
      // Accepted by all, known committed by nobody, until its candidate gives up: from then on in doubt.
      rig.lose(losing({"Accepted"}));
      rig.crash(epsilon);
      const auto accepted_after = [&](Epoch before) {
        return rig.run_until([&] { return rig.core(beta).accepted().stamp.epoch > before; }, Duration::from_s(2));
      };
      assert_true(accepted_after(epoch));
      assert_true(accepted_after(rig.core(beta).accepted().stamp.epoch));
    } else {
      rig.crash(epsilon);
    }
    rig.lose(losing({"Accepted", "Prepare"}, delta));  // nor may it lead, and accept by itself
    const bool decided = rig.run_until(committed_above(rig, alpha, epoch), Duration::from_s(3));
    assert_int_equal(decided, !doubt);
    rig.lose_nothing();
    assert_true(rig.run_until([&] { return rig.settled(c.named("alpha,beta,gamma,delta")); }, Duration::from_s(3)));
    assert_int_equal(rig.violations(), 0);
  }
}

// A node that was voted out hears one of those who did it, and the record comes to it by a promise instead
// of by an answer to its question. It must not propose itself, in that old life, as somebody new.
void an_old_life_does_not_bring_itself_back(void**) {
  Cluster c("alpha beta gamma", "app=elsewhere");
  ClusterRig& rig = c.boot();
  rig.part({c.named("alpha"), c.named("beta,gamma")});
  assert_true(rig.run_until([&] { return rig.settled(c.named("beta,gamma")); }));
  const Incarnation old = rig.core(alpha).incarnation();
  rig.run(Duration::from_ms(500));
  rig.lose(losing({"CommittedRecord", "Commit"}, no_node, alpha));
  rig.part({c.named("alpha,beta"), c.named("gamma")});
  rig.run(Duration::from_s(2));
  for (const NodeId node : {alpha, beta})
    assert_false(rig.core(node).committed().stamp.epoch > Epoch({1, 0}) &&
                 rig.core(node).committed().view.holds(alpha, old));
  rig.lose_nothing();
  rig.heal();
  assert_true(rig.run_until([&] { return rig.settled(c.named("alpha,beta,gamma")); }, Duration::from_s(5)));
  assert_false(rig.core(alpha).incarnation() == old);
  assert_int_equal(rig.violations(), 0);
}

// ---- takeover without its proofs --------------------------------------------------------------------

// What is left of the victim's lease is not told to the one who takes over: it waits for a whole one.
void a_remainder_that_is_not_told_is_a_whole_lease(void**) {
  Duration with{};
  Duration without{};
  for (const bool told : {true, false}) {
    Cluster c("alpha beta gamma");
    ClusterRig& rig = c.boot();
    // Gamma leads, so that beta hears of the remainder by messages alone.
    rig.tamper([told](NodeId, NodeId, Message& message) {
      if (told) return;
      if (auto* promise = std::get_if<Promise>(&message)) promise->leases.clear();
      if (auto* accept = std::get_if<Accept>(&message)) accept->leases.clear();
      if (auto* commit = std::get_if<Commit>(&message)) commit->leases.clear();
      if (auto* record = std::get_if<CommittedRecord>(&message)) record->leases.clear();
    });
    rig.lose(losing({"Prepare"}, beta));  // beta, which is to have the group, does not lead
    const Epoch epoch = rig.core(beta).committed().stamp.epoch;
    rig.crash(alpha);
    assert_true(rig.run_until(committed_above(rig, beta, epoch)));
    assert_int_equal(rig.core(beta).committed().view.coordinator, gamma);
    const Instant decided = rig.now();
    assert_true(rig.run_until([&] { return rig.serves(beta); }));
    (told ? with : without) = rig.now() - decided;
  }
  assert_true(with < Duration::from_ms(20));
  assert_true(without >= outlast(lan.lease) - Duration::from_ms(2));
}

// One Membership alone: what it takes from the record and from who tells it.
struct Alone {
  Alone() : config(cluster_of(3)), peers(*config, 1) {
    options.self = 1;
    options.incarnation = life_of(1);
    membership = std::make_unique<Membership>(*config, options, peers.table.now);
    detector = std::make_unique<Detector>(*config, NodeId{1});
    context.now = peers.table.now;
    context.table = &peers.table;
    context.detector = detector.get();
  }
  void hear(NodeId from, const Message& message) {
    membership->on_message(context, from, life_of(from), message, effects);
  }
  Record without_node_0(std::uint32_t version = 1) const {
    Record record = record_of(*config, nodes({1, 2}), {5, 2}, version);
    record.view.incarnations[0] = life_of(0);
    record.expelled = nodes({0});
    return record;
  }
  static LeasesLeft left(NodeId node, Duration length) {
    LeasesLeft leases;
    leases.push({node, length});
    return leases;
  }

  std::unique_ptr<ClusterConfig> config;
  Peers peers;
  NodeOptions options;
  std::unique_ptr<Detector> detector;
  std::unique_ptr<Membership> membership;
  MembershipContext context;
  Effects effects;
};

void what_is_waited_for_is_what_was_told(void**) {
  Alone a;
  a.hear(2, CommittedRecord{a.without_node_0(), Alone::left(0, Duration::from_ms(40))});
  assert_true(a.membership->all_leases_over() == a.context.now + Duration::from_ms(40));
}

void not_told_is_a_whole_lease_from_now(void**) {
  Alone a;
  a.hear(2, CommittedRecord{a.without_node_0(), {}});
  assert_true(a.membership->all_leases_over() == a.context.now + outlast(lan.lease));
}

void told_of_another_is_not_told(void**) {
  Alone a;
  a.hear(2, CommittedRecord{a.without_node_0(), Alone::left(2, {})});
  assert_true(a.membership->all_leases_over() == a.context.now + outlast(lan.lease));
}

// It renewed its lease since anybody spoke of it: what was told of another epoch is stale.
void told_in_an_older_epoch_is_not_told(void**) {
  Alone a;
  Record before = record_of(*a.config, nodes({1, 2}), {3, 2}, 1);
  before.view.incarnations[0] = life_of(0);
  before.expelled = nodes({0});
  a.hear(2, CommittedRecord{before, Alone::left(0, Duration::from_ms(40))});
  Record with = record_of(*a.config, nodes({0, 1, 2}), {4, 2}, 2);
  with.view.incarnations[0] = life_of(0, 2);
  a.hear(2, CommittedRecord{with, {}});
  a.context.now = a.context.now + Duration::from_s(1);
  a.peers.table.now = a.context.now;
  Record again = a.without_node_0(2);
  again.view.incarnations[0] = life_of(0, 2);
  a.hear(2, CommittedRecord{again, {}});
  assert_true(a.membership->all_leases_over() == a.context.now + outlast(lan.lease));
}

void the_longest_of_all_that_was_told_counts(void**) {
  Alone a;
  a.hear(2, CommittedRecord{a.without_node_0(1), Alone::left(0, Duration::from_ms(90))});
  a.hear(2, CommittedRecord{a.without_node_0(2), Alone::left(0, Duration::from_ms(30))});
  assert_true(a.membership->all_leases_over() == a.context.now + Duration::from_ms(90));
}

// ---- the record in force ----------------------------------------------------------------------------

void records_only_go_forward(void**) {
  Alone a;
  a.hear(2, CommittedRecord{a.without_node_0(3), {}});
  a.hear(2, CommittedRecord{a.without_node_0(2), {}});
  assert_int_equal(a.membership->committed().stamp.version, 3);
  assert_true(a.membership->member());
}

void a_commit_of_what_we_lack_is_fetched(void**) {
  Alone a;
  a.hear(2, Commit{{{5, 2}, 4}, {}});
  assert_int_equal(sent<Fetch>(a.effects, 2).size(), 1);
  assert_true(a.membership->committed().stamp == Stamp{});
}

void what_others_lack_is_told(void**) {
  Alone a;
  a.hear(2, Fetch{});
  assert_true(a.effects.empty());  // nothing to tell
  a.hear(2, CommittedRecord{a.without_node_0(3), Alone::left(0, Duration::from_ms(40))});
  a.effects.clear();
  a.hear(0, Fetch{{{5, 2}, 3}});
  assert_true(sent<CommittedRecord>(a.effects).empty());  // it has that
  a.hear(0, Fetch{{{5, 2}, 2}});
  const auto told = sent<CommittedRecord>(a.effects, 0);
  assert_int_equal(told.size(), 1);
  assert_int_equal(told[0].record.stamp.version, 3);
  assert_int_equal(told[0].leases.size(), 1);
  assert_true(told[0].leases[0].left == Duration::from_ms(40));
}

void heartbeats_tell_what_is_missing(void**) {
  Alone a;
  a.peers.table.peers[2].latest.committed = {{5, 2}, 3};
  a.membership->advance(a.context, a.effects);
  assert_int_equal(sent<Fetch>(a.effects, 2).size(), 1);
  a.membership->advance(a.context, a.effects);
  assert_int_equal(sent<Fetch>(a.effects, 2).size(), 1);  // not at once again
  a.context.now = a.context.now + lan.retry();
  a.peers.table.now = a.context.now;
  a.membership->advance(a.context, a.effects);
  assert_int_equal(sent<Fetch>(a.effects, 2).size(), 2);
}

void being_left_out_ends_this_life(void**) {
  Alone a;
  a.hear(2, CommittedRecord{record_of(*a.config, nodes({0, 1, 2}), {4, 2}, 2), {}});
  assert_true(a.membership->member());
  Record without_us = record_of(*a.config, nodes({0, 2}), {5, 2}, 1);
  without_us.view.incarnations[1] = life_of(1);
  a.hear(2, CommittedRecord{without_us, {}});
  assert_true(a.membership->expelled());
  assert_true(a.membership->lease().until().ns == 0);
  a.effects.clear();
  a.hear(2, Fetch{});  // it says nothing any more
  assert_true(a.effects.empty());
}

// … also when it never heard that it was in: the view remembers.
void being_left_out_unheard_ends_it_too(void**) {
  Alone a;
  Record without_us = record_of(*a.config, nodes({0, 2}), {5, 2}, 1);
  without_us.view.incarnations[1] = life_of(1);
  a.hear(2, CommittedRecord{without_us, {}});
  assert_true(a.membership->expelled());
  // An earlier life's expulsion is not ours.
  Alone b;
  without_us.view.incarnations[1] = life_of(1, 9);
  b.hear(2, CommittedRecord{without_us, {}});
  assert_false(b.membership->expelled());
  assert_false(b.membership->member());
}

void waiting_is_explained(void**) {
  Cluster c("alpha beta gamma");
  c->start(alpha);
  assert_int_equal(c->status(alpha).role, NodeRole::waiting);
  assert_string_equal(c->status(alpha).role_text.c_str(), "stopping what an earlier life left behind");
  c->run(Duration::from_ms(100));
  assert_string_equal(c->status(alpha).role_text.c_str(),
                      "restarted: waits until leases acknowledged earlier are over");
  c->run(Duration::from_s(3));
  assert_int_equal(c->status(alpha).role, NodeRole::joining);
  assert_string_equal(c->status(alpha).role_text.c_str(), "hears too few nodes for a quorum");
  c->start(beta);
  c->start(gamma);
  assert_true(c->run_until([&] { return c->settled(c.named("alpha,beta,gamma")); }));
  assert_int_equal(c->status(alpha).role, NodeRole::member);
  c->part({});
  c->part({c.named("alpha")});
  c->run(Duration::from_s(1));
  assert_int_equal(c->status(alpha).role, NodeRole::no_quorum);
  assert_false(c->status(alpha).quorate);
}

// ---- wall clocks ------------------------------------------------------------------------------------

// Everybody's clock as everybody sees it.
void set_clocks(Cluster& c, std::int64_t alpha_s, std::int64_t beta_s, std::int64_t gamma_s) {
  const std::array<std::int64_t, 3> seconds{alpha_s, beta_s, gamma_s};
  for (NodeId at = 0; at < 3; ++at)
    for (NodeId of = 0; of < 3 && c->up(at); ++of)
      if (c->up(of)) c->feed(at, event::WallClock{of, Duration::from_s(seconds[of])});
}

void a_clock_far_off_keeps_a_newcomer_out_and_no_member(void**) {
  Cluster c("alpha beta gamma");
  c->start(alpha);
  c->start(beta);
  set_clocks(c, 1000, 1000, 0);
  assert_true(c->run_until([&] { return c->settled(c.named("alpha,beta")); }));
  c->start(gamma);
  set_clocks(c, 1000, 1000, 8200);
  c->run(Duration::from_s(5));
  assert_true(c->settled(c.named("alpha,beta")));
  assert_string_equal(c->status(gamma).role_text.c_str(),
                      "its clock is 7200 s ahead of the others': not admitted until it is set right");
  assert_int_equal(c->status(alpha).problems.size(), 1);
  assert_int_equal(c->count_lines("7200 s ahead"), 1);  // the same line on all three, once each
  // It is set right: nothing else is needed.
  set_clocks(c, 1000, 1000, 1010);
  assert_true(c->run_until([&] { return c->settled(c.named("alpha,beta,gamma")); }));
  assert_int_equal(c->status(alpha).problems.size(), 0);
  // Two members' clocks are set back: told, and nothing else happens.
  const Epoch epoch = c->core(alpha).committed().stamp.epoch;
  set_clocks(c, 1000, -2600, -9999);
  c->run(Duration::from_s(5));
  assert_true(c->settled(c.named("alpha,beta,gamma")));
  assert_true(c->core(alpha).committed().stamp.epoch == epoch);
  assert_int_equal(c->status(alpha).problems.size(), 2);
  assert_int_equal(c->violations(), 0);
}

// At a cold start nobody is right by office: two that agree begin without the third.
void at_a_cold_start_the_middle_clock_is_right(void**) {
  Cluster c("alpha beta gamma");
  for (const NodeId node : {alpha, beta, gamma}) c->start(node);
  set_clocks(c, 8200, 1000, 1010);
  assert_true(c->run_until([&] { return c->settled(c.named("beta,gamma")); }));
  c->run(Duration::from_s(3));
  assert_true(c->settled(c.named("beta,gamma")));
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(without_a_quorums_word_there_is_no_view),
      cmocka_unit_test(promises_that_do_not_hit_the_old_view_decide_nothing),
      cmocka_unit_test(a_majority_of_restarts_is_a_cold_start),
      cmocka_unit_test(who_joins_must_accept),
      cmocka_unit_test(after_a_record_in_doubt_all_must_accept),
      cmocka_unit_test(an_old_life_does_not_bring_itself_back),
      cmocka_unit_test(a_remainder_that_is_not_told_is_a_whole_lease),
      cmocka_unit_test(what_is_waited_for_is_what_was_told),
      cmocka_unit_test(not_told_is_a_whole_lease_from_now),
      cmocka_unit_test(told_of_another_is_not_told),
      cmocka_unit_test(told_in_an_older_epoch_is_not_told),
      cmocka_unit_test(the_longest_of_all_that_was_told_counts),
      cmocka_unit_test(records_only_go_forward),
      cmocka_unit_test(a_commit_of_what_we_lack_is_fetched),
      cmocka_unit_test(what_others_lack_is_told),
      cmocka_unit_test(heartbeats_tell_what_is_missing),
      cmocka_unit_test(being_left_out_ends_this_life),
      cmocka_unit_test(being_left_out_unheard_ends_it_too),
      cmocka_unit_test(waiting_is_explained),
      cmocka_unit_test(a_clock_far_off_keeps_a_newcomer_out_and_no_member),
      cmocka_unit_test(at_a_cold_start_the_middle_clock_is_right),
  };
  return cmocka_run_group_tests_name("core/membership", tests, nullptr, nullptr);
}
