// What a node knows of its peers from their newest heartbeats, in one table that the parts of the core
// read. NodeCore fills it.
#pragma once

#include <array>

#include "runtime/base/message.hpp"

namespace vigil {

struct Peer {
  bool known = false;       // a heartbeat of the current incarnation was received
  bool heard = false;       // not silent for its detection time
  bool suspected = false;
  Instant last_sign;
  Instant heard_since;      // both directions without interruption; never(): not now
  Heartbeat latest;         // newest by the peer's clock
};

struct PeerTable {
  NodeId self = no_node;
  Instant now;
  NodeSet self_heard;       // whom we hear
  NodeSet clock_apart;      // whose wall clock is too far off, ours included: not to be admitted
  NodeSet behind;           // members that are heard and do not get the records: messages do not reach them
  NodeSet held_out;         // who came and went too often: not to be admitted while a quorum can do without
  std::array<Peer, limits::max_nodes> peers{};

  // a hears b, by a's own word (ours for ourselves).
  bool hears(NodeId a, NodeId b) const {
    if (a == b) return true;
    return a == self ? self_heard.has(b) : peers[a].latest.heard.has(b);
  }
  bool connected(NodeId a, NodeId b) const {
    return hears(a, b) && hears(b, a) && !behind.has(a) && !behind.has(b);
  }
};

}  // namespace vigil
