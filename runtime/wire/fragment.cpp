// Cutting messages and putting them together. The rules and their reasons are in the header file.
#include "runtime/wire/fragment.hpp"

#include <sodium.h>

#include <algorithm>

namespace vigil::wire {

namespace {

// SipHash-2-4 under a public key: it tells contents apart, frames are authenticated elsewhere.
constexpr std::array<std::uint8_t, crypto_shorthash_KEYBYTES> hash_key{'v', 'i', 'g', 'i', 'l', ' ', 'm', 'e',
                                                                       's', 's', 'a', 'g', 'e', ' ', 'v', '1'};

std::uint64_t hash_of(Bytes bytes) {
  std::array<std::uint8_t, crypto_shorthash_BYTES> hash{};
  crypto_shorthash(hash.data(), bytes.data(), bytes.size(), hash_key.data());
  return ByteReader(hash).get_u64();
}

constexpr std::size_t count_of(std::size_t total) { return (total + slice_bytes - 1) / slice_bytes; }

constexpr std::size_t slice_size(std::size_t total, std::size_t index) {
  return std::min(slice_bytes, total - index * slice_bytes);
}

}  // namespace

// ---- Sender ------------------------------------------------------------------------------------------

FragmentPlan Fragmenter::plan(NodeId to, Bytes message) {
  VIGIL_ASSERT(to < limits::max_nodes);
  VIGIL_ASSERT(!message.empty());
  VIGIL_ASSERT(message.size() <= limits::message_bytes);
  return {message, ++next_id_[to], hash_of(message), count_of(message.size())};
}

std::size_t write_fragment(const FragmentPlan& plan, std::size_t index, MutableBytes out) {
  VIGIL_ASSERT(index < plan.count);
  const std::size_t total = plan.message.size();
  ByteWriter writer(out);
  writer.put_u32(plan.id);
  writer.put_u64(plan.hash);
  writer.put_u16(static_cast<std::uint16_t>(total));
  writer.put_u8(static_cast<std::uint8_t>(index));
  writer.put_bytes(plan.message.subspan(index * slice_bytes, slice_size(total, index)));
  VIGIL_ASSERT(writer.ok());
  return writer.size();
}

// ---- Receiver ----------------------------------------------------------------------------------------

// An id too old to be remembered counts as delivered: the sender's next repetition has a fresh one.
bool Reassembler::Delivered::has(std::uint32_t id) const {
  if (id > highest) return false;
  const std::uint32_t age = highest - id;
  return age >= 64 || ((recent >> age) & 1) != 0;
}

void Reassembler::Delivered::add(std::uint32_t id) {
  if (id > highest) {
    const std::uint32_t step = id - highest;
    recent = step < 64 ? recent << step : 0;
    highest = id;
  }
  const std::uint32_t age = highest - id;
  if (age < 64) recent |= std::uint64_t{1} << age;
}

Reassembler::Reassembler(std::size_t nodes) : peers_(nodes) { VIGIL_ASSERT(nodes <= limits::max_nodes); }

Assembled Reassembler::add(NodeId from, std::uint64_t start_id, Bytes body) {
  VIGIL_ASSERT(from < peers_.size());
  ++clock_;
  ByteReader reader(body);
  const std::uint32_t id = reader.get_u32();
  const std::uint64_t hash = reader.get_u64();
  const std::size_t total = reader.get_u16();
  const std::size_t index = reader.get_u8();
  const bool fits = reader.ok() && id != 0 && total > 0 && total <= limits::message_bytes && index < count_of(total) &&
                    reader.remaining() == slice_size(total, index);
  if (!fits) {
    ++counters_.malformed;
    return {FragmentStatus::malformed, {}};
  }

  Peer& peer = peers_[from];
  if (peer.start_id != start_id) {
    peer.start_id = start_id;
    peer.delivered = Delivered{};
    for (Slot& slot : peer.slots) slot.used = false;
  }
  if (peer.delivered.has(id)) {
    ++counters_.duplicates;
    return {FragmentStatus::duplicate, {}};
  }
  const Bytes slice = reader.get_bytes(reader.remaining());
  if (count_of(total) > 1) return add_to_slot(peer, id, hash, total, index, slice);

  if (hash_of(slice) != hash) {
    ++counters_.corrupt;
    return {FragmentStatus::corrupt, {}};
  }
  peer.delivered.add(id);
  ++counters_.delivered;
  return {FragmentStatus::complete, slice};
}

Reassembler::Slot& Reassembler::slot_for(Peer& peer, std::uint64_t hash, std::size_t total) {
  Slot* best = &peer.slots[0];
  for (Slot& slot : peer.slots) {
    if (slot.used && slot.hash == hash && slot.total == total) return slot;
    if (!slot.used && best->used) best = &slot;
    if (slot.used == best->used && slot.touched < best->touched) best = &slot;
  }
  if (best->used) ++counters_.given_up;
  best->used = true;
  best->hash = hash;
  best->total = total;
  best->held.reset();
  best->ids.clear();
  return *best;
}

Assembled Reassembler::add_to_slot(Peer& peer, std::uint32_t id, std::uint64_t hash, std::size_t total,
                                   std::size_t index, Bytes slice) {
  Slot& slot = slot_for(peer, hash, total);
  slot.touched = clock_;
  if (std::find(slot.ids.begin(), slot.ids.end(), id) == slot.ids.end()) {
    if (slot.ids.full()) slot.ids.erase(0);
    slot.ids.push(id);
  }
  if (slot.held[index]) {
    ++counters_.duplicates;
    return {FragmentStatus::duplicate, {}};
  }
  std::copy(slice.begin(), slice.end(), slot.bytes.begin() + static_cast<std::ptrdiff_t>(index * slice_bytes));
  slot.held.set(index);
  if (slot.held.count() < count_of(total)) return {FragmentStatus::incomplete, {}};
  return finish(peer, slot);
}

Assembled Reassembler::finish(Peer& peer, Slot& slot) {
  slot.used = false;
  const Bytes message(slot.bytes.data(), slot.total);
  if (hash_of(message) != slot.hash) {
    ++counters_.corrupt;
    return {FragmentStatus::corrupt, {}};
  }
  for (const std::uint32_t id : slot.ids) peer.delivered.add(id);
  ++counters_.delivered;
  return {FragmentStatus::complete, message};
}

}  // namespace vigil::wire
