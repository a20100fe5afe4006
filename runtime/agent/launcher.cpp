#include "runtime/agent/launcher.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <vector>

#include "runtime/agent/log.hpp"
#include "runtime/agent/pidfd.hpp"
#include "runtime/agent/processes.hpp"
#include "runtime/agent/protocol.hpp"
#include "runtime/agent/reactor.hpp"
#include "runtime/agent/run_table.hpp"
#include "runtime/config/config.hpp"

namespace vigil::agent {

namespace {

// Where the launcher keeps what it inherited; all else is closed.
constexpr int socket_fd = 3;
constexpr int config_fd = 4;

constexpr Duration shortest_backoff = Duration::from_ms(100);
constexpr Duration longest_backoff = Duration::from_s(5);
// An agent that lived this long owes nothing to the ones before it.
constexpr Duration long_life = Duration::from_s(60);
constexpr int restarts_while_ending = 3;
constexpr int socket_buffer_bytes = 4 * 1024 * 1024;

int shell_status(int status) { return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status); }

class Launcher {
 public:
  Launcher(const LaunchOptions& options, std::string agent_path, RunTable table)
      : options_(options), agent_path_(std::move(agent_path)), table_(std::move(table)) {}

  // Until vigild and the agent are both gone. Returns the exit status.
  int run();

 private:
  void listen();
  int wait_ms() const;
  void start_agent();
  [[noreturn]] void become_agent(pid_t launcher);
  void reap();
  void on_agent_death(int status);
  void kill_runs();
  void tell_vigild(const AgentDown& message);

  const LaunchOptions& options_;
  std::string agent_path_;
  RunTable table_;
  OwnedFd signals_;
  pid_t agent_ = 0;  // 0: none at the moment
  std::uint32_t session_ = 0;
  Instant born_;
  Instant start_at_;
  Duration backoff_;
  bool ending_ = false;  // vigild is gone, or SIGTERM came
  int ending_restarts_ = 0;
  int exit_status_ = 0;
};

void Launcher::listen() {
  sigset_t mask;
  sigemptyset(&mask);
  for (const int number : {SIGCHLD, SIGTERM, SIGINT}) sigaddset(&mask, number);
  ::sigprocmask(SIG_SETMASK, &mask, nullptr);
  signals_ = OwnedFd(::signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK));
}

// Until the next start, or without end while an agent lives.
int Launcher::wait_ms() const {
  if (agent_ != 0 || start_at_.is_never()) return -1;
  return static_cast<int>(std::max<std::int64_t>((start_at_ - Reactor::now()).us() / 1000 + 1, 0));
}

int Launcher::run() {
  listen();
  if (!signals_.valid()) {
    log_line("launcher: cannot listen for signals; giving up");
    return 1;
  }
  while (!ending_ || agent_ != 0 || !start_at_.is_never()) {
    if (agent_ == 0 && Reactor::now() >= start_at_) start_agent();
    std::array<pollfd, 2> watched = {{{signals_.get(), POLLIN, 0}, {ending_ ? -1 : socket_fd, 0, 0}}};
    ::poll(watched.data(), watched.size(), wait_ms());
    if ((watched[1].revents & (POLLHUP | POLLERR)) != 0) {
      ending_ = true;                                          // the agent sees it as well
      if (agent_ == 0 && session_ > 0) start_at_ = Instant{};  // one must stop what its predecessor had started
    }
    signalfd_siginfo info{};
    while (::read(signals_.get(), &info, sizeof(info)) == static_cast<ssize_t>(sizeof(info))) {
      if (info.ssi_signo == SIGCHLD) continue;
      ending_ = true;
      if (agent_ != 0) ::kill(agent_, SIGTERM);
      if (agent_ == 0) start_at_ = Instant::never();
    }
    reap();
  }
  table_.remove_file();
  return exit_status_;
}

void Launcher::start_agent() {
  ++session_;
  born_ = Reactor::now();
  start_at_ = Instant::never();
  const pid_t launcher = ::getpid();
  const pid_t pid = ::fork();
  if (pid == 0) become_agent(launcher);
  if (pid > 0) {
    agent_ = pid;
    return;
  }
  log_line("launcher: cannot start " + agent_path_ + ": " + Error::from_errno("fork", errno).message);
  backoff_ = longest_backoff;
  start_at_ = born_ + backoff_;
}

