#include "runtime/agent/reactor.hpp"

#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>
#include <string>

namespace vigil::agent {

Instant Reactor::now() {
  timespec time{};
  ::clock_gettime(CLOCK_BOOTTIME, &time);
  return Instant{time.tv_sec * 1'000'000'000 + time.tv_nsec};
}

Status Reactor::open() {
  epoll_ = OwnedFd(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll_.valid()) return Error::from_errno("opening the agent's event loop (epoll_create1)", errno);
  return {};
}

Result<WatchId> Reactor::watch(int fd, std::uint32_t events, WatchCallback callback) {
  const WatchId id = next_id_++;
  epoll_event event{};
  event.events = events;
  event.data.u64 = id;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0)
    return Error::from_errno("watching descriptor " + std::to_string(fd) + " (epoll_ctl)", errno);
  watches_[id] = Watch{fd, std::make_shared<WatchCallback>(std::move(callback))};
  return id;
}

void Reactor::change(WatchId id, std::uint32_t events) {
  const auto found = watches_.find(id);
  if (found == watches_.end()) return;
  epoll_event event{};
  event.events = events;
  event.data.u64 = id;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, found->second.fd, &event);
}

void Reactor::unwatch(WatchId id) {
  const auto found = watches_.find(id);
  if (found == watches_.end()) return;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, found->second.fd, nullptr);
  watches_.erase(found);
}

TimerId Reactor::at(Instant when, TimerCallback callback) {
  const TimerId id = next_id_++;
  timers_[{when.ns, id}] = std::move(callback);
  due_of_[id] = when.ns;
  return id;
}

void Reactor::cancel(TimerId id) {
  const auto found = due_of_.find(id);
  if (found == due_of_.end()) return;
  timers_.erase({found->second, id});
  due_of_.erase(found);
}

void Reactor::serve_timers() {
  // Only what was due when the turn began: a timer that re-arms itself at once cannot starve the rest.
  const Instant turn_began = now();
  while (!timers_.empty()) {
    const auto first = timers_.begin();
    const auto [due_ns, id] = first->first;
    if (due_ns > turn_began.ns) return;
    const TimerCallback callback = std::move(first->second);
    timers_.erase(first);
    due_of_.erase(id);
    callback(turn_began - Instant{due_ns});
  }
}

void Reactor::turn(Duration patience) {
  std::int64_t wait_ns = patience.ns;
  if (!timers_.empty()) wait_ns = std::min(wait_ns, timers_.begin()->first.first - now().ns);
  wait_ns = std::max<std::int64_t>(wait_ns, 0);
  const int wait_ms = static_cast<int>(std::min<std::int64_t>((wait_ns + 999'999) / 1'000'000, 60'000));
  std::array<epoll_event, 64> events{};
  const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), wait_ms);
  // Descriptors before timers: after a stall, what ended in time is seen before its time-out is.
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<std::size_t>(i)];
    const auto found = watches_.find(event.data.u64);
    if (found == watches_.end()) continue;
    const std::shared_ptr<WatchCallback> callback = found->second.callback;
    (*callback)(event.events);
  }
  serve_timers();
}

void Reactor::run() {
  stopping_ = false;
  while (!stopping_) turn(Duration::from_s(60));
}

}  // namespace vigil::agent
