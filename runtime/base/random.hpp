// A small deterministic generator (splitmix64, Steele, Lea and Flood 2014): the same seed gives the
// same run, on every machine. Not for keys.
#pragma once

#include <cstdint>

namespace vigil {

class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() {
    state_ += 0x9e3779b97f4a7c15ULL;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }
  // 0 … bound-1; bound 0 gives 0.
  std::uint64_t below(std::uint64_t bound) { return bound == 0 ? 0 : next() % bound; }
  // low … high, both included.
  std::int64_t between(std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(below(static_cast<std::uint64_t>(high - low) + 1));
  }
  // True about `percent` times in a hundred.
  bool chance(double percent) { return static_cast<double>(next() >> 11) * 0x1.0p-53 * 100.0 < percent; }

 private:
  std::uint64_t state_;
};

}  // namespace vigil
