// Reads the two clocks of the daemon. CLOCK_BOOTTIME is the one that leases, detection and timers
// run on: it never steps, and it counts the time of a suspended machine. CLOCK_REALTIME is for people
// and the journal; the one decision that looks at it is whether a newcomer's is too far off to be let in.
#pragma once

#include <time.h>

#include <cstdint>

#include "runtime/base/assert.hpp"
#include "runtime/base/time.hpp"

namespace vigil {

inline std::int64_t clock_ns(clockid_t clock) {
  timespec now{};
  VIGIL_ASSERT(::clock_gettime(clock, &now) == 0);
  return static_cast<std::int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

// Some 25 ns: the kernel answers from the vDSO.
inline Instant boottime_now() { return Instant{clock_ns(CLOCK_BOOTTIME)}; }
inline std::int64_t realtime_ns() { return clock_ns(CLOCK_REALTIME); }

}  // namespace vigil
