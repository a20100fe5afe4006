// The arithmetic under every lease: durations, instants that never come, and outlast().
#include "runtime/base/time.hpp"

#include "runtime/base/random.hpp"
#include "runtime/base/timing.hpp"
// Last: cmocka's macros (fail, …) bite the standard library.
#include "tests/unit/cmocka.hpp"

using namespace vigil;

namespace {

void never_stays_never(void**) {
  const Instant never = Instant::never();
  assert_true(never.is_never());
  assert_true((never + Duration::from_s(1)).is_never());
  assert_true((never - Duration::from_s(1)).is_never());
  assert_true((never + Duration::from_s(-1)).is_never());
  assert_false(Instant{0}.is_never());
  assert_true(Instant{0} < never);
  assert_true(earlier(never, Instant{5}) == Instant{5});
  assert_true(later(never, Instant{5}).is_never());
}

void units_agree(void**) {
  assert_true(Duration::from_s(2) == Duration::from_ms(2'000));
  assert_true(Duration::from_ms(3) == Duration::from_us(3'000));
  assert_true(Duration::from_us(4) == Duration::from_ns(4'000));
  assert_int_equal(Duration::from_ms(7).us(), 7'000);
  assert_int_equal(Duration::from_ns(1'999).us(), 1);  // never told longer than it was
  assert_true(Duration::from_ms(2) * 3 - Duration::from_ms(1) == Duration::from_ms(5));
  assert_true(Duration::from_ms(25) / 4 == Duration::from_us(6'250));
}

void comparing_picks_the_right_one(void**) {
  const Duration a = Duration::from_ms(1);
  const Duration b = Duration::from_ms(2);
  assert_true(shorter(a, b) == a);
  assert_true(shorter(b, a) == a);
  assert_true(longer(a, b) == b);
  assert_true(longer(b, a) == b);
  assert_true(earlier(Instant{1}, Instant{2}) == Instant{1});
  assert_true(later(Instant{1}, Instant{2}) == Instant{2});
  assert_true(Instant{7} - Instant{9} == Duration::from_ns(-2));
}

void outlasting_is_enough_and_not_more(void**) {
  // lease / (1 - d) is how long it lasts on the slowest holder's clock, times (1 + d) what the fastest
  // waiter's clock counts meanwhile.
  const std::int64_t up = 100 + drift_percent;
  const std::int64_t down = 100 - drift_percent;
  Random random(1);
  for (int i = 0; i < 100'000; ++i) {
    const std::int64_t lease = i < 1'000 ? i : random.between(1, Duration::from_s(3'600).ns);
    const std::int64_t wait = outlast(Duration::from_ns(lease)).ns;
    assert_true(wait * down >= lease * up);
    assert_true(lease == 0 || (wait - 1) * down < lease * up);
  }
}

void the_profiles_waits(void**) {
  struct Row {
    Profile profile;
    std::int64_t wait_us;
  };
  // As runtime/DESIGN.md section 4 tells them, to the next millisecond.
  const Row rows[] = {
      {Profile::wan, 2'444'444}, {Profile::lan, 195'555}, {Profile::fast, 29'333}, {Profile::realtime, 11'000}};
  for (const Row& row : rows) assert_int_equal(outlast(timing_of(row.profile).lease).us(), row.wait_us);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(never_stays_never),
      cmocka_unit_test(units_agree),
      cmocka_unit_test(comparing_picks_the_right_one),
      cmocka_unit_test(outlasting_is_enough_and_not_more),
      cmocka_unit_test(the_profiles_waits),
  };
  return cmocka_run_group_tests_name("base/time", tests, nullptr, nullptr);
}
