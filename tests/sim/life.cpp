// Starts and ends: machines lose everything but their disks, daemons leave gates, addresses and
// applications behind for their next start to find and clean.
#include "tests/sim/world.hpp"

namespace vigil::sim {

void World::power_on(Host& host) {
  Machine& machine = machines_[host.id];
  if (machine.powered || (host.vouched_for && !calm_)) return;
  machine.powered = true;
  machine.lose_everything();
  const std::int64_t rate = scenario_.drift_ppm == 0 ? 0
                            : random_.chance(50)     ? random_.between(-1, 1) * scenario_.drift_ppm
                                                     : random_.between(-scenario_.drift_ppm, scenario_.drift_ppm);
  // CLOCK_BOOTTIME counts from the boot.
  machine.clock.set(now_, Instant{1'000'000'000 + static_cast<std::int64_t>(random_.below(60'000'000'000))}, rate);
  host.boot_id = random_.next() | 1;
  trace_.line(now_, host.id, "boots, its clock gaining %lld ppm", static_cast<long long>(rate));
  if (host.vouched_by != no_node) start_in_hearing(host, hosts_[host.vouched_by]);
  start_daemon(host);
}

void World::start_daemon(Host& host) {
  Machine& machine = machines_[host.id];
  if (host.core || !machine.powered) return;
  if (machine.stopped) return at(host.goes_on_at + 1, What::start_daemon, host.id);
  NodeOptions options;
  if (!host.disk.load(host.id, options.stored))
    return checker_.fail(Invariant::wire, now_, "a state file is refused, or says what was never stored");
  ++host.life;
  ++host.start;
  host.left = false;
  host.outcast = false;
  host.incarnation = {host.boot_id, random_.next() | 1};
  host.newest_start.fill(0);
  host.newest_incarnation.fill({});
  host.armed_at = sim_never;
  host.agent_up = true;
  host.register_uses = 0;
  host.register_asked = false;
  host.monitored.fill(false);
  machine.daemon = host.incarnation;
  trace_.line(now_, host.id, "the daemon starts, life %u", host.start);
  options.self = host.id;
  options.incarnation = host.incarnation;
  options.seed = random_.next();
  host.core =
      std::make_unique<NodeCore>(host.other_file ? other_file_ : scenario_.config, options, machine.clock.at(now_));
  host.committed = host.core->committed().stamp;
  host.accepted = host.core->accepted().stamp;
  host.promised = host.core->promised();
  host.core->phases(machine.clock.at(now_), host.phases);
  for (std::size_t g = 0; g < scenario_.config.groups.size(); ++g)
    host.group_phases[g] = host.core->committed().state.groups[g].phase;
  host.view = host.core->committed().view;
  checker_.started(now_, host.id, host.committed, host.accepted, host.other_file);
  soundness_.node[host.id] = now_;
  if (scenario_.rotates) {
    keys_start(host);
    checker_.keys_changed(now_, host.id, host.key.keys, host.key.sending);
    at(now_ + Duration::from_ms(100).ns, What::key_tick, host.id);
  }
  if (scenario_.tells_time) {
    if (host.release != Release::older) checker_.clock_set(host.id, host.wall_error_ns, false);
    tell_own_clock(host);
    at(now_ + Duration::from_s(10).ns, What::greet, host.id);
  }
  const std::size_t adapters = scenario_.config.nodes[host.id].adapters.size();
  for (std::size_t i = 0; i < adapters; ++i) {
    const bool carrier = network_.has_carrier(host.id, static_cast<AdapterIndex>(i));
    const auto bit = static_cast<std::uint8_t>(1u << i);
    host.carriers = static_cast<std::uint8_t>(carrier ? host.carriers | bit : host.carriers & ~bit);
    notice(host, What::adapter_changed, static_cast<std::uint8_t>(i), carrier ? 1 : 0);
  }
  arm(host);
  // Looking for what an earlier life left behind is quick, unless it is not.
  const SimTime search = chance(30) ? some_time() / 2 : about(scenario_.address_ns);
  at(now_ + search + 1, What::gates_cleaned, host.id);
}

void World::gates_cleaned(Host& host) {
  machines_[host.id].addresses = {};
  const bool running = machines_[host.id].running != std::array<bool, max_sim_groups>{};
  at(now_ + (running ? about(scenario_.script_ns) : about(scenario_.address_ns)) + 1, What::cleaned, host.id);
}

void World::cleaned(Host& host) {
  machines_[host.id].running = {};
  trace_.line(now_, host.id, "is clean");
  notice(host, What::cleaned, 0, 0);
}

// The daemon's process is gone, with all that was in its memory.
void World::end_daemon(Host& host) {
  if (!host.core) return;
  keys_end(host);
  host.core.reset();
  ++host.life;
  machines_[host.id].daemon = {};
  checker_.stopped(host.id);
  soundness_.node[host.id] = sim_never;
  for (; host.inbox_next < host.inbox.size(); ++host.inbox_next) drop_frame(host.inbox[host.inbox_next]);
  host.inbox.clear();
  host.inbox_next = 0;
  for (const Entry& entry : host.unseen) drop_frame(entry);
  host.unseen.clear();
  host.outbox.clear();
  host.outbox_next = 0;
  host.paused = false;
  host.pause_after_effects = -1;
  host.scripts.clear();
  host.monitored.fill(false);
  host.disk_free_at = 0;
  for (auto& row : host.address_free_at) row.fill(0);
  host.script_free_at.fill(0);
  host.mischief = {};
  // A system call that was under way took effect, or did not.
  for (auto& group : machines_[host.id].addresses)
    for (AddressSlot& slot : group) {
      if (slot.being_added != 0 && chance(50)) slot.adapters |= slot.being_added;
      slot.being_added = 0;
    }
}

void World::daemon_crash(Host& host, SimTime down) {
  if (!host.core || machines_[host.id].stopped) return;
  trace_.line(now_, host.id, "the daemon is killed");
  settle_writes(host, false);
  end_daemon(host);
  at(now_ + down, What::start_daemon, host.id);
}

void World::machine_crash(Host& host, SimTime down) {
  Machine& machine = machines_[host.id];
  if (!machine.powered) return;
  trace_.line(now_, host.id, "the machine crashes");
  lose_writes(host);
  end_daemon(host);
  ++host.life;  // a daemon's start that was due is off
  machine.powered = false;
  machine.lose_everything();
  host.power_at = now_ + down;
  at(host.power_at, What::power_on, host.id);
}

// The same process goes on with a new core: gates closed first, its writes awaited, the rest cleaned as
// after any start.
void World::start_afresh(Host& host, const effect::StartAfresh& afresh) {
  trace_.line(now_, host.id, "starts afresh: %s", afresh.why.c_str());
  for (auto& group : machines_[host.id].addresses)
    for (AddressSlot& slot : group) slot.gate = false;
  settle_writes(host, true);
  end_daemon(host);
  at(now_ + about(scenario_.address_ns), What::start_daemon, host.id);
}

}  // namespace vigil::sim
