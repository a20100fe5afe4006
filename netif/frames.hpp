// Address Resolution Protocol (RFC 826, RFC 5227) and IPv6 neighbour discovery (RFC 4861, RFC 4862) as
// bytes: what an owner announces, what a prober asks, what a conflict looks like. Pure; whole Ethernet
// frames without the frame check sequence, untagged (an interface of a VLAN adds its tag itself).
#pragma once

#include <optional>
#include <span>

#include "netif/types.hpp"

namespace vigil::netif {

inline constexpr std::size_t max_frame_bytes = 96;

struct Frame {
  std::array<std::uint8_t, max_frame_bytes> bytes{};
  std::size_t size = 0;

  std::span<const std::uint8_t> span() const { return {bytes.data(), size}; }
};

// The two forms of an announcement; some hosts heed only one of them.
enum class ArpForm : std::uint8_t { request, reply };

// Tells the segment that `address` (IPv4) lives at `mac`: sender and target address are both `address`
// (RFC 5227 section 2.3; for a reply the target hardware address is `mac`, too: RFC 5944 section 4.6).
// 42 bytes.
Frame encode_gratuitous_arp(const IpAddress& address, const MacAddress& mac, ArpForm form);

// Asks who has `address`, naming no sender address, so that no cache is touched (RFC 5227 section 1.1).
Frame encode_arp_probe(const IpAddress& address, const MacAddress& mac);

// Tells all nodes that `address` (IPv6) lives at `mac`, overriding what they knew (RFC 4861 section
// 7.2.6). `router` must say whether this node forwards, or hosts stop routing through it. 86 bytes.
Frame encode_unsolicited_na(const IpAddress& address, const MacAddress& mac, bool router);

// Asks who has `address` as duplicate-address detection does: from ::, to the solicited-node group (RFC
// 4862 section 5.4.2). 78 bytes.
Frame encode_dad_ns(const IpAddress& address, const MacAddress& mac);

// RFC 4443 section 2.3: over the pseudo header and `message` with its checksum field zero. Host order.
std::uint16_t icmpv6_checksum(std::span<const std::uint8_t, 16> source, std::span<const std::uint8_t, 16> destination,
                              std::span<const std::uint8_t> message);

// ff02::1:ffXX:XXXX of an address, and the Ethernet group of any IPv6 group (RFC 2464 section 7).
std::array<std::uint8_t, 16> solicited_node_group(const IpAddress& address);
MacAddress ethernet_group(std::span<const std::uint8_t, 16> group);

// What somebody said about who has an address.
struct ArpMessage {
  bool is_reply = false;
  MacAddress sender_mac{};
  IpAddress sender;  // 0.0.0.0 in a probe
  IpAddress target;
};

struct NeighbourMessage {
  bool is_advertisement = false;
  IpAddress target;
  std::optional<MacAddress> mac;  // from the link-layer address option
};

// `packet` begins behind the Ethernet header. Nothing: not an Ethernet/IPv4 ARP message, or cut short.
std::optional<ArpMessage> decode_arp(std::span<const std::uint8_t> packet);

// `message` begins at the ICMPv6 type. Nothing: not a solicitation or advertisement, or malformed.
std::optional<NeighbourMessage> decode_neighbour(std::span<const std::uint8_t> message);

}  // namespace vigil::netif
