#include "runtime/loop/ring.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>
#include <vector>

#include "runtime/loop/clock.hpp"
#include "runtime/loop/lateness.hpp"
#include "tests/unit/cmocka.hpp"

using namespace vigil;

// Counts what the loop allocates.
static std::atomic<unsigned> allocations{0};
void* operator new(std::size_t size) {
  ++allocations;
  if (void* block = std::malloc(size)) return block;
  std::abort();
}
void operator delete(void* block) noexcept { std::free(block); }
void operator delete(void* block, std::size_t) noexcept { std::free(block); }

namespace {

struct Recorder : RingHandler {
  std::vector<std::string> packets;
  std::vector<std::uint32_t> tags;
  sockaddr_storage last_source{};
  std::size_t last_source_size = 0;
  unsigned truncated = 0;
  unsigned packet_count = 0;
  Instant last_received;
  std::vector<int> stops;
  std::vector<std::uint32_t> ready;
  std::vector<std::uint32_t> timers;
  std::vector<int> signals;
  std::vector<ChildExit> exits;
  std::vector<int> saved;
  bool keep = true;

  void on_packet(std::uint32_t tag, const Packet& packet) override {
    ++packet_count;
    last_received = packet.received;
    if (!keep) return;
    packets.emplace_back(reinterpret_cast<const char*>(packet.bytes.data()), packet.bytes.size());
    tags.push_back(tag);
    last_source_size = packet.source.size();
    std::memcpy(&last_source, packet.source.data(), packet.source.size());
    truncated += packet.truncated ? 1 : 0;
  }
  void on_receive_stopped(std::uint32_t, int error) override { stops.push_back(error); }
  void on_ready(std::uint32_t tag, std::uint32_t events) override {
    tags.push_back(tag);
    ready.push_back(events);
  }
  void on_timer(std::uint32_t tag) override { timers.push_back(tag); }
  void on_signal(std::uint32_t, const SignalNews& news) override { signals.push_back(news.number); }
  void on_child_exit(std::uint32_t, const ChildExit& exit) override { exits.push_back(exit); }
  void on_saved(std::uint32_t, int error) override { saved.push_back(error); }
};

// Every test runs with the best that the kernel has and with the plain fallback.
bool plain = false;

std::unique_ptr<Ring> make_ring(RingOptions options = {}) {
  options.plain = plain;
  Result<std::unique_ptr<Ring>> ring = Ring::create(options);
  if (!ring) fail_msg("%s", ring.error().message.c_str());
  return std::move(*ring);
}

Instant in_ms(std::int64_t ms) { return boottime_now() + Duration::from_ms(ms); }

// Runs until the condition holds; false after five seconds.
template <typename Condition>
bool run_until(Ring& ring, Condition condition) {
  const Instant give_up = in_ms(5000);
  while (!condition() && boottime_now() < give_up)
    if (!ring.run_once(give_up)) return false;
  return condition();
}

Fd loopback_socket(std::uint16_t port = 0) {
  Fd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) fd.reset();
  return fd;
}

sockaddr_in name_of(int fd) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  return address;
}

bool send_to(int fd, const sockaddr_in& to, const std::string& text) {
  return ::sendto(fd, text.data(), text.size(), 0, reinterpret_cast<const sockaddr*>(&to), sizeof to) ==
         static_cast<ssize_t>(text.size());
}

void a_deadline_ends_the_wait_and_never_early(void**) {
  auto ring = make_ring();
  for (std::int64_t ms : {1, 5, 20, 2, 0, 10}) {
    const Instant deadline = in_ms(ms);
    unsigned calls = 99;
    Instant woke = boottime_now();
    while (woke < deadline) {  // a signal may end a wait early
      calls = *ring->run_once(deadline);
      woke = boottime_now();
      assert_int_equal(calls, 0);
    }
    assert_true(woke - deadline < Duration::from_ms(500));
  }
}

void timers_end_the_wait_once_and_never_early(void**) {
  auto ring = make_ring();
  Recorder recorder;
  const SourceId early = *ring->timer(recorder, 1);
  const SourceId late = *ring->timer(recorder, 2);
  const SourceId gone = *ring->timer(recorder, 3);
  const Instant begun = boottime_now();
  ring->set_timer(early, begun + Duration::from_ms(5));
  ring->set_timer(late, begun + Duration::from_ms(10));
  ring->set_timer(gone, begun + Duration::from_ms(1));
  ring->remove(gone);
  assert_true(run_until(*ring, [&] { return !recorder.timers.empty(); }));
  assert_true(boottime_now() - begun >= Duration::from_ms(5));
  assert_true(run_until(*ring, [&] { return recorder.timers.size() == 2; }));
  assert_true(boottime_now() - begun >= Duration::from_ms(10));
  assert_true(recorder.timers == std::vector<std::uint32_t>({1, 2}));
  // Moved away, and not set again: nothing.
  ring->set_timer(early, boottime_now());
  ring->set_timer(early, Instant::never());
  assert_int_equal(*ring->run_once(in_ms(5)), 0);
  assert_int_equal(recorder.timers.size(), 2);
}

