// Heartbeats over UDP, IPv4 or IPv6: for routed networks, and as a second opinion on a network that
// has raw Ethernet too, since it fails differently. Bound to the boot address and the device of one
// adapter, so that what it hears was heard there. A broadcast is one datagram to each address of each
// peer; a frame to one node goes to the address it was last heard from.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include "drivers/socket_link.hpp"

namespace vigil {

struct UdpPeer {
  NodeId node = no_node;
  IpAddress address;
};

struct UdpLinkOptions {
  static constexpr std::size_t max_peers = 128;  // addresses of other nodes on one network

  LinkIndex index = 0;
  Path device;  // interface name
  IpAddress local;
  std::uint16_t port = 0;                   // the same at every node
  BoundedVector<UdpPeer, max_peers> peers;  // of local's family
};

class UdpLink final : public SocketLink {
 public:
  static Result<std::unique_ptr<Link>> create(const UdpLinkOptions& options);
  explicit UdpLink(const UdpLinkOptions& options);

  SendOutcome send(std::span<const std::byte> frame, NodeId to) override;
  bool reaches(NodeId node) const override { return nodes_.has(node); }
  void learn(NodeId node, const LinkSource& source) override;

 private:
  union Address {
    sockaddr any;
    sockaddr_in v4;
    sockaddr_in6 v6;
  };
  static constexpr std::uint8_t unknown = 0xff;

  Result<Fd> make_socket(Share share) override;
  Status share_out(int fd) const;
  void take(const Packet& packet) override;
  Address address_of(const IpAddress& ip) const;
  unsigned address_size() const { return options_.local.family == 4 ? sizeof(sockaddr_in) : sizeof(sockaddr_in6); }
  // The peer's place in the table, or `unknown`.
  std::uint8_t find(std::span<const std::byte> source) const;

  UdpLinkOptions options_;
  unsigned interface_index_ = 0;  // scope of link-local IPv6 addresses
  NodeSet nodes_;
  BoundedVector<Address, UdpLinkOptions::max_peers> addresses_;  // of options_.peers, same order
  std::array<std::uint8_t, limits::max_nodes> heard_from_{};     // place of the address last heard from
};

}  // namespace vigil
