// Real time of the simulated world, and each node's own idea of it: a clock with an offset and a rate
// that may change, but never runs backwards. Under a paused virtual machine it stands, and when that goes
// on it may catch up. Cores see only Instants of their own node's clock.
#pragma once

#include <cstdint>
#include <limits>

#include "runtime/base/time.hpp"

namespace vigil::sim {

// Nanoseconds since the run began, as nobody inside the world can read them.
using SimTime = std::int64_t;
inline constexpr SimTime sim_never = std::numeric_limits<SimTime>::max();

class NodeClock {
 public:
  // From `now` on the clock shows `local`, and gains `rate_ppm` microseconds a second on real time.
  void set(SimTime now, Instant local, std::int64_t rate_ppm) {
    real_ = now;
    local_ = local.ns;
    ppm_ = rate_ppm;
    stands_ = false;
  }
  void set_rate(SimTime now, std::int64_t rate_ppm) {
    if (stands_)
      ppm_ = rate_ppm;
    else
      set(now, at(now), rate_ppm);
  }
  void stop(SimTime now) {
    set(now, at(now), ppm_);
    stands_ = true;
  }
  // Goes on, `ahead_ns` of its own further on than where it stopped.
  void go(SimTime now, std::int64_t ahead_ns) { set(now, Instant{local_ + ahead_ns}, ppm_); }

  Instant at(SimTime now) const { return Instant{stands_ ? local_ : local_ + scaled(now - real_)}; }

  // The first moment at which the clock shows `instant` or more; `now` when it already does.
  SimTime when(Instant instant, SimTime now) const {
    const std::int64_t ahead = instant.ns - local_;
    if (instant.is_never() || ahead > furthest_ns) return sim_never;
    if (instant <= at(now)) return now;
    if (stands_) return sim_never;
    SimTime when = real_ + ahead * million / (million + ppm_);
    while (at(when) < instant) ++when;
    return when < now ? now : when;
  }

 private:
  static constexpr std::int64_t million = 1'000'000;
  static constexpr std::int64_t furthest_ns = 4'000'000'000'000;  // keeps the products inside 63 bits

  std::int64_t scaled(std::int64_t real_ns) const {
    return real_ns + real_ns / million * ppm_ + real_ns % million * ppm_ / million;
  }

  SimTime real_ = 0;
  std::int64_t local_ = 0;
  std::int64_t ppm_ = 0;
  bool stands_ = false;
};

}  // namespace vigil::sim
