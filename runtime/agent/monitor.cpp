#include "runtime/agent/monitor.hpp"

#include <ctime>
#include <memory>

#include "runtime/agent/command_spec.hpp"
#include "runtime/agent/log.hpp"

namespace vigil::agent {

namespace {

constexpr int not_started_limit = 3;

std::int64_t wall_now_ns() {
  timespec time{};
  ::clock_gettime(CLOCK_REALTIME, &time);
  return time.tv_sec * 1'000'000'000 + time.tv_nsec;
}

}  // namespace

Duration Monitor::phase_of(GroupIndex group, Duration interval) {
  // Multiples of the golden ratio fall into the largest gap that the ones before them left.
  constexpr std::int64_t golden_per_mille = 618;
  return interval * ((static_cast<std::int64_t>(group) + 1) * golden_per_mille % 1000) / 1000;
}

void Monitor::on(const events::EventContext& context) {
  const ApplicationConfig& application = config_.groups[group_].application;
  if (application.monitor.empty()) return;
  context_ = context;
  if (on_) return;
  on_ = true;
  not_started_ = 0;
  arm(Reactor::now() + phase_of(group_, application.monitor_interval));
}

void Monitor::off() {
  on_ = false;
  reactor_.cancel(timer_);
  timer_ = 0;
  runner_.cancel(run_, Duration::from_ms(200));
  run_ = 0;
}

void Monitor::arm(Instant when) {
  due_ = when;
  timer_ = reactor_.at(when, [this](Duration) { probe(); });
}

void Monitor::probe() {
  timer_ = 0;
  context_.boot_ns = Reactor::now().ns;
  context_.wall_ns = wall_now_ns();
  // The result of a run that off() forgot must not be taken for that of a later one.
  const auto mine = std::make_shared<RunId>(0);
  *mine = run_ = runner_.start(application_spec(config_, context_), [this, mine](const RunResult& result) {
    if (*mine == run_) on_result(result);
  });
}

void Monitor::on_result(const RunResult& result) {
  run_ = 0;
  if (!result.started && ++not_started_ < not_started_limit) {
    log_line("monitor of " + config_.groups[group_].name.str() +
             " could not be started, which says nothing yet: " + result.text);
  } else if (result.outcome != Outcome::ok) {
    on_ = false;
    return on_failure_(Failure{context_.generation, result});
  } else {
    not_started_ = 0;
  }
  const Duration interval = config_.groups[group_].application.monitor_interval;
  arm(later(due_ + interval, Reactor::now()));
}

}  // namespace vigil::agent
