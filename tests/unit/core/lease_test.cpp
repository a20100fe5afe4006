// Both sides of a lease, and the one thing that all takeovers rest on: whoever waits what the voters told
// outlasts what the holder may serve, whatever clocks within the permitted drift.
#include "runtime/core/lease.hpp"

#include "runtime/base/random.hpp"
#include "tests/unit/core/peers_fixture.hpp"
// Last: cmocka's macros (fail, …) bite the standard library.
#include "tests/unit/cmocka.hpp"

using namespace vigil;
using namespace vigil::testing;

namespace {

constexpr Duration length = timing_of(Profile::lan).lease;
constexpr Instant start{1'000'000'000};
constexpr Epoch epoch{4, 0};

Instant at(std::int64_t ms) { return start + Duration::from_ms(ms); }

// Node 0 holds, in a view of five.
struct Holder {
  Holder() : config(cluster_of(5)), view(view_of(*config, nodes({0, 1, 2, 3, 4}), epoch)), lease(0, length) {
    lease.on_view(view);
  }
  std::unique_ptr<ClusterConfig> config;
  View view;
  LeaseHolder lease;
};

// ---- the holder ------------------------------------------------------------------------------------

void the_lease_starts_at_the_quorums_newest_send_time(void**) {
  struct Row {
    std::int64_t acknowledged[5];  // newest send time of each voter's acknowledgement, ms; -1: none
    std::int64_t starts;           // -1: no lease
  };
  const Row rows[] =
      {
          {{90, -1, -1, -1, -1}, -1}, {{90, 90, -1, -1, -1}, -1}, {{90, 80, 70, -1, -1}, 70},
          {{90, 80, 70, 60, -1}, 70}, {{90, 10, 20, 30, 40}, 30}, {{90, 90, 90, 90, 90}, 90},
          {{-1, 90, 90, 90, -1}, 90},  // its own word is one among many
          {{10, 90, 90, 20, 20}, 20},
      };
  for (const Row& row : rows) {
    Holder h;
    if (row.acknowledged[0] >= 0) h.lease.on_sent(at(row.acknowledged[0]));
    for (NodeId node = 1; node < 5; ++node)
      if (row.acknowledged[node] >= 0) h.lease.on_acknowledged(at(100), node, epoch, at(row.acknowledged[node]));
    assert_int_equal(h.lease.recompute(h.view), row.starts >= 0);
    if (row.starts >= 0)
      assert_true(h.lease.until() == at(row.starts) + length);
    else
      assert_true(h.lease.until().ns == 0);
  }
}

void older_acknowledgements_change_nothing(void**) {
  Holder h;
  for (NodeId node = 1; node < 4; ++node) h.lease.on_acknowledged(at(100), node, epoch, at(90));
  assert_true(h.lease.recompute(h.view));
  const Instant until = h.lease.until();
  for (NodeId node = 1; node < 4; ++node) h.lease.on_acknowledged(at(100), node, epoch, at(50));
  assert_false(h.lease.recompute(h.view));
  assert_true(h.lease.until() == until);
}

void what_does_not_count(void**) {
  struct Row {
    const char* what;
    Epoch epoch;
    std::int64_t now;
    std::int64_t sent;
    NodeId voters[3];
  };
  const Row rows[] = {
      {"an acknowledgement of another epoch", {3, 0}, 100, 90, {1, 2, 3}},
      {"… of the same counter by another proposer", {4, 1}, 100, 90, {1, 2, 3}},
      {"… of what has not been sent yet", epoch, 100, 101, {1, 2, 3}},
      {"… of one voter three times", epoch, 100, 90, {1, 1, 1}},
      {"… of nobody", epoch, 100, 90, {no_node, no_node, no_node}},
  };
  for (const Row& row : rows) {
    Holder h;
    h.lease.on_sent(at(100));
    for (const NodeId voter : row.voters) h.lease.on_acknowledged(at(row.now), voter, row.epoch, at(row.sent));
    if (h.lease.recompute(h.view)) print_error("counted: %s\n", row.what);
    assert_true(h.lease.until().ns == 0);
  }
}

void only_members_count(void**) {
  Holder h;
  const View small = view_of(*h.config, nodes({0, 1, 2}), epoch);
  h.lease.on_sent(at(90));
  for (const NodeId voter : {NodeId{1}, NodeId{3}, NodeId{4}}) h.lease.on_acknowledged(at(100), voter, epoch, at(90));
  assert_false(h.lease.recompute(small));
  h.lease.on_acknowledged(at(100), 2, epoch, at(90));
  assert_true(h.lease.recompute(small));
  // Not in the view: no lease, whoever acknowledges.
  Holder out;
  out.lease.on_sent(at(90));
  for (NodeId voter = 1; voter < 5; ++voter) out.lease.on_acknowledged(at(100), voter, epoch, at(90));
  assert_false(out.lease.recompute(view_of(*out.config, nodes({1, 2, 3, 4}), epoch)));
}

void a_new_view_keeps_the_end_and_forgets_the_rest(void**) {
  Holder h;
  h.lease.on_sent(at(90));
  for (NodeId voter = 1; voter < 5; ++voter) h.lease.on_acknowledged(at(100), voter, epoch, at(90));
  assert_true(h.lease.recompute(h.view));
  const Instant until = h.lease.until();
  const View next = view_of(*h.config, nodes({0, 1, 2}), {5, 0});
  h.lease.on_view(next);
  assert_true(h.lease.until() == until);  // its voters answer for it
  assert_false(h.lease.recompute(next));
  // Acknowledgements of the view before do not add up with those of this one.
  h.lease.on_sent(at(110));
  h.lease.on_acknowledged(at(120), 1, epoch, at(110));
  h.lease.on_acknowledged(at(120), 2, {5, 0}, at(110));
  assert_false(h.lease.recompute(next));
  h.lease.on_acknowledged(at(120), 1, {5, 0}, at(110));
  assert_true(h.lease.recompute(next));
  assert_true(h.lease.until() == at(110) + length);
  // Told again of the same view, nothing is forgotten.
  h.lease.on_view(next);
  h.lease.on_sent(at(130));
  h.lease.on_acknowledged(at(140), 1, {5, 0}, at(130));
  assert_false(h.lease.recompute(next));
  h.lease.on_acknowledged(at(140), 2, {5, 0}, at(130));
  assert_true(h.lease.recompute(next));
}

void surrendered_is_over(void**) {
  Holder h;
  h.lease.on_sent(at(90));
  for (NodeId voter = 1; voter < 5; ++voter) h.lease.on_acknowledged(at(100), voter, epoch, at(90));
  assert_true(h.lease.recompute(h.view));
  h.lease.surrender();
  assert_true(h.lease.until().ns == 0);
  assert_false(h.lease.recompute(h.view));
  assert_true(h.lease.until().ns == 0);
}

void the_end_never_moves_back(void**) {
  Random random(5);
  Holder h;
  Instant until;
  Instant now = start;
  Epoch current = epoch;
  for (int i = 0; i < 20'000; ++i) {
    now = now + Duration::from_us(random.between(1, 5'000));
    if (random.chance(30)) h.lease.on_sent(now);
    const auto voter = static_cast<NodeId>(random.below(5));
    h.lease.on_acknowledged(now, voter, current, now - Duration::from_us(random.between(-2'000, 100'000)));
    if (random.chance(1)) {
      ++current.counter;
      h.view.epoch = current;
      h.lease.on_view(h.view);
    }
    const bool moved = h.lease.recompute(h.view);
    assert_true(h.lease.until() >= until);
    assert_int_equal(moved, h.lease.until() > until);
    assert_true(h.lease.until() <= now + length);  // never longer than from this moment
    until = h.lease.until();
  }
  assert_true(until.ns > 0);
}

// ---- the voter -------------------------------------------------------------------------------------

void what_is_left_includes_the_drift(void**) {
  LeaseVoter voter;
  assert_true(voter.acknowledge(at(0), 3, length));
  assert_true(voter.over_at(3) == at(0) + outlast(length));
  LeasesLeft left;
  voter.leases_left(at(50), nodes({0, 1, 2}), left);
  assert_int_equal(left.size(), 1);
  assert_int_equal(left[0].node, 3);
  assert_true(left[0].left == outlast(length) - Duration::from_ms(50));
  // Members keep theirs, what is over is not told.
  left.clear();
  voter.leases_left(at(50), nodes({0, 1, 2, 3}), left);
  assert_true(left.empty());
  voter.leases_left(at(0) + outlast(length), nodes({0, 1, 2}), left);
  assert_true(left.empty());
  voter.leases_left(at(0) + outlast(length) - Duration::from_ns(1), nodes({0, 1, 2}), left);
  assert_int_equal(left.size(), 1);
}

void a_shorter_renewal_does_not_shorten_what_was_granted(void**) {
  LeaseVoter voter;
  assert_true(voter.acknowledge(at(0), 3, length));
  assert_true(voter.acknowledge(at(1), 3, Duration::from_ms(10)));
  assert_true(voter.over_at(3) == at(0) + outlast(length));
}

void nonsense_lengths_are_refused(void**) {
  LeaseVoter voter;
  assert_false(voter.acknowledge(at(0), 3, {}));
  assert_false(voter.acknowledge(at(0), 3, Duration::from_ms(-5)));
  // Nobody who restarts would wait for longer than this.
  assert_false(voter.acknowledge(at(0), 3, longest_lease + Duration::from_ns(1)));
  assert_true(voter.over_at(3).ns == 0);
  assert_true(voter.acknowledge(at(0), 3, longest_lease));
  assert_true(voter.over_at(3) == at(0) + outlast(longest_lease));
}

void a_later_promise_readmits_nobody(void**) {
  LeaseVoter voter;
  assert_true(voter.acknowledge(at(0), 3, length));
  voter.leave_out(nodes({0, 1, 2, 4}));
  assert_false(voter.acknowledge(at(10), 3, length));
  assert_true(voter.over_at(3) == at(0) + outlast(length));
  voter.leave_out(nodes({0, 1, 2, 3, 4}));  // promised to another candidate that keeps it
  assert_false(voter.acknowledge(at(20), 3, length));
  voter.leave_out(nodes({0, 1, 3}));  // and a third one, which leaves out more
  for (const NodeId node : {NodeId{2}, NodeId{3}, NodeId{4}}) assert_false(voter.acknowledge(at(30), node, length));
  assert_true(voter.acknowledge(at(30), 1, length));
  // A record with it was accepted: no older proposal can be committed any more.
  voter.keep_only(nodes({0, 1, 2, 3}));
  assert_true(voter.acknowledge(at(40), 3, length));
  assert_true(voter.acknowledge(at(40), 2, length));
  assert_false(voter.acknowledge(at(40), 4, length));
}

// ---- both together ---------------------------------------------------------------------------------

// A renewal sent at true time 0 and acknowledged at true time `travel`; the victim's gate closes, the
// voter's word is given at true time `told`, and travels to a waiter that counts it on its own clock.
// Rates: how many of its nanoseconds a clock counts in a true one.
struct Rates {
  double holder;
  double voter;
  double waiter;
};

bool waits_long_enough(const Rates& rates, Duration lease, double travel, double told, double flight) {
  // The holder serves until its clock has counted `lease` from the sending.
  const double served_until = static_cast<double>(lease.ns) / rates.holder;
  LeaseVoter voter;
  const auto voters_clock = [&](double true_ns) {
    return start + Duration::from_ns(static_cast<std::int64_t>(true_ns * rates.voter));
  };
  if (!voter.acknowledge(voters_clock(travel), 1, lease)) return false;
  LeasesLeft left;
  voter.leases_left(voters_clock(told), NodeSet::of(0), left);
  const double wait = left.empty() ? 0 : static_cast<double>(left[0].left.ns) / rates.waiter;
  const double may_serve_from = told + flight + wait;
  return may_serve_from >= served_until;
}

void the_wait_outlasts_the_lease_at_the_bounds_of_drift(void**) {
  const double slow = 1.0 - drift_percent / 100.0;
  const double fast = 1.0 + drift_percent / 100.0;
  for (const Profile profile : {Profile::wan, Profile::lan, Profile::fast, Profile::realtime}) {
    const Duration lease = timing_of(profile).lease;
    const auto l = static_cast<double>(lease.ns);
    for (const double holder : {slow, 1.0, fast})
      for (const double waiter : {slow, 1.0, fast})
        for (const double travel : {0.0, 0.1 * l, 3.0 * l})
          for (const double told : {0.0, 0.3 * l, 0.9 * l, 1.2 * l, 2.0 * l})
            for (const double flight : {0.0, 0.2 * l}) {
              // One clock both acknowledges and waits: the voter is the one who takes over.
              const Rates rates{holder, waiter, waiter};
              assert_true(waits_long_enough(rates, lease, travel, travel + told, flight));
            }
  }
}

// The voter's clock measures what has passed, the waiter's what remains. A voter that is fast overstates
// what has passed, a fast waiter overstates its waiting: never both against more than outlast() allows.
void the_wait_outlasts_the_lease_whoever_measured_which_part(void**) {
  const double slow = 1.0 - drift_percent / 100.0;
  const double fast = 1.0 + drift_percent / 100.0;
  Random random(8);
  const auto rate = [&] {
    return random.chance(30)   ? slow
           : random.chance(40) ? fast
                               : slow + (fast - slow) * static_cast<double>(random.below(1'000)) / 1'000;
  };
  const Duration lease = length;
  const auto l = static_cast<double>(lease.ns);
  for (int i = 0; i < 200'000; ++i) {
    const Rates rates{rate(), rate(), rate()};
    const double travel = l * static_cast<double>(random.below(1'000)) / 300;
    const double told = travel + l * static_cast<double>(random.below(2'000)) / 1'000;
    // A tick of the clocks: fractions are cut, which is a few nanoseconds.
    assert_true(waits_long_enough(rates, lease, travel, told, 10));
  }
}

// … and it is not longer than it must be: with the clocks at their bounds it ends as the lease does.
void the_wait_is_no_longer_than_needed(void**) {
  const double slow = 1.0 - drift_percent / 100.0;
  const double fast = 1.0 + drift_percent / 100.0;
  const Duration shortened = length - Duration::from_us(10);
  LeaseVoter voter;
  assert_true(voter.acknowledge(start, 1, shortened));
  LeasesLeft left;
  voter.leases_left(start, NodeSet::of(0), left);
  const double wait = static_cast<double>(left[0].left.ns) / fast;
  assert_true(wait < static_cast<double>(length.ns) / slow);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(the_lease_starts_at_the_quorums_newest_send_time),
      cmocka_unit_test(older_acknowledgements_change_nothing),
      cmocka_unit_test(what_does_not_count),
      cmocka_unit_test(only_members_count),
      cmocka_unit_test(a_new_view_keeps_the_end_and_forgets_the_rest),
      cmocka_unit_test(surrendered_is_over),
      cmocka_unit_test(the_end_never_moves_back),
      cmocka_unit_test(what_is_left_includes_the_drift),
      cmocka_unit_test(a_shorter_renewal_does_not_shorten_what_was_granted),
      cmocka_unit_test(nonsense_lengths_are_refused),
      cmocka_unit_test(a_later_promise_readmits_nobody),
      cmocka_unit_test(the_wait_outlasts_the_lease_at_the_bounds_of_drift),
      cmocka_unit_test(the_wait_outlasts_the_lease_whoever_measured_which_part),
      cmocka_unit_test(the_wait_is_no_longer_than_needed),
  };
  return cmocka_run_group_tests_name("core/lease", tests, nullptr, nullptr);
}