// With a gathering loop, what is due soon after each other comes in one wake-up, and a wake-up for other reasons
// takes along what is due.
void timers_are_gathered(void**) {
  struct Counter : WakeListener {
    unsigned wakes = 0;
    void on_wake(const WakeUp&) override { ++wakes; }
  } counter;
  auto ring = make_ring();
  ring->set_gather(Duration::from_ms(20));
  ring->set_wake_listener(&counter);
  Recorder recorder;
  const Instant begun = boottime_now();
  for (std::int64_t i = 0; i < 5; ++i)
    ring->set_timer(*ring->timer(recorder, static_cast<std::uint32_t>(i)), begun + Duration::from_ms(5 + i));
  assert_true(run_until(*ring, [&] { return recorder.timers.size() == 5; }));
  assert_int_equal(counter.wakes, 1);
  ring->set_timer(*ring->timer(recorder, 9), boottime_now() + Duration::from_ms(5));
  const Instant deadline = in_ms(8);
  while (boottime_now() < deadline) ring->run_once(deadline).ok();
  assert_int_equal(recorder.timers.size(), 6);
}

void a_past_deadline_does_not_sleep(void**) {
  auto ring = make_ring();
  const Instant before = boottime_now();
  for (int i = 0; i < 100; ++i) assert_int_equal(*ring->run_once(before), 0);
  assert_true(boottime_now() - before < Duration::from_ms(500));
}

void datagrams_arrive_whole_in_order_with_source(void**) {
  auto ring = make_ring();
  Recorder recorder;
  const Fd in = loopback_socket();
  const Fd out = loopback_socket();
  assert_true(in.valid() && out.valid());
  assert_true(ring->receive(in.get(), recorder, 7).ok());
  const sockaddr_in to = name_of(in.get());
  for (int burst = 0; burst < 20; ++burst) {
    const Instant before = boottime_now();
    for (int i = 0; i < 40; ++i) assert_true(send_to(out.get(), to, "frame " + std::to_string(burst * 40 + i)));
    const std::size_t wanted = static_cast<std::size_t>(burst + 1) * 40;
    assert_true(run_until(*ring, [&] { return recorder.packets.size() >= wanted; }));
    assert_true(recorder.last_received >= before);
  }
  assert_int_equal(recorder.packets.size(), 800);
  for (std::size_t i = 0; i < recorder.packets.size(); ++i) {
    assert_string_equal(recorder.packets[i].c_str(), ("frame " + std::to_string(i)).c_str());
    assert_int_equal(recorder.tags[i], 7);
  }
  const sockaddr_in from = name_of(out.get());
  assert_int_equal(recorder.last_source_size, sizeof from);
  assert_int_equal(reinterpret_cast<const sockaddr_in*>(&recorder.last_source)->sin_port, from.sin_port);
  assert_true(send_to(out.get(), to, ""));
  assert_true(run_until(*ring, [&] { return recorder.packets.size() == 801; }));
  assert_int_equal(recorder.packets.back().size(), 0);
}

void more_datagrams_than_buffers_lose_nothing(void**) {
  auto ring = make_ring({.buffers = 4});
  Recorder recorder;
  const Fd in = loopback_socket();
  const Fd out = loopback_socket();
  assert_true(ring->receive(in.get(), recorder).ok());
  ring->run_once(boottime_now()).ok();
  for (int i = 0; i < 100; ++i) assert_true(send_to(out.get(), name_of(in.get()), std::to_string(i)));
  assert_true(run_until(*ring, [&] { return recorder.packets.size() >= 100; }));
  for (std::size_t i = 0; i < 100; ++i) assert_string_equal(recorder.packets[i].c_str(), std::to_string(i).c_str());
  assert_int_equal(recorder.stops.size(), 0);
}

void a_datagram_larger_than_the_buffer_is_marked(void**) {
  auto ring = make_ring({.buffer_bytes = 128});
  Recorder recorder;
  const Fd in = loopback_socket();
  const Fd out = loopback_socket();
  assert_true(ring->receive(in.get(), recorder).ok());
  assert_true(send_to(out.get(), name_of(in.get()), std::string(1000, 'x')));
  assert_true(run_until(*ring, [&] { return recorder.packets.size() == 1; }));
  assert_int_equal(recorder.truncated, 1);
  assert_true(recorder.packets[0].size() < 128);
}

