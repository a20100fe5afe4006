// Runs many seeds in forked workers, so that a core's failed assertion ends one worker and is counted
// against its seed instead of ending the whole run.
#pragma once

#include <cstdint>
#include <vector>

#include "runtime/base/seeded_bugs.hpp"
#include "tests/sim/cuts.hpp"
#include "tests/sim/world.hpp"

namespace vigil::sim {

struct RunPlan {
  std::uint64_t first = 1;
  std::uint64_t seeds = 1000;
  std::size_t nodes = 0;  // 0: the seed chooses
  Bug bug = Bug::none;
  std::size_t jobs = 2;
  std::size_t stop_after = 5;  // violations
  bool progress = true;
};

struct Finding {
  std::uint64_t seed = 0;
  Invariant invariant = Invariant::none;
  SimTime at = 0;
  char text[240] = {};
};

struct RunSummary {
  std::uint64_t seeds = 0;
  std::uint64_t steps = 0;
  std::uint64_t commits = 0;
  double hours = 0;                // simulated
  double node_hours = 0;           // … times nodes
  std::uint64_t takeovers = 0;     // at the ends of runs, timed
  double slowest_convergence = 0;  // as a part of its bound
  double slowest_takeover = 0;
  Coverage::Counts coverage{};
  double cpu_seconds = 0;         // of all workers: what a core does, however busy the machine is
  double seconds = 0;             // of the wall
  std::uint64_t hash = 0;         // of all runs' traces, whatever their order
  std::vector<Finding> findings;  // by seed
};

RunSummary run_seeds(const RunPlan& plan);

// One run: a seed, what is left out of its scenario, and the bug that is switched on.
struct Replay {
  std::uint64_t seed = 0;
  Cuts cuts;
  Bug bug = Bug::none;
};

// Does it in a child, and prints as much of its trace as asked for. Returns the trace's hash, 0 when the child died.
std::uint64_t replay(const Replay& what, TraceMode mode, RunResult& result);

void print_violation(std::uint64_t seed, const Violation& violation);
// `how`: --trace or --story.
void print_replay_command(const Replay& what, const char* how);

}  // namespace vigil::sim
