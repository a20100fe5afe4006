#include "runtime/agent/agent.hpp"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <ctime>

#include "disk/tie_breaker_file.hpp"
#include "runtime/agent/leftover_runs.hpp"
#include "runtime/agent/log.hpp"

namespace vigil::agent {

namespace {

EventName problem_of(Outcome outcome) {
  if (outcome == Outcome::ok) return EventName::none;
  return outcome == Outcome::timed_out ? EventName::config_too_long : EventName::event_error;
}

std::string status_text(Outcome outcome, int exit_status) {
  if (outcome == Outcome::timed_out) return "exceeded its time";
  return "ended with status " + std::to_string(exit_status);
}

std::unique_ptr<disk::TieBreaker> tie_breaker_of(const ClusterConfig& config) {
  if (config.quorum.tie_breaker.empty()) return nullptr;
  return std::make_unique<disk::TieBreakerFile>(config.quorum.tie_breaker.str(), config.cluster_id);
}

}  // namespace

Agent::Agent(Reactor& reactor, Runner& runner, const ClusterConfig& config, AgentOptions options, OwnedFd socket)
    : reactor_(reactor),
      runner_(runner),
      config_(config),
      options_(std::move(options)),
      socket_(std::move(socket)),
      tie_breaker_(reactor, tie_breaker_of(config), tie_breaker_limit) {
  for (std::size_t i = 0; i < config.groups.size(); ++i) {
    const auto group = static_cast<GroupIndex>(i);
    groups_.push_back(
        std::make_unique<GroupLane>(reactor, runner, config, options_.self, group,
                                    [this, group](const Monitor::Failure& f) { on_monitor_failed(group, f); }));
  }
  for (std::size_t i = 0; i <= config.groups.size(); ++i)
    hooks_.push_back(std::make_unique<HookLane>(runner, config, options_.self,
                                                [this](const HookLane::Failure& f) { on_hook_failed(f); }));
}

Agent::~Agent() {
  reactor_.unwatch(socket_watch_);
  reactor_.cancel(lock_timer_);
  reactor_.cancel(end_timer_);
}

Status Agent::open() {
  const std::string path = options_.state_directory + "/agent.lock";
  lock_ = OwnedFd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock_.valid())
    return Error::from_errno("opening " + path + " (is the state directory there and writable?)", errno);
  Result<JournalFile> journal = JournalFile::open(options_.state_directory);
  if (journal)
    journal_ = std::make_unique<JournalWriter>(std::move(*journal), config_);
  else
    log_line(journal.error().message + "; serving without a journal");
  // A successor of an agent that died cannot know what that one had started.
  if (options_.session > 1)
    for (std::size_t i = 0; i < groups_.size(); ++i)
      for (const NodeId node : config_.groups[i].nodes)
        if (node == options_.self) groups_[i]->assume_running();
  // Hang-up alone is watched for until the lock is held.
  const auto watch = reactor_.watch(socket_.get(), 0, [this](std::uint32_t events) { on_socket(events); });
  if (!watch) return watch.error();
  socket_watch_ = *watch;
  try_lock();
  return {};
}

void Agent::try_lock() {
  lock_timer_ = 0;
  if (::flock(lock_.get(), LOCK_EX | LOCK_NB) == 0) return serve();
  if (!said_waiting_)
    log_line("waiting for an earlier agent of this node, which still holds " + options_.state_directory +
             "/agent.lock while it stops its applications");
  said_waiting_ = true;
  lock_timer_ = reactor_.after(Duration::from_ms(20), [this](Duration) { try_lock(); });
}

bool Agent::leftovers_are_gone() {
  if (leftovers_gone_) return true;
  const Status killed = kill_leftover_runs(options_.state_directory, Duration::from_s(1));
  leftovers_gone_ = killed.ok();
  if (killed) return true;
  leftovers_text_ = killed.error().message;
  log_line(leftovers_text_);
  return false;
}

