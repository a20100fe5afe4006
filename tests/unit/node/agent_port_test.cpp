// vigild's end of the agent's socket: what the core asks becomes a packet, what the agent says becomes an
// event, and whatever cannot be sent is answered as if it had failed. The test is the agent.
#include "runtime/node/agent_port.hpp"

#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <optional>
#include <vector>

#include "tests/unit/node/fixture.hpp"
// Last: cmocka's macros (fail, …) bite the standard library.
#include "tests/unit/cmocka.hpp"

using namespace vigil;
using namespace vigil::test;

namespace {

struct Heard : AgentListener {
  std::vector<Event> events;
  int ready = 0;
  std::vector<bool> cleaned;
  struct Problem {
    EventName problem;
    EventName event;
    GroupIndex group;
    std::string text;
  };
  std::vector<Problem> problems;
  int launcher_gone = 0;

  void on_agent_event(const Event& event) override { events.push_back(event); }
  void on_agent_ready() override { ++ready; }
  void on_agent_cleaned(bool ok) override { cleaned.push_back(ok); }
  void on_hook_problem(EventName problem, EventName event, GroupIndex group, std::string_view text) override {
    problems.push_back({problem, event, group, std::string(text)});
  }
  void on_launcher_gone() override { ++launcher_gone; }

  template <typename T>
  const T* last() const {
    return events.empty() ? nullptr : std::get_if<T>(&events.back());
  }
};

struct Fixture {
  Fixture() : captured(directory / "log") {
    int ends[2] = {-1, -1};
    (void)::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends);
    agent = Fd(ends[1]);
    int gate[2] = {-1, -1};
    (void)::pipe2(gate, O_CLOEXEC);
    launcher = ::fork();
    if (launcher == 0) {  // the launcher lives until this pipe is closed
      ::close(gate[1]);
      char byte = 0;
      (void)!::read(gate[0], &byte, 1);
      ::_exit(0);
    }
    ::close(gate[0]);
    launcher_life = Fd(gate[1]);
    agent::Launched launched;
    launched.socket = agent::OwnedFd(ends[0]);
    launched.pidfd = agent::OwnedFd(static_cast<int>(::syscall(SYS_pidfd_open, launcher, 0)));
    launched.launcher = launcher;
    log.emplace();
    port.emplace(std::move(launched), *log, heard);
    Result<std::unique_ptr<Ring>> made = Ring::create();
    if (made) ring = std::move(made).value();
    attached = ring && port->attach(*ring).ok();
  }
  ~Fixture() {
    launcher_life.reset();
    ::waitpid(launcher, nullptr, 0);
    ring.reset();
    port.reset();
    log.reset();
  }
  // Lets the port read what there is.
  void turn() {
    for (int i = 0; i < 3; ++i) (void)ring->run_once(boottime_now() + Duration::from_ms(5));
  }
  template <typename T>
  void say(T packet) {
    agent::seal(packet);
    (void)!::send(agent.get(), &packet, sizeof packet, 0);
    turn();
  }
  void say_bytes(const void* bytes, std::size_t size) {
    (void)!::send(agent.get(), bytes, size, 0);
    turn();
  }
  void hello(std::uint32_t session = 7) {
    agent::Hello packet;
    packet.session = session;
    packet.pid = 1'234;
    say(packet);
  }
  // The next packet that the agent gets; false: there is none, or it is something else.
  template <typename T>
  bool next(T& packet) {
    std::array<std::byte, agent::max_packet_bytes + 1> bytes;
    const ssize_t size = ::recv(agent.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    return size > 0 &&
           agent::read_packet({bytes.data(), static_cast<std::size_t>(size)}, packet) == agent::Defect::none;
  }
  effect::RunAgent work(effect::AgentVerb verb) {
    effect::RunAgent effect;
    effect.request = 41;
    effect.verb = verb;
    effect.group = 2;
    effect.generation = 9;
    return effect;
  }
  void run(const effect::RunAgent& effect) { port->run(effect, {{6, 1}, 4}, Instant{5'000}, 1'700); }

  Directory directory;
  CapturedError captured;
  Fd agent;
  Fd launcher_life;
  pid_t launcher = -1;
  Heard heard;
  std::optional<Log> log;
  std::unique_ptr<Ring> ring;
  std::optional<AgentPort> port;
  bool attached = false;
};

void every_field_of_the_work_is_told(void**) {
  Fixture f;
  assert_true(f.attached);
  f.hello();
  assert_int_equal(f.heard.ready, 1);
  assert_true(f.port->serving());
  effect::RunAgent effect = f.work(effect::AgentVerb::event);
  effect.event = EventName::node_down;
  effect.subject = 3;
  effect.network = 1;
  effect.adapter = 5;
  effect.stage = HookStage::recovery;
  effect.wait = true;
  f.run(effect);
  agent::AgentRequest request;
  assert_true(f.next(request));
  assert_int_equal(request.session, 7);
  assert_int_equal(request.request, 41);
  assert_int_equal(request.verb, agent::Verb::event);
  assert_int_equal(request.stage, agent::Stage::recovery);
  assert_int_equal(request.wait, 1);
  assert_int_equal(request.group, 2);
  assert_int_equal(request.event, EventName::node_down);
  assert_int_equal(request.subject, 3);
  assert_int_equal(request.network, 1);
  assert_int_equal(request.adapter, 5);
  assert_int_equal(request.generation, 9);
  assert_true(request.stamp == Stamp({{6, 1}, 4}));
  assert_int_equal(request.boot_ns, 5'000);
  assert_int_equal(request.wall_ns, 1'700);
}

void verbs_and_stages_are_the_agents(void**) {
  struct Row {
    effect::AgentVerb verb;
    agent::Verb told;
  };
  const Row rows[] = {
      {effect::AgentVerb::start, agent::Verb::start},
      {effect::AgentVerb::stop, agent::Verb::stop},
      {effect::AgentVerb::monitor_on, agent::Verb::monitor_on},
      {effect::AgentVerb::monitor_off, agent::Verb::monitor_off},
      {effect::AgentVerb::event, agent::Verb::event},
      {effect::AgentVerb::clean, agent::Verb::clean},
  };
  Fixture f;
  f.hello();
  for (const Row& row : rows) {
    f.run(f.work(row.verb));
    agent::AgentRequest request;
    assert_true(f.next(request));
    assert_int_equal(request.verb, row.told);
  }
  for (const HookStage stage :
       {HookStage::pre, HookStage::command, HookStage::post, HookStage::notify, HookStage::recovery}) {
    effect::RunAgent effect = f.work(effect::AgentVerb::event);
    effect.stage = stage;
    f.run(effect);
    agent::AgentRequest request;
    assert_true(f.next(request));
    assert_int_equal(static_cast<int>(request.stage), static_cast<int>(stage));
  }
}

void answers_become_events(void**) {
  struct Row {
    agent::Outcome told;
    event::AgentOutcome outcome;
  };
  const Row rows[] = {
      {agent::Outcome::ok, event::AgentOutcome::ok},
      {agent::Outcome::failed, event::AgentOutcome::failed},
      {agent::Outcome::timed_out, event::AgentOutcome::timed_out},
      {agent::Outcome::killed, event::AgentOutcome::killed},
  };
  Fixture f;
  f.hello();
  for (const Row& row : rows) {
    agent::AgentReply reply;
    reply.request = 41;
    reply.outcome = row.told;
    reply.exit_status = 3;
    reply.took_ns = 20'000'000;
    reply.group = 2;
    f.say(reply);
    const auto* done = f.heard.last<event::AgentDone>();
    assert_non_null(done);
    assert_int_equal(done->request, 41);
    assert_int_equal(done->outcome, row.outcome);
    assert_int_equal(done->exit_status, 3);
    assert_true(done->took == Duration::from_ms(20));
  }
  agent::ApplicationFailed failed;
  failed.group = 2;
  failed.generation = 9;
  f.say(failed);
  const auto* event = f.heard.last<event::ApplicationFailed>();
  assert_non_null(event);
  assert_int_equal(event->group, 2);
  assert_int_equal(event->generation, 9);
  agent::HookFailed hook;
  hook.problem = EventName::config_too_long;
  hook.event = EventName::node_down;
  hook.group = 1;
  hook.text = "it hung";
  f.say(hook);
  assert_int_equal(f.heard.problems.size(), 1);
  assert_int_equal(f.heard.problems[0].problem, EventName::config_too_long);
  assert_int_equal(f.heard.problems[0].event, EventName::node_down);
  assert_int_equal(f.heard.problems[0].group, 1);
  assert_string_equal(f.heard.problems[0].text.c_str(), "it hung");
}

// Before the first Hello, and between AgentDown and the next one, nobody does anything.
void without_an_agent_work_is_killed_at_once(void**) {
  struct Row {
    effect::AgentVerb verb;
    bool wait;
    bool answered;
  };
  const Row rows[] = {
      {effect::AgentVerb::start, false, true},        {effect::AgentVerb::stop, false, true},
      {effect::AgentVerb::clean, false, true},        {effect::AgentVerb::event, true, true},
      {effect::AgentVerb::event, false, false},       {effect::AgentVerb::monitor_on, false, false},
      {effect::AgentVerb::monitor_off, false, false},
  };
  for (const bool died : {false, true}) {
    Fixture f;
    if (died) {
      f.hello();
      agent::AgentDown down;
      down.session = 7;
      f.say(down);
      const auto* state = f.heard.last<event::AgentState>();
      assert_non_null(state);
      assert_false(state->up);
      assert_false(f.port->serving());
    }
    for (const Row& row : rows) {
      f.heard.events.clear();
      effect::RunAgent effect = f.work(row.verb);
      effect.wait = row.wait;
      f.run(effect);
      assert_int_equal(f.heard.events.size(), row.answered);
      if (!row.answered) continue;
      const auto* done = f.heard.last<event::AgentDone>();
      assert_non_null(done);
      assert_int_equal(done->request, 41);
      assert_int_equal(done->outcome, event::AgentOutcome::killed);
    }
    agent::AgentRequest request;
    assert_false(f.next(request));  // a start that was written off must never run
  }
}

void a_full_socket_holds_up_nobody(void**) {
  Fixture f;
  f.hello();
  const Instant before = boottime_now();
  int killed = 0;
  for (int i = 0; i < 5'000 && killed == 0; ++i) {
    f.run(f.work(effect::AgentVerb::start));
    killed += f.heard.last<event::AgentDone>() != nullptr;
  }
  assert_int_equal(killed, 1);
  assert_true(boottime_now() - before < Duration::from_s(5));
  JournalEntry entry;
  for (int i = 0; i < 100; ++i) f.port->append(entry);  // neither does the journal
  assert_true(boottime_now() - before < Duration::from_s(5));
}

void cleaning_is_answered_once_and_by_the_right_reply(void**) {
  Fixture f;
  f.port->clean();  // nobody there: Hello will have it asked again
  f.hello();
  f.port->clean();
  agent::AgentRequest request;
  assert_true(f.next(request));
  assert_int_equal(request.verb, agent::Verb::clean);
  assert_int_equal(request.group, no_index);
  assert_true((request.request & 0x8000'0000u) != 0);  // not one of the core's
  agent::AgentReply reply;
  reply.request = request.request - 1;  // of an older asking
  reply.verb = agent::Verb::clean;
  f.say(reply);
  assert_true(f.heard.cleaned.empty());
  reply.request = request.request;
  reply.outcome = agent::Outcome::failed;
  f.say(reply);
  assert_int_equal(f.heard.cleaned.size(), 1);
  assert_false(f.heard.cleaned[0]);
  reply.outcome = agent::Outcome::ok;
  f.say(reply);  // that one was answered
  assert_int_equal(f.heard.cleaned.size(), 1);
  f.port->clean();
  assert_true(f.next(request));
  reply.request = request.request;
  f.say(reply);
  assert_int_equal(f.heard.cleaned.size(), 2);
  assert_true(f.heard.cleaned[1]);
  assert_true(f.heard.events.empty());  // the core hears nothing of it
}

void what_the_agent_cleaned_before_it_died_does_not_count(void**) {
  Fixture f;
  f.hello();
  f.port->clean();
  agent::AgentRequest request;
  assert_true(f.next(request));
  agent::AgentDown down;
  down.session = 7;
  f.say(down);
  f.hello(8);
  agent::AgentReply reply;
  reply.request = request.request;
  reply.verb = agent::Verb::clean;
  f.say(reply);
  assert_true(f.heard.cleaned.empty());
}

void a_new_agent_is_a_new_session(void**) {
  Fixture f;
  f.hello(7);
  f.hello(8);
  assert_int_equal(f.heard.ready, 2);
  f.run(f.work(effect::AgentVerb::stop));
  agent::AgentRequest request;
  assert_true(f.next(request));
  assert_int_equal(request.session, 8);
}

void journal_entries_arrive_whole(void**) {
  Fixture f;
  f.hello();
  JournalEntry entry;
  entry.sequence = 77;
  entry.node = 1;
  entry.wall_ns = 5;
  entry.boot_ns = 6;
  entry.kind = JournalKind::done;
  entry.event = EventName::acquire_service_addr;
  entry.stamp = {{6, 1}, 4};
  entry.group = 2;
  entry.text = "10.77.1.100/24 answers on eth0 (public)";
  f.port->append(entry);
  agent::JournalAppend append;
  assert_true(f.next(append));
  assert_int_equal(append.entry.sequence, 77);
  assert_int_equal(append.entry.event, EventName::acquire_service_addr);
  assert_true(append.entry.stamp == entry.stamp);
  assert_true(append.entry.text == entry.text);
}

void packets_that_are_none_are_refused_and_said(void**) {
  Fixture f;
  f.hello();
  agent::AgentReply reply;
  reply.request = 41;
  agent::seal(reply);
  std::array<std::byte, agent::max_packet_bytes + 64> bytes{};
  std::memcpy(bytes.data(), &reply, sizeof reply);
  f.say_bytes(bytes.data(), 3);                 // too short
  f.say_bytes(bytes.data(), sizeof reply - 1);  // cut
  f.say_bytes(bytes.data(), bytes.size());      // longer than any packet
  agent::AgentReply bad = reply;
  bad.outcome = static_cast<agent::Outcome>(200);
  f.say_bytes(&bad, sizeof bad);
  agent::AgentRequest wrong_way;
  agent::seal(wrong_way);
  f.say_bytes(&wrong_way, sizeof wrong_way);
  assert_true(f.heard.events.empty());
  f.say(reply);  // and the next good one is heard
  assert_int_equal(f.heard.events.size(), 1);
  f.log.reset();  // writes what is left
  f.log.emplace();
  const std::string said = f.captured.text();
  std::size_t refusals = 0;
  for (std::size_t at = said.find("was refused"); at != std::string::npos; at = said.find("was refused", at + 1))
    ++refusals;
  assert_int_equal(refusals, 5);
}

effect::UseTieBreaker winning(std::uint32_t request) { return {request, true, {9, 1}, {4, 0}}; }

agent::TieBreakerUsed used(std::uint32_t use, bool ok, const char* why = "") {
  agent::TieBreakerUsed packet;
  packet.request = use;
  packet.ok = ok ? 1 : 0;
  packet.held = {9, 1};
  packet.text = why;
  return packet;
}

void uses_of_the_tie_breaker_are_asked_and_answered(void**) {
  Fixture f;
  f.hello();
  f.port->use(winning(3));
  agent::UseTieBreaker asked;
  assert_true(f.next(asked));
  assert_int_equal(asked.session, 7);
  assert_int_equal(asked.win, 1);
  assert_true((asked.epoch == Epoch{9, 1} && asked.known == Epoch{4, 0}));
  f.say(used(asked.request + 1, true));  // of no use that is known
  assert_int_equal(f.heard.events.size(), 0);
  f.say(used(asked.request, true));
  f.say(used(asked.request, true));  // answered already
  assert_int_equal(f.heard.events.size(), 1);
  const auto* done = f.heard.last<event::TieBreakerDone>();
  assert_non_null(done);
  assert_int_equal(done->request, 3);
  assert_true(done->ok && done->held == Epoch({9, 1}));
  assert_true(f.port->tie_breaker_trouble().empty());
}

// A core's request is numbered from 1 again: what an earlier core asked must not answer it.
void the_answer_to_an_earlier_core_is_nobodys(void**) {
  Fixture f;
  f.hello();
  f.port->use(winning(1));
  agent::UseTieBreaker first;
  assert_true(f.next(first));
  f.port->forget_tie_breaker();
  f.port->use(winning(1));
  agent::UseTieBreaker second;
  assert_true(f.next(second));
  f.say(used(first.request, true));
  assert_int_equal(f.heard.events.size(), 0);
  f.port->forget_tie_breaker();
  f.say(used(second.request, true));
  assert_int_equal(f.heard.events.size(), 0);
}

void without_an_agent_the_tie_breaker_fails_at_once(void**) {
  Fixture f;
  f.port->use(winning(1));
  const auto* never_up = f.heard.last<event::TieBreakerDone>();
  assert_true(never_up != nullptr && !never_up->ok && never_up->request == 1);
  f.hello();
  f.port->use(winning(2));
  assert_int_equal(f.heard.events.size(), 1);
  agent::AgentDown down;
  down.session = 7;
  f.say(down);
  assert_int_equal(f.heard.events.size(), 3);
  const auto* died = std::get_if<event::TieBreakerDone>(&f.heard.events[1]);
  assert_true(died != nullptr && !died->ok && died->request == 2);
  assert_non_null(f.heard.last<event::AgentState>());
}

void trouble_with_the_tie_breaker_is_said_once_and_known_early(void**) {
  Fixture f;
  f.hello();
  for (int i = 0; i < 3; ++i) {
    f.port->probe_tie_breaker();
    f.port->probe_tie_breaker();  // one is under way
    agent::UseTieBreaker asked;
    assert_true(f.next(asked));
    assert_int_equal(asked.win, 0);
    assert_false(f.next(asked));
    f.say(used(asked.request, i == 2, i == 2 ? "" : "the disk is gone"));
    assert_int_equal(f.port->tie_breaker_trouble().empty(), i == 2);
  }
  assert_int_equal(f.heard.events.size(), 0);  // no core had asked
  f.log.reset();  // writes what is left
  f.log.emplace();
  const std::string said = f.captured.text();
  const std::size_t first = said.find("the disk is gone");
  assert_true(first != std::string::npos && said.find("the disk is gone", first + 1) == std::string::npos);
  assert_true(said.find("answers again") != std::string::npos);
}

void the_launchers_death_is_told(void**) {
  Fixture f;
  f.hello();
  assert_int_equal(f.heard.launcher_gone, 0);
  f.launcher_life.reset();
  assert_true(run_until(*f.ring, [&] { return f.heard.launcher_gone > 0; }));
  assert_int_equal(f.heard.launcher_gone, 1);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(every_field_of_the_work_is_told),
      cmocka_unit_test(verbs_and_stages_are_the_agents),
      cmocka_unit_test(answers_become_events),
      cmocka_unit_test(without_an_agent_work_is_killed_at_once),
      cmocka_unit_test(a_full_socket_holds_up_nobody),
      cmocka_unit_test(cleaning_is_answered_once_and_by_the_right_reply),
      cmocka_unit_test(what_the_agent_cleaned_before_it_died_does_not_count),
      cmocka_unit_test(a_new_agent_is_a_new_session),
      cmocka_unit_test(journal_entries_arrive_whole),
      cmocka_unit_test(packets_that_are_none_are_refused_and_said),
      cmocka_unit_test(uses_of_the_tie_breaker_are_asked_and_answered),
      cmocka_unit_test(the_answer_to_an_earlier_core_is_nobodys),
      cmocka_unit_test(without_an_agent_the_tie_breaker_fails_at_once),
      cmocka_unit_test(trouble_with_the_tie_breaker_is_said_once_and_known_early),
      cmocka_unit_test(the_launchers_death_is_told),
  };
  return cmocka_run_group_tests_name("node/agent_port", tests, nullptr, nullptr);
}
