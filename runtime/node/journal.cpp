#include "runtime/node/journal.hpp"

#include "runtime/base/assert.hpp"

namespace vigil {

bool Journal::add(const JournalEntry& entry) {
  // Copies arrive close together: the last few hundred are enough to look through.
  constexpr std::uint64_t window = 256;
  const std::uint64_t from = end_ > window ? end_ - window : 0;
  for (std::uint64_t position = end_; position-- > from;) {
    const JournalEntry& known = at(position);
    if (known.node == entry.node && known.sequence == entry.sequence && known.boot_ns == entry.boot_ns) return false;
  }
  (*entries_)[end_ % capacity] = entry;
  ++end_;
  return true;
}

}  // namespace vigil
