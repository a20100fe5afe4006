// Containers of fixed capacity: no allocation, trivially relocatable, safe to hold in a message.
// Overflow is our bug where the caller checked the bound, so push() asserts; try_push() is for
// input from outside.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstring>
#include <string>
#include <string_view>

#include "runtime/base/assert.hpp"

namespace vigil {

template <typename T, std::size_t N>
class BoundedVector {
 public:
  static constexpr std::size_t capacity() { return N; }
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  bool full() const { return size_ == N; }

  void push(const T& value) {
    VIGIL_ASSERT(size_ < N);
    items_[size_++] = value;
  }
  [[nodiscard]] bool try_push(const T& value) {
    if (size_ == N) return false;
    items_[size_++] = value;
    return true;
  }
  void pop_back() {
    VIGIL_ASSERT(size_ > 0);
    --size_;
  }
  // Removes the item at index; the order of the others is kept.
  void erase(std::size_t index) {
    VIGIL_ASSERT(index < size_);
    for (std::size_t i = index + 1; i < size_; ++i) items_[i - 1] = items_[i];
    --size_;
  }
  void clear() { size_ = 0; }
  void resize(std::size_t size) {
    VIGIL_ASSERT(size <= N);
    for (std::size_t i = size_; i < size; ++i) items_[i] = T{};
    size_ = size;
  }

  T& operator[](std::size_t index) {
    VIGIL_ASSERT(index < size_);
    return items_[index];
  }
  const T& operator[](std::size_t index) const {
    VIGIL_ASSERT(index < size_);
    return items_[index];
  }
  T& back() { return (*this)[size_ - 1]; }
  const T& back() const { return (*this)[size_ - 1]; }
  T* begin() { return items_.data(); }
  T* end() { return items_.data() + size_; }
  const T* begin() const { return items_.data(); }
  const T* end() const { return items_.data() + size_; }

  friend bool operator==(const BoundedVector& a, const BoundedVector& b) {
    if (a.size_ != b.size_) return false;
    for (std::size_t i = 0; i < a.size_; ++i)
      if (!(a.items_[i] == b.items_[i])) return false;
    return true;
  }

 private:
  std::array<T, N> items_{};
  std::size_t size_ = 0;
};

// Text of at most N bytes, no terminator needed; longer text is cut.
template <std::size_t N>
class BoundedString {
 public:
  BoundedString() = default;
  BoundedString(std::string_view text) { assign(text); }  // NOLINT: implicit by design
  BoundedString(const char* text) { assign(text); }       // NOLINT

  void assign(std::string_view text) {
    size_ = text.size() < N ? text.size() : N;
    if (size_ > 0) std::memcpy(bytes_.data(), text.data(), size_);
    bytes_[size_] = '\0';
  }
  static constexpr std::size_t capacity() { return N; }
  std::string_view view() const { return {bytes_.data(), size_}; }
  std::string str() const { return std::string(view()); }
  const char* c_str() const { return bytes_.data(); }
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  friend bool operator==(const BoundedString& a, const BoundedString& b) { return a.view() == b.view(); }
  friend bool operator==(const BoundedString& a, std::string_view b) { return a.view() == b; }

 private:
  std::array<char, N + 1> bytes_{};
  std::size_t size_ = 0;
};

}  // namespace vigil
