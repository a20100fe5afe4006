// Heartbeats as raw Ethernet frames: no IP, no routing, no neighbour table, so that nothing but the
// adapter and the cable can break them. Stays in its own segment, and never sees foreign traffic: the
// kernel drops everything that is not of this cluster before it reaches this process.
//
//   destination   03:56 and the cluster id: a multicast group of our own, locally administered; or the
//                 MAC learnt for a peer
//   EtherType     0x88B5, local experimental 1 (IEEE Std 802, 9.2.4)
//   payload       length of the frame (big-endian u16), frame, padding to 46 bytes by the device
#pragma once

#include <linux/if_packet.h>

#include "drivers/socket_link.hpp"

namespace vigil {

struct EthernetLinkOptions {
  LinkIndex index = 0;
  Path device;  // interface name
  std::uint32_t cluster_id = 0;
  NodeSet peers;  // nodes with raw Ethernet on this network
};

class EthernetLink final : public SocketLink {
 public:
  static constexpr std::uint16_t ether_type = 0x88b5;
  using Mac = std::array<std::uint8_t, 6>;

  static Result<std::unique_ptr<Link>> create(const EthernetLinkOptions& options);
  explicit EthernetLink(const EthernetLinkOptions& options);

  SendOutcome send(std::span<const std::byte> frame, NodeId to) override;
  bool reaches(NodeId node) const override { return options_.peers.has(node); }
  void learn(NodeId node, const LinkSource& source) override;

  static Mac group_of(std::uint32_t cluster_id);

 private:
  Result<Fd> make_socket(Share share) override;
  Status configure(int fd, int interface_index, Share share) const;
  void take(const Packet& packet) override;

  EthernetLinkOptions options_;
  int interface_index_ = 0;
  Mac group_;
  NodeSet learnt_;
  std::array<Mac, limits::max_nodes> macs_{};  // of learnt_
};

}  // namespace vigil
