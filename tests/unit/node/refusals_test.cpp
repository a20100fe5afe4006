// What is told about those who are kept out: once, after enough evidence, and not again for a while.
#include "runtime/node/refusals.hpp"

#include <vector>

// Last: its macros clash with the standard library.
#include "tests/unit/cmocka.hpp"

namespace {

using namespace vigil;
using wire::Drop;

Instant now_{Duration::from_s(1000).ns};

bool told(Refusals& refusals, Drop cause, NodeId sender) { return refusals.note(now_, cause, sender).tell; }

int standing(const Refusals& refusals) {
  int count = 0;
  refusals.each([&](const Refusal&) { ++count; });
  return count;
}

void what_is_proven_is_told_at_once_and_once(void**) {
  Refusals refusals;
  assert_true(told(refusals, Drop::duplicate_node_id, 2));
  for (int i = 0; i < 1000; ++i) assert_false(told(refusals, Drop::duplicate_node_id, 2));
  assert_int_equal(standing(refusals), 1);
  assert_true(told(refusals, Drop::duplicate_node_name, 2));  // another cause
  assert_true(told(refusals, Drop::duplicate_node_id, 3));    // another sender
  assert_int_equal(standing(refusals), 3);
}

// One damaged frame is no stranger.
void what_anybody_may_have_sent_needs_more_of_it(void**) {
  Refusals refusals;
  assert_false(told(refusals, Drop::wrong_tag, 1));
  assert_false(told(refusals, Drop::wrong_tag, 1));
  assert_int_equal(standing(refusals), 0);
  const Refusals::Noted third = refusals.note(now_, Drop::wrong_tag, 1);
  assert_true(third.tell);
  assert_int_equal(third.refusal->frames, Refusals::enough);
  assert_int_equal(standing(refusals), 1);
}

void silence_ends_it_and_it_is_not_told_anew_at_once(void**) {
  Refusals refusals;
  int ended = 0;
  const auto expire = [&] { refusals.expire(now_, [&](const Refusal&) { ++ended; }); };
  assert_true(told(refusals, Drop::wrong_name, 1));
  now_ = now_ + Refusals::quiet - Duration::from_ms(1);
  expire();
  assert_int_equal(ended, 0);
  now_ = now_ + Duration::from_ms(1);
  expire();
  assert_int_equal(ended, 1);
  assert_int_equal(standing(refusals), 0);
  assert_false(told(refusals, Drop::wrong_name, 1));  // shown in the status, but no second line
  assert_int_equal(standing(refusals), 1);
  now_ = now_ + Refusals::quiet;
  expire();
  assert_int_equal(ended, 1);  // what was not told is not said to be over
  now_ = now_ + Refusals::retell;
  assert_true(told(refusals, Drop::wrong_name, 1));
}

// Forged senders of every kind do not grow it, and cannot push out what is there.
void it_is_bounded(void**) {
  Refusals refusals;
  assert_true(told(refusals, Drop::duplicate_node_id, 0));
  for (int sender = 0; sender < 256; ++sender)
    for (int i = 0; i < 5; ++i) told(refusals, Drop::wrong_tag, static_cast<NodeId>(sender));
  assert_int_equal(standing(refusals), Refusals::capacity);
  int proven = 0;
  refusals.each([&](const Refusal& one) { proven += one.cause == Drop::duplicate_node_id ? 1 : 0; });
  assert_int_equal(proven, 1);
}

void weather_is_no_refusal(void**) {
  for (const Drop drop : {Drop::none, Drop::replayed, Drop::late, Drop::reflected, Drop::malformed, Drop::wrong_cluster,
                          Drop::dead_incarnation, Drop::awaits_silence})
    assert_false(Refusals::is_refusal(drop));
  for (std::size_t i = 0; i < wire::drop_count; ++i)
    if (Refusals::is_unproven(static_cast<Drop>(i))) assert_true(Refusals::is_refusal(static_cast<Drop>(i)));
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(what_is_proven_is_told_at_once_and_once),
      cmocka_unit_test(what_anybody_may_have_sent_needs_more_of_it),
      cmocka_unit_test(silence_ends_it_and_it_is_not_told_anew_at_once),
      cmocka_unit_test(it_is_bounded),
      cmocka_unit_test(weather_is_no_refusal),
  };
  return cmocka_run_group_tests_name("node/refusals", tests, nullptr, nullptr);
}
