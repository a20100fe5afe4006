// The bytes of one control packet. Reader and writer share one set of verbs, so that each record
// describes its fields once, in a template, and both directions follow from it. Little-endian,
// unaligned, no padding, no allocation. The reader never reads past its span and never trusts a
// value: the first bad one makes it fail for good, and what it returned is to be thrown away.
//
// Text is a length byte and that many bytes. It ends on a terminal, so it holds no control
// characters: the writer replaces them with '?', the reader refuses them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "runtime/base/bounded.hpp"
#include "runtime/base/cluster.hpp"
#include "runtime/base/ids.hpp"
#include "runtime/base/time.hpp"

namespace vigil::control {

// True for C0 controls, DEL, and the C1 controls in their UTF-8 form (0xC2 0x80 … 0x9F), of which
// terminals obey some.
constexpr bool is_control(std::uint8_t byte, std::uint8_t previous) {
  return byte < 0x20 || byte == 0x7f || (previous == 0xc2 && byte >= 0x80 && byte <= 0x9f);
}

class PacketWriter {
 public:
  static constexpr bool writes = true;
  explicit PacketWriter(std::span<std::byte> buffer) : buffer_(buffer) {}

  std::size_t size() const { return at_; }

  void u8(std::uint8_t value) { put(value, 1); }
  void u16(std::uint16_t value) { put(value, 2); }
  void u32(std::uint32_t value) { put(value, 4); }
  void u64(std::uint64_t value) { put(value, 8); }
  void i64(std::int64_t value) { put(static_cast<std::uint64_t>(value), 8); }
  void boolean(bool value) { put(value ? 1 : 0, 1); }
  void duration(Duration value) { i64(value.ns); }
  void node(NodeId value) { put(value, 1); }
  void nodes(NodeSet value) { put(value.bits(), 8); }
  void index(std::uint8_t value, std::size_t) { put(value, 1); }
  template <typename E>
  void enumeration(E value, E) {
    put(static_cast<std::uint64_t>(value), 1);
  }
  template <std::size_t N>
  void text(const BoundedString<N>& value) {
    static_assert(N <= 255);
    u8(static_cast<std::uint8_t>(value.size()));
    std::uint8_t previous = 0;
    for (char c : value.view()) {
      const auto byte = static_cast<std::uint8_t>(c);
      u8(is_control(byte, previous) ? std::uint8_t{'?'} : byte);
      previous = byte;
    }
  }
  void address(const IpAddress& value) {
    u8(value.family);
    if (value.family == 0) return;
    u8(value.prefix);
    for (std::size_t i = 0; i < (value.family == 4 ? 4u : 16u); ++i) u8(value.bytes[i]);
  }
  template <typename T, std::size_t N, typename Item>
  void list(const BoundedVector<T, N>& items, Item item) {
    static_assert(N <= 255);
    u8(static_cast<std::uint8_t>(items.size()));
    for (const T& each : items) item(each);
  }

 private:
  void put(std::uint64_t value, std::size_t bytes) {
    VIGIL_ASSERT(buffer_.size() - at_ >= bytes);  // the records are bounded below packet_bytes
    for (std::size_t i = 0; i < bytes; ++i) buffer_[at_++] = static_cast<std::byte>(value >> (8 * i));
  }

  std::span<std::byte> buffer_;
  std::size_t at_ = 0;
};

class PacketReader {
 public:
  static constexpr bool writes = false;
  explicit PacketReader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  bool too_short() const { return too_short_; }
  bool bad_value() const { return bad_value_; }
  bool at_end() const { return at_ == bytes_.size(); }

  void u8(std::uint8_t& value) { value = static_cast<std::uint8_t>(take(1)); }
  void u16(std::uint16_t& value) { value = static_cast<std::uint16_t>(take(2)); }
  void u32(std::uint32_t& value) { value = static_cast<std::uint32_t>(take(4)); }
  void u64(std::uint64_t& value) { value = take(8); }
  void i64(std::int64_t& value) { value = static_cast<std::int64_t>(take(8)); }
  void boolean(bool& value) {
    const auto byte = take(1);
    require(byte <= 1);
    value = byte == 1;
  }
  void duration(Duration& value) { i64(value.ns); }
  void node(NodeId& value) {
    u8(value);
    require(value < limits::max_nodes || value == no_node);
  }
  void nodes(NodeSet& value) { value = NodeSet::from_bits(take(8)); }
  void index(std::uint8_t& value, std::size_t bound) {
    u8(value);
    require(value < bound || value == no_index);
  }
  template <typename E>
  void enumeration(E& value, E last) {
    const auto byte = take(1);
    require(byte <= static_cast<std::uint64_t>(last));
    value = bad_value_ ? E{} : static_cast<E>(byte);
  }
  template <std::size_t N>
  void text(BoundedString<N>& value) {
    const auto length = static_cast<std::size_t>(take(1));
    require(length <= N);
    if (bad_value_ || too_short_) return;
    if (bytes_.size() - at_ < length) {
      too_short_ = true;
      return;
    }
    char characters[N + 1];
    std::uint8_t previous = 0;
    for (std::size_t i = 0; i < length; ++i) {
      const auto byte = static_cast<std::uint8_t>(bytes_[at_ + i]);
      require(!is_control(byte, previous));
      characters[i] = static_cast<char>(byte);
      previous = byte;
    }
    at_ += length;
    value.assign({characters, length});
  }
  void address(IpAddress& value) {
    value = IpAddress{};
    u8(value.family);
    require(value.family == 0 || value.family == 4 || value.family == 6);
    if (bad_value_ || value.family == 0) return;
    u8(value.prefix);
    require(value.prefix <= (value.family == 4 ? 32 : 128));
    for (std::size_t i = 0; i < (value.family == 4 ? 4u : 16u); ++i) u8(value.bytes[i]);
  }
  template <typename T, std::size_t N, typename Item>
  void list(BoundedVector<T, N>& items, Item item) {
    items.clear();
    const auto count = static_cast<std::size_t>(take(1));
    require(count <= N);
    for (std::size_t i = 0; i < count && !bad_value_ && !too_short_; ++i) {
      items.push(T{});
      item(items.back());
    }
  }

 private:
  void require(bool holds) {
    if (!holds) bad_value_ = true;
  }
  std::uint64_t take(std::size_t bytes) {
    if (too_short_ || bytes_.size() - at_ < bytes) {
      too_short_ = true;
      return 0;
    }
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < bytes; ++i)
      value |= static_cast<std::uint64_t>(static_cast<std::uint8_t>(bytes_[at_++])) << (8 * i);
    return value;
  }

  std::span<const std::byte> bytes_;
  std::size_t at_ = 0;
  bool too_short_ = false;
  bool bad_value_ = false;
};

}  // namespace vigil::control
