// The coordinator's desk: who sent what hears back when it is committed, once, and from nobody else.
#include "runtime/core/coordinator.hpp"

#include "tests/unit/core/cluster_text.hpp"
#include "tests/unit/core/peers_fixture.hpp"
// Last: cmocka's macros (fail, …) bite the standard library.
#include "tests/unit/cmocka.hpp"

using namespace vigil;
using namespace vigil::testing;

namespace {

// Three members, group 0 being acquired by node 0, group 1 online on node 1.
struct Fixture {
  Fixture() {
    text.read("nodes alpha beta gamma");
    text.read("network public");
    text.read("adapter * public eth0");
    text.read("group web nodes=alpha,beta,gamma addresses=public fallback=no");
    text.read("group mail nodes=beta,gamma addresses=public fallback=no");
    facts.ready = nodes({0, 1, 2});
    facts.networks_up.fill(0xff);
    record = record_of(text.config(), nodes({0, 1, 2}));
    record.state = initial_state(text.config());
    place(text.config(), record.view, facts, record.state);
    record.state.groups[1].phase = GroupPhase::online;
    desk = std::make_unique<Coordinator>(text.config());
  }
  Fixture& leading() {
    desk->on_committed(record, effects);
    effects.clear();
    return *this;
  }
  // Takes the next state, if there is one, as if it were accepted by a quorum.
  bool round() {
    ClusterState state;
    if (!desk->next_state(facts, state)) return false;
    commit(state);
    return true;
  }
  void commit(const ClusterState& state) {
    ++record.stamp.version;
    record.state = state;
    record.previous = {};
    desk->on_committed(record, effects);
  }
  void report(NodeId from, ReportKind kind, std::uint32_t serial, GroupIndex group = 0) {
    Report news;
    news.group = group;
    news.generation = record.state.groups[group].generation;
    news.kind = kind;
    news.serial = serial;
    desk->on_report(from, news, facts, effects);
  }
  void ask(NodeId from, std::uint64_t id, OperatorVerb verb, GroupIndex group, NodeId node = no_node) {
    desk->on_operator(from, {id, {verb, group, node}}, facts, effects);
  }
  std::size_t acks(NodeId to) const { return sent<ReportAck>(effects, to).size(); }
  std::size_t replies(NodeId to) const { return sent<OperatorReply>(effects, to).size(); }

