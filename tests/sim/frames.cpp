// What travels between the shells, and the wire's rule of belief: a receiver believes nobody but the
// newest life of a peer that it has heard of in its own life.
#include "tests/sim/world.hpp"

namespace vigil::sim {

// Copies of a frame set out for one ear; a damaged one ends at the receiver's authentication.
template <typename Frame>
void World::spread(Pool<Frame>& pool, std::uint32_t slot, What what, const Host& host, LinkIndex link, Network::Ear ear,
                   std::size_t bytes, SimTime leaves) {
  const Arrivals arrivals = network_.send(random_, host.id, link, ear, bytes);
  for (std::size_t i = 0; i < arrivals.count; ++i) {
    if (arrivals.damaged[i]) {
      if (!codec_.refuses(host.id, pool[slot], random_.next()))
        checker_.fail(Invariant::wire, now_, "a damaged frame passed authentication");
      continue;
    }
    pool.share(slot);
    agenda_.push({leaves + arrivals.delay[i], 0, slot, 0, what, ear.node, host.id, ear.link});
  }
}

// Some frames travel as bytes.
template <typename Frame>
void World::encode_now_and_then(const Host& host, Frame& frame) {
  if (codec_.takes_this_one(host.release) && !codec_.carry(host.id, frame, host.release))
    checker_.fail(Invariant::wire, now_, "a frame did not come out of the codec as it went in");
}

void World::send_heartbeat(Host& host, const effect::SendHeartbeat& send) {
  if (send.heartbeat.leaving) soundness_.node[host.id] = sim_never;
  const std::uint32_t slot = heartbeats_.take();
  HeartbeatFrame& frame = heartbeats_[slot];
  frame.heartbeat = send.heartbeat;
  frame.heartbeat.link = send.link;
  frame.heartbeat.sent_ns = machines_[host.id].clock.at(now_).ns;
  frame.start = host.start;
  for (const RenewalAck& ack : frame.heartbeat.acks)
    checker_.acknowledging(now_, host.id, ack.holder, host.newest_incarnation[ack.holder], ack.sent_ns);
  if (scenario_.rotates) frame.key = sealing_key(host);
  encode_now_and_then(host, frame);
  const bool measured = network_.lengths_matter() || scenario_.trial;
  const std::size_t bytes = measured ? Codec::bytes_of(frame.heartbeat) : 0;
  frame.load = {1, bytes};
  const SimTime leaves = send_off(host, frame.load);
  for (const Network::Ear ear : network_.ears(host.id, send.link))
    spread(heartbeats_, slot, What::heartbeat, host, send.link, ear, bytes, leaves);
  heartbeats_.drop(slot);
}

void World::send_ack(Host& host, const effect::SendAck& send) {
  const std::uint32_t slot = acks_.take();
  acks_[slot] = {send.ack, host.incarnation, host.start, {}, scenario_.rotates ? sealing_key(host) : SimKey{}};
  encode_now_and_then(host, acks_[slot]);
  const bool measured = network_.lengths_matter() || scenario_.trial;
  const std::size_t bytes = measured ? Codec::bytes_of(acks_[slot].ack) : 0;
  acks_[slot].load = {1, bytes};
  const SimTime leaves = send_off(host, acks_[slot].load);
  for (const Network::Ear ear : network_.ears(host.id, send.by))
    if (ear.node == send.to) spread(acks_, slot, What::ack, host, send.by, ear, bytes, leaves);
  acks_.drop(slot);
}

// On every link that works, serial lines only where nothing else is left; to itself, at once.
void World::send_message(Host& host, const effect::SendMessage& send) {
  if (ambush_ != Ambush::none && ambushed_at(host, send.message)) return;
  checker_.sending(now_, host.id, send.message);
  trace_.message(now_, host.id, send.to, send.message);
  const std::uint32_t slot = messages_.take();
  MessageFrame& frame = messages_[slot];
  frame.message = send.message;
  frame.incarnation = host.incarnation;
  frame.start = host.start;
  frame.number = ++host.next_number;
  if (scenario_.rotates) frame.key = sealing_key(host);
  if (send.to == host.id) {
    agenda_.push({now_ + 1, 0, slot, 0, What::message, host.id, host.id, 0});
    return;
  }
  encode_now_and_then(host, frame);
  const std::size_t bytes = network_.lengths_matter() ? Codec::bytes_of(frame.message) : 0;
  if (scenario_.trial) {
    frame.load = Codec::load_of(frame.message);
    ++trial_.messages;
  }
  const NodeConfig& config = scenario_.config.nodes[host.id];
  bool fast_path = false;
  for (std::size_t l = 0; l < config.links.size(); ++l)
    fast_path = fast_path || (!network_.is_serial(host.id, static_cast<LinkIndex>(l)) &&
                              network_.link_usable(host.id, static_cast<LinkIndex>(l)));
  for (std::size_t l = 0; l < config.links.size(); ++l) {
    const auto link = static_cast<LinkIndex>(l);
    if (fast_path == network_.is_serial(host.id, link)) continue;
    const SimTime leaves = send_off(host, frame.load);
    for (const Network::Ear ear : network_.ears(host.id, link))
      if (ear.node == send.to) spread(messages_, slot, What::message, host, link, ear, bytes, leaves);
  }
  messages_.drop(slot);
}

void World::drop_frame(const Entry& entry) {
  if (entry.what == What::heartbeat) heartbeats_.drop(entry.slot);
  if (entry.what == What::ack) acks_.drop(entry.slot);
  if (entry.what == What::message) messages_.drop(entry.slot);
  if (entry.what == What::persisted) writes_.drop(entry.slot);
  if (entry.what == What::address_end) address_jobs_.drop(entry.slot);
  if (entry.what == What::agent_end) agent_jobs_.drop(entry.slot);
  if (entry.what == What::register_answer) register_uses_.drop(entry.slot);
}

void World::arrive(const Entry& entry) {
  Host& host = hosts_[entry.node];
  const bool deaf = entry.from != entry.node && !network_.link_usable(entry.node, entry.link);
  if (!host.core || deaf) return drop_frame(entry);
  if (scenario_.trial && entry.life == 0 && entry.from != entry.node) return take_in(host, entry);
  hand_over(host, entry);
}

// ---- what frames cost, in a trial -----------------------------------------------------------------

// One thread seals, sends, opens and decodes, one frame after another: when this load is out.
SimTime World::send_off(Host& host, const Load& load) {
  if (!scenario_.trial) return now_;
  host.sent += load;
  host.busy_until = std::max(host.busy_until, now_) + scenario_.send_frame_ns * static_cast<SimTime>(load.frames);
  return host.busy_until;
}

const Load& World::load_of(const Entry& entry) {
  if (entry.what == What::heartbeat) return heartbeats_[entry.slot].load;
  if (entry.what == What::ack) return acks_[entry.slot].load;
  return messages_[entry.slot].load;
}

// The core hears of a frame when the loop has come to it; of a message once, by whichever link it was first whole.
void World::take_in(Host& host, const Entry& entry) {
  const Load& load = load_of(entry);
  host.received += load;
  host.busy_until = std::max(host.busy_until, now_) + scenario_.receive_frame_ns * static_cast<SimTime>(load.frames);
  if (entry.what == What::message && !host.seen[entry.from].add(messages_[entry.slot].number)) return drop_frame(entry);
  Entry read = entry;
  read.at = host.busy_until;
  read.life = 1;
  agenda_.push(read);
}

// Heartbeats wake nobody: the loop looks at those that have come when it wakes for its own, and concludes from all of
// them at once.
void World::see(Host& host) {
  const std::uint32_t life = host.life;
  seen_.clear();
  seen_.swap(host.unseen);
  std::size_t next = 0;
  while (next < seen_.size() && host.life == life && !blocked(host)) {
    const Entry& entry = seen_[next++];
    if (introduced(host, entry)) hear(host, entry);
  }
  for (; next < seen_.size(); ++next)
    if (host.life == life)
      host.unseen.push_back(seen_[next]);  // it was held in the middle
    else
      drop_frame(seen_[next]);
}

void World::hear(Host& host, const Entry& entry) {
  const Event* event = nullptr;
  if (entry.what == What::heartbeat) {
    const HeartbeatFrame& frame = heartbeats_[entry.slot];
    if (readable(host, entry.from, frame.key) && believed(host, entry.from, frame.start, frame.heartbeat.incarnation)) {
      auto& received = std::get<event::HeartbeatReceived>(heartbeat_event_);
      received.from = entry.from;
      received.by = entry.link;
      received.heartbeat = frame.heartbeat;
      event = &heartbeat_event_;
    }
    heartbeats_.drop(entry.slot);
  } else {
    const AckFrame& frame = acks_[entry.slot];
    if (readable(host, entry.from, frame.key) && believed(host, entry.from, frame.start, frame.incarnation)) {
      event_ = event::AckReceived{entry.from, entry.link, frame.incarnation, frame.ack};
      event = &event_;
    }
    acks_.drop(entry.slot);
  }
  if (event == nullptr) return;
  effects_.clear();
  ++steps_;
  trace_.mix(static_cast<std::uint64_t>(now_) * 64 + host.id * std::uint64_t{8} + event->index());
  host.core->hear(machines_[host.id].clock.at(now_), *event, effects_);
  carry_out(host);
}

// A new life of a peer answers a challenge before it is believed, and tells its wall clock in that. False: there is
// nobody any more to hear the frame, or not now.
bool World::introduced(Host& host, const Entry& entry) {
  if (!scenario_.tells_time) return true;
  const bool beat = entry.what == What::heartbeat;
  const SimKey key = beat                          ? heartbeats_[entry.slot].key
                     : entry.what == What::message ? messages_[entry.slot].key
                                                   : acks_[entry.slot].key;
  const std::uint32_t start = beat                          ? heartbeats_[entry.slot].start
                              : entry.what == What::message ? messages_[entry.slot].start
                                                            : acks_[entry.slot].start;
  if (start <= host.newest_start[entry.from] || !readable(host, entry.from, key)) return true;
  host.newest_start[entry.from] = start;
  const std::uint32_t life = host.life;
  Entry clock = entry;
  clock.slot = entry.from;
  hear_clock(clock);
  if (host.life != life) {
    drop_frame(entry);
    return false;
  }
  if (!blocked(host)) return true;
  host.inbox.push_back(entry);
  return false;
}

// To the daemon's loop; to its socket buffers while it is frozen, or its machine stands.
void World::hand_over(Host& host, const Entry& entry) {
  constexpr std::size_t socket_buffer_frames = 400;
  const bool from_wire = entry.what == What::heartbeat || entry.what == What::ack || entry.what == What::message;
  if (blocked(host)) {
    if (from_wire && host.inbox.size() - host.inbox_next >= socket_buffer_frames) return drop_frame(entry);
    host.inbox.push_back(entry);
    return;
  }
  if (entry.what == What::heartbeat || entry.what == What::ack) {
    host.unseen.push_back(entry);
    return;
  }
  if (entry.what == What::message && entry.from != host.id && !introduced(host, entry)) return;
  switch (entry.what) {
    case What::message: {
      const MessageFrame& frame = messages_[entry.slot];
      const bool own = entry.from == host.id;
      bool believe = own ? frame.start == host.start
                         : readable(host, entry.from, frame.key) && believed(host, entry.from, frame.start, frame.incarnation);
      if (believe && heard_of_key(host, entry.from, frame.incarnation, frame.message)) believe = false;
      if (believe) {
        checker_.receiving(host.id, frame.message);
        coverage_.message(frame.message, host.phases);
        event_.emplace<event::MessageReceived>(event::MessageReceived{entry.from, frame.incarnation, frame.message});
      }
      messages_.drop(entry.slot);
      if (believe) step(host, event_);
      return;
    }
    default:
      return tell(host, entry);
  }
}

// What the kernel, the disk and the agent report to the loop.
void World::tell(Host& host, const Entry& entry) {
  switch (entry.what) {
    case What::persisted: {
      const PendingWrite& write = writes_[entry.slot];
      const std::uint64_t token = write.token;
      const bool ok = write.ok;
      writes_.drop(entry.slot);
      return write_done(host, token, ok);
    }
    case What::address_end: {
      const AddressJob job = address_jobs_[entry.slot];
      address_jobs_.drop(entry.slot);
      return step(host,
                  event_ = event::AddressDone{job.group, job.address, job.add, job.ok, Duration{now_ - job.began}});
    }
    case What::agent_end: {
      const AgentJob job = agent_jobs_[entry.slot];
      agent_jobs_.drop(entry.slot);
      const int status = job.outcome == event::AgentOutcome::ok ? 0 : 1;
      return step(host, event_ = event::AgentDone{job.work.request, job.outcome, status, Duration{now_ - job.began}});
    }
    case What::keys_stored:
      return keys_told(host);
    case What::register_answer: {
      const RegisterUse job = register_uses_[entry.slot];
      register_uses_.drop(entry.slot);
      if (!host.register_asked || job.number != host.register_uses) return;  // given up meanwhile
      host.register_asked = false;
      const bool ok = job.used && job.reachable && job.in_time;
      checker_.tie_breaker_read(host.id, ok, job.asked.ns, job.held);
      coverage_.tie_breaker_used(job.use, ok, job.held, host.core->committed().view);
      trace_.line(now_, host.id, "hears of the tie-breaker: %s %llu.%d", ok ? "held for" : "failed",
                  static_cast<unsigned long long>(job.held.counter), job.held.proposer + 1);
      return step(host, event_ = event::TieBreakerDone{job.use.request, ok, ok ? job.held : Epoch{}});
    }
    case What::monitor:
      return step(host, event_ = event::ApplicationFailed{entry.link, entry.slot});
    case What::cleaned:
      return step(host, event_ = event::Cleaned{!host.outcast});
    case What::agent_down:
      return step(host, event_ = event::AgentState{false});
    case What::agent_up:
      return step(host, event_ = event::AgentState{true});
    case What::adapter_changed:
      return step(host, event_ = event::AdapterChanged{entry.link, entry.slot != 0});
    case What::address_lost:
      return step(host, event_ = event::AddressLost{entry.link, static_cast<std::uint8_t>(entry.slot)});
    case What::address_conflict:
      return step(host, event_ = event::AddressConflict{entry.link, static_cast<std::uint8_t>(entry.slot)});
    default:
      VIGIL_ASSERT(false && "not for a daemon's loop");
  }
}

bool World::believed(Host& host, NodeId from, std::uint32_t start, Incarnation incarnation) {
  if (start < host.newest_start[from]) return false;
  host.newest_start[from] = start;
  host.newest_incarnation[from] = incarnation;
  return true;
}

}  // namespace vigil::sim
