// What probe asks and echod answers. Both run on one machine: host byte order.
#pragma once

#include <array>
#include <cstdint>

namespace vigil::bench {

inline constexpr std::uint16_t default_port = 7999;
inline constexpr std::uint64_t magic = 0x6967696c50726f62;
inline constexpr std::size_t name_bytes = 31;

struct Probe {
  std::uint64_t magic = 0;
  std::uint64_t run = 0;       // of one prober: answers to another's questions are not ours
  std::uint64_t sequence = 0;  // from 0
};

struct Answer {
  Probe probe;
  std::uint64_t answered_ns = 0;  // CLOCK_BOOTTIME, when the server answered
  std::array<char, name_bytes + 1> name{};
};

}  // namespace vigil::bench
