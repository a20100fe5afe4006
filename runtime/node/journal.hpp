// A journal in memory: the newest entries of this node and those that others shared, in the order of
// their arrival. Answers `vigil why` and `vigil events`; the agent keeps the file.
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "runtime/base/journal.hpp"

namespace vigil {

class Journal {
 public:
  static constexpr std::size_t capacity = 4096;

  Journal() : entries_(std::make_unique<std::array<JournalEntry, capacity>>()), index_(std::make_unique<Index>()) {}

  // False: an entry that is here already (another path brought it).
  bool add(const JournalEntry& entry);
  // Positions count all entries ever added; those in [first(), end()) are still here.
  std::uint64_t first() const { return end_ > capacity ? end_ - capacity : 0; }
  std::uint64_t end() const { return end_; }
  const JournalEntry& at(std::uint64_t position) const { return (*entries_)[position % capacity]; }

 private:
  // Entries of one bucket hang together, newest first; a position before first() ends the chain.
  struct Index {
    std::array<std::uint64_t, capacity> newest{};  // by bucket: position + 1; 0: none
    std::array<std::uint64_t, capacity> older{};   // by place: the next one of its bucket, as above
  };

  std::unique_ptr<std::array<JournalEntry, capacity>> entries_;
  std::unique_ptr<Index> index_;
  std::uint64_t end_ = 0;
};

}  // namespace vigil
