// The state file: what a node must not forget over a restart, in two slots written in turn.
//
// A write goes to the slot that does not hold the newest image, so that a write cut short at any byte
// leaves the other slot whole. Generations count writes; generation g lives in slot g % 2. Each slot
// is slot_bytes long and starts at a multiple of it (whole pages and disk blocks):
//
//   magic "VIGILST1" · format u16 · cluster id u32 · node u8 · generation u64 · payload length u32 ·
//   BLAKE2b-256 (RFC 7693) over all before it and the payload · payload · zeros
//   payload: epoch ceiling u64 · longest acknowledged lease ns varint · record (record_codec.hpp)
//
// Pure: encodes and decodes; the shell writes a slot, fsyncs the file, and says when that is done.
// A file of which no slot can be read is never taken for "nothing was stored", except where the very
// first write was cut short (slot 0 still blank): load_store() refuses it, and a person decides.
#pragma once

#include "runtime/base/message.hpp"
#include "runtime/base/result.hpp"
#include "runtime/wire/bytes.hpp"
#include "runtime/wire/record_codec.hpp"

namespace vigil::wire {

struct StoredImage {
  std::uint64_t epoch_ceiling = 0;
  Duration longest_acknowledged;
  Record accepted;

  bool operator==(const StoredImage&) const = default;
};

// Whose state this is: a file copied from another node or cluster is refused.
struct StoreOwner {
  std::uint32_t cluster_id = 0;
  NodeId node = no_node;
};

inline constexpr std::size_t slot_bytes = 8192;
inline constexpr std::size_t store_bytes = 2 * slot_bytes;
inline constexpr std::size_t slot_header_bytes = 8 + 2 + 4 + 1 + 8 + 4 + 32;
static_assert(slot_header_bytes + 8 + varint_bytes_max + record_bytes_max <= slot_bytes);

// Where generation g is written, in the file: at slot_of(g) * slot_bytes.
constexpr std::size_t slot_of(std::uint64_t generation) { return generation % 2; }

// Fills the slot. `generation` is one above the newest, from 1.
void encode_slot(const StoreOwner& owner, std::uint64_t generation, const StoredImage& image,
                 std::span<std::uint8_t, slot_bytes> slot);

enum class SlotStatus : std::uint8_t {
  blank,    // all zeros: never written
  valid,
  damaged,  // torn or garbage
  foreign,  // of another node or cluster
  newer,    // whole, but in a format of a newer release
};

struct Slot {
  SlotStatus status = SlotStatus::blank;
  std::uint64_t generation = 0;  // when valid
  StoredImage image;             // when valid
};

// `index`: which of the two this is; an image found in the wrong one counts as damaged.
Slot decode_slot(const StoreOwner& owner, std::size_t index, std::span<const std::uint8_t, slot_bytes> bytes);

struct LoadedStore {
  StoredImage image;              // default when nothing was ever stored
  std::uint64_t generation = 0;   // 0: nothing stored; the next write has generation + 1
  bool other_slot_damaged = false;  // a write was cut short before it counted: for the log
};

// The newest valid image of a whole file, or why it must not be used: both slots unreadable, another
// node's file, or one that a newer release wrote. A file that is empty or all zeros (first start)
// gives the default.
Result<LoadedStore> load_store(const StoreOwner& owner, Bytes file);

}  // namespace vigil::wire
