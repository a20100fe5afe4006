// The agent's event loop: one thread, epoll, a heap of timers. Whatever may wait is a descriptor or a
// timer here; nothing in the agent sleeps. It decides nothing.
//
// A callback may watch, unwatch, set and cancel at will, itself included: what was removed is not
// called any more, even when it was already due in the same turn.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <utility>

#include "runtime/agent/owned_fd.hpp"
#include "runtime/base/result.hpp"
#include "runtime/base/time.hpp"

namespace vigil::agent {

using WatchId = std::uint64_t;  // 0: none
using TimerId = std::uint64_t;  // 0: none

class Reactor {
 public:
  // How late a timer was served: large when the whole agent had been stopped.
  using TimerCallback = std::function<void(Duration lateness)>;
  using WatchCallback = std::function<void(std::uint32_t events)>;

  Reactor() = default;
  Reactor(const Reactor&) = delete;
  Reactor& operator=(const Reactor&) = delete;

  Status open();
  static Instant now();  // CLOCK_BOOTTIME

  // `events`: EPOLLIN, EPOLLOUT; hang-up and errors are always told. Level-triggered.
  Result<WatchId> watch(int fd, std::uint32_t events, WatchCallback callback);
  void change(WatchId id, std::uint32_t events);
  void unwatch(WatchId id);  // before closing the descriptor; 0 is ignored

  TimerId at(Instant when, TimerCallback callback);
  TimerId after(Duration delay, TimerCallback callback) { return at(now() + delay, std::move(callback)); }
  void cancel(TimerId id);  // 0 and what already ran are ignored

  void run();  // until stop()
  void stop() { stopping_ = true; }
  // Serves what is due, waiting at most `patience` for it.
  void turn(Duration patience);

 private:
  struct Watch {
    int fd = -1;
    std::shared_ptr<WatchCallback> callback;
  };

  void serve_timers();

  OwnedFd epoll_;
  std::uint64_t next_id_ = 1;
  std::map<WatchId, Watch> watches_;
  std::map<std::pair<std::int64_t, TimerId>, TimerCallback> timers_;  // by (due ns, id)
  std::map<TimerId, std::int64_t> due_of_;
  bool stopping_ = false;
};

}  // namespace vigil::agent
