// Whole clusters under each rule of quorum: who goes on serving, who must not, and who comes back. The rig
// itself counts every moment with two servers or two records under one stamp as a violation.
#include "tests/unit/core/cluster_fixture.hpp"
// Last: cmocka's macros (fail, …) bite the standard library.
#include "tests/unit/cmocka.hpp"

using namespace vigil;
using namespace vigil::testing;

namespace {

constexpr Duration second = Duration::from_s(1);

int servers(ClusterRig& rig) {
  int count = 0;
  for (std::size_t i = 0; i < rig.config().nodes.size(); ++i) count += rig.serves(static_cast<NodeId>(i));
  return count;
}

NodeSet only(NodeId node) { return NodeSet::of(node); }

struct Standing : Cluster {
  explicit Standing(const std::string& names) : Cluster(names) {
    config->quorum.policy = QuorumPolicy::last_man_standing;
  }
};

struct Pair : Cluster {
  Pair() : Cluster("alpha beta") { config->quorum.tie_breaker = Path("/shared/tie"); }
};

// ---- last man standing -------------------------------------------------------------------------------

void eight_nodes_die_down_to_two_by_agreed_views(void**) {
  Standing c("n1 n2 n3 n4 n5 n6 n7 n8");
  ClusterRig& rig = c.boot();
  NodeSet left = NodeSet::from_bits(0xff);
  for (NodeId dies = 7; dies >= 2; --dies) {
    rig.crash(dies);
    left.remove(dies);
    assert_true(rig.run_until([&] { return rig.settled(left); }));
    rig.run(second);
    const View& view = rig.core(0).committed().view;
    assert_true(view.rule.voters == left);
    assert_false(view.also.exists());
    assert_int_equal(servers(rig), 1);
  }
  // From two to one takes more than a vote.
  rig.crash(1);
  rig.run(second * 3);
  assert_int_equal(servers(rig), 0);
  assert_false(rig.quorate(0));
  rig.operate(0, {OperatorVerb::confirm_down, no_index, 1});
  assert_true(rig.run_until([&] { return rig.settled(only(0)) && rig.serves(0); }));
  assert_int_equal(rig.violations(), 0);
}

// Five of eight come back where they cannot hear the three who live: a majority of the configured votes, and
// nothing.
void the_dead_do_not_outvote_the_last_who_stand(void**) {
  Standing c("n1 n2 n3 n4 n5 n6 n7 n8");
  ClusterRig& rig = c.boot();
  NodeSet left = NodeSet::from_bits(0xff);
  for (NodeId dies = 7; dies >= 2; --dies) {
    rig.crash(dies);
    left.remove(dies);
    assert_true(rig.run_until([&] { return rig.settled(left); }));
    rig.run(second);
  }
  rig.part({left, NodeSet::from_bits(0xff) - left});
  for (NodeId node = 2; node < 8; ++node) rig.start(node);
  rig.run(second * 20);
  for (NodeId node = 2; node < 8; ++node) assert_false(rig.quorate(node));
  assert_true(rig.settled(left));
  rig.heal();
  assert_true(rig.run_until([&] { return rig.settled(NodeSet::from_bits(0xff)); }));
  rig.run(second * 5);
  assert_int_equal(rig.core(0).committed().view.rule.needed, 5);
  assert_int_equal(rig.violations(), 0);
}

void whoever_leaves_gives_the_last_a_rule_of_its_own(void**) {
  Standing c("alpha beta");
  ClusterRig& rig = c.boot();
  rig.operate(alpha, {OperatorVerb::node_stop, no_index, alpha});
  assert_true(rig.run_until([&] { return !rig.up(alpha); }));
  assert_true(rig.run_until([&] { return rig.settled(only(beta)) && rig.serves(beta); }));
  rig.run(second * 5);
  assert_true(rig.serves(beta));
  // And alone at its next start it waits for the other, who may have gone on.
  rig.crash(beta);
  rig.start(alpha);
  rig.run(second * 20);
  assert_false(rig.quorate(alpha));
  rig.start(beta);
  assert_true(rig.run_until([&] { return rig.settled(NodeSet::from_bits(3)); }));
  assert_int_equal(rig.violations(), 0);
}

void a_power_cut_of_all_is_survived_when_all_return(void**) {
  Standing c("alpha beta gamma");
  ClusterRig& rig = c.boot();
  for (NodeId node = 0; node < 3; ++node) rig.crash(node);
  rig.start(alpha);
  rig.start(beta);
  rig.run(second * 20);
  assert_int_equal(servers(rig), 0);
  rig.start(gamma);
  assert_true(rig.run_until([&] { return rig.settled(NodeSet::from_bits(7)) && servers(rig) == 1; }));
}

// ---- the tie-breaker ---------------------------------------------------------------------------------

void exactly_one_of_two_goes_on(void**) {
  for (const bool serving_half : {true, false}) {
    Pair c;
    ClusterRig& rig = c.boot();
    rig.part({});
    rig.part({only(alpha), only(beta)});
    assert_true(rig.run_until([&] { return rig.settled(only(alpha)) || rig.settled(only(beta)); }));
    rig.run(second * 5);
    const NodeId coordinator = rig.settled(only(alpha)) ? alpha : beta;
    assert_int_equal(servers(rig), 1);
    assert_true(rig.serves(coordinator));
    assert_false(rig.quorate(static_cast<NodeId>(1 - coordinator)));
    if (serving_half) {
      // The winner dies: nobody can tell the loser that it did.
      rig.crash(coordinator);
      rig.run(second * 5);
      assert_int_equal(servers(rig), 0);
      rig.heal();
      rig.start(coordinator);
    }
    rig.heal();
    assert_true(rig.run_until([&] { return rig.settled(NodeSet::from_bits(3)) && servers(rig) == 1; }));
    assert_int_equal(rig.violations(), 0);
  }
}

// Its cables are out: it could win, and serve nobody.
void a_half_without_a_network_leaves_it_to_the_other(void**) {
  for (const NodeId unplugged : {alpha, beta}) {
    Pair c;
    ClusterRig& rig = c.boot();
    const NodeId other = static_cast<NodeId>(1 - unplugged);
    rig.feed(unplugged, event::AdapterChanged{0, false});
    rig.part({only(alpha), only(beta)});
    assert_true(rig.run_until([&] { return rig.settled(only(other)) && rig.serves(other); }, second));
    rig.run(second * 5);
    assert_false(rig.quorate(unplugged));
    assert_int_equal(rig.violations(), 0);
  }
}

void one_of_two_dies_and_the_other_takes_over(void**) {
  for (const NodeId dies : {alpha, beta}) {
    Pair c;
    ClusterRig& rig = c.boot();
    rig.crash(dies);
    const NodeId other = static_cast<NodeId>(1 - dies);
    assert_true(rig.run_until([&] { return rig.settled(only(other)) && rig.serves(other); }, second));
    rig.run(second * 5);
    assert_true(rig.serves(other));
    rig.start(dies);
    assert_true(rig.run_until([&] { return rig.settled(NodeSet::from_bits(3)); }));
    // And once more, the other way.
    rig.run(second);
    rig.crash(other);
    assert_true(rig.run_until([&] { return rig.settled(only(dies)) && rig.serves(dies); }, second));
    assert_int_equal(rig.violations(), 0);
  }
}

// Alpha serves by readings of the tie-breaker, takes beta in, and its daemon is started anew at that moment: no voter has
// acknowledged the lease that its gate still has.
void a_lease_by_readings_is_over_before_its_holder_is_taken_over(void**) {
  Pair c;
  ClusterRig& rig = c.boot();
  const NodeSet both = NodeSet::from_bits(3);
  rig.crash(beta);
  assert_true(rig.run_until([&] { return rig.settled(only(alpha)) && rig.serves(alpha); }));
  rig.run(second);
  rig.start(beta);
  assert_true(rig.run_until([&] { return rig.member(beta) && rig.core(beta).committed().view.members == both; }));
  rig.restart_daemon(alpha, second);
  assert_true(rig.serves(alpha));
  assert_true(rig.run_until([&] { return rig.serves(beta); }, second * 5));
  assert_false(rig.serves(alpha));
  assert_int_equal(rig.violations(), 0);
}

void without_the_tie_breaker_half_is_nothing(void**) {
  Pair c;
  ClusterRig& rig = c.boot();
  rig.fail_tie_breaker(true);
  rig.crash(alpha);
  rig.run(second * 5);
  assert_int_equal(servers(rig), 0);
  rig.fail_tie_breaker(false);
  assert_true(rig.run_until([&] { return rig.settled(only(beta)) && rig.serves(beta); }));
  // Whoever lives by it lives as long as it can be read.
  rig.fail_tie_breaker(true);
  rig.run(second);
  assert_int_equal(servers(rig), 0);
  rig.fail_tie_breaker(false);
  assert_true(rig.run_until([&] { return rig.serves(beta); }));
}

// It was won, and nobody was told: an epoch in which nothing was begun must not bind its owner.
void a_win_that_was_never_told_binds_nobody(void**) {
  for (const NodeId dies : {alpha, beta}) {
    Pair c;
    ClusterRig& rig = c.boot();
    const NodeId other = static_cast<NodeId>(1 - dies);
    rig.mute_tie_breaker(true);
    rig.crash(dies);
    rig.run(second * 3);
    assert_int_equal(servers(rig), 0);
    assert_non_null(strstr(rig.status(other).role_text.c_str(), "the tie-breaker cannot be used"));
    rig.mute_tie_breaker(false);
    assert_true(rig.run_until([&] { return rig.settled(only(other)) && rig.serves(other); }, second * 5));
  }
  // Cut off instead: the half that won in vain goes on, the other says whose it is.
  Pair c;
  ClusterRig& rig = c.boot();
  rig.mute_tie_breaker(true);
  rig.part({only(alpha), only(beta)});
  rig.run(second * 3);
  assert_int_equal(servers(rig), 0);
  rig.mute_tie_breaker(false);
  assert_true(rig.run_until([&] { return servers(rig) == 1; }, second * 5));
  rig.run(second * 3);
  assert_int_equal(servers(rig), 1);
  const NodeId loser = rig.serves(alpha) ? beta : alpha;
  assert_non_null(strstr(rig.status(loser).role_text.c_str(), "the tie-breaker is the others'"));
  assert_int_equal(rig.count_lines("the tie-breaker is the others'") <= 2, 1);  // told, and not at each try
  assert_int_equal(rig.violations(), 0);
}

// ---- weights, the operator, a start of all -----------------------------------------------------------

void a_heavy_node_goes_on_alone(void**) {
  Cluster c("alpha beta gamma");
  c.config->quorum.policy = QuorumPolicy::weighted;
  c.config->nodes[gamma].votes = 3;
  ClusterRig& rig = c.boot();
  rig.part({NodeSet::from_bits(0b011), only(gamma)});
  assert_true(rig.run_until([&] { return rig.settled(only(gamma)) && rig.serves(gamma); }));
  rig.run(second);
  assert_false(rig.quorate(alpha) || rig.quorate(beta));
  assert_int_equal(rig.violations(), 0);
}

void the_operators_word_brings_the_last_back(void**) {
  Cluster c("alpha beta gamma");
  ClusterRig& rig = c.boot();
  rig.operate(alpha, {OperatorVerb::quorum_override, no_index, no_node});
  assert_int_equal(rig.count_lines("nothing to override"), 1);
  rig.crash(alpha);
  rig.crash(beta);
  rig.run(second * 3);
  assert_int_equal(servers(rig), 0);
  // An operator who was told of alpha alone has not vouched for beta.
  rig.operate(gamma, {OperatorVerb::quorum_override, no_index, no_node, only(alpha)});
  assert_int_equal(rig.count_lines("a node that you have not named is silent too"), 1);
  rig.run(second * 3);
  assert_int_equal(servers(rig), 0);
  rig.operate(gamma, {OperatorVerb::quorum_override, no_index, no_node, NodeSet::from_bits(0b011)});
  assert_true(rig.run_until([&] { return rig.settled(only(gamma)) && rig.serves(gamma); }));
  assert_true(rig.core(gamma).committed().view.rule.kind == QuorumKind::overridden);
  rig.start(alpha);
  assert_true(rig.run_until([&] { return rig.settled(NodeSet::from_bits(0b101)); }));
  rig.run(second);
  const View& view = rig.core(gamma).committed().view;
  assert_true(view.rule.kind == QuorumKind::majority && view.rule.needed == 2 && !view.also.exists());
  // Both changes of the rule are in the journal, with what was before.
  int told = 0;
  for (const JournalEntry& entry : rig.journal())
    if (entry.node == gamma && entry.event == EventName::quorum_rule)
      told += entry.text.view() == "on the operator's word: 1 of 1 votes needed from now on, before 2 of 3" ||
              entry.text.view() == "as configured: 2 of 3 votes needed from now on, before 1 of 1";
  assert_int_equal(told, 2);
  assert_int_equal(rig.violations(), 0);
}

// Every start takes epochs above a stored ceiling. Nodes that go on restarting while alpha is off get far ahead of it; then
// they are off too.
void beta_and_gamma_run_ahead(ClusterRig& rig) {
  const auto both = [&] { return rig.settled(NodeSet::from_bits(0b110)); };
  assert_true(rig.run_until(both));
  for (const NodeId node : {beta, gamma, beta, gamma}) {
    rig.run(second);
    rig.crash(node);
    rig.run(second);
    rig.start(node);
    assert_true(rig.run_until(both));
  }
  assert_true(rig.core(gamma).committed().stamp.epoch.counter > 2000);
  rig.crash(beta);
  rig.crash(gamma);
}

// The group is beta's, wherever beta is in.
void run_ahead_of_alpha(Cluster& c) {
  std::swap(c.config->groups[0].nodes[0], c.config->groups[0].nodes[1]);
  ClusterRig& rig = *c.rig;
  for (const NodeId node : {alpha, beta, gamma}) rig.start(node);
  assert_true(rig.run_until([&] { return rig.settled(NodeSet::from_bits(0b111)) && servers(rig) == 1; }));
  rig.crash(alpha);
  beta_and_gamma_run_ahead(rig);
}

// What was decided on the word is newer than all that those hold for whom it was given, however often they had started;
// and who serves by it is not talked out of it, nor served beside, when they come back.
void the_word_outlives_what_the_others_held(void**) {
  for (const bool lost_state : {false, true}) {
    Cluster c("alpha beta gamma");
    ClusterRig& rig = *c.rig;
    run_ahead_of_alpha(c);
    if (lost_state) rig.lose_state(alpha);
    rig.start(alpha);
    rig.run(second * 5);
    rig.operate(alpha, {OperatorVerb::quorum_override, no_index, no_node, NodeSet::from_bits(0b110)});
    assert_true(rig.run_until([&] { return rig.settled(only(alpha)) && rig.serves(alpha); }));
    const Incarnation life = rig.core(alpha).incarnation();
    rig.start(beta);
    rig.start(gamma);
    assert_true(rig.run_until([&] { return rig.settled(NodeSet::from_bits(0b111)); }));
    assert_true(rig.core(alpha).incarnation() == life);
    assert_int_equal(rig.violations(), 0);
  }
}

// Two that had no choice but to start without the third go on from another past than it does. Nobody serves in both.
void whoever_is_taken_into_another_past_starts_afresh(void**) {
  Cluster c("alpha beta gamma");
  ClusterRig& rig = *c.rig;
  run_ahead_of_alpha(c);
  rig.lose_state(gamma);
  rig.start(alpha);
  rig.start(gamma);
  assert_true(rig.run_until([&] { return rig.settled(NodeSet::from_bits(0b101)) && servers(rig) == 1; }));
  const Incarnation lives[] = {rig.core(alpha).incarnation(), rig.core(gamma).incarnation()};
  rig.start(beta);  // with a newer record than theirs
  assert_true(rig.run_until([&] { return rig.settled(NodeSet::from_bits(0b111)) && servers(rig) == 1; }));
  assert_false(rig.core(alpha).incarnation() == lives[0] || rig.core(gamma).incarnation() == lives[1]);
  assert_int_equal(rig.violations(), 0);
}

// A node of three that is started alone, and told that the two others are down.
void starts_alone_and_takes_no_word(ClusterRig& rig, NodeId node, const char* because) {
  rig.start(node);
  rig.run(second * 5);
  rig.operate(node, {OperatorVerb::quorum_override, no_index, no_node, NodeSet::from_bits(0b111) - only(node)});
  assert_int_equal(rig.count_lines(because), 1);
  rig.run(second * 3);
  assert_false(rig.quorate(node));
}

void without_a_clock_no_word_is_taken(void**) {
  Cluster c("alpha beta gamma");
  c.rig->set_wall_clocks(1'000'000'000);
  starts_alone_and_takes_no_word(*c.rig, alpha, "this node's clock is not set");
  // Nor in a second life, though that one has stored a ceiling.
  c.rig->take();
  c.rig->crash(alpha);
  starts_alone_and_takes_no_word(*c.rig, alpha, "this node's clock is not set");
}

// What beta and gamma stored does not know that alpha ever ran: gamma's disk is lost, alpha and gamma start anew without
// beta, and alpha, with the application that nothing proves stopped, cannot be heard when beta is back.
void a_life_that_the_other_past_never_knew_is_not_taken_for_stopped(void**) {
  Cluster c("alpha beta gamma", "app=elsewhere");
  ClusterRig& rig = *c.rig;
  rig.start(beta);
  rig.start(gamma);
  beta_and_gamma_run_ahead(rig);
  rig.lose_state(gamma);
  rig.start(alpha);
  rig.start(gamma);
  assert_true(rig.run_until([&] { return rig.settled(NodeSet::from_bits(0b101)) && rig.runs_application(alpha); }));
  rig.run(second * 2);
  rig.freeze(alpha);
  rig.run(second);
  rig.start(beta);
  rig.run(second * 20);
  assert_true(rig.settled(NodeSet::from_bits(0b110)));
  assert_false(rig.runs_application(beta) || rig.runs_application(gamma));
  assert_int_equal(rig.core(beta).committed().state.groups[0].phase, GroupPhase::blocked);
  assert_int_equal(rig.violations(), 0);
}

// The promise with the other past's record may be the last one that was waited for.
void nothing_is_proposed_in_the_name_of_a_life_that_is_given_up(void**) {
  for (const NodeId dies : {alpha, beta, gamma}) {
    Cluster c("alpha beta gamma");
    ClusterRig& rig = *c.rig;
    run_ahead_of_alpha(c);
    rig.lose_state(beta);
    rig.start(alpha);
    rig.start(beta);
    assert_true(rig.run_until([&] { return rig.settled(NodeSet::from_bits(0b011)) && servers(rig) == 1; }));
    const Incarnation lives[] = {rig.core(alpha).incarnation(), rig.core(beta).incarnation()};
    Epoch answered{};
    rig.lose([&](NodeId from, NodeId to, const Message& message) {
      const auto* promise = std::get_if<Promise>(&message);
      if (promise == nullptr || to != alpha) return false;
      if (from == beta) answered = promise->epoch;
      return from == gamma && answered != promise->epoch;
    });
    rig.start(gamma);
    assert_true(rig.run_until([&] {
      return !(rig.core(alpha).incarnation() == lives[0]) || !(rig.core(beta).incarnation() == lives[1]);
    }));
    rig.run(Duration::from_ms(30));
    rig.lose_nothing();
    rig.crash(dies);
    assert_true(rig.run_until([&] { return servers(rig) == 1; }, second * 30));
    assert_int_equal(rig.violations(), 0);
  }
}

void a_word_that_would_help_nobody_is_refused(void**) {
  Cluster c("alpha beta gamma");
  c.config->quorum.policy = QuorumPolicy::weighted;
  c.config->nodes[gamma].votes = 0;
  starts_alone_and_takes_no_word(*c.rig, gamma, "no node that is heard here has a vote");
}

void whoever_is_heard_is_not_down_on_anybodys_word(void**) {
  Cluster c("alpha beta gamma");
  c.config->quorum.wait_for_all = true;
  ClusterRig& rig = *c.rig;
  rig.start(alpha);
  rig.start(beta);
  rig.run(second * 5);
  rig.operate(alpha, {OperatorVerb::confirm_down, no_index, beta});
  assert_int_equal(rig.count_lines("refused: this node hears it"), 1);
  rig.operate(alpha, {OperatorVerb::confirm_down, no_index, gamma});
  assert_true(rig.run_until([&] { return rig.settled(NodeSet::from_bits(3)) && servers(rig) == 1; }));
  assert_int_equal(rig.violations(), 0);
}

void who_has_no_vote_overrides_nothing(void**) {
  Cluster c("alpha beta gamma");
  c.config->quorum.policy = QuorumPolicy::weighted;
  c.config->nodes[gamma].votes = 0;
  ClusterRig& rig = c.boot();
  rig.crash(alpha);
  rig.crash(beta);
  rig.run(second * 2);
  rig.operate(gamma, {OperatorVerb::quorum_override, no_index, no_node});
  rig.run(second * 2);
  assert_int_equal(servers(rig), 0);
  rig.start(alpha);
  rig.start(beta);
  assert_true(rig.run_until([&] { return rig.settled(NodeSet::from_bits(7)) && servers(rig) == 1; }));
}

void all_or_none_start(void**) {
  Cluster c("alpha beta gamma");
  c.config->quorum.wait_for_all = true;
  ClusterRig& rig = *c.rig;
  rig.start(alpha);
  rig.start(beta);
  rig.run(second * 20);
  assert_false(rig.quorate(alpha) || rig.quorate(beta));
  rig.start(gamma);
  assert_true(rig.run_until([&] { return rig.settled(NodeSet::from_bits(7)); }));
}

}  // namespace

int main() {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(eight_nodes_die_down_to_two_by_agreed_views),
      cmocka_unit_test(the_dead_do_not_outvote_the_last_who_stand),
      cmocka_unit_test(whoever_leaves_gives_the_last_a_rule_of_its_own),
      cmocka_unit_test(a_power_cut_of_all_is_survived_when_all_return),
      cmocka_unit_test(exactly_one_of_two_goes_on),
      cmocka_unit_test(a_half_without_a_network_leaves_it_to_the_other),
      cmocka_unit_test(one_of_two_dies_and_the_other_takes_over),
      cmocka_unit_test(a_lease_by_readings_is_over_before_its_holder_is_taken_over),
      cmocka_unit_test(without_the_tie_breaker_half_is_nothing),
      cmocka_unit_test(a_win_that_was_never_told_binds_nobody),
      cmocka_unit_test(a_heavy_node_goes_on_alone),
      cmocka_unit_test(who_has_no_vote_overrides_nothing),
      cmocka_unit_test(the_operators_word_brings_the_last_back),
      cmocka_unit_test(the_word_outlives_what_the_others_held),
      cmocka_unit_test(whoever_is_taken_into_another_past_starts_afresh),
      cmocka_unit_test(without_a_clock_no_word_is_taken),
      cmocka_unit_test(a_life_that_the_other_past_never_knew_is_not_taken_for_stopped),
      cmocka_unit_test(nothing_is_proposed_in_the_name_of_a_life_that_is_given_up),
      cmocka_unit_test(a_word_that_would_help_nobody_is_refused),
      cmocka_unit_test(whoever_is_heard_is_not_down_on_anybodys_word),
      cmocka_unit_test(all_or_none_start),
  };
  return cmocka_run_group_tests_name("core/quorum_cluster", tests, nullptr, nullptr);
}
