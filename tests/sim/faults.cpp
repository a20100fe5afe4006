// What goes wrong, when, and for how long. Lengths cluster around the detection time and the lease,
// because that is where protocols break.
#include <algorithm>

#include "runtime/core/quorum.hpp"
#include "tests/sim/votes.hpp"
#include "tests/sim/world.hpp"

namespace vigil::sim {

SimTime World::some_time() {
  const SimTime detection = scenario_.detection_ns();
  switch (random_.below(5)) {
    case 0:
      return 1 + static_cast<SimTime>(random_.below(static_cast<std::uint64_t>(scenario_.interval_ns())));
    case 1:
      return 1 + static_cast<SimTime>(random_.below(static_cast<std::uint64_t>(detection)));
    case 2:
      return detection * 8 / 10 + static_cast<SimTime>(random_.below(static_cast<std::uint64_t>(detection / 2)));
    case 3:
      return detection + static_cast<SimTime>(random_.below(static_cast<std::uint64_t>(detection * 2)));
    default:
      return 1 + static_cast<SimTime>(random_.below(static_cast<std::uint64_t>(detection * 5)));
  }
}

// Anything from a microsecond to many detection times, each order of magnitude as likely as the next.
SimTime World::any_time() {
  const auto longest = static_cast<std::uint64_t>(scenario_.detection_ns()) * 20;
  std::uint64_t top = 1'000;
  for (std::uint64_t doublings = random_.below(40); doublings > 0 && top < longest; --doublings) top *= 2;
  return static_cast<SimTime>(top / 2 + random_.below(top / 2));
}

Host& World::some_host() { return hosts_[random_.below(scenario_.nodes)]; }

NodeSet World::all_nodes() const {
  return NodeSet::from_bits(~std::uint64_t{0} >> (limits::max_nodes - scenario_.nodes));
}

// What follows at once from a fault is decided by the fault's own dice too, so that the world's are thrown the
// same whether it strikes or not.
void World::strike(const PlannedFault& fault) {
  if (calm_) return;
  trace_.line(now_, no_node, "fault %u: %s", fault.number, to_string(fault.kind));
  const Random world = random_;
  random_ = Random(fault.dice);
  strike(fault.kind);
  random_ = world;
}

void World::strike(Fault fault) {
  trace_.mix(static_cast<std::uint64_t>(fault) + 1000);
  switch (fault) {
    case Fault::cut_path:
    case Fault::isolate:
    case Fault::partition:
    case Fault::flap:
    case Fault::weather:
    case Fault::adapter:
    case Fault::corruption:
    case Fault::narrow:
      return strike_network(fault);
    case Fault::power_failure:
      for (std::size_t i = 0; i < scenario_.nodes; ++i) machine_crash(hosts_[i], some_time());
      return;
    case Fault::ambush: {
      const std::uint64_t dice = random_.below(4);
      ambush_ = dice == 0                                  ? Ambush::at_commit
                : dice == 1 && scenario_.has_tie_breaker() ? Ambush::at_win
                                                           : Ambush::at_accept;
      return;
    }
    case Fault::survivors:
      return leave_survivors();
    case Fault::new_file:
      return roll_out_next_file();
    case Fault::operator_word:
      return operate();
    default:
      return strike_host(fault, some_host());
  }
}

void World::begin_network_fault(NetworkFault fault, SimTime length) {
  const std::uint32_t serial = network_.begin(now_, fault);
  // Nothing else changes a carrier; and an ambush comes in the middle of a step, when no other may begin.
  if (fault.kind == Fault::adapter) tell_carriers();
  at(now_ + length, What::heal, no_node, serial);
  if (fault.kind == Fault::flap) at(now_ + fault.period, What::flap, no_node, serial);
  if (trace_.wanted())
    trace_.line(now_, no_node, "%s from %llx to %llx%s, links %x, adapters %x, for %.3f ms", to_string(fault.kind),
                static_cast<unsigned long long>(fault.from.bits()), static_cast<unsigned long long>(fault.to.bits()),
                fault.both_ways ? " and back" : "", fault.links, fault.adapters, static_cast<double>(length) / 1e6);
}

// Kernels tell their daemons which carriers came and went.
void World::tell_carriers() {
  for (std::size_t i = 0; i < scenario_.nodes; ++i) {
    Host& host = hosts_[i];
    for (std::size_t a = 0; a < scenario_.config.nodes[i].adapters.size(); ++a) {
      const auto bit = static_cast<std::uint8_t>(1u << a);
      const bool carrier = network_.has_carrier(host.id, static_cast<AdapterIndex>(a));
      if (carrier == ((host.carriers & bit) != 0)) continue;
      host.carriers ^= bit;
      notice(host, What::adapter_changed, static_cast<std::uint8_t>(a), carrier ? 1 : 0);
    }
  }
}

void World::strike_network(Fault kind) {
  NetworkFault fault;
  fault.kind = kind;
  const NodeSet one = NodeSet::of(some_host().id);
  fault.from = one;
  fault.to = all_nodes() - one;
  fault.both_ways = chance(60);
  const SimTime length = some_time();
  switch (kind) {
    case Fault::cut_path:
      fault.to = NodeSet::of(some_host().id) - one;
      if (chance(50)) fault.links = static_cast<std::uint8_t>(1u << random_.below(2));
      break;
    case Fault::isolate:
      break;
    case Fault::partition:
      fault.from = NodeSet::from_bits(random_.next()) & all_nodes();
      // Halves, where that is a question.
      while (scenario_.has_tie_breaker() && static_cast<std::size_t>(fault.from.count()) != scenario_.nodes / 2)
        fault.from = NodeSet::from_bits(random_.next()) & all_nodes();
      fault.to = all_nodes() - fault.from;
      break;
    case Fault::flap:
      // Faster than frames come, it is a kind of loss, and weather has that.
      fault.period = std::max(chance(50) ? some_time() / 4 : any_time(), scenario_.interval_ns() / 8);
      if (chance(50)) fault.to = NodeSet::of(some_host().id) - one;
      break;
    case Fault::weather:
      fault.weather.loss_percent = chance(60) ? static_cast<double>(random_.below(90)) : 0;
      fault.weather.duplicate_percent = chance(30) ? static_cast<double>(random_.below(60)) : 0;
      fault.weather.delay_ns = chance(50) ? some_time() / 2 : 0;
      fault.weather.jitter_ns = chance(50) ? some_time() / 2 : 0;
      break;
    case Fault::corruption:
      fault.weather.corrupt_percent = static_cast<double>(1 + random_.below(100));
      break;
    case Fault::narrow:
      // Acknowledgements alone; heartbeats of few nodes too; all but the fragments of long messages.
      fault.max_bytes = static_cast<std::uint16_t>(chance(50) ? 60 + random_.below(60) : 120 + random_.below(80));
      if (chance(50)) fault.links = static_cast<std::uint8_t>(1u << random_.below(2));
      break;
    default:
      fault.adapters =
          static_cast<std::uint8_t>(1u << random_.below(scenario_.config.nodes[one.lowest()].adapters.size()));
      if (chance(15)) fault.adapters = 0xff;
      fault.with_carrier = chance(30);
  }
  begin_network_fault(fault, length);
}

// True: it dies on the spot, and the message never leaves.
bool World::ambushed_at(Host& host, const Message& message) {
  if (ambush_ == Ambush::at_accept && std::holds_alternative<Accept>(message)) spring_ambush(host);
  const auto* commit = std::get_if<Commit>(&message);
  if (ambush_ != Ambush::at_commit || commit == nullptr || commit->stamp.version != 1) return false;
  // All have accepted, nobody knows it but the coordinator.
  if (chance(50)) {
    spring_ambush(host);
    return false;
  }
  ambush_ = Ambush::none;
  if (chance(50))
    machine_crash(host, some_time());
  else
    daemon_crash(host, some_time());
  return true;
}

// Accept, Commit or a use of the tie-breaker is on its way, to some only: the coordinator freezes, dies or is cut off
// from the others.
void World::spring_ambush(Host& host) {
  ambush_ = Ambush::none;
  if (chance(60)) {
    NetworkFault fault;
    fault.kind = Fault::partition;
    fault.from = NodeSet::of(host.id) | (NodeSet::from_bits(random_.next()) & all_nodes());
    fault.to = all_nodes() - fault.from;
    fault.both_ways = chance(60);
    begin_network_fault(fault, some_time() + scenario_.detection_ns());
  }
  // An operator's word may come at this very moment, too.
  if (chance(30)) at(now_ + static_cast<SimTime>(random_.below(2'000'000)), What::operate, no_node);
  const std::uint64_t dice = random_.below(3);
  if (dice == 2) return;
  host.pause_after_effects = static_cast<int>(random_.below(scenario_.nodes * 2));
  host.pause_length = some_time() + scenario_.detection_ns();
  // To crash while frozen is to crash in the middle of a step.
  if (dice == 1) at(now_ + some_time() / 4, What::crash_daemon, host.id);
}

// Most machines lose their power, and an operator, who sees to it that they stay so, vouches for them where somebody is
// left: at once, or after they have gone on without those for a while, and decided what nobody else knows.
void World::leave_survivors() {
  NodeSet left = NodeSet::from_bits(random_.next()) & all_nodes();
  if (chance(60)) left = left & NodeSet::from_bits(random_.next());
  left.add(some_host().id);
  if (chance(60)) return doom(all_nodes() - left);
  const NodeSet others = all_nodes() - left;
  const SimTime length = scenario_.detection_ns() * random_.between(4, 20);
  for (const NodeId node : others)
    if (chance(60)) at(now_ + static_cast<SimTime>(random_.below(static_cast<std::uint64_t>(length))), What::crash_daemon, node);
  at(now_ + length, What::doom, no_node, static_cast<std::uint32_t>(others.bits()));
  if (chance(50)) {
    NetworkFault fault;
    fault.kind = Fault::partition;
    fault.from = left;
    fault.to = others;
    fault.both_ways = true;
    return begin_network_fault(fault, length + scenario_.detection_ns());
  }
  // Without power they do not even see how far the epochs go.
  for (const NodeId node : left) {
    const SimTime down = length + some_time();
    machine_crash(hosts_[node], down);
    at(now_ + down + scenario_.restart_wait_ns() + some_time(), What::vouch, node);
  }
}

void World::doom(NodeSet nodes) {
  for (const NodeId node : nodes) {
    machine_crash(hosts_[node], some_time());
    hosts_[node].vouched_for = true;
  }
  for (const NodeId node : all_nodes() - nodes)
    if (chance(60)) at(now_ + scenario_.detection_ns() / 2 + some_time(), What::vouch, node);
}

void World::strike_host(Fault fault, Host& host) {
  const auto group = static_cast<std::uint8_t>(random_.below(scenario_.config.groups.size()));
  // Nothing strikes inside a machine that stands; it can only be switched off.
  if (machines_[host.id].stopped && fault != Fault::machine_crash && fault != Fault::lost_state) return;
  switch (fault) {
    case Fault::pause:
      return pause(host, chance(70) ? some_time() : any_time());
    case Fault::pause_midway:
      host.pause_after_effects = static_cast<int>(random_.below(chance(70) ? 4 : 24));
      host.pause_length = chance(70) ? some_time() : any_time();
      return;
    case Fault::stopped_clock:
      return stop_machine(host, chance(70) ? some_time() : any_time());
    case Fault::slow_node:
      host.mischief.slow_steps_until = now_ + some_time() * 2;
      soundness_.slow_until[host.id] = host.mischief.slow_steps_until + scenario_.detection_ns() * 4;
      host.mischief.slow_step = scenario_.interval_ns() * random_.between(1, 100) / 100;
      return;
    case Fault::slow_effects:
      host.mischief.slow_effects_until = now_ + some_time() * 2;
      return;
    case Fault::other_file:
      // Now and then on every node at once: how a configuration is changed.
      for (std::size_t i = 0; i < scenario_.nodes; ++i)
        if (hosts_[i].id == host.id || chance(20)) use_other_file(hosts_[i]);
      return;
    case Fault::daemon_crash:
      return daemon_crash(host, chance(50) ? some_time() / 8 + 1 : some_time());
    case Fault::machine_crash:
      return machine_crash(host, some_time());
    case Fault::address_effect: {
      const std::size_t addresses = scenario_.config.groups[group].addresses.size();
      if (addresses == 0 || !chance(50)) {
        host.mischief.address_fails = true;
        return;
      }
      const auto address = static_cast<std::uint8_t>(random_.below(addresses));
      AddressSlot& slot = machines_[host.id].addresses[group][address];
      if (slot.adapters == 0) return;
      if (chance(50)) return notice(host, What::address_conflict, group, address);
      slot.adapters = 0;
      return notice(host, What::address_lost, group, address);
    }
    case Fault::application:
      if (chance(50)) return application_dies(host, group);
      if (chance(40))
        host.mischief.start_fails = true;
      else if (chance(50))
        host.mischief.stop_fails = true;
      else
        host.mischief.script_hangs = true;
      return;
    case Fault::agent:
      return agent_dies(host);
    case Fault::tie_breaker:
      return strike_register(host);
    case Fault::rotate_key:
      // Now and then on two nodes at the same moment.
      if (chance(15)) rotate_key(some_host());
      return rotate_key(host);
    case Fault::wall_clock:
      return set_clock(host, chance(30) ? random_.between(-1'000'000'000, 1'000'000'000) : some_error());
    case Fault::slow_disk:
    case Fault::full_disk:
    case Fault::lost_state:
      return strike_disk(fault, host);
    case Fault::clock_rate:
      if (machines_[host.id].powered)
        machines_[host.id].clock.set_rate(now_, random_.between(-scenario_.drift_ppm, scenario_.drift_ppm));
      if (host.core && !blocked(host)) arm(host);
      return;
    default:
      VIGIL_ASSERT(false && "no fault of one node");
  }
}

void World::strike_disk(Fault fault, Host& host) {
  switch (fault) {
    case Fault::slow_disk:
      if (chance(15)) host.mischief.write_fails = true;
      host.mischief.slow_writes_until = now_ + some_time() * 2;
      return;
    case Fault::full_disk:
      host.mischief.full_disk_until = now_ + some_time() * 2;
      return;
    default:
      // One node at a time: a cluster most of whose files are lost at once is another cluster, with nothing to keep. And
      // so it is where one node alone has most of the votes.
      if (decides_alone(host)) return;
      for (const Host& other : hosts_)
        if (other.forgetful && &other != &host) return;
      if (!machines_[host.id].powered) return;
      machine_crash(host, some_time());
      host.forgetful = true;
      trace_.line(now_, host.id, "its state file is lost");
      host.disk.wipe();
      checker_.forgot(host.id);
  }
}

bool World::decides_alone(const Host& host) const {
  return share_of(configured_rule(scenario_.config), NodeSet::of(host.id)) == Share::more;
}

void World::use_other_file(Host& host) {
  if (machines_[host.id].stopped) return;
  host.other_file = !host.other_file;
  trace_.line(now_, host.id, "gets another configuration file, version %u",
              host.other_file ? other_file_.version : scenario_.config.version);
  daemon_crash(host, chance(50) ? scenario_.interval_ns() : some_time());
}

// How a configuration is changed: every node is stopped, and starts again with the next file, each when its turn comes.
// Some start with the file of before once more, and are corrected later.
void World::roll_out_next_file() {
  other_file_in_force_ = !other_file_in_force_;
  trace_.line(now_, no_node, "the cluster changes to file version %u",
              other_file_in_force_ ? other_file_.version : scenario_.config.version);
  for (std::size_t i = 0; i < scenario_.nodes; ++i) {
    const SimTime turn = now_ + (chance(50) ? scenario_.interval_ns() : some_time());
    if (chance(25)) {
      daemon_crash(hosts_[i], some_time());
      at(turn + some_time() * 2, What::change_file, hosts_[i].id);
    } else {
      at(turn, What::change_file, hosts_[i].id);
    }
  }
}

void World::change_file(Host& host) {
  if (calm_ || host.other_file == other_file_in_force_) return;
  use_other_file(host);
}

// All faults end. What was broken beyond its own repair is started again by hand.
void World::calm() {
  calm_ = true;
  ambush_ = Ambush::none;
  calm_at_ = now_;
  trace_.line(now_, no_node, "all faults end");
  network_.heal_all(now_);
  // No frame of before keeps up for seconds what a node that fails later seems to say.
  agenda_.hasten(now_ + scenario_.detection_ns() / 2, [](const Entry& entry) {
    return entry.what == What::heartbeat || entry.what == What::ack || entry.what == What::message;
  });
  tell_carriers();
  for (std::size_t i = 0; i < scenario_.nodes; ++i) {
    Host& host = hosts_[i];
    host.mischief = {};
    host.pause_after_effects = -1;
    let_machine_go_on(host);
    if (host.paused) resume(host);
    if (host.other_file != other_file_in_force_) use_other_file(host);
    if (scenario_.tells_time) set_clock(host, random_.between(-1'000'000'000, 1'000'000'000));
    if (!machines_[i].powered) power_on(host);
    if (host.outcast) daemon_crash(host, scenario_.interval_ns());
    if (!host.core) at(now_ + scenario_.interval_ns(), What::start_daemon, host.id);
    if (!host.agent_up) agent_returns(host);
  }
  // What a disk held up is written once it is well again.
  const SimTime written = now_ + about_at_most(scenario_.disk_ns);
  agenda_.hasten(written, [](const Entry& entry) { return entry.what == What::persisted; });
  for (std::size_t i = 0; i < scenario_.nodes; ++i) hosts_[i].disk_free_at = std::min(hosts_[i].disk_free_at, written);
  at(now_ + scenario_.detection_ns(), What::look, no_node);
}

}  // namespace vigil::sim
