#include "netif/probe.hpp"

#include <arpa/inet.h>
#include <linux/icmpv6.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace vigil::netif {
namespace {

constexpr int nd_hop_limit = 255;  // anything less was routed: RFC 4861 section 7.1
constexpr int most_reads = 256;    // of one turn; more waits for the next

Result<Descriptor> open_neighbour_socket() {
  Descriptor socket(::socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_ICMPV6));
  if (!socket) {
    if (errno == EAFNOSUPPORT) return Descriptor();  // a kernel without IPv6 has no IPv6 address to probe
    return Error::from_errno("opening an ICMPv6 socket for duplicate-address checks (needs root or CAP_NET_RAW)",
                             errno);
  }
  icmp6_filter block_all_but_nd;
  std::memset(&block_all_but_nd, 0xff, sizeof block_all_but_nd);
  for (const unsigned type : {135U, 136U}) block_all_but_nd.data[type >> 5] &= ~(1U << (type & 31));
  const int on = 1;
  const int fd = socket.get();
  if (::setsockopt(fd, IPPROTO_ICMPV6, ICMPV6_FILTER, &block_all_but_nd, sizeof block_all_but_nd) != 0 ||
      ::setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on) != 0 ||
      ::setsockopt(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, &on, sizeof on) != 0)
    return Error::from_errno("preparing the ICMPv6 socket for duplicate-address checks", errno);
  return socket;
}

struct Reception {
  int ifindex = 0;
  int hop_limit = 0;
};

Reception reception_of(msghdr& message) {
  Reception result;
  for (cmsghdr* control = CMSG_FIRSTHDR(&message); control != nullptr; control = CMSG_NXTHDR(&message, control)) {
    if (control->cmsg_level != IPPROTO_IPV6) continue;
    if (control->cmsg_type == IPV6_PKTINFO) {
      in6_pktinfo info;
      std::memcpy(&info, CMSG_DATA(control), sizeof info);
      result.ifindex = static_cast<int>(info.ipi6_ifindex);
    } else if (control->cmsg_type == IPV6_HOPLIMIT) {
      std::memcpy(&result.hop_limit, CMSG_DATA(control), sizeof result.hop_limit);
    }
  }
  return result;
}

}  // namespace

Result<Prober> Prober::open() {
  Result<FrameSender> sender = FrameSender::open();
  if (!sender) return sender.error();
  Result<Descriptor> neighbour = open_neighbour_socket();
  if (!neighbour) return neighbour.error();
  // Bound to the protocol, and to no interface.
  Descriptor arp(::socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, htons(ETH_P_ARP)));
  if (!arp) return Error::from_errno("opening a packet socket for ARP probes (needs root or CAP_NET_RAW)", errno);
  Prober result;
  result.sender_ = std::move(*sender);
  result.arp_ = std::move(arp);
  result.neighbour_ = std::move(*neighbour);
  return result;
}

int Prober::ask(const Probe& probe) const {
  return sender_.send(
      probe.address.family == 4 ? encode_arp_probe(probe.address, probe.mac) : encode_dad_ns(probe.address, probe.mac),
      probe.ifindex);
}

// Another host's duplicate-address detection goes to the solicited-node group, which an interface
// without the address has not joined.
void Prober::listen_for(const IpAddress& address, int ifindex, bool on) const {
  if (address.family != 6 || !neighbour_) return;
  ipv6_mreq membership{};
  const auto group = solicited_node_group(address);
  std::memcpy(&membership.ipv6mr_multiaddr, group.data(), group.size());
  membership.ipv6mr_interface = static_cast<unsigned>(ifindex);
  // Refused at worst on an interface without IPv6, which ask() then reports.
  ::setsockopt(neighbour_.get(), IPPROTO_IPV6, on ? IPV6_JOIN_GROUP : IPV6_LEAVE_GROUP, &membership, sizeof membership);
}

Status Prober::start(const IpAddress& address, int ifindex, const MacAddress& mac, ProbePurpose purpose,
                     const ProbeParameters& parameters, Instant now) {
  VIGIL_ASSERT(address.family == 4 || address.family == 6);
  VIGIL_ASSERT(parameters.count > 0);
  VIGIL_ASSERT(parameters.spacing.ns > 0);
  stop(address);
  // What lies in the queues was said before our question, perhaps by the old owner while it still was.
  // Answers to other probes under way come again.
  if (probes_.empty()) drain();
  const Probe probe{address, ifindex, mac, purpose, parameters, 1, now + parameters.spacing};
  listen_for(address, ifindex, true);
  if (const int failed = ask(probe)) {
    listen_for(address, ifindex, false);
    return Error::from_errno("probing for " + text_of(address) + " on " + interface_text(ifindex), failed);
  }
  probes_.push(probe);
  return {};
}

void Prober::stop(const IpAddress& address) {
  for (std::size_t i = 0; i < probes_.size(); ++i) {
    if (!same_host(probes_[i].address, address)) continue;
    listen_for(probes_[i].address, probes_[i].ifindex, false);
    probes_.erase(i);
    return;
  }
}

