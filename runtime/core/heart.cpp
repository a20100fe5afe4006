// Heartbeats out and in, the acknowledgements that ride in them, and the lease that follows. See node_parts.hpp.
#include "runtime/core/node_parts.hpp"

namespace vigil {

namespace {

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
    measured[from] = {};
    renewals.forget(from);
    membership_due = true;
  }
  const Instant arrived = received.arrived.ns > 0 ? received.arrived : now;
  detector.on_heartbeat(now, from, received.by, heartbeat, arrived);
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
  record_renewal(now, from, heartbeat);
  follow_acks(now, from, heartbeat);
  Instant& measured_at = measured[from][received.by];
  if (now - measured_at < config.timing.interval * round_trip_intervals) return;
  measured_at = now;
  const std::int64_t held_us = (now - arrived).us();
  scratch.push(effect::SendAck{
      from, received.by, {heartbeat.link, heartbeat.sent_ns, static_cast<std::uint32_t>(held_us > 0 ? held_us : 0)}});
}

// As a voter. All links of a node beat in one rhythm, so that copies of one renewal carry one send time.
void NodeCore::Parts::record_renewal(Instant now, NodeId from, const Heartbeat& heartbeat) {
  const View& view = membership.committed().view;
  if (!heartbeat.wants_lease || !membership.member() || !membership.voter().ready(now)) return;
  if (!view.holds(from, heartbeat.incarnation) || renewals.knows(from, view.epoch, heartbeat.sent_ns)) return;
  if (membership.voter().leases().acknowledge(now, from, Duration::from_us(heartbeat.lease_us)))
    renewals.note(now, from, view.epoch, heartbeat.sent_ns);
}

// As a holder.
void NodeCore::Parts::follow_acks(Instant now, NodeId from, const Heartbeat& heartbeat) {
  if (!membership.committed().view.holds(from, heartbeat.incarnation)) return;
  for (const RenewalAck& ack : heartbeat.acks) {
    if (ack.holder != self) continue;
    membership.lease().on_acknowledged(now, from, heartbeat.committed.epoch, Instant{ack.sent_ns});
    renewal_due = true;
  }
}

void NodeCore::Parts::on_ack(Instant now, const event::AckReceived& received) {
  const NodeId from = received.from;
  if (from >= config.nodes.size() || from == self) return;
  const Peer& peer = table.peers[from];
  if (!peer.known || peer.latest.incarnation != received.incarnation) return;
  detector.on_ack(now, from, received.by, received.ack, received.arrived.ns > 0 ? received.arrived : now);
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

// What the next beat answers: nobody whom this node has voted out since. A renewal older than a lease is of no use.
RenewalAcks NodeCore::Parts::acks_to_tell(Instant now, LinkIndex link) {
  RenewalAcks acks;
  if (!membership.member()) return acks;
  NodeSet owners;
  const Record& record = membership.committed();
  for (std::size_t i = 0; i < record.state.group_count; ++i)
    if (const NodeId owner = record.state.groups[i].owner; owner != no_node && owner != self) owners.add(owner);
  const NodeSet kept = membership.voter().leases().kept() - NodeSet::of(self);
  renewals.tell(link, now - config.timing.lease, record.view.epoch, kept, owners, acks);
  return acks;
}

void NodeCore::Parts::send_heartbeats(Instant now) {
  std::optional<RenewalAcks> acks;
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
    Heartbeat heartbeat = compose_heartbeat(now, link);
    if (heartbeat.wants_lease) {
      if (!acks || renewals.fills(*acks)) acks = acks_to_tell(now, link);
      heartbeat.acks = *acks;
    }
    scratch.push(effect::SendHeartbeat{link, heartbeat});
    if (membership.member() && config.nodes[self].links[i].carries_lease) {
      membership.lease().on_sent(now);
      renewal_due = true;
    }
  }
  if (!ticked) return;
  membership_due = true;
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
