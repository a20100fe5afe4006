// What the kernel and the agent do for a daemon: addresses behind gates, scripts with time-outs, monitors.
// Jobs on one address, and scripts of one group, run one after another; different ones never wait for
// each other.
#include <algorithm>

#include "tests/sim/world.hpp"

namespace vigil::sim {

void World::notice(Host& host, What what, std::uint8_t link, std::uint32_t slot) {
  if (!host.core) return;
  Entry entry;
  entry.at = now_;
  entry.what = what;
  entry.node = host.id;
  entry.life = host.life;
  entry.link = link;
  entry.slot = slot;
  hand_over(host, entry);
}

// What the kernel or the agent takes for a piece of work.
SimTime World::work_time(const Host& host, SimTime usual) {
  return now_ < host.mischief.slow_effects_until ? some_time() : about(usual);
}

// ---- addresses ------------------------------------------------------------------------------------

void World::begin_address(Host& host, AddressJob job) {
  job.began = now_;
  job.ok = !host.mischief.address_fails;
  host.mischief.address_fails = false;
  const std::uint32_t slot = address_jobs_.take();
  address_jobs_[slot] = job;
  SimTime& free_at = host.address_free_at[job.group][job.address];
  if (free_at <= now_) return address_begins(host, slot);
  at(free_at, What::address_begin, host.id, slot);
  free_at += about(scenario_.address_ns);
}

void World::address_begins(Host& host, std::uint32_t slot) {
  const AddressJob& job = address_jobs_[slot];
  AddressSlot& place = machines_[host.id].addresses[job.group][job.address];
  trace_.line(now_, host.id, "%s address %d of group %d, adapter %d%s", job.add ? "adds" : "removes", job.address,
              job.group, job.adapter, job.ok ? "" : " (will fail)");
  if (job.add) {
    checker_.opening_gate(now_, host.id, job.group, job.address, job.lease_until);
    place.gate = true;
    place.lease_until = job.lease_until;
    place.being_added |= static_cast<std::uint8_t>(1u << job.adapter);
    if (place.adapters != 0 && machines_[host.id].serves(job.group, job.address, now_))
      checker_.serving(now_, host.id, job.group, job.address);
  } else {
    place.gate = false;
  }
  SimTime& free_at = host.address_free_at[job.group][job.address];
  free_at = std::max(free_at, now_ + work_time(host, scenario_.address_ns));
  at(free_at, What::address_end, host.id, slot);
}

void World::address_ended(const Entry& entry) {
  Host& host = hosts_[entry.node];
  if (entry.life != host.life) return address_jobs_.drop(entry.slot);
  const AddressJob& job = address_jobs_[entry.slot];
  AddressSlot& place = machines_[host.id].addresses[job.group][job.address];
  const auto bit = static_cast<std::uint8_t>(1u << job.adapter);
  if (job.add) place.being_added &= static_cast<std::uint8_t>(~bit);
  if (job.add && job.ok) {
    place.adapters |= bit;
    if (machines_[host.id].serves(job.group, job.address, now_)) {
      trace_.line(now_, host.id, "serves address %d of group %d", job.address, job.group);
      checker_.serving(now_, host.id, job.group, job.address);
    }
  }
  if (job.add && !job.ok) place.gate = false;
  // A removal that fails leaves the address behind a closed gate, where it serves nobody.
  if (!job.add && job.ok) place.adapters &= static_cast<std::uint8_t>(~bit);
  hand_over(host, entry);
}

// ---- the agent ------------------------------------------------------------------------------------

void World::run_agent(Host& host, const effect::RunAgent& work) {
  const bool of_group = work.group < scenario_.config.groups.size();
  if (work.verb == effect::AgentVerb::monitor_on || work.verb == effect::AgentVerb::monitor_off) {
    if (!of_group) return;
    host.monitored[work.group] = work.verb == effect::AgentVerb::monitor_on && host.agent_up;
    host.monitored_generation[work.group] = work.generation;
    if (host.monitored[work.group]) watch_application(host, work.group);
    return;
  }
  if (work.verb == effect::AgentVerb::event && !work.wait) return;
  const std::uint32_t slot = agent_jobs_.take();
  AgentJob& job = agent_jobs_[slot];
  job = {};
  job.work = work;
  job.began = now_;
  host.scripts.push_back(slot);
  if (!host.agent_up) {
    job.outcome = event::AgentOutcome::killed;
    at(now_ + 1, What::agent_end, host.id, slot);
    return;
  }
  const bool serial = of_group && work.verb != effect::AgentVerb::event;
  const SimTime begin = serial ? std::max(now_, host.script_free_at[work.group]) : now_;
  if (begin == now_) return script_begins(host, slot);
  host.script_free_at[work.group] = begin + 1;
  at(begin, What::agent_begin, host.id, slot);
}

void World::script_begins(Host& host, std::uint32_t slot) {
  AgentJob& job = agent_jobs_[slot];
  const effect::RunAgent& work = job.work;
  const bool start = work.verb == effect::AgentVerb::start;
  const bool stop = work.verb == effect::AgentVerb::stop;
  const bool cursed = (start || stop) && work.group == scenario_.cursed_group;
  SimTime length = work_time(host, scenario_.script_ns);
  if (start || stop) {
    const ApplicationConfig& application = scenario_.config.groups[work.group].application;
    const SimTime limit = (start ? application.start_timeout : application.stop_timeout).ns;
    bool& fails = start ? host.mischief.start_fails : host.mischief.stop_fails;
    if (fails) job.outcome = event::AgentOutcome::failed;
    if (cursed || host.mischief.script_hangs || length >= limit) {
      job.outcome = event::AgentOutcome::timed_out;
      length = limit;
      host.mischief.script_hangs = false;
    }
    fails = false;
    if (start) {
      checker_.starting_application(now_, host.id, work.group);
      machines_[host.id].running[work.group] = true;
    }
    trace_.line(now_, host.id, "%s the application of group %d (request %u, outcome %d in %.3f ms)",
                start ? "starts" : "stops", work.group, work.request, static_cast<int>(job.outcome),
                static_cast<double>(length) / 1e6);
    host.script_free_at[work.group] = std::max(host.script_free_at[work.group], now_ + length + 1);
  }
  at(now_ + length, What::agent_end, host.id, slot);
}

void World::script_ended(const Entry& entry) {
  Host& host = hosts_[entry.node];
  const AgentJob& job = agent_jobs_[entry.slot];
  if (entry.life != host.life || job.cancelled) return agent_jobs_.drop(entry.slot);
  std::erase(host.scripts, entry.slot);
  const bool ok = job.outcome == event::AgentOutcome::ok;
  Machine& machine = machines_[host.id];
  switch (job.work.verb) {
    case effect::AgentVerb::start:
      // A start that failed or was killed took its process group with it.
      if (job.outcome != event::AgentOutcome::killed) machine.running[job.work.group] = ok;
      break;
    case effect::AgentVerb::stop:
      if (ok) machine.running[job.work.group] = false;
      break;
    case effect::AgentVerb::clean:
      if (ok) machine.running = {};
      break;
    default:
      break;
  }
  hand_over(host, entry);
}

void World::watch_application(Host& host, std::uint8_t group) {
  const SimTime interval = scenario_.config.groups[group].application.monitor_interval.ns;
  at(now_ + about(interval / 2), What::monitor, host.id, host.monitored_generation[group], group);
}

// Only a dead application is worth an event, and only one per run.
void World::monitor(const Entry& entry) {
  Host& host = hosts_[entry.node];
  const std::uint8_t group = entry.link;
  if (entry.life != host.life || !host.monitored[group] || host.monitored_generation[group] != entry.slot) return;
  if (machines_[host.id].running[group]) return;
  host.monitored[group] = false;
  hand_over(host, entry);
}

void World::application_dies(Host& host, std::uint8_t group) {
  Machine& machine = machines_[host.id];
  if (!machine.running[group]) return;
  // Not in the middle of its start or stop script, whose outcome is drawn already.
  if (host.script_free_at[group] > now_) return;
  trace_.line(now_, host.id, "the application of group %d dies", group);
  machine.running[group] = false;
  if (host.monitored[group]) watch_application(host, group);
}

void World::agent_dies(Host& host) {
  if (!host.agent_up || !host.core) return;
  trace_.line(now_, host.id, "the agent dies with %zu scripts under way", host.scripts.size());
  host.agent_up = false;
  host.monitored.fill(false);
  const std::vector<std::uint32_t> scripts = std::move(host.scripts);
  host.scripts.clear();
  const std::uint32_t life = host.life;
  at(now_ + some_time(), What::agent_up, host.id);
  for (const std::uint32_t slot : scripts) {
    if (host.life != life) return;
    AgentJob& job = agent_jobs_[slot];
    job.cancelled = true;  // what it did so far stays done; its entry on the agenda only gives the slot back
    const std::uint32_t answer = agent_jobs_.take();
    agent_jobs_[answer] = agent_jobs_[slot];
    agent_jobs_[answer].outcome = event::AgentOutcome::killed;
    if (job.work.group < max_sim_groups) host.script_free_at[job.work.group] = now_;
    notice(host, What::agent_end, 0, answer);
  }
  if (host.life == life) register_fails(host);
  if (host.life == life) notice(host, What::agent_down, 0, 0);
}

void World::agent_returns(Host& host) {
  if (host.agent_up) return;
  host.agent_up = true;
  notice(host, What::agent_up, 0, 0);
}

}  // namespace vigil::sim
