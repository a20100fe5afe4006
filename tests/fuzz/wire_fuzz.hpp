// What the fuzz targets of the wire share: a key that they know, and a way to stop.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "runtime/wire/frame.hpp"

namespace vigil::fuzz {

inline constexpr std::array<std::uint8_t, wire::key_bytes> known_key{42};
inline constexpr std::uint8_t known_key_id = 1;

// Ends the run: libFuzzer keeps the input. Always on, unlike assert().
inline void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

inline wire::KeyRing& known_keys() {
  static wire::KeyRing keys;
  static const bool added = wire::prepare_cryptography().ok() && keys.add(known_key_id, known_key).ok();
  require(added, "the known key can be added");
  return keys;
}

// Takes values off the front of an input; zeros when it is used up.
class Input {
 public:
  explicit Input(wire::Bytes bytes) : rest_(bytes) {}
  bool empty() const { return rest_.empty(); }
  wire::Bytes rest() const { return rest_; }
  std::uint8_t byte() {
    if (rest_.empty()) return 0;
    const std::uint8_t value = rest_[0];
    rest_ = rest_.subspan(1);
    return value;
  }
  std::uint64_t word() {
    std::uint64_t value = 0;
    for (int i = 0; i < 8; ++i) value = value << 8 | byte();
    return value;
  }
  wire::Bytes bytes(std::size_t count) {
    const wire::Bytes taken = rest_.first(std::min(count, rest_.size()));
    rest_ = rest_.subspan(taken.size());
    return taken;
  }

 private:
  wire::Bytes rest_;
};

}  // namespace vigil::fuzz
