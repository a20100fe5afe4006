#include "drivers/udp/udp_link.hpp"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/pkt_sched.h>
#include <net/if.h>

#include <algorithm>
#include <cstring>
#include <iterator>

namespace vigil {

namespace {

// Class selector 6, "network control" (RFC 2474 section 4.2.2.2), as TOS and traffic class.
constexpr int class_selector_6 = 0xc0;

// Datagrams to a peer whose MAC is not known wait in its neighbour entry (at most net.ipv4.neigh.*.
// unres_qlen_bytes, 208 KiB by default), charged to this socket. Without room for one such queue per
// peer, the dead ones would take away the buffer that heartbeats to the living need.
constexpr std::size_t neighbour_queue_bytes = 256 * 1024;

std::string text_of(const IpAddress& ip) {
  char text[INET6_ADDRSTRLEN] = "?";
  ::inet_ntop(ip.family == 4 ? AF_INET : AF_INET6, ip.bytes.data(), text, sizeof text);
  return text;
}

bool is_link_local_v6(const IpAddress& ip) {
  return ip.family == 6 && ip.bytes[0] == 0xfe && (ip.bytes[1] & 0xc0) == 0x80;
}

void prefer(int fd, std::uint8_t family) {
  if (family == 4)
    ::setsockopt(fd, IPPROTO_IP, IP_TOS, &class_selector_6, sizeof class_selector_6);
  else
    ::setsockopt(fd, IPPROTO_IPV6, IPV6_TCLASS, &class_selector_6, sizeof class_selector_6);
  // After IP_TOS, which sets a priority of its own. Above 6 needs CAP_NET_ADMIN.
  const int priority = TC_PRIO_CONTROL;
  ::setsockopt(fd, SOL_SOCKET, SO_PRIORITY, &priority, sizeof priority);
}

}  // namespace

Result<std::unique_ptr<Link>> UdpLink::create(const UdpLinkOptions& options) {
  const std::string what = "cannot set up UDP heartbeats on " + options.device.str();
  if (options.local.family != 4 && options.local.family != 6)
    return Error::of(what + ": the adapter has no boot address; give it `address` in the configuration");
  if (options.port == 0) return Error::of(what + ": its network has no `udp_port`; give it one in the configuration");
  if (options.device.empty() || options.device.size() >= IFNAMSIZ)
    return Error::of(what + ": this is no interface name; correct `device` in the configuration");
  return std::unique_ptr<Link>(std::make_unique<UdpLink>(options));
}

UdpLink::UdpLink(const UdpLinkOptions& options) : SocketLink(LinkKind::udp, options.index), options_(options) {
  for (const UdpPeer& peer : options_.peers) {
    VIGIL_ASSERT(peer.address.family == options_.local.family);
    nodes_.add(peer.node);
  }
  heard_from_.fill(unknown);
}

UdpLink::Address UdpLink::address_of(const IpAddress& ip) const {
  Address address;
  std::memset(&address, 0, sizeof address);
  if (ip.family == 4) {
    address.v4.sin_family = AF_INET;
    address.v4.sin_port = htons(options_.port);
    std::memcpy(&address.v4.sin_addr, ip.bytes.data(), sizeof address.v4.sin_addr);
  } else {
    address.v6.sin6_family = AF_INET6;
    address.v6.sin6_port = htons(options_.port);
    std::memcpy(&address.v6.sin6_addr, ip.bytes.data(), sizeof address.v6.sin6_addr);
    if (is_link_local_v6(ip)) address.v6.sin6_scope_id = interface_index_;
  }
  return address;
}

// Two sockets of one address: the first one bound gets what the program calls 0, the other one what it calls 1.
Status UdpLink::share_out(int fd) const {
  sock_filter code[] = {
      {BPF_LD | BPF_B | BPF_ABS, 0, 0, frame_layout::type_offset},
      {BPF_JMP | BPF_JGT | BPF_K, 0, 1, frame_layout::last_beat_type},
      {BPF_RET | BPF_K, 0, 0, 0},
      {BPF_RET | BPF_K, 0, 0, 1},
  };
  const sock_fprog program{std::size(code), code};
  if (::setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program) != 0)
    return Error::from_errno("cannot share out the heartbeats on UDP port " + std::to_string(options_.port), errno);
  return {};
}

