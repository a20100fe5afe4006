// What the probe calls an outage, a late answer and a violation, by tables of answers.
#include "tools/bench/probe_log.hpp"

#include <string>

#include "tests/unit/cmocka.hpp"

namespace {

using namespace vigil::bench;

constexpr std::int64_t ms = 1'000'000;

// One letter a request, one request a millisecond: who answers it half a millisecond later; '.' nobody.
ProbeLog log_of(const std::string& answers, ProbeRules rules = {}) {
  ProbeLog log(rules);
  for (std::size_t i = 0; i < answers.size(); ++i) {
    const auto now = static_cast<std::int64_t>(i) * ms;
    log.sent(now);
    if (answers[i] != '.') log.answered(i, std::string(1, answers[i]), now + ms / 2);
  }
  return log;
}

// "start+length/lost from>to" of each outage in milliseconds, seen long behind the last request.
std::string outages_of(const std::string& answers) {
  const ProbeLog log = log_of(answers);
  std::string text;
  for (const Outage& outage : log.outages(static_cast<std::int64_t>(answers.size()) * ms + 1000 * ms)) {
    const auto name = [&](int index) {
      return index < 0 ? std::string("-") : log.servers()[static_cast<std::size_t>(index)];
    };
    text += std::to_string(outage.start_ns / ms) + "+" + std::to_string(outage.length_ns / ms) + "/" +
            std::to_string(outage.lost) + " " + name(outage.from) + ">" + name(outage.to) + ";";
  }
  return text;
}

void outages_are_runs_of_lost_requests(void**) {
  const struct {
    const char* answers;
    const char* outages;
  } cases[] = {{"aaaa", ""},
               {"aa.aa", ""},  // one lost datagram is no outage
               {"aa..aa", "1+3/2 a>a;"},
               {"aa....bb", "1+5/4 a>b;"},
               {"....aa", ""},  // before the first answer nothing was up
               {"aa..a..bb", "1+3/2 a>a;4+3/2 a>b;"},
               {"aa...", "1+1004/3 a>-;"},  // lasts
               {"", ""},
               {"...", ""}};
  for (const auto& one : cases) assert_string_equal(outages_of(one.answers).c_str(), one.outages);
}

void an_answer_behind_its_limit_does_not_shorten_an_outage(void**) {
  ProbeLog log({.answer_limit_ns = 50 * ms});
  for (int i = 0; i < 100; ++i) log.sent(i * ms);
  assert_true(log.answered(0, "a", 1 * ms));
  assert_true(log.answered(99, "b", 100 * ms));
  assert_true(log.answered(40, "a", 110 * ms));  // the thawed node works off its queue
  const auto outages = log.outages(200 * ms);
  assert_int_equal(outages.size(), 1);
  assert_int_equal(outages[0].length_ns, 99 * ms);
  assert_int_equal(log.late_count(), 1);
  assert_int_equal(log.answered_count(), 2);
}

void a_stall_of_the_probe_is_no_outage(void**) {
  ProbeLog log({});
  log.sent(0);
  log.answered(0, "a", 1);
  log.sent(300 * ms);
  log.answered(1, "a", 300 * ms + 1);
  assert_int_equal(log.outages(1000 * ms).size(), 0);
}

void requests_still_in_flight_are_not_lost(void**) {
  ProbeLog log({.answer_limit_ns = 50 * ms});
  for (int i = 0; i < 10; ++i) log.sent(i * ms);
  log.answered(0, "a", ms);
  assert_int_equal(log.outages(20 * ms).size(), 0);
  assert_int_equal(log.outages(200 * ms).size(), 1);
}

void two_serving_in_turns_is_a_violation(void**) {
  const struct {
    std::string answers;
    std::size_t violations;
  } cases[] = {{"aaaa", 0},
               {std::string(200, 'a') + std::string(200, 'b'), 0},
               {std::string(200, 'a') + std::string(200, 'b') + std::string(200, 'a'), 0},  // moved, and moved back
               {std::string(200, 'a') + "b" + std::string(200, 'a'), 1},
               {std::string(200, 'a') + "bab" + std::string(200, 'b'), 2},
               {std::string(200, 'a') + "........" + std::string(300, 'b') + "a" + std::string(300, 'b'), 1}};
  for (const auto& one : cases) assert_int_equal(log_of(one.answers).violations().size(), one.violations);
}

void strange_answers_are_refused_or_counted(void**) {
  ProbeLog log({});
  assert_false(log.answered(0, "a", 0));
  log.sent(0);
  assert_true(log.answered(0, "a", 1));
  assert_true(log.answered(0, "a", 2));
  assert_int_equal(log.duplicate_count(), 1);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(outages_are_runs_of_lost_requests),
      cmocka_unit_test(an_answer_behind_its_limit_does_not_shorten_an_outage),
      cmocka_unit_test(a_stall_of_the_probe_is_no_outage),
      cmocka_unit_test(requests_still_in_flight_are_not_lost),
      cmocka_unit_test(two_serving_in_turns_is_a_violation),
      cmocka_unit_test(strange_answers_are_refused_or_counted),
  };
  return cmocka_run_group_tests_name("bench/probe_log", tests, nullptr, nullptr);
}
