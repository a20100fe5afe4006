// One group's application: the order of starts and stops, the start that waits for its monitor, the
// stop that overtakes a start, the clean-up, and that lanes do not wait for each other.
#include "runtime/agent/group_lane.hpp"

#include "tests/unit/agent/fixture.hpp"
#include "tests/unit/events/sample.hpp"
// Last: cmocka's macros (fail, …) bite the standard library.
#include "tests/unit/cmocka.hpp"

using namespace vigil;
using namespace vigil::agent;
using test::Bench;
using test::content;
using test::Directory;
using test::lives;
using test::outcome_names;
using test::pid_in;

namespace {

// One group with an application; commands run with $D as the test's directory.
struct LaneBench : Bench {
  explicit LaneBench(const char* start, const char* stop, const char* monitor) : config(test::sample_config()) {
    ApplicationConfig& app = config->groups[0].application;
    app.start = with_directory(start);
    app.stop = with_directory(stop);
    if (*monitor != '\0') app.monitor = with_directory(monitor);
    app.start_timeout = Duration::from_ms(1500);
    app.stop_timeout = Duration::from_ms(800);
    app.monitor_timeout = Duration::from_ms(500);
    app.monitor_interval = Duration::from_ms(100);
    lane = std::make_unique<GroupLane>(reactor, *runner, *config, 0, 0, [this](const Monitor::Failure& failure) {
      failures += "g" + std::to_string(failure.generation) + ":" +
                  outcome_names[static_cast<int>(failure.result.outcome)] + " ";
    });
  }
  ~LaneBench() { lane.reset(); }

  Command with_directory(const char* command) const { return Command("D=" + dir.path() + "; " + command); }
  void ask(Verb verb, std::uint32_t generation = 1) {
    AgentRequest request;
    request.verb = verb;
    request.group = 0;
    request.generation = generation;
    const char* names[] = {"start", "stop", "on", "off", "event", "clean"};
    const std::string name = names[static_cast<int>(verb)];
    if (verb == Verb::monitor_on) return lane->monitor_on(request);
    if (verb == Verb::monitor_off) return lane->monitor_off();
    lane->ask(request, [this, name](const LaneResult& result) {
      answers += name + ":" + outcome_names[static_cast<int>(result.outcome)] + " ";
      last = result;
    });
  }
  // Waits until the lane has nothing to do, and returns the answers so far.
  std::string settle() {
    return until([this] { return lane->idle() && runner->idle(); }) ? answers : "stuck: " + answers;
  }
  std::string trace() const { return content(dir / "trace"); }