void Prober::finish(std::size_t index, ProbeOutcome outcome, const MacAddress& other, ProbeResults& results) {
  const Probe probe = probes_[index];
  listen_for(probe.address, probe.ifindex, false);
  probes_.erase(index);
  results.push({probe.address, probe.ifindex, probe.purpose, outcome, other});
}

bool Prober::is_own(const MacAddress& mac, const Probe& probe) const {
  return mac == probe.mac || std::find(own_macs_.begin(), own_macs_.end(), mac) != own_macs_.end();
}

void Prober::on_arp(const ArpMessage& message, int ifindex, ProbeResults& results) {
  for (std::size_t i = 0; i < probes_.size(); ++i) {
    const Probe& probe = probes_[i];
    if (probe.ifindex != ifindex || is_own(message.sender_mac, probe)) continue;
    const bool claims = same_host(message.sender, probe.address);
    // RFC 5227 section 2.1.1: another host's probe for the same address, both of us being about to use it.
    const bool wants =
        !message.is_reply && message.sender.bytes == IpAddress{}.bytes && same_host(message.target, probe.address);
    if (!claims && !(wants && probe.purpose == ProbePurpose::before_use)) continue;
    finish(i, ProbeOutcome::conflict, message.sender_mac, results);
    return;  // one probe an address
  }
}

void Prober::on_neighbour(const NeighbourMessage& message, bool from_nobody, int ifindex, ProbeResults& results) {
  for (std::size_t i = 0; i < probes_.size(); ++i) {
    const Probe& probe = probes_[i];
    if (probe.ifindex != ifindex || !same_host(message.target, probe.address)) continue;
    if (message.mac && is_own(*message.mac, probe)) continue;
    // RFC 4862 section 5.4.3: a solicitation from :: comes from a host that wants the address, too.
    const bool wants = !message.is_advertisement && from_nobody;
    if (!message.is_advertisement && !(wants && probe.purpose == ProbePurpose::before_use)) continue;
    finish(i, ProbeOutcome::conflict, message.mac.value_or(MacAddress{}), results);
    return;
  }
}

void Prober::read_arp(ProbeResults* results) {
  std::array<std::uint8_t, 128> packet;
  for (int reads = 0; reads < most_reads; ++reads) {
    sockaddr_ll from{};
    socklen_t from_size = sizeof from;
    const ssize_t got =
        ::recvfrom(arp_.get(), packet.data(), packet.size(), 0, reinterpret_cast<sockaddr*>(&from), &from_size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return;  // EAGAIN; ENETDOWN of an interface is told by the monitor
    const bool ours = from.sll_pkttype == PACKET_OUTGOING || from.sll_pkttype == PACKET_LOOPBACK;
    if (results == nullptr || ours) continue;
    if (const auto message = decode_arp({packet.data(), static_cast<std::size_t>(got)}))
      on_arp(*message, from.sll_ifindex, *results);
  }
}

void Prober::read_neighbour(ProbeResults* results) {
  std::array<std::uint8_t, 512> packet;
  std::array<std::byte, 128> control;
  for (int reads = 0; neighbour_ && reads < most_reads; ++reads) {
    sockaddr_in6 from{};
    iovec part{packet.data(), packet.size()};
    msghdr header{};
    header.msg_name = &from;
    header.msg_namelen = sizeof from;
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    const ssize_t got = ::recvmsg(neighbour_.get(), &header, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return;
    if (results == nullptr) continue;
    const Reception reception = reception_of(header);
    const auto message = decode_neighbour({packet.data(), static_cast<std::size_t>(got)});
    if (!message || reception.hop_limit != nd_hop_limit) continue;
    on_neighbour(*message, IN6_IS_ADDR_UNSPECIFIED(&from.sin6_addr), reception.ifindex, *results);
  }
}

void Prober::drain() {
  read_arp(nullptr);
  read_neighbour(nullptr);
}

void Prober::on_readable(ProbeResults& results) {
  read_arp(&results);
  read_neighbour(&results);
}

void Prober::step(Instant now, ProbeResults& results) {
  // An answer that waits in the queue counts before the silence does.
  if (next_deadline() <= now) on_readable(results);
  for (std::size_t i = 0; i < probes_.size();) {
    Probe& probe = probes_[i];
    if (now < probe.next) {
      ++i;
      continue;
    }
    if (probe.sent == probe.parameters.count) {
      finish(i, ProbeOutcome::free, MacAddress{}, results);
      continue;
    }
    // A question that the interface did not take is not asked: it is tried again after the spacing.
    if (ask(probe) == 0) ++probe.sent;
    probe.next = now + probe.parameters.spacing;
    ++i;
  }
}

Instant Prober::next_deadline() const {
  Instant next = Instant::never();
  for (const Probe& probe : probes_) next = earlier(next, probe.next);
  return next;
}

}  // namespace vigil::netif