void Launcher::become_agent(pid_t launcher) {
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() != launcher) ::_exit(0);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::setpgid(0, 0);
  for (const int fd : {socket_fd, config_fd, table_.fd()}) ::fcntl(fd, F_SETFD, 0);
  const std::vector<std::string> arguments = {agent_path_,
                                              "--config",
                                              options_.config_path,
                                              "--config-fd",
                                              std::to_string(config_fd),
                                              "--node",
                                              options_.node,
                                              "--state-dir",
                                              options_.state_directory,
                                              "--fd",
                                              std::to_string(socket_fd),
                                              "--runs-fd",
                                              std::to_string(table_.fd()),
                                              "--session",
                                              std::to_string(session_)};
  std::vector<char*> pointers;
  for (const std::string& argument : arguments) pointers.push_back(const_cast<char*>(argument.c_str()));
  pointers.push_back(nullptr);
  ::execv(agent_path_.c_str(), pointers.data());
  log_line("launcher: " + Error::from_errno("executing " + agent_path_, errno).message);
  ::_exit(127);
}

// Looks before it reaps: an orphan that belongs to a dead agent's command keeps its number until the
// command is killed.
void Launcher::reap() {
  while (true) {
    siginfo_t info{};
    if (agent_ != 0) {
      int status = 0;
      if (::waitpid(agent_, &status, WNOHANG) == agent_) on_agent_death(status);
    }
    if (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0) return;
    if (info.si_pid == agent_) continue;
    // Only the agent's death makes a command's process our child: that signal is about to come.
    if (agent_ != 0 && std::any_of(table_.slots().begin(), table_.slots().end(),
                                   [&info](const RunTable::Slot& slot) { return slot.leader.load() == info.si_pid; }))
      return;
    ::waitpid(info.si_pid, nullptr, WNOHANG);
  }
}

void Launcher::on_agent_death(int status) {
  const pid_t pid = agent_;
  agent_ = 0;
  kill_runs();
  const bool crashed = WIFSIGNALED(status);
  if (ending_) {
    exit_status_ = shell_status(status);
    if (crashed && ending_restarts_++ < restarts_while_ending) start_at_ = Instant{};
    return;
  }
  const Instant now = Reactor::now();
  backoff_ = now - born_ >= long_life ? Duration{} : backoff_;
  start_at_ = now + backoff_;
  AgentDown message;
  message.session = session_;
  message.pid = pid;
  message.exit_status = shell_status(status);
  message.restart_in_ms = static_cast<std::uint32_t>(backoff_.us() / 1000);
  backoff_ = backoff_.ns == 0 ? shortest_backoff : shorter(backoff_ * 2, longest_backoff);
  log_line("launcher: the agent (pid " + std::to_string(pid) + ") died with status " +
           std::to_string(message.exit_status) + "; starting it again in " + std::to_string(message.restart_in_ms) +
           " ms");
  tell_vigild(message);
}

void Launcher::kill_runs() {
  // The commands themselves ask for it at fork; this reaches what they had started.
  const Instant patience_ends = Reactor::now() + Duration::from_s(1);
  for (RunTable::Slot& slot : table_.slots()) {
    if (slot.leader.load() == 0) continue;
    const RunIdentity run{slot.leader.load(), table_.mark_of(slot)};
    while (true) {
      const std::vector<Process> living = processes_of_run(::getpid(), run);
      for (const Process& process : living) signal_process(process, SIGKILL);
      if (living.empty() || Reactor::now() >= patience_ends) break;
      ::poll(nullptr, 0, 2);
    }
    RunTable::release(slot);
  }
}

void Launcher::tell_vigild(const AgentDown& told) {
  AgentDown message = told;
  seal(message);
  const auto bytes = bytes_of(message);
  while (::send(socket_fd, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
    // Full: vigild reads nothing. It must not miss this, and nothing is to be done before it knows.
    pollfd writable{socket_fd, POLLOUT, 0};
    if (errno != EAGAIN && errno != EINTR) return;
    ::poll(&writable, 1, -1);
    if ((writable.revents & (POLLHUP | POLLERR)) != 0) return;
  }
}

// Undoes whatever vigild, or its service manager, had set for a real-time process.
void become_ordinary() {
  ::setsid();
  ::prctl(PR_SET_NAME, "vigil-launcher");
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  sched_param normal{};
  ::sched_setscheduler(0, SCHED_OTHER, &normal);
  ::setpriority(PRIO_PROCESS, 0, 0);
  ::munlockall();
  cpu_set_t all;
  CPU_ZERO(&all);
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) CPU_SET(cpu, &all);
  ::sched_setaffinity(0, sizeof(all), &all);
  const OwnedFd score(::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC));
  if (score.valid()) {
    [[maybe_unused]] const auto written = ::write(score.get(), "0", 1);
  }
  for (int number = 1; number < NSIG; ++number) ::signal(number, SIG_DFL);
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGHUP, SIG_IGN);
}

