// For tests of single parts of a core: a cluster of n alike nodes, and a table of peers that all hear each
// other until a test says otherwise.
#pragma once

#include <memory>
#include <vector>

#include "runtime/core/desired_view.hpp"
#include "runtime/core/effect.hpp"
#include "runtime/core/peers.hpp"
#include "runtime/core/quorum.hpp"

namespace vigil::testing {

inline NodeSet nodes(std::initializer_list<int> list) {
  NodeSet set;
  for (const int node : list) set.add(static_cast<NodeId>(node));
  return set;
}

inline Incarnation life_of(NodeId node, std::uint64_t life = 1) {
  return {std::uint64_t{100} + node, 10 * (std::uint64_t{node} + 1) + life};
}

// `networks` Ethernet networks, one service adapter and one raw link on each.
inline std::unique_ptr<ClusterConfig> cluster_of(std::size_t count, std::size_t networks = 1) {
  auto config = std::make_unique<ClusterConfig>();
  config->hash = 77;
  for (std::size_t n = 0; n < networks; ++n) config->networks.push({});
  for (std::size_t i = 0; i < count; ++i) {
    NodeConfig node;
    node.id = static_cast<NodeId>(i);
    node.name.assign("n" + std::to_string(i));
    for (std::size_t n = 0; n < networks; ++n) {
      AdapterConfig adapter;
      adapter.network = static_cast<NetworkIndex>(n);
      node.adapters.push(adapter);
      LinkConfig link;
      link.adapter = static_cast<AdapterIndex>(n);
      node.links.push(link);
    }
    config->nodes.push(node);
  }
  return config;
}

// A serial line between two nodes, as the last adapter and link of each.
inline void add_line(ClusterConfig& config, NodeId a, NodeId b, std::uint32_t baud) {
  NetworkConfig network;
  network.kind = NetworkKind::serial;
  config.networks.push(network);
  for (const NodeId node : {a, b}) {
    NodeConfig& own = config.nodes[node];
    AdapterConfig adapter;
    adapter.network = static_cast<NetworkIndex>(config.networks.size() - 1);
    adapter.role = AdapterRole::serial;
    adapter.peer = node == a ? b : a;
    adapter.baud = baud;
    own.adapters.push(adapter);
    LinkConfig link;
    link.kind = LinkKind::serial;
    link.adapter = static_cast<AdapterIndex>(own.adapters.size() - 1);
    link.carries_lease = false;
    own.links.push(link);
  }
}

inline View view_of(const ClusterConfig& config, NodeSet members, Epoch epoch = {1, 0}) {
  View view;
  view.epoch = epoch;
  view.coordinator = epoch.proposer;
  view.members = members;
  for (const NodeId node : members) view.incarnations[node] = life_of(node);
  view.rule = configured_rule(config);
  return view;
}

inline Record record_of(const ClusterConfig& config, NodeSet members, Epoch epoch = {1, 0}, std::uint32_t version = 2) {
  Record record;
  record.stamp = {epoch, version};
  record.view = view_of(config, members, epoch);
  record.state.group_count = static_cast<std::uint8_t>(config.groups.size());
  return record;
}

// Everybody hears everybody, is ready and clean, and was heard this very moment and for an hour.
class Peers {
 public:
  Peers(const ClusterConfig& config, NodeId self) : config_(config) {
    table.self = self;
    table.now = Instant{Duration::from_s(7'200).ns};
    for (const NodeConfig& node : config.nodes) {
      if (node.id != self) table.self_heard.add(node.id);
      Peer& peer = table.peers[node.id];
      peer.known = node.id != self;
      peer.heard = node.id != self;
      peer.last_sign = table.now;
      peer.heard_since = table.now - Duration::from_s(3'600);
      peer.latest.ready = true;
      peer.latest.clean = true;
      peer.latest.incarnation = life_of(node.id);
      peer.latest.config_hash = config.hash;
      for (const NodeConfig& other : config.nodes)
        if (other.id != node.id) peer.latest.heard.add(other.id);
    }
  }
  // Nobody of us hears it for `silence`.
  void silent(NodeId node, Duration silence) {
    table.peers[node].heard = false;
    table.peers[node].suspected = true;
    table.peers[node].last_sign = table.now - silence;
    table.peers[node].heard_since = Instant::never();
    table.self_heard.remove(node);
    for (const NodeConfig& other : config_.nodes) table.peers[other.id].latest.heard.remove(node);
  }
  // `deaf` no longer hears `other`.
  void deafen(NodeId deaf, NodeId other) {
    if (deaf != table.self) {
      table.peers[deaf].latest.heard.remove(other);
      return;
    }
    table.self_heard.remove(other);
    table.peers[other].heard = false;
  }
  void break_pair(NodeId a, NodeId b) {
    deafen(a, b);
    deafen(b, a);
  }
  void restarted(NodeId node, std::uint64_t life = 2) { table.peers[node].latest.incarnation = life_of(node, life); }

  PeerTable table;

 private:
  const ClusterConfig& config_;
};

// The messages among the effects that are of one kind, in order.
template <typename T>
std::vector<T> sent(const Effects& effects, NodeId to = no_node) {
  std::vector<T> found;
  for (const Effect& effect : effects.items())
    if (const auto* send = std::get_if<effect::SendMessage>(&effect))
      if (const auto* message = std::get_if<T>(&send->message))
        if (to == no_node || send->to == to) found.push_back(*message);
  return found;
}

template <typename T>
std::vector<T> those(const Effects& effects) {
  std::vector<T> found;
  for (const Effect& effect : effects.items())
    if (const auto* one = std::get_if<T>(&effect)) found.push_back(*one);
  return found;
}

}  // namespace vigil::testing
