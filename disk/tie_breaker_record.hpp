// What a tie-breaker's storage holds: one record, twice. Pure: encodes, decodes, and says which copy to trust.
//
//   magic "VIGILTB1" · format u16 · cluster id u32 · generation u64 · epoch counter u64 · proposer u8 ·
//   BLAKE2b-256 (RFC 7693) over all before it · zeros up to slot_bytes; integers are big-endian
//
// A win counts once it stands in both slots, written one after the other, each synced before the next. So a write
// cut short at any byte leaves the other slot whole: with the win before it, which still holds, or with the new
// one. And a copy that the disk lost later does not bring back an older win, as it would where slots take turns.
// Storage that is all zeros was never won. Anything else of which no slot can be trusted is an error, never
// "free": somebody may be living by what it said. (A very first win torn within its one sector is such an error.)
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "runtime/base/ids.hpp"
#include "runtime/base/result.hpp"

namespace vigil::disk {

inline constexpr std::size_t tie_breaker_slot_bytes = 4096;  // a block of whatever may lie below
inline constexpr std::size_t tie_breaker_bytes = 2 * tie_breaker_slot_bytes;

using TieBreakerSlot = std::span<std::uint8_t, tie_breaker_slot_bytes>;

struct TieBreakerRecord {
  std::uint64_t generation = 0;  // counts wins; 0: never won
  Epoch held;                    // genesis: never won
};

struct LoadedTieBreaker {
  TieBreakerRecord record;
  // The slot to write first: never the only good one.
  std::size_t first_slot = 0;
};

void encode_tie_breaker(std::uint32_t cluster_id, const TieBreakerRecord& record, TieBreakerSlot slot);

// From the whole of the storage; what a short file lacks is given as zeros.
Result<LoadedTieBreaker> load_tie_breaker(std::uint32_t cluster_id,
                                          std::span<const std::uint8_t, tie_breaker_bytes> bytes);

}  // namespace vigil::disk
