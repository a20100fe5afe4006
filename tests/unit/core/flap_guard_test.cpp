// Who comes and goes is held out, longer each time, and forgiven.
#include "runtime/core/flap_guard.hpp"

#include "tests/unit/core/cluster_fixture.hpp"
// Last: cmocka's macros (fail, …) bite the standard library.
#include "tests/unit/cmocka.hpp"

using namespace vigil;
using namespace vigil::testing;

namespace {

constexpr Duration second = Duration::from_s(1);

void the_hold_doubles_and_ends(void**) {
  const std::int64_t holds_s[] = {0, 0, 1, 2, 4, 8, 16, 32, 60, 60};
  FlapGuard guard;
  Instant now = Instant{} + second;
  for (const std::int64_t hold_s : holds_s) {
    guard.voted_out(now, 5);
    assert_int_equal(guard.held_out(now).has(5), hold_s > 0);
    const Instant end = now + second * hold_s;
    if (hold_s > 0) {
      assert_true(guard.next_change() == end);
      assert_true(guard.held_out(end - Duration::from_ns(1)).has(5));
    }
    assert_true(guard.held_out(end).empty());
    assert_true(guard.next_change().is_never());
    now = end + second;
  }
  now = now + flap_window * 2;
  guard.voted_out(now, 5);
  assert_true(guard.held_out(now).empty());
  assert_int_equal(guard.times(5), 1);
}

void each_node_has_its_own_count(void**) {
  FlapGuard guard;
  for (NodeId node = 0; node < 64; ++node)
    for (unsigned i = 0; i < FlapGuard::times_tolerated - (node % 2); ++i) guard.voted_out(Instant{} + second, node);
  assert_true(guard.held_out(Instant{} + second) == NodeSet::from_bits(0x5555555555555555));
}

// How many views the others install meanwhile.
int views_while_flapping(ClusterRig& rig, NodeId flapping, Duration half, int times) {
  const NodeSet all = NodeSet::from_bits((std::uint64_t{1} << rig.config().nodes.size()) - 1);
  (void)rig.take();
  for (int i = 0; i < times; ++i) {
    rig.part({all - NodeSet::of(flapping), NodeSet::of(flapping)});
    rig.run(half);
    rig.heal();
    rig.run(half);
  }
  return rig.count_lines("/1 of ");
}

// At periods below and above the time that an admission takes: the rest hardly notices, and nothing moves.
void a_cluster_does_not_oscillate_with_a_node(void**) {
  for (const std::int64_t period_ms : {400, 1000, 3000}) {
    Cluster c("alpha beta gamma");
    ClusterRig& rig = c.boot();
    const std::uint32_t generation = rig.core(alpha).committed().state.groups[0].generation;
    const Duration half = Duration::from_ms(period_ms / 2);
    const int times = static_cast<int>(120'000 / period_ms);  // two minutes
    const int views = views_while_flapping(rig, gamma, half, times);
    assert_in_range(views, 5, 24);
    assert_int_equal(rig.core(alpha).committed().state.groups[0].generation, generation);
    assert_true(rig.serves(alpha));
    assert_true(rig.count_lines("held out for") > 0);
    // It is let in again when it has been good for the hold.
    assert_true(rig.run_until([&] { return rig.settled(NodeSet::from_bits(7)); }, flap_hold_max + second * 10));
    assert_int_equal(rig.violations(), 0);
  }
}

// With one node dead, the one that flaps is needed: it is never held out.
void who_is_needed_is_not_held_out(void**) {
  Cluster c("alpha beta gamma");
  ClusterRig& rig = c.boot();
  rig.crash(beta);
  assert_true(rig.run_until([&] { return rig.settled(NodeSet::from_bits(0b101)); }));
  for (int i = 0; i < 6; ++i) {
    rig.part({NodeSet::of(alpha), NodeSet::of(gamma)});
    rig.run(second);
    rig.heal();
    assert_true(rig.run_until([&] { return rig.settled(NodeSet::from_bits(0b101)); }, second * 5));
  }
  assert_int_equal(rig.violations(), 0);
}

}  // namespace

int main() {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_hold_doubles_and_ends),
      cmocka_unit_test(each_node_has_its_own_count),
      cmocka_unit_test(a_cluster_does_not_oscillate_with_a_node),
      cmocka_unit_test(who_is_needed_is_not_held_out),
  };
  return cmocka_run_group_tests_name("core/flap_guard", tests, nullptr, nullptr);
}
