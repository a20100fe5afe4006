// Takes a cluster through a trial, step by step. See trial.hpp.
#include "tests/sim/trial.hpp"

#include <algorithm>

#include "tests/sim/world.hpp"

namespace vigil::sim {

const char* to_string(TrialStep step) {
  static constexpr const char* names[] = {
      "cold start",          "quiet",    "member dies", "member returns", "coordinator dies",
      "coordinator returns", "five die", "five return", "partition",      "healing"};
  static_assert(std::size(names) == trial_steps);
  return names[static_cast<std::size_t>(step)];
}

namespace {

constexpr SimTime ms = 1'000'000;
constexpr SimTime poll_ns = ms / 5;
constexpr SimTime peace_ns = 300 * ms;  // between two steps: reports of groups are through
constexpr SimTime quiet_ns = 1'000 * ms;
constexpr SimTime patience_ns = 20'000 * ms;
constexpr SimTime for_good = 3'600'000 * ms;

}  // namespace

// Nodes that were never voted out, the coordinator apart.
NodeSet World::pick(std::size_t count) {
  NodeSet chosen;
  const NodeId coordinator = checker_.newest_committed()->view.coordinator;
  while (static_cast<std::size_t>(chosen.count()) < count) {
    const auto node = static_cast<NodeId>(random_.below(scenario_.nodes));
    if (node != coordinator && !trial_.used.has(node)) chosen.add(node);
  }
  return chosen;
}

void World::put_down(NodeSet nodes) {
  trial_.victims = nodes;
  trial_.used = trial_.used | nodes;
  for (const NodeId node : nodes) machine_crash(hosts_[node], for_good);
}

void World::bring_back(NodeSet nodes) {
  trial_.returning = nodes;
  trial_.victims = {};
  for (const NodeId node : nodes) {
    trial_.life_before[node] = hosts_[node].start;
    power_on(hosts_[node]);
  }
}

void World::part(NodeSet away) {
  NetworkFault fault;
  fault.kind = Fault::partition;
  fault.from = away;
  fault.to = all_nodes() - away;
  fault.both_ways = true;
  network_.begin(now_, fault);
  trial_.victims = trial_.away = away;
}

void World::begin_trial_step() {
  trial_.running = true;
  trial_.since = now_;
  trial_.mark = sim_never;
  trial_.messages = trial_.given_up = 0;
  const Record* const record = checker_.newest_committed();
  trial_.epoch_before = record == nullptr ? 0 : checker_.committed_views();
  for (Host& host : hosts_) host.sent = host.received = {};
  trace_.line(now_, no_node, "trial: %s", to_string(static_cast<TrialStep>(trial_.step)));
  switch (static_cast<TrialStep>(trial_.step)) {
    case TrialStep::cold_start:
      trial_.returning = all_nodes();
      break;
    case TrialStep::member_dies:
      return put_down(pick(1));
    case TrialStep::coordinator_dies:
      return put_down(NodeSet::of(record->view.coordinator));
    case TrialStep::five_die:
      return put_down(pick(std::min<std::size_t>(5, (scenario_.nodes - 1) / 2)));
    case TrialStep::member_returns:
    case TrialStep::coordinator_returns:
    case TrialStep::five_return:
      return bring_back(trial_.victims);
    case TrialStep::partition: {
      // As far as there are any, nodes that were not voted out before.
      NodeSet away;
      const std::size_t size = (scenario_.nodes - 1) / 2;
      for (const bool again : {false, true})
        for (const NodeId node : all_nodes())
          if (static_cast<std::size_t>(away.count()) < size && node != record->view.coordinator && !away.has(node) &&
              trial_.used.has(node) == again)
            away.add(node);
      return part(away);
    }
    case TrialStep::healing:
      trial_.returning = trial_.away;
      trial_.victims = {};
      for (const NodeId node : trial_.away) trial_.life_before[node] = hosts_[node].start;
      return network_.heal_all(now_);
    default:
      break;
  }
}

// The clock starts: somebody suspects one of those who fell silent; or all who return may vote.
void World::mark_trial() {
  if (trial_.mark != sim_never) return;
  bool begun = trial_.victims.empty();
  for (const NodeId node : trial_.returning)
    begun = begun && hosts_[node].start > trial_.life_before[node] && hosts_[node].phases.voter == VoterPhase::ready;
  for (const NodeId node : all_nodes() - trial_.victims)
    for (const NodeId silent : trial_.victims)
      begun = begun || (hosts_[node].core && hosts_[node].phases.peer[silent] == PeerPhase::silent);
  if (begun) trial_.mark = now_;
}

// All who should be in are, and know it.
bool World::trial_step_done() const {
  if (static_cast<TrialStep>(trial_.step) == TrialStep::quiet) return now_ - trial_.since >= quiet_ns;
  const NodeSet wanted = all_nodes() - trial_.victims;
  const Record* const record = checker_.newest_committed();
  if (record == nullptr || record->view.members != wanted) return false;
  for (const NodeId node : wanted) {
    const Host& host = hosts_[node];
    if (!host.core || host.committed.epoch != record->stamp.epoch) return false;
    if (!record->view.holds(node, host.incarnation)) return false;
  }
  return true;
}

void World::end_trial_step() {
  StepFigures& figures = trial_.figures[trial_.step];
  figures.done = true;
  figures.took = trial_.mark == sim_never ? 0 : now_ - trial_.mark;
  figures.lasted = now_ - trial_.since;
  figures.messages = trial_.messages;
  figures.given_up = trial_.given_up;
  figures.views = checker_.committed_views() - trial_.epoch_before;
  for (const Host& host : hosts_) {
    figures.sent += host.sent;
    figures.received += host.received;
    figures.busiest = std::max(figures.busiest, host.sent.frames + host.received.frames);
  }
  trace_.line(now_, no_node, "trial: %s took %.3f ms, %zu messages", to_string(static_cast<TrialStep>(trial_.step)),
              static_cast<double>(figures.took) / 1e6, static_cast<std::size_t>(figures.messages));
  trial_.returning = {};
  trial_.running = false;
  trial_.since = now_;
  ++trial_.step;
}

void World::look_at_trial() {
  if (!trial_.running && (trial_.step == 0 || now_ - trial_.since >= peace_ns)) begin_trial_step();
  if (trial_.running) {
    mark_trial();
    if (trial_step_done()) end_trial_step();
  }
  if (trial_.step == trial_steps) {
    done_ = true;
    return;
  }
  if (now_ - trial_.since > patience_ns)
    return checker_.fail(Invariant::convergence, now_,
                         std::string("a trial does not end: ") + to_string(static_cast<TrialStep>(trial_.step)));
  at(now_ + poll_ns, What::look, no_node);
}

}  // namespace vigil::sim
