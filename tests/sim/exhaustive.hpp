// Goes every way that three nodes can go from a few starting points, to a stated depth: each message delivered now,
// later or never, each node cut off, frozen, killed and started again, an operator's word, time passing in between.
// Invariants I1 to I4 are judged in every state.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "runtime/base/seeded_bugs.hpp"
#include "tests/sim/checker.hpp"

namespace vigil::sim {

struct ExhaustivePlan {
  unsigned depth = 6;  // choices one after another; narrow starting points go deeper, as printed
  Bug bug = Bug::none;
  std::size_t jobs = 2;
  std::string_view from = {};  // one starting point: settled, takeover, cold, moved or return; empty: all
  bool quiet = false;          // prints nothing
};

struct Exploration {
  std::uint64_t states = 0;
  Invariant violated = Invariant::none;
  unsigned length = 0;  // of the shortest way to the violation
};

bool is_starting_point(std::string_view key);

// Prints what was explored, and the shortest way to a violation.
Exploration explore(const ExhaustivePlan& plan);

}  // namespace vigil::sim