  ClusterText text;
  NodeFacts facts;
  Record record;
  std::unique_ptr<Coordinator> desk;
  Effects effects;
};

void who_does_not_lead_does_nothing(void**) {
  Fixture f;
  ClusterState state;
  f.report(0, ReportKind::acquired, 7);
  f.ask(2, 1, OperatorVerb::group_offline, 0);
  assert_false(f.desk->next_state(f.facts, state));
  assert_true(f.effects.empty());
  f.leading();
  f.desk->resign();
  f.report(0, ReportKind::acquired, 7);
  assert_false(f.desk->next_state(f.facts, state));
  assert_true(f.effects.empty());
}

void nothing_new_proposes_nothing(void**) {
  Fixture f;
  f.leading();
  assert_false(f.round());
  // … but a record in doubt is followed by one without.
  Fixture joint;
  joint.record.previous = joint.record.view;
  joint.leading();
  assert_true(joint.round());
  assert_false(joint.round());
}

void a_report_is_answered_when_it_is_committed(void**) {
  Fixture f;
  f.leading();
  f.report(0, ReportKind::acquired, 7);
  assert_int_equal(f.acks(0), 0);
  ClusterState state;
  assert_true(f.desk->next_state(f.facts, state));
  assert_int_equal(state.groups[0].phase, GroupPhase::online);
  assert_int_equal(f.acks(0), 0);
  f.report(0, ReportKind::acquired, 7);  // repeated meanwhile
  assert_int_equal(f.acks(0), 0);
  f.commit(state);
  assert_int_equal(f.acks(0), 1);
  assert_int_equal(sent<ReportAck>(f.effects, 0)[0].serial, 7);
  assert_false(f.round());
  // Repeated afterwards: it is committed, so it is answered at once.
  f.report(0, ReportKind::acquired, 7);
  assert_int_equal(f.acks(0), 2);
  assert_false(f.round());
}

void what_came_after_the_proposal_waits_for_the_next(void**) {
  Fixture f;
  f.leading();
  f.report(0, ReportKind::acquired, 7);
  ClusterState first;
  assert_true(f.desk->next_state(f.facts, first));
  f.report(1, ReportKind::application_failed, 9, 1);
  f.commit(first);
  assert_int_equal(f.acks(0), 1);
  assert_int_equal(f.acks(1), 0);
  ClusterState second;
  assert_true(f.desk->next_state(f.facts, second));
  assert_int_equal(second.groups[0].phase, GroupPhase::online);  // the first is not lost
  assert_int_equal(second.groups[1].owner, 2);
  f.commit(second);
  assert_int_equal(f.acks(1), 1);
  assert_int_equal(f.acks(0), 1);
  assert_false(f.round());
}

void stale_reports_are_answered_at_once(void**) {
  Fixture f;
  f.leading();
  Report old;
  old.group = 0;
  old.generation = f.record.state.groups[0].generation - 1;
  old.kind = ReportKind::acquired;
  old.serial = 3;
  f.desk->on_report(0, old, f.facts, f.effects);
  assert_int_equal(f.acks(0), 1);
  f.report(2, ReportKind::acquired, 4);  // of a node that has nothing to do with it
  assert_int_equal(f.acks(2), 1);
  assert_false(f.round());
}

void an_operator_hears_when_it_is_committed(void**) {
  Fixture f;
  f.leading();
  f.ask(2, 11, OperatorVerb::move_group, 1, 2);
  assert_int_equal(f.replies(2), 0);
  ClusterState state;
  assert_true(f.desk->next_state(f.facts, state));
  f.ask(2, 11, OperatorVerb::move_group, 1, 2);
  assert_int_equal(f.replies(2), 0);
  f.commit(state);
  assert_int_equal(f.replies(2), 1);
  const OperatorReply reply = sent<OperatorReply>(f.effects, 2).at(0);
  assert_true(reply.accepted);
  assert_int_equal(reply.id, 11);
  assert_false(reply.text.empty());
  assert_int_equal(f.record.state.groups[1].owner, 2);
}

void refusals_are_told_at_once_and_change_nothing(void**) {
  Fixture f;
  f.leading();
  f.ask(2, 11, OperatorVerb::move_group, 1, 0);  // alpha may not run mail
  assert_int_equal(f.replies(2), 1);
  assert_false(sent<OperatorReply>(f.effects, 2).at(0).accepted);
  assert_false(sent<OperatorReply>(f.effects, 2).at(0).text.empty());
  assert_false(f.round());
}

void wishes_of_several_are_answered_each(void**) {
  Fixture f;
  f.leading();
  f.ask(1, 1, OperatorVerb::group_offline, 0);
  f.ask(2, 1, OperatorVerb::group_offline, 1);
  f.report(0, ReportKind::acquired, 5);
  assert_true(f.round());
  assert_int_equal(f.replies(1), 1);
  assert_int_equal(f.replies(2), 1);
  assert_false(f.record.state.groups[0].wanted);
  assert_false(f.record.state.groups[1].wanted);
}

// What was not committed when the lead was lost is nobody's: whoever sent it repeats it.
void resigning_forgets(void**) {
  Fixture f;
  f.leading();
  f.report(0, ReportKind::acquired, 7);
  f.ask(2, 11, OperatorVerb::group_offline, 1);
  ClusterState state;
  assert_true(f.desk->next_state(f.facts, state));
  f.desk->resign();
  assert_false(f.desk->next_state(f.facts, state));
  // Leading again, in another epoch: the draft is that of the record, and nobody is owed anything.
  f.record.stamp = {{9, 0}, 1};
  f.leading();
  assert_false(f.round());
  assert_int_equal(f.acks(0), 0);
  assert_int_equal(f.replies(2), 0);
  assert_true(f.record.state.groups[1].wanted);
}

void a_new_epoch_of_ours_forgets_too(void**) {
  Fixture f;
  f.leading();
  f.report(0, ReportKind::acquired, 7);
  f.record.stamp = {{9, 0}, 1};
  f.desk->on_committed(f.record, f.effects);
  assert_int_equal(f.acks(0), 0);
  assert_false(f.round());
}

// More than it can remember is not answered, so it is repeated, and taken then.
void nothing_is_lost_for_want_of_room(void**) {
  Fixture f;
  f.leading();
  for (std::uint64_t id = 1; id <= 40; ++id)
    f.ask(2, id, id % 2 == 1 ? OperatorVerb::group_offline : OperatorVerb::group_online, 1);
  assert_true(f.round());
  const std::size_t first = f.replies(2);
  assert_true(first > 0);
  assert_true(first < 40);
  for (int again = 0; again < 10; ++again) {
    for (std::uint64_t id = 1; id <= 40; ++id) {
      bool answered = false;
      for (const OperatorReply& reply : sent<OperatorReply>(f.effects, 2)) answered = answered || reply.id == id;
      if (!answered) f.ask(2, id, id % 2 == 1 ? OperatorVerb::group_offline : OperatorVerb::group_online, 1);
    }
    (void)f.round();
  }
  assert_int_equal(f.replies(2), 40);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(who_does_not_lead_does_nothing),
      cmocka_unit_test(nothing_new_proposes_nothing),
      cmocka_unit_test(a_report_is_answered_when_it_is_committed),
      cmocka_unit_test(what_came_after_the_proposal_waits_for_the_next),
      cmocka_unit_test(stale_reports_are_answered_at_once),
      cmocka_unit_test(an_operator_hears_when_it_is_committed),
      cmocka_unit_test(refusals_are_told_at_once_and_change_nothing),
      cmocka_unit_test(wishes_of_several_are_answered_each),
      cmocka_unit_test(resigning_forgets),
      cmocka_unit_test(a_new_epoch_of_ours_forgets_too),
      cmocka_unit_test(nothing_is_lost_for_want_of_room),
  };
  return cmocka_run_group_tests_name("core/coordinator", tests, nullptr, nullptr);
}
