// A UDP responder for measuring failovers: answers every probe from the very address that was asked,
// with this node's name. Bound to the wildcard, so it needs no word when a service address comes or
// goes: what the client then sees is the address's doing alone. It holds no state.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "tools/bench/probe_packet.hpp"

namespace {

constexpr int realtime_priority = 30;  // below vigild: it must not decide the measurement, nor be starved by load

struct Options {
  std::string name;
  std::uint16_t port = vigil::bench::default_port;
};

int usage() {
  std::fputs(
      "usage: echod --name NAME [--port PORT]\n"
      "Answers probes on UDP PORT (default 7999) of every address, as NAME, until it is killed.\n",
      stderr);
  return 2;
}

bool parse(int argc, char** argv, Options& options) {
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view key = argv[i];
    const std::string_view value = argv[i + 1];
    if (key == "--name") {
      options.name = value;
    } else if (key == "--port") {
      const auto [end, failed] = std::from_chars(value.data(), value.data() + value.size(), options.port);
      if (failed != std::errc{} || end != value.data() + value.size() || options.port == 0) return false;
    } else {
      return false;
    }
  }
  return argc % 2 == 1 && !options.name.empty() && options.name.size() <= vigil::bench::name_bytes;
}

// Dual stack: IPv4 clients come as mapped addresses, in the source and in the packet information.
int open_socket(std::uint16_t port) {
  const int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  const int off = 0;
  const int on = 1;
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(port);
  if (setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) != 0 ||
      setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on) != 0 ||
      bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    const int code = errno;
    close(fd);
    errno = code;
    return -1;
  }
  return fd;
}

// Receives one probe and answers it. Errors are weather: an address may vanish between the two.
void answer_one(int fd, const Options& options) {
  vigil::bench::Answer answer{};
  sockaddr_in6 from{};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(in6_pktinfo))> control{};
  iovec io{&answer, sizeof answer};
  msghdr message{};
  message.msg_name = &from;
  message.msg_namelen = sizeof from;
  message.msg_iov = &io;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t size = recvmsg(fd, &message, 0);
  if (size < static_cast<ssize_t>(sizeof(vigil::bench::Probe)) || answer.probe.magic != vigil::bench::magic) return;
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  answer.answered_ns = static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
  answer.name.fill('\0');
  std::memcpy(answer.name.data(), options.name.data(), options.name.size());
  // The received packet information, interface cleared, makes the asked address the source and lets
  // routing choose the way.
  if (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr && header->cmsg_type == IPV6_PKTINFO) {
    in6_pktinfo info{};
    std::memcpy(&info, CMSG_DATA(header), sizeof info);
    info.ipi6_ifindex = 0;
    std::memcpy(CMSG_DATA(header), &info, sizeof info);
  } else {
    message.msg_control = nullptr;
    message.msg_controllen = 0;
  }
  io.iov_len = sizeof answer;
  (void)sendmsg(fd, &message, MSG_DONTWAIT);
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  if (!parse(argc, argv, options)) return usage();
  const int fd = open_socket(options.port);
  if (fd < 0) {
    std::fprintf(stderr, "echod: open UDP port %u: %s; is another one running?\n", options.port, std::strerror(errno));
    return 1;
  }
  const sched_param parameters{.sched_priority = realtime_priority};
  if (sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &parameters) != 0)
    std::fprintf(stderr, "echod: no real-time priority (%s): answers may be late under load\n", std::strerror(errno));
  for (;;) answer_one(fd, options);
}
