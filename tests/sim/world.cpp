// The agenda: takes what is due next, until the run is over.
#include "tests/sim/world.hpp"

#include <algorithm>

namespace vigil::sim {

World::World() : checker_(machines_, soundness_) {}

// A duration that is usually about this long, and now and then much longer.
SimTime World::about(SimTime usual) {
  const SimTime base = usual / 2 + static_cast<SimTime>(random_.below(static_cast<std::uint64_t>(usual) + 1));
  return random_.below(64) == 0 ? base * 6 : base;
}

void World::at(SimTime when, What what, NodeId node, std::uint32_t slot, std::uint8_t link) {
  Entry entry;
  entry.at = when;
  entry.what = what;
  entry.node = node;
  entry.slot = slot;
  entry.link = link;
  if (node != no_node) entry.life = hosts_[node].life;
  agenda_.push(entry);
}

void World::prepare(const Scenario& scenario) {
  scenario_ = scenario;
  random_ = Random(scenario.seed ^ 0x7669676c73696dULL ^ scenario.salt * 0x9e3779b97f4a7c15ULL);
  other_file_ = scenario.config;
  other_file_.version += 1;
  other_file_.hash ^= 0xff;
  other_file_.quorum = scenario.next_quorum;
  other_file_in_force_ = false;
  codec_.reset();
  agenda_.clear();
  heartbeats_.clear();
  acks_.clear();
  messages_.clear();
  writes_.clear();
  address_jobs_.clear();
  agent_jobs_.clear();
  register_uses_.clear();
  register_ = {};
  now_ = 0;
  calm_ = false;
  ambush_ = Ambush::none;
  done_ = false;
  converged_at_ = exam_began_ = exam_taken_ = 0;
  steps_ = 0;
  checker_.reset(scenario_.config, other_file_, scenario_.nodes);
  network_.reset(scenario_, soundness_);
  const std::size_t used = std::max(hosts_used_, scenario_.nodes);
  hosts_used_ = scenario_.nodes;
  for (std::size_t i = 0; i < used; ++i) {
    Host& host = hosts_[i];
    Host fresh;
    fresh.id = static_cast<NodeId>(i);
    host = std::move(fresh);
    machines_[i] = {};
    soundness_.node[i] = sim_never;
    soundness_.frozen_ns[i] = 0;
    soundness_.slow_until[i] = 0;
  }
  for (std::size_t i = 0; i < scenario_.nodes; ++i) {
    if (scenario_.stored_lease_known) hosts_[i].disk.format({0, {}, scenario_.config.timing.lease});
    const bool late = random_.chance(20);
    hosts_[i].vouched_for = scenario_.absent == i;
    hosts_[i].key_file.add({1, 1});
    hosts_[i].key_file.active = 1;
    if (scenario_.tells_time) hosts_[i].wall_error_ns = random_.between(-2'000'000'000, 2'000'000'000);
    if (scenario_.tells_time && chance(5)) hosts_[i].wall_error_ns = some_error();
    if (scenario_.mixed) hosts_[i].release = static_cast<Release>(random_.below(3));
    at(static_cast<SimTime>(random_.below(static_cast<std::uint64_t>(scenario_.interval_ns() * (late ? 30 : 3)))),
       What::power_on, static_cast<NodeId>(i));
  }
  for (std::size_t i = 0; i < scenario_.faults.size(); ++i)
    at(scenario_.faults[i].at, What::fault, no_node, static_cast<std::uint32_t>(i));
  trial_ = {};
  if (scenario_.trial) return at(1, What::look, no_node);
  at(scenario_.settled_ns + scenario_.chaos_ns, What::calm, no_node);
}

RunResult World::run(const Scenario& scenario, TraceMode mode) {
  trace_.reset(mode);
  prepare(scenario);
  while (!agenda_.empty() && !done_ && !checker_.violated()) {
    const Entry entry = agenda_.pop();
    now_ = entry.at;
    dispatch(entry);
  }
  RunResult result;
  result.violation = checker_.violation();
  result.simulated_ns = now_;
  result.steps = steps_;
  result.trace_hash = trace_.hash();
  result.commits = checker_.committed_count();
  if (converged_at_ != 0) {
    result.converged_ns = converged_at_ - calm_at_;
    result.converged_part =
        static_cast<double>(result.converged_ns) / static_cast<double>(scenario_.convergence_bound_ns());
    result.takeover_part = static_cast<double>(exam_taken_) / static_cast<double>(exam_bound_);
  }
  result.trial = trial_.figures;
  for (Host& host : hosts_) host.core.reset();
  return result;
}

void World::dispatch(const Entry& entry) {
  switch (entry.what) {
    case What::heartbeat:
    case What::ack:
    case What::message:
      return arrive(entry);
    case What::fault:
      return strike(scenario_.faults[entry.slot]);
    case What::heal:
      network_.end(now_, entry.slot);
      return tell_carriers();
    case What::flap: {
      SimTime period = 0;
      if (network_.flap(now_, entry.slot, period)) at(now_ + about(period), What::flap, no_node, entry.slot);
      return;
    }
    case What::operate:
      return operate();
    case What::change_file:
      return change_file(hosts_[entry.node]);
    case What::doom:
      if (!calm_) doom(NodeSet::from_bits(entry.slot));
      return;
    case What::vouch:
      return vouch(hosts_[entry.node]);
    case What::calm:
      return calm();
    case What::look:
      return scenario_.trial ? look_at_trial() : look();
    case What::grade:
      return grade();
    case What::machine_goes_on:
      return machine_goes_on(entry);
    case What::power_on:
      if (now_ >= hosts_[entry.node].power_at) power_on(hosts_[entry.node]);
      return;
    default:
      return dispatch_local(entry);
  }
}

// Entries that die with the daemon they are for, though what they hold must be given back.
void World::dispatch_local(const Entry& entry) {
  Host& host = hosts_[entry.node];
  const bool alive = entry.life == host.life;
  switch (entry.what) {
    case What::persisted:
      return persisted(entry);
    case What::address_begin:
      if (alive)
        address_begins(host, entry.slot);
      else
        address_jobs_.drop(entry.slot);
      return;
    case What::address_end:
      return address_ended(entry);
    case What::agent_begin:
      if (alive && !agent_jobs_[entry.slot].cancelled)
        script_begins(host, entry.slot);
      else
        agent_jobs_.drop(entry.slot);
      return;
    case What::agent_end:
      return script_ended(entry);
    case What::register_used:
      return register_used(entry);
    case What::register_answer:
      return register_answered(entry);
    case What::keys_stored:
      return keys_stored(entry);
    case What::monitor:
      return monitor(entry);
    default:
      break;
  }
  if (!alive) return;
  switch (entry.what) {
    case What::timer:
      return timer(host);
    case What::resume:
      return resume(host);
    case What::start_daemon:
      return start_daemon(host);
    case What::crash_daemon:
      if (!calm_) daemon_crash(host, some_time());
      return;
    case What::gates_cleaned:
      return gates_cleaned(host);
    case What::cleaned:
      return cleaned(host);
    case What::agent_up:
      return agent_returns(host);
    case What::key_tick:
      return key_tick(host);
    case What::hear_clock:
      return hear_clock(entry);
    case What::greet:
      return greet_again(host);
    default:
      VIGIL_ASSERT(false && "no such entry");
  }
}

}  // namespace vigil::sim