void Agent::serve() {
  serving_ever_ = true;
  leftovers_are_gone();
  if (phase_ == Phase::stopping) return stop_groups();
  phase_ = Phase::serving;
  Hello hello;
  hello.session = options_.session;
  hello.pid = ::getpid();
  send(hello);
  if (phase_ == Phase::serving) reactor_.change(socket_watch_, outbox_.empty() ? EPOLLIN : EPOLLIN | EPOLLOUT);
}

void Agent::on_socket(std::uint32_t events) {
  const bool gone = (events & (EPOLLHUP | EPOLLERR)) != 0;
  if ((events & EPOLLOUT) != 0 && !gone) flush();
  std::array<std::byte, max_packet_bytes> buffer{};
  // Bounded, so that a flood of requests cannot starve the ends of runs. What vigild had asked when it
  // died is void; what it had said for the journal is not.
  const int rounds = gone ? 100'000 : 64;
  for (int i = 0; i < rounds && phase_ != Phase::ended; ++i) {
    const ssize_t got = ::recv(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT | MSG_TRUNC);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) break;
    if (got <= 0) return shut_down("vigild is gone");
    if (static_cast<std::size_t>(got) > buffer.size()) {
      log_line("a packet of " + std::to_string(got) + " bytes from vigild was ignored: longer than any known");
      continue;
    }
    handle({buffer.data(), static_cast<std::size_t>(got)}, gone || phase_ != Phase::serving);
  }
  if (gone) shut_down("vigild is gone");
}

void Agent::handle(std::span<const std::byte> packet, bool journal_only) {
  Kind kind = Kind::count_;
  Defect defect = kind_of(packet, kind);
  if (defect == Defect::none && kind == Kind::journal) {
    JournalAppend append;
    defect = read_packet(packet, append);
    if (defect == Defect::none && journal_) journal_->append(append.entry);
  } else if (defect == Defect::none && kind == Kind::use_tie_breaker) {
    UseTieBreaker request;
    defect = read_packet(packet, request);
    if (defect == Defect::none && !journal_only) use_tie_breaker(request);
  } else if (defect == Defect::none) {
    AgentRequest request;
    defect = read_packet(packet, request);
    if (defect == Defect::none && !journal_only) handle_request(request);
  }
  if (defect != Defect::none)
    log_line("a packet from vigild was ignored: " + std::string(to_string(defect)) +
             "; vigild and vigil-agent must be of one release");
}

void Agent::handle_request(const AgentRequest& request) {
  if (request.session != options_.session)
    return reply(request, LaneResult{Outcome::killed, 0, {}, "not run: it was meant for an earlier agent"});
  const bool needs_group = request.verb != Verb::event && request.verb != Verb::clean;
  if ((needs_group || request.group != no_index) && request.group >= groups_.size())
    return reply(request, LaneResult{Outcome::failed, 0, {}, "not run: the configuration has no such group"});
  switch (request.verb) {
    case Verb::start:
    case Verb::stop:
      return ask_application(request);
    case Verb::monitor_on:
      return groups_[request.group]->monitor_on(request);
    case Verb::monitor_off:
      return groups_[request.group]->monitor_off();
    case Verb::event:
      return run_hooks(request);
    case Verb::clean:
      return clean(request);
    case Verb::count_:
      break;
  }
}

void Agent::ask_application(const AgentRequest& request) {
  groups_[request.group]->ask(request, [this, request](const LaneResult& result) {
    reply(request, result);
    if (result.outcome == Outcome::failed || result.outcome == Outcome::timed_out) {
      const std::string text = std::string(request.verb == Verb::start ? "start" : "stop") + " of " +
                               config_.groups[request.group].name.str() + " " +
                               status_text(result.outcome, result.exit_status) +
                               (result.text.empty() ? "" : ": " + result.text);
      log_line(text);
      tell_problem(request, problem_of(result.outcome), text);
    }
    check_ended();
  });
}

