// What a cluster's size costs: trials of several sizes, many seeds each, and whether that is within what was promised:
// traffic per node grows at most linearly with the nodes, and a view that leaves somebody out is in force everywhere
// within a second of the first suspicion. All of it in virtual time, so that the answer is the same on every machine.
#pragma once

#include <cstdint>
#include <vector>

#include "tests/sim/trace.hpp"

namespace vigil::sim {

struct ScalePlan {
  std::vector<std::size_t> sizes;
  std::uint64_t first = 1;
  std::uint64_t seeds = 3;
  std::size_t jobs = 2;
};

// Prints a table; exit status as vigil-sim's.
int measure_scale(const ScalePlan& plan);
// One trial, told as it happens.
int play_trial(std::size_t nodes, std::uint64_t seed, TraceMode mode);

}  // namespace vigil::sim
