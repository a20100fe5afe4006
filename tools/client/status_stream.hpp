// Turns what a node knows into control packets, one at a time, into the caller's buffer: the daemon's
// side of the control protocol. Decides nothing, allocates nothing, never blocks.
//
// Usage: fill a NodeStatus (NodeCore::describe), make a stream, and send each packet that next()
// writes whenever the socket takes it; the configuration and the status must stay as they are until
// the stream is over.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "runtime/base/cluster.hpp"
#include "runtime/core/status.hpp"
#include "tools/client/control_protocol.hpp"

namespace vigil::control {

// The answer to request::GetStatus: one Cluster, every Node, every Adapter of this node, every
// Group, every Problem, Keys, Quorum, End.
class StatusStream {
 public:
  StatusStream(const ClusterConfig& config, const NodeStatus& status) : config_(&config), status_(&status) {}

  // Writes the next packet into `buffer` (at least packet_bytes). False: the stream is over and
  // nothing was written; the last packet was End.
  bool next(std::span<std::byte> buffer, std::size_t& length);

 private:
  enum class Stage : std::uint8_t { cluster, nodes, adapters, groups, problems, keys, quorum, end, over };

  const ClusterConfig* config_;
  const NodeStatus* status_;
  Stage stage_ = Stage::cluster;
  std::size_t index_ = 0;
};

// The answer to request::GetNames: a NameItem for the cluster, each node, group and network, End.
class NamesStream {
 public:
  explicit NamesStream(const ClusterConfig& config) : config_(&config) {}
  bool next(std::span<std::byte> buffer, std::size_t& length);

 private:
  const ClusterConfig* config_;
  std::size_t index_ = 0;
};

// One journal entry with its names looked up.
reply::Journal journal_reply(const ClusterConfig& config, const JournalEntry& entry);

// Whether an entry belongs to an answer that asked for `group` (no_index: everything).
bool journal_matches(const JournalEntry& entry, GroupIndex group, std::int64_t since_wall_ns);

}  // namespace vigil::control
