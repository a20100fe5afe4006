// Measures what a heartbeat costs on this machine: how late the loop's deadline wakes it, how long a
// raw frame needs from one real-time thread to another, and what handing a frame to the kernel takes.
// Each beside a floor: clock_nanosleep for the deadline, bare receive loops (blocking and spinning) for
// the frame, a submission through io_uring for the sending. The cases take turns in short rounds, since
// the machine's mood changes from second to second, and the processor time that the hypervisor stole is
// counted for each: a figure without it says nothing on a shared machine.
//
// Runs in a network namespace with a veth pair; tools/bench/heartbeat.sh makes one.
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <liburing.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "drivers/ethernet/ethernet_link.hpp"
#include "runtime/loop/clock.hpp"
#include "runtime/loop/realtime.hpp"
#include "runtime/loop/ring.hpp"

namespace vigil {
namespace {

constexpr std::uint32_t cluster_id = 0xbe9c4;
constexpr std::size_t frame_bytes = 128;
constexpr std::size_t stamp_offset = 16;  // send time in the frame
constexpr Duration interval = Duration::from_ms(1);

struct Options {
  Path near;  // sends
  Path far;   // receives
  std::string out;
  bool quick = false;
  int rounds = 20;
  int frames = 500;  // of one round
};

struct CpuTime {
  std::uint64_t total = 0;
  std::uint64_t stolen = 0;
};

// The first line of /proc/stat: user nice system idle iowait irq softirq steal.
CpuTime cpu_time() {
  std::ifstream file("/proc/stat");
  std::string label;
  file >> label;
  CpuTime time;
  std::uint64_t ticks = 0;
  for (int field = 0; field < 8 && file >> ticks; ++field) {
    time.total += ticks;
    if (field == 7) time.stolen = ticks;
  }
  return time;
}

struct Case {
  const char* name;
  const char* what;
  std::vector<std::int64_t> samples_ns;
  std::uint64_t lost = 0;
  CpuTime cpu;

