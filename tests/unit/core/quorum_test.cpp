// The rules by which views count, step by step: weights, last man standing, the tie-breaker; and who may
// authorise a successor under each.
#include "runtime/core/quorum.hpp"

#include "runtime/core/authority.hpp"
#include "tests/unit/core/peers_fixture.hpp"
// Last: cmocka's macros (fail, …) bite the standard library.
#include "tests/unit/cmocka.hpp"

using namespace vigil;
using namespace vigil::testing;

namespace {

NodeSet first(int count) { return NodeSet::from_bits((std::uint64_t{1} << count) - 1); }

std::unique_ptr<ClusterConfig> standing(std::size_t count) {
  auto config = cluster_of(count);
  config->quorum.policy = QuorumPolicy::last_man_standing;
  return config;
}

// ---- rules -------------------------------------------------------------------------------------------

void more_than_half_of_the_votes_are_needed(void**) {
  struct Row {
    std::vector<std::uint8_t> votes;
    int needed;
    std::uint64_t nodes;
    bool quorum;
    bool holding;  // with a tie-breaker
  };
  const Row rows[] = {
      {{1, 1, 1}, 2, 0b011, true, true},      {{1, 1, 1}, 2, 0b001, false, false}, {{1, 1}, 2, 0b01, false, true},
      {{3, 1, 1}, 3, 0b001, true, true},      {{3, 1, 1}, 3, 0b110, false, false}, {{2, 1, 1}, 3, 0b001, false, true},
      {{2, 1, 1}, 3, 0b110, false, true},     {{1, 1, 0}, 2, 0b101, false, true},  {{0, 0, 1}, 1, 0b100, true, true},
      {{100, 100, 100}, 151, 0b011, true, true},
  };
  for (const Row& row : rows) {
    auto config = cluster_of(row.votes.size());
    config->quorum.policy = QuorumPolicy::weighted;
    for (std::size_t i = 0; i < row.votes.size(); ++i) config->nodes[i].votes = row.votes[i];
    const NodeSet nodes = NodeSet::from_bits(row.nodes);
    QuorumRule rule = configured_rule(*config);
    assert_int_equal(rule.needed, row.needed);
    assert_int_equal(rule.is_quorum(nodes), row.quorum);
    assert_int_equal(rule.is_quorum_holding(nodes), row.quorum);
    config->quorum.tie_breaker = Path("/shared/tie");
    rule = configured_rule(*config);
    assert_int_equal(rule.is_quorum(nodes), row.quorum);
    assert_int_equal(rule.is_quorum_holding(nodes), row.holding);
  }
}

void nodes_without_a_vote_make_no_rule(void**) {
  auto config = cluster_of(3);
  config->nodes[2].votes = 0;
  assert_false(rule_of(*config, QuorumKind::overridden, nodes({2})).exists());
  assert_true(rule_of(*config, QuorumKind::overridden, nodes({1, 2})).is_quorum(nodes({1})));
}

// Whoever can decide by the rule before a step, and whoever can after it, share a node: exhaustively.
void no_step_of_a_rule_lets_two_sets_decide(void**) {
  auto config = standing(5);
  for (std::uint64_t before = 1; before < 32; ++before) {
    for (std::uint64_t members = 1; members < 32; ++members) {
      Record record = record_of(*config, NodeSet::from_bits(members));
      record.view.rule = rule_of(*config, QuorumKind::last_man_standing, NodeSet::from_bits(before));
      if (!rule_change_due(*config, record, record.view.members)) continue;
      View next = record.view;
      change_rule(*config, record.view, record.view.members, next);
      Record changed = record;
      changed.view = next;
      assert_true(next.also == record.view.rule);
      assert_true(rule_change_due(*config, changed, next.members));
      View last = next;
      change_rule(*config, next, next.members, last);
      assert_false(last.also.exists());
      assert_true(last.rule == next.rule);
      for (std::uint64_t a = 1; a < 32; ++a)
        for (std::uint64_t b = 1; b < 32; ++b) {
          if ((a & b) != 0) continue;
          const NodeSet one = NodeSet::from_bits(a);
          const NodeSet two = NodeSet::from_bits(b);
          const bool first_step = record.view.is_quorum(one) && next.is_quorum(two);
          const bool second_step = next.is_quorum(one) && last.is_quorum(two);
          assert_false(first_step || second_step);
        }
    }
  }
}

void the_rule_follows_the_members_of_a_settled_view(void**) {
  auto config = standing(5);
  Record record = record_of(*config, first(3));
  assert_true(rule_change_due(*config, record, first(3)));
  record.previous = view_of(*config, first(5));
  assert_false(rule_change_due(*config, record, first(3)));  // not known decided by everybody
  record.previous = View{};
  record.view.rule = rule_of(*config, QuorumKind::last_man_standing, first(3));
  assert_false(rule_change_due(*config, record, first(3)));
  assert_true(rule_change_due(*config, record, first(2)));   // the third is about to leave, and still votes
  config->quorum.tie_breaker = Path("/shared/tie");
  assert_false(rule_change_due(*config, record, first(1)));  // the last one lives by the tie-breaker
  auto fixed = cluster_of(5);
  assert_false(rule_change_due(*fixed, record_of(*fixed, first(3)), first(3)));
}

void the_operators_rule_lasts_until_the_configured_one_can_be_met(void**) {
  auto config = cluster_of(3);
  Record record = record_of(*config, first(1));
  record.view.rule = rule_of(*config, QuorumKind::overridden, first(1));
  assert_false(rule_change_due(*config, record, first(1)));
  record.view.members = first(2);
  assert_true(rule_change_due(*config, record, first(2)));
}

// ---- authority ---------------------------------------------------------------------------------------

struct Vote {
  explicit Vote(const ClusterConfig& of, NodeSet members) : config(of), base(record_of(of, members)) {
    for (std::size_t i = 0; i < of.nodes.size(); ++i) lives[i] = life_of(static_cast<NodeId>(i));
    ballot.base = &base;
    ballot.incarnations = &lives;
  }
  Authority of(NodeSet promised) {
    ballot.promised = promised;
    return authority_of(config, ballot);
  }
  const ClusterConfig& config;
  Record base;
  std::array<Incarnation, limits::max_nodes> lives{};
  Ballot ballot;
};

void last_man_standing_needs_a_quorum_of_the_last_view(void**) {
  auto config = standing(8);
  Vote vote(*config, first(3));
  vote.base.view.rule = rule_of(*config, QuorumKind::last_man_standing, first(3));
  assert_true(vote.of(nodes({0, 1})) == Authority::strict);
  assert_true(vote.of(nodes({0})) == Authority::none);
  // The five who died before are a majority of all votes, and nothing.
  assert_true(vote.of(nodes({0, 3, 4, 5, 6, 7})) == Authority::none);
  // Two of the three in new lives: the old ones are gone, and with them what they knew.
  vote.lives[1] = life_of(1, 2);
  vote.lives[2] = life_of(2, 2);
  vote.ballot.recovering = nodes({1, 2});
  assert_true(vote.of(first(3)) == Authority::none);
  assert_true(vote.of(first(7)) == Authority::none);
  assert_true(vote.of(first(8)) == Authority::cold_start);
}

void a_view_in_doubt_needs_the_quorum_of_the_one_before_too(void**) {
  auto config = standing(4);
  Vote vote(*config, nodes({0, 1, 3}));
  vote.base.previous = view_of(*config, nodes({0, 1, 2}));
  vote.base.previous.rule = rule_of(*config, QuorumKind::last_man_standing, nodes({0, 1, 2}));
  vote.base.view.rule = vote.base.previous.rule;
  vote.ballot.in_doubt = true;
  assert_true(vote.of(nodes({0, 1})) == Authority::strict);
  assert_true(vote.of(nodes({0, 3})) == Authority::none);
}

// {0,1,2}: node 2 holds a view in doubt of itself and node 3, which never accepted it. Nodes 1 and 3 may have gone another
// way since; of these, node 1 has restarted and node 3 is away.
void who_has_forgotten_knows_of_no_other_way(void**) {
  auto config = cluster_of(4);
  config->nodes[0].votes = 0;
  Vote vote(*config, nodes({2, 3}));
  vote.base.previous = view_of(*config, nodes({1, 2, 3}));
  vote.base.view.rule = vote.base.previous.rule = configured_rule(*config);
  vote.base.view.incarnations[1] = vote.base.previous.incarnations[1] = life_of(1, 1);
  vote.ballot.in_doubt = true;
  vote.base.stamp.epoch.counter = 7;
  std::array<std::uint64_t, limits::max_nodes> forgotten{};
  vote.ballot.forgotten = &forgotten;
  assert_true(vote.of(nodes({1, 2})) == Authority::unanimous);
  vote.lives[1] = life_of(1, 2);
  vote.ballot.recovering = nodes({1});
  forgotten[1] = vote.base.stamp.epoch.counter;
  assert_true(vote.of(nodes({1, 2})) == Authority::none);
  assert_true(vote.of(nodes({1, 2, 3})) != Authority::none);
  // It had ended before the view in doubt began, so it cannot have gone another way since.
  forgotten[1] = vote.base.stamp.epoch.counter - 1;
  assert_true(vote.of(nodes({1, 2})) == Authority::unanimous);
  // Nothing was ever stored: in its first life it knows; one that the view knows in another has lost its file.
  forgotten[1] = 0;
  assert_true(vote.of(nodes({1, 2})) == Authority::none);
  vote.base.view.incarnations[1] = life_of(1, 2);
  assert_true(vote.of(nodes({1, 2})) == Authority::unanimous);
  // Once it is known to be decided, nobody went another way.
  vote.base.view.incarnations[1] = life_of(1, 1);
  vote.ballot.in_doubt = false;
  assert_true(vote.of(nodes({1, 2})) != Authority::none);
}

void half_needs_the_tie_breaker(void**) {
  auto config = cluster_of(2);
  config->quorum.tie_breaker = Path("/shared/tie");
  Vote vote(*config, first(2));
  assert_true(vote.of(nodes({0})) == Authority::none);
  vote.ballot.tie_breaker = true;
  assert_true(vote.of(nodes({0})) == Authority::strict);
  // Whoever is no member of the last view, or is one in another life, has no half.
  vote.base.view.members = nodes({1});
  assert_true(vote.of(nodes({0})) == Authority::none);
  vote.base.view.members = first(2);
  vote.lives[0] = life_of(0, 2);
  assert_true(vote.of(nodes({0})) == Authority::none);
}

void the_operators_word_stands_for_absent_votes(void**) {
  auto config = cluster_of(3);
  Vote vote(*config, first(3));
  assert_true(vote.of(nodes({0})) == Authority::none);
  vote.ballot.vouched = nodes({1});  // the third may know more, and decide
  assert_true(vote.of(nodes({0})) == Authority::none);
  vote.ballot.vouched = nodes({1, 2});
  assert_true(vote.of(nodes({0})) == Authority::cold_start);
  assert_true(vote.of({}) == Authority::none);
  auto two = standing(8);
  Vote last(*two, first(2));
  last.base.view.rule = rule_of(*two, QuorumKind::last_man_standing, first(2));
  last.ballot.vouched = nodes({1});
  assert_true(last.of(nodes({0})) == Authority::unanimous);
}

// Two of five restart with a file of their own, while the other three live on.
void a_shorter_file_does_not_outvote_the_last_view(void**) {
  auto five = cluster_of(5);
  auto two = cluster_of(2);
  two->hash = 78;
  for (const QuorumPolicy policy : {QuorumPolicy::majority, QuorumPolicy::last_man_standing}) {
    two->quorum.policy = policy;
    Vote vote(*two, first(2));
    vote.base = record_of(*five, first(5));
    vote.base.state.config_hash = five->hash;
    for (const NodeId node : first(2)) vote.lives[node] = life_of(node, 2);
    vote.ballot.recovering = first(2);
    assert_true(vote.of(first(2)) == Authority::none);
    vote.ballot.vouched = nodes({2, 3, 4});
    assert_true(vote.of(first(2)) == Authority::cold_start);
  }
}

void wait_for_all_waits_for_all(void**) {
  auto config = cluster_of(3);
  Vote vote(*config, first(3));
  vote.base = Record{};
  vote.ballot.recovering = first(2);
  assert_true(vote.of(first(2)) == Authority::cold_start);
  config->quorum.wait_for_all = true;
  assert_true(vote.of(first(2)) == Authority::none);
  vote.ballot.recovering = first(3);
  assert_true(vote.of(first(3)) == Authority::cold_start);
}

}  // namespace

int main() {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(more_than_half_of_the_votes_are_needed),
      cmocka_unit_test(nodes_without_a_vote_make_no_rule),
      cmocka_unit_test(no_step_of_a_rule_lets_two_sets_decide),
      cmocka_unit_test(the_rule_follows_the_members_of_a_settled_view),
      cmocka_unit_test(the_operators_rule_lasts_until_the_configured_one_can_be_met),
      cmocka_unit_test(last_man_standing_needs_a_quorum_of_the_last_view),
      cmocka_unit_test(a_view_in_doubt_needs_the_quorum_of_the_one_before_too),
      cmocka_unit_test(who_has_forgotten_knows_of_no_other_way),
      cmocka_unit_test(half_needs_the_tie_breaker),
      cmocka_unit_test(the_operators_word_stands_for_absent_votes),
      cmocka_unit_test(a_shorter_file_does_not_outvote_the_last_view),
      cmocka_unit_test(wait_for_all_waits_for_all),
  };
  return cmocka_run_group_tests_name("core/quorum", tests, nullptr, nullptr);
}
