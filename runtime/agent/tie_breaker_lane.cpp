#include "runtime/agent/tie_breaker_lane.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <array>
#include <cerrno>
#include <utility>

#include "runtime/agent/pidfd.hpp"

namespace vigil::agent {

namespace {

// What lane and worker tell each other, one a packet.
struct Order {
  std::uint64_t serial = 0;
  TieBreakerLane::Use use;
  Instant deadline;
};
struct Report {
  std::uint64_t serial = 0;
  TieBreakerLane::Outcome outcome;
};

TieBreakerLane::Outcome failed(std::string_view why) {
  TieBreakerLane::Outcome outcome;
  outcome.text = why;
  return outcome;
}

// The child keeps its socket and standard error, nothing else of the agent's: least of all its lock.
void become_worker(int socket, pid_t agent) {
  ::prctl(PR_SET_NAME, "vigil-tie");
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != agent) ::_exit(0);  // it died before it could be asked to take us with it
  ::dup2(socket, STDIN_FILENO);
  ::close_range(STDERR_FILENO + 1, ~0U, 0);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

}  // namespace

TieBreakerLane::TieBreakerLane(Reactor& reactor, std::unique_ptr<disk::TieBreaker> tie_breaker, Duration limit)
    : reactor_(reactor), tie_breaker_(std::move(tie_breaker)), limit_(limit) {}

TieBreakerLane::~TieBreakerLane() {
  kill_worker();
  reactor_.unwatch(process_watch_);
  reactor_.cancel(timer_);
}

void TieBreakerLane::ask(const Use& use, Done done) {
  if (tie_breaker_ == nullptr) return done(failed("the configuration has no tie-breaker"));
  if (queue_.size() >= queue_limit) return done(failed("the tie-breaker is asked faster than it answers"));
  if (!socket_.valid() && process_.valid())
    return done(failed("the tie-breaker hangs: an earlier use of it has not even ended when it was killed"));
  if (!socket_.valid())
    if (const Status started = start_worker(); !started) return done(failed(started.error().message));
  queue_.push_back(Job{++next_serial_, use, Reactor::now() + limit_, std::move(done)});
  if (!handed_over_) hand_over();
  arm();
}

Status TieBreakerLane::start_worker() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0)
    return Error::from_errno("making a socket for the tie-breaker's worker", errno);
  OwnedFd ours(ends[0]);
  OwnedFd theirs(ends[1]);
  const pid_t agent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) return Error::from_errno("starting the tie-breaker's worker (fork)", errno);
  if (pid == 0) {
    become_worker(theirs.get(), agent);
    work(STDIN_FILENO);
    ::_exit(0);
  }
  process_ = open_pidfd(pid);
  if (!process_.valid()) {
    const int why = errno;
    ::kill(pid, SIGKILL);
    return Error::from_errno("watching the tie-breaker's worker (pidfd_open)", why);
  }
  const auto gone = reactor_.watch(process_.get(), EPOLLIN, [this](std::uint32_t) { on_worker_gone(); });
  const auto answers = reactor_.watch(ours.get(), EPOLLIN, [this](std::uint32_t) { on_answer(); });
  socket_ = std::move(ours);
  handed_over_ = false;
  process_watch_ = gone ? *gone : 0;
  socket_watch_ = answers ? *answers : 0;
  if (gone && answers) return {};
  kill_worker();
  return gone ? answers.error() : gone.error();
}

// The worker's whole life.
void TieBreakerLane::work(int socket) {
  Order order;
  while (::recv(socket, &order, sizeof(order), 0) == static_cast<ssize_t>(sizeof(order))) {
    const Result<Epoch> held =
        order.use.win ? tie_breaker_->win(order.use.epoch, order.use.known, order.deadline) : tie_breaker_->read();
    Report report{order.serial, held ? Outcome{true, *held, {}} : failed(held.error().message)};
    if (::send(socket, &report, sizeof(report), MSG_NOSIGNAL) < 0) return;
  }
}

void TieBreakerLane::hand_over() {
  if (queue_.empty()) return;
  const Order order{queue_.front().serial, queue_.front().use, queue_.front().deadline};
  // What a worker that just died cannot take is answered when its end is seen.
  handed_over_ = ::send(socket_.get(), &order, sizeof(order), MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

void TieBreakerLane::on_answer() {
  Report report;
  const ssize_t got = ::recv(socket_.get(), &report, sizeof(report), MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got != static_cast<ssize_t>(sizeof(report))) {  // it died: its end is told by its pidfd
    reactor_.unwatch(std::exchange(socket_watch_, 0));
    return;
  }
  if (queue_.empty() || queue_.front().serial != report.serial) return;
  const Done done = std::move(queue_.front().done);
  queue_.pop_front();
  handed_over_ = false;
  hand_over();
  arm();
  done(report.outcome);
}

// The oldest has had its time; those behind it would wait for a worker that hangs.
void TieBreakerLane::on_late() {
  timer_ = 0;
  kill_worker();
  fail_all("the tie-breaker did not answer within " + std::to_string(limit_.ns / 1'000'000) + " ms");
}

void TieBreakerLane::on_worker_gone() {
  siginfo_t ignored{};
  ::waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(process_.get()), &ignored, WEXITED | WNOHANG);
  reactor_.unwatch(std::exchange(process_watch_, 0));
  process_.reset();
  kill_worker();
  if (!queue_.empty()) fail_all("the tie-breaker's worker died");
}

void TieBreakerLane::kill_worker() {
  if (process_.valid()) signal_pidfd(process_, SIGKILL);
  reactor_.unwatch(std::exchange(socket_watch_, 0));
  socket_.reset();
  handed_over_ = false;
}

void TieBreakerLane::fail_all(const std::string& why) {
  std::deque<Job> jobs;
  jobs.swap(queue_);
  arm();
  for (const Job& job : jobs) job.done(failed(why));
}

void TieBreakerLane::arm() {
  reactor_.cancel(std::exchange(timer_, 0));
  if (!queue_.empty()) timer_ = reactor_.at(queue_.front().deadline, [this](Duration) { on_late(); });
}

}  // namespace vigil::agent
