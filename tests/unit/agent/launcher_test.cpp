// Launcher and agent as real processes: who dies, and what follows. This program is its own agent: run
// with --config it becomes vigil-agent.
#include "runtime/agent/launcher.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <array>

#include "runtime/agent/processes.hpp"
#include "runtime/agent/program.hpp"
#include "runtime/agent/protocol.hpp"
#include "tests/unit/agent/fixture.hpp"
// Last: cmocka's macros (fail, …) bite the standard library.
#include "tests/unit/cmocka.hpp"

using namespace vigil;
using namespace vigil::agent;
using test::content;
using test::Directory;
using test::lives;
using test::pid_in;
using test::wait_for;

namespace {

// Start brings up a daemon in a session of its own; stop ends it. hang: a start that never returns.
constexpr const char* config_text = R"(
version = 1
[cluster]
name = "demo"
key_file = "/dev/null"
[[network]]
name = "public"
[[node]]
name = "alpha"
id = 1
  [[node.adapter]]
  network = "public"
  device = "eth0"
[[group]]
name = "web"
nodes = ["alpha"]
  [group.application]
  name = "httpd"
  start = "cd @D; setsid sh -c 'echo $$ > daemon; exec sleep 300' >/dev/null 2>&1 & echo start >> @D/trace"
  stop = "p=$(cat @D/daemon); kill $p; while kill -0 $p; do sleep 0.01; done; rm @D/daemon; echo stop >> @D/trace"
  monitor = "kill -0 $(cat @D/daemon) 2>/dev/null || exit 7"
  start_timeout = "5s"
  stop_timeout = "5s"
[[group]]
name = "hang"
nodes = ["alpha"]
  [group.application]
  name = "hanger"
  start = "setsid sh -c 'echo $$ > @D/fled; sleep 300' & echo $$ > @D/hanger; sleep 300"
  stop = "echo stop hang >> @D/trace"
  monitor = "exit 7"
  start_timeout = "60s"
)";

class Cluster : public test::VigildEnd {
 public:
  Cluster() {
    std::string text = config_text;
    for (std::size_t at = 0; (at = text.find("@D", at)) != std::string::npos;) text.replace(at, 2, dir.path());
    std::ofstream(dir / "cluster.toml") << text;
    options.agent_path = "/proc/self/exe";
    std::array<char, 4096> own{};
    const ssize_t length = ::readlink("/proc/self/exe", own.data(), own.size() - 1);
    if (length > 0) options.agent_path.assign(own.data(), static_cast<std::size_t>(length));
    options.config_path = dir / "cluster.toml";
    options.node = "alpha";
    options.state_directory = dir / "state";
  }
  ~Cluster() {
    socket.reset();
    if (launched.launcher > 0) ::waitpid(launched.launcher, nullptr, 0);
  }

  bool launch_it() {
    Result<Launched> result = launch(options);
    if (!result) {
      print_message("%s\n", result.error().message.c_str());
      return false;
    }
    launched = std::move(*result);
    socket = std::move(launched.socket);
    return true;
  }
  // Waits until exactly this was heard in all.
  bool hears(const std::string& expected, Duration limit = Duration::from_s(10)) {
    return tell_unless(wait_for([&] { return heard_exactly(expected); }, limit));
  }
  bool launcher_ends(Duration limit = Duration::from_s(10)) {
    pollfd ended{launched.pidfd.get(), POLLIN, 0};
    if (::poll(&ended, 1, static_cast<int>(limit.us() / 1000)) != 1) return false;
    ::waitpid(launched.launcher, &exit_status, 0);
    launched.launcher = 0;
    return true;
  }
  std::string trace() const { return content(dir / "trace"); }

  Directory dir;
  LaunchOptions options;
  Launched launched;
  int exit_status = -1;
};

void the_end_of_vigild_ends_everything(void**) {
  Cluster cluster;
  assert_true(cluster.launch_it());
  assert_true(cluster.hears("hello1 "));
  cluster.ask(Verb::start, 0, 1);
  assert_true(cluster.hears("hello1 1:ok "));
  cluster.ask(Verb::start, 1, 2);
  assert_true(wait_for([&] { return pid_in(cluster.dir / "hanger") > 0 && pid_in(cluster.dir / "fled") > 0; }));
  const std::array<pid_t, 4> processes = {cluster.agent_pid, pid_in(cluster.dir / "daemon"), pid_in(cluster.dir / "hanger"),
                                          pid_in(cluster.dir / "fled")};
  for (const pid_t pid : processes) assert_true(lives(pid));
  cluster.socket.reset();
  assert_true(cluster.launcher_ends());
  for (const pid_t pid : processes) assert_false(lives(pid));
  const std::string trace = cluster.trace();
  assert_non_null(std::strstr(trace.c_str(), "stop\n"));
  assert_non_null(std::strstr(trace.c_str(), "stop hang\n"));
  assert_int_equal(cluster.exit_status, 0);
}

