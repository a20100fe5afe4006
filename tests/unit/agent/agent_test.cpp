// The agent as a whole, in this process: packets in, packets out, over a real socket.
#include "runtime/agent/agent.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>

#include <array>

#include "tests/unit/agent/fixture.hpp"
#include "tests/unit/events/sample.hpp"
// Last: cmocka's macros (fail, …) bite the standard library.
#include "tests/unit/cmocka.hpp"

using namespace vigil;
using namespace vigil::agent;
using test::Bench;
using test::content;
using test::Directory;

namespace {

struct AgentBench : Bench, test::VigildEnd {
  AgentBench() : config(test::sample_config()) {
    ApplicationConfig& app = config->groups[0].application;
    app.start = command("echo start >> $D/trace");
    app.stop = command("echo stop >> $D/trace");
    GroupConfig second = config->groups[0];
    second.name = "db";
    second.application.start = command("echo start db >> $D/trace; sleep 60");
    second.application.stop = command("echo stop db >> $D/trace");
    config->groups.push(second);
    GroupConfig elsewhere = config->groups[0];
    elsewhere.name = "elsewhere";
    elsewhere.nodes.clear();
    elsewhere.nodes.push(1);
    config->groups.push(elsewhere);
  }
  ~AgentBench() { agent.reset(); }

  Command command(const std::string& text) const { return Command("D=" + dir.path() + "; " + text); }

  bool open(std::uint32_t as_session = 1) {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) return false;
    socket = OwnedFd(ends[0]);
    agent = std::make_unique<Agent>(reactor, *runner, *config, AgentOptions{0, as_session, dir.path()},
                                    OwnedFd(ends[1]));
    return agent->open().ok();
  }

  bool hears(const std::string& expected, Duration limit = Duration::from_s(5)) {
    return tell_unless(until([&] { return heard_exactly(expected); }, limit));
  }
  std::string trace() const { return content(dir / "trace"); }

  Directory dir;
  std::unique_ptr<ClusterConfig> config;
  std::unique_ptr<Agent> agent;
};

// What an earlier life ran, and may still run, is not known: nothing counts as clean.
void nothing_is_clean_before_leftovers_are_gone(void**) {
  AgentBench bench;
  const std::string table = bench.dir / "runs.unreadable";
  std::filesystem::create_directory(table);
  assert_true(bench.open());
  assert_true(bench.hears("hello1 "));
  bench.ask(Verb::clean, no_index, 11);
  assert_true(bench.hears("hello1 11:failed/event_error "));
  assert_non_null(std::strstr(bench.last.text.str().c_str(), "runs.unreadable"));
  assert_string_equal(bench.trace().c_str(), "");
  std::filesystem::remove(table);
  bench.ask(Verb::clean, no_index, 12);
  assert_true(bench.hears("hello1 11:failed/event_error 12:ok "));
  assert_int_equal(bench.trace().size(), std::strlen("stop\nstop db\n"));  // side by side, in any order
}

void requests_are_answered(void**) {
  AgentBench bench;
  assert_true(bench.open());
  assert_true(bench.hears("hello1 "));
  bench.ask(Verb::start, 0, 11);
  assert_true(bench.hears("hello1 11:ok "));
  assert_int_equal(bench.last.verb, Verb::start);
  assert_int_equal(bench.last.group, 0);
  assert_true(bench.last.took_ns > 0);
  bench.ask(Verb::stop, 0, 12);
  assert_true(bench.hears("hello1 11:ok 12:ok "));
  assert_string_equal(bench.trace().c_str(), "start\nstop\n");
}

// I7: group db hangs in its start; web goes on, and so do db's own hooks.
void a_hanging_group_holds_up_no_other(void**) {
  AgentBench bench;
  test::add_hook(*bench.config, EventName::node_down, HookStage::post, "true");
  assert_true(bench.open());
  bench.ask(Verb::start, 1, 1);
  assert_true(bench.until([&] { return bench.trace() == "start db\n"; }));
  bench.ask(Verb::start, 0, 2);
  assert_true(bench.hears("hello1 2:ok ", Duration::from_s(2)));
  bench.ask(Verb::event, 1, 3);
  assert_true(bench.hears("hello1 2:ok 3:ok ", Duration::from_s(2)));
  bench.ask(Verb::stop, 1, 4);
  assert_true(bench.hears("hello1 2:ok 3:ok 1:killed 4:ok "));
}

