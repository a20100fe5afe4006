// Commands: their outcomes, their output, their end with everything that they started, and that they
// never wait for each other.
#include "runtime/agent/runner.hpp"

#include <map>

#include "tests/unit/agent/fixture.hpp"
// Last: cmocka's macros (fail, …) bite the standard library.
#include "tests/unit/cmocka.hpp"

using namespace vigil;
using namespace vigil::agent;
using test::Bench;
using test::Directory;
using test::lives;
using test::pid_in;

namespace {

RunSpec spec_of(const std::string& command, Duration timeout = Duration::from_s(10)) {
  RunSpec spec;
  spec.name = "test";
  spec.command = command;
  spec.environment = {"PATH=/usr/bin:/bin", "GREETING=hello"};
  spec.timeout = timeout;
  spec.grace = Duration::from_ms(300);
  return spec;
}

RunResult run(Bench& bench, RunSpec spec) {
  RunResult result;
  bool done = false;
  bench.runner->start(std::move(spec), [&](const RunResult& r) {
    result = r;
    done = true;
  });
  if (!bench.until([&] { return done; })) result.text = "never ended";
  return result;
}

void outcomes(void**) {
  Bench bench;
  assert_true(bench.good);
  const struct {
    const char* command;
    Outcome outcome;
    int exit_status;
    const char* text;
  } cases[] = {
      {"true", Outcome::ok, 0, ""},
      {"exit 3", Outcome::failed, 3, ""},
      {"echo out; exit 1", Outcome::failed, 1, "out"},
      {"echo out; echo first >&2; printf 'last\\twords\\n\\n' >&2; exit 1", Outcome::failed, 1, "last words"},
      {"printf unfinished >&2", Outcome::ok, 0, "unfinished"},
      {"kill -KILL $$", Outcome::killed, 137, ""},
      {"no-such-command-here 2>/dev/null", Outcome::failed, 127, ""},
      {"echo $GREETING; test -z \"$HOME\"", Outcome::ok, 0, "hello"},
      {"pwd", Outcome::ok, 0, "/"},
      {"cat", Outcome::ok, 0, "the input"},
      {"ls /proc/self/fd | tr '\\n' ' '", Outcome::ok, 0, "0 1 2 3"},
      {"head -c 3000000 /dev/zero | tr '\\0' x; echo; echo end", Outcome::ok, 0, "end"},
  };
  for (const auto& c : cases) {
    RunSpec spec = spec_of(c.command);
    spec.input = "the input\n";
    const RunResult result = run(bench, std::move(spec));
    assert_int_equal(result.outcome, c.outcome);
    assert_int_equal(result.exit_status, c.exit_status);
    assert_string_equal(result.text.c_str(), c.text);
    assert_true(result.started);
  }
  for (const auto& slot : bench.table.slots()) assert_int_equal(slot.leader.load(), 0);
}

// Grandchildren, one that ignores SIGTERM, and one that fled into a session of its own.
void a_timeout_ends_everything_that_was_started(void**) {
  Bench bench;
  const Directory dir;
  const RunResult result = run(bench, spec_of("cd " + dir.path() +
                                                  "; (sh -c 'echo $$ > grandchild; sleep 60') &"
                                                  " sh -c 'trap \"\" TERM; echo $$ > deaf; while :; do sleep 1; done' &"
                                                  " setsid sh -c 'echo $$ > fled; sleep 60' & "
                                                  " sleep 60",
                                              Duration::from_ms(500)));
  assert_int_equal(result.outcome, Outcome::timed_out);
  for (const char* name : {"grandchild", "deaf", "fled"}) {
    const pid_t pid = pid_in(dir / name);
    assert_true(pid > 0);
    assert_false(lives(pid));
  }
  // SIGTERM at 500 ms, SIGKILL 300 ms later; what died at once did not have to wait.
  assert_true(result.took >= Duration::from_ms(780) && result.took < Duration::from_s(3));
}

void a_timeout_that_is_obeyed_needs_no_grace(void**) {
  Bench bench;
  RunSpec spec = spec_of("trap 'echo leaving >&2; exit 5' TERM; sleep 60 & wait", Duration::from_ms(200));
  spec.grace = Duration::from_s(5);
  const RunResult result = run(bench, std::move(spec));
  assert_int_equal(result.outcome, Outcome::timed_out);
  assert_int_equal(result.exit_status, 5);
  assert_string_equal(result.text.c_str(), "leaving");
  assert_true(result.took < Duration::from_s(2));
}

void one_that_hangs_holds_up_nobody(void**) {
  Bench bench;
  std::map<std::string, RunResult> results;
  const auto start = [&](const std::string& name, const std::string& command) {
    bench.runner->start(spec_of(command, Duration::from_s(2)),
                        [&results, name](const RunResult& result) { results[name] = result; });
  };
  start("hangs", "trap '' TERM; sleep 60");
  start("floods", "yes");
  for (int i = 0; i < 20; ++i) start("quick" + std::to_string(i), "sleep 0.1; echo " + std::to_string(i));
  assert_true(bench.until([&] { return results.size() == 20; }, Duration::from_ms(1500)));
  for (int i = 0; i < 20; ++i) {
    const RunResult& result = results["quick" + std::to_string(i)];
    assert_int_equal(result.outcome, Outcome::ok);
    assert_string_equal(result.text.c_str(), std::to_string(i).c_str());
  }
  assert_true(bench.until([&] { return results.size() == 22; }));
  assert_int_equal(results["hangs"].outcome, Outcome::timed_out);
  assert_int_equal(results["floods"].outcome, Outcome::timed_out);
  assert_true(bench.runner->idle());
}

void what_stays_in_the_background_is_left_alone(void**) {
  Bench bench;
  const Directory dir;
  // A naive daemon: it keeps the output that it inherited, and goes on writing to it.
  const RunResult result = run(bench, spec_of("cd " + dir.path() +
                                              "; (echo $$; i=0; while [ $i -lt 400 ]; do echo noise; echo $i > at; "
                                              "i=$((i+1)); sleep 0.01; done; sleep 30) & echo $! > daemon; echo up"));
  assert_int_equal(result.outcome, Outcome::ok);
  assert_true(result.took < Duration::from_s(1));
  const pid_t daemon = pid_in(dir / "daemon");
  assert_true(lives(daemon));
  bench.pass(Duration::from_ms(300));
  assert_true(lives(daemon));
  // The file is empty for a moment each time it is written.
  assert_true(bench.until([&] { return pid_in(dir / "at") > 5; }, Duration::from_s(3)));
  ::kill(daemon, SIGKILL);
  assert_true(bench.until([&] { return !lives(daemon); }));
}

void cancelled(void**) {
  Bench bench;
  const Directory dir;
  RunResult result;
  bool done = false;
  const RunId id = bench.runner->start(spec_of("echo $$ > " + (dir / "pid") + "; sleep 60"), [&](const RunResult& r) {
    result = r;
    done = true;
  });
  assert_true(bench.until([&] { return pid_in(dir / "pid") > 0; }));
  bench.runner->cancel(id);
  bench.runner->cancel(id);
  bench.runner->cancel(id + 100);
  assert_true(bench.until([&] { return done; }, Duration::from_s(1)));
  assert_int_equal(result.outcome, Outcome::killed);
  assert_false(lives(pid_in(dir / "pid")));
}

void orphans_are_reaped(void**) {
  Bench bench;
  const Directory dir;
  const RunResult result = run(bench, spec_of("(sleep 0.2 & echo $! > " + (dir / "orphan") + ") >/dev/null 2>&1"));
  assert_int_equal(result.outcome, Outcome::ok);
  const pid_t orphan = pid_in(dir / "orphan");
  assert_true(lives(orphan));
  // Gone altogether, not left as a zombie.
  assert_true(bench.until([&] { return ::kill(orphan, 0) != 0; }, Duration::from_s(3)));
}

// The agent is stopped while a command runs (here: the reactor is not turned). On its return the
// command has used up its time through no fault of its own.
void a_stall_of_the_agent_accuses_nobody(void**) {
  Bench bench;
  RunResult result;
  bool done = false;
  bench.runner->start(spec_of("sleep 1.2; echo fine", Duration::from_ms(400)), [&](const RunResult& r) {
    result = r;
    done = true;
  });
  ::usleep(1'000'000);
  assert_true(bench.until([&] { return done; }));
  assert_int_equal(result.outcome, Outcome::ok);
  assert_string_equal(result.text.c_str(), "fine");
}

void too_many_are_refused(void**) {
  Bench bench;
  for (std::size_t i = 0; i < RunTable::capacity; ++i) bench.table.reserve(1, 1);
  const RunResult result = run(bench, spec_of("true"));
  assert_false(result.started);
  assert_int_equal(result.outcome, Outcome::failed);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(outcomes),
                              cmocka_unit_test(a_timeout_ends_everything_that_was_started),
                              cmocka_unit_test(a_timeout_that_is_obeyed_needs_no_grace),
                              cmocka_unit_test(one_that_hangs_holds_up_nobody),
                              cmocka_unit_test(what_stays_in_the_background_is_left_alone),
                              cmocka_unit_test(cancelled),
                              cmocka_unit_test(orphans_are_reaped),
                              cmocka_unit_test(a_stall_of_the_agent_accuses_nobody),
                              cmocka_unit_test(too_many_are_refused)};
  return cmocka_run_group_tests_name("agent/runner", tests, nullptr, nullptr);
}
