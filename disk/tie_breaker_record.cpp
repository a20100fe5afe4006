#include "disk/tie_breaker_record.hpp"

#include <sodium.h>

#include <algorithm>

namespace vigil::disk {

namespace {

using SlotView = std::span<const std::uint8_t, tie_breaker_slot_bytes>;

constexpr std::array<std::uint8_t, 8> magic{'V', 'I', 'G', 'I', 'L', 'T', 'B', '1'};
constexpr std::uint16_t format = 1;
constexpr std::size_t format_at = magic.size();
constexpr std::size_t cluster_at = format_at + 2;
constexpr std::size_t generation_at = cluster_at + 4;
constexpr std::size_t counter_at = generation_at + 8;
constexpr std::size_t proposer_at = counter_at + 8;
constexpr std::size_t checksum_at = proposer_at + 1;
constexpr std::size_t checksum_bytes = 32;
static_assert(checksum_at + checksum_bytes <= 512, "one sector: the smallest that a disk writes as a whole");

using Checksum = std::array<std::uint8_t, checksum_bytes>;

enum class SlotStatus : std::uint8_t { blank, valid, damaged, foreign, newer };

struct Slot {
  SlotStatus status = SlotStatus::blank;
  TieBreakerRecord record;  // when valid
};

void put(std::span<std::uint8_t> bytes, std::uint64_t value) {
  for (std::size_t i = bytes.size(); i-- > 0; value >>= 8) bytes[i] = static_cast<std::uint8_t>(value);
}

std::uint64_t get(std::span<const std::uint8_t> bytes) {
  std::uint64_t value = 0;
  for (const std::uint8_t byte : bytes) value = value << 8 | byte;
  return value;
}

Checksum checksum_of(SlotView slot) {
  Checksum checksum{};
  crypto_generichash(checksum.data(), checksum.size(), slot.data(), checksum_at, nullptr, 0);
  return checksum;
}

Slot decode(std::uint32_t cluster_id, SlotView bytes) {
  Slot slot;
  if (std::all_of(bytes.begin(), bytes.end(), [](std::uint8_t byte) { return byte == 0; })) return slot;
  slot.status = SlotStatus::damaged;
  const Checksum checksum = checksum_of(bytes);
  if (!std::equal(magic.begin(), magic.end(), bytes.begin()) ||
      !std::equal(checksum.begin(), checksum.end(), bytes.begin() + checksum_at))
    return slot;
  const std::uint64_t found_format = get(bytes.subspan<format_at, 2>());
  slot.record.generation = get(bytes.subspan<generation_at, 8>());
  slot.record.held.counter = get(bytes.subspan<counter_at, 8>());
  slot.record.held.proposer = bytes[proposer_at];
  if (found_format > format)
    slot.status = SlotStatus::newer;
  else if (get(bytes.subspan<cluster_at, 4>()) != cluster_id)
    slot.status = SlotStatus::foreign;
  else if (found_format == format && slot.record.generation > 0 && !slot.record.held.is_genesis() &&
           slot.record.held.proposer < limits::max_nodes)
    slot.status = SlotStatus::valid;
  return slot;
}

}  // namespace

void encode_tie_breaker(std::uint32_t cluster_id, const TieBreakerRecord& record, TieBreakerSlot slot) {
  VIGIL_ASSERT(record.generation > 0 && !record.held.is_genesis());
  std::fill(slot.begin(), slot.end(), std::uint8_t{0});
  std::copy(magic.begin(), magic.end(), slot.begin());
  put(slot.subspan<format_at, 2>(), format);
  put(slot.subspan<cluster_at, 4>(), cluster_id);
  put(slot.subspan<generation_at, 8>(), record.generation);
  put(slot.subspan<counter_at, 8>(), record.held.counter);
  slot[proposer_at] = record.held.proposer;
  const Checksum checksum = checksum_of(slot);
  std::copy(checksum.begin(), checksum.end(), slot.begin() + checksum_at);
}

Result<LoadedTieBreaker> load_tie_breaker(std::uint32_t cluster_id,
                                          std::span<const std::uint8_t, tie_breaker_bytes> bytes) {
  const std::array<Slot, 2> slots{decode(cluster_id, bytes.first<tie_breaker_slot_bytes>()),
                                  decode(cluster_id, bytes.last<tie_breaker_slot_bytes>())};
  const auto any = [&slots](SlotStatus status) { return slots[0].status == status || slots[1].status == status; };
  if (any(SlotStatus::newer)) return Error::of("a newer release wrote it; run one release on all nodes");
  if (any(SlotStatus::foreign)) return Error::of("it is another cluster's; give each cluster its own");
  LoadedTieBreaker loaded;
  const bool first = slots[0].status == SlotStatus::valid;
  const bool second = slots[1].status == SlotStatus::valid;
  if (!first && !second) {
    if (!any(SlotStatus::damaged)) return loaded;
    return Error::of("neither of its two copies is whole; check path and storage, stop the cluster, and make it anew");
  }
  const bool newest_is_first = first && (!second || slots[0].record.generation >= slots[1].record.generation);
  loaded.record = slots[newest_is_first ? 0 : 1].record;
  const bool both = first && second && slots[0].record.generation == slots[1].record.generation;
  if (both && slots[0].record.held != slots[1].record.held)
    return Error::of("its two copies contradict each other; is it the same storage on every node, with locks that hold?");
  loaded.first_slot = newest_is_first && !both ? 1 : 0;
  return loaded;
}

}  // namespace vigil::disk
