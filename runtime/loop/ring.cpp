#include "runtime/loop/ring.hpp"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/sdt.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "runtime/loop/clock.hpp"

namespace vigil {

namespace {

// Newer than liburing 2.3's header (Linux 6.12, include/uapi/linux/io_uring.h).
constexpr unsigned enter_absolute_timer = 1U << 5;
// io_uring_getevents_arg::min_wait_usec (called pad before 6.12) and the feature that announces it.
constexpr unsigned feature_minimum_wait = 1U << 15;
// While gathering: so many completions end the wait early.
constexpr unsigned gathered_enough = 64;
constexpr unsigned register_clock = 29;
struct ClockRegistration {
  std::uint32_t clock;
  std::uint32_t reserved[3];
};

constexpr std::uint16_t buffer_group = 0;
constexpr unsigned address_bytes = 32;  // holds sockaddr_ll, sockaddr_in6; more would be cut
constexpr unsigned control_bytes = 64;  // holds a time stamp
static_assert(control_bytes >= CMSG_SPACE(sizeof(timespec)));
constexpr unsigned slot_limit = 1U << 24;

// user_data of a request: which operation of which slot in which life of it.
enum class Operation : std::uint8_t { source = 1, write, sync, cancel };

constexpr std::uint64_t pack(Operation operation, std::uint32_t slot, std::uint32_t generation) {
  return std::uint64_t{generation} << 32 | std::uint64_t{slot} << 8 | static_cast<std::uint64_t>(operation);
}
constexpr Operation operation_of(std::uint64_t user_data) { return static_cast<Operation>(user_data & 0xff); }
constexpr std::uint32_t slot_of(std::uint64_t user_data) {
  return static_cast<std::uint32_t>(user_data >> 8) & (slot_limit - 1);
}
constexpr std::uint32_t generation_of(std::uint64_t user_data) { return static_cast<std::uint32_t>(user_data >> 32); }

__kernel_timespec to_timespec(std::int64_t ns) { return {ns / 1'000'000'000, ns % 1'000'000'000}; }

void* map_pages(std::size_t size) {
  void* pages = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  return pages == MAP_FAILED ? nullptr : pages;
}

}  // namespace

void RingHandler::on_packet(std::uint32_t, const Packet&) {}
void RingHandler::on_receive_stopped(std::uint32_t, int) {}
void RingHandler::on_ready(std::uint32_t, std::uint32_t) {}
void RingHandler::on_timer(std::uint32_t) {}
void RingHandler::on_signal(std::uint32_t, const SignalNews&) {}
void RingHandler::on_child_exit(std::uint32_t, const ChildExit&) {}
void RingHandler::on_saved(std::uint32_t, int) {}

// ---- construction ----------------------------------------------------------------------------------

Result<std::unique_ptr<Ring>> Ring::create(const RingOptions& options) {
  VIGIL_ASSERT(options.buffers > 0 && options.buffers <= 32768);
  VIGIL_ASSERT((options.buffers & (options.buffers - 1)) == 0);
  VIGIL_ASSERT(options.buffer_bytes > sizeof(io_uring_recvmsg_out) + address_bytes + control_bytes);
  VIGIL_ASSERT(options.buffer_bytes % alignof(io_uring_recvmsg_out) == 0);
  VIGIL_ASSERT(options.sources > 0 && options.sources < slot_limit);
  std::unique_ptr<Ring> ring(new Ring(options));
  if (Status status = ring->set_up(); !status) return status.error();
  return ring;
}

Ring::Ring(const RingOptions& options) : options_(options) {
  sources_.resize(options.sources);
  free_slots_.reserve(options.sources);
  for (std::uint32_t slot = options.sources; slot > 0; --slot) free_slots_.push_back(slot - 1);
  again_.reserve(std::size_t{2} * options.sources);
  again_now_.reserve(std::size_t{2} * options.sources);
  timers_.reserve(options.sources);
  receive_header_.msg_namelen = address_bytes;
  receive_header_.msg_controllen = control_bytes;
}

Status Ring::set_up() {
  if (Status status = set_up_queues(); !status) return status;
  if (Status status = set_up_buffers(); !status) return status;
  return probe_receive();
}

Status Ring::set_up_queues() {
  // Best first: completions are posted only when this thread asks for them (6.1), which keeps the
  // kernel from interrupting it; then without inter-processor interrupts (5.19); then plain.
  static constexpr unsigned attempts[] = {IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
                                          IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN,
                                          IORING_SETUP_COOP_TASKRUN, 0};
  int rc = -EINVAL;
  for (unsigned flags : attempts) {
    if (options_.plain && flags != 0) continue;
    io_uring_params params{};
    params.flags = flags | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | IORING_SETUP_SUBMIT_ALL;
    params.cq_entries = options_.completions;
    rc = ::io_uring_queue_init_params(options_.submissions, &ring_, &params);
    setup_flags_ = flags;
    if (rc != -EINVAL) break;
  }
  if (rc < 0)
    return Error::from_errno(
        "cannot create an io_uring (Linux 6.0 or newer with CONFIG_IO_URING is needed; see sysctl "
        "kernel.io_uring_disabled and the service's system call filter)",
        -rc);
  queues_up_ = true;
  if ((ring_.features & IORING_FEAT_EXT_ARG) == 0 || (ring_.features & IORING_FEAT_NODROP) == 0)
    return Error{"this kernel's io_uring cannot wait with a time-out (Linux 6.0 or newer is needed)", ENOSYS};
  // Saves one look-up of the descriptor per wait; nothing is lost without it.
  if (::io_uring_register_ring_fd(&ring_) == 1) enter_flags_ = IORING_ENTER_REGISTERED_RING;
  ClockRegistration clock{CLOCK_BOOTTIME, {}};
  absolute_ =
      !options_.plain && ::io_uring_register(static_cast<unsigned>(ring_.ring_fd), register_clock, &clock, 0) == 0;
  gathers_ = !options_.plain && (ring_.features & feature_minimum_wait) != 0;
  // State files are written one at a time; more workers would only be threads to wonder about.
  unsigned workers[2] = {2, 2};
  ::io_uring_register_iowq_max_workers(&ring_, workers);
  return {};
}

Status Ring::set_up_buffers() {
  buffer_ring_size_ = options_.buffers * sizeof(io_uring_buf);
  buffer_bytes_size_ = std::size_t{options_.buffers} * options_.buffer_bytes;
  buffer_ring_ = static_cast<io_uring_buf_ring*>(map_pages(buffer_ring_size_));
  buffer_bytes_ = static_cast<std::byte*>(map_pages(buffer_bytes_size_));
  if (buffer_ring_ == nullptr || buffer_bytes_ == nullptr)
    return Error::from_errno("cannot map " + std::to_string(buffer_ring_size_ + buffer_bytes_size_) +
                                 " bytes of receive buffers (check LimitMEMLOCK and free memory)",
                             ENOMEM);
  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<std::uintptr_t>(buffer_ring_);
  registration.ring_entries = options_.buffers;
  registration.bgid = buffer_group;
  if (int rc = ::io_uring_register_buf_ring(&ring_, &registration, 0); rc != 0)
    return Error::from_errno("cannot register receive buffers with io_uring (Linux 6.0 or newer is needed)", -rc);
  io_uring_buf_ring_init(buffer_ring_);
  for (unsigned i = 0; i < options_.buffers; ++i) give_back(i);
  return {};
}

// Receives one datagram the way links will, so that a kernel that cannot says so at the start.
Status Ring::probe_receive() {
  struct Probe : RingHandler {
    bool heard = false;
    int error = 0;
    void on_packet(std::uint32_t, const Packet& packet) override { heard = packet.bytes.size() == 1; }
    void on_receive_stopped(std::uint32_t, int code) override { error = code; }
  } probe;
  int pair[2] = {-1, -1};
  if (::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0)
    return Error::from_errno("cannot create a socket pair to try io_uring with", errno);
  const Fd near(pair[0]);
  const Fd far(pair[1]);
  Result<SourceId> source = receive(near.get(), probe);
  if (!source) return source.error();
  const char byte = 0;
  if (::send(far.get(), &byte, 1, 0) != 1) return Error::from_errno("cannot send on a socket pair", errno);
  const Instant give_up = boottime_now() + Duration::from_s(2);
  while (!probe.heard && probe.error == 0 && boottime_now() < give_up)
    if (Result<unsigned> ran = run_once(give_up); !ran) return ran.error();
  remove(*source);
  if (Result<unsigned> ran = run_once(boottime_now()); !ran) return ran.error();  // its place is free again
  if (!probe.heard)
    return Error::from_errno("io_uring cannot receive into provided buffers (Linux 6.0 or newer is needed)",
                             probe.error != 0 ? probe.error : ETIMEDOUT);
  return {};
}

Ring::~Ring() {
  if (queues_up_) {
    // Let saves finish: their bytes belong to the caller. Five seconds, then a stuck disk is left behind.
    for (Source& source : sources_) {
      source.handler = nullptr;
      source.closing = source.kind != Kind::none;
    }
    const Instant give_up = boottime_now() + Duration::from_s(5);
    set_wake_listener(nullptr);
    while (saves_ > 0 && boottime_now() < give_up)
      if (!run_once(give_up)) break;
    // Cancel the rest, so that the sockets are free when this returns and not some time after.
    if (io_uring_sqe* sqe = next_sqe(); sqe != nullptr) {
      io_uring_prep_cancel64(sqe, 0, IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL);
      io_uring_sqe_set_data64(sqe, pack(Operation::cancel, 0, 0));
      ::io_uring_submit_and_get_events(&ring_);
    }
    ::io_uring_queue_exit(&ring_);
  }
  if (buffer_ring_ != nullptr) ::munmap(buffer_ring_, buffer_ring_size_);
  if (buffer_bytes_ != nullptr) ::munmap(buffer_bytes_, buffer_bytes_size_);
}

std::string Ring::describe() const {
  std::string text = "io_uring with ";
  if ((setup_flags_ & IORING_SETUP_DEFER_TASKRUN) != 0)
    text += "deferred task work";
  else if ((setup_flags_ & IORING_SETUP_COOP_TASKRUN) != 0)
    text += "cooperative task work";
  else
    text += "interrupting task work";
  text += absolute_ ? ", absolute deadlines" : ", relative deadlines (absolute ones need Linux 6.12)";
  return text;
}

// ---- sources ---------------------------------------------------------------------------------------

Result<std::uint32_t> Ring::take_slot(Kind kind, int fd, RingHandler& handler, std::uint32_t tag) {
  if (free_slots_.empty())
    return Error{"cannot watch descriptor " + std::to_string(fd) + ": all " + std::to_string(options_.sources) +
                     " places of the event loop are taken; close something first",
                 ENOSPC};
  const std::uint32_t slot = free_slots_.back();
  free_slots_.pop_back();
  Source& source = sources_[slot];
  source.kind = kind;
  source.fd = fd;
  source.handler = &handler;
  source.tag = tag;
  return slot;
}

void Ring::free_slot(Source& source) {
  const auto slot = static_cast<std::uint32_t>(&source - sources_.data());
  if (source.again) std::erase(again_, slot);
  if (source.kind == Kind::timer) std::erase(timers_, slot);
  const std::uint32_t generation = source.generation + 1;
  source = Source{};
  source.generation = generation;
  free_slots_.push_back(slot);
}

Ring::Source* Ring::find(SourceId id) {
  if (id.slot >= sources_.size()) return nullptr;
  Source& source = sources_[id.slot];
  if (source.kind == Kind::none || source.generation != id.generation || source.closing) return nullptr;
  return &source;
}

// Null only when the kernel, out of memory, took nothing of a full queue.
io_uring_sqe* Ring::next_sqe() {
  io_uring_sqe* sqe = ::io_uring_get_sqe(&ring_);
  if (sqe == nullptr && ::io_uring_submit(&ring_) > 0) sqe = ::io_uring_get_sqe(&ring_);
  return sqe;
}

// Hands the source's multishot request to the kernel; when that is impossible right now, at the next turn.
void Ring::arm(std::uint32_t slot) {
  Source& source = sources_[slot];
  io_uring_sqe* sqe = next_sqe();
  if (sqe == nullptr) {
    again(id_of(slot));
    return;
  }
  if (source.kind == Kind::receive) {
    io_uring_prep_recvmsg_multishot(sqe, source.fd, &receive_header_, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = buffer_group;
  } else if (source.once) {
    io_uring_prep_poll_add(sqe, source.fd, source.events);
  } else {
    io_uring_prep_poll_multishot(sqe, source.fd, source.events);
  }
  io_uring_sqe_set_data64(sqe, pack(Operation::source, slot, source.generation));
  source.armed = true;
}

Result<SourceId> Ring::receive(int socket, RingHandler& handler, std::uint32_t tag) {
  Result<std::uint32_t> slot = take_slot(Kind::receive, socket, handler, tag);
  if (!slot) return slot.error();
  arm(*slot);
  return id_of(*slot);
}

Status Ring::receive_again(SourceId id) {
  Source* source = find(id);
  if (source == nullptr || source->kind != Kind::receive)
    return Error{"cannot resume receiving: the source was removed", ENOENT};
  if (!source->armed) arm(id.slot);
  return {};
}

Result<SourceId> Ring::watch(int fd, std::uint32_t events, RingHandler& handler, std::uint32_t tag) {
  Result<std::uint32_t> slot = take_slot(Kind::watch, fd, handler, tag);
  if (!slot) return slot.error();
  sources_[*slot].events = events;
  arm(*slot);
  return id_of(*slot);
}

Result<SourceId> Ring::watch_once(int fd, std::uint32_t events, RingHandler& handler, std::uint32_t tag) {
  Result<std::uint32_t> slot = take_slot(Kind::watch, fd, handler, tag);
  if (!slot) return slot.error();
  sources_[*slot].events = events;
  sources_[*slot].once = true;
  arm(*slot);
  return id_of(*slot);
}

void Ring::watch_again(SourceId id) {
  const Source* source = find(id);
  if (source != nullptr && source->once && !source->armed && !source->again) arm(id.slot);
}

Result<SourceId> Ring::timer(RingHandler& handler, std::uint32_t tag) {
  Result<std::uint32_t> slot = take_slot(Kind::timer, -1, handler, tag);
  if (!slot) return slot.error();
  timers_.push_back(*slot);
  return id_of(*slot);
}

void Ring::set_timer(SourceId id, Instant due) {
  Source* source = find(id);
  if (source != nullptr && source->kind == Kind::timer) source->due = due;
}

void Ring::again(SourceId id) {
  Source* source = find(id);
  if (source == nullptr || source->again) return;
  source->again = true;
  again_.push_back(id.slot);
}

Result<SourceId> Ring::watch_signals(std::span<const int> signals, RingHandler& handler, std::uint32_t tag) {
  sigset_t set;
  ::sigemptyset(&set);
  for (int number : signals) ::sigaddset(&set, number);
  if (int code = ::pthread_sigmask(SIG_BLOCK, &set, nullptr); code != 0)
    return Error::from_errno("cannot block signals", code);
  Fd fd(::signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
  if (!fd) return Error::from_errno("cannot create a signalfd", errno);
  Result<std::uint32_t> slot = take_slot(Kind::signals, fd.get(), handler, tag);
  if (!slot) return slot.error();
  sources_[*slot].owned = std::move(fd);
  sources_[*slot].events = POLLIN;
  arm(*slot);
  return id_of(*slot);
}

Result<SourceId> Ring::watch_child(pid_t pid, RingHandler& handler, std::uint32_t tag) {
  Fd fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!fd) return Error::from_errno("cannot watch child process " + std::to_string(pid) + " (pidfd_open)", errno);
  Result<std::uint32_t> slot = take_slot(Kind::child, fd.get(), handler, tag);
  if (!slot) return slot.error();
  sources_[*slot].owned = std::move(fd);
  sources_[*slot].pid = pid;
  sources_[*slot].events = POLLIN;
  arm(*slot);
  return id_of(*slot);
}

Result<SourceId> Ring::write_and_sync(int fd, std::span<const std::byte> bytes, std::uint64_t offset,
                                      RingHandler& handler, std::uint32_t tag) {
  // Both requests must go in one submission: a link does not reach across two.
  if (::io_uring_sq_space_left(&ring_) < 2) ::io_uring_submit(&ring_);
  if (::io_uring_sq_space_left(&ring_) < 2)
    return Error{"cannot save " + std::to_string(bytes.size()) + " bytes: the kernel takes no requests; try again",
                 EAGAIN};
  Result<std::uint32_t> slot = take_slot(Kind::save, fd, handler, tag);
  if (!slot) return slot.error();
  Source& source = sources_[*slot];
  source.expected = static_cast<unsigned>(bytes.size());
  source.outstanding = 2;
  io_uring_sqe* write = ::io_uring_get_sqe(&ring_);
  io_uring_prep_write(write, fd, bytes.data(), source.expected, offset);
  write->flags |= IOSQE_IO_LINK | IOSQE_ASYNC;
  io_uring_sqe_set_data64(write, pack(Operation::write, *slot, source.generation));
  io_uring_sqe* sync = ::io_uring_get_sqe(&ring_);
  io_uring_prep_fsync(sync, fd, IORING_FSYNC_DATASYNC);
  io_uring_sqe_set_data64(sync, pack(Operation::sync, *slot, source.generation));
  ++saves_;
  return id_of(*slot);
}

void Ring::remove(SourceId id) {
  Source* source = find(id);
  if (source == nullptr) return;
  source->handler = nullptr;
  if (source->kind == Kind::save) {  // freed by its last completion
    source->closing = true;
    return;
  }
  if (!source->armed) {
    free_slot(*source);
    return;
  }
  source->closing = true;
  io_uring_sqe* sqe = next_sqe();
  if (sqe == nullptr) return;  // stays closing and silent until the descriptor itself ends
  io_uring_prep_cancel64(sqe, pack(Operation::source, id.slot, id.generation), 0);
  io_uring_sqe_set_data64(sqe, pack(Operation::cancel, 0, 0));
  // The request holds a reference to the file: run the cancellation to its end now, so that a socket
  // closed next is gone and its address is free.
  ::io_uring_submit_and_get_events(&ring_);
}

// ---- running ---------------------------------------------------------------------------------------

// One system call, two when requests are pending. Returns 0 or an errno that is not weather.
int Ring::wait(Instant deadline) {
  if (::io_uring_sq_ready(&ring_) > 0) {
    const int rc = ::io_uring_submit(&ring_);
    if (rc < 0 && rc != -EAGAIN && rc != -EBUSY && rc != -EINTR) return -rc;
  }
  const Instant now = boottime_now();
  const bool sleep = again_.empty() && deadline > now;
  unsigned flags = IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG | enter_flags_;
  __kernel_timespec limit{};
  io_uring_getevents_arg argument{};
  if (sleep && !deadline.is_never()) {
    limit = to_timespec(absolute_ ? deadline.ns : (deadline - now).ns);
    argument.ts = reinterpret_cast<std::uintptr_t>(&limit);
    if (absolute_) flags |= enter_absolute_timer;
  }
  unsigned wanted = sleep ? 1 : 0;
  if (sleep && gather_us_ > 0 && deadline - now > Duration::from_us(gather_us_)) {
    argument.pad = gather_us_;
    wanted = gathered_enough;
  }
  const int rc = ::io_uring_enter2(static_cast<unsigned>(ring_.enter_ring_fd), 0, wanted, flags,
                                   reinterpret_cast<sigset_t*>(&argument), sizeof argument);
  if (rc >= 0 || rc == -ETIME || rc == -EINTR || rc == -EAGAIN || rc == -EBUSY) return 0;
  return -rc;
}

void Ring::set_gather(Duration gather) {
  gather_ = gather;
  gather_us_ = gathers_ ? static_cast<std::uint32_t>(gather.us()) : 0;
}

Result<unsigned> Ring::run_once(Instant deadline) {
  WakeUp wake{.slept_from = boottime_now(), .deadline = earlier(deadline, timers_end()), .woke = {}};
  const int code = wait(wake.deadline);
  wake.woke = boottime_now();
  looked_ = woke_;
  woke_ = wake.woke;
  if (code != 0) return Error::from_errno("the event loop cannot wait on its io_uring", code);
  DTRACE_PROBE3(vigil, loop_wake, wake.slept_from.ns, wake.deadline.ns, wake.woke.ns);
  if (listener_ != nullptr) listener_->on_wake(wake);

  unsigned calls = dispatch_again() + dispatch_timers(wake.woke);
  // Only what was there at the wake-up: a flood must not keep the loop from its deadline.
  for (unsigned left = ::io_uring_cq_ready(&ring_); left > 0; --left) {
    io_uring_cqe* cqe = nullptr;
    if (::io_uring_peek_cqe(&ring_, &cqe) != 0) break;
    const Completion completion{cqe->user_data, cqe->res, cqe->flags};
    ::io_uring_cqe_seen(&ring_, cqe);
    calls += dispatch(completion);
  }
  DTRACE_PROBE1(vigil, loop_done, calls);
  return calls;
}

// The kernel hands over 32 datagrams of a socket at a time (MULTISHOT_MAX_RETRY), and of 20 sockets.
Status Ring::drain() {
  constexpr int most_turns = 8;
  constexpr unsigned perhaps_more = 20;
  for (int turn = 0; turn < most_turns; ++turn) {
    const Result<unsigned> handled = run_once(Instant{});
    if (!handled) return handled.error();
    if (*handled < perhaps_more) break;
  }
  return {};
}

Instant Ring::timers_end() const {
  Instant end = Instant::never();
  for (std::uint32_t slot : timers_) end = earlier(end, sources_[slot].due + gather_);
  return end;
}

unsigned Ring::dispatch_timers(Instant now) {
  unsigned calls = 0;
  // A handler may remove timers; one that this loop then misses is due at the next turn, which does not sleep.
  for (std::size_t i = 0; i < timers_.size(); ++i) {
    Source& source = sources_[timers_[i]];
    if (now < source.due) continue;
    source.due = Instant::never();
    source.handler->on_timer(source.tag);
    ++calls;
  }
  return calls;
}

unsigned Ring::dispatch_again() {
  if (again_.empty()) return 0;
  unsigned calls = 0;
  std::swap(again_, again_now_);
  for (std::uint32_t slot : again_now_) {
    Source& source = sources_[slot];
    if (!source.again) continue;
    source.again = false;
    const std::uint32_t generation = source.generation;
    if (source.kind == Kind::watch && source.handler != nullptr) {
      source.handler->on_ready(source.tag, POLLIN);
      ++calls;
    }
    if (source.generation == generation && !source.armed && !source.closing && source.kind != Kind::none) arm(slot);
  }
  again_now_.clear();
  return calls;
}

unsigned Ring::dispatch(const Completion& completion) {
  const Operation operation = operation_of(completion.user_data);
  const std::uint32_t slot = slot_of(completion.user_data);
  const bool stale = operation == Operation::cancel || slot >= sources_.size() ||
                     sources_[slot].generation != generation_of(completion.user_data);
  if (stale) return 0;
  if (operation != Operation::source) return dispatch_save(slot, operation == Operation::write, completion);

  Source& source = sources_[slot];
  const bool last = (completion.flags & IORING_CQE_F_MORE) == 0;
  if (last) source.armed = false;
  if (source.closing) {
    if ((completion.flags & IORING_CQE_F_BUFFER) != 0) give_back(completion.flags >> IORING_CQE_BUFFER_SHIFT);
    if (last) free_slot(source);
    return 0;
  }
  const unsigned calls =
      source.kind == Kind::receive ? dispatch_packet(slot, completion) : dispatch_ready(slot, completion);
  return calls;
}

Instant Ring::arrival(io_uring_recvmsg_out* out, Instant now) {
  cmsghdr* header = io_uring_recvmsg_cmsg_firsthdr(out, &receive_header_);
  if (header == nullptr || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_TIMESTAMPNS) return now;
  timespec stamp{};
  std::memcpy(&stamp, CMSG_DATA(header), sizeof stamp);
  const std::int64_t age = realtime_ns() - (std::int64_t{stamp.tv_sec} * 1'000'000'000 + stamp.tv_nsec);
  return later(looked_, earlier(now, now - Duration::from_ns(age)));
}

unsigned Ring::dispatch_packet(std::uint32_t slot, const Completion& completion) {
  Source& source = sources_[slot];
  const std::uint32_t generation = source.generation;
  unsigned calls = 0;
  if ((completion.flags & IORING_CQE_F_BUFFER) != 0) {
    const unsigned index = completion.flags >> IORING_CQE_BUFFER_SHIFT;
    io_uring_recvmsg_out* out = io_uring_recvmsg_validate(buffer(index), completion.result, &receive_header_);
    if (out != nullptr) {
      const auto* name = static_cast<const std::byte*>(io_uring_recvmsg_name(out));
      const auto* payload = static_cast<const std::byte*>(io_uring_recvmsg_payload(out, &receive_header_));
      const Instant now = boottime_now();
      const Packet packet{.bytes = {payload, io_uring_recvmsg_payload_length(out, completion.result, &receive_header_)},
                          .source = {name, std::min<std::size_t>(out->namelen, address_bytes)},
                          .truncated = (out->flags & MSG_TRUNC) != 0,
                          .received = now,
                          .arrived = arrival(out, now)};
      source.handler->on_packet(source.tag, packet);
      ++calls;
    }
    give_back(index);
  }
  const bool alive = source.generation == generation && !source.closing && source.kind == Kind::receive;
  if (!alive || source.armed) return calls;
  // The request ended. Out of buffers or completions is our own doing: go on. An error, or the other
  // end's closing (0), is the handler's to judge.
  const bool goes_on = (completion.flags & IORING_CQE_F_BUFFER) != 0 || completion.result == -ENOBUFS ||
                       completion.result == -EAGAIN || completion.result == -EINTR;
  if (goes_on) {
    arm(slot);
    return calls;
  }
  source.handler->on_receive_stopped(source.tag, -completion.result);
  return calls + 1;
}

unsigned Ring::dispatch_ready(std::uint32_t slot, const Completion& completion) {
  Source& source = sources_[slot];
  const std::uint32_t generation = source.generation;
  unsigned calls = 0;
  if (source.kind == Kind::signals) {
    calls = read_signals(slot);
  } else if (source.kind == Kind::child) {
    calls = reap_child(slot);
  } else {
    const auto events = completion.result < 0 ? std::uint32_t{POLLERR} : static_cast<std::uint32_t>(completion.result);
    source.handler->on_ready(source.tag, events);
    calls = 1;
  }
  const bool alive = source.generation == generation && !source.closing && source.kind != Kind::none;
  if (alive && !source.armed && !source.once && completion.result >= 0) arm(slot);
  return calls;
}

unsigned Ring::dispatch_save(std::uint32_t slot, bool is_write, const Completion& completion) {
  Source& source = sources_[slot];
  if (source.error == 0) {
    if (completion.result < 0)
      source.error = -completion.result;
    else if (is_write && static_cast<unsigned>(completion.result) != source.expected)
      source.error = EIO;
  }
  if (--source.outstanding > 0) return 0;
  RingHandler* handler = source.handler;
  const std::uint32_t tag = source.tag;
  const int error = source.error;
  free_slot(source);
  --saves_;
  if (handler == nullptr) return 0;
  handler->on_saved(tag, error);
  return 1;
}

unsigned Ring::read_signals(std::uint32_t slot) {
  Source& source = sources_[slot];
  const std::uint32_t generation = source.generation;
  unsigned calls = 0;
  signalfd_siginfo info{};
  while (source.generation == generation && !source.closing &&
         ::read(source.fd, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    source.handler->on_signal(source.tag, {static_cast<int>(info.ssi_signo), static_cast<pid_t>(info.ssi_pid)});
    ++calls;
  }
  return calls;
}

unsigned Ring::reap_child(std::uint32_t slot) {
  Source& source = sources_[slot];
  siginfo_t info{};
  const int rc = ::waitid(P_PIDFD, static_cast<id_t>(source.fd), &info, WEXITED | WNOHANG);
  if (rc == 0 && info.si_pid == 0) return 0;  // not yet
  // Where somebody else reaped it (ECHILD), only the fact that it ended is known.
  ChildExit exit{source.pid, false, -1};
  if (rc == 0) exit = {info.si_pid, info.si_code != CLD_EXITED, info.si_status};
  RingHandler* handler = source.handler;
  const std::uint32_t tag = source.tag;
  remove(id_of(slot));
  handler->on_child_exit(tag, exit);
  return 1;
}

void Ring::give_back(unsigned index) {
  io_uring_buf_ring_add(buffer_ring_, buffer(index), options_.buffer_bytes, static_cast<unsigned short>(index),
                        io_uring_buf_ring_mask(options_.buffers), 0);
  io_uring_buf_ring_advance(buffer_ring_, 1);
}

}  // namespace vigil
