#include "netif/frames.hpp"

#include <algorithm>
#include <cstring>

#include "runtime/base/assert.hpp"

namespace vigil::netif {
namespace {

constexpr MacAddress broadcast_mac = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
constexpr MacAddress no_mac = {};
constexpr std::uint16_t ethertype_arp = 0x0806;
constexpr std::uint16_t ethertype_ipv6 = 0x86dd;
constexpr std::uint16_t arp_request = 1;
constexpr std::uint16_t arp_reply = 2;
constexpr std::uint8_t neighbour_solicitation = 135;
constexpr std::uint8_t neighbour_advertisement = 136;
constexpr std::uint8_t option_source_mac = 1;
constexpr std::uint8_t option_target_mac = 2;
constexpr std::uint8_t flag_router = 0x80;
constexpr std::uint8_t flag_override = 0x20;
constexpr std::array<std::uint8_t, 16> all_nodes = {0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
constexpr std::array<std::uint8_t, 16> unspecified = {};

class Writer {
 public:
  explicit Writer(Frame& frame) : frame_(frame) {}
  void bytes(std::span<const std::uint8_t> value) {
    VIGIL_ASSERT(frame_.size + value.size() <= frame_.bytes.size());
    std::copy(value.begin(), value.end(), frame_.bytes.begin() + static_cast<std::ptrdiff_t>(frame_.size));
    frame_.size += value.size();
  }
  void u8(std::uint8_t value) { bytes({&value, 1}); }
  void u16(std::uint16_t value) {
    u8(static_cast<std::uint8_t>(value >> 8));
    u8(static_cast<std::uint8_t>(value));
  }

 private:
  Frame& frame_;
};

struct ArpFields {
  std::uint16_t operation;
  MacAddress sender_mac;
  std::span<const std::uint8_t> sender;
  MacAddress target_mac;
  std::span<const std::uint8_t> target;
};

Frame encode_arp(const ArpFields& fields) {
  Frame frame;
  Writer out(frame);
  out.bytes(broadcast_mac);
  out.bytes(fields.sender_mac);
  out.u16(ethertype_arp);
  out.u16(1);       // hardware: Ethernet
  out.u16(0x0800);  // protocol: IPv4
  out.u8(6);
  out.u8(4);
  out.u16(fields.operation);
  out.bytes(fields.sender_mac);
  out.bytes(fields.sender);
  out.bytes(fields.target_mac);
  out.bytes(fields.target);
  return frame;
}

// An ICMPv6 message with its checksum field still zero, inside IPv6 with hop limit 255, inside Ethernet.
Frame encode_icmpv6(const MacAddress& mac, std::span<const std::uint8_t, 16> source,
                    std::span<const std::uint8_t, 16> destination, std::span<std::uint8_t> message) {
  const std::uint16_t checksum = icmpv6_checksum(source, destination, message);
  message[2] = static_cast<std::uint8_t>(checksum >> 8);
  message[3] = static_cast<std::uint8_t>(checksum);
  Frame frame;
  Writer out(frame);
  out.bytes(ethernet_group(destination));
  out.bytes(mac);
  out.u16(ethertype_ipv6);
  out.u16(0x6000);
  out.u16(0);
  out.u16(static_cast<std::uint16_t>(message.size()));
  out.u8(58);
  out.u8(255);
  out.bytes(source);
  out.bytes(destination);
  out.bytes(message);
  return frame;
}

IpAddress ipv4_at(const std::uint8_t* bytes) {
  IpAddress result{.family = 4, .prefix = 32, .bytes = {}};
  std::copy_n(bytes, 4, result.bytes.begin());
  return result;
}

}  // namespace

Frame encode_gratuitous_arp(const IpAddress& address, const MacAddress& mac, ArpForm form) {
  VIGIL_ASSERT(address.family == 4);
  const std::span<const std::uint8_t> ip(address.bytes.data(), 4);
  const bool reply = form == ArpForm::reply;
  return encode_arp({reply ? arp_reply : arp_request, mac, ip, reply ? mac : no_mac, ip});
}

Frame encode_arp_probe(const IpAddress& address, const MacAddress& mac) {
  VIGIL_ASSERT(address.family == 4);
  return encode_arp({arp_request, mac, {unspecified.data(), 4}, no_mac, {address.bytes.data(), 4}});
}

Frame encode_unsolicited_na(const IpAddress& address, const MacAddress& mac, bool router) {
  VIGIL_ASSERT(address.family == 6);
  std::array<std::uint8_t, 32> message{};
  message[0] = neighbour_advertisement;
  message[4] = static_cast<std::uint8_t>(flag_override | (router ? flag_router : 0));
  std::copy(address.bytes.begin(), address.bytes.end(), message.begin() + 8);
  message[24] = option_target_mac;
  message[25] = 1;  // in units of eight bytes
  std::copy(mac.begin(), mac.end(), message.begin() + 26);
  return encode_icmpv6(mac, address.bytes, all_nodes, message);
}

Frame encode_dad_ns(const IpAddress& address, const MacAddress& mac) {
  VIGIL_ASSERT(address.family == 6);
  std::array<std::uint8_t, 24> message{};
  message[0] = neighbour_solicitation;
  std::copy(address.bytes.begin(), address.bytes.end(), message.begin() + 8);
  return encode_icmpv6(mac, unspecified, solicited_node_group(address), message);
}

std::uint16_t icmpv6_checksum(std::span<const std::uint8_t, 16> source, std::span<const std::uint8_t, 16> destination,
                              std::span<const std::uint8_t> message) {
  std::uint32_t sum = 58 + static_cast<std::uint32_t>(message.size());
  const auto add = [&sum](std::span<const std::uint8_t> bytes) {
    for (std::size_t i = 0; i < bytes.size(); ++i) sum += static_cast<std::uint32_t>(bytes[i]) << (i % 2 == 0 ? 8 : 0);
  };
  add(source);
  add(destination);
  add(message);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(~sum);
}

std::array<std::uint8_t, 16> solicited_node_group(const IpAddress& address) {
  std::array<std::uint8_t, 16> group = {0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0, 0, 0};
  std::copy_n(address.bytes.begin() + 13, 3, group.begin() + 13);
  return group;
}

MacAddress ethernet_group(std::span<const std::uint8_t, 16> group) {
  return {0x33, 0x33, group[12], group[13], group[14], group[15]};
}

std::optional<ArpMessage> decode_arp(std::span<const std::uint8_t> packet) {
  static constexpr std::array<std::uint8_t, 6> ethernet_ipv4 = {0, 1, 0x08, 0x00, 6, 4};
  if (packet.size() < 28 || !std::equal(ethernet_ipv4.begin(), ethernet_ipv4.end(), packet.begin())) return {};
  const std::uint8_t operation = packet[7];
  if (packet[6] != 0 || (operation != arp_request && operation != arp_reply)) return {};
  ArpMessage message;
  message.is_reply = operation == arp_reply;
  std::copy_n(packet.begin() + 8, 6, message.sender_mac.begin());
  message.sender = ipv4_at(packet.data() + 14);
  message.target = ipv4_at(packet.data() + 24);
  return message;
}

std::optional<NeighbourMessage> decode_neighbour(std::span<const std::uint8_t> message) {
  if (message.size() < 24 || message[1] != 0) return {};
  const std::uint8_t type = message[0];
  if (type != neighbour_solicitation && type != neighbour_advertisement) return {};
  NeighbourMessage result;
  result.is_advertisement = type == neighbour_advertisement;
  result.target.family = 6;
  result.target.prefix = 128;
  std::copy_n(message.begin() + 8, 16, result.target.bytes.begin());
  const std::uint8_t wanted = result.is_advertisement ? option_target_mac : option_source_mac;
  for (std::size_t at = 24; at < message.size();) {
    if (at + 2 > message.size()) return {};
    const std::size_t length = std::size_t{message[at + 1]} * 8;
    if (length == 0 || at + length > message.size()) return {};  // RFC 4861 section 6.1.1: discard
    if (message[at] == wanted && length == 8) {
      result.mac.emplace();
      std::copy_n(message.begin() + static_cast<std::ptrdiff_t>(at) + 2, 6, result.mac->begin());
    }
    at += length;
  }
  return result;
}

}  // namespace vigil::netif
