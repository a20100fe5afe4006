// The event loop of a real-time thread, over io_uring. It waits for one absolute deadline and for
// whatever its sources bring, and calls their handlers; it decides nothing. After create() and the
// registration of sources it allocates nothing and never blocks but in run_once().
//
// How each thing reaches the loop:
//   datagrams         multishot recvmsg into a ring of provided buffers: no system call per datagram,
//                     and a buffer is taken only when there is something to put into it
//   the deadline      the time-out of the one io_uring_enter() that waits anyway, absolute on
//                     CLOCK_BOOTTIME where the kernel can (6.12), so that a preemption between reading
//                     the clock and sleeping cannot make it late; relative otherwise. Compared with a
//                     timeout request or a timerfd it costs no submission, no completion and no second
//                     wake-up path, and moving the deadline is free: it is an argument
//   timers            the earliest is part of that deadline: no descriptor, no system call
//   other descriptors multishot poll (netlink, sockets), edge-triggered; or one shot, asked for anew (ttys)
//   signals           signalfd; children: pidfd; both by multishot poll
//   the state file    WRITE linked to FSYNC, forced to a worker of the kernel: never inline, since
//                     even a buffered write may wait for the journal of a file system
//   sending           not by the ring: a direct sendto(MSG_DONTWAIT) leaves at once, where a submission
//                     would wait for the end of the handlers. See drivers/
//
// A handler is called only from run_once(), in the order of completion. It may add and remove sources,
// its own included, and destroy itself after removing them.
#pragma once

#include <liburing.h>
#include <sys/socket.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "runtime/base/result.hpp"
#include "runtime/base/time.hpp"
#include "runtime/loop/fd.hpp"

namespace vigil {

struct RingOptions {
  unsigned submissions = 64;  // requests queued between two waits; the queue flushes itself when full
  unsigned completions = 1024;
  unsigned sources = 256;       // registered at one time, saves under way included
  unsigned buffers = 256;       // datagrams received and not handled yet; a power of two
  unsigned buffer_bytes = 512;  // one datagram with its address and time stamp (112 bytes of overhead)
  bool plain = false;           // do without what only newer kernels than 6.0 have: tests of the fallback
};

// Names a registered source. Stale ids are harmless: a slot's generation changes when it is reused.
struct SourceId {
  std::uint32_t slot = 0xffff'ffff;
  std::uint32_t generation = 0;

  bool valid() const { return slot != 0xffff'ffff; }
  bool operator==(const SourceId&) const = default;
};

struct Packet {
  std::span<const std::byte> bytes;   // valid during the call
  std::span<const std::byte> source;  // the sender's sockaddr as the kernel gave it; may be empty
  bool truncated = false;             // it was larger than the buffer
  Instant received;                   // read when the packet was handed over, never before its arrival
  // Where the socket has SO_TIMESTAMPNS: when the kernel got it, by the wall clock's word but never outside of
  // the time since the loop last looked. For statistics. Elsewhere: `received`.
  Instant arrived;
};

struct SignalNews {
  int number = 0;
  pid_t sender = 0;  // 0: the kernel
};

struct ChildExit {
  pid_t pid = 0;
  bool killed = false;  // by the signal `status`; otherwise `status` is the exit status
  int status = 0;
};

// One end of a wait, told before anything that it brought: see LatenessMeter.
struct WakeUp {
  Instant slept_from;
  Instant deadline;  // run_once()'s or that of the timers, whichever is earlier
  Instant woke;
};

// The tag is the one given at registration.
class RingHandler {
 public:
  virtual ~RingHandler() = default;
  virtual void on_packet(std::uint32_t tag, const Packet& packet);
  // The receiving of a receive() source stopped with this errno; receive_again() resumes it. The
  // error is often a passing one (ENETDOWN: the socket lives on and works when the interface is back).
  virtual void on_receive_stopped(std::uint32_t tag, int error);
  // `events`: EPOLLIN, EPOLLOUT, EPOLLHUP, EPOLLERR as poll(2) has them.
  virtual void on_ready(std::uint32_t tag, std::uint32_t events);
  virtual void on_timer(std::uint32_t tag);
  virtual void on_signal(std::uint32_t tag, const SignalNews& news);
  // The child is reaped; its source is gone.
  virtual void on_child_exit(std::uint32_t tag, const ChildExit& exit);
  // 0, or an errno; with 0 all bytes are on stable storage.
  virtual void on_saved(std::uint32_t tag, int error);
};

class WakeListener {
 public:
  virtual ~WakeListener() = default;
  virtual void on_wake(const WakeUp& wake) = 0;
};

class Ring {
 public:
  // Fails with what the kernel lacks: provided buffer rings and multishot receive came with Linux 6.0.
  // The ring belongs to the calling thread; every other call must come from it.
  static Result<std::unique_ptr<Ring>> create(const RingOptions& options = {});
  ~Ring();
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  // Receives datagrams from `socket` until removed. The caller keeps the descriptor open meanwhile.
  Result<SourceId> receive(int socket, RingHandler& handler, std::uint32_t tag = 0);
  Status receive_again(SourceId id);
  // Calls on_ready() when one of `events` comes up. Edge-triggered: the handler reads or writes until
  // EAGAIN, or bounds its work and asks for another turn with again().
  Result<SourceId> watch(int fd, std::uint32_t events, RingHandler& handler, std::uint32_t tag = 0);
  // The same, once: on_ready() is not called again, whatever comes, before watch_again().
  Result<SourceId> watch_once(int fd, std::uint32_t events, RingHandler& handler, std::uint32_t tag = 0);
  void watch_again(SourceId id);
  // Calls on_timer() once at `due`, which set_timer() moves; never() (as at first): not at all. It may be late by
  // what set_gather() allows, so that it comes along with other work.
  Result<SourceId> timer(RingHandler& handler, std::uint32_t tag = 0);
  void set_timer(SourceId id, Instant due);
  // on_ready(EPOLLIN) is called once more in the next run_once(), which will not sleep.
  void again(SourceId id);
  // Blocks these signals in this thread and reports them instead. Call before other threads start.
  Result<SourceId> watch_signals(std::span<const int> signals, RingHandler& handler, std::uint32_t tag = 0);
  // Reports and reaps the end of a child of this process. One report, then the source is gone.
  Result<SourceId> watch_child(pid_t pid, RingHandler& handler, std::uint32_t tag = 0);
  // Writes all of `bytes` at `offset` of a regular file and then syncs its data, without blocking.
  // `bytes` and `fd` must stay valid until on_saved(). A short write is reported as EIO.
  Result<SourceId> write_and_sync(int fd, std::span<const std::byte> bytes, std::uint64_t offset, RingHandler& handler,
                                  std::uint32_t tag = 0);
  // No call of the handler follows, and the kernel has let go of the descriptor when this returns. A
  // save cannot be stopped: only its report is.
  void remove(SourceId id);

