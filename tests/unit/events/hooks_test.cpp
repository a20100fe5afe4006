// Order, recovery and retry of hooks: outcomes in, what ran out, as golden text.
#include "runtime/events/hooks.hpp"

#include <string>

#include "tests/unit/events/sample.hpp"
// Last: cmocka's macros (fail, …) bite the standard library.
#include "tests/unit/cmocka.hpp"

using namespace vigil;
using namespace vigil::events;

namespace {

// Plays a sequence: outcomes are o (ok), f (failed), t (timed out), consumed step by step. The trace
// has each hook's command, "!" for a retry, and "command(for)" for a recovery; then the failures.
std::string play(const ClusterConfig& config, const HookList& main, const HookList& recovery, const char* outcomes) {
  HookSequence sequence(main, recovery);
  std::string trace;
  while (const auto step = sequence.next()) {
    trace += (trace.empty() ? "" : " ") + config.hooks[step->hook].command.str();
    if (step->retry) trace += "!";
    if (step->recovery_for) trace += "(" + config.hooks[*step->recovery_for].command.str() + ")";
    if (*outcomes == '\0') return trace + " … outcomes used up";
    const char c = *outcomes++;
    sequence.finished(c == 'o' ? HookOutcome::ok : c == 't' ? HookOutcome::timed_out : HookOutcome::failed);
  }
  for (const auto& failure : sequence.failures())
    trace += " " + std::string(failure.outcome == HookOutcome::timed_out ? "late:" : "bad:") +
             config.hooks[failure.hook].command.str();
  return trace + (*outcomes != '\0' ? " … outcomes left" : "");
}

std::unique_ptr<ClusterConfig> hooks_config() {
  auto config = test::sample_config();
  test::add_hook(*config, EventName::node_down, HookStage::post, "c");
  test::add_hook(*config, EventName::node_down, HookStage::pre, "a");
  test::add_hook(*config, EventName::node_up, HookStage::post, "other");
  test::add_hook(*config, EventName::node_down, HookStage::recovery, "r1");
  test::add_hook(*config, EventName::node_down, HookStage::notify, "n");
  test::add_hook(*config, EventName::node_down, HookStage::post, "d");
  test::add_hook(*config, EventName::node_down, HookStage::command, "b");
  test::add_hook(*config, EventName::node_down, HookStage::recovery, "r2");
  return config;
}

void sequences(void**) {
  const auto config = hooks_config();
  const HookList post = hooks_of(*config, EventName::node_down, HookStage::post);
  const HookList whole = hooks_of_event(*config, EventName::node_down);
  const HookList repair = hooks_of(*config, EventName::node_down, HookStage::recovery);
  const HookList none;
  const struct {
    const HookList& main;
    const HookList& recovery;
    const char* outcomes;
    const char* expected;
  } cases[] = {
      {post, repair, "oo", "c d"},
      {whole, repair, "oooo", "a b c d"},
      {none, repair, "", ""},
      {post, none, "fo", "c d bad:c"},
      {post, none, "tf", "c d late:c bad:d"},
      {post, repair,
       "fooo"
       "o",
       "c r1(c) r2(c) c! d"},
      {post, repair,
       "toof"
       "o",
       "c r1(c) r2(c) c! d bad:c"},
      {post, repair,
       "ff"
       "o",
       "c r1(c) d bad:c bad:r1"},
      {post, repair,
       "fot"
       "o",
       "c r1(c) r2(c) d bad:c late:r2"},
      {post, repair,
       "foot"
       "fooo",
       "c r1(c) r2(c) c! d r1(d) r2(d) d! late:c"},
  };
  for (const auto& c : cases) assert_string_equal(play(*config, c.main, c.recovery, c.outcomes).c_str(), c.expected);
}

void selection(void**) {
  const auto config = hooks_config();
  assert_int_equal(hooks_of(*config, EventName::node_down, HookStage::notify).size(), 1);
  assert_int_equal(hooks_of(*config, EventName::node_up, HookStage::post).size(), 1);
  assert_int_equal(hooks_of(*config, EventName::node_up, HookStage::post)[0], 2);
  assert_true(hooks_of(*config, EventName::rg_move, HookStage::post).empty());
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(sequences), cmocka_unit_test(selection)};
  return cmocka_run_group_tests_name("events/hooks", tests, nullptr, nullptr);
}
