#include "drivers/ethernet/ethernet_link.hpp"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/pkt_sched.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/socket.h>

#include <cstring>

namespace vigil {

namespace {

constexpr std::size_t length_bytes = 2;

// Offsets count from the payload: the socket is SOCK_DGRAM, the kernel makes and strips the header.
// A load behind the end of a short packet drops it. Passes only what is
//   for this host, a group or everyone (1, 2, 3), not what a promiscuous neighbour made us see, and
//   not what this host sent itself; untagged: another VLAN is another segment, and a frame that
//   leaked from it must not count as heard on this one; of our type, magic and cluster; and of the frame
//   types that this socket is for.
constexpr std::uint32_t ancillary(int what) { return static_cast<std::uint32_t>(SKF_AD_OFF + what); }

struct Filter {
  // Passes the types for which "greater than `type`" is `greater`.
  Filter(std::uint32_t cluster_id, std::uint32_t type, bool greater)
      : code{{
            {BPF_LD | BPF_W | BPF_ABS, 0, 0, ancillary(SKF_AD_PKTTYPE)},
            {BPF_JMP | BPF_JGT | BPF_K, 11, 0, PACKET_MULTICAST},
            {BPF_LD | BPF_W | BPF_ABS, 0, 0, ancillary(SKF_AD_VLAN_TAG_PRESENT)},
            {BPF_JMP | BPF_JEQ | BPF_K, 0, 9, 0},
            {BPF_LD | BPF_W | BPF_ABS, 0, 0, ancillary(SKF_AD_PROTOCOL)},
            {BPF_JMP | BPF_JEQ | BPF_K, 0, 7, EthernetLink::ether_type},
            {BPF_LD | BPF_B | BPF_ABS, 0, 0, length_bytes},
            {BPF_JMP | BPF_JEQ | BPF_K, 0, 5, frame_layout::magic},
            {BPF_LD | BPF_W | BPF_ABS, 0, 0, length_bytes + frame_layout::cluster_id_offset},
            {BPF_JMP | BPF_JEQ | BPF_K, 0, 3, cluster_id},
            {BPF_LD | BPF_B | BPF_ABS, 0, 0, length_bytes + frame_layout::type_offset},
            {BPF_JMP | BPF_JGT | BPF_K, static_cast<std::uint8_t>(greater ? 0 : 1),
             static_cast<std::uint8_t>(greater ? 1 : 0), type},
            {BPF_RET | BPF_K, 0, 0, 0xffff},
            {BPF_RET | BPF_K, 0, 0, 0},
        }} {}
  std::array<sock_filter, 14> code;
};

static_assert(PACKET_HOST == 0 && PACKET_BROADCAST == 1 && PACKET_MULTICAST == 2 && PACKET_OTHERHOST == 3);

}  // namespace

EthernetLink::Mac EthernetLink::group_of(std::uint32_t cluster_id) {
  const auto byte = [cluster_id](int shift) { return static_cast<std::uint8_t>(cluster_id >> shift); };
  return {0x03, frame_layout::magic, byte(24), byte(16), byte(8), byte(0)};
}

Result<std::unique_ptr<Link>> EthernetLink::create(const EthernetLinkOptions& options) {
  if (options.device.empty() || options.device.size() >= IFNAMSIZ)
    return Error::of("cannot set up Ethernet heartbeats: '" + options.device.str() +
                     "' is no interface name; correct `device` in the configuration");
  return std::unique_ptr<Link>(std::make_unique<EthernetLink>(options));
}

EthernetLink::EthernetLink(const EthernetLinkOptions& options)
    : SocketLink(LinkKind::ethernet, options.index), options_(options), group_(group_of(options.cluster_id)) {}

Result<Fd> EthernetLink::make_socket(Share share) {
  const unsigned index = ::if_nametoindex(options_.device.c_str());
  if (index == 0)
    return Error::from_errno("cannot send heartbeats on interface " + options_.device.str() +
                                 " (create it, or correct `device` in the configuration)",
                             errno);
  // Protocol 0: until bind() names one, nothing is received that the filter has not seen.
  Fd fd(::socket(AF_PACKET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return Error::from_errno("cannot open a packet socket (CAP_NET_RAW is needed)", errno);
  interface_index_ = static_cast<int>(index);
  if (Status status = configure(fd.get(), interface_index_, share); !status) return status.error();
  return fd;
}

Status EthernetLink::configure(int fd, int interface_index, Share share) const {
  const std::string on = " on " + options_.device.str();
  constexpr std::uint32_t any_type = 0xff;
  Filter filter(options_.cluster_id, share == Share::everything ? any_type : frame_layout::last_beat_type,
                share == Share::urgent);
  const sock_fprog program{static_cast<unsigned short>(filter.code.size()), filter.code.data()};
  if (::setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) != 0)
    return Error::from_errno("cannot attach the heartbeat filter" + on, errno);
  const int yes = 1;
  // Saves the filter's run on what we send; older kernels than 4.20 leave that to the filter.
  ::setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &yes, sizeof yes);
  // First in the queue of the device; needs CAP_NET_ADMIN. The queue is not bypassed: a heartbeat
  // should meet the same queue as the service that it speaks for, and what tc does to that adapter.
  // No SO_BUSY_POLL: packet sockets have no NAPI id to poll, and an idle cluster should cost nothing.
  const int priority = TC_PRIO_CONTROL;
  ::setsockopt(fd, SOL_SOCKET, SO_PRIORITY, &priority, sizeof priority);

  sockaddr_ll local{};
  local.sll_family = AF_PACKET;
  local.sll_protocol = htons(ether_type);
  local.sll_ifindex = interface_index;
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&local), sizeof local) != 0)
    return Error::from_errno("cannot bind a packet socket" + on, errno);
  socklen_t size = sizeof local;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&local), &size) != 0 || local.sll_hatype != ARPHRD_ETHER)
    return Error{"cannot send Ethernet heartbeats" + on + ": it is no Ethernet interface; use UDP there", EINVAL};

  packet_mreq group{};
  group.mr_ifindex = interface_index;
  group.mr_type = PACKET_MR_MULTICAST;
  group.mr_alen = static_cast<unsigned short>(group_.size());
  std::memcpy(group.mr_address, group_.data(), group_.size());
  if (::setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &group, sizeof group) != 0)
    return Error::from_errno("cannot join the cluster's multicast group" + on, errno);
  return {};
}

