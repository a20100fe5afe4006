// Proves that the checker sees: every seeded bug must be found within so many seeds, by a violation that the same
// seed does not have without the bug.
#pragma once

#include "tests/sim/runner.hpp"

namespace vigil::sim {

// `plan.bug`: that one alone; none: all of them. Prints the table of runtime/DESIGN.md, section 8.
int prove_checker(const RunPlan& plan);

}  // namespace vigil::sim
