// Uses the tie-breaker, which may block for as long as it likes, without ever letting anything else wait: the work is
// done by a process of its own, forked at the first use. (Not by a thread: one that hangs in the kernel would keep
// the agent from ending, and with it the lock that its successor waits for.)
//
// Every use is answered, once, within the limit. A worker that has not answered by then is killed, which also ends
// its wait for a lock; until the kernel lets go of it, further uses fail at once. What it was doing may still
// reach the storage: for the caller an answer that failed means "not known", never "not won".
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "disk/tie_breaker.hpp"
#include "runtime/agent/reactor.hpp"
#include "runtime/base/bounded.hpp"

namespace vigil::agent {

class TieBreakerLane {
 public:
  struct Use {
    bool win = false;  // else read
    Epoch epoch;
    Epoch known;
  };
  struct Outcome {
    bool ok = false;
    Epoch held;                // when ok
    BoundedString<255> text;   // when not ok: why
  };
  using Done = std::function<void(const Outcome&)>;

  // `tie_breaker` may be null: the configuration has none. `reactor` must outlive the lane.
  TieBreakerLane(Reactor& reactor, std::unique_ptr<disk::TieBreaker> tie_breaker, Duration limit);
  ~TieBreakerLane();
  TieBreakerLane(const TieBreakerLane&) = delete;
  TieBreakerLane& operator=(const TieBreakerLane&) = delete;

  void ask(const Use& use, Done done);

 private:
  static constexpr std::size_t queue_limit = 16;

  struct Job {
    std::uint64_t serial = 0;
    Use use;
    Instant deadline;
    Done done;
  };

  Status start_worker();
  void work(int socket);
  void hand_over();
  void on_answer();
  void on_late();
  void on_worker_gone();
  void kill_worker();
  void fail_all(const std::string& why);
  void arm();

  Reactor& reactor_;
  std::unique_ptr<disk::TieBreaker> tie_breaker_;
  Duration limit_;
  OwnedFd socket_;   // to the worker; invalid: none that can be used
  OwnedFd process_;  // its pidfd; valid until it is gone
  WatchId socket_watch_ = 0;
  WatchId process_watch_ = 0;
  TimerId timer_ = 0;
  std::uint64_t next_serial_ = 0;
  bool handed_over_ = false;  // the first of the queue, to the worker
  std::deque<Job> queue_;
};

}  // namespace vigil::agent
