// Hooks as they really run: order, recovery and retry, notify, time-outs, queues.
#include "runtime/agent/hook_lane.hpp"

#include "tests/unit/agent/fixture.hpp"
#include "tests/unit/events/sample.hpp"
// Last: cmocka's macros (fail, …) bite the standard library.
#include "tests/unit/cmocka.hpp"

using namespace vigil;
using namespace vigil::agent;
using test::Bench;
using test::content;
using test::Directory;
using test::outcome_names;

namespace {

struct HookBench : Bench {
  HookBench() : config(test::sample_config()) {
    lane = std::make_unique<HookLane>(*runner, *config, 0, [this](const HookLane::Failure& failure) {
      failures += std::to_string(failure.hook) + ":" + outcome_names[static_cast<int>(failure.result.outcome)] + " ";
    });
  }
  void hook(HookStage stage, const std::string& command, Duration timeout = Duration::from_s(5)) {
    test::add_hook(*config, EventName::node_down, stage, "D=" + dir.path() + "; " + command, timeout);
  }
  void ask(Stage stage, std::uint32_t generation = 0) {
    AgentRequest request;
    request.verb = Verb::event;
    request.event = EventName::node_down;
    request.stage = stage;
    request.subject = 1;
    request.group = 0;
    request.generation = generation;
    lane->ask(request, [this](const LaneResult& result) {
      answers += std::string(outcome_names[static_cast<int>(result.outcome)]) + " ";
      last = result;
    });
  }
  std::string settle() {
    return until([this] { return lane->idle() && runner->idle(); }) ? content(dir / "trace") : "stuck";
  }

  Directory dir;
  std::unique_ptr<ClusterConfig> config;
  std::unique_ptr<HookLane> lane;
  std::string answers;
  std::string failures;
  LaneResult last;
};

void hooks_run_in_order(void**) {
  HookBench bench;
  bench.hook(HookStage::post, "sleep 0.1; echo post1 $VIGIL_EVENT $VIGIL_STAGE $VIGIL_SUBJECT >> $D/trace");
  bench.hook(HookStage::pre, "echo pre $VIGIL_STAGE >> $D/trace");
  bench.hook(HookStage::post, "echo post2 >> $D/trace");
  bench.ask(Stage::post);
  assert_string_equal(bench.settle().c_str(), "post1 node_down post beta\npost2\n");
  bench.ask(Stage::whole);
  assert_string_equal(bench.settle().c_str(),
                      "post1 node_down post beta\npost2\npre pre\npost1 node_down post beta\npost2\n");
  assert_string_equal(bench.answers.c_str(), "ok ok ");
}

void an_event_without_hooks_is_answered_at_once(void**) {
  HookBench bench;
  bench.ask(Stage::post);
  assert_string_equal(bench.answers.c_str(), "ok ");
}

void events_keep_their_order(void**) {
  HookBench bench;
  // The earlier the event, the slower its hook.
  bench.hook(HookStage::post, "sleep 0.0$((9 - 2 * VIGIL_GENERATION)); echo $VIGIL_GENERATION >> $D/trace");
  for (std::uint32_t i = 0; i < 4; ++i) bench.ask(Stage::post, i);
  assert_string_equal(bench.settle().c_str(), "0\n1\n2\n3\n");
  assert_string_equal(bench.answers.c_str(), "ok ok ok ok ");
}

void a_recovery_repairs_and_the_hook_runs_again(void**) {
  HookBench bench;
  bench.hook(HookStage::post, "echo try >> $D/trace; test -e $D/repaired");
  bench.hook(
      HookStage::recovery,
      "echo repair $VIGIL_FAILED_STAGE $VIGIL_FAILED_OUTCOME $VIGIL_FAILED_STATUS >> $D/trace; touch $D/repaired");
  bench.hook(HookStage::post, "echo next >> $D/trace");
  bench.ask(Stage::post);
  assert_string_equal(bench.settle().c_str(), "try\nrepair post failed 1\ntry\nnext\n");
  assert_string_equal(bench.answers.c_str(), "ok ");
  assert_string_equal(bench.failures.c_str(), "");
}

void what_cannot_be_repaired_is_reported(void**) {
  HookBench bench;
  bench.hook(HookStage::post, "echo try >> $D/trace; echo broken >&2; exit 9");
  bench.hook(HookStage::recovery, "echo repair >> $D/trace");
  bench.hook(HookStage::post, "echo next >> $D/trace");
  bench.ask(Stage::post);
  assert_string_equal(bench.settle().c_str(), "try\nrepair\ntry\nnext\n");
  assert_string_equal(bench.answers.c_str(), "failed ");
  assert_string_equal(bench.failures.c_str(), "0:failed ");
  assert_int_equal(bench.last.exit_status, 9);
  assert_non_null(std::strstr(bench.last.text.c_str(), "broken"));
}

void a_recovery_that_fails_is_reported_too(void**) {
  HookBench bench;
  bench.hook(HookStage::post, "sleep 60", Duration::from_ms(100));
  bench.hook(HookStage::recovery, "echo $VIGIL_FAILED_OUTCOME >> $D/trace; exit 1");
  bench.ask(Stage::post);
  assert_string_equal(bench.settle().c_str(), "timed_out\n");
  assert_string_equal(bench.answers.c_str(), "timed_out ");
  assert_string_equal(bench.failures.c_str(), "0:timed_out 1:failed ");
}

void nobody_waits_for_notify(void**) {
  HookBench bench;
  bench.hook(HookStage::notify, "sleep 0.3; echo slow >> $D/trace");
  bench.hook(HookStage::notify, "echo quick >> $D/trace");
  bench.hook(HookStage::notify, "exit 1");
  bench.ask(Stage::notify);
  assert_string_equal(bench.answers.c_str(), "ok ");
  assert_string_equal(bench.settle().c_str(), "quick\nslow\n");
  assert_string_equal(bench.failures.c_str(), "2:failed ");
}

void the_queue_is_bounded(void**) {
  HookBench bench;
  bench.hook(HookStage::post, "sleep 60");
  for (std::size_t i = 0; i < HookLane::queue_limit + 1; ++i) bench.ask(Stage::post);
  assert_string_equal(bench.answers.c_str(), "");
  bench.ask(Stage::post);
  assert_string_equal(bench.answers.c_str(), "failed ");
  bench.lane->shut_down();
  bench.runner->cancel_all();
  assert_true(bench.until([&] { return bench.lane->idle(); }));
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(hooks_run_in_order),
                              cmocka_unit_test(an_event_without_hooks_is_answered_at_once),
                              cmocka_unit_test(events_keep_their_order),
                              cmocka_unit_test(a_recovery_repairs_and_the_hook_runs_again),
                              cmocka_unit_test(what_cannot_be_repaired_is_reported),
                              cmocka_unit_test(a_recovery_that_fails_is_reported_too),
                              cmocka_unit_test(nobody_waits_for_notify),
                              cmocka_unit_test(the_queue_is_bounded)};
  return cmocka_run_group_tests_name("agent/hook_lane", tests, nullptr, nullptr);
}
