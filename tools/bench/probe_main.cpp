// The client of the failover measurements: asks a service address once a millisecond, and tells as
// JSON what it saw (probe_log.hpp says what counts): outages, who served when, two serving at once.
// On SIGUSR1 it writes a snapshot, one line, and goes on; at its time limit, or on SIGTERM or SIGINT,
// the last one, and ends. It judges nothing: that is for whoever started it.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "tools/bench/probe_log.hpp"
#include "tools/bench/probe_packet.hpp"

namespace {

using namespace vigil::bench;

constexpr int realtime_priority = 31;

struct Options {
  std::string address;
  std::uint16_t port = default_port;
  std::int64_t interval_us = 1000;
  std::int64_t limit_s = 600;
  ProbeRules rules;
};

int usage() {
  std::fputs(
      "usage: probe --address ADDRESS [--port PORT] [--interval-us N] [--limit-s N]\n"
      "                   [--answer-limit-ms N] [--min-lost N] [--shortest-run-ms N]\n"
      "Asks a echod at ADDRESS once every interval (default 1000 us). SIGUSR1: one line of JSON on\n"
      "standard output. Ends after the limit (default 600 s) or on SIGTERM, with a last line.\n",
      stderr);
  return 2;
}

bool parse_number(std::string_view text, std::int64_t low, std::int64_t high, std::int64_t& value) {
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  return failed == std::errc{} && end == text.data() + text.size() && value >= low && value <= high;
}

bool parse(int argc, char** argv, Options& options) {
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view key = argv[i];
    const std::string_view value = argv[i + 1];
    std::int64_t number = 0;
    if (key == "--address") {
      options.address = value;
      continue;
    }
    if (key == "--port" && parse_number(value, 1, 65535, number))
      options.port = static_cast<std::uint16_t>(number);
    else if (key == "--interval-us" && parse_number(value, 50, 10'000'000, number))
      options.interval_us = number;
    else if (key == "--limit-s" && parse_number(value, 1, 86'400, number))
      options.limit_s = number;
    else if (key == "--answer-limit-ms" && parse_number(value, 1, 60'000, number))
      options.rules.answer_limit_ns = number * 1'000'000;
    else if (key == "--min-lost" && parse_number(value, 1, 1'000'000, number))
      options.rules.min_lost = static_cast<std::uint64_t>(number);
    else if (key == "--shortest-run-ms" && parse_number(value, 0, 60'000, number))
      options.rules.shortest_run_ns = number * 1'000'000;
    else
      return false;
  }
  return argc % 2 == 1 && !options.address.empty();
}

std::int64_t boot_ns() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<std::int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

// A UDP socket and where to send. Not connected: a connected one would be told of ICMP errors, and
// would be tied to one source address.
int open_socket(const Options& options, sockaddr_storage& target, socklen_t& size) {
  sockaddr_in v4{};
  sockaddr_in6 v6{};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(options.port);
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(options.port);
  if (inet_pton(AF_INET, options.address.c_str(), &v4.sin_addr) == 1) {
    std::memcpy(&target, &v4, size = sizeof v4);
  } else if (inet_pton(AF_INET6, options.address.c_str(), &v6.sin6_addr) == 1) {
    std::memcpy(&target, &v6, size = sizeof v6);
  } else {
    errno = EINVAL;
    return -1;
  }
  return socket(target.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

class Prober {
 public:
  Prober(const Options& options, int fd, int signals, const sockaddr_storage& target, socklen_t target_size)
      : options_(options),
        fd_(fd),
        signals_(signals),
        target_(target),
        target_size_(target_size),
        log_(options.rules) {}

  void run();

 private:
  void send_one(std::int64_t now);
  void receive_all();
  // True when it is to end.
  bool take_signals();
  void print(bool final) const;
  double ms_since_start(std::int64_t ns) const { return static_cast<double>(ns - start_) / 1e6; }
  nlohmann::json server_name(int index) const {
    return index < 0 ? nlohmann::json(nullptr) : nlohmann::json(log_.servers()[static_cast<std::size_t>(index)]);
  }

  const Options& options_;
  int fd_;
  int signals_;
  sockaddr_storage target_;
  socklen_t target_size_;
  ProbeLog log_;
  std::int64_t start_ = 0;
  std::int64_t worst_late_ns_ = 0;
  std::uint64_t send_errors_ = 0;
  std::uint64_t run_ = 0;
};

void Prober::send_one(std::int64_t now) {
  const Probe probe{magic, run_, log_.sent_count()};
  log_.sent(now);
  // A failed send (no route, no carrier) is a request without an answer.
  if (sendto(fd_, &probe, sizeof probe, 0, reinterpret_cast<const sockaddr*>(&target_), target_size_) < 0)
    ++send_errors_;
}

void Prober::receive_all() {
  Answer answer;
  while (recv(fd_, &answer, sizeof answer, 0) == static_cast<ssize_t>(sizeof answer)) {
    if (answer.probe.magic != magic || answer.probe.run != run_) continue;
    answer.name.back() = '\0';
    log_.answered(answer.probe.sequence, answer.name.data(), boot_ns());
  }
}

bool Prober::take_signals() {
  signalfd_siginfo info{};
  bool end = false;
  while (read(signals_, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    if (info.ssi_signo == SIGUSR1)
      print(false);
    else
      end = true;
  }
  return end;
}

void Prober::run() {
  const std::int64_t interval = options_.interval_us * 1000;
  start_ = boot_ns();
  run_ = static_cast<std::uint64_t>(start_) ^ (static_cast<std::uint64_t>(getpid()) << 48);
  const std::int64_t end = start_ + options_.limit_s * 1'000'000'000;
  std::int64_t next = start_;
  for (;;) {
    std::int64_t now = boot_ns();
    if (now >= end) break;
    if (now >= next) {
      worst_late_ns_ = std::max(worst_late_ns_, now - next);
      send_one(now);
      // After a stall it goes on from now: a burst would be no client's behaviour.
      next = now - next > interval ? now + interval : next + interval;
      now = boot_ns();
    }
    const std::int64_t rest = std::max<std::int64_t>(0, next - now);
    const timespec timeout{rest / 1'000'000'000, rest % 1'000'000'000};
    std::array<pollfd, 2> waiting = {{{fd_, POLLIN, 0}, {signals_, POLLIN, 0}}};
    if (ppoll(waiting.data(), waiting.size(), &timeout, nullptr) < 0 && errno != EINTR) break;
    if (waiting[0].revents != 0) receive_all();
    if (waiting[1].revents != 0 && take_signals()) break;
  }
  receive_all();
  print(true);
}

void Prober::print(bool final) const {
  const std::int64_t now = boot_ns();
  nlohmann::json report = {{"final", final},
                           {"start_boot_ns", start_},
                           {"now_ms", ms_since_start(now)},
                           {"interval_us", options_.interval_us},
                           {"sent", log_.sent_count()},
                           {"send_errors", send_errors_},
                           {"answered", log_.answered_count()},
                           {"late", log_.late_count()},
                           {"duplicates", log_.duplicate_count()},
                           {"worst_probe_late_ms", static_cast<double>(worst_late_ns_) / 1e6},
                           {"outages", nlohmann::json::array()},
                           {"runs", nlohmann::json::array()},
                           {"violations", nlohmann::json::array()}};
  for (const Outage& outage : log_.outages(now))
    report["outages"].push_back({{"start_ms", ms_since_start(outage.start_ns)},
                                 {"length_ms", static_cast<double>(outage.length_ns) / 1e6},
                                 {"lost", outage.lost},
                                 {"from", server_name(outage.from)},
                                 {"to", server_name(outage.to)}});
  const auto add_runs = [&](const char* key, const std::vector<Run>& runs) {
    for (const Run& run : runs)
      report[key].push_back({{"server", server_name(run.server)},
                             {"start_ms", ms_since_start(run.start_ns)},
                             {"end_ms", ms_since_start(run.end_ns)},
                             {"answers", run.answers}});
  };
  add_runs("runs", log_.runs());
  add_runs("violations", log_.violations());
  const std::string line = report.dump() + "\n";
  std::fwrite(line.data(), 1, line.size(), stdout);
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  if (!parse(argc, argv, options)) return usage();
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGUSR1, SIGTERM, SIGINT}) sigaddset(&set, signal);
  sigprocmask(SIG_BLOCK, &set, nullptr);
  const int signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
  sockaddr_storage target{};
  socklen_t size = 0;
  const int fd = open_socket(options, target, size);
  if (signals < 0 || fd < 0) {
    std::fprintf(stderr, "probe: open a socket to '%s': %s; expected an IPv4 or IPv6 address\n",
                 options.address.c_str(), std::strerror(errno));
    return 1;
  }
  const sched_param parameters{.sched_priority = realtime_priority};
  if (sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &parameters) != 0)
    std::fprintf(stderr, "probe: no real-time priority (%s): it may be late under load\n", std::strerror(errno));
  prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
  Prober(options, fd, signals, target, size).run();
  close(fd);
  close(signals);
  return 0;
}