void an_agent_that_dies_is_started_again(void**) {
  Cluster cluster;
  assert_true(cluster.launch_it());
  assert_true(cluster.hears("hello1 "));
  cluster.ask(Verb::start, 0, 1);
  assert_true(cluster.hears("hello1 1:ok "));
  cluster.ask(Verb::start, 1, 2);
  assert_true(wait_for([&] { return pid_in(cluster.dir / "hanger") > 0 && pid_in(cluster.dir / "fled") > 0; }));
  const pid_t hanger = pid_in(cluster.dir / "hanger");
  const pid_t fled = pid_in(cluster.dir / "fled");
  const pid_t daemon = pid_in(cluster.dir / "daemon");
  const pid_t first = cluster.agent_pid;
  ::kill(first, SIGKILL);
  assert_true(cluster.hears("hello1 1:ok down1/137 hello2 "));
  assert_true(cluster.agent_pid != first);
  // What the dead one was in the middle of is gone, all of it; what it had brought up lives.
  assert_false(lives(hanger));
  assert_false(lives(fled));
  assert_true(lives(daemon));
  cluster.ask(Verb::clean, no_index, 3);
  assert_true(cluster.hears("hello1 1:ok down1/137 hello2 3:ok "));
  assert_false(lives(daemon));
  // Again: with a delay this time, and vigild's descriptor is still the same.
  ::kill(cluster.agent_pid, SIGKILL);
  assert_true(cluster.hears("hello1 1:ok down1/137 hello2 3:ok down2/137 hello3 "));
  cluster.socket.reset();
  assert_true(cluster.launcher_ends());
}

// The request waits in the socket while there is no agent; the next one must not carry it out.
void requests_for_a_dead_agent_are_void(void**) {
  Cluster cluster;
  assert_true(cluster.launch_it());
  assert_true(cluster.hears("hello1 "));
  ::kill(cluster.agent_pid, SIGSTOP);
  cluster.ask(Verb::start, 0, 1);
  ::kill(cluster.agent_pid, SIGKILL);
  assert_true(cluster.hears("hello1 down1/137 hello2 1:killed "));
  assert_string_equal(cluster.trace().c_str(), "");
  cluster.socket.reset();
  assert_true(cluster.launcher_ends());
}

// vigild and the agent die together: a successor finishes the work.
void a_crash_of_all_but_the_launcher_still_stops_the_application(void**) {
  Cluster cluster;
  assert_true(cluster.launch_it());
  assert_true(cluster.hears("hello1 "));
  cluster.ask(Verb::start, 0, 1);
  assert_true(cluster.hears("hello1 1:ok "));
  const pid_t daemon = pid_in(cluster.dir / "daemon");
  ::kill(cluster.agent_pid, SIGSTOP);
  cluster.socket.reset();
  ::kill(cluster.agent_pid, SIGKILL);
  assert_true(cluster.launcher_ends());
  assert_false(lives(daemon));
  assert_string_equal(cluster.trace().c_str(), "start\nstop\n");
}

void an_agent_without_launcher_stops_and_ends(void**) {
  Cluster cluster;
  assert_true(cluster.launch_it());
  assert_true(cluster.hears("hello1 "));
  cluster.ask(Verb::start, 0, 1);
  assert_true(cluster.hears("hello1 1:ok "));
  const pid_t daemon = pid_in(cluster.dir / "daemon");
  ::kill(cluster.launched.launcher, SIGKILL);
  assert_true(cluster.launcher_ends());
  assert_true(wait_for([&] { return !lives(cluster.agent_pid) && !lives(daemon); }));
  // vigild sees the end of the socket, now that nobody holds the other end.
  std::array<std::byte, max_packet_bytes> buffer{};
  assert_int_equal(::recv(cluster.socket.get(), buffer.data(), buffer.size(), 0), 0);
}

// Nobody is left to kill the start that was under way: the next life must, before it says that all is clean.
void a_start_that_outlives_launcher_and_agent_is_killed_by_their_successors(void**) {
  Cluster cluster;
  assert_true(cluster.launch_it());
  assert_true(cluster.hears("hello1 "));
  cluster.ask(Verb::start, 0, 1);
  assert_true(cluster.hears("hello1 1:ok "));
  cluster.ask(Verb::start, 1, 2);
  assert_true(wait_for([&] { return pid_in(cluster.dir / "fled") > 0; }));
  const pid_t fled = pid_in(cluster.dir / "fled");
  const pid_t daemon = pid_in(cluster.dir / "daemon");
  ::kill(cluster.launched.launcher, SIGSTOP);
  ::kill(cluster.agent_pid, SIGKILL);
  ::kill(cluster.launched.launcher, SIGKILL);
  assert_true(cluster.launcher_ends());
  assert_true(wait_for([&] { return !lives(cluster.agent_pid); }));
  assert_true(lives(fled));  // else this tests nothing
  cluster.heard.clear();
  assert_true(cluster.launch_it());
  assert_true(cluster.hears("hello1 "));
  assert_false(lives(fled));
  assert_true(lives(daemon));  // its start had ended: stopping it is the group's affair
  cluster.ask(Verb::clean, no_index, 3);
  assert_true(cluster.hears("hello1 3:ok "));
  assert_false(lives(daemon));
  cluster.socket.reset();
  assert_true(cluster.launcher_ends());
  for (const auto& entry : std::filesystem::directory_iterator(cluster.options.state_directory))
    assert_false(entry.path().filename().string().starts_with(RunTable::file_prefix));
}

