// Heartbeats pass and records do not: on no node does that hold up the others.
#include "tests/unit/core/cluster_fixture.hpp"
// Last: cmocka's macros (fail, …) bite the standard library.
#include "tests/unit/cmocka.hpp"

using namespace vigil;
using namespace vigil::testing;

namespace {

constexpr NodeSet all = NodeSet::from_bits(0b11111);

// What carries a record, or a part of one, is longer than a heartbeat.
bool is_long(const Message& message) {
  if (const auto* promise = std::get_if<Promise>(&message)) return !promise->accepted.stamp.epoch.is_genesis();
  return std::holds_alternative<Accept>(message) || std::holds_alternative<CommittedRecord>(message);
}

void narrow(ClusterRig& rig, NodeId node) {
  rig.lose([node](NodeId from, NodeId to, const Message& message) { return (from == node || to == node) && is_long(message); });
}

// A newcomer behind narrow links must not keep the cluster from taking over for a node that dies.
void a_newcomer_holds_up_nobody(void**) {
  Cluster c("alpha beta gamma delta epsilon");
  ClusterRig& rig = c.boot();
  rig.crash(epsilon);
  assert_true(rig.run_until([&] { return rig.settled(all - NodeSet::of(epsilon)); }));
  narrow(rig, epsilon);
  rig.start(epsilon);
  rig.run(Duration::from_s(5));
  const NodeSet three = c.named("beta,gamma,delta");
  rig.crash(alpha);
  assert_true(rig.run_until([&] { return rig.settled(three) && rig.serves(beta); }, Duration::from_s(1)));
  (void)rig.take();
  rig.run(Duration::from_s(10));
  assert_int_equal(rig.count_lines("/1 of "), 0);  // no view more
  rig.lose_nothing();
  assert_true(rig.run_until([&] { return rig.settled(all - NodeSet::of(alpha)); }, Duration::from_s(5)));
  assert_int_equal(rig.violations(), 0);
}

// An owner that cannot be told to release: it is left out, and its lease waited for.
void an_owner_out_of_reach_is_left_out(void**) {
  Cluster c("alpha beta gamma delta epsilon");
  ClusterRig& rig = c.boot();
  const NodeId others[] = {beta, alpha};  // the owner coordinates, or does not
  for (const NodeId other : others) {
    const NodeId owner = other == beta ? alpha : beta;
    assert_true(rig.serves(owner));
    narrow(rig, owner);
    rig.operate(gamma, {OperatorVerb::move_group, 0, other});
    const NodeSet rest = all - NodeSet::of(owner);
    const Duration bound = rig.config().timing.follow_limit() * 2 + Duration::from_s(2);
    assert_true(rig.run_until([&] { return rig.settled(rest); }, bound));
    if (!rig.serves(other)) rig.operate(gamma, {OperatorVerb::move_group, 0, other});
    assert_true(rig.run_until([&] { return rig.serves(other) && !rig.serves(owner); }, Duration::from_s(1)));
    rig.lose_nothing();
    assert_true(rig.run_until([&] { return rig.settled(all); }, Duration::from_s(5)));
  }
  assert_int_equal(rig.violations(), 0);
}

}  // namespace

int main() {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_newcomer_holds_up_nobody),
      cmocka_unit_test(an_owner_out_of_reach_is_left_out),
  };
  return cmocka_run_group_tests_name("core/narrow_links", tests, nullptr, nullptr);
}
