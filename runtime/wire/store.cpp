// Encoding, checking and choosing between the slots of the state file. The rules: header file.
#include "runtime/wire/store.hpp"

#include <sodium.h>

#include <algorithm>
#include <array>
#include <string>

namespace vigil::wire {

namespace {

constexpr std::array<std::uint8_t, 8> magic{'V', 'I', 'G', 'I', 'L', 'S', 'T', '1'};
constexpr std::uint16_t format = 1;
constexpr std::size_t checksum_bytes = 32;
constexpr std::size_t checked_header_bytes = slot_header_bytes - checksum_bytes;
constexpr std::size_t payload_bytes_max = slot_bytes - slot_header_bytes;

using Checksum = std::array<std::uint8_t, checksum_bytes>;

Checksum checksum_of(Bytes header, Bytes payload) {
  Checksum checksum{};
  crypto_generichash_state state;
  crypto_generichash_init(&state, nullptr, 0, checksum.size());
  crypto_generichash_update(&state, header.data(), header.size());
  crypto_generichash_update(&state, payload.data(), payload.size());
  crypto_generichash_final(&state, checksum.data(), checksum.size());
  return checksum;
}

bool all_zero(Bytes bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::uint8_t byte) { return byte == 0; });
}

bool decode_payload(Bytes payload, StoredImage& image) {
  ByteReader reader(payload);
  image.epoch_ceiling = reader.get_u64();
  image.longest_acknowledged.ns =
      static_cast<std::int64_t>(reader.get_varint_up_to(static_cast<std::uint64_t>(lease_sane_max.ns)));
  decode_record(reader, image.accepted);
  return reader.finished();
}

}  // namespace

void encode_slot(const StoreOwner& owner, std::uint64_t generation, const StoredImage& image,
                 std::span<std::uint8_t, slot_bytes> slot) {
  VIGIL_ASSERT(generation > 0);
  std::fill(slot.begin(), slot.end(), std::uint8_t{0});
  ByteWriter payload(slot.subspan(slot_header_bytes));
  payload.put_u64(image.epoch_ceiling);
  const Duration longest = shorter(longer(image.longest_acknowledged, Duration{}), lease_sane_max);
  payload.put_varint(static_cast<std::uint64_t>(longest.ns));
  encode_record(payload, image.accepted);
  VIGIL_ASSERT(payload.ok());

  ByteWriter header(slot.first(slot_header_bytes));
  header.put_bytes(magic);
  header.put_u16(format);
  header.put_u32(owner.cluster_id);
  header.put_u8(owner.node);
  header.put_u64(generation);
  header.put_u32(static_cast<std::uint32_t>(payload.size()));
  header.put_bytes(checksum_of(header.written(), payload.written()));
  VIGIL_ASSERT(header.ok());
}

Slot decode_slot(const StoreOwner& owner, std::size_t index, std::span<const std::uint8_t, slot_bytes> bytes) {
  Slot slot;
  if (all_zero(bytes)) return slot;
  slot.status = SlotStatus::damaged;
  ByteReader reader(bytes);
  const Bytes found_magic = reader.get_bytes(magic.size());
  const std::uint16_t found_format = reader.get_u16();
  const std::uint32_t cluster_id = reader.get_u32();
  const NodeId node = reader.get_u8();
  const std::uint64_t generation = reader.get_u64();
  const std::size_t length = reader.get_u32();
  const Bytes checksum = reader.get_bytes(checksum_bytes);
  if (!std::equal(magic.begin(), magic.end(), found_magic.begin()) || length > payload_bytes_max) return slot;
  const Bytes payload = reader.get_bytes(length);
  const Checksum expected = checksum_of(bytes.first(checked_header_bytes), payload);
  if (!std::equal(expected.begin(), expected.end(), checksum.begin())) return slot;

  // Whole: what a release wrote, unchanged.
  if (found_format > format) {
    slot.status = SlotStatus::newer;
  } else if (cluster_id != owner.cluster_id || node != owner.node) {
    slot.status = SlotStatus::foreign;
  } else if (found_format == format && generation > 0 && slot_of(generation) == index &&
             decode_payload(payload, slot.image)) {
    slot.status = SlotStatus::valid;
    slot.generation = generation;
  }
  return slot;
}

Result<LoadedStore> load_store(const StoreOwner& owner, Bytes file) {
  if (file.size() <= store_bytes && all_zero(file)) return LoadedStore{};
  if (file.size() != store_bytes)
    return Error::of("reading the state file: it has " + std::to_string(file.size()) + " bytes, not " +
                     std::to_string(store_bytes) + "; it was cut or is no state file; move it away, and the node "
                     "will recover its state from the others");
  const std::array<Slot, 2> slots{decode_slot(owner, 0, file.first<slot_bytes>()),
                                  decode_slot(owner, 1, file.last<slot_bytes>())};
  const auto any = [&slots](SlotStatus status) { return slots[0].status == status || slots[1].status == status; };
  if (any(SlotStatus::newer))
    return Error::of("reading the state file: a newer release wrote it; start that release again, or move the file "
                     "away, and the node will recover its state from the others");
  if (any(SlotStatus::foreign))
    return Error::of("reading the state file: it belongs to another node or cluster; move it away, and the node will "
                     "recover its state from the others");

  LoadedStore loaded;
  loaded.other_slot_damaged = any(SlotStatus::damaged);
  for (const Slot& slot : slots) {
    if (slot.status != SlotStatus::valid || slot.generation <= loaded.generation) continue;
    loaded.image = slot.image;
    loaded.generation = slot.generation;
  }
  // The very first write goes to slot 1: cut short, it leaves slot 0 blank, and nobody relied on it yet.
  const bool first_write_torn = slots[0].status == SlotStatus::blank;
  if (loaded.generation == 0 && !first_write_torn)
    return Error::of("reading the state file: neither of its two slots is whole; check the disk, move the file away, "
                     "and the node will recover its state from the others");
  return loaded;
}

}  // namespace vigil::wire