void sigterm_to_the_launcher_ends_everything(void**) {
  Cluster cluster;
  assert_true(cluster.launch_it());
  assert_true(cluster.hears("hello1 "));
  cluster.ask(Verb::start, 0, 1);
  assert_true(cluster.hears("hello1 1:ok "));
  ::kill(cluster.launched.launcher, SIGTERM);
  assert_true(cluster.launcher_ends());
  assert_false(lives(cluster.agent_pid));
  assert_string_equal(cluster.trace().c_str(), "start\nstop\n");
}

void nothing_real_time_is_inherited(void**) {
  Cluster cluster;
  const OwnedFd inherited(::fcntl(STDERR_FILENO, F_DUPFD, 77));
  cpu_set_t before;
  ::sched_getaffinity(0, sizeof(before), &before);
  cpu_set_t one;
  CPU_ZERO(&one);
  for (int cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; ++cpu)
    if (CPU_ISSET(cpu, &before)) CPU_SET(cpu, &one);
  sched_param priority{};
  priority.sched_priority = 10;
  const bool real_time = ::sched_setscheduler(0, SCHED_FIFO, &priority) == 0;
  ::sched_setaffinity(0, sizeof(one), &one);
  const bool launched = cluster.launch_it();
  ::sched_setaffinity(0, sizeof(before), &before);
  priority.sched_priority = 0;
  ::sched_setscheduler(0, SCHED_OTHER, &priority);
  assert_true(launched);
  assert_true(cluster.hears("hello1 "));
  if (!real_time) print_message("without the right to SCHED_FIFO: scheduling not tested\n");
  for (const pid_t pid : {cluster.launched.launcher, cluster.agent_pid}) {
    assert_int_equal(::sched_getscheduler(pid), SCHED_OTHER);
    cpu_set_t now;
    assert_int_equal(::sched_getaffinity(pid, sizeof(now), &now), 0);
    assert_int_equal(CPU_COUNT(&now), CPU_COUNT(&before));
    assert_true(::getsid(pid) != ::getsid(0));
    std::error_code none;
    const std::string entry = "/proc/" + std::to_string(pid) + "/fd/" + std::to_string(inherited.get());
    assert_false(std::filesystem::exists(entry, none));
  }
  cluster.socket.reset();
  assert_true(cluster.launcher_ends());
}

void what_cannot_be_launched_is_told(void**) {
  Cluster no_program;
  no_program.options.agent_path = "/nonexistent/vigil-agent";
  Result<Launched> result = launch(no_program.options);
  assert_false(result.ok());
  assert_non_null(std::strstr(result.error().message.c_str(), "/nonexistent/vigil-agent"));
  Cluster no_config;
  no_config.options.config_path = "/nonexistent/cluster.toml";
  assert_false(launch(no_config.options).ok());
  Cluster changed;
  changed.options.config_hash = 1;
  result = launch(changed.options);
  assert_false(result.ok());
  assert_non_null(std::strstr(result.error().message.c_str(), "changed"));
}

void an_agent_that_cannot_run_is_retried_and_reported(void**) {
  Cluster cluster;
  cluster.options.node = "nobody";
  assert_true(cluster.launch_it());
  assert_true(cluster.hears("down1/2 down2/2 down3/2 ", Duration::from_s(3)));
  cluster.socket.reset();
  assert_true(cluster.launcher_ends());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && std::string(argv[1]) == "--config") return vigil::agent::run_program(argc, argv);
  const CMUnitTest tests[] = {cmocka_unit_test(the_end_of_vigild_ends_everything),
                              cmocka_unit_test(an_agent_that_dies_is_started_again),
                              cmocka_unit_test(requests_for_a_dead_agent_are_void),
                              cmocka_unit_test(a_crash_of_all_but_the_launcher_still_stops_the_application),
                              cmocka_unit_test(an_agent_without_launcher_stops_and_ends),
                              cmocka_unit_test(a_start_that_outlives_launcher_and_agent_is_killed_by_their_successors),
                              cmocka_unit_test(sigterm_to_the_launcher_ends_everything),
                              cmocka_unit_test(nothing_real_time_is_inherited),
                              cmocka_unit_test(what_cannot_be_launched_is_told),
                              cmocka_unit_test(an_agent_that_cannot_run_is_retried_and_reported)};
  return cmocka_run_group_tests_name("agent/launcher", tests, nullptr, nullptr);
}
