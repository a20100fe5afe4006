// What rtnetlink says of one address, in the terms of this room.
#pragma once

#include <linux/if_addr.h>

#include <algorithm>
#include <optional>

#include "netif/netlink.hpp"

namespace vigil::netif {

struct AddressMessage {
  IpAddress address;
  int ifindex = 0;
  std::uint32_t flags = 0;    // IFA_F_…
  std::string_view label;     // IPv4 only; within the message
  std::uint8_t protocol = 0;  // IFA_PROTO; 0 where the kernel lacks it
};

// Nothing for what is no IPv4 or IPv6 address of an interface.
inline std::optional<AddressMessage> read_address_message(const nlmsghdr& message) {
  const auto* header = family_header<ifaddrmsg>(message);
  if (header == nullptr || (header->ifa_family != AF_INET && header->ifa_family != AF_INET6)) return std::nullopt;
  const auto attributes = NetlinkAttributes<IFA_PROTO>::of<ifaddrmsg>(message);
  // On a point-to-point interface IFA_ADDRESS is the peer's, and IFA_LOCAL ours.
  const auto bytes = attributes.bytes(attributes.has(IFA_LOCAL) ? IFA_LOCAL : IFA_ADDRESS);
  AddressMessage result;
  result.address.family = header->ifa_family == AF_INET6 ? 6 : 4;
  if (bytes.size() != address_bytes(result.address)) return std::nullopt;
  std::copy(bytes.begin(), bytes.end(), result.address.bytes.begin());
  result.address.prefix = header->ifa_prefixlen;
  result.ifindex = static_cast<int>(header->ifa_index);
  result.flags = attributes.value<std::uint32_t>(IFA_FLAGS, header->ifa_flags);
  result.label = attributes.text(IFA_LABEL);
  result.protocol = attributes.value<std::uint8_t>(IFA_PROTO, 0);
  return result;
}

}  // namespace vigil::netif
