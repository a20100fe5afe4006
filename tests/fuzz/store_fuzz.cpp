// The state file. First byte even: the rest is a slot as a crash may have left it. Odd: the rest is a
// payload, put into a slot whose header and checksum are right, so that what lies behind them is
// reached; what decodes must encode and decode to the same again.
#include <sodium.h>

#include "runtime/wire/store.hpp"
#include "tests/fuzz/wire_fuzz.hpp"

namespace {

using namespace vigil;

constexpr wire::StoreOwner owner{7, 1};
using SlotBytes = std::array<std::uint8_t, wire::slot_bytes>;
using FileBytes = std::array<std::uint8_t, wire::store_bytes>;

SlotBytes slot_with(wire::Bytes payload) {
  SlotBytes slot{};
  wire::ByteWriter writer(slot);
  for (const char letter : {'V', 'I', 'G', 'I', 'L', 'S', 'T', '1'}) writer.put_u8(static_cast<std::uint8_t>(letter));
  writer.put_u16(1);
  writer.put_u32(owner.cluster_id);
  writer.put_u8(owner.node);
  writer.put_u64(2);
  writer.put_u32(static_cast<std::uint32_t>(payload.size()));
  crypto_generichash_state state;
  std::array<std::uint8_t, 32> checksum;
  crypto_generichash_init(&state, nullptr, 0, checksum.size());
  crypto_generichash_update(&state, slot.data(), writer.size());
  crypto_generichash_update(&state, payload.data(), payload.size());
  crypto_generichash_final(&state, checksum.data(), checksum.size());
  writer.put_bytes(checksum);
  writer.put_bytes(payload);
  return slot;
}

void load(const SlotBytes& slot) {
  static FileBytes file;
  static SlotBytes again;
  file.fill(0);
  std::copy(slot.begin(), slot.end(), file.begin());
  const Result<wire::LoadedStore> loaded = wire::load_store(owner, file);
  if (!loaded.ok() || loaded->generation == 0) return;
  wire::encode_slot(owner, loaded->generation, loaded->image, again);
  const wire::Slot read = wire::decode_slot(owner, 0, again);
  fuzz::require(read.status == wire::SlotStatus::valid, "what was loaded can be stored");
  fuzz::require(read.image == loaded->image, "and is read the same again");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(wire::Bytes(data, size));
  if (input.byte() % 2 == 1) {
    load(slot_with(input.bytes(wire::slot_bytes - wire::slot_header_bytes)));
    return 0;
  }
  SlotBytes slot{};
  const wire::Bytes given = input.bytes(slot.size());
  std::copy(given.begin(), given.end(), slot.begin());
  load(slot);
  return 0;
}
