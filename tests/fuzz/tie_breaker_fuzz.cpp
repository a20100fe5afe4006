// The tie-breaker's storage. First byte even: the rest is what lies there, to the letter. Odd: two whole records
// are made from the rest, and then damaged, so that what lies behind the checksums is reached. What is taken for
// good must have been written whole, in one slot at least; and from there a win must be possible.
#include <algorithm>
#include <array>

#include "disk/tie_breaker_record.hpp"
#include "tests/fuzz/wire_fuzz.hpp"

namespace {

using namespace vigil;

constexpr std::uint32_t cluster = 7;
using Storage = std::array<std::uint8_t, disk::tie_breaker_bytes>;

disk::TieBreakerSlot slot_of(Storage& storage, std::size_t slot) {
  return disk::TieBreakerSlot(storage.data() + slot * disk::tie_breaker_slot_bytes, disk::tie_breaker_slot_bytes);
}

void load(Storage& storage) {
  const auto loaded = disk::load_tie_breaker(cluster, storage);
  if (!loaded) return;
  fuzz::require(loaded->first_slot < 2, "there are two slots");
  const bool free = loaded->record.generation == 0;
  const bool zeros = std::all_of(storage.begin(), storage.end(), [](std::uint8_t byte) { return byte == 0; });
  fuzz::require(free == zeros, "free is what was never written, and nothing else");
  if (loaded->record.generation == UINT64_MAX) return;
  const disk::TieBreakerRecord next{loaded->record.generation + 1, {99, 1}};
  disk::encode_tie_breaker(cluster, next, slot_of(storage, loaded->first_slot));
  const auto half = disk::load_tie_breaker(cluster, storage);
  fuzz::require(half.ok() && half->record.held == next.held, "the first slot alone tells the new win");
  disk::encode_tie_breaker(cluster, next, slot_of(storage, 1 - loaded->first_slot));
  const auto won = disk::load_tie_breaker(cluster, storage);
  fuzz::require(won.ok() && won->record.generation == next.generation, "both slots hold it");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Storage storage;
  storage.fill(0);
  fuzz::Input input(wire::Bytes(data, size));
  if (input.byte() % 2 == 1) {
    for (std::size_t slot = 0; slot < 2; ++slot) {
      const disk::TieBreakerRecord record{1u + input.byte(), {1u + input.byte(), static_cast<NodeId>(input.byte())}};
      disk::encode_tie_breaker(cluster, record, slot_of(storage, slot));
    }
    for (int changes = input.byte() % 4; changes > 0; --changes) {
      const std::size_t at = input.byte() % 80 + (input.byte() % 2) * disk::tie_breaker_slot_bytes;
      storage[at] = static_cast<std::uint8_t>(storage[at] ^ input.byte());
    }
  } else {
    const wire::Bytes given = input.bytes(storage.size());
    std::copy(given.begin(), given.end(), storage.begin());
  }
  load(storage);
  return 0;
}
