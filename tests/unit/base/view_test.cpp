// The arithmetic of quorums, as tables, and the two facts that the proofs take from it.
#include "runtime/base/view.hpp"
// Last: cmocka's macros (fail, …) bite the standard library.
#include "tests/unit/cmocka.hpp"

using namespace vigil;

namespace {

View view_of(std::uint64_t members, int configured) {
  View view;
  view.epoch = {1, 0};
  view.members = NodeSet::from_bits(members);
  view.rule.voters = NodeSet::from_bits((std::uint64_t{1} << configured) - 1);
  view.rule.needed = majority_of(configured);
  for (const NodeId node : view.members) view.incarnations[node] = {1, std::uint64_t{node} + 1};
  return view;
}

void majorities(void**) {
  const int needed[] = {1, 1, 2, 2, 3, 3, 4, 4, 5};
  for (int votes = 1; votes < 9; ++votes) assert_int_equal(majority_of(votes), needed[votes]);
  assert_int_equal(majority_of(64), 33);
}

void quorum_table(void**) {
  struct Row {
    std::uint64_t members;
    int configured;
    std::uint64_t nodes;
    bool quorum;
    bool hit;
  };
  const Row rows[] = {
      // three configured, all in: any two
      {0b111, 3, 0b000, false, false},
      {0b111, 3, 0b001, false, false},
      {0b111, 3, 0b011, true, true},
      {0b111, 3, 0b111, true, true},
      // … one of them out: both must agree, and any one of them is in every quorum
      {0b011, 3, 0b001, false, true},
      {0b011, 3, 0b011, true, true},
      // … votes of nodes outside the view count for nothing
      {0b011, 3, 0b101, false, true},
      {0b011, 3, 0b100, false, false},
      // five configured
      {0b11111, 5, 0b00011, false, false},
      {0b11111, 5, 0b00111, true, true},
      {0b01111, 5, 0b00011, false, true},
      {0b01111, 5, 0b00001, false, false},
      {0b00111, 5, 0b00001, false, true},
      // four configured: two halves are no quorum, and each hits every quorum
      {0b1111, 4, 0b0011, false, true},
      {0b1111, 4, 0b0001, false, false},
      {0b1111, 4, 0b0111, true, true},
      // one configured
      {0b1, 1, 0b1, true, true},
      {0b1, 1, 0b0, false, false},
  };
  for (const Row& row : rows) {
    const View view = view_of(row.members, row.configured);
    assert_int_equal(view.is_quorum(NodeSet::from_bits(row.nodes)), row.quorum);
    assert_int_equal(view.is_hit_by(NodeSet::from_bits(row.nodes)), row.hit);
  }
}

void a_view_that_is_none_decides_nothing(void**) {
  const View none;
  assert_false(none.exists());
  assert_false(none.is_quorum({}));
  assert_false(none.is_quorum(NodeSet::from_bits(~std::uint64_t{0})));
}

// Whoever hits every quorum shares a node with each, and nobody else does: tried with all subsets.
void hitting_is_meeting_every_quorum(void**) {
  for (int configured = 1; configured <= 6; ++configured) {
    const std::uint64_t all = (std::uint64_t{1} << configured) - 1;
    for (std::uint64_t members = 1; members <= all; ++members) {
      const View view = view_of(members, configured);
      for (std::uint64_t nodes = 0; nodes <= all; ++nodes) {
        bool meets_all = true;
        for (std::uint64_t quorum = 0; quorum <= all; ++quorum)
          if ((quorum & ~members) == 0 && view.is_quorum(NodeSet::from_bits(quorum)))
            meets_all = meets_all && (quorum & nodes) != 0;
        assert_int_equal(view.is_hit_by(NodeSet::from_bits(nodes)), meets_all);
      }
    }
  }
}

// Two quorums of any two views under one rule share a node: no two views serve side by side.
void quorums_of_all_views_intersect(void**) {
  constexpr int configured = 5;
  constexpr std::uint64_t all = (std::uint64_t{1} << configured) - 1;
  for (std::uint64_t a = 0; a <= all; ++a)
    for (std::uint64_t b = 0; b <= all; ++b)
      if (view_of(a | 1, configured).is_quorum(NodeSet::from_bits(a)) &&
          view_of(b | 1, configured).is_quorum(NodeSet::from_bits(b)))
        assert_true((a & b) != 0);
}

void only_the_same_incarnation_is_held(void**) {
  View view = view_of(0b011, 3);
  view.incarnations[2] = {1, 3};  // was a member once
  assert_true(view.holds(0, {1, 1}));
  assert_false(view.holds(0, {1, 2}));
  assert_false(view.holds(0, {2, 1}));
  assert_false(view.holds(2, {1, 3}));
  view.incarnations[1] = {};
  assert_false(view.holds(1, {}));
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(majorities),
      cmocka_unit_test(quorum_table),
      cmocka_unit_test(a_view_that_is_none_decides_nothing),
      cmocka_unit_test(hitting_is_meeting_every_quorum),
      cmocka_unit_test(quorums_of_all_views_intersect),
      cmocka_unit_test(only_the_same_incarnation_is_held),
  };
  return cmocka_run_group_tests_name("base/view", tests, nullptr, nullptr);
}