  void set_wake_listener(WakeListener* listener) { listener_ = listener; }
  // What comes within `gather` of the begin of a wait may be handed over together: frames arrive in
  // bursts, and a wake-up costs more than a frame. A loop that slept longer than that is woken at once.
  // Zero (the default), and kernels before 6.12: never held back.
  void set_gather(Duration gather);

  // Waits until `deadline` (never(): without limit; now or earlier: not at all) or until something
  // comes, and calls the handlers of what is there. Returns how many handler calls were made.
  // An interrupted wait is a wake-up that brought nothing. Fails only when the ring is broken.
  Result<unsigned> run_once(Instant deadline);
  // Hands over what has come, without waiting; of a flood only a part, and the rest the next time. For a ring that is
  // looked at when its owner wakes for something else.
  Status drain();
  // For loops around run_once(): `while (!ring.stopping()) …`.
  void stop() { stopping_ = true; }
  bool stopping() const { return stopping_; }

  // One line for the log: which of the optional features this kernel gave.
  std::string describe() const;

 private:
  enum class Kind : std::uint8_t { none, receive, watch, timer, signals, child, save };
  struct Source {
    Kind kind = Kind::none;
    bool armed = false;    // a request of it is with the kernel
    bool closing = false;  // removed; waits for its last completion
    bool again = false;
    bool once = false;     // watch: armed by watch_again() alone
    std::uint32_t generation = 1;
    std::uint32_t tag = 0;
    std::uint32_t events = 0;
    int fd = -1;
    int error = 0;             // save: the first error
    unsigned expected = 0;     // save: bytes
    unsigned outstanding = 0;  // save: completions to come
    pid_t pid = 0;
    Instant due = Instant::never();  // timer
    RingHandler* handler = nullptr;
    Fd owned;  // signalfd, pidfd
  };
  struct Completion {
    std::uint64_t user_data;
    int result;
    std::uint32_t flags;
  };

  explicit Ring(const RingOptions& options);
  Status set_up();
  Status set_up_queues();
  Status set_up_buffers();
  Status probe_receive();

  Result<std::uint32_t> take_slot(Kind kind, int fd, RingHandler& handler, std::uint32_t tag);
  void free_slot(Source& source);
  SourceId id_of(std::uint32_t slot) const { return {slot, sources_[slot].generation}; }
  Source* find(SourceId id);
  io_uring_sqe* next_sqe();
  void arm(std::uint32_t slot);
  int wait(Instant deadline);
  Instant timers_end() const;
  unsigned dispatch_timers(Instant now);
  unsigned dispatch_again();
  unsigned dispatch(const Completion& completion);
  unsigned dispatch_packet(std::uint32_t slot, const Completion& completion);
  Instant arrival(io_uring_recvmsg_out* out, Instant now);
  unsigned dispatch_ready(std::uint32_t slot, const Completion& completion);
  unsigned dispatch_save(std::uint32_t slot, bool is_write, const Completion& completion);
  unsigned read_signals(std::uint32_t slot);
  unsigned reap_child(std::uint32_t slot);
  void give_back(unsigned buffer);
  std::byte* buffer(unsigned index) { return buffer_bytes_ + std::size_t{index} * options_.buffer_bytes; }

  RingOptions options_;
  io_uring ring_{};
  bool queues_up_ = false;
  bool gathers_ = false;         // the kernel has minimum waits
  Duration gather_;
  std::uint32_t gather_us_ = 0;  // that, where the kernel can
  bool absolute_ = false;  // waits take an absolute CLOCK_BOOTTIME deadline
  unsigned enter_flags_ = 0;
  unsigned setup_flags_ = 0;
  io_uring_buf_ring* buffer_ring_ = nullptr;
  std::size_t buffer_ring_size_ = 0;
  std::byte* buffer_bytes_ = nullptr;
  std::size_t buffer_bytes_size_ = 0;
  msghdr receive_header_{};  // tells the kernel how much room each buffer gives to address and time stamp
  Instant looked_;           // when the wait before this one ended
  Instant woke_;             // when the last one did
  std::vector<Source> sources_;
  std::vector<std::uint32_t> free_slots_;
  std::vector<std::uint32_t> again_;
  std::vector<std::uint32_t> again_now_;
  std::vector<std::uint32_t> timers_;
  unsigned saves_ = 0;
  WakeListener* listener_ = nullptr;
  bool stopping_ = false;
};

}  // namespace vigil
