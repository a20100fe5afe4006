// Makes a violation small: leaves out of its scenario whatever it can do without, and keeps what still
// breaks the same invariant. Bounded by a number of runs; each run is a child, so that a core's failed
// assertion is shrunk like anything else.
#pragma once

#include "tests/sim/runner.hpp"

namespace vigil::sim {

struct Shrunk {
  Cuts cuts;
  Violation violation;        // of the smallest run that was found
  unsigned runs = 0;          // that it took
  std::size_t faults = 0;     // that strike in it
  std::size_t of_faults = 0;  // in the seed's own schedule
};

inline constexpr unsigned default_shrink_runs = 400;

// `found` violates `kind` as it is.
Shrunk shrink(const Replay& found, const Violation& violation, unsigned max_runs = default_shrink_runs);

// Shrinks, tells the story that is left, and how to see it again.
void tell_shrunk(const Replay& found, const Violation& violation);

// Shrinks what seeded bugs break, and says whether it got as small as it should.
int prove_shrinker();

}  // namespace vigil::sim