void Agent::use_tie_breaker(const UseTieBreaker& request) {
  const auto answer = [this, number = request.request](const TieBreakerLane::Outcome& outcome) {
    TieBreakerUsed used;
    used.request = number;
    used.ok = outcome.ok ? 1 : 0;
    used.held = outcome.held;
    used.text = outcome.text;
    send(used);
  };
  if (request.session == options_.session)
    return tie_breaker_.ask({request.win != 0, request.epoch, request.known}, answer);
  TieBreakerLane::Outcome outcome;
  outcome.text = "not used: it was meant for an earlier agent";
  answer(outcome);
}

void Agent::clean(const AgentRequest& request) {
  if (!leftovers_are_gone()) return reply(request, LaneResult{Outcome::failed, 0, {}, leftovers_text_});
  struct Collected {
    std::size_t open = 1;  // one for the asking itself
    LaneResult worst;
    Instant began = Reactor::now();
  };
  const auto collected = std::make_shared<Collected>();
  const auto one_done = [this, request, collected] {
    if (--collected->open > 0) return;
    collected->worst.took = Reactor::now() - collected->began;
    reply(request, collected->worst);
    check_ended();
  };
  for (std::size_t i = 0; i < groups_.size(); ++i) {
    if (request.group != no_index && request.group != i) continue;
    bool may_run_here = false;
    for (const NodeId node : config_.groups[i].nodes) may_run_here = may_run_here || node == options_.self;
    if (!may_run_here) continue;
    AgentRequest part = request;
    part.group = static_cast<GroupIndex>(i);
    ++collected->open;
    groups_[i]->ask(part, [this, i, collected, one_done](const LaneResult& result) {
      if (result.outcome != Outcome::ok) {
        const std::string text = "clean-up: " + config_.groups[i].name.str() + " could not be stopped: its stop " +
                                 status_text(result.outcome, result.exit_status) +
                                 (result.text.empty() ? "" : ": " + result.text);
        log_line(text);
        if (collected->worst.outcome == Outcome::ok) collected->worst = result;
        collected->worst.text = text;
      }
      one_done();
    });
  }
  one_done();
}

void Agent::run_hooks(const AgentRequest& request) {
  hook_lane(request.group).ask(request, [this, request](const LaneResult& result) {
    if (request.wait != 0) reply(request, result);
  });
}

HookLane& Agent::hook_lane(GroupIndex group) { return group < groups_.size() ? *hooks_[group] : *hooks_.back(); }

void Agent::on_hook_failed(const HookLane::Failure& failure) {
  const HookConfig& hook = config_.hooks[failure.hook];
  HookFailed message;
  message.request = failure.request.request;
  message.problem = problem_of(failure.result.outcome);
  message.event = failure.request.event;
  message.stage = hook.stage;
  message.hook = failure.hook;
  message.group = failure.request.group;
  message.generation = failure.request.generation;
  message.exit_status = failure.result.exit_status;
  message.took_ns = failure.result.took.ns;
  message.text.assign(failure.result.text);
  send(message);
  const std::string text = std::string(to_string(failure.request.event)) + " hook '" + hook.command.str() + "' " +
                           status_text(failure.result.outcome, failure.result.exit_status) +
                           (failure.result.text.empty() ? "" : ": " + failure.result.text);
  log_line(text);
  tell_problem(failure.request, message.problem, text);
}

void Agent::on_monitor_failed(GroupIndex group, const Monitor::Failure& failure) {
  ApplicationFailed message;
  message.group = group;
  message.generation = failure.generation;
  message.timed_out = failure.result.outcome == Outcome::timed_out ? 1 : 0;
  message.exit_status = failure.result.exit_status;
  message.text.assign(failure.result.text);
  send(message);
  log_line("monitor of " + config_.groups[group].name.str() + " " +
           status_text(failure.result.outcome, failure.result.exit_status) +
           (failure.result.text.empty() ? "" : ": " + failure.result.text));
}