Result<Fd> UdpLink::make_socket(Share share) {
  const std::string what =
      "cannot send UDP heartbeats from " + text_of(options_.local) + " on " + options_.device.str();
  interface_index_ = ::if_nametoindex(options_.device.c_str());
  if (interface_index_ == 0)
    return Error::from_errno(what + " (create the interface, or correct `device` in the configuration)", errno);
  Fd fd(::socket(options_.local.family == 4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return Error::from_errno(what + ": no socket", errno);
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_BINDTODEVICE, options_.device.c_str(),
                   static_cast<socklen_t>(options_.device.size() + 1)) != 0)
    return Error::from_errno(what + ": cannot bind to the device (CAP_NET_RAW is needed)", errno);
  prefer(fd.get(), options_.local.family);
  const auto buffer = static_cast<int>(neighbour_queue_bytes * (options_.peers.size() + 1));
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof buffer) != 0)
    ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
  const int yes = 1;
  if (share == Share::beats) ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEPORT, &yes, sizeof yes);
  const Address local = address_of(options_.local);
  if (::bind(fd.get(), &local.any, address_size()) != 0)
    return Error::from_errno(what + " port " + std::to_string(options_.port) +
                                 " (give the interface its boot address, and the port to nobody else)",
                             errno);
  // Bound alone, so that a port which another process has is told; only then it lets the second one in.
  if (share == Share::urgent) ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEPORT, &yes, sizeof yes);
  if (share == Share::beats)
    if (Status shared = share_out(fd.get()); !shared) return shared.error();
  addresses_.clear();
  for (const UdpPeer& peer : options_.peers) addresses_.push(address_of(peer.address));
  return fd;
}

SendOutcome UdpLink::send(std::span<const std::byte> frame, NodeId to) {
  VIGIL_ASSERT(frame.size() >= frame_layout::smallest && frame.size() <= limits::frame_bytes);
  if (!usable()) return SendOutcome::unusable;
  if (to != everyone && !reaches(to)) return SendOutcome::not_reachable;
  if (to != everyone && heard_from_[to] != unknown)
    return send_datagram(frame, &addresses_[heard_from_[to]], address_size());
  SendOutcome outcome = SendOutcome::not_reachable;
  for (std::size_t i = 0; i < addresses_.size() && usable(); ++i) {
    if (to != everyone && options_.peers[i].node != to) continue;
    const SendOutcome one = send_datagram(frame, &addresses_[i], address_size());
    if (outcome != SendOutcome::sent) outcome = one;
  }
  return outcome;
}

std::uint8_t UdpLink::find(std::span<const std::byte> source) const {
  Address from;
  std::memset(&from, 0, sizeof from);
  std::memcpy(&from, source.data(), std::min(source.size(), sizeof from));
  for (std::size_t i = 0; i < addresses_.size(); ++i) {
    const Address& peer = addresses_[i];
    if (from.any.sa_family != peer.any.sa_family) continue;
    const bool same = from.any.sa_family == AF_INET
                          ? from.v4.sin_addr.s_addr == peer.v4.sin_addr.s_addr && from.v4.sin_port == peer.v4.sin_port
                          : std::memcmp(&from.v6.sin6_addr, &peer.v6.sin6_addr, sizeof from.v6.sin6_addr) == 0 &&
                                from.v6.sin6_port == peer.v6.sin6_port;
    if (same) return static_cast<std::uint8_t>(i);
  }
  return unknown;
}

void UdpLink::learn(NodeId node, const LinkSource& source) {
  const std::uint8_t place = find(std::span(source.bytes).first(source.size));
  if (place != unknown && options_.peers[place].node == node) heard_from_[node] = place;
}

void UdpLink::take(const Packet& packet) {
  if (find(packet.source) == unknown) {
    ++counters_.foreign;
    return;
  }
  if (packet.truncated || packet.bytes.size() < frame_layout::smallest || packet.bytes.size() > limits::frame_bytes) {
    ++counters_.malformed;
    return;
  }
  LinkSource source;
  source.size = static_cast<std::uint8_t>(std::min(packet.source.size(), source.bytes.size()));
  std::memcpy(source.bytes.data(), packet.source.data(), source.size);
  deliver(packet.bytes, packet, source);
}

}  // namespace vigil
