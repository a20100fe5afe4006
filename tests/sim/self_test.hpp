// Feeds the checker hand-made histories that break each invariant, and the same histories unbroken.
#pragma once

namespace vigil::sim {

// Prints one line a case; the number of cases that the checker judged wrongly becomes exit status 0 or 1.
int self_test();

}  // namespace vigil::sim