  explicit Case(const char* name_, const char* what_, const Options& options) : name(name_), what(what_) {
    samples_ns.reserve(static_cast<std::size_t>(options.rounds * options.frames));
  }
  double quantile_us(double share) const {
    if (samples_ns.empty()) return 0;
    const auto last = static_cast<double>(samples_ns.size() - 1);
    return static_cast<double>(samples_ns[static_cast<std::size_t>(share * last + 0.5)]) / 1000.0;
  }
  double stolen_percent() const {
    return cpu.total == 0 ? 0 : 100.0 * static_cast<double>(cpu.stolen) / static_cast<double>(cpu.total);
  }
};

[[noreturn]] void die(const Error& error) {
  std::fprintf(stderr, "bench-heartbeat: %s\n", error.message.c_str());
  std::exit(1);
}

std::atomic<bool> fifo{true};

// Receivers run on the last processor, senders on the first, where there are two.
void turn_realtime(bool receiver) {
  const auto cpus = static_cast<int>(std::thread::hardware_concurrency());
  const RealtimeReport report =
      enter_realtime({.priority = 50, .cpu = cpus < 2 ? -1 : (receiver ? cpus - 1 : 0), .heap_bytes = 64 * 1024});
  if (!report.fifo && fifo.exchange(false))
    for (const std::string& line : report.missing) std::fprintf(stderr, "bench-heartbeat: %s\n", line.c_str());
}

void sleep_until(Instant deadline) {
  const timespec when{deadline.ns / 1'000'000'000, deadline.ns % 1'000'000'000};
  while (::clock_nanosleep(CLOCK_BOOTTIME, TIMER_ABSTIME, &when, nullptr) == EINTR) {
  }
}

// ---- deadlines -------------------------------------------------------------------------------------

void timer_by_ring(const Options& options, Case& result) {
  turn_realtime(true);
  auto ring = Ring::create();
  if (!ring) die(ring.error());
  Instant deadline = boottime_now();
  for (int i = 0; i < options.frames; ++i) {
    deadline = later(deadline, boottime_now()) + interval;
    Instant woke;
    do {
      if (auto ran = (*ring)->run_once(deadline); !ran) die(ran.error());
      woke = boottime_now();
    } while (woke < deadline);
    result.samples_ns.push_back((woke - deadline).ns);
  }
}

void timer_by_nanosleep(const Options& options, Case& result) {
  turn_realtime(true);
  Instant deadline = boottime_now();
  for (int i = 0; i < options.frames; ++i) {
    deadline = later(deadline, boottime_now()) + interval;
    sleep_until(deadline);
    result.samples_ns.push_back((boottime_now() - deadline).ns);
  }
}

// ---- frames ----------------------------------------------------------------------------------------

struct NoSink : FrameSink {
  void on_frame(LinkIndex, std::span<const std::byte>, Instant, Instant, const LinkSource&) override {}
  void on_link_state(LinkIndex, bool) override {}
};

std::unique_ptr<Link> open_link(const Path& device, Ring& ring, FrameSink& sink) {
  auto link = EthernetLink::create({.index = 0, .device = device, .cluster_id = cluster_id, .peers = NodeSet::of(1)});
  if (!link) die(link.error());
  if (Status status = (*link)->open(ring, sink); !status) die(status.error());
  return std::move(link).value();
}

std::array<std::byte, frame_bytes> blank_frame() {
  std::array<std::byte, frame_bytes> frame{};
  frame[0] = std::byte{frame_layout::magic};
  for (std::size_t i = 0; i < 4; ++i)
    frame[frame_layout::cluster_id_offset + i] = static_cast<std::byte>(cluster_id >> (24 - 8 * i) & 0xff);
  return frame;
}

std::int64_t age_ns(const std::byte* frame, Instant received) {
  std::int64_t sent = 0;
  std::memcpy(&sent, frame + stamp_offset, sizeof sent);
  return received.ns - sent;
}

void send_frames(const Options& options) {
  turn_realtime(false);
  auto ring = Ring::create();
  if (!ring) die(ring.error());
  NoSink sink;
  auto link = open_link(options.near, **ring, sink);
  auto frame = blank_frame();
  Instant next = boottime_now();
  for (int i = 0; i < options.frames; ++i) {
    next = next + interval;
    sleep_until(next);
    const std::int64_t now = boottime_now().ns;
    std::memcpy(frame.data() + stamp_offset, &now, sizeof now);
    link->send(frame, everyone);
  }
}

// What the threads of one round share.
struct Round {
  std::atomic<bool> ready{false};
  std::atomic<bool> over{false};
};

void receive_by_ring(const Options& options, Round& round, Case& result) {
  struct Sink : NoSink {
    std::vector<std::int64_t>* samples = nullptr;
    void on_frame(LinkIndex, std::span<const std::byte> bytes, Instant, Instant, const LinkSource&) override {
      samples->push_back(age_ns(bytes.data(), boottime_now()));
    }
  } sink;
  turn_realtime(true);
  auto ring = Ring::create();
  if (!ring) die(ring.error());
  sink.samples = &result.samples_ns;
  auto link = open_link(options.far, **ring, sink);
  if (auto ran = (*ring)->run_once(boottime_now()); !ran) die(ran.error());
  round.ready = true;
  while (!round.over)
    if (auto ran = (*ring)->run_once(boottime_now() + Duration::from_ms(20)); !ran) die(ran.error());
}

// A packet socket that sees our EtherType on `device` and nothing more clever.
Fd bare_socket(const Path& device, int flags) {
  Fd fd(::socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | flags, htons(EthernetLink::ether_type)));
  sockaddr_ll where{};
  where.sll_family = AF_PACKET;
  where.sll_protocol = htons(EthernetLink::ether_type);
  where.sll_ifindex = static_cast<int>(::if_nametoindex(device.c_str()));
  if (!fd || ::bind(fd.get(), reinterpret_cast<sockaddr*>(&where), sizeof where) != 0)
    die(Error::from_errno("cannot receive on " + device.str(), errno));
  const int yes = 1;
  ::setsockopt(fd.get(), SOL_PACKET, PACKET_IGNORE_OUTGOING, &yes, sizeof yes);
  const timeval limit{0, 20'000};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  return fd;
}

void receive_bare(const Options& options, bool spin, Round& round, Case& result) {
  turn_realtime(true);
  const Fd fd = bare_socket(options.far, 0);
  std::array<std::byte, 2048> payload;
  round.ready = true;
  while (!round.over) {
    const ssize_t size = ::recv(fd.get(), payload.data(), payload.size(), spin ? MSG_DONTWAIT : 0);
    if (size >= static_cast<ssize_t>(2 + frame_bytes))
      result.samples_ns.push_back(age_ns(payload.data() + 2, boottime_now()));
  }
}

template <typename Receive>
void one_way(const Options& options, Case& result, Receive receive) {
  Round round;
  const std::size_t before = result.samples_ns.size();
  std::thread receiver([&] { receive(round); });
  while (!round.ready) std::this_thread::yield();
  std::thread sender([&] { send_frames(options); });
  sender.join();
  ::usleep(20'000);
  round.over = true;
  receiver.join();
  result.lost += static_cast<std::uint64_t>(options.frames) - (result.samples_ns.size() - before);
}

// ---- sending ---------------------------------------------------------------------------------------

void send_directly(const Options& options, Case& result) {
  turn_realtime(false);
  auto ring = Ring::create();
  if (!ring) die(ring.error());
  NoSink sink;
  auto link = open_link(options.near, **ring, sink);
  const auto frame = blank_frame();
  for (int i = 0; i < options.frames; ++i) {
    sleep_until(boottime_now() + interval);
    const Instant start = boottime_now();
    if (link->send(frame, everyone) != SendOutcome::sent) ++result.lost;
    result.samples_ns.push_back((boottime_now() - start).ns);
  }
}

// The same frame as a request of its own, submitted at once: the least that a send through the ring costs.
void send_by_submission(const Options& options, Case& result) {
  turn_realtime(false);
  io_uring ring{};
  if (int rc = ::io_uring_queue_init(8, &ring, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN); rc != 0)
    die(Error::from_errno("cannot create an io_uring", -rc));
  const Fd fd = bare_socket(options.near, SOCK_NONBLOCK);
  auto frame = blank_frame();
  sockaddr_ll to{};
  to.sll_family = AF_PACKET;
  to.sll_protocol = htons(EthernetLink::ether_type);
  to.sll_ifindex = static_cast<int>(::if_nametoindex(options.near.c_str()));
  to.sll_halen = 6;
  std::memcpy(to.sll_addr, EthernetLink::group_of(cluster_id).data(), 6);
  iovec part{frame.data(), frame.size()};
  msghdr message{};
  message.msg_name = &to;
  message.msg_namelen = sizeof to;
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  for (int i = 0; i < options.frames; ++i) {
    sleep_until(boottime_now() + interval);
    const Instant start = boottime_now();
    io_uring_sqe* sqe = ::io_uring_get_sqe(&ring);
    io_uring_prep_sendmsg(sqe, fd.get(), &message, MSG_DONTWAIT);
    io_uring_cqe* cqe = nullptr;
    const bool sent =
        ::io_uring_submit_and_wait(&ring, 1) == 1 && ::io_uring_peek_cqe(&ring, &cqe) == 0 && cqe->res > 0;
    result.samples_ns.push_back((boottime_now() - start).ns);
    if (!sent) ++result.lost;
    if (cqe != nullptr) ::io_uring_cqe_seen(&ring, cqe);
  }
  ::io_uring_queue_exit(&ring);
}

// ---- putting it together ---------------------------------------------------------------------------

template <typename Body>
void account(Case& result, Body body) {
  const CpuTime before = cpu_time();
  body();
  const CpuTime after = cpu_time();
  result.cpu.total += after.total - before.total;
  result.cpu.stolen += after.stolen - before.stolen;
}

// A thread of its own for each: real time is not to be taken back.
template <typename Body>
void in_thread(Body body) {
  std::thread(body).join();
}

std::vector<Case> measure(const Options& options) {
  std::vector<Case> cases;
  cases.reserve(7);
  Case& timer = cases.emplace_back("timer/loop", "deadline to wake-up, the loop", options);
  Case& nanosleep = cases.emplace_back("timer/nanosleep", "deadline to wake-up, clock_nanosleep (floor)", options);
  Case& loop = cases.emplace_back("frame/loop", "one way, received by the loop", options);
  Case& blocking = cases.emplace_back("frame/blocking", "one way, bare blocking recv (floor)", options);
  Case& spinning = cases.emplace_back("frame/spinning", "one way, bare spinning recv (floor)", options);
  Case& direct = cases.emplace_back("send/direct", "one send() of the link", options);
  Case& submitted = cases.emplace_back("send/submitted", "the same as an io_uring request", options);
  for (int i = 0; i < options.rounds; ++i) {
    account(timer, [&] { in_thread([&] { timer_by_ring(options, timer); }); });
    account(nanosleep, [&] { in_thread([&] { timer_by_nanosleep(options, nanosleep); }); });
    account(loop, [&] { one_way(options, loop, [&](Round& round) { receive_by_ring(options, round, loop); }); });
    account(blocking,
            [&] { one_way(options, blocking, [&](Round& round) { receive_bare(options, false, round, blocking); }); });
    account(spinning,
            [&] { one_way(options, spinning, [&](Round& round) { receive_bare(options, true, round, spinning); }); });
    account(direct, [&] { in_thread([&] { send_directly(options, direct); }); });
    account(submitted, [&] { in_thread([&] { send_by_submission(options, submitted); }); });
  }
  for (Case& one : cases) std::ranges::sort(one.samples_ns);
  return cases;
}

void print(const std::vector<Case>& cases) {
  std::printf("%-16s %8s %6s %9s %9s %9s %9s %9s %7s  %s\n", "case", "samples", "lost", "p50 us", "p90 us", "p99 us",
              "p99.9 us", "max us", "steal %", "what");
  for (const Case& one : cases)
    std::printf("%-16s %8zu %6llu %9.1f %9.1f %9.1f %9.1f %9.1f %7.1f  %s\n", one.name, one.samples_ns.size(),
                static_cast<unsigned long long>(one.lost), one.quantile_us(0.5), one.quantile_us(0.9),
                one.quantile_us(0.99), one.quantile_us(0.999), one.quantile_us(1), one.stolen_percent(), one.what);
}

bool write_json(const Options& options, const std::vector<Case>& cases) {
  utsname system{};
  ::uname(&system);
  auto ring = Ring::create();
  nlohmann::ordered_json report;
  report["benchmark"] = "heartbeat";
  report["quick"] = options.quick;
  report["kernel"] = system.release;
  report["cpus"] = std::thread::hardware_concurrency();
  report["fifo"] = fifo.load();
  report["loop"] = ring ? (*ring)->describe() : ring.error().message;
  report["interval_us"] = interval.us();
  report["frame_bytes"] = frame_bytes;
  for (const Case& one : cases) {
    nlohmann::ordered_json entry;
    entry["case"] = one.name;
    entry["samples"] = one.samples_ns.size();
    entry["lost"] = one.lost;
    entry["us"] = {{"min", one.quantile_us(0)},    {"p50", one.quantile_us(0.5)},    {"p90", one.quantile_us(0.9)},
                   {"p99", one.quantile_us(0.99)}, {"p999", one.quantile_us(0.999)}, {"max", one.quantile_us(1)}};
    entry["steal_percent"] = one.stolen_percent();
    report["cases"].push_back(entry);
  }
  std::ofstream file(options.out);
  file << report.dump(1) << '\n';
  return file.good();
}

int usage(int status) {
  std::fprintf(status == 0 ? stdout : stderr,
               "usage: bench-heartbeat --near INTERFACE --far INTERFACE --out FILE\n"
               "  the two ends of a veth pair in this network namespace; tools/bench/heartbeat.sh makes them\n"
               "  QUICK=1 in the environment: a tenth of the samples\n");
  return status;
}

int run(int argc, char** argv) {
  Options options;
  const option known[] = {{"near", required_argument, nullptr, 'n'},
                          {"far", required_argument, nullptr, 'f'},
                          {"out", required_argument, nullptr, 'o'},
                          {"help", no_argument, nullptr, 'h'},
                          {nullptr, 0, nullptr, 0}};
  for (int letter = 0; (letter = ::getopt_long(argc, argv, "", known, nullptr)) != -1;) {
    if (letter == 'n')
      options.near = optarg;
    else if (letter == 'f')
      options.far = optarg;
    else if (letter == 'o')
      options.out = optarg;
    else
      return usage(letter == 'h' ? 0 : 2);
  }
  if (options.near.empty() || options.far.empty() || options.out.empty()) return usage(2);
  const char* quick = std::getenv("QUICK");
  options.quick = quick != nullptr && std::strcmp(quick, "1") == 0;
  if (options.quick) options.rounds = 4, options.frames = 250;

  const std::vector<Case> cases = measure(options);
  print(cases);
  if (!write_json(options, cases)) die(Error::of("cannot write " + options.out + "; check that its directory exists"));
  std::printf("written to %s\n", options.out.c_str());
  // A receiver that heard nothing has measured nothing.
  for (const Case& one : cases)
    if (one.samples_ns.size() < static_cast<std::size_t>(options.rounds * options.frames) / 2)
      die(Error::of(std::string("case ") + one.name +
                    " lost more than half of its frames; nothing to be learnt from it"));
  return 0;
}

}  // namespace
}  // namespace vigil

int main(int argc, char** argv) { return vigil::run(argc, argv); }
