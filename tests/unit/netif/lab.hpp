// Two hosts on a cable for the tests of netif: anonymous network namespaces "node" and "client", joined
// by veth pairs. Nothing has a name outside, so nothing is left behind, however a test ends.
//
//   node    vgnif0 02:00:00:00:00:01 10.99.0.1/24 fd99::1/64     (and vgnif2, the second cable, unaddressed)
//   client  vgnif1 02:00:00:00:00:02 10.99.0.2/24 fd99::2/64     (and vgnif3)
//
// The ends of a pair have different interface indexes: with equal ones veth reports a lost carrier
// late.
#pragma once

#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "netif/types.hpp"
#include "tests/unit/cmocka.hpp"

namespace vigil::netif::lab {

inline constexpr MacAddress node_mac = {0x02, 0, 0, 0, 0, 0x01};
inline constexpr MacAddress client_mac = {0x02, 0, 0, 0, 0, 0x02};
inline constexpr MacAddress second_mac = {0x02, 0, 0, 0, 0, 0x03};

// Runs a command line; false and its output on failure.
[[gnu::format(printf, 1, 2)]] inline bool run(const char* format, ...) {
  char line[1024];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  const bool well = std::system(line) == 0;
  if (!well) std::fprintf(stderr, "lab: failed: %s\n", line);
  return well;
}

inline void pause_ms(int milliseconds) { ::poll(nullptr, 0, milliseconds); }

class Lab {
 public:
  // May namespaces be made here? Where they may, a lab that cannot be built is a failure.
  static bool is_allowed() {
    if (::geteuid() != 0) return false;
    const Descriptor home = current();
    if (!home || ::unshare(CLONE_NEWNET) != 0) return false;
    enter(home);
    return true;
  }
  // Null when a command failed; the caller is in the node's namespace afterwards.
  static std::unique_ptr<Lab> create() {
    auto lab = std::unique_ptr<Lab>(new Lab);
    if (::unshare(CLONE_NEWNET) != 0) return nullptr;
    lab->client_ = current();
    if (!run("ip link set lo up") || ::unshare(CLONE_NEWNET) != 0) return nullptr;
    lab->node_ = current();
    if (!run("ip link set lo up") || !lab->cable(0, 1, "01", "02") || !lab->cable(2, 3, "03", "04")) return nullptr;
    if (!run("ip addr add 10.99.0.1/24 dev vgnif0 && ip -6 addr add fd99::1/64 dev vgnif0 nodad")) return nullptr;
    lab->enter_client();
    if (!run("ip addr add 10.99.0.2/24 dev vgnif1 && ip -6 addr add fd99::2/64 dev vgnif1 nodad")) return nullptr;
    lab->enter_node();
    return lab;
  }
  ~Lab() { enter(home_); }
  Lab(const Lab&) = delete;
  Lab& operator=(const Lab&) = delete;

  void enter_node() const { enter(node_); }
  void enter_client() const { enter(client_); }
  int client_fd() const { return client_.get(); }

 private:
  Lab() : home_(current()) {}
  static Descriptor current() { return Descriptor(::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC)); }
  static void enter(const Descriptor& space) {
    if (::setns(space.get(), CLONE_NEWNET) != 0) std::abort();
  }
  bool cable(int here, int there, const char* mac_here, const char* mac_there) const {
    const bool made =
        run("ip link add vgnif%d address 02:00:00:00:00:%s type veth peer name vgnif%d address 02:00:00:00:00:%s && "
            "ip link set vgnif%d netns /proc/%d/fd/%d && ip link set vgnif%d addrgenmode none up",
            here, mac_here, there, mac_there, there, ::getpid(), client_.get(), here);
    if (!made) return false;
    enter_client();
    const bool up = run("ip link set vgnif%d addrgenmode none up", there);
    enter_node();
    return up;
  }

  Descriptor home_;
  Descriptor node_;
  Descriptor client_;
};

inline int index_of(const char* name) { return static_cast<int>(::if_nametoindex(name)); }

