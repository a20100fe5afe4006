// A bounded queue from the loop to a thread beside it: neither ever waits for the other, and nothing is allocated
// after construction. What finds it full is counted, and the thread is told how much was lost.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

namespace vigil {

template <typename Item, std::size_t capacity>
class Handover {
 public:
  // The loop's side: the place to fill, or null when it is full; then publish().
  Item* claim() {
    const std::uint64_t position = written_.load(std::memory_order_relaxed);
    if (position - read_.load(std::memory_order_acquire) < capacity) return &items_[position % capacity];
    lost_.fetch_add(1, std::memory_order_relaxed);
    return nullptr;
  }
  void publish() { written_.fetch_add(1, std::memory_order_release); }

  // The thread's side: the oldest item, or null; then release().
  const Item* next() const {
    const std::uint64_t position = read_.load(std::memory_order_relaxed);
    return position < written_.load(std::memory_order_acquire) ? &items_[position % capacity] : nullptr;
  }
  void release() { read_.fetch_add(1, std::memory_order_release); }
  std::uint64_t take_lost() { return lost_.exchange(0, std::memory_order_relaxed); }

 private:
  std::array<Item, capacity> items_{};
  std::atomic<std::uint64_t> written_{0};
  std::atomic<std::uint64_t> read_{0};
  std::atomic<std::uint64_t> lost_{0};
};

}  // namespace vigil
