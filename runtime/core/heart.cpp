// Heartbeats out and in, their acknowledgements, and the lease that follows from them. See node_parts.hpp.
#include "runtime/core/node_parts.hpp"

namespace vigil {

namespace {

// One renewal comes by every path; two answers by different links are enough for a lease.
constexpr unsigned answers_per_renewal = 2;
// Each link's round trip is measured at least this often.
constexpr std::int64_t round_trip_intervals = 32;

// Did a peer say something that membership must look at?
bool matters(const Heartbeat& before, const Heartbeat& after) {
  return before.committed != after.committed || before.quorate != after.quorate || before.ready != after.ready ||
         before.leaving != after.leaving || before.clean != after.clean || before.incarnation != after.incarnation ||
         before.config_hash != after.config_hash || before.heard != after.heard ||
         before.networks_up != after.networks_up || before.heard_links != after.heard_links;
}

}  // namespace

void NodeCore::Parts::on_heartbeat(Instant now, const event::HeartbeatReceived& received) {
  const NodeId from = received.from;
  const Heartbeat& heartbeat = received.heartbeat;
  if (from >= config.nodes.size() || from == self || received.by >= config.nodes[self].links.size()) return;
  if (heartbeat.link >= config.nodes[from].links.size() || !heartbeat.incarnation.known()) return;
  Peer& peer = table.peers[from];
  if (peer.known && peer.latest.incarnation != heartbeat.incarnation) {
    detector.forget(from);
    peer = Peer{};
    peer.heard_since = Instant::never();
    answered[from] = Answered{};
    membership_due = true;
  }
  detector.on_heartbeat(now, from, received.by, heartbeat);
  const bool news = !peer.known || matters(peer.latest, heartbeat);
  // Links differ in delay: an older heartbeat must not undo a newer one's word.
  if (!peer.known || heartbeat.sent_ns >= peer.latest.sent_ns) peer.latest = heartbeat;
  membership_due = membership_due || news || !peer.known;
  peer.known = true;
  if (heartbeat.config_hash != config.hash && !mismatch_told.has(from)) {
    mismatch_told.add(from);
    note(JournalKind::observed, EventName::config_mismatch, from,
         "its configuration differs from ours: it is not admitted until both files are the same");
    run_hooks(EventName::config_mismatch, from, no_index, no_index);
  } else if (heartbeat.config_hash == config.hash) {
    mismatch_told.remove(from);
  }
  if (!answer_due(now, from, received.by, heartbeat)) return;
  HeartbeatAck ack;
  ack.link = heartbeat.link;
  ack.sent_ns = heartbeat.sent_ns;
  ack.epoch = membership.committed().view.epoch;
  const bool counted = heartbeat.wants_lease && membership.member() && membership.voter().ready(now) &&
                       membership.committed().view.holds(from, heartbeat.incarnation);
  if (counted)
    ack.lease_acknowledged =
        membership.voter().leases().acknowledge(now, from, Duration::from_us(heartbeat.lease_us));
  scratch.push(effect::SendAck{from, received.by, ack});
}

// All links of a node beat in one rhythm, so that copies of one renewal carry one send time. An answer by a
// link that the peer does not hear is not counted as given.
bool NodeCore::Parts::answer_due(Instant now, NodeId from, LinkIndex by, const Heartbeat& heartbeat) {
  Answered& given = answered[from];
  if (heartbeat.sent_ns != given.sent_ns) {
    const bool newer = heartbeat.sent_ns > given.sent_ns;
    given.times = newer ? 0 : answers_per_renewal;  // an old copy was overtaken
    if (newer) given.sent_ns = heartbeat.sent_ns;
  }
  const bool is_heard = (heartbeat.heard_links[self] >> by & 1) != 0;
  const bool measure = now - given.on_link[by] >= config.timing.interval * round_trip_intervals;
  const bool renews = heartbeat.wants_lease && given.times < answers_per_renewal;
  if (!renews && !measure) return false;
  if (is_heard && renews) ++given.times;
  given.on_link[by] = now;
  return true;
}

void NodeCore::Parts::on_ack(Instant now, const event::AckReceived& received) {
  const NodeId from = received.from;
  if (from >= config.nodes.size() || from == self) return;
  const Peer& peer = table.peers[from];
  if (!peer.known || peer.latest.incarnation != received.incarnation) return;
  detector.on_ack(now, from, received.by, received.ack);
  if (!received.ack.lease_acknowledged) return;
  if (!membership.committed().view.holds(from, received.incarnation)) return;
  membership.lease().on_acknowledged(now, from, received.ack.epoch, Instant{received.ack.sent_ns});
  renewal_due = true;
}

void NodeCore::Parts::refresh_table(Instant now) {
  const NodeSet before = table.self_heard;
  table.self_heard = detector.heard_nodes();
  if (table.self_heard != before) membership_due = true;
  for (const NodeId node : detector.take_changed()) {
    Peer& peer = table.peers[node];
    peer.heard = peer.known && detector.heard(node);
    peer.suspected = detector.suspected(node);
    peer.last_sign = detector.last_sign(node);
    if (!peer.heard || !peer.latest.heard.has(self))
      peer.heard_since = Instant::never();
    else if (peer.heard_since.is_never())
      peer.heard_since = now;
  }
}

Heartbeat NodeCore::Parts::compose_heartbeat(Instant now, LinkIndex link) {
  Heartbeat heartbeat;
  heartbeat.link = link;
  heartbeat.link_sequence = ++beats[link].sequence;
  heartbeat.sent_ns = now.ns;
  heartbeat.committed = membership.committed().stamp;
  heartbeat.quorate = membership.member() && lease_good(now);
  heartbeat.ready = membership.voter().ready(now) && !stop_wanted;
  heartbeat.clean = membership.voter().clean();
  heartbeat.wants_lease = membership.member() && config.nodes[self].links[link].carries_lease;
  heartbeat.leaving = goodbye;
  heartbeat.late = detector.late_recently(now);
  heartbeat.incarnation = incarnation;
  heartbeat.config_hash = config.hash;
  heartbeat.heard = table.self_heard;
  heartbeat.networks_up = adapters.networks_up();
  const std::int64_t lateness_ms = detector.worst_lateness().ns / 1'000'000;
  heartbeat.lateness_ms = static_cast<std::uint16_t>(lateness_ms > 65'535 ? 65'535 : lateness_ms);
  heartbeat.lease_us = static_cast<std::uint32_t>(config.timing.lease.us());
  for (std::size_t i = 0; i < config.nodes.size(); ++i)
    if (i != self) heartbeat.heard_links[i] = detector.links_heard(static_cast<NodeId>(i));
  return heartbeat;
}

void NodeCore::Parts::send_heartbeats(Instant now) {
  bool ticked = false;
  for (std::size_t i = 0; i < config.nodes[self].links.size(); ++i) {
    const auto link = static_cast<LinkIndex>(i);
    Beat& beat = beats[i];
    if (now < beat.next) continue;
    ticked = true;
    const Duration interval = detector.link_interval(link);
    // Keep the rhythm; after a stall send one, not all that were missed.
    beat.next = beat.next + interval;
    if (beat.next <= now) beat.next = now + interval;
    scratch.push(effect::SendHeartbeat{link, compose_heartbeat(now, link)});
    if (membership.member() && config.nodes[self].links[i].carries_lease) {
      membership.lease().on_sent(now);
      renewal_due = true;
    }
  }
  if (ticked) membership_due = true;
}

// Hands a renewed lease to the gates, and tells when it ran out.
void NodeCore::Parts::follow_lease(Instant now) {
  LeaseHolder& lease = membership.lease();
  if (renewal_due && membership.member() && !membership.expelled()) {
    renewal_due = false;
    lease.recompute(membership.committed().view);
  }
  if (lease.until() > lease_told) {
    lease_told = lease.until();
    scratch.push(effect::RenewLease{lease.until(), membership.committed().view.epoch});
  }
  if (lease_good(now)) {
    ever_quorate = true;
    if (lease_lost_since.is_never()) return;
    const Duration gap = now - lease_lost_since;
    lease_lost_since = Instant::never();
    if (quorum_lost_told) {
      note(JournalKind::observed, EventName::quorum_regained, self, "quorum again", gap);
      run_hooks(EventName::quorum_regained, self, no_index, no_index);
    } else {
      ++lease_gaps;
      note(JournalKind::observed, EventName::lease_gap, self, "lease ran out for a moment: addresses were silent", gap);
    }
    quorum_lost_told = false;
    return;
  }
  if (!ever_quorate) return;
  if (lease_lost_since.is_never()) lease_lost_since = now;
  if (quorum_lost_told || now - lease_lost_since < config.timing.quorum_grace()) return;
  quorum_lost_told = true;
  note(JournalKind::observed, EventName::quorum_lost, self, "no quorum: stops serving");
  run_hooks(EventName::quorum_lost, self, no_index, no_index);
}

}  // namespace vigil
