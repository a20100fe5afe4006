// See disk.hpp.
#include "tests/sim/disk.hpp"

#include <algorithm>
#include <vector>

#include "runtime/wire/store.hpp"

namespace vigil::sim {

namespace {

constexpr std::uint32_t cluster_id = 7;

wire::StoredImage image_of(const StoredState& state) {
  return {state.epoch_ceiling, state.longest_acknowledged, state.accepted};
}

void put(std::vector<std::uint8_t>& file, std::uint8_t node, std::uint64_t generation, const StoredState& state,
         std::size_t bytes) {
  std::array<std::uint8_t, wire::slot_bytes> slot;
  wire::encode_slot({cluster_id, node}, generation, image_of(state), slot);
  std::copy_n(slot.begin(), bytes,
              file.begin() + static_cast<std::ptrdiff_t>(wire::slot_of(generation) * wire::slot_bytes));
}

}  // namespace

void Disk::format(const StoredState& state) {
  *this = Disk{};
  if (state.longest_acknowledged.ns != 0) store(state);
}

void Disk::store(const StoredState& state) {
  older_ = newest_;
  newest_ = state;
  ++generation_;
}

void Disk::tear(const StoredState& state, Random& random) {
  torn_ = state;
  // Few bytes of a slot say anything: half of the cuts fall among them.
  torn_at_ = random.below(random.chance(50) ? 700 : wire::slot_bytes + 1);
}

void Disk::wipe() { *this = Disk{}; }

bool Disk::load(std::uint8_t node, StoredState& state) {
  std::vector<std::uint8_t> file(wire::store_bytes);
  if (generation_ > 1) put(file, node, generation_ - 1, older_, wire::slot_bytes);
  if (generation_ > 0) put(file, node, generation_, newest_, wire::slot_bytes);
  if (torn_) put(file, node, generation_ + 1, *torn_, torn_at_);
  const Result<wire::LoadedStore> loaded = wire::load_store({cluster_id, node}, file);
  if (!loaded) return false;
  const bool whole = loaded->generation == generation_ + 1;
  const StoredState& expected = whole && torn_ ? *torn_ : newest_;
  if (!whole && loaded->generation != generation_) return false;
  if (!(loaded->image == image_of(expected))) return false;
  if (whole) store(StoredState{expected});
  torn_.reset();
  state = {loaded->image.epoch_ceiling, loaded->image.accepted, loaded->image.longest_acknowledged};
  return true;
}

}  // namespace vigil::sim
