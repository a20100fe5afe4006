// A journal entry survives the way to JSON and back, and broken lines are refused, not guessed at.
#include "runtime/events/journal_json.hpp"

#include <string>

#include "tests/unit/events/sample.hpp"
// Last: cmocka's macros (fail, …) bite the standard library.
#include "tests/unit/cmocka.hpp"

using namespace vigil;
using namespace vigil::events;

namespace {

JournalEntry full_entry() {
  JournalEntry entry;
  entry.sequence = 7;
  entry.node = 0;
  entry.wall_ns = 1'735'787'045'000'006'000;
  entry.boot_ns = 99;
  entry.kind = JournalKind::decided;
  entry.event = EventName::node_down;
  entry.stamp = Stamp{Epoch{5, 1}, 2};
  entry.group = 0;
  entry.generation = 3;
  entry.subject = 1;
  entry.network = 0;
  entry.adapter = 0;
  entry.duration_us = 120;
  entry.text = "beta is out: \"silent\"";
  return entry;
}

bool same(const JournalEntry& a, const JournalEntry& b) {
  return a.sequence == b.sequence && a.node == b.node && a.wall_ns == b.wall_ns && a.boot_ns == b.boot_ns &&
         a.kind == b.kind && a.event == b.event && a.stamp == b.stamp && a.group == b.group &&
         a.generation == b.generation && a.subject == b.subject && a.network == b.network && a.adapter == b.adapter &&
         a.duration_us == b.duration_us && a.text == b.text;
}

void golden(void**) {
  const auto config = test::sample_config();
  assert_string_equal(
      to_json(full_entry(), config.get()).c_str(),
      R"({"sequence":7,"node":1,"node_name":"alpha","time":"2025-01-02T03:04:05.000006Z",)"
      R"("wall_ns":1735787045000006000,"boot_ns":99,"kind":"decided","event":"node_down","epoch":5,"proposer":2,)"
      R"("record":2,"group":0,"group_name":"web","generation":3,"subject":2,"subject_name":"beta","network":0,)"
      R"("network_name":"public","adapter":0,"duration_us":120,"text":"beta is out: \"silent\""})");
}

void round_trip(void**) {
  const auto config = test::sample_config();
  JournalEntry bare;
  bare.sequence = 1;
  for (const JournalEntry& entry : {full_entry(), bare}) {
    for (const ClusterConfig* names :
         {static_cast<const ClusterConfig*>(config.get()), static_cast<const ClusterConfig*>(nullptr)}) {
      const Result<JournalEntry> again = journal_from_json(to_json(entry, names));
      assert_true(again.ok());
      assert_true(same(*again, entry));
    }
  }
}

void refused(void**) {
  const char* lines[] = {
      "",
      "{",
      "[]",
      "7",
      "{}",
      R"({"sequence":-1,"kind":"done"})",
      R"({"sequence":1,"kind":"dreamt"})",
      R"({"sequence":1,"kind":"done","event":"no_such"})",
      R"({"sequence":1,"kind":"done","node":65})",
      R"({"sequence":1,"kind":"done","node":"alpha"})",
      R"({"sequence":1,"kind":"done","group":256})",
      R"({"sequence":1,"kind":"done","text":5})",
      R"({"sequence":1,"kind":"done","wall_ns":1.5})",
      R"({"sequence":1,"kind":"done","text":"cut)",
  };
  for (const char* line : lines) assert_false(journal_from_json(line).ok());
  assert_true(journal_from_json(R"({"sequence":1,"kind":"done","later":"member"})").ok());
}

void text_that_is_not_utf8_is_still_written(void**) {
  JournalEntry entry = full_entry();
  entry.text = "bad \xc3";
  assert_true(journal_from_json(to_json(entry, nullptr)).ok());
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(golden), cmocka_unit_test(round_trip), cmocka_unit_test(refused),
                              cmocka_unit_test(text_that_is_not_utf8_is_still_written)};
  return cmocka_run_group_tests_name("events/journal_json", tests, nullptr, nullptr);
}
