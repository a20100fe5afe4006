// What the journal keeps of a view change: evidence as it was when the node was accused, every vote, the time
// of each step. Whole cores where the evidence must be theirs, ViewNotes alone for what seldom happens.
#include "runtime/core/view_notes.hpp"

#include "tests/unit/core/cluster_rig.hpp"
#include "tests/unit/core/peers_fixture.hpp"
// Last: cmocka's macros (fail, …) bite the standard library.
#include "tests/unit/cmocka.hpp"

using namespace vigil;
using namespace vigil::testing;

namespace {

constexpr Timing lan = timing_of(Profile::lan);
constexpr NodeId alpha = 0, beta = 1, gamma = 2;

std::unique_ptr<ClusterConfig> three_nodes() {
  ClusterText text;
  text.read("nodes alpha beta gamma");
  text.read("network public");
  text.read("network private");
  text.read("adapter * public eth0");
  text.read("adapter * private eth1");
  return std::make_unique<ClusterConfig>(text.config());
}

// In one view, and at rest.
void boot(ClusterRig& rig) {
  for (const NodeId node : {alpha, beta, gamma}) rig.start(node);
  if (!rig.run_until([&] { return rig.settled(nodes({0, 1, 2})); })) bad_text("the cluster does not come up");
  rig.run(Duration::from_ms(300));
}

std::vector<JournalEntry> said(const ClusterRig& rig, std::size_t from, NodeId by, ViewStep step) {
  std::vector<JournalEntry> found;
  for (std::size_t i = from; i < rig.journal().size(); ++i)
    if (rig.journal()[i].node == by && rig.journal()[i].view.step == step) found.push_back(rig.journal()[i]);
  return found;
}

void a_silent_node_is_accused_on_evidence(void**) {
  const auto config = three_nodes();
  ClusterRig rig(*config);
  boot(rig);
  const Epoch before = rig.core(beta).committed().view.epoch;
  const std::size_t from = rig.journal().size();
  rig.mute_adapter(alpha, 1, true);
  rig.run(Duration::from_ms(50));
  rig.crash(alpha);
  rig.run(lan.detection + Duration::from_ms(100));
  for (const NodeId accuser : {beta, gamma}) {
    const auto accused = said(rig, from, accuser, ViewStep::accused);
    assert_int_equal(accused.size(), 1);
    const ViewFacts& facts = accused[0].view;
    assert_int_equal(accused[0].subject, alpha);
    assert_int_equal(static_cast<int>(facts.why), static_cast<int>(Accusation::silent));
    assert_true(facts.before == before);
    assert_int_equal(facts.links.size(), 2);
    const std::uint32_t silence_us = static_cast<std::uint32_t>(accused[0].duration_us);
    assert_true(silence_us >= lan.detection.us() && silence_us < lan.detection.us() + 1000);
    // The link that worked to the end, and the one that fell silent 50 ms and up to an interval earlier.
    // (An acknowledgement is a sign of life too, and may have come after the last heartbeat.)
    const std::uint32_t interval_us = static_cast<std::uint32_t>(lan.interval.us());
    assert_true(facts.links[0].silent_us >= silence_us && facts.links[0].silent_us <= silence_us + interval_us);
    assert_true(facts.links[1].silent_us >= silence_us + 25'000 && facts.links[1].silent_us <= silence_us + 100'000);
    assert_int_equal(facts.late_us, 0);
    assert_false(facts.hearing.has(accuser));
    assert_true(facts.heard.has(accuser));
  }
}

void the_accuser_tells_its_own_lateness(void**) {
  const auto config = three_nodes();
  ClusterRig rig(*config);
  boot(rig);
  const std::size_t from = rig.journal().size();
  rig.crash(alpha);
  rig.run(Duration::from_ms(60));
  rig.feed(beta, event::Late{Duration::from_ms(10)});
  rig.feed(beta, event::Late{Duration::from_ms(7)});
  rig.run(lan.detection * 2);
  const auto beta_said = said(rig, from, beta, ViewStep::accused);
  const auto gamma_said = said(rig, from, gamma, ViewStep::accused);
  assert_int_equal(beta_said.size(), 1);
  assert_int_equal(gamma_said.size(), 1);
  assert_int_equal(beta_said[0].view.late_us, 17'000);
  assert_int_equal(gamma_said[0].view.late_us, 0);
}

void the_votes_and_the_steps_are_told(void**) {
  const auto config = three_nodes();
  ClusterRig rig(*config);
  boot(rig);
  const Epoch before = rig.core(beta).committed().view.epoch;
  const std::size_t from = rig.journal().size();
  rig.crash(gamma);
  rig.run(lan.detection + Duration::from_ms(100));
  const NodeId leader = rig.core(alpha).committed().view.coordinator;
  const auto decided = said(rig, from, leader, ViewStep::committed);
  assert_int_equal(decided.size(), 1);
  const ViewFacts& facts = decided[0].view;
  assert_true(facts.epoch == rig.core(alpha).committed().view.epoch);
  assert_true(facts.before == before);
  assert_true(facts.members == nodes({0, 1}) && facts.promised == facts.members && facts.accepted == facts.members);
  assert_true(facts.refused.empty());
  assert_int_equal(facts.round, 1);
  // Each round is there and back: twice the rig's delay of 200 us.
  assert_int_equal(facts.promise_us, 400);
  assert_int_equal(facts.accept_us, 400);
  assert_int_equal(decided[0].duration_us, facts.decide_us + facts.promise_us + facts.accept_us);
  for (const NodeId node : {alpha, beta}) {
    const auto installed = said(rig, from, node, ViewStep::installed);
    assert_int_equal(installed.size(), 1);
    assert_true(installed[0].view.epoch == facts.epoch && installed[0].view.before == before);
    assert_true(installed[0].view.members == nodes({0, 1}));
    assert_true(installed[0].view.lease_us <= static_cast<std::uint32_t>(outlast(lan.lease).us()));
  }
}

void a_node_that_restarts_is_told_apart(void**) {
  const auto config = three_nodes();
  ClusterRig rig(*config);
  boot(rig);
  const std::size_t from = rig.journal().size();
  rig.start(gamma);
  rig.run(Duration::from_s(5));
  const auto accused = said(rig, from, rig.core(alpha).committed().view.coordinator, ViewStep::accused);
  assert_int_equal(accused.size(), 1);
  assert_int_equal(accused[0].subject, gamma);
  assert_int_equal(static_cast<int>(accused[0].view.why), static_cast<int>(Accusation::restarted));
}

// ---- ViewNotes alone --------------------------------------------------------------------------------

struct Alone {
  Alone() : config(cluster_of(3)), detector(*config, beta), notes(*config, beta) {
    table.self = beta;
    view = view_of(*config, nodes({0, 1, 2}), {5, alpha});
    asked.members = nodes({0, 1, 2});
  }
  void begin(std::uint64_t counter) {
    notes.round_begins(table, detector, view, {counter, beta}, asked, table.now, effects);
  }
  // What was told since last asked, as "step subject reason".
  std::string told() {
    std::string text;
    for (const Effect& effect : effects.items()) {
      const JournalEntry& entry = std::get<effect::Journal>(effect).entry;
      static const char* const steps[] = {"none", "accused", "refused", "given_up", "committed", "installed"};
      text += (text.empty() ? "" : ", ") + std::string(steps[static_cast<std::size_t>(entry.view.step)]);
      if (entry.view.step == ViewStep::refused)
        text += " " + std::to_string(entry.subject) + " " + std::to_string(static_cast<int>(entry.view.reason));
    }
    effects.clear();
    return text;
  }

  std::unique_ptr<ClusterConfig> config;
  PeerTable table;
  Detector detector;
  ViewNotes notes;
  View view;
  DesiredView asked;
  Effects effects;
};

void refusals_are_told_once_with_their_reason(void**) {
  Alone a;
  a.begin(6);
  const Nack hears{{6, beta}, {5, alpha}, NackReason::still_hear_suspect, NodeSet::of(alpha)};
  a.notes.refused(gamma, hears, a.effects);
  const auto& first = std::get<effect::Journal>(a.effects.items().at(0)).entry;
  const bool heard = first.view.heard == NodeSet::of(alpha);
  assert_true(heard);
  assert_string_equal(a.told().c_str(), "refused 2 1");
  a.notes.refused(gamma, hears, a.effects);
  assert_string_equal(a.told().c_str(), "");
  a.notes.refused(gamma, {{6, beta}, {}, NackReason::not_ready, {}}, a.effects);
  a.notes.refused(alpha, hears, a.effects);
  a.notes.refused(gamma, {{4, beta}, {}, NackReason::stale_base, {}}, a.effects);  // of no round under way
  assert_string_equal(a.told().c_str(), "refused 2 2, refused 0 1");
  Record record;
  record.view = a.view;
  a.notes.installed(record, a.view, {}, a.effects);
  a.told();
  a.begin(7);
  (void)a.told();
  a.notes.refused(gamma, {{7, beta}, {}, NackReason::not_ready, {}}, a.effects);
  assert_string_equal(a.told().c_str(), "refused 2 2");
}

void rounds_that_come_to_nothing_are_told_a_few_times(void**) {
  Alone a;
  std::string all;
  for (std::uint64_t round = 6; round < 26; ++round) {
    a.begin(round);
    a.notes.promised({round, beta}, beta);
    all += a.told();
    a.notes.round_over(a.table.now, a.effects);
    all += a.told();
  }
  assert_string_equal(all.c_str(), "given_upgiven_upgiven_upgiven_up");
  // The round that succeeds says how many there were, and who answered this one.
  a.begin(26);
  a.notes.promised({26, beta}, beta);
  a.notes.promised({25, beta}, alpha);  // too late
  a.notes.refused(gamma, {{26, beta}, {}, NackReason::epoch_too_low, {}}, a.effects);
  a.notes.promised({26, beta}, gamma);  // it thought better of it
  a.notes.proposed(a.table.now);
  a.notes.accepted({{26, beta}, 1}, beta);
  a.effects.clear();
  Record record;
  record.stamp = {{26, beta}, 1};
  a.notes.committed(a.table.now, record, a.effects);
  const ViewFacts facts = std::get<effect::Journal>(a.effects.items().at(0)).entry.view;
  assert_int_equal(facts.round, 21);
  assert_true(facts.promised == nodes({1, 2}));
  assert_true(facts.refused.empty());
  assert_true(facts.accepted == nodes({1}));
  a.effects.clear();
  a.notes.round_over(a.table.now, a.effects);  // it is over already
  assert_true(a.effects.empty());
}

// Who comes in is told by those who were there, and by the coordinator; a node that joins saw all of them come.
void who_joins_tells_of_nobody(void**) {
  const auto comings = [](Alone& a) {
    std::size_t count = 0;
    for (const Effect& effect : a.effects.items())
      if (std::get<effect::Journal>(effect).entry.event == EventName::node_up) ++count;
    a.effects.clear();
    return count;
  };
  Alone a;
  Record record;
  record.view = a.view;
  a.notes.installed(record, View{}, {}, a.effects);
  assert_int_equal(comings(a), 0);
  View without_gamma = a.view;
  without_gamma.members = nodes({0, 1});
  without_gamma.incarnations[gamma] = {};
  a.notes.installed(record, without_gamma, {}, a.effects);
  assert_int_equal(comings(a), 1);
  record.view.coordinator = beta;
  a.notes.installed(record, View{}, {}, a.effects);
  assert_int_equal(comings(a), 3);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(a_silent_node_is_accused_on_evidence),
      cmocka_unit_test(the_accuser_tells_its_own_lateness),
      cmocka_unit_test(the_votes_and_the_steps_are_told),
      cmocka_unit_test(a_node_that_restarts_is_told_apart),
      cmocka_unit_test(refusals_are_told_once_with_their_reason),
      cmocka_unit_test(rounds_that_come_to_nothing_are_told_a_few_times),
      cmocka_unit_test(who_joins_tells_of_nobody),
  };
  return cmocka_run_group_tests_name("core/view_notes", tests, nullptr, nullptr);
}