// Moves the descriptors that are kept to their places, and closes all others of vigild.
bool keep_only(int socket, int config) {
  // Out of the way first: either may sit in the other's place.
  const int socket_aside = ::fcntl(socket, F_DUPFD_CLOEXEC, 16);
  const int config_aside = ::fcntl(config, F_DUPFD_CLOEXEC, 16);
  if (socket_aside < 0 || config_aside < 0) return false;
  if (::dup3(socket_aside, socket_fd, O_CLOEXEC) < 0 || ::dup3(config_aside, config_fd, O_CLOEXEC) < 0) return false;
  ::close_range(config_fd + 1, ~0U, 0);
  const OwnedFd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  return null.valid() && ::dup2(null.get(), STDIN_FILENO) >= 0;
}

int run_launcher(const LaunchOptions& options, const std::string& agent_path, int socket, int config) {
  become_ordinary();
  if (!keep_only(socket, config)) {
    log_line("launcher: cannot arrange its descriptors; giving up");
    return 1;
  }
  Result<RunTable> table = RunTable::create(options.state_directory);
  if (!table) {
    log_line("launcher: " + table.error().message + "; what runs when launcher and agent are killed together will not be found");
    table = RunTable::create_in_memory();
  }
  if (!table) {
    log_line("launcher: " + table.error().message);
    return 1;
  }
  return Launcher(options, agent_path, std::move(*table)).run();
}

Result<std::string> find_agent(const LaunchOptions& options) {
  std::string path = options.agent_path;
  if (path.empty()) {
    std::array<char, PATH_MAX> own{};
    const ssize_t length = ::readlink("/proc/self/exe", own.data(), own.size() - 1);
    if (length <= 0) return Error::from_errno("finding the directory of this program (/proc/self/exe)", errno);
    path.assign(own.data(), static_cast<std::size_t>(length));
    path = path.substr(0, path.rfind('/') + 1) + "vigil-agent";
  }
  if (::access(path.c_str(), X_OK) != 0)
    return Error::from_errno("starting the agent: " + path + " cannot be executed; install it, or name another", errno);
  return path;
}

// The configuration's text in an anonymous file, which later edits of cluster.toml do not reach: the
// numbers of groups and hooks that vigild sends must mean the same to every agent of its life.
Result<OwnedFd> snapshot_config(const LaunchOptions& options) {
  const OwnedFd source(::open(options.config_path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!source.valid()) return Error::from_errno("reading the configuration " + options.config_path, errno);
  OwnedFd copy(::memfd_create("vigil-config", MFD_CLOEXEC));
  if (!copy.valid()) return Error::from_errno("copying the configuration (memfd_create)", errno);
  std::string text;
  std::array<char, 65536> buffer{};
  for (ssize_t got = 0; (got = ::read(source.get(), buffer.data(), buffer.size())) != 0;) {
    if (got < 0) return Error::from_errno("reading the configuration " + options.config_path, errno);
    text.append(buffer.data(), static_cast<std::size_t>(got));
  }
  if (::write(copy.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    return Error::from_errno("copying the configuration (write)", errno);
  if (options.config_hash != 0) {
    const LoadedConfig loaded = parse_config(text, options.config_path);
    if (!loaded.ok() || loaded.config->hash != options.config_hash)
      return Error::of("starting the agent: " + options.config_path + " changed while it was read; start again");
  }
  return copy;
}

}  // namespace

Result<Launched> launch(const LaunchOptions& options) {
  Result<std::string> agent_path = find_agent(options);
  if (!agent_path) return agent_path.error();
  Result<OwnedFd> config = snapshot_config(options);
  if (!config) return config.error();
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0)
    return Error::from_errno("making the socket pair to the agent (socketpair)", errno);
  OwnedFd own(ends[0]);
  const OwnedFd agent(ends[1]);
  // Room for what piles up while an agent is being restarted; without the right to, the default does.
  for (const int fd : {own.get(), agent.get()})
    if (::setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &socket_buffer_bytes, sizeof(socket_buffer_bytes)) != 0)
      ::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &socket_buffer_bytes, sizeof(socket_buffer_bytes));
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(run_launcher(options, *agent_path, agent.get(), config->get()));
  if (pid < 0) return Error::from_errno("starting the agent's launcher (fork)", errno);
  OwnedFd pidfd = open_pidfd(pid);
  if (!pidfd.valid()) {
    const Error error = Error::from_errno("watching the agent's launcher (pidfd_open)", errno);
    own.reset();
    ::waitpid(pid, nullptr, 0);
    return error;
  }
  return Launched{std::move(own), std::move(pidfd), pid};
}

}  // namespace vigil::agent
