// A daemon's loop around its core, as the real shell keeps it: events in, effects out in order, writes
// that hold later effects back, freezes between any two effects, and the shell's own account of its
// lateness.
#include <cstring>
#include <type_traits>

#include "tests/sim/world.hpp"

namespace vigil::sim {

void World::step(Host& host, const Event& event) {
  effects_.clear();
  ++steps_;
  trace_.mix(static_cast<std::uint64_t>(now_) * 64 + host.id * std::uint64_t{8} + event.index());
  host.core->step(machines_[host.id].clock.at(now_), event, effects_);
  observe(host);
  observe_phases(host);
  carry_out(host);
  if (!host.core) return;
  observe_promise(host);
  if (scenario_.rotates && host.core->stored_keys() != host.key.recorded) host.key.due = true;
  if (scenario_.rotates && host.key.due && !blocked(host)) {
    follow_keys(host);
    checker_.keys_changed(now_, host.id, host.key.keys, host.key.sending);
  }
  if (now_ < host.mischief.slow_steps_until) pause(host, host.mischief.slow_step);
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
    host.key.due = true;
    if (committed.view.epoch != host.view.epoch) {
      coverage_.view_changed(host.view, committed.view);
      host.view = committed.view;
    }
    if (committed.view.holds(host.id, host.incarnation)) host.forgetful = false;
    for (std::size_t g = 0; g < scenario_.config.groups.size(); ++g) {
      coverage_.group_moved(host.group_phases[g], committed.state.groups[g].phase);
      host.group_phases[g] = committed.state.groups[g].phase;
    }
    trace_.mix(committed.stamp.epoch.counter * 64 + committed.stamp.version);
    if (trace_.wanted())
      trace_.line(now_, host.id, "holds committed %s", describe(committed, scenario_.config.groups.size()).c_str());
    checker_.committed(now_, host.id, committed);
  }
}

void World::observe_phases(Host& host) {
  NodePhases now;
  host.core->phases(machines_[host.id].clock.at(now_), now);
  static_assert(std::has_unique_object_representations_v<NodePhases>);
  if (std::memcmp(&now, &host.phases, sizeof now) == 0) return;
  coverage_.stepped(host.phases, now, scenario_.nodes, scenario_.config.groups.size());
  host.phases = now;
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
  if (!host.core || blocked(host)) return;  // wake() looks at the deadline itself
  if (host.busy_until > now_) {
    host.armed_at = host.busy_until;
    return at(host.busy_until, What::timer, host.id);
  }
  const Instant now = machines_[host.id].clock.at(now_);
  if (host.core->next_deadline() > now) return arm(host);
  see(host);
  if (host.core && !blocked(host)) step(host, event_ = event::Tick{});
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
  if (const auto* use = std::get_if<effect::UseTieBreaker>(&effect)) return use_register(host, *use);
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
  const JournalEntry& entry = std::get<effect::Journal>(effect).entry;
  if (entry.view.step == ViewStep::given_up) ++trial_.given_up;
  trace_.journal(now_, host.id, entry);
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
  pending.ok = !host.mischief.write_fails && now_ >= host.mischief.full_disk_until;
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
  if (writes_[entry.slot].ok) host.disk.store(writes_[entry.slot].state);
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
    if (writes_[slot].ok) host.disk.store(writes_[slot].state);
  }
  host.writes.clear();  // the agenda's entries give the slots back
}

// The power goes: of the writes under way some are whole, the next is torn, the rest never began.
void World::lose_writes(Host& host) {
  std::size_t kept = random_.below(host.writes.size() + 1);
  for (const std::uint32_t slot : host.writes) {
    if (kept-- == 0) {
      if (writes_[slot].ok && chance(60)) host.disk.tear(writes_[slot].state, random_);
      break;
    }
    if (writes_[slot].ok) host.disk.store(writes_[slot].state);
  }
  host.writes.clear();
}

// ---- freezes --------------------------------------------------------------------------------------

void World::pause(Host& host, SimTime length) {
  if (host.paused || !host.core) return;
  trace_.line(now_, host.id, "is frozen for %.3f ms", static_cast<double>(length) / 1e6);
  host.paused = true;
  host.pause_after_effects = -1;
  stands_still(host, length);
  host.resume_at = now_ + length;
  at(host.resume_at, What::resume, host.id);
}