// I7: neither waits for the other.
void the_tie_breaker_is_used_beside_a_hanging_group(void**) {
  AgentBench bench;
  bench.config->quorum.tie_breaker = Path(bench.dir / "tie");
  std::ofstream(bench.dir / "tie").flush();
  assert_true(bench.open());
  bench.ask(Verb::start, 1, 1);
  assert_true(bench.until([&] { return bench.trace() == "start db\n"; }));
  UseTieBreaker use;
  use.session = 1;
  const auto ask = [&](bool win, Epoch epoch, Epoch known) {
    ++use.request;
    use.win = win ? 1 : 0;
    use.epoch = epoch;
    use.known = known;
    bench.send(use);
  };
  ask(true, {5, 0}, {1, 0});
  ask(true, {9, 1}, {4, 0});
  ask(false, {}, {});
  assert_true(bench.hears("hello1 tie1:5 tie2:5 tie3:5 ", Duration::from_s(2)));
  use.session = 2;
  ask(true, {9, 1}, {5, 0});
  assert_true(bench.hears("hello1 tie1:5 tie2:5 tie3:5 tie4:no "));
}

void requests_of_another_session_are_refused(void**) {
  AgentBench bench;
  assert_true(bench.open(2));
  bench.ask(Verb::start, 0, 5, 1);
  bench.ask(Verb::start, 0, 6, 2);
  assert_true(bench.hears("hello2 5:killed 6:ok "));
  assert_string_equal(bench.trace().c_str(), "start\n");
}

void unknown_groups_and_broken_packets_do_no_harm(void**) {
  AgentBench bench;
  assert_true(bench.open());
  bench.ask(Verb::start, 9, 1);
  bench.ask(Verb::start, no_index, 2);
  ::send(bench.socket.get(), "rubbish", 7, 0);
  Hello hello;
  hello.session = 1;
  hello.pid = 1;
  bench.send(hello);
  const std::string huge(2000, 'x');
  ::send(bench.socket.get(), huge.data(), huge.size(), 0);
  bench.ask(Verb::start, 0, 3);
  assert_true(bench.hears("hello1 1:failed/event_error 2:failed/event_error 3:ok "));
}

void clean_stops_the_groups_of_this_node(void**) {
  AgentBench bench;
  assert_true(bench.open());
  bench.ask(Verb::clean, no_index, 1);
  assert_true(bench.hears("hello1 1:ok "));
  const std::string trace = bench.trace();
  assert_true(trace == "stop\nstop db\n" || trace == "stop db\nstop\n");
}

void a_clean_that_fails_says_for_whom(void**) {
  AgentBench bench;
  bench.config->groups[1].application.stop = bench.command("echo stuck >&2; exit 2");
  assert_true(bench.open());
  bench.ask(Verb::clean, no_index, 1);
  assert_true(bench.hears("hello1 1:failed/event_error "));
  assert_int_equal(bench.last.exit_status, 2);
  assert_non_null(std::strstr(bench.last.text.c_str(), "db could not be stopped"));
  assert_non_null(std::strstr(bench.last.text.c_str(), "stuck"));
}

void failures_run_the_hooks_for_failures(void**) {
  AgentBench bench;
  bench.config->groups[0].application.start = bench.command("exit 1");
  test::add_hook(*bench.config, EventName::event_error, HookStage::post,
                 bench.command("echo $VIGIL_GROUP: $VIGIL_REASON >> $D/trace; exit 1").view());
  test::add_hook(*bench.config, EventName::event_error, HookStage::notify,
                 bench.command("echo told >> $D/told").view());
  assert_true(bench.open());
  bench.ask(Verb::start, 0, 1);
  // The hook's own failure is reported and leads no further.
  assert_true(bench.hears("hello1 1:failed/event_error hook0/event_error "));
  bench.pass(Duration::from_ms(200));
  assert_string_equal(bench.trace().c_str(), "web: start of web ended with status 1\n");
  assert_string_equal(content(bench.dir / "told").c_str(), "told\n");
}

