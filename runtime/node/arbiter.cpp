#include "runtime/node/arbiter.hpp"

#include <signal.h>

#include <algorithm>
#include <array>

#include "runtime/loop/clock.hpp"

namespace vigil {

namespace {

// A cluster that could not be started, or failed, is tried again.
constexpr Duration retry = Duration::from_s(10);
// Leaving is a view change or two. Whoever takes longer has nobody to agree with.
constexpr Duration leave_limit = Duration::from_s(30);
constexpr Duration look_again = Duration::from_ms(100);

// For each cluster: its links, the control socket with 16 clients, the keys, the adapters, a save. Places and
// buffers that nobody uses cost some hundred kilobytes.
constexpr unsigned sources_per_cluster = 32;

RingOptions ring_options() {
  RingOptions options;
  options.sources = sources_per_cluster * max_arbiter_clusters;
  options.completions = 4096;
  options.buffers = 2048;
  return options;
}

}  // namespace

Arbiter::Arbiter(ArbiterOptions options, Log& log) : options_(std::move(options)), log_(log) {}

// The opener first: it may be at work on a seat. Then the ring, which lets writes of state files finish.
Arbiter::~Arbiter() {
  for (auto& seat : seats_) seat->node.detach();
  if (opener_) opener_->detach();
  opener_.reset();
  loop_.reset();
}

Status Arbiter::set_up() {
  Result<std::unique_ptr<NodeLoop>> loop = NodeLoop::create(ring_options(), ring_options());
  if (!loop) return loop.error();
  loop_ = std::move(loop).value();
  constexpr std::array signals = {SIGTERM, SIGINT, SIGHUP};
  if (const auto source = loop_->ring().watch_signals(signals, *this); !source) return source.error();
  opener_ = std::make_unique<ArbiterOpener>(options_, static_cast<OpenerListener&>(*this));
  return opener_->attach(loop_->ring());
}

int Arbiter::run() {
  begin_job(boottime_now());
  while (!over()) {
    if (const Status turned = loop_->turn(next_deadline()); !turned) {
      log_.write(LogLevel::error, turned.error().message);
      return 1;
    }
    tend(boottime_now());
  }
  return 0;
}

bool Arbiter::over() const { return stops_asked_ > 0 && seats_.empty(); }

Instant Arbiter::next_deadline() const {
  Instant next = opener_->busy() ? look_at_ : earlier(retry_at_, look_at_);
  for (const auto& seat : seats_) next = earlier(next, seat->leave_by);
  return next;
}

void Arbiter::on_signal(std::uint32_t, const SignalNews& news) {
  if (news.number == SIGHUP) {
    reread_ = true;
    return;
  }
  ++stops_asked_;
  log_.write(LogLevel::notice, stops_asked_ > 1 ? "asked to stop again: stopping at once"
                                                : "asked to stop: leaving every cluster; ask again to stop at once");
  for (auto& seat : seats_) {
    if (stops_asked_ > 1) seat->node.ask_to_stop();
    ask_to_leave(*seat);
  }
}

void Arbiter::ask_to_leave(ArbiterSeat& seat) {
  if (seat.leaving) return;
  seat.leaving = true;
  seat.leave_by = boottime_now() + leave_limit;
  seat.node.ask_to_stop();
}

// ---- what the files say ----------------------------------------------------------------------------

void Arbiter::on_news(ArbiterNews news) {
  for (const ArbiterNews::Line& line : news.lines) log_.write(line.level, line.text);
  for (auto& seat : news.opened) start(std::move(seat));
  for (const std::string& name : news.leave)
    for (auto& seat : seats_)
      if (seat->config().name.view() == name) ask_to_leave(*seat);
  if (news.missing) retry_at_ = earlier(retry_at_, boottime_now() + retry);
}

void Arbiter::start(std::unique_ptr<ArbiterSeat> seat) {
  const Status attached = seat->node.attach(loop_->ring(), loop_->quiet());
  if (!attached) {
    seat->log.write(LogLevel::error, attached.error().message);
    seat->node.detach();
    retired_.push_back(std::move(seat));
    retry_at_ = earlier(retry_at_, boottime_now() + retry);
    return;
  }
  loop_->add(seat->node);
  seats_.push_back(std::move(seat));
  if (stops_asked_ > 0) ask_to_leave(*seats_.back());
}

void Arbiter::begin_job(Instant now) {
  ArbiterJob job;
  job.reread = std::exchange(reread_, false);
  if (job.reread) resting_.clear();
  if (job.reread || now >= retry_at_) retry_at_ = Instant::never();
  for (const auto& seat : seats_) job.running.push_back(seat->running());
  for (auto& seat : retired_) {
    if (!seat->node.writing()) {
      job.ended.push_back(std::move(seat));
    } else {  // its state file is still in use
      job.running.push_back(seat->running());
      job.running.back().leaving = true;
    }
  }
  std::erase(retired_, nullptr);
  for (const RunningCluster& one : resting_) job.running.push_back(one);
  opener_->begin(std::move(job));
}

// ---- what becomes of those that are here -----------------------------------------------------------

void Arbiter::tend(Instant now) {
  for (auto& seat : seats_) {
    if (now >= seat->leave_by && !seat->node.ended()) seat->node.ask_to_stop();  // the second time: at once
    if (seat->node.ended()) let_go(std::move(seat), now);
  }
  std::erase(seats_, nullptr);
  look_at_ = Instant::never();
  if (stops_asked_ > 0) return;
  const bool wanted = reread_ || now >= retry_at_ || !retired_.empty();
  if (!wanted) return;
  const bool possible = !opener_->busy() && (reread_ || now >= retry_at_ ||
                                             std::any_of(retired_.begin(), retired_.end(),
                                                         [](const auto& seat) { return !seat->node.writing(); }));
  if (possible)
    begin_job(now);
  else
    look_at_ = now + look_again;
}

void Arbiter::let_go(std::unique_ptr<ArbiterSeat> seat, Instant now) {
  loop_->remove(seat->node);
  seat->node.detach();
  seat->log.write(seat->node.left() ? LogLevel::notice : LogLevel::error,
                  seat->node.left() ? "left the cluster" : "cannot go on in this cluster; trying again in 10 s");
  if (!seat->node.left()) {
    retry_at_ = earlier(retry_at_, now + retry);
  } else if (!seat->leaving) {  // by an operator's command
    resting_.push_back(seat->running());
    resting_.back().leaving = true;
    seat->log.write(LogLevel::notice, "stopped by an operator: send SIGHUP to vigil-arbiter to start it again");
  }
  retired_.push_back(std::move(seat));
}

}  // namespace vigil
