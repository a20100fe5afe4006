#include "drivers/link.hpp"

#include "drivers/ethernet/ethernet_link.hpp"
#include "drivers/serial/serial_link.hpp"
#include "drivers/udp/udp_link.hpp"

namespace vigil {

Status Link::open(Ring& ring, FrameSink& sink, Ring* quiet) {
  close();
  ring_ = &ring;
  quiet_ = quiet;
  sink_ = &sink;
  return reopen();
}

Status Link::reopen() {
  VIGIL_ASSERT(ring_ != nullptr);
  close();
  Status status = start();
  if (status) ++counters_.opens;
  set_usable(status.ok());
  return status;
}

void Link::learn(NodeId, const LinkSource&) {}

void Link::set_usable(bool usable) {
  if (usable == usable_) return;
  usable_ = usable;
  sink_->on_link_state(index_, usable);
}

namespace {

const LinkConfig* link_of(const NodeConfig& node, AdapterIndex adapter, LinkKind kind) {
  for (const LinkConfig& link : node.links)
    if (link.adapter == adapter && link.kind == kind) return &link;
  return nullptr;
}

// Calls visit(node, adapter) for each adapter of another node that has a link of this kind on `network`.
template <typename Visit>
void for_each_peer_adapter(const ClusterConfig& config, NodeId self, NetworkIndex network, LinkKind kind, Visit visit) {
  for (const NodeConfig& node : config.nodes) {
    if (node.id == self || node.id == no_node) continue;
    for (std::size_t i = 0; i < node.adapters.size(); ++i) {
      const AdapterConfig& adapter = node.adapters[i];
      if (adapter.network == network && link_of(node, static_cast<AdapterIndex>(i), kind) != nullptr)
        visit(node.id, adapter);
    }
  }
}

Result<std::unique_ptr<Link>> make_udp(const ClusterConfig& config, NodeId self, LinkIndex index,
                                       const AdapterConfig& adapter) {
  UdpLinkOptions options;
  options.index = index;
  options.device = adapter.device;
  options.local = adapter.address;
  options.port = config.networks[adapter.network].udp_port;
  bool fits = true;
  for_each_peer_adapter(config, self, adapter.network, LinkKind::udp, [&](NodeId node, const AdapterConfig& peer) {
    if (peer.address.family == adapter.address.family) fits = options.peers.try_push({node, peer.address}) && fits;
  });
  if (!fits)
    return Error::of("cannot set up UDP heartbeats on " + adapter.device.str() + ": network " +
                     config.networks[adapter.network].name.str() + " has more than " +
                     std::to_string(UdpLinkOptions::max_peers) + " peer addresses; use raw Ethernet there");
  return UdpLink::create(options);
}

}  // namespace

Result<std::unique_ptr<Link>> make_link(const ClusterConfig& config, NodeId self, LinkIndex link) {
  VIGIL_ASSERT(self < config.nodes.size());
  const NodeConfig& node = config.nodes[self];
  VIGIL_ASSERT(link < node.links.size());
  const LinkConfig& wanted = node.links[link];
  const AdapterConfig& adapter = node.adapters[wanted.adapter];
  switch (wanted.kind) {
    case LinkKind::ethernet: {
      EthernetLinkOptions options;
      options.index = link;
      options.device = adapter.device;
      options.cluster_id = config.cluster_id;
      for_each_peer_adapter(config, self, adapter.network, LinkKind::ethernet,
                            [&](NodeId peer, const AdapterConfig&) { options.peers.add(peer); });
      return EthernetLink::create(options);
    }
    case LinkKind::udp:
      return make_udp(config, self, link, adapter);
    case LinkKind::serial:
      return SerialLink::create({.index = link, .device = adapter.device, .baud = adapter.baud, .peer = adapter.peer});
  }
  return Error::of("cannot make link " + std::to_string(link) + ": unknown kind");
}

}  // namespace vigil
