#include "runtime/loop/lateness.hpp"

#include "tests/unit/cmocka.hpp"

using namespace vigil;

namespace {

constexpr Instant at_ms(std::int64_t ms) { return Instant{ms * 1'000'000}; }

struct Wait {
  std::int64_t slept_from_ms;
  std::int64_t deadline_ms;  // -1: never
  std::int64_t woke_ms;
  std::int64_t late_ms;  // expected
};

void each_wait_is_judged(void**) {
  const Wait waits[] = {
      {0, 10, 10, 0},           // on time; nothing before it to be away from
      {10, 20, 23, 3},          // woke behind the deadline
      {23, 30, 25, 0},          // something came before the deadline
      {40, 50, 50, 15},         // 15 ms in the handlers: away from the kernel
      {50, 40, 55, 15},         // the deadline was past already: counted from it
      {55, -1, 900, 0},         // nothing armed, nothing missed
      {900, 910, 1910, 1000},   // stopped for a second while it slept
      {2410, 2420, 2420, 500},  // stopped for half a second while it worked
  };
  LatenessMeter meter(Duration::from_ms(5));
  for (const Wait& wait : waits) {
    const Instant deadline = wait.deadline_ms < 0 ? Instant::never() : at_ms(wait.deadline_ms);
    const Duration late = meter.observe(at_ms(wait.slept_from_ms), deadline, at_ms(wait.woke_ms));
    assert_int_equal(late.ns, Duration::from_ms(wait.late_ms).ns);
    assert_int_equal(meter.last().ns, late.ns);
  }
  assert_int_equal(meter.wakes(), 8);
  assert_int_equal(meter.late_count(), 4);
  assert_int_equal(meter.worst().ns, Duration::from_ms(1000).ns);
  assert_int_equal(meter.worst_gap().ns, Duration::from_ms(500).ns);
}

void lateness_falls_into_its_power_of_two(void**) {
  const struct {
    std::int64_t late_ns;
    std::size_t bucket;
  } cases[] = {
      {0, 0},     {999, 0},   {1'000, 1},      {1'999, 1},      {2'000, 2},
      {3'999, 2}, {4'000, 3}, {1'023'000, 10}, {1'024'000, 11}, {5'000'000'000'000, LatenessMeter::bucket_count - 1}};
  for (const auto& one : cases) {
    LatenessMeter meter(Duration::from_ms(5));
    meter.observe(Instant{0}, Instant{100}, Instant{100 + one.late_ns});
    for (std::size_t i = 0; i < LatenessMeter::bucket_count; ++i)
      assert_int_equal(meter.histogram()[i], i == one.bucket ? 1 : 0);
  }
}

void quantiles_come_from_the_histogram(void**) {
  LatenessMeter meter(Duration::from_ms(5));
  assert_int_equal(meter.quantile(0.5).ns, 0);
  Instant now{0};
  for (int i = 0; i < 100; ++i) {
    const Instant deadline = now + Duration::from_ms(1);
    const Instant woke = deadline + (i < 99 ? Duration::from_us(3) : Duration::from_us(700));
    meter.observe(now, deadline, woke);
    now = woke;
  }
  assert_int_equal(meter.quantile(0.5).us(), 4);  // 3 lies in [2, 4)
  assert_int_equal(meter.quantile(0.99).us(), 4);
  assert_int_equal(meter.quantile(1.0).us(), 700);  // never above the worst seen
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(each_wait_is_judged),
      cmocka_unit_test(lateness_falls_into_its_power_of_two),
      cmocka_unit_test(quantiles_come_from_the_histogram),
  };
  return cmocka_run_group_tests_name("loop/lateness", tests, nullptr, nullptr);
}
