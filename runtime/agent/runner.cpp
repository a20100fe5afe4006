#include "runtime/agent/runner.hpp"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>

#include "runtime/agent/log.hpp"

namespace vigil::agent {

namespace {

constexpr Duration kill_patience = Duration::from_s(3);
constexpr Duration longest_recheck = Duration::from_ms(50);
// A time-out noticed later than this (and than a quarter of itself) means that the agent was stalled.
constexpr Duration stall = Duration::from_ms(200);

int shell_status(int status) {
  if (WIFSIGNALED(status)) return 128 + WTERMSIG(status);
  return WEXITSTATUS(status);
}

// An anonymous file that holds `text`, at its beginning: no pipe to be fed, no reader to wait for.
Result<OwnedFd> file_with(const std::string& text) {
  OwnedFd fd(::memfd_create("vigil-input", MFD_CLOEXEC));
  if (!fd.valid()) return Error::from_errno("preparing standard input (memfd_create)", errno);
  if (::pwrite(fd.get(), text.data(), text.size(), 0) != static_cast<ssize_t>(text.size()))
    return Error::from_errno("preparing standard input (pwrite)", errno);
  return fd;
}

Status make_pipe(OwnedFd& read_end, OwnedFd& write_end) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return Error::from_errno("preparing a command's output (pipe2)", errno);
  read_end = OwnedFd(ends[0]);
  write_end = OwnedFd(ends[1]);
  ::fcntl(read_end.get(), F_SETFL, O_NONBLOCK);
  return {};
}

struct Child {
  pid_t agent = 0;
  RunTable::Slot* slot = nullptr;
  int input = -1;
  int output = -1;
  int errors = -1;
  const char* const* arguments = nullptr;
  const char* const* environment = nullptr;
};

// In the new process: only calls that are safe after fork, no allocation.
[[noreturn]] void become_command(const Child& child) {
  ::setsid();
  // The agent may die before the launcher can know of this process: its shell goes with it.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != child.agent) ::_exit(127);
  child.slot->leader.store(::getpid());
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  for (int number = 1; number < NSIG; ++number) ::signal(number, SIG_DFL);
  const bool ready = ::dup2(child.input, STDIN_FILENO) >= 0 && ::dup2(child.output, STDOUT_FILENO) >= 0 &&
                     ::dup2(child.errors, STDERR_FILENO) >= 0;
  ::close_range(3, ~0U, 0);
  if (ready && ::chdir("/") == 0)
    ::execve("/bin/sh", const_cast<char* const*>(child.arguments), const_cast<char* const*>(child.environment));
  ::_exit(127);
}

}  // namespace

void LastLine::keep(std::string& line, std::string_view bytes) {
  if (line.size() < limit) line.append(bytes.substr(0, limit - line.size()));
}

void LastLine::feed(std::string_view bytes) {
  while (!bytes.empty()) {
    const std::size_t end = bytes.find('\n');
    keep(current_, bytes.substr(0, end));
    if (end == std::string_view::npos) return;
    if (current_.find_first_not_of(" \t\r") != std::string::npos) complete_ = std::move(current_);
    current_.clear();
    bytes.remove_prefix(end + 1);
  }
}

std::string LastLine::text() const {
  const bool open_line = current_.find_first_not_of(" \t\r") != std::string::npos;
  std::string line = open_line ? current_ : complete_;
  std::replace_if(
      line.begin(), line.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, ' ');
  const std::size_t first = line.find_first_not_of(' ');
  if (first == std::string::npos) return {};
  return line.substr(first, line.find_last_not_of(' ') - first + 1);
}

Runner::Runner(Reactor& reactor, RunTable& table, std::uint32_t session)
    : reactor_(reactor), table_(table), session_(session) {}

Runner::~Runner() {
  reactor_.unwatch(signal_watch_);
  for (auto& [id, run] : runs_) {
    reactor_.cancel(run.timer);
    reactor_.unwatch(run.output.watch);
    reactor_.unwatch(run.errors.watch);
  }
  for (auto& [fd, stream] : left_open_) reactor_.unwatch(stream.watch);
}

Status Runner::open() {
  if (::prctl(PR_SET_CHILD_SUBREAPER, 1) != 0)
    return Error::from_errno("becoming the parent of commands' orphans (PR_SET_CHILD_SUBREAPER)", errno);
  sigset_t mask;
  sigemptyset(&mask);
  sigaddset(&mask, SIGCHLD);
  ::sigprocmask(SIG_BLOCK, &mask, nullptr);
  signal_fd_ = OwnedFd(::signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signal_fd_.valid()) return Error::from_errno("listening for the end of commands (signalfd)", errno);
  const auto watch = reactor_.watch(signal_fd_.get(), EPOLLIN, [this](std::uint32_t) { on_children(); });
  if (!watch) return watch.error();
  signal_watch_ = *watch;
  return {};
}

