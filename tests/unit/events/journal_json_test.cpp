// A journal entry survives the way to JSON and back, and broken lines are refused, not guessed at.
#include "runtime/events/journal_json.hpp"

#include <string>

#include "runtime/base/message.hpp"
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
         a.duration_us == b.duration_us && a.text == b.text && a.view == b.view;
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

JournalEntry accusation() {
  JournalEntry entry = full_entry();
  entry.view.step = ViewStep::accused;
  entry.view.why = Accusation::one_way;
  entry.view.before = {5, 1};
  entry.view.hearing = NodeSet::of(0) | NodeSet::of(2);
  entry.view.heard = NodeSet::of(2);
  entry.view.late_us = 7;
  entry.view.links.push({0, 1, 183'000});
  entry.view.links.push({1, 0, LinkSilence::never});
  return entry;
}

JournalEntry refusal() {
  JournalEntry entry = full_entry();
  entry.view.step = ViewStep::refused;
  entry.view.reason = NackReason::not_ready;
  entry.view.epoch = {6, 0};
  entry.view.before = {5, 1};
  entry.view.heard = NodeSet::of(1);
  return entry;
}

JournalEntry round(ViewStep step) {
  JournalEntry entry = full_entry();
  entry.view.step = step;
  entry.view.epoch = {6, 63};
  entry.view.before = {5, 1};
  entry.view.members = NodeSet::from_bits(~std::uint64_t{0});
  entry.view.promised = NodeSet::of(63);
  entry.view.refused = NodeSet::of(0);
  entry.view.accepted = NodeSet::of(1);
  entry.view.round = 2;
  entry.view.decide_us = 1;
  entry.view.promise_us = step == ViewStep::committed ? 2 : UINT32_MAX;
  entry.view.accept_us = step == ViewStep::committed ? 3 : UINT32_MAX;
  return entry;
}

JournalEntry installation() {
  JournalEntry entry = full_entry();
  entry.view.step = ViewStep::installed;
  entry.view.epoch = {6, 0};
  entry.view.members = NodeSet::of(0);
  entry.view.lease_us = 32'000;
  return entry;
}

void view_changes(void**) {
  assert_string_equal(to_json(accusation().view).c_str(),
                      R"({"step":"accused","before":5,"before_proposer":2,"why":"one_way","hearing":[1,3],)"
                      R"("heard":[3],"late_us":7,"links":[{"link":0,"by":1,"silent_us":183000},{"link":1,"by":0}]})");
  assert_string_equal(to_json(refusal().view).c_str(),
                      R"({"step":"refused","epoch":6,"proposer":1,"before":5,"before_proposer":2,)"
                      R"("reason":"not_ready","heard":[2]})");
  assert_string_equal(to_json(installation().view).c_str(),
                      R"({"step":"installed","epoch":6,"proposer":1,"before":0,"members":[1],"lease_us":32000})");
  const JournalEntry entries[] = {accusation(), refusal(), round(ViewStep::given_up), round(ViewStep::committed),
                                  installation()};
  for (const JournalEntry& entry : entries) {
    const Result<JournalEntry> again = journal_from_json(to_json(entry, nullptr));
    assert_true(again.ok());
    assert_true(same(*again, entry));
  }
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
      R"({"sequence":1,"kind":"done","view":7})",
      R"({"sequence":1,"kind":"done","view":{"step":"dreamt"}})",
      R"({"sequence":1,"kind":"done","view":{"step":7}})",
      R"({"sequence":1,"kind":"done","view":{"step":"refused","reason":"none"}})",
      R"({"sequence":1,"kind":"done","view":{"step":"accused","hearing":[0]}})",
      R"({"sequence":1,"kind":"done","view":{"step":"accused","hearing":[65]}})",
      R"({"sequence":1,"kind":"done","view":{"step":"accused","links":[{"link":8}]}})",
      R"({"sequence":1,"kind":"done","view":{"step":"accused","links":[1]}})",
      R"({"sequence":1,"kind":"done","view":{"step":"accused","links":[{},{},{},{},{},{},{},{},{}]}})",
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
  const CMUnitTest tests[] = {cmocka_unit_test(golden), cmocka_unit_test(view_changes), cmocka_unit_test(round_trip), cmocka_unit_test(refused),
                              cmocka_unit_test(text_that_is_not_utf8_is_still_written)};
  return cmocka_run_group_tests_name("events/journal_json", tests, nullptr, nullptr);
}
