#include "runtime/node/journal.hpp"

namespace vigil {

namespace {

// Who wrote it, when in its life: what tells entries apart.
bool is_same(const JournalEntry& a, const JournalEntry& b) {
  return a.node == b.node && a.sequence == b.sequence && a.boot_ns == b.boot_ns;
}

std::size_t bucket_of(const JournalEntry& entry) {
  constexpr std::uint64_t odd = 0x9e3779b97f4a7c15;  // 2^64 by the golden ratio
  const std::uint64_t mixed = (entry.sequence * odd) ^ static_cast<std::uint64_t>(entry.boot_ns) ^ entry.node;
  return static_cast<std::size_t>((mixed * odd) >> 32) % Journal::capacity;
}

}  // namespace

bool Journal::add(const JournalEntry& entry) {
  std::uint64_t& newest = index_->newest[bucket_of(entry)];
  for (std::uint64_t next = newest; next > first(); next = index_->older[(next - 1) % capacity])
    if (is_same(at(next - 1), entry)) return false;
  index_->older[end_ % capacity] = newest;
  (*entries_)[end_ % capacity] = entry;
  newest = ++end_;
  return true;
}

}  // namespace vigil
