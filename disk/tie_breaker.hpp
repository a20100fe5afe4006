// The tie-breaker: one register that both halves of a cluster can reach when they no longer reach each other. It
// holds the epoch for which it was won last; whoever holds it decides with half of the votes. What keeps the register
// (a file, a LUN's reservation) is the implementation's; all of them may block, so only vigil-agent uses them.
// Decides nothing but who was first: whether it may be gone for is the core's (core/tie_breaker.hpp).
#pragma once

#include "runtime/base/ids.hpp"
#include "runtime/base/result.hpp"
#include "runtime/base/time.hpp"

namespace vigil::disk {

class TieBreaker {
 public:
  virtual ~TieBreaker() = default;

  // For which epoch it is won; genesis: never yet. What cannot be read is an error, never "free".
  virtual Result<Epoch> read() = 0;

  // One compare-and-swap: won for `epoch`, unless it is won for an epoch above `known` already. For which epoch it is
  // won afterwards. The answer counts: it is on stable storage and was read back. After an error nobody knows
  // whether it was won. Nothing is written that begins after `deadline` (CLOCK_BOOTTIME).
  virtual Result<Epoch> win(const Epoch& epoch, const Epoch& known, Instant deadline) = 0;
};

}  // namespace vigil::disk