// A raw socket on one interface of the current namespace.
class RawSocket {
 public:
  explicit RawSocket(const char* interface, int protocol = ETH_P_ALL)
      : socket_(
            ::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, htons(static_cast<std::uint16_t>(protocol)))) {
    sockaddr_ll local{};
    local.sll_family = AF_PACKET;
    local.sll_protocol = htons(static_cast<std::uint16_t>(protocol));
    local.sll_ifindex = index_of(interface);
    if (::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&local), sizeof local) != 0) std::abort();
  }
  bool send(std::span<const std::uint8_t> frame) const {
    return ::send(socket_.get(), frame.data(), frame.size(), 0) == static_cast<ssize_t>(frame.size());
  }
  // Every frame that comes from others within the time and of which `wanted` is true.
  template <typename Wanted>
  std::vector<std::vector<std::uint8_t>> receive(int milliseconds, std::size_t enough, Wanted wanted) const {
    std::vector<std::vector<std::uint8_t>> frames;
    const Instant end = boot_now() + Duration::from_ms(milliseconds);
    while (frames.size() < enough) {
      std::vector<std::uint8_t> frame(2048);
      sockaddr_ll from{};
      socklen_t size = sizeof from;
      const ssize_t got =
          ::recvfrom(socket_.get(), frame.data(), frame.size(), 0, reinterpret_cast<sockaddr*>(&from), &size);
      if (got < 0) {
        const Duration left = end - boot_now();
        if (left.ns <= 0) break;
        pollfd ready{socket_.get(), POLLIN, 0};
        ::poll(&ready, 1, static_cast<int>(left.ns / 1'000'000) + 1);
        continue;
      }
      frame.resize(static_cast<std::size_t>(got));
      if (from.sll_pkttype != PACKET_OUTGOING && wanted(frame)) frames.push_back(std::move(frame));
    }
    return frames;
  }

 private:
  Descriptor socket_;
};

// Sends one datagram per call and says whether its echo came back in time.
class UdpClient {
 public:
  UdpClient(const char* to, std::uint16_t port) {
    const IpAddress address = address_from(to);
    socket_ = Descriptor(::socket(address.family == 6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_storage target{};
    socklen_t size = sizeof(sockaddr_in);
    if (address.family == 4) {
      auto& v4 = reinterpret_cast<sockaddr_in&>(target);
      v4.sin_family = AF_INET;
      v4.sin_port = htons(port);
      std::memcpy(&v4.sin_addr, address.bytes.data(), 4);
    } else {
      auto& v6 = reinterpret_cast<sockaddr_in6&>(target);
      v6.sin6_family = AF_INET6;
      v6.sin6_port = htons(port);
      std::memcpy(&v6.sin6_addr, address.bytes.data(), 16);
      size = sizeof(sockaddr_in6);
    }
    if (::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&target), size) != 0) std::perror("lab: connect");
  }
  bool echoes(int within_ms = 100) {
    const std::uint64_t number = ++count_;
    if (::send(socket_.get(), &number, sizeof number, MSG_DONTWAIT) != sizeof number) return false;
    const Instant end = boot_now() + Duration::from_ms(within_ms);
    for (;;) {
      const Duration left = end - boot_now();
      if (left.ns <= 0) return false;
      pollfd ready{socket_.get(), POLLIN, 0};
      if (::poll(&ready, 1, static_cast<int>(left.ns / 1'000'000) + 1) <= 0) continue;
      std::uint64_t answer = 0;
      if (::recv(socket_.get(), &answer, sizeof answer, MSG_DONTWAIT) == sizeof answer && answer == number) return true;
    }
  }
  int fd() const { return socket_.get(); }

 private:
  Descriptor socket_;
  std::uint64_t count_ = 0;
};

// Put at the head of every test that needs the lab.
#define VIGIL_NEEDS_LAB(lab)                                                                           \
  if (!vigil::netif::lab::Lab::is_allowed()) {                                                         \
    print_message("skipped: network namespaces cannot be made here (needs root and CONFIG_NET_NS)\n"); \
    skip();                                                                                            \
  }                                                                                                    \
  const auto lab = vigil::netif::lab::Lab::create();                                                   \
  if (!lab) fail_msg("the lab could not be built")

}  // namespace vigil::netif::lab