  Directory dir;
  std::unique_ptr<ClusterConfig> config;
  std::unique_ptr<GroupLane> lane;
  std::string answers;
  std::string failures;
  LaneResult last;
};

constexpr const char* trace_start = "echo start >> $D/trace; touch $D/up";
constexpr const char* trace_stop = "echo stop >> $D/trace; rm -f $D/up";

void started_and_stopped_in_order(void**) {
  LaneBench bench(trace_start, trace_stop, "");
  for (const Verb verb : {Verb::start, Verb::stop, Verb::stop}) {
    bench.ask(verb);
    bench.settle();
  }
  bench.ask(Verb::start);
  bench.settle();
  assert_string_equal(bench.answers.c_str(), "start:ok stop:ok stop:ok start:ok ");
  assert_string_equal(bench.trace().c_str(), "start\nstop\nstop\nstart\n");
  assert_true(bench.lane->may_run());
}

void queued_operations_keep_their_order(void**) {
  LaneBench bench("sleep 0.1; echo start >> $D/trace", "sleep 0.1; echo stop >> $D/trace", "");
  bench.ask(Verb::stop);
  bench.ask(Verb::start);
  bench.ask(Verb::start);
  assert_string_equal(bench.settle().c_str(), "stop:ok start:ok start:ok ");
  assert_string_equal(bench.trace().c_str(), "stop\nstart\nstart\n");
}

void commands_know_what_they_are_run_for(void**) {
  LaneBench bench("echo $VIGIL_ACTION $VIGIL_EVENT $VIGIL_GROUP $VIGIL_GENERATION > $D/said; cat >> $D/said",
                  trace_stop, "");
  bench.ask(Verb::start, 8);
  bench.settle();
  const std::string said = content(bench.dir / "said");
  assert_int_equal(said.find("start start_server web 8\n{\"version\":1,\"action\":\"start\""), 0);
}

void a_failed_start_says_why(void**) {
  LaneBench bench("echo no such thing >&2; exit 4", trace_stop, "");
  bench.ask(Verb::start);
  assert_string_equal(bench.settle().c_str(), "start:failed ");
  assert_int_equal(bench.last.exit_status, 4);
  assert_string_equal(bench.last.text.c_str(), "no such thing");
}

void a_start_is_done_when_its_monitor_succeeds(void**) {
  LaneBench bench("(sleep 0.4; touch $D/up) >/dev/null 2>&1 &", trace_stop, "test -e $D/up");
  bench.ask(Verb::start);
  assert_string_equal(bench.settle().c_str(), "start:ok ");
  assert_true(bench.last.took >= Duration::from_ms(390) && bench.last.took < Duration::from_ms(1400));
}

void a_start_whose_monitor_never_succeeds_times_out(void**) {
  LaneBench bench("true", trace_stop, "echo still down >&2; false");
  bench.ask(Verb::start);
  assert_string_equal(bench.settle().c_str(), "start:timed_out ");
  assert_true(bench.last.took >= Duration::from_ms(1000) && bench.last.took <= Duration::from_ms(2200));
  assert_non_null(std::strstr(bench.last.text.c_str(), "still down"));
}

void a_stop_overtakes_a_running_start(void**) {
  LaneBench bench("sleep 60 & echo $! > $D/child; wait",
                  "test -d /proc/$(cat $D/child) && echo overlap >> $D/trace; echo stop >> $D/trace", "");
  bench.ask(Verb::start);
  assert_true(bench.until([&] { return pid_in(bench.dir / "child") > 0; }));
  bench.ask(Verb::start);
  bench.ask(Verb::stop);
  assert_string_equal(bench.settle().c_str(), "start:killed start:killed stop:ok ");
  assert_string_equal(bench.trace().c_str(), "stop\n");
  assert_false(lives(pid_in(bench.dir / "child")));
  assert_false(bench.lane->may_run());
}

void a_stop_overtakes_a_start_that_waits_for_its_monitor(void**) {
  LaneBench bench("true", trace_stop, "touch $D/probed; false");
  bench.ask(Verb::start);
  assert_true(bench.until([&] { return ::access((bench.dir / "probed").c_str(), F_OK) == 0; }));
  // Between two probes, and within one.
  bench.pass(Duration::from_ms(20));
  bench.ask(Verb::stop);
  assert_string_equal(bench.settle().c_str(), "start:killed stop:ok ");
}

void a_hanging_stop_is_bounded(void**) {
  LaneBench bench(trace_start, "trap '' TERM; sleep 60", "");
  bench.ask(Verb::start);
  bench.ask(Verb::stop);
  assert_string_equal(bench.settle().c_str(), "start:killed stop:timed_out ");
  assert_true(bench.lane->may_run());
}

// What the clean-up does for each answer of the monitor, with a stop that works and one that fails.
void clean_up(void**) {
  const struct {
    const char* monitor;
    const char* stop;
    const char* answer;
    const char* trace;
    bool may_run;
  } cases[] = {
      {"exit 0", "echo stop >> $D/trace", "clean:ok ", "stop\n", false},
      {"exit 0", "echo stop >> $D/trace; exit 1", "clean:failed ", "stop\n", true},
      {"exit 7", "echo stop >> $D/trace; exit 1", "clean:ok ", "", false},
      {"exit 1", "echo stop >> $D/trace", "clean:ok ", "stop\n", false},
      {"exit 1", "echo stop >> $D/trace; exit 1", "clean:ok ", "stop\n", false},
      {"exit 1", "echo stop >> $D/trace; sleep 60", "clean:timed_out ", "stop\n", true},
      {"sleep 60", "echo stop >> $D/trace", "clean:ok ", "stop\n", false},
      {"sleep 60", "echo stop >> $D/trace; exit 1", "clean:failed ", "stop\n", true},
      {"", "echo stop >> $D/trace", "clean:ok ", "stop\n", false},
      {"", "echo stop >> $D/trace; exit 1", "clean:failed ", "stop\n", true},
  };
  for (const auto& c : cases) {
    LaneBench bench(trace_start, c.stop, c.monitor);
    bench.config->groups[0].application.stop_timeout = Duration::from_ms(200);
    bench.config->groups[0].application.monitor_timeout = Duration::from_ms(200);
    bench.lane->assume_running();
    bench.ask(Verb::clean);
    assert_string_equal(bench.settle().c_str(), c.answer);
    assert_string_equal(bench.trace().c_str(), c.trace);
    assert_int_equal(bench.lane->may_run(), c.may_run);
  }
}

void the_monitor_tells_once(void**) {
  LaneBench bench(trace_start, trace_stop, "echo probe >> $D/probes; test -e $D/up");
  bench.ask(Verb::start, 1);
  bench.ask(Verb::monitor_on, 1);  // while it still starts
  assert_string_equal(bench.settle().c_str(), "start:ok ");
  bench.pass(Duration::from_ms(500));
  const std::size_t probes = content(bench.dir / "probes").size() / 6;
  assert_true(probes >= 3 && probes <= 8);
  assert_string_equal(bench.failures.c_str(), "");
  std::filesystem::remove(bench.dir / "up");
  assert_true(bench.until([&] { return !bench.failures.empty(); }, Duration::from_s(1)));
  bench.pass(Duration::from_ms(400));
  assert_string_equal(bench.failures.c_str(), "g1:failed ");
  bench.ask(Verb::monitor_on, 2);
  assert_true(bench.until([&] { return bench.failures == "g1:failed g2:failed "; }, Duration::from_s(1)));
}

void a_hanging_monitor_is_a_failure(void**) {
  LaneBench bench(trace_start, trace_stop, "sleep 60");
  bench.config->groups[0].application.monitor_timeout = Duration::from_ms(150);
  bench.ask(Verb::monitor_on, 4);
  assert_true(bench.until([&] { return !bench.failures.empty(); }, Duration::from_s(2)));
  assert_string_equal(bench.failures.c_str(), "g4:timed_out ");
}

void a_monitor_that_was_switched_off_is_silent(void**) {
  for (const Verb verb : {Verb::monitor_off, Verb::stop}) {
    LaneBench bench(trace_start, trace_stop, "touch $D/probed; sleep 0.2; false");
    bench.ask(Verb::monitor_on, 1);
    assert_true(bench.until([&] { return ::access((bench.dir / "probed").c_str(), F_OK) == 0; }));
    bench.ask(verb);
    bench.pass(Duration::from_ms(500));
    assert_string_equal(bench.failures.c_str(), "");
    assert_true(bench.runner->idle());
  }
}

void a_monitor_that_cannot_be_started_accuses_nobody_at_once(void**) {
  LaneBench bench(trace_start, trace_stop, "true");
  bench.ask(Verb::monitor_on, 1);
  for (auto& slot : bench.table.slots()) slot.leader.store(1);
  bench.pass(Duration::from_ms(220));
  for (auto& slot : bench.table.slots()) slot.leader.store(0);
  bench.pass(Duration::from_ms(300));
  assert_string_equal(bench.failures.c_str(), "");
  for (auto& slot : bench.table.slots()) slot.leader.store(1);
  assert_true(bench.until([&] { return bench.failures == "g1:failed "; }, Duration::from_s(2)));
}

void monitors_are_spread(void**) {
  const Duration interval = Duration::from_s(10);
  std::vector<std::int64_t> phases;
  for (GroupIndex i = 0; i < limits::max_groups; ++i) phases.push_back(Monitor::phase_of(i, interval).ns);
  std::sort(phases.begin(), phases.end());
  assert_true(phases.front() >= 0 && phases.back() < interval.ns);
  for (std::size_t i = 1; i < phases.size(); ++i)
    assert_true(phases[i] - phases[i - 1] >= interval.ns / static_cast<std::int64_t>(limits::max_groups * 4));
}

void shutting_down_stops_what_may_run(void**) {
  const auto shut_down = [](LaneBench& bench) {
    std::string said = "nothing";
    bench.lane->shut_down([&](const LaneResult& r) { said = outcome_names[static_cast<int>(r.outcome)]; });
    bench.settle();
    bench.ask(Verb::start);
    return said + " " + bench.settle() + bench.trace();
  };
  LaneBench never(trace_start, trace_stop, "");
  assert_string_equal(shut_down(never).c_str(), "ok start:killed ");
  LaneBench running(trace_start, trace_stop, "");
  running.ask(Verb::start);
  running.settle();
  assert_string_equal(shut_down(running).c_str(), "ok start:ok start:killed start\nstop\n");
  LaneBench starting("echo start >> $D/trace; sleep 60", trace_stop, "");
  starting.ask(Verb::start);
  assert_true(starting.until([&] { return !starting.trace().empty(); }));
  assert_string_equal(shut_down(starting).c_str(), "ok start:killed start:killed start\nstop\n");
  LaneBench unknown(trace_start, trace_stop, "exit 7");
  unknown.lane->assume_running();
  assert_string_equal(shut_down(unknown).c_str(), "ok start:killed ");
  LaneBench stopping(trace_start, "sleep 0.2; echo stop >> $D/trace", "");
  stopping.lane->assume_running();
  stopping.ask(Verb::stop);
  assert_string_equal(shut_down(stopping).c_str(), "ok stop:ok start:killed stop\n");
}

void a_group_without_application_is_always_done(void**) {
  Bench bench;
  auto config = test::sample_config();
  config->groups[0].application = ApplicationConfig{};
  GroupLane lane(bench.reactor, *bench.runner, *config, 0, 0, [](const Monitor::Failure&) {});
  int done = 0;
  for (const Verb verb : {Verb::start, Verb::stop, Verb::clean}) {
    AgentRequest request;
    request.verb = verb;
    request.group = 0;
    lane.ask(request, [&](const LaneResult& result) { done += result.outcome == Outcome::ok ? 1 : 0; });
  }
  assert_int_equal(done, 3);
  assert_false(lane.may_run());
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(started_and_stopped_in_order),
                              cmocka_unit_test(queued_operations_keep_their_order),
                              cmocka_unit_test(commands_know_what_they_are_run_for),
                              cmocka_unit_test(a_failed_start_says_why),
                              cmocka_unit_test(a_start_is_done_when_its_monitor_succeeds),
                              cmocka_unit_test(a_start_whose_monitor_never_succeeds_times_out),
                              cmocka_unit_test(a_stop_overtakes_a_running_start),
                              cmocka_unit_test(a_stop_overtakes_a_start_that_waits_for_its_monitor),
                              cmocka_unit_test(a_hanging_stop_is_bounded),
                              cmocka_unit_test(clean_up),
                              cmocka_unit_test(the_monitor_tells_once),
                              cmocka_unit_test(a_hanging_monitor_is_a_failure),
                              cmocka_unit_test(a_monitor_that_was_switched_off_is_silent),
                              cmocka_unit_test(a_monitor_that_cannot_be_started_accuses_nobody_at_once),
                              cmocka_unit_test(monitors_are_spread),
                              cmocka_unit_test(shutting_down_stops_what_may_run),
                              cmocka_unit_test(a_group_without_application_is_always_done)};
  return cmocka_run_group_tests_name("agent/group_lane", tests, nullptr, nullptr);
}
