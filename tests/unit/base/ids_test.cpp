// Sets of nodes against std::set, and the order of epochs.
#include "runtime/base/ids.hpp"

#include <set>

#include "runtime/base/random.hpp"
#include "runtime/base/record.hpp"
// Last: cmocka's macros (fail, …) bite the standard library.
#include "tests/unit/cmocka.hpp"

using namespace vigil;

namespace {

NodeSet set_of(std::initializer_list<int> nodes) {
  NodeSet set;
  for (const int node : nodes) set.add(static_cast<NodeId>(node));
  return set;
}

void the_edges(void**) {
  NodeSet set;
  assert_true(set.empty());
  assert_int_equal(set.lowest(), no_node);
  assert_false(set.has(no_node));
  set.remove(no_node);  // nothing to remove
  set.add(0);
  set.add(63);
  assert_int_equal(set.count(), 2);
  assert_true(set.has(63));
  assert_false(set.has(64));
  assert_int_equal(set.lowest(), 0);
  set.remove(0);
  assert_int_equal(set.lowest(), 63);
  assert_true(NodeSet::of(63) == set);
}

void the_algebra(void**) {
  const NodeSet a = set_of({1, 2, 3});
  const NodeSet b = set_of({3, 4});
  assert_true((a | b) == set_of({1, 2, 3, 4}));
  assert_true((a & b) == set_of({3}));
  assert_true((a - b) == set_of({1, 2}));
  assert_true(a.includes(set_of({1, 3})));
  assert_true(a.includes(a));
  assert_true(a.includes({}));
  assert_false(a.includes(b));
  assert_true(a.intersects(b));
  assert_false((a - b).intersects(b));
  assert_false(a.intersects({}));
}

void behaves_like_a_set(void**) {
  Random random(3);
  NodeSet set;
  std::set<int> model;
  for (int i = 0; i < 20'000; ++i) {
    const auto node = static_cast<NodeId>(random.below(limits::max_nodes));
    if (random.chance(50)) {
      set.add(node);
      model.insert(node);
    } else {
      set.remove(node);
      model.erase(node);
    }
    assert_int_equal(set.count(), model.size());
    assert_int_equal(set.has(node), model.count(node));
    auto expected = model.begin();
    for (const NodeId member : set) assert_int_equal(member, *expected++);
    assert_true(expected == model.end());
  }
}

void epochs_are_ordered_by_counter_then_proposer(void**) {
  const Epoch genesis;
  assert_true(genesis.is_genesis());
  assert_true(Epoch({0, 3}) < Epoch({1, 0}));
  assert_true(Epoch({1, 0}) < Epoch({1, 1}));
  assert_true(Epoch({1, 63}) < Epoch({2, 0}));
  assert_false(Epoch({1, 0}).is_genesis());
  assert_true(Stamp({{2, 0}, 9}) < Stamp({{2, 1}, 1}));
  assert_true(Stamp({{2, 1}, 1}) < Stamp({{2, 1}, 2}));
  // A record never written comes before all others, whoever would have been its proposer.
  assert_true(Stamp{} < Stamp({{1, 0}, 1}));
}

void an_incarnation_is_known_by_its_start(void**) {
  assert_false(Incarnation{}.known());
  assert_false(Incarnation({5, 0}).known());
  assert_true(Incarnation({0, 5}).known());
  assert_false(Incarnation({1, 5}) == Incarnation({2, 5}));
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(the_edges),
      cmocka_unit_test(the_algebra),
      cmocka_unit_test(behaves_like_a_set),
      cmocka_unit_test(epochs_are_ordered_by_counter_then_proposer),
      cmocka_unit_test(an_incarnation_is_known_by_its_start),
  };
  return cmocka_run_group_tests_name("base/ids", tests, nullptr, nullptr);
}
