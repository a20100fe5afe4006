// The journal in memory: copies that came by several paths are one entry, and the oldest make room.
#include "runtime/node/journal.hpp"
// Last: cmocka's macros (fail, …) bite the standard library.
#include "tests/unit/cmocka.hpp"

using namespace vigil;

namespace {

JournalEntry entry(NodeId node, std::uint64_t sequence, std::int64_t boot_ns = 1'000) {
  JournalEntry made;
  made.node = node;
  made.sequence = sequence;
  made.boot_ns = boot_ns;
  made.text = std::string_view("entry " + std::to_string(sequence));
  return made;
}

void entries_come_in_the_order_of_their_arrival(void**) {
  Journal journal;
  assert_int_equal(journal.first(), 0);
  assert_int_equal(journal.end(), 0);
  assert_true(journal.add(entry(1, 5)));
  assert_true(journal.add(entry(0, 9)));
  assert_true(journal.add(entry(1, 4)));
  assert_int_equal(journal.end(), 3);
  assert_int_equal(journal.at(0).sequence, 5);
  assert_int_equal(journal.at(1).node, 0);
  assert_int_equal(journal.at(2).sequence, 4);
}

void copies_are_one(void**) {
  struct Row {
    JournalEntry second;
    bool is_new;
  };
  const Row rows[] = {
      {entry(1, 5), false},
      {entry(1, 6), true},
      {entry(2, 5), true},         // another node's fifth
      {entry(1, 5, 9'999), true},  // the fifth of another life
  };
  for (const Row& row : rows) {
    Journal journal;
    assert_true(journal.add(entry(1, 5)));
    assert_int_equal(journal.add(row.second), row.is_new);
    assert_int_equal(journal.end(), row.is_new ? 2 : 1);
  }
}

void copies_that_come_a_little_later_are_known_too(void**) {
  Journal journal;
  for (std::uint64_t i = 1; i <= 200; ++i) assert_true(journal.add(entry(1, i)));
  for (std::uint64_t i = 1; i <= 200; ++i) assert_false(journal.add(entry(1, i)));
  assert_int_equal(journal.end(), 200);
}

void the_oldest_make_room(void**) {
  Journal journal;
  constexpr std::uint64_t many = Journal::capacity + 100;
  for (std::uint64_t i = 1; i <= many; ++i) assert_true(journal.add(entry(1, i)));
  assert_int_equal(journal.end(), many);
  assert_int_equal(journal.first(), 100);
  assert_int_equal(journal.at(journal.first()).sequence, 101);
  assert_int_equal(journal.at(journal.end() - 1).sequence, many);
  for (std::uint64_t position = journal.first(); position < journal.end(); ++position)
    assert_int_equal(journal.at(position).sequence, position + 1);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(entries_come_in_the_order_of_their_arrival),
      cmocka_unit_test(copies_are_one),
      cmocka_unit_test(copies_that_come_a_little_later_are_known_too),
      cmocka_unit_test(the_oldest_make_room),
  };
  return cmocka_run_group_tests_name("node/journal", tests, nullptr, nullptr);
}
