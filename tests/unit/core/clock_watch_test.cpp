// Whose clock is off: the middle one of the reference decides, and nobody who has not said is judged.
#include "runtime/core/clock_watch.hpp"

#include <vector>

// Last: its macros clash with the standard library.
#include "tests/unit/cmocka.hpp"

namespace {

using namespace vigil;

struct Case {
  std::vector<std::int64_t> seconds;  // by node; -1: it has not said
  NodeSet reference;
  NodeSet apart;
};

constexpr std::int64_t silent = -1;
constexpr std::int64_t limit = clock_limit.ns / 1'000'000'000;

void who_is_apart(void**) {
  const std::vector<Case> cases{
      {{100, 100, 100}, NodeSet::from_bits(0b111), NodeSet{}},
      {{100, 100, 100 + limit}, NodeSet::from_bits(0b111), NodeSet{}},
      {{100, 100, 101 + limit}, NodeSet::from_bits(0b111), NodeSet::of(2)},
      {{1000, 100, 1000}, NodeSet::from_bits(0b111), NodeSet::of(1)},
      {{100, 100, 7300, 7300, 7300}, NodeSet::from_bits(0b11), NodeSet::from_bits(0b11100)},  // those who serve decide
      {{7300, 100, silent}, NodeSet::from_bits(0b111), NodeSet::of(0)},  // of two alone, the one ahead
      {{silent, silent, 7300}, NodeSet::from_bits(0b011), NodeSet{}},    // nothing to compare with
      {{100, silent, 7300}, NodeSet::from_bits(0b011), NodeSet::of(2)},
      {{7300}, NodeSet::of(0), NodeSet{}},
      {{100, 200, 300, 400}, NodeSet::from_bits(0b1111), NodeSet::from_bits(0b1101)},
  };
  for (const Case& c : cases) {
    ClockWatch watch;
    NodeSet all;
    for (std::size_t i = 0; i < c.seconds.size(); ++i) {
      all.add(static_cast<NodeId>(i));
      if (c.seconds[i] != silent) watch.note(static_cast<NodeId>(i), Duration::from_s(c.seconds[i]));
    }
    assert_int_equal(watch.apart(all, c.reference).bits(), c.apart.bits());
  }
}

void how_far_ahead(void**) {
  ClockWatch watch;
  watch.note(0, Duration::from_s(10));
  watch.note(1, Duration::from_s(4));
  const NodeSet both = NodeSet::from_bits(0b11);
  assert_int_equal(watch.ahead(0, both).ns, Duration::from_s(6).ns);
  assert_int_equal(watch.ahead(0, NodeSet::of(0)).ns, 0);
  assert_int_equal(watch.ahead(1, NodeSet::of(0)).ns, -Duration::from_s(6).ns);
  assert_int_equal(watch.ahead(2, both).ns, 0);
  watch.note(limits::max_nodes, Duration::from_s(1));  // no node: nothing happens
  watch.note(1, Duration::from_s(10));
  assert_int_equal(watch.ahead(1, both).ns, 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(who_is_apart), cmocka_unit_test(how_far_ahead)};
  return cmocka_run_group_tests_name("core/clock_watch", tests, nullptr, nullptr);
}
