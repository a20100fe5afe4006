// Time as the cores see it: nanoseconds, signed, never read here.
//
// An Instant is a reading of CLOCK_BOOTTIME on one node (or of the simulator's virtual clock for
// that node). Instants of two nodes are never compared; only Durations travel between nodes.
#pragma once

#include <compare>
#include <cstdint>
#include <limits>

namespace vigil {

struct Duration {
  std::int64_t ns = 0;

  static constexpr Duration from_ns(std::int64_t value) { return {value}; }
  static constexpr Duration from_us(std::int64_t value) { return {value * 1'000}; }
  static constexpr Duration from_ms(std::int64_t value) { return {value * 1'000'000}; }
  static constexpr Duration from_s(std::int64_t value) { return {value * 1'000'000'000}; }

  constexpr std::int64_t us() const { return ns / 1'000; }
  constexpr double ms() const { return static_cast<double>(ns) / 1e6; }

  constexpr auto operator<=>(const Duration&) const = default;
  constexpr Duration operator+(Duration other) const { return {ns + other.ns}; }
  constexpr Duration operator-(Duration other) const { return {ns - other.ns}; }
  constexpr Duration operator*(std::int64_t factor) const { return {ns * factor}; }
  constexpr Duration operator/(std::int64_t divisor) const { return {ns / divisor}; }
};

struct Instant {
  std::int64_t ns = 0;

  static constexpr Instant never() { return {std::numeric_limits<std::int64_t>::max()}; }
  constexpr bool is_never() const { return ns == std::numeric_limits<std::int64_t>::max(); }

  constexpr auto operator<=>(const Instant&) const = default;
  constexpr Instant operator+(Duration delta) const { return is_never() ? never() : Instant{ns + delta.ns}; }
  constexpr Instant operator-(Duration delta) const { return is_never() ? never() : Instant{ns - delta.ns}; }
  constexpr Duration operator-(Instant other) const { return {ns - other.ns}; }
};

constexpr Instant earlier(Instant a, Instant b) { return a < b ? a : b; }
constexpr Instant later(Instant a, Instant b) { return a < b ? b : a; }
constexpr Duration shorter(Duration a, Duration b) { return a < b ? a : b; }
constexpr Duration longer(Duration a, Duration b) { return a < b ? b : a; }

}  // namespace vigil
