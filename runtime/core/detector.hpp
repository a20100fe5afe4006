// Decides, from the heartbeats heard, which links work and which nodes are suspected.
//
// A node is suspected only when every link to it has been silent for that link's detection time; one
// silent link is a matter for AdapterHealth. The detector knows its own stalls: what the shell measures
// as lateness is credited to every peer, up to a cap, so that "I was late" accuses nobody (I6).
// It does no I/O, reads no clock, and never decides about membership.
#pragma once

#include <array>
#include <vector>

#include "runtime/base/cluster.hpp"
#include "runtime/base/message.hpp"
#include "runtime/core/status.hpp"

namespace vigil {

// One direction of one path: the peer's link `link` as heard on my link `by`.
struct PathStats {
  bool ever = false;
  bool hearing = false;            // heard within the link's detection time
  bool outgoing = false;           // the peer says that it hears my link `by`
  Instant last_heard;              // moved on by own lateness
  Instant last_frame;              // as it was
  std::int64_t last_sent_ns = 0;   // the peer's clock
  std::uint32_t last_sequence = 0;
  std::uint64_t received = 0;
  std::uint64_t lost = 0;
  std::uint64_t duplicated = 0;
  std::uint64_t reordered = 0;
  std::int64_t last_transit_ns = 0;
  std::int64_t jitter_ns = 0;      // RFC 3550 section 6.4.1
  std::int64_t round_trip_ns = 0;  // RFC 6298 weights; 0: not measured
  std::uint32_t flaps = 0;         // changes from hearing to silent
  Instant last_flap;
};

class Detector {
 public:
  Detector(const ClusterConfig& config, NodeId self);

  // `arrived`: at the interface, for jitter and round trips; silence is counted from `now`, by which it was handled.
  void on_heartbeat(Instant now, NodeId from, LinkIndex by, const Heartbeat& heartbeat, Instant arrived);
  void on_ack(Instant now, NodeId from, LinkIndex by, const HeartbeatAck& ack, Instant arrived);
  // Any other authenticated frame: a sign of life of the node, not of a particular path.
  void on_sign_of_life(Instant now, NodeId from);
  // A new incarnation: what was heard of the old one says nothing.
  void forget(NodeId node);
  // The loop woke up this late: silence during that time was ours.
  void on_late(Instant now, Duration lateness);
  // Brings suspicions and path states up to `now`.
  void advance(Instant now);
  Instant next_deadline() const;

  bool heard(NodeId node) const { return peers_[node].heard; }         // not silent for its detection time
  bool suspected(NodeId node) const { return peers_[node].suspected; } // was heard, now silent
  NodeSet heard_nodes() const { return heard_; }
  // Nodes of which anything above has changed since this was last asked.
  NodeSet take_changed() {
    const NodeSet changed = changed_;
    changed_ = NodeSet{};
    return changed;
  }
  Instant last_sign(NodeId node) const { return peers_[node].last_sign; }
  Instant suspected_since(NodeId node) const { return peers_[node].suspected_since; }
  bool late_recently(Instant now) const { return now < late_until_; }
  Duration worst_lateness() const { return worst_lateness_; }
  // All own lateness since the node's last sign of life.
  Duration late_since_sign(NodeId node) const { return peers_[node].late; }
  std::uint64_t late_count() const { return late_count_; }
  // Bit i: the node's link i is heard on any of mine.
  std::uint8_t links_heard(NodeId node) const;
  const PathStats& path(NodeId node, LinkIndex by, LinkIndex link) const;
  LinkState state_of(const PathStats& path, Instant now) const;
  // Counts the changes of `hearing` of all paths: same number, same picture.
  std::uint64_t version() const { return version_; }
  // The interval that this link can keep.
  Duration link_interval(LinkIndex by) const { return link_interval_[by]; }
  void describe(Instant now, NodeId node, PeerStatus& status) const;

 private:
  struct Peer {
    bool ever = false;
    bool heard = false;
    bool suspected = false;
    Instant last_sign;
    Instant deadline = Instant::never();  // suspicion, unless heard before
    Instant suspected_since;
    Duration credit;                      // lateness forgiven since the last sign
    Duration late;                        // lateness measured since then
    std::uint8_t outgoing = 0;            // bit i: it says that it hears my link i
  };

  PathStats& path_of(NodeId node, LinkIndex by, LinkIndex link);
  void account(PathStats& path, Instant arrived, const Heartbeat& heartbeat);
  void advance_peer(Instant now, NodeId node);
  void advance_paths(Instant now, NodeId node);
  void show_life(Instant now, NodeId from, Instant deadline);
  void follow_outgoing(NodeId from, std::uint8_t outgoing);

  const ClusterConfig& config_;
  NodeId self_;
  std::array<Peer, limits::max_nodes> peers_{};
  std::vector<PathStats> paths_;  // [node][by][link], sized once
  std::array<Duration, limits::max_links> node_detection_{};  // silence by this link, towards a suspicion
  std::array<Duration, limits::max_links> path_detection_{};  // silence of one path by this link
  std::uint64_t version_ = 0;
  std::array<Duration, limits::max_links> link_interval_{};
  Instant next_scan_;  // of all paths: many, and an interval's delay harms nobody
  NodeSet heard_;
  NodeSet changed_;
  Instant next_suspicion_ = Instant::never();  // never later than the earliest deadline, renewed with every scan
  Instant late_until_;
  Duration worst_lateness_;
  std::uint64_t late_count_ = 0;
};

// How often a link can carry a full frame: the profile's interval, or what a serial line needs, whichever is longer.
Duration interval_of_link(const ClusterConfig& config, const NodeConfig& node, LinkIndex link);

}  // namespace vigil