void an_error_of_the_socket_stops_and_resumes(void**) {
  auto ring = make_ring();
  Recorder recorder;
  const Fd in = loopback_socket();
  Fd out = loopback_socket();
  const sockaddr_in closed = name_of(out.get());
  out.reset();
  // A connected UDP socket gets ECONNREFUSED from a closed port.
  assert_int_equal(::connect(in.get(), reinterpret_cast<const sockaddr*>(&closed), sizeof closed), 0);
  Result<SourceId> source = ring->receive(in.get(), recorder);
  assert_true(source.ok());
  assert_int_equal(*ring->run_once(boottime_now()), 0);
  assert_int_equal(::send(in.get(), "x", 1, 0), 1);
  assert_true(run_until(*ring, [&] { return recorder.stops.size() == 1; }));
  assert_int_equal(recorder.stops[0], ECONNREFUSED);
  assert_true(ring->receive_again(*source).ok());
  const Fd reborn = loopback_socket(ntohs(closed.sin_port));
  assert_true(reborn.valid());
  assert_true(send_to(reborn.get(), name_of(in.get()), "back"));
  assert_true(run_until(*ring, [&] { return recorder.packets.size() == 1; }));
  assert_string_equal(recorder.packets[0].c_str(), "back");
}

void a_removed_socket_is_free_at_once(void**) {
  auto ring = make_ring();
  Recorder recorder;
  for (int i = 0; i < 20; ++i) {
    Fd in = loopback_socket(43117);
    assert_true(in.valid());
    Result<SourceId> source = ring->receive(in.get(), recorder);
    assert_true(source.ok());
    ring->run_once(boottime_now()).ok();
    ring->remove(*source);
    ring->remove(*source);  // stale: harmless
    assert_false(ring->receive_again(*source).ok());
  }
  Fd in = loopback_socket(43117);
  assert_true(ring->receive(in.get(), recorder).ok());
  ring->run_once(boottime_now()).ok();
  in.reset();
  ring.reset();  // a ring that goes lets go of its sockets
  assert_true(loopback_socket(43117).valid());
}

void readiness_is_told_once_per_edge_and_again_on_request(void**) {
  auto ring = make_ring();
  Recorder recorder;
  const Fd event(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  Result<SourceId> source = ring->watch(event.get(), POLLIN, recorder, 3);
  assert_true(source.ok());
  assert_int_equal(*ring->run_once(in_ms(5)), 0);
  std::uint64_t one = 1;
  for (std::size_t round = 1; round <= 3; ++round) {
    assert_int_equal(::write(event.get(), &one, sizeof one), sizeof one);
    assert_true(run_until(*ring, [&] { return recorder.ready.size() == round; }));
    assert_int_equal(recorder.ready.back() & POLLIN, POLLIN);
    assert_int_equal(recorder.tags.back(), 3);
    std::uint64_t count = 0;
    assert_int_equal(::read(event.get(), &count, sizeof count), sizeof count);
  }
  ring->again(*source);
  ring->again(*source);
  assert_int_equal(*ring->run_once(Instant::never()), 1);  // does not sleep
  assert_int_equal(recorder.ready.size(), 4);
  ring->again(*source);
  ring->remove(*source);
  assert_int_equal(::write(event.get(), &one, sizeof one), sizeof one);
  assert_int_equal(*ring->run_once(in_ms(10)), 0);
}

void one_shot_readiness_is_told_when_asked_for(void**) {
  auto ring = make_ring();
  Recorder recorder;
  const Fd event(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  const SourceId source = *ring->watch_once(event.get(), POLLIN, recorder);
  const std::uint64_t one = 1;
  assert_int_equal(::write(event.get(), &one, sizeof one), sizeof one);
  assert_true(run_until(*ring, [&] { return recorder.ready.size() == 1; }));
  assert_int_equal(::write(event.get(), &one, sizeof one), sizeof one);
  assert_int_equal(*ring->run_once(in_ms(5)), 0);
  ring->watch_again(source);
  ring->watch_again(source);  // asked for twice, told once; what lay there counts
  assert_true(run_until(*ring, [&] { return recorder.ready.size() == 2; }));
  assert_int_equal(*ring->run_once(in_ms(5)), 0);
  std::uint64_t count = 0;
  assert_int_equal(::read(event.get(), &count, sizeof count), sizeof count);
  ring->watch_again(source);
  assert_int_equal(*ring->run_once(in_ms(5)), 0);
  ring->remove(source);
  assert_int_equal(::write(event.get(), &one, sizeof one), sizeof one);
  ring->run_once(in_ms(5)).ok();
  assert_int_equal(recorder.ready.size(), 2);
}

void a_handler_may_remove_itself_and_others(void**) {
  auto ring = make_ring();
  struct Remover : RingHandler {
    Ring* ring = nullptr;
    std::vector<SourceId> victims;
    unsigned calls = 0;
    void on_ready(std::uint32_t, std::uint32_t) override {
      ++calls;
      for (SourceId victim : victims) ring->remove(victim);
    }
  } remover;
  remover.ring = ring.get();
  const Fd a(::eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC));
  const Fd b(::eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC));
  remover.victims.push_back(*ring->watch(a.get(), POLLIN, remover));
  remover.victims.push_back(*ring->watch(b.get(), POLLIN, remover));
  assert_int_equal(*ring->run_once(in_ms(1000)), 1);
  assert_int_equal(*ring->run_once(in_ms(10)), 0);
  assert_int_equal(remover.calls, 1);
}