RunId Runner::start(RunSpec spec, Done done) {
  const RunId id = next_id_++;
  Run& run = runs_[id];
  run.spec = std::move(spec);
  run.done = std::move(done);
  run.began = Reactor::now();
  run.identity.mark = table_.mark_of(session_, id);
  const Status spawned = spawn(run);
  if (!spawned) {
    run.spawn_failed = true;
    run.spawn_error = spawned.error().message;
    run.reaped = true;
    run.timer = reactor_.after(Duration{}, [this, id](Duration) { finish(id, runs_.at(id), {}); });
    return id;
  }
  run_of_leader_[run.identity.leader] = id;
  listen(id, run);
  arm_timeout(id, run, run.spec.timeout);
  return id;
}

Status Runner::spawn(Run& run) {
  Result<OwnedFd> input = file_with(run.spec.input);
  if (!input) return input.error();
  OwnedFd output;
  OwnedFd errors;
  if (Status made = make_pipe(run.output.fd, output); !made) return made;
  if (Status made = make_pipe(run.errors.fd, errors); !made) return made;

  std::vector<std::string> environment = run.spec.environment;
  environment.push_back(std::string(run_mark_name) + "=" + run.identity.mark);
  std::vector<const char*> pointers;
  for (const std::string& variable : environment) pointers.push_back(variable.c_str());
  pointers.push_back(nullptr);
  const std::array<const char*, 4> arguments = {"sh", "-c", run.spec.command.c_str(), nullptr};

  run.slot = table_.reserve(session_, next_id_ - 1);
  if (run.slot == nullptr)
    return Error::of("starting a command: " + std::to_string(RunTable::capacity) +
                     " commands are running already; find out which of them hang");
  const Child child{::getpid(), run.slot, input->get(), output.get(), errors.get(), arguments.data(), pointers.data()};
  const pid_t pid = ::fork();
  if (pid == 0) become_command(child);
  if (pid < 0) {
    const Error error = Error::from_errno("starting a command (fork)", errno);
    RunTable::release(*run.slot);
    run.slot = nullptr;
    return error;
  }
  run.slot->leader.store(pid);
  run.identity.leader = pid;
  return {};
}

void Runner::listen(RunId id, Run& run) {
  for (Stream Run::*which : {&Run::output, &Run::errors}) {
    Stream& stream = run.*which;
    const auto watch = reactor_.watch(stream.fd.get(), EPOLLIN, [this, id, which](std::uint32_t) {
      Stream& ready = runs_.at(id).*which;
      if (drain(ready)) return;
      reactor_.unwatch(ready.watch);
      ready.watch = 0;
      ready.fd.reset();
    });
    if (watch) stream.watch = *watch;
  }
}

bool Runner::drain(Stream& stream) {
  std::array<char, 4096> buffer{};
  // Bounded: a command that writes without end must not hold up the others.
  for (int round = 0; round < 16; ++round) {
    const ssize_t got = ::read(stream.fd.get(), buffer.data(), buffer.size());
    if (got == 0) return false;
    if (got < 0) return errno == EAGAIN || errno == EINTR;
    stream.last.feed({buffer.data(), static_cast<std::size_t>(got)});
  }
  return true;
}

void Runner::arm_timeout(RunId id, Run& run, Duration timeout) {
  run.timer = reactor_.after(timeout, [this, id](Duration lateness) { on_timeout(id, lateness); });
}

void Runner::on_timeout(RunId id, Duration lateness) {
  Run& run = runs_.at(id);
  run.timer = 0;
  if (!run.granted_again && lateness > stall && lateness > run.spec.timeout / 4) {
    run.granted_again = true;
    log_line(run.spec.name + ": the agent itself was stopped for " + std::to_string(lateness.us() / 1000) +
             " ms; its time limit starts anew");
    arm_timeout(id, run, run.spec.timeout);
    return;
  }
  terminate(id, run, Outcome::timed_out, run.spec.grace);
}

void Runner::cancel(RunId id, Duration grace) {
  const auto found = runs_.find(id);
  if (found == runs_.end() || found->second.phase != Phase::running || found->second.spawn_failed) return;
  terminate(id, found->second, Outcome::killed, grace);
}