void Agent::tell_problem(const AgentRequest& cause, EventName problem, const std::string& text) {
  const bool about_problem =
      cause.verb == Verb::event && (cause.event == EventName::event_error || cause.event == EventName::config_too_long);
  if (about_problem || phase_ != Phase::serving) return;
  AgentRequest request = cause;
  request.verb = Verb::event;
  request.event = problem;
  request.stage = Stage::whole;
  request.wait = 0;
  request.boot_ns = Reactor::now().ns;
  timespec wall{};
  ::clock_gettime(CLOCK_REALTIME, &wall);
  request.wall_ns = wall.tv_sec * 1'000'000'000 + wall.tv_nsec;
  request.text.assign(text);
  run_hooks(request);
}

void Agent::reply(const AgentRequest& request, const LaneResult& result) {
  if (request.verb == Verb::monitor_on || request.verb == Verb::monitor_off) return;
  if (request.verb == Verb::event && request.wait == 0) return;
  AgentReply message;
  message.request = request.request;
  message.verb = request.verb;
  message.outcome = result.outcome;
  message.problem = result.outcome == Outcome::killed ? EventName::none : problem_of(result.outcome);
  message.group = request.group < limits::max_groups ? request.group : no_index;
  message.exit_status = result.exit_status;
  message.took_ns = result.took.ns;
  message.text.assign(result.text);
  send(message);
}

template <Packet T>
void Agent::send(T message) {
  if (phase_ == Phase::stopping || phase_ == Phase::ended) return;
  seal(message);
  const auto bytes = bytes_of(message);
  if (outbox_.size() >= outbox_limit) return log_line("vigild reads nothing: an answer to it was lost");
  outbox_.emplace_back(bytes.begin(), bytes.end());
  flush();
}

void Agent::flush() {
  while (!outbox_.empty()) {
    const std::vector<std::byte>& front = outbox_.front();
    if (::send(socket_.get(), front.data(), front.size(), MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
      if (errno == EINTR) continue;
      // When vigild is gone, the hang-up says so to on_socket().
      if (errno != EAGAIN) outbox_.clear();
      break;
    }
    outbox_.pop_front();
  }
  if (phase_ == Phase::serving) reactor_.change(socket_watch_, outbox_.empty() ? EPOLLIN : EPOLLIN | EPOLLOUT);
}

void Agent::shut_down(const std::string& reason) {
  if (phase_ == Phase::stopping || phase_ == Phase::ended) return;
  log_line(reason + "; stopping what runs");
  phase_ = Phase::stopping;
  reactor_.unwatch(socket_watch_);
  socket_watch_ = 0;
  // Told at once to vigild, should it live: this agent answers nothing any more.
  outbox_.clear();
  if (serving_ever_) return stop_groups();
  // Not even the lock is held: a first agent has nothing to stop; a successor waits for its turn.
  if (options_.session == 1) {
    phase_ = Phase::ended;
    reactor_.stop();
  }
}

void Agent::stop_groups() {
  for (const auto& lane : hooks_) lane->shut_down();
  for (std::size_t i = 0; i < groups_.size(); ++i)
    groups_[i]->shut_down([this, i](const LaneResult& result) {
      if (result.outcome == Outcome::ok) return;
      exit_status_ = exit_not_stopped;
      log_line(config_.groups[i].name.str() + " could not be stopped: its stop " +
               status_text(result.outcome, result.exit_status) + (result.text.empty() ? "" : ": " + result.text));
    });
  check_ended();
}

void Agent::check_ended() {
  if (phase_ != Phase::stopping || end_timer_ != 0) return;
  // Looked at from the loop, and again until it is so: a lane calls this from within its own step.
  end_timer_ = reactor_.after(Duration::from_ms(5), [this](Duration) {
    end_timer_ = 0;
    for (const auto& lane : groups_)
      if (!lane->idle()) return check_ended();
    runner_.cancel_all();
    if (!runner_.idle()) return check_ended();
    phase_ = Phase::ended;
    reactor_.stop();
  });
}

}  // namespace vigil::agent