void places_run_out_with_an_error_and_come_back(void**) {
  auto ring = make_ring({.sources = 4});
  Recorder recorder;
  const Fd event(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  std::vector<SourceId> sources;
  for (int i = 0; i < 4; ++i) sources.push_back(*ring->watch(event.get(), POLLIN, recorder));
  Result<SourceId> refused = ring->watch(event.get(), POLLIN, recorder);
  assert_false(refused.ok());
  assert_int_equal(refused.error().code, ENOSPC);
  ring->remove(sources[2]);
  ring->run_once(boottime_now()).ok();
  Result<SourceId> granted = ring->watch(event.get(), POLLIN, recorder);
  assert_true(granted.ok());
  assert_false(*granted == sources[2]);
}

void signals_come_as_calls(void**) {
  auto ring = make_ring();
  Recorder recorder;
  const int wanted[] = {SIGUSR1, SIGUSR2};
  assert_true(ring->watch_signals(wanted, recorder).ok());
  ::kill(::getpid(), SIGUSR2);
  assert_true(run_until(*ring, [&] { return recorder.signals.size() == 1; }));
  ::kill(::getpid(), SIGUSR1);
  assert_true(run_until(*ring, [&] { return recorder.signals.size() == 2; }));
  assert_int_equal(recorder.signals[0], SIGUSR2);
  assert_int_equal(recorder.signals[1], SIGUSR1);
}

void ends_of_children_are_reported_and_reaped(void**) {
  const struct {
    int exit_status;
    int signal;
  } cases[] = {{0, 0}, {3, 0}, {0, SIGKILL}, {0, SIGTERM}};
  auto ring = make_ring();
  for (const auto& one : cases) {
    Recorder recorder;
    const pid_t pid = ::fork();
    if (pid == 0) {
      if (one.signal == 0) ::_exit(one.exit_status);
      for (;;) ::pause();
    }
    assert_true(ring->watch_child(pid, recorder).ok());
    if (one.signal != 0) ::kill(pid, one.signal);
    assert_true(run_until(*ring, [&] { return recorder.exits.size() == 1; }));
    assert_int_equal(recorder.exits[0].pid, pid);
    assert_int_equal(recorder.exits[0].killed, one.signal != 0);
    assert_int_equal(recorder.exits[0].status, one.signal != 0 ? one.signal : one.exit_status);
    assert_int_equal(::waitpid(pid, nullptr, WNOHANG), -1);
  }
}

void a_save_is_on_disk_when_it_is_reported(void**) {
  auto ring = make_ring();
  Recorder recorder;
  char path[] = "/tmp/vigil-ring-test-XXXXXX";
  const Fd file(::mkstemp(path));
  assert_true(file.valid());
  std::vector<std::byte> bytes(5000, std::byte{'s'});
  assert_true(ring->write_and_sync(file.get(), bytes, 100, recorder).ok());
  assert_int_equal(recorder.saved.size(), 0);
  assert_true(run_until(*ring, [&] { return recorder.saved.size() == 1; }));
  assert_int_equal(recorder.saved[0], 0);
  std::vector<std::byte> back(6000);
  assert_int_equal(::pread(file.get(), back.data(), back.size(), 100), 5000);
  back.resize(5000);
  assert_true(back == bytes);

  const Fd read_only(::open(path, O_RDONLY | O_CLOEXEC));
  assert_true(ring->write_and_sync(read_only.get(), bytes, 0, recorder).ok());
  assert_true(run_until(*ring, [&] { return recorder.saved.size() == 2; }));
  assert_int_equal(recorder.saved[1], EBADF);

  Result<SourceId> silent = ring->write_and_sync(file.get(), bytes, 0, recorder);
  assert_true(silent.ok());
  ring->remove(*silent);
  ring->run_once(in_ms(50)).ok();
  ring.reset();  // waits for the bytes to be used no more
  assert_int_equal(recorder.saved.size(), 2);
  ::unlink(path);
}

void the_loop_allocates_nothing(void**) {
  auto ring = make_ring();
  Recorder recorder;
  recorder.keep = false;
  const Fd in = loopback_socket();
  const Fd out = loopback_socket();
  assert_true(ring->receive(in.get(), recorder).ok());
  const sockaddr_in to = name_of(in.get());
  const unsigned before = allocations;
  bool all_sent = true;
  for (int i = 0; i < 500; ++i) {
    all_sent = ::sendto(out.get(), "beat", 4, 0, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 4 && all_sent;
    all_sent = ring->run_once(boottime_now() + Duration::from_us(200)).ok() && all_sent;
  }
  run_until(*ring, [&] { return recorder.packet_count >= 500; });
  assert_int_equal(allocations - before, 0);
  assert_true(all_sent);
  assert_int_equal(recorder.packet_count, 500);
}

// A stopped process notices, from its own clocks alone, that it was away, before anything else is handed over.
void a_freeze_shows_as_lateness(void**) {
  int report[2];
  assert_int_equal(::pipe(report), 0);
  const pid_t pid = ::fork();
  if (pid == 0) {
    struct Meter : WakeListener {
      LatenessMeter meter{Duration::from_ms(5)};
      void on_wake(const WakeUp& wake) override { meter.observe(wake.slept_from, wake.deadline, wake.woke); }
    } listener;
    auto ring = make_ring();
    ring->set_wake_listener(&listener);
    const Instant end = in_ms(700);
    char started = 1;
    bool ok = ::write(report[1], &started, 1) == 1;
    while (ok && boottime_now() < end) ok = ring->run_once(in_ms(10)).ok();
    const std::int64_t worst_ms = listener.meter.worst().us() / 1000;
    ok = ::write(report[1], &worst_ms, sizeof worst_ms) == sizeof worst_ms && ok;
    ring.reset();
    ::_exit(ok ? 0 : 1);
  }
  char started = 0;
  assert_int_equal(::read(report[0], &started, 1), 1);
  ::usleep(100'000);
  ::kill(pid, SIGSTOP);
  ::usleep(300'000);
  ::kill(pid, SIGCONT);
  std::int64_t worst_ms = 0;
  assert_int_equal(::read(report[0], &worst_ms, sizeof worst_ms), sizeof worst_ms);
  int status = -1;
  ::waitpid(pid, &status, 0);
  assert_int_equal(status, 0);
  assert_in_range(worst_ms, 250, 5000);
}

int use_best(void**) {
  plain = false;
  return 0;
}
int use_plain(void**) {
  plain = true;
  return 0;
}

#define BOTH_WAYS(test) \
  {"best: " #test, test, use_best, nullptr, nullptr}, { "plain: " #test, test, use_plain, nullptr, nullptr }

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      BOTH_WAYS(a_deadline_ends_the_wait_and_never_early),
      BOTH_WAYS(timers_end_the_wait_once_and_never_early),
      BOTH_WAYS(timers_are_gathered),
      BOTH_WAYS(a_past_deadline_does_not_sleep),
      BOTH_WAYS(datagrams_arrive_whole_in_order_with_source),
      BOTH_WAYS(more_datagrams_than_buffers_lose_nothing),
      BOTH_WAYS(a_datagram_larger_than_the_buffer_is_marked),
      BOTH_WAYS(an_error_of_the_socket_stops_and_resumes),
      BOTH_WAYS(a_removed_socket_is_free_at_once),
      BOTH_WAYS(readiness_is_told_once_per_edge_and_again_on_request),
      BOTH_WAYS(one_shot_readiness_is_told_when_asked_for),
      BOTH_WAYS(a_handler_may_remove_itself_and_others),
      BOTH_WAYS(places_run_out_with_an_error_and_come_back),
      BOTH_WAYS(signals_come_as_calls),
      BOTH_WAYS(ends_of_children_are_reported_and_reaped),
      BOTH_WAYS(a_save_is_on_disk_when_it_is_reported),
      BOTH_WAYS(the_loop_allocates_nothing),
      BOTH_WAYS(a_freeze_shows_as_lateness),
  };
  return cmocka_run_group_tests_name("loop/ring", tests, nullptr, nullptr);
}