// For the checker: from when on, and for how long, a node did nothing.
void World::stands_still(const Host& host, SimTime length) {
  soundness_.node[host.id] = sim_never;
  const bool again = now_ - std::max(host.resume_at, host.goes_on_at) < scenario_.detection_ns() * 4;
  SimTime& frozen = soundness_.frozen_ns[host.id];
  frozen = (again ? frozen : 0) + length;
}

void World::resume(Host& host) {
  if (!host.paused) return;
  trace_.line(now_, host.id, "thaws with %zu effects undone and %zu events waiting",
              host.outbox.size() - host.outbox_next, host.inbox.size() - host.inbox_next);
  host.paused = false;
  wake(host);
}

// The loop goes on where it was held: effects first, then what has come in meanwhile.
void World::wake(Host& host) {
  if (!host.core || blocked(host)) return;
  soundness_.node[host.id] = now_;
  const std::uint32_t life = host.life;
  drain(host);
  const auto held_again = [&] { return host.life != life || blocked(host); };
  if (held_again()) return;
  const Duration lateness = machines_[host.id].clock.at(now_) - host.core->next_deadline();
  if (lateness.ns > 0) {  // noted; what waits is heard before anything is judged
    effects_.clear();
    host.core->hear(machines_[host.id].clock.at(now_), event_ = event::Late{lateness}, effects_);
    carry_out(host);
  }
  while (!held_again() && host.inbox_next < host.inbox.size()) {
    const Entry entry = host.inbox[host.inbox_next++];
    hand_over(host, entry);
  }
  if (host.life == life && host.inbox_next == host.inbox.size()) {
    host.inbox.clear();
    host.inbox_next = 0;
  }
  if (host.core && !blocked(host)) arm(host);
}

// A virtual machine stands, and every clock in it: its kernel, its disk and its scripts with it. What was to
// happen in it happens that much later; what the network brings waits for it.
void World::stop_machine(Host& host, SimTime length) {
  Machine& machine = machines_[host.id];
  if (!machine.powered || machine.stopped) return;
  trace_.line(now_, host.id, "its machine stands still for %.3f ms", static_cast<double>(length) / 1e6);
  stands_still(host, length);
  machine.clock.stop(now_);
  machine.stopped = true;
  machine.exposed_until = machine.clock.at(now_) + scenario_.config.timing.lease;
  const auto local = [&](const Entry& entry) {
    const bool frame = entry.what == What::heartbeat || entry.what == What::ack || entry.what == What::message;
    return entry.node == host.id && !frame;
  };
  agenda_.postpone(length, local);
  if (host.armed_at != sim_never) host.armed_at += length;
  const auto postpone = [&](SimTime& when) {
    if (when > now_) when += length;
  };
  postpone(host.resume_at);
  postpone(host.disk_free_at);
  for (auto& group : host.address_free_at)
    for (SimTime& free_at : group) postpone(free_at);
  for (SimTime& free_at : host.script_free_at) postpone(free_at);
  host.stands_since = now_;
  host.goes_on_at = now_ + length;
  at(host.goes_on_at, What::machine_goes_on, host.id, ++host.stops);
}

void World::machine_goes_on(const Entry& entry) {
  if (hosts_[entry.node].stops == entry.slot) let_machine_go_on(hosts_[entry.node]);
}

void World::let_machine_go_on(Host& host) {
  Machine& machine = machines_[host.id];
  if (!machine.stopped) return;
  // Some hypervisors let the clock catch up, wholly or in part.
  const SimTime stood = now_ - host.stands_since;
  const SimTime ahead = chance(50) ? 0 : static_cast<SimTime>(random_.below(static_cast<std::uint64_t>(stood) + 1));
  machine.clock.go(now_, ahead);
  machine.stopped = false;
  trace_.line(now_, host.id, "its machine goes on, its clock %.3f ms further", static_cast<double>(ahead) / 1e6);
  for (std::size_t g = 0; g < scenario_.config.groups.size(); ++g)
    for (std::size_t a = 0; a < scenario_.config.groups[g].addresses.size(); ++a)
      if (machine.serves(g, a, now_)) checker_.serving(now_, host.id, g, a);
  wake(host);
}

}  // namespace vigil::sim
