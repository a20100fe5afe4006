// What follows from a configuration: the heartbeat links of each node, the cluster's id, the hash
// that nodes compare. Pure functions of the configuration.
#pragma once

#include <cstddef>

#include "runtime/base/cluster.hpp"

namespace vigil {

// Links of one node, in the order of its adapters, raw Ethernet before UDP.
std::size_t count_links(const ClusterConfig& config, const NodeConfig& node);
bool has_link_on(const ClusterConfig& config, const NodeConfig& node, NetworkIndex network);
// Fills node.links of every node. Every node has at most limits::max_links (checked before).
void derive_links(ClusterConfig& config);

// True when a frame of limits::frame_bytes leaves the line (8N1: ten bits a byte) within `interval`.
bool serial_carries_lease(std::uint32_t baud, Duration interval);

// The first four bytes of BLAKE2b of the name, big endian; never 0.
std::uint32_t cluster_id_of(std::string_view name);

// 64 bits of BLAKE2b over a canonical form of everything that nodes must agree on. Comments, spaces,
// the order of keys and of [[node]] tables do not matter. key_file, realtime_priority and cpu are a
// node's own business and are left out. The order of networks, groups and hooks matters, because
// nodes name them to each other by index.
std::uint64_t hash_of(const ClusterConfig& config);

}  // namespace vigil