void monitors_report_over_the_socket(void**) {
  AgentBench bench;
  bench.config->groups[0].application.monitor = "false";
  bench.config->groups[0].application.monitor_interval = Duration::from_ms(50);
  assert_true(bench.open());
  bench.ask(Verb::monitor_on, 0, 1);
  assert_true(bench.hears("hello1 failed0 "));
  bench.pass(Duration::from_ms(200));
  assert_true(bench.hears("hello1 failed0 "));
}

void journal_entries_are_written(void**) {
  AgentBench bench;
  assert_true(bench.open());
  JournalAppend append;
  append.entry.sequence = 42;
  append.entry.text = "hello";
  bench.send(append);
  assert_true(bench.until([&] {
    const auto read = read_journal(bench.dir.path(), {});
    return read.ok() && read->entries.size() == 1 && read->entries[0].sequence == 42;
  }));
}

void the_end_of_vigild_stops_what_runs(void**) {
  AgentBench bench;
  assert_true(bench.open());
  bench.ask(Verb::start, 0, 1);
  bench.ask(Verb::start, 1, 2);  // still starting when the end comes
  assert_true(bench.hears("hello1 1:ok "));
  assert_true(bench.until([&] { return bench.trace().size() > 10; }));
  bench.ask(Verb::start, 0, 3);  // asked, but void: its asker is dead
  bench.socket.reset();
  bench.reactor.run();
  assert_int_equal(bench.agent->exit_status(), Agent::exit_ok);
  assert_true(bench.runner->idle());
  const std::string trace = bench.trace();
  assert_non_null(std::strstr(trace.c_str(), "\nstop\n"));
  assert_non_null(std::strstr(trace.c_str(), "stop db\n"));
  assert_int_equal(trace.size(), std::string("start\nstart db\nstop\nstop db\n").size());
}

void an_application_that_does_not_stop_is_told_by_the_exit_status(void**) {
  AgentBench bench;
  bench.config->groups[0].application.stop = "exit 1";
  assert_true(bench.open());
  bench.ask(Verb::start, 0, 1);
  assert_true(bench.hears("hello1 1:ok "));
  bench.agent->shut_down("test");
  bench.reactor.run();
  assert_int_equal(bench.agent->exit_status(), Agent::exit_not_stopped);
}

// A successor that finds vigild gone stops what its predecessor may have started.
void a_successor_stops_what_it_does_not_know(void**) {
  AgentBench bench;
  assert_true(bench.open(2));
  bench.socket.reset();
  bench.reactor.run();
  const std::string trace = bench.trace();
  assert_true(trace == "stop\nstop db\n" || trace == "stop db\nstop\n");
}

// While an earlier agent of this node holds the lock, nothing runs and nothing is said.
void an_earlier_agent_is_waited_for(void**) {
  AgentBench bench;
  const OwnedFd lock(::open((bench.dir / "agent.lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  assert_int_equal(::flock(lock.get(), LOCK_EX | LOCK_NB), 0);
  assert_true(bench.open());
  bench.ask(Verb::start, 0, 1);
  bench.pass(Duration::from_ms(150));
  assert_true(bench.heard_exactly(""));
  assert_string_equal(bench.trace().c_str(), "");
  ::flock(lock.get(), LOCK_UN);
  assert_true(bench.hears("hello1 1:ok "));
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(requests_are_answered),
                              cmocka_unit_test(nothing_is_clean_before_leftovers_are_gone),
                              cmocka_unit_test(a_hanging_group_holds_up_no_other),
                              cmocka_unit_test(the_tie_breaker_is_used_beside_a_hanging_group),
                              cmocka_unit_test(requests_of_another_session_are_refused),
                              cmocka_unit_test(unknown_groups_and_broken_packets_do_no_harm),
                              cmocka_unit_test(clean_stops_the_groups_of_this_node),
                              cmocka_unit_test(a_clean_that_fails_says_for_whom),
                              cmocka_unit_test(failures_run_the_hooks_for_failures),
                              cmocka_unit_test(monitors_report_over_the_socket),
                              cmocka_unit_test(journal_entries_are_written),
                              cmocka_unit_test(the_end_of_vigild_stops_what_runs),
                              cmocka_unit_test(an_application_that_does_not_stop_is_told_by_the_exit_status),
                              cmocka_unit_test(a_successor_stops_what_it_does_not_know),
                              cmocka_unit_test(an_earlier_agent_is_waited_for)};
  return cmocka_run_group_tests_name("agent/agent", tests, nullptr, nullptr);
}
