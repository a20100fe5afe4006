// What must never happen in a holder: a takeover step without each of its proofs, in a table that
// suppresses them one by one; a release that is none; one group held up by another. And: repetition of
// reports, budgets, no allocation.
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <new>
#include <string>

#include "tests/unit/core/holder_rig.hpp"
#include "tests/unit/cmocka.hpp"  // last: it defines fail() as a macro

namespace {
bool counting = false;
std::size_t allocations = 0;
}  // namespace

void* operator new(std::size_t size) {
  if (counting) ++allocations;
  void* memory = std::malloc(size);
  if (memory == nullptr) std::abort();
  return memory;
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

using namespace vigil;
using namespace vigil::testing;

namespace {

constexpr NodeId alpha = 0;
constexpr NodeId beta = 1;
constexpr NodeId gamma_ = 2;

ClusterText cluster(const std::string& group) {
  ClusterText text;
  for (const std::string& line : {std::string("nodes alpha beta gamma"), std::string("network private"),
                                  std::string("network public backup=private"), std::string("adapter * public eth0"),
                                  std::string("adapter * public eth1 standby"), std::string("adapter * private eth2"),
                                  "group web nodes=alpha,beta,gamma " + group})
    if (!text.read(line)) bad_text(line);
  return text;
}

// ---- one proof missing at a time ---------------------------------------------------------------------

struct ProofCase {
  const char* name;
  const char* group;                        // its parts
  std::function<void(HolderRig&)> suppress;  // everything but one proof
  std::function<void(HolderRig&)> supply;    // the missing one; null: nothing short of the operator
};

void release(HolderRig& rig, NodeId from, std::uint32_t generation) {
  rig.holder->on_release(from, HolderRig::incarnation_of(from), generation);
}

const ProofCase proof_cases[] = {
    {"a live owner without its release", "addresses=public",
     [](HolderRig& rig) { rig.assign(beta, NodeSet::of(alpha), GroupReason::operator_move); },
     [](HolderRig& rig) { release(rig, alpha, 2); }},
    {"a live owner, though its lease is long over", "addresses=public app=none",
     [](HolderRig& rig) {
       rig.context.all_leases_over = Instant{0};
       rig.assign(beta, NodeSet::of(alpha), GroupReason::fallback);
     },
     [](HolderRig& rig) { rig.group().unproven = {}; }},
    {"the release of an older generation", "addresses=public",
     [](HolderRig& rig) {
       rig.assign(beta, NodeSet::of(alpha), GroupReason::operator_move);
       release(rig, alpha, 1);
     },
     [](HolderRig& rig) { release(rig, alpha, 2); }},
    {"the release of a generation to come", "addresses=public",
     [](HolderRig& rig) {
       release(rig, alpha, 3);
       rig.assign(beta, NodeSet::of(alpha), GroupReason::operator_move);
     },
     [](HolderRig& rig) { rig.assign(beta, NodeSet::of(alpha), GroupReason::operator_move); }},
    {"the release of another life of the owner", "addresses=public",
     [](HolderRig& rig) {
       rig.assign(beta, NodeSet::of(alpha), GroupReason::operator_move);
       rig.holder->on_release(alpha, {100, 999}, 2);
     },
     [](HolderRig& rig) { release(rig, alpha, 2); }},
    {"the release of somebody else", "addresses=public",
     [](HolderRig& rig) {
       rig.assign(beta, NodeSet::of(alpha), GroupReason::operator_move);
       release(rig, gamma_, 2);
     },
     [](HolderRig& rig) { release(rig, alpha, 2); }},
    {"one of two releases", "addresses=public",
     [](HolderRig& rig) {
       rig.assign(beta, NodeSet::of(alpha) | NodeSet::of(gamma_), GroupReason::node_standby);
       release(rig, gamma_, 2);
     },
     [](HolderRig& rig) { release(rig, alpha, 2); }},
    {"an expelled owner whose lease is not over", "addresses=public app=none",
     [](HolderRig& rig) {
       rig.context.all_leases_over = rig.context.now + Duration::from_s(20);
       rig.expel(alpha);
       rig.assign(beta, NodeSet::of(alpha));
     },
     [](HolderRig& rig) { rig.wait(Duration::from_s(10)); }},
    {"an expelled owner whose lease's end is not known", "addresses=public",
     [](HolderRig& rig) {
       rig.context.all_leases_over = Instant::never();
       rig.expel(alpha);
       rig.assign(beta, NodeSet::of(alpha));
     },
     [](HolderRig& rig) { rig.context.all_leases_over = rig.context.now; }},
    {"a released source and an expelled one whose lease runs", "addresses=public",
     [](HolderRig& rig) {
       rig.context.all_leases_over = rig.context.now + Duration::from_s(20);
       rig.expel(alpha);
       rig.assign(beta, NodeSet::of(alpha) | NodeSet::of(gamma_));
       release(rig, gamma_, 2);
     },
     [](HolderRig& rig) { rig.context.all_leases_over = rig.context.now; }},
    {"state = elsewhere, expelled, lease over, not fenced", "addresses=public app=elsewhere",
     [](HolderRig& rig) {
       rig.expel(alpha);
       rig.assign(beta, NodeSet::of(alpha), GroupReason::unfenced, GroupPhase::blocked);
     },
     [](HolderRig& rig) {
       rig.group().unproven = {};
       rig.group().phase = GroupPhase::acquiring;
     }},
    {"state = disks likewise, even if the record forgot to say blocked", "addresses=public app=disks",
     [](HolderRig& rig) {
       rig.expel(alpha);
       rig.assign(beta, NodeSet::of(alpha), GroupReason::node_failed, GroupPhase::acquiring);
     },
     [](HolderRig& rig) { rig.group().unproven = {}; }},
    {"blocked because the source could not stop", "addresses=public app=none",
     [](HolderRig& rig) {
       rig.assign(beta, NodeSet::of(alpha), GroupReason::stop_failed, GroupPhase::blocked);
     },
     [](HolderRig& rig) {
       release(rig, alpha, 2);
       rig.group().phase = GroupPhase::acquiring;
     }},
    {"no lease of its own", "addresses=public app=none",
     [](HolderRig& rig) {
       rig.context.lease_until = rig.context.now;
       rig.assign(beta);
     },
     [](HolderRig& rig) { rig.regain_lease(); }},
    {"no lease of its own, and no address either", "app=none",
     [](HolderRig& rig) {
       rig.context.lease_until = rig.context.now;
       rig.assign(beta);
     },
     [](HolderRig& rig) { rig.regain_lease(); }},
    {"not the owner", "addresses=public app=none", [](HolderRig& rig) { rig.assign(gamma_); },
     [](HolderRig& rig) { rig.assign(beta); }},
    {"owner by a record that it is no member of", "addresses=public app=none",
     [](HolderRig& rig) {
       rig.assign(beta);
       rig.expel(beta);
     },
     [](HolderRig& rig) { rig.record.view.members.add(beta); }},
};

void no_takeover_step_without_each_proof(void**) {
  for (const ProofCase& row : proof_cases) {
    const ClusterText text = cluster(row.group);
    HolderRig rig(text.config(), beta);
    rig.assign(alpha, {}, GroupReason::first_start, GroupPhase::online);
    rig.advance();
    row.suppress(rig);
    rig.advance();
    rig.wait(Duration::from_s(10));
    const int without = rig.count_takeover_steps() + rig.count_report(ReportKind::acquired);
    row.supply(rig);
    rig.advance();
    const int with = rig.count_takeover_steps();
    if (without != 0 || with == 0) std::fprintf(stderr, "proof missing: %s\n", row.name);
    assert_int_equal(without, 0);
    assert_int_equal(with, 1);
  }
}

// A proof is good for its generation; the next one needs its own.
void a_proof_is_not_carried_into_the_next_generation(void**) {
  const ClusterText text = cluster("addresses=public");
  HolderRig rig(text.config(), beta);
  rig.assign(alpha);
  rig.advance();
  rig.assign(beta, NodeSet::of(alpha), GroupReason::operator_move);
  rig.lose_lease();  // so that it has the proof and has not acted on it
  release(rig, alpha, 2);
  rig.advance();
  rig.assign(alpha, NodeSet::of(beta), GroupReason::operator_move);
  rig.advance();
  rig.assign(beta, NodeSet::of(alpha), GroupReason::operator_move);
  rig.regain_lease();
  rig.wait(Duration::from_s(1));
  const int steps = rig.count_takeover_steps();
  assert_int_equal(steps, 0);
}

// ---- serving -----------------------------------------------------------------------------------------

void bring_up(HolderRig& rig, bool with_application) {
  rig.assign(beta);
  rig.advance();
  rig.address_done(0, true);
  if (with_application) rig.agent_done(effect::AgentVerb::start);
  rig.group().phase = GroupPhase::online;
  rig.advance();
  rig.take();
}

void a_release_is_reported_only_when_all_is_confirmed_off(void**) {
  const ClusterText text = cluster("addresses=public,private app=none");
  HolderRig rig(text.config(), beta);
  rig.assign(beta);
  rig.advance();
  rig.address_done(0, true);
  rig.address_done(1, true);
  rig.agent_done(effect::AgentVerb::start);
  rig.group().phase = GroupPhase::online;
  rig.assign(alpha, NodeSet::of(beta), GroupReason::operator_move);
  rig.advance();
  rig.wait(Duration::from_s(1));
  const int while_stopping = rig.count_report(ReportKind::released);
  const bool idle_while_stopping = rig.holder->idle();
  rig.agent_done(effect::AgentVerb::stop);
  rig.wait(Duration::from_s(1));
  const int with_addresses = rig.count_report(ReportKind::released);
  rig.address_done(0, false);
  rig.wait(Duration::from_s(1));
  const int with_one_address = rig.count_report(ReportKind::released);
  rig.address_done(1, false);
  const int at_last = rig.count_report(ReportKind::released, alpha);
  assert_int_equal(while_stopping + with_addresses + with_one_address, 0);
  assert_false(idle_while_stopping);
  assert_int_equal(at_last, 1);
  assert_true(rig.holder->idle());
  assert_false(rig.holder->wants_lease());
}

void a_hanging_start_holds_up_no_other_group(void**) {
  ClusterText text = cluster("addresses=public app=none");
  if (!text.read("group db nodes=beta addresses=public app=elsewhere")) bad_text("group");
  HolderRig hanging(text.config(), beta, 0);
  HolderRig other(text.config(), beta, 1);
  hanging.assign(beta);
  other.assign(beta);
  hanging.advance();
  other.advance();
  hanging.address_done(0, true);
  other.address_done(0, true);
  other.agent_done(effect::AgentVerb::start);
  hanging.wait(Duration::from_s(9));
  const int of_other = other.count_report(ReportKind::acquired);
  const int of_hanging = hanging.count_report(ReportKind::acquired) + hanging.count_report(ReportKind::start_failed);
  hanging.wait(Duration::from_s(10));  // its time-out and the agent's margin: given up
  const int failed = hanging.count_report(ReportKind::start_failed);
  assert_int_equal(of_other, 1);
  assert_int_equal(of_hanging, 0);
  assert_true(failed > 0);
}

void reports_are_repeated_with_back_off_and_at_once_in_a_new_epoch(void**) {
  const ClusterText text = cluster("addresses=public");
  HolderRig rig(text.config(), beta);
  const Duration retry = text.config().timing.retry();
  rig.assign(beta);
  rig.advance();
  rig.address_done(0, true);
  const int first = rig.count_report(ReportKind::acquired, alpha);
  rig.wait(retry * 3);  // at 1 and 3
  const int soon = rig.count_report(ReportKind::acquired, alpha);
  rig.wait(retry * 1000);
  const int later = rig.count_report(ReportKind::acquired, alpha);
  rig.take();
  rig.record.view.epoch.counter++;
  rig.record.view.coordinator = gamma_;
  rig.advance();
  const int to_the_new_one = rig.count_report(ReportKind::acquired, gamma_);
  rig.group().phase = GroupPhase::online;
  rig.take();
  rig.wait(retry * 1000);
  const int after = rig.count_report(ReportKind::acquired);
  assert_int_equal(first, 1);
  assert_int_equal(soon, 3);
  assert_true(later >= 100 && later <= 110);  // every ten
  assert_int_equal(to_the_new_one, 1);
  assert_int_equal(after, 0);
}

void a_notice_ends_with_its_acknowledgement(void**) {
  const ClusterText text = cluster("addresses=public app=none monitor restarts=3");
  HolderRig rig(text.config(), beta);
  bring_up(rig, true);
  rig.application_failed(1);
  rig.agent_done(effect::AgentVerb::stop);
  rig.agent_done(effect::AgentVerb::start);
  rig.wait(Duration::from_ms(500));
  const int unacknowledged = rig.count_report(ReportKind::restarted);
  rig.holder->on_report_ack(rig.last_serial() + 1);  // somebody else's
  rig.holder->on_report_ack(rig.last_serial());
  rig.take();
  rig.wait(Duration::from_s(5));
  const int acknowledged = rig.count_report(ReportKind::restarted);
  assert_true(unacknowledged > 1);
  assert_int_equal(acknowledged, 0);
}

void restarts_count_within_their_window_alone(void**) {
  const ClusterText text = cluster("addresses=public app=none monitor restarts=2 window=60");
  HolderRig rig(text.config(), beta);
  bring_up(rig, true);
  const auto die = [&] {
    rig.application_failed(1);
    rig.agent_done(effect::AgentVerb::stop);
    rig.agent_done(effect::AgentVerb::start);
  };
  int failures = 0;
  for (int i = 0; i < 10; ++i) {  // twice in any 60 s is allowed
    die();
    rig.wait(Duration::from_s(31));
    failures += rig.count_report(ReportKind::application_failed);
    rig.take();
  }
  die();
  die();
  rig.application_failed(1);
  const int at_last = rig.count_report(ReportKind::application_failed);
  assert_int_equal(failures, 0);
  assert_int_equal(at_last, 1);
}

void the_budget_says_where_the_time_went(void**) {
  const ClusterText text = cluster("addresses=public app=none");
  HolderRig rig(text.config(), beta);
  rig.context.all_leases_over = rig.context.now + Duration::from_ms(50);
  rig.expel(alpha);
  rig.record.detect_us = 180'000;
  rig.assign(beta, NodeSet::of(alpha));
  rig.advance();
  rig.record.agree_us = 900;  // known from the epoch's second record on
  rig.wait(Duration::from_ms(50));
  rig.context.now = rig.context.now + Duration::from_ms(2);
  rig.address_done(0, true);
  rig.context.now = rig.context.now + Duration::from_ms(30);
  rig.take();
  rig.agent_done(effect::AgentVerb::start);
  Budget budget;
  for (const Effect& effect : rig.effects.items())
    if (const auto* send = std::get_if<effect::SendMessage>(&effect))
      if (const auto* report = std::get_if<Report>(&send->message)) budget = report->budget;
  assert_int_equal(budget.detect_us, 180'000);
  assert_int_equal(budget.agree_us, 900);
  assert_int_equal(budget.fence_us, 50'000);
  assert_int_equal(budget.address_us, 2'000);
  assert_int_equal(budget.application_us, 30'000);
}

void a_start_waits_for_the_agent_but_not_for_ever(void**) {
  const ClusterText text = cluster("addresses=public app=none");
  HolderRig rig(text.config(), beta);
  rig.agent_state(false);
  rig.assign(beta);
  rig.advance();
  rig.address_done(0, true);
  rig.wait(Duration::from_s(14));
  const int started = rig.count_agent(effect::AgentVerb::start);
  const int failed_early = rig.count_report(ReportKind::start_failed);
  rig.wait(Duration::from_s(2));
  const int failed = rig.count_report(ReportKind::start_failed);
  assert_int_equal(started, 0);
  assert_int_equal(failed_early, 0);
  assert_true(failed > 0);
}

void a_short_lease_gap_stops_nothing(void**) {
  const ClusterText text = cluster("addresses=public app=none");
  HolderRig rig(text.config(), beta);
  bring_up(rig, true);
  rig.lose_lease();
  rig.advance();
  rig.wait(text.config().timing.quorum_grace() - Duration::from_ms(1));
  rig.regain_lease();
  rig.wait(Duration::from_s(2));
  const int steps = rig.count<effect::RemoveAddress>() + rig.count_agent(effect::AgentVerb::stop);
  assert_int_equal(steps, 0);
}

// An address never moves to another adapter while there is no lease to add it again.
void no_adapter_is_left_without_a_lease(void**) {
  const ClusterText text = cluster("addresses=public");
  HolderRig rig(text.config(), beta);
  bring_up(rig, false);
  rig.lose_lease();
  rig.context.adapter_ok[0] = false;
  rig.advance();
  const int without = rig.count<effect::RemoveAddress>() + rig.count<effect::AddAddress>();
  rig.regain_lease();
  rig.advance();
  rig.address_done(0, false);
  const int with = rig.count<effect::RemoveAddress>() + rig.count<effect::AddAddress>();
  assert_int_equal(without, 0);
  assert_int_equal(with, 2);
}

// Serving on under a later generation that names it again: nothing stops, and "acquired" waits for the
// proofs of that generation.
void a_generation_that_passed_unseen_interrupts_nothing(void**) {
  const ClusterText text = cluster("addresses=public app=none");
  HolderRig rig(text.config(), beta);
  bring_up(rig, true);
  rig.assign(alpha, NodeSet::of(beta));
  rig.assign(beta, NodeSet::of(alpha), GroupReason::operator_move);
  rig.wait(Duration::from_s(1));
  const int stops = rig.count<effect::RemoveAddress>() + rig.count_agent(effect::AgentVerb::stop);
  const int early = rig.count_report(ReportKind::acquired);
  release(rig, alpha, 3);
  rig.advance();
  const int reported = rig.count_report(ReportKind::acquired);
  assert_int_equal(stops, 0);
  assert_int_equal(early, 0);
  assert_int_equal(reported, 1);
}

void an_agents_answer_belongs_to_one_holder(void**) {
  const ClusterText text = cluster("addresses=public app=none");
  HolderRig rig(text.config(), beta);
  rig.assign(beta);
  rig.advance();
  rig.address_done(0, true);
  const bool of_another = rig.holder->on_agent_done(rig.context, {4711, event::AgentOutcome::ok, 0, {}}, rig.effects);
  const bool none = rig.holder->on_agent_done(rig.context, {0, event::AgentOutcome::ok, 0, {}}, rig.effects);
  const bool own = rig.agent_done(effect::AgentVerb::start);
  const bool twice = rig.agent_done(effect::AgentVerb::start);
  assert_false(of_another);
  assert_false(none);
  assert_true(own);
  assert_false(twice);
}

void a_whole_life_allocates_nothing(void**) {
  const ClusterText text = cluster("addresses=public app=none monitor restarts=1");
  HolderRig rig(text.config(), beta);
  allocations = 0;
  counting = true;
  rig.assign(beta);
  rig.advance();
  rig.address_done(0, true);
  rig.agent_done(effect::AgentVerb::start);
  rig.context.adapter_ok[0] = false;
  rig.advance();
  rig.address_done(0, false);
  rig.address_done(0, true);
  rig.application_failed(1);
  rig.agent_done(effect::AgentVerb::stop);
  rig.agent_done(effect::AgentVerb::start);
  rig.application_failed(1);
  rig.address_done(0, false);
  rig.agent_done(effect::AgentVerb::stop, event::AgentOutcome::failed, 1);
  rig.assign(alpha, NodeSet::of(beta));
  rig.wait(Duration::from_s(6));
  rig.agent_done(effect::AgentVerb::stop);
  rig.wait(Duration::from_ms(100));
  counting = false;
  const std::size_t during = allocations;
  const int released = rig.count_report(ReportKind::released);
  assert_int_equal(during, 0);
  assert_true(released > 0);
}

void status_names_the_step_and_the_adapter(void**) {
  const ClusterText text = cluster("addresses=public app=none");
  HolderRig rig(text.config(), beta);
  LocalGroupStatus idle;
  rig.holder->describe(idle);
  bring_up(rig, true);
  LocalGroupStatus serving;
  rig.holder->describe(serving);
  assert_string_equal(idle.step_text.c_str(), "idle");
  assert_int_equal(idle.adapter_of[0], no_index);
  assert_string_equal(serving.step_text.c_str(), "serves");
  assert_int_equal(serving.adapter_of[0], 0);
  assert_int_equal(serving.adapter_of[1], no_index);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(no_takeover_step_without_each_proof),
      cmocka_unit_test(a_proof_is_not_carried_into_the_next_generation),
      cmocka_unit_test(a_release_is_reported_only_when_all_is_confirmed_off),
      cmocka_unit_test(a_hanging_start_holds_up_no_other_group),
      cmocka_unit_test(reports_are_repeated_with_back_off_and_at_once_in_a_new_epoch),
      cmocka_unit_test(a_notice_ends_with_its_acknowledgement),
      cmocka_unit_test(restarts_count_within_their_window_alone),
      cmocka_unit_test(the_budget_says_where_the_time_went),
      cmocka_unit_test(a_start_waits_for_the_agent_but_not_for_ever),
      cmocka_unit_test(a_short_lease_gap_stops_nothing),
      cmocka_unit_test(no_adapter_is_left_without_a_lease),
      cmocka_unit_test(a_generation_that_passed_unseen_interrupts_nothing),
      cmocka_unit_test(an_agents_answer_belongs_to_one_holder),
      cmocka_unit_test(a_whole_life_allocates_nothing),
      cmocka_unit_test(status_names_the_step_and_the_adapter),
  };
  return cmocka_run_group_tests_name("core/group_holder", tests, nullptr, nullptr);
}