SendOutcome EthernetLink::send(std::span<const std::byte> frame, NodeId to) {
  VIGIL_ASSERT(frame.size() >= frame_layout::smallest && frame.size() <= limits::frame_bytes);
  if (!usable()) return SendOutcome::unusable;
  if (to != everyone && !reaches(to)) return SendOutcome::not_reachable;
  std::array<std::byte, length_bytes + limits::frame_bytes> payload;
  payload[0] = static_cast<std::byte>(frame.size() >> 8);
  payload[1] = static_cast<std::byte>(frame.size() & 0xff);
  std::memcpy(payload.data() + length_bytes, frame.data(), frame.size());

  const Mac& mac = learnt_.has(to) ? macs_[to] : group_;
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ether_type);
  address.sll_ifindex = interface_index_;
  address.sll_halen = static_cast<unsigned char>(mac.size());
  std::memcpy(address.sll_addr, mac.data(), mac.size());
  return send_datagram(std::span(payload).first(length_bytes + frame.size()), &address, sizeof address);
}

void EthernetLink::learn(NodeId node, const LinkSource& source) {
  if (!reaches(node) || source.size != macs_[node].size()) return;
  std::memcpy(macs_[node].data(), source.bytes.data(), macs_[node].size());
  learnt_.add(node);
}

void EthernetLink::take(const Packet& packet) {
  sockaddr_ll from{};
  std::memcpy(&from, packet.source.data(), std::min(packet.source.size(), sizeof from));
  const std::span<const std::byte> bytes = packet.bytes;
  std::size_t size = 0;
  if (bytes.size() >= length_bytes) size = static_cast<std::size_t>(bytes[0]) << 8 | static_cast<std::size_t>(bytes[1]);
  const bool sound = !packet.truncated && size >= frame_layout::smallest && size <= limits::frame_bytes &&
                     size + length_bytes <= bytes.size() && from.sll_halen == macs_[0].size();
  if (!sound) {
    ++counters_.malformed;
    return;
  }
  LinkSource source;
  source.size = from.sll_halen;
  std::memcpy(source.bytes.data(), from.sll_addr, source.size);
  deliver(bytes.subspan(length_bytes, size), packet, source);
}

}  // namespace vigil
