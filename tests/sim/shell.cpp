// A daemon's loop around its core, as the real shell keeps it: events in, effects out in order, writes
// that hold later effects back, freezes between any two effects, and the shell's own account of its
// lateness.
#include "tests/sim/world.hpp"

namespace vigil::sim {

void World::step(Host& host, const Event& event) {
  effects_.clear();
  ++steps_;
  trace_.mix(static_cast<std::uint64_t>(now_) * 64 + host.id * std::uint64_t{8} + event.index());
  host.core->step(machines_[host.id].clock.at(now_), event, effects_);
  observe(host);
  carry_out(host);
  if (!host.core) return;
  observe_promise(host);
  arm(host);
}

// Tells the checker what the core now holds, where that has changed.
void World::observe(Host& host) {
  const Record& accepted = host.core->accepted();
  if (accepted.stamp != host.accepted) {
    host.accepted = accepted.stamp;
    checker_.accepted(now_, host.id, accepted);
  }
  const Record& committed = host.core->committed();
  if (committed.stamp != host.committed) {
    host.committed = committed.stamp;
    trace_.mix(committed.stamp.epoch.counter * 64 + committed.stamp.version);
    if (trace_.wanted())
      trace_.line(now_, host.id, "holds committed %s", describe(committed, scenario_.config.groups.size()).c_str());
    checker_.committed(now_, host.id, committed);
  }
}

// A vote binds from the moment when everything said before it is out.
void World::observe_promise(Host& host) {
  if (!host.core || host.outbox_next < host.outbox.size() || host.core->promised() == host.promised) return;
  host.promised = host.core->promised();
  checker_.promised(now_, host.id, host.promised);
}

// One timer entry is enough while it is not later than the core's deadline; it looks again when it fires.
void World::arm(Host& host) {
  const SimTime due = machines_[host.id].clock.when(host.core->next_deadline(), now_);
  if (due >= host.armed_at) return;
  host.armed_at = due;
  // The wake-up itself takes a little.
  at(due + static_cast<SimTime>(random_.below(20'000)), What::timer, host.id);
}

void World::timer(Host& host) {
  host.armed_at = sim_never;
  if (!host.core || host.paused) return;  // resume() looks at the deadline itself
  const Instant now = machines_[host.id].clock.at(now_);
  if (host.core->next_deadline() <= now) return step(host, event_ = event::Tick{});
  arm(host);
}

// ---- effects --------------------------------------------------------------------------------------

// Carries out what the step asked for, behind whatever still waits from before. The core may end on the
// way: StartAfresh and Left stop everything after them.
void World::carry_out(Host& host) {
  const bool behind = host.outbox_next < host.outbox.size() || blocked(host);
  std::size_t next = 0;
  std::vector<Effect>& items = effects_.items();
  const std::uint32_t life = host.life;
  while (!behind && next < items.size() && !blocked(host)) {
    carry_out_one(host, items[next++]);
    if (host.life != life) return;
    if (host.pause_after_effects >= 0 && host.pause_after_effects-- == 0) pause(host, host.pause_length);
  }
  for (; next < items.size(); ++next) host.outbox.push_back(items[next]);
}

void World::drain(Host& host) {
  const std::uint32_t life = host.life;
  while (host.outbox_next < host.outbox.size() && !blocked(host)) {
    const Effect effect = host.outbox[host.outbox_next++];
    carry_out_one(host, effect);
    if (host.life != life) return;
  }
  if (host.outbox_next < host.outbox.size()) return;
  host.outbox.clear();
  host.outbox_next = 0;
  observe_promise(host);
}

void World::carry_out_one(Host& host, const Effect& effect) {
  if (const auto* heartbeat = std::get_if<effect::SendHeartbeat>(&effect)) return send_heartbeat(host, *heartbeat);
  if (const auto* ack = std::get_if<effect::SendAck>(&effect)) return send_ack(host, *ack);
  if (const auto* message = std::get_if<effect::SendMessage>(&effect)) return send_message(host, *message);
  if (const auto* renewal = std::get_if<effect::RenewLease>(&effect)) return renew(host, *renewal);
  if (const auto* write = std::get_if<effect::Persist>(&effect)) return persist(host, *write);
  if (const auto* work = std::get_if<effect::RunAgent>(&effect)) return run_agent(host, *work);
  if (const auto* answer = std::get_if<effect::OperatorAnswer>(&effect)) return answered(host, *answer);
  if (const auto* afresh = std::get_if<effect::StartAfresh>(&effect)) return start_afresh(host, *afresh);
  if (const auto* add = std::get_if<effect::AddAddress>(&effect)) {
    AddressJob job;
    job.group = add->group;
    job.address = add->address;
    job.adapter = add->adapter;
    job.add = true;
    job.lease_until = add->lease_until;
    return begin_address(host, job);
  }
  if (const auto* remove = std::get_if<effect::RemoveAddress>(&effect)) {
    AddressJob job;
    job.group = remove->group;
    job.address = remove->address;
    job.adapter = remove->adapter;
    return begin_address(host, job);
  }
  if (std::holds_alternative<effect::Left>(effect)) {
    trace_.line(now_, host.id, "has left");
    host.left = true;
    settle_writes(host, true);
    return end_daemon(host);
  }
  trace_.journal(now_, host.id, std::get<effect::Journal>(effect).entry);
}

void World::renew(Host& host, const effect::RenewLease& renewal) {
  checker_.renewing(now_, host.id, renewal.until);
  Machine& machine = machines_[host.id];
  for (std::size_t g = 0; g < scenario_.config.groups.size(); ++g)
    for (std::size_t a = 0; a < scenario_.config.groups[g].addresses.size(); ++a) {
      AddressSlot& slot = machine.addresses[g][a];
      if (!slot.gate) continue;
      const bool served = machine.serves(g, a, now_);
      if (!machine.gate_open(g, a, now_)) checker_.opening_gate(now_, host.id, g, a, renewal.until);
      slot.lease_until = renewal.until;
      if (!served && machine.serves(g, a, now_)) checker_.serving(now_, host.id, g, a);
    }
}

// ---- the disk -------------------------------------------------------------------------------------

void World::persist(Host& host, const effect::Persist& write) {
  const std::uint32_t slot = writes_.take();
  PendingWrite& pending = writes_[slot];
  pending.token = write.token;
  pending.state = write.state;
  pending.ok = !host.mischief.write_fails;
  host.mischief.write_fails = false;
  const bool slow = now_ < host.mischief.slow_writes_until;
  const SimTime length = slow ? some_time() : about(scenario_.disk_ns);
  host.disk_free_at = std::max(host.disk_free_at, now_) + length;
  host.writes.push_back(slot);
  at(host.disk_free_at, What::persisted, host.id, slot);
}

// The write has reached the disk (or failed), whether or not anybody is awake to hear of it.
void World::persisted(const Entry& entry) {
  Host& host = hosts_[entry.node];
  if (entry.life != host.life) return writes_.drop(entry.slot);
  VIGIL_ASSERT(!host.writes.empty() && host.writes.front() == entry.slot);
  host.writes.erase(host.writes.begin());
  if (writes_[entry.slot].ok) host.stored = writes_[entry.slot].state;
  hand_over(host, entry);
}

void World::write_done(Host& host, std::uint64_t token, bool ok) {
  if (!ok) host.outcast = true;
  step(host, event_ = event::Persisted{token, ok});
}

// What happened after the last write that had completed is lost, or not: nobody can tell. With `all`,
// the daemon itself waits for its writes.
void World::settle_writes(Host& host, bool all) {
  std::size_t kept = all ? host.writes.size() : random_.below(host.writes.size() + 1);
  for (const std::uint32_t slot : host.writes) {
    if (kept == 0) break;
    --kept;
    if (writes_[slot].ok) host.stored = writes_[slot].state;
  }
  host.writes.clear();  // the agenda's entries give the slots back
}

// ---- freezes --------------------------------------------------------------------------------------

void World::pause(Host& host, SimTime length) {
  if (host.paused || !host.core) return;
  trace_.line(now_, host.id, "is frozen for %.3f ms", static_cast<double>(length) / 1e6);
  host.paused = true;
  host.pause_after_effects = -1;
  soundness_.node[host.id] = sim_never;
  const bool again = now_ - host.resume_at < scenario_.detection_ns() * 4;
  SimTime& frozen = soundness_.frozen_ns[host.id];
  frozen = (again ? frozen : 0) + length;
  host.resume_at = now_ + length;
  at(host.resume_at, What::resume, host.id);
}

void World::resume(Host& host) {
  if (!host.paused) return;
  trace_.line(now_, host.id, "thaws with %zu effects undone and %zu events waiting",
              host.outbox.size() - host.outbox_next, host.inbox.size());
  host.paused = false;
  soundness_.node[host.id] = now_;
  const std::uint32_t life = host.life;
  drain(host);
  const auto frozen_again = [&] { return host.life != life || host.paused; };
  if (frozen_again()) return;
  const Duration lateness = machines_[host.id].clock.at(now_) - host.core->next_deadline();
  if (lateness.ns > 0) step(host, event_ = event::Late{lateness});
  std::size_t next = 0;
  std::vector<Entry> waiting;
  waiting.swap(host.inbox);
  for (; next < waiting.size() && !frozen_again(); ++next) hand_over(host, waiting[next]);
  for (; next < waiting.size(); ++next) {
    if (host.life == life)
      host.inbox.push_back(waiting[next]);
    else
      drop_frame(waiting[next]);
  }
  if (host.core && !host.paused) arm(host);
}

}  // namespace vigil::sim