void Runner::cancel_all() {
  std::vector<RunId> ids;
  for (const auto& [id, run] : runs_) ids.push_back(id);
  for (const RunId id : ids) cancel(id);
}

void Runner::terminate(RunId id, Run& run, Outcome outcome, Duration grace) {
  reactor_.cancel(run.timer);
  run.forced = outcome;
  run.phase = Phase::terminating;
  run.phase_ends = Reactor::now() + grace;
  // The whole group at once, while its number cannot be anybody else's; then those that left it.
  if (!run.reaped) ::kill(-run.identity.leader, SIGTERM);
  for (const Process& process : processes_of_run(::getpid(), run.identity))
    if (process.group != run.identity.leader) signal_process(process, SIGTERM);
  run.timer = reactor_.after(run.recheck, [this, id](Duration) { check(id); });
}

void Runner::check(RunId id) {
  Run& run = runs_.at(id);
  reactor_.cancel(run.timer);
  run.timer = 0;
  const std::vector<Process> living = processes_of_run(::getpid(), run.identity);
  if (living.empty() && run.reaped) return finish(id, run, {});
  const Instant now = Reactor::now();
  if (now >= run.phase_ends) {
    if (run.phase == Phase::killing)
      return finish(id, run, std::to_string(living.size()) + " of its processes could not be killed");
    run.phase = Phase::killing;
    run.phase_ends = now + kill_patience;
    run.recheck = Duration::from_ms(5);
  }
  // Again at each look: a member may have forked between two.
  if (run.phase == Phase::killing)
    for (const Process& process : living) signal_process(process, SIGKILL);
  run.recheck = shorter(run.recheck * 2, longest_recheck);
  const Instant next = earlier(now + run.recheck, run.phase_ends);
  run.timer = reactor_.at(next, [this, id](Duration) { check(id); });
}

void Runner::on_children() {
  std::array<signalfd_siginfo, 16> ignored{};
  while (::read(signal_fd_.get(), ignored.data(), sizeof(ignored)) > 0) {
  }
  int status = 0;
  // Includes orphans of commands, which came to us as their subreaper: nothing is to be done for them.
  for (pid_t pid = ::waitpid(-1, &status, WNOHANG); pid > 0; pid = ::waitpid(-1, &status, WNOHANG)) {
    const auto found = run_of_leader_.find(pid);
    if (found == run_of_leader_.end()) continue;
    const RunId id = found->second;
    run_of_leader_.erase(found);
    Run& run = runs_.at(id);
    run.reaped = true;
    run.status = status;
    if (run.phase == Phase::running)
      finish(id, run, {});
    else
      check(id);
  }
}

void Runner::finish(RunId id, Run& run, std::string remark) {
  reactor_.cancel(run.timer);
  if (run.slot != nullptr) RunTable::release(*run.slot);
  run_of_leader_.erase(run.identity.leader);
  RunResult result;
  result.took = Reactor::now() - run.began;
  result.exit_status = shell_status(run.status);
  for (Stream* stream : {&run.errors, &run.output}) {
    const bool open = stream->fd.valid() && drain(*stream);
    reactor_.unwatch(stream->watch);
    stream->watch = 0;
    if (result.text.empty()) result.text = stream->last.text();
    if (open) leave_open(run.spec.name, std::move(*stream));
  }
  if (run.spawn_failed) {
    result.started = false;
    result.outcome = Outcome::failed;
    result.exit_status = 127;
    result.text = run.spawn_error;
  } else if (run.phase != Phase::running) {
    result.outcome = run.forced;
  } else if (WIFSIGNALED(run.status)) {
    result.outcome = Outcome::killed;
  } else {
    result.outcome = result.exit_status == 0 ? Outcome::ok : Outcome::failed;
  }
  if (!remark.empty()) result.text = remark + (result.text.empty() ? "" : "; " + result.text);
  const Done done = std::move(run.done);
  runs_.erase(id);
  done(result);
}

void Runner::leave_open(const std::string& name, Stream stream) {
  const int fd = stream.fd.get();
  const auto watch = reactor_.watch(fd, EPOLLIN, [this, fd](std::uint32_t) {
    Stream& ready = left_open_.at(fd);
    if (drain(ready)) return;
    reactor_.unwatch(ready.watch);
    left_open_.erase(fd);
  });
  if (!watch) return log_line(name + ": " + watch.error().message + "; its output is not read any more");
  stream.watch = *watch;
  left_open_[fd] = std::move(stream);
}

}  // namespace vigil::agent
