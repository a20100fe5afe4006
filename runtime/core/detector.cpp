#include "runtime/core/detector.hpp"

#include "runtime/base/seeded_bugs.hpp"

namespace vigil {

namespace {

// Ten bit times a byte (8N1), framing and escapes at worst a tenth more, and half the line left free
// for protocol messages.
constexpr std::int64_t serial_bits_per_byte = 11;
constexpr std::int64_t serial_share = 2;

constexpr Duration flap_memory = Duration::from_s(60);
constexpr std::uint32_t flaps_to_notice = 3;

}  // namespace

Duration interval_of_link(const ClusterConfig& config, const NodeConfig& node, LinkIndex link) {
  const LinkConfig& entry = node.links[link];
  if (entry.kind != LinkKind::serial) return config.timing.interval;
  const std::uint32_t baud = node.adapters[entry.adapter].baud;
  if (baud == 0) return config.timing.interval;
  const auto bits = static_cast<std::int64_t>(limits::frame_bytes) * serial_bits_per_byte * serial_share;
  // Whole intervals: it beats along with the other links, and wakes nobody by itself.
  const std::int64_t intervals = bits * 1'000'000'000 / baud / config.timing.interval.ns + 1;
  return config.timing.interval * intervals;
}

Detector::Detector(const ClusterConfig& config, NodeId self) : config_(config), self_(self) {
  paths_.resize(config.nodes.size() * limits::max_links * limits::max_links);
  const NodeConfig& own = config.nodes[self];
  for (std::size_t i = 0; i < own.links.size(); ++i) {
    const auto link = static_cast<LinkIndex>(i);
    link_interval_[i] = interval_of_link(config, own, link);
    // A line too slow to carry a lease is evidence of life and no more: a node that is left with such lines
    // serves nothing, so waiting for them would only delay the takeover.
    node_detection_[i] = config.timing.detection;
    if (own.links[i].carries_lease) node_detection_[i] = longer(node_detection_[i], link_interval_[i] * 3);
    path_detection_[i] = longer(config.timing.path_detection(), link_interval_[i] * 3);
  }
}

PathStats& Detector::path_of(NodeId node, LinkIndex by, LinkIndex link) {
  VIGIL_ASSERT(node < config_.nodes.size());
  VIGIL_ASSERT(by < limits::max_links);
  VIGIL_ASSERT(link < limits::max_links);
  return paths_[(node * limits::max_links + by) * limits::max_links + link];
}

const PathStats& Detector::path(NodeId node, LinkIndex by, LinkIndex link) const {
  return const_cast<Detector*>(this)->path_of(node, by, link);
}

void Detector::account(PathStats& path, Instant arrived, const Heartbeat& heartbeat) {
  ++path.received;
  if (path.received > 1) {
    const auto ahead = static_cast<std::int32_t>(heartbeat.link_sequence - path.last_sequence);
    if (ahead == 0) {
      ++path.duplicated;
      return;
    }
    if (ahead < 0) {
      ++path.reordered;
      if (path.lost > 0) --path.lost;
      return;
    }
    path.lost += static_cast<std::uint64_t>(ahead) - 1;
    const std::int64_t transit = arrived.ns - heartbeat.sent_ns;
    std::int64_t difference = transit - path.last_transit_ns;
    if (difference < 0) difference = -difference;
    path.jitter_ns += (difference - path.jitter_ns) / 16;
  }
  path.last_sequence = heartbeat.link_sequence;
  path.last_sent_ns = heartbeat.sent_ns;
  path.last_transit_ns = arrived.ns - heartbeat.sent_ns;
}

void Detector::on_heartbeat(Instant now, NodeId from, LinkIndex by, const Heartbeat& heartbeat, Instant arrived) {
  if (heartbeat.link >= limits::max_links || by >= limits::max_links) return;
  PathStats& path = path_of(from, by, heartbeat.link);
  account(path, arrived, heartbeat);
  if (!path.hearing) ++version_;
  path.ever = true;
  path.hearing = true;
  path.last_heard = now;
  path.last_frame = now;
  follow_outgoing(from, heartbeat.heard_links[self_]);
  peers_[from].ever = true;
  show_life(now, from, now + node_detection_[by]);
}

// Alive; suspected at this moment, unless it is heard before or was granted more.
void Detector::show_life(Instant now, NodeId from, Instant deadline) {
  Peer& peer = peers_[from];
  peer.heard = true;
  peer.suspected = false;
  peer.last_sign = now;
  peer.credit = {};
  peer.late = {};
  peer.deadline = peer.deadline.is_never() ? deadline : later(peer.deadline, deadline);
  next_suspicion_ = earlier(next_suspicion_, peer.deadline);
  heard_.add(from);
  changed_.add(from);
}

// What the peer hears of my links holds for every path by that link.
void Detector::follow_outgoing(NodeId from, std::uint8_t outgoing) {
  if (peers_[from].outgoing == outgoing) return;
  peers_[from].outgoing = outgoing;
  for (std::size_t own = 0; own < config_.nodes[self_].links.size(); ++own)
    for (std::size_t link = 0; link < config_.nodes[from].links.size(); ++link)
      path_of(from, static_cast<LinkIndex>(own), static_cast<LinkIndex>(link)).outgoing = (outgoing >> own & 1) != 0;
}

void Detector::on_ack(Instant now, NodeId from, LinkIndex by, const HeartbeatAck& ack, Instant arrived) {
  on_sign_of_life(now, from);
  if (by >= limits::max_links) return;
  const std::int64_t round_trip = arrived.ns - ack.sent_ns - static_cast<std::int64_t>(ack.held_us) * 1'000;
  if (round_trip < 0) return;
  for (std::size_t link = 0; link < limits::max_links; ++link) {
    PathStats& path = path_of(from, by, static_cast<LinkIndex>(link));
    if (!path.hearing) continue;
    path.round_trip_ns =
        path.round_trip_ns == 0 ? round_trip : path.round_trip_ns + (round_trip - path.round_trip_ns) / 8;
  }
}

void Detector::on_sign_of_life(Instant now, NodeId from) {
  if (!peers_[from].ever) return;  // only a heartbeat makes a node known
  show_life(now, from, now + config_.timing.detection);
}

void Detector::forget(NodeId node) {
  peers_[node] = Peer{};
  heard_.remove(node);
  changed_.add(node);
  for (std::size_t by = 0; by < limits::max_links; ++by)
    for (std::size_t link = 0; link < limits::max_links; ++link) {
      PathStats& path = path_of(node, static_cast<LinkIndex>(by), static_cast<LinkIndex>(link));
      path.hearing = false;
      path.outgoing = false;
      path.received = 0;  // its sequence starts anew; the sums of loss stay for people
      path.flaps = 0;
    }
}

void Detector::on_late(Instant now, Duration lateness) {
  ++late_count_;
  worst_lateness_ = longer(worst_lateness_, lateness);
  if (seeded_bug(Bug::late_accuser_not_held_back)) return;
  if (lateness >= config_.timing.lateness_notable()) late_until_ = now + config_.timing.detection;
  // As if the stall had not been, but never more than a whole detection time from now, and within the cap.
  for (Peer& peer : peers_) {
    if (peer.heard) peer.late = peer.late + lateness;
    if (!peer.heard || peer.deadline.is_never()) continue;
    const Instant from = later(peer.deadline, now);
    const Instant until = earlier(peer.deadline + lateness, now + config_.timing.detection);
    const Duration granted = shorter(until - from, config_.timing.lateness_cap() - peer.credit);
    if (granted.ns <= 0) continue;
    peer.deadline = from + granted;
    peer.credit = peer.credit + granted;
  }
  // Paths get the same indulgence: our deafness is not the adapter's.
  for (PathStats& path : paths_)
    if (path.hearing) path.last_heard = earlier(now, path.last_heard + lateness);
}

void Detector::advance_peer(Instant now, NodeId node) {
  Peer& peer = peers_[node];
  if (!peer.heard || now < peer.deadline) return;
  peer.heard = false;
  peer.suspected = true;
  peer.suspected_since = now;
  peer.deadline = Instant::never();
  heard_.remove(node);
  changed_.add(node);
}

void Detector::advance_paths(Instant now, NodeId node) {
  for (std::size_t by = 0; by < config_.nodes[self_].links.size(); ++by)
    for (std::size_t link = 0; link < config_.nodes[node].links.size(); ++link) {
      PathStats& path = path_of(node, static_cast<LinkIndex>(by), static_cast<LinkIndex>(link));
      if (!path.hearing || now < path.last_heard + path_detection_[by]) continue;
      path.hearing = false;
      ++version_;
      // The silence of a node that is silent everywhere is not its links'.
      if (now - peers_[node].last_sign > config_.timing.interval * 3) continue;
      if (path.flaps > 0 && now - path.last_flap > flap_memory) path.flaps = 0;
      ++path.flaps;
      path.last_flap = now;
    }
}

// Most steps are heartbeats of one peer, and nobody's deadline is near: looking at all of them then would cost each
// interval the square of their number.
void Detector::advance(Instant now) {
  if (now < earlier(next_suspicion_, next_scan_)) return;
  next_suspicion_ = Instant::never();
  for (std::size_t i = 0; i < config_.nodes.size(); ++i) {
    const auto node = static_cast<NodeId>(i);
    if (node == self_) continue;
    advance_peer(now, node);
    if (peers_[node].heard) next_suspicion_ = earlier(next_suspicion_, peers_[node].deadline);
  }
  if (now < next_scan_) return;
  next_scan_ = now + config_.timing.interval;
  for (std::size_t node = 0; node < config_.nodes.size(); ++node)
    if (node != self_) advance_paths(now, static_cast<NodeId>(node));
}

// Paths are scanned by the way, with every heartbeat that is due.
Instant Detector::next_deadline() const { return next_suspicion_; }

std::uint8_t Detector::links_heard(NodeId node) const {
  std::uint8_t bits = 0;
  for (std::size_t by = 0; by < config_.nodes[self_].links.size(); ++by)
    for (std::size_t link = 0; link < config_.nodes[node].links.size(); ++link)
      if (path(node, static_cast<LinkIndex>(by), static_cast<LinkIndex>(link)).hearing)
        bits = static_cast<std::uint8_t>(bits | 1u << link);
  return bits;
}

LinkState Detector::state_of(const PathStats& path, Instant now) const {
  if (!path.ever) return path.outgoing ? LinkState::one_way_out : LinkState::unknown;
  if (path.flaps >= flaps_to_notice && now - path.last_flap < flap_memory) return LinkState::flapping;
  if (path.hearing) return path.outgoing ? LinkState::up : LinkState::one_way_in;
  return path.outgoing ? LinkState::one_way_out : LinkState::down;
}

void Detector::describe(Instant now, NodeId node, PeerStatus& status) const {
  status.heard = heard(node);
  status.suspected = suspected(node);
  for (std::size_t by = 0; by < config_.nodes[self_].links.size(); ++by)
    for (std::size_t link = 0; link < config_.nodes[node].links.size(); ++link) {
      const PathStats& stats = path(node, static_cast<LinkIndex>(by), static_cast<LinkIndex>(link));
      if (!stats.ever || status.links.full()) continue;
      status.links.push({static_cast<LinkIndex>(link), static_cast<LinkIndex>(by), state_of(stats, now),
                         now - stats.last_heard, stats.received, stats.lost, stats.duplicated, stats.reordered,
                         static_cast<std::uint32_t>(stats.jitter_ns / 1'000),
                         static_cast<std::uint32_t>(stats.round_trip_ns / 1'000), stats.flaps});
    }
}

}  // namespace vigil
