// Every profile keeps the inequalities that the protocol's argument uses, and the bound that it promises.
#include "runtime/base/timing.hpp"

#include <initializer_list>
// Last: cmocka's macros (fail, …) bite the standard library.
#include "tests/unit/cmocka.hpp"

using namespace vigil;

namespace {

constexpr Profile profiles[] = {Profile::wan, Profile::lan, Profile::fast, Profile::realtime};

void every_profile_is_sound(void**) {
  for (const Profile profile : profiles) {
    const Timing timing = timing_of(profile);
    assert_true(timing_is_sound(timing));
    // Three renewals may be lost in a row, and the lease holds.
    assert_true(timing.lease > timing.interval * 3);
    assert_true(timing.detection > timing.interval * 3);
    // An earlier suspicion than that may be acted on only later.
    assert_true(timing.detection <= outlast(timing.lease));
    // … and no later than that costs a takeover more than a retry.
    assert_true(outlast(timing.lease) - timing.detection <= timing.interval);
    // A restarted voter waits for the longest lease that anybody may have.
    assert_true(timing.lease <= longest_lease);
    // An expelled node has stopped being acknowledged before it stops its applications for good.
    assert_true(timing.quorum_grace() >= outlast(timing.lease));
  }
}

void what_is_derived_keeps_its_order(void**) {
  for (const Profile profile : profiles) {
    const Timing timing = timing_of(profile);
    assert_true(timing.retry() >= Duration::from_ms(2));
    // A rank's head start covers a whole first round with one repetition.
    assert_true(timing.candidacy_step() > timing.retry() * 2);
    // A held vote is decided before its candidate gives up.
    assert_true(timing.vote_hold() < timing.candidacy_step() * 4);
    // A path counts as down no later than its node, and never for three missed frames.
    assert_true(timing.path_detection() <= timing.detection);
    assert_true(timing.path_detection() >= timing.interval * 3);
    assert_true(timing.lateness_cap() >= timing.detection);
    assert_true(timing.admission() > timing.interval);
  }
}

// Among few nothing changes; among many a message to all has left before it is repeated, at 9 us a frame.
void rounds_among_many_take_longer(void**) {
  for (const Profile profile : profiles) {
    const Timing timing = timing_of(profile);
    assert_true(timing.retry_among(8) == timing.retry());
    assert_true(timing.round_among(8) == timing.candidacy_step() * 4);
    for (const std::size_t nodes : {3U, 16U, 32U, 64U})
      assert_true(timing.round_among(nodes) >= timing.retry_among(nodes) * 3);
  }
  constexpr std::int64_t frames = 63 * 25 * 2;  // a record to 63 peers by two links
  assert_true(timing_of(Profile::lan).retry_among(64) >= Duration::from_us(9) * frames);
}

void unsound_timings_are_seen(void**) {
  const Timing good = timing_of(Profile::lan);
  Timing bad = good;
  bad.lease = bad.interval * 3;
  assert_false(timing_is_sound(bad));
  bad = good;
  bad.detection = bad.interval * 3;
  assert_false(timing_is_sound(bad));
  bad = good;
  bad.detection = outlast(bad.lease) + Duration::from_ns(1);
  assert_false(timing_is_sound(bad));
  bad = good;
  bad.interval = {};
  assert_false(timing_is_sound(bad));
}

// From the crash to the moment when a survivor may serve: the later of the vote's end and the lease's,
// which started at most now, and of the suspicion, counted from the last frame.
void takeover_stays_below_what_the_profile_promises(void**) {
  struct Row {
    Profile profile;
    Duration promised;
  };
  const Row rows[] = {
      {Profile::wan, Duration::from_s(3)},
      {Profile::lan, Duration::from_ms(250)},
      {Profile::fast, Duration::from_ms(35)},
      {Profile::realtime, Duration::from_ms(15)},
  };
  for (const Row& row : rows) {
    const Timing timing = timing_of(row.profile);
    // Two rounds of a few hundred microseconds each, and one repetition.
    const Duration vote = timing.retry() + Duration::from_ms(1);
    assert_true(longer(timing.detection + vote, outlast(timing.lease)) < row.promised);
  }
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(every_profile_is_sound),
      cmocka_unit_test(what_is_derived_keeps_its_order),
      cmocka_unit_test(rounds_among_many_take_longer),
      cmocka_unit_test(unsound_timings_are_seen),
      cmocka_unit_test(takeover_stays_below_what_the_profile_promises),
  };
  return cmocka_run_group_tests_name("base/timing", tests, nullptr, nullptr);
}
