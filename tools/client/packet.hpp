// The bytes of one control packet. Reader and writer share one set of verbs, so that each record
// describes its fields once, in a template, and both directions follow from it. Fixed-width fields as
// in runtime/wire/bytes.hpp, no padding, no allocation. The reader never trusts a value: the first bad
// one makes it fail for good, and what it returned is to be thrown away.
//
// Text is a length byte and that many bytes. It ends on a terminal, so it holds no control
// characters: the writer replaces them with '?', the reader refuses them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "runtime/base/bounded.hpp"
#include "runtime/base/cluster.hpp"
#include "runtime/base/ids.hpp"
#include "runtime/base/time.hpp"
#include "runtime/wire/bytes.hpp"

namespace vigil::control {

// True for C0 controls, DEL, and the C1 controls in their UTF-8 form (0xC2 0x80 … 0x9F), of which
// terminals obey some.
constexpr bool is_control(std::uint8_t byte, std::uint8_t previous) {
  return byte < 0x20 || byte == 0x7f || (previous == 0xc2 && byte >= 0x80 && byte <= 0x9f);
}

class PacketWriter {
 public:
  explicit PacketWriter(std::span<std::byte> buffer)
      : out_(wire::MutableBytes(reinterpret_cast<std::uint8_t*>(buffer.data()), buffer.size())) {}

  // The records are bounded below packet_bytes: to run out of room is our bug.
  std::size_t size() const {
    VIGIL_ASSERT(out_.ok());
    return out_.size();
  }

  void u8(std::uint8_t value) { out_.put_u8(value); }
  void u16(std::uint16_t value) { out_.put_u16(value); }
  void u32(std::uint32_t value) { out_.put_u32(value); }
  void u64(std::uint64_t value) { out_.put_u64(value); }
  void i64(std::int64_t value) { out_.put_i64(value); }
  void boolean(bool value) { out_.put_u8(value ? 1 : 0); }
  void duration(Duration value) { i64(value.ns); }
  void node(NodeId value) { out_.put_u8(value); }
  void nodes(NodeSet value) { out_.put_u64(value.bits()); }
  void index(std::uint8_t value, std::size_t) { out_.put_u8(value); }
  template <typename E>
  void enumeration(E value, E) {
    out_.put_u8(static_cast<std::uint8_t>(value));
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
  wire::ByteWriter out_;
};

class PacketReader {
 public:
  explicit PacketReader(std::span<const std::byte> bytes)
      : in_(wire::Bytes(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size())) {}

  bool bad_value() const { return bad_value_; }
  bool too_short() const { return !in_.ok() && !bad_value_; }
  bool at_end() const { return in_.finished(); }

  void u8(std::uint8_t& value) { value = in_.get_u8(); }
  void u16(std::uint16_t& value) { value = in_.get_u16(); }
  void u32(std::uint32_t& value) { value = in_.get_u32(); }
  void u64(std::uint64_t& value) { value = in_.get_u64(); }
  void i64(std::int64_t& value) { value = in_.get_i64(); }
  void boolean(bool& value) {
    const auto byte = in_.get_u8();
    require(byte <= 1);
    value = byte == 1;
  }
  void duration(Duration& value) { i64(value.ns); }
  void node(NodeId& value) {
    u8(value);
    require(value < limits::max_nodes || value == no_node);
  }
  void nodes(NodeSet& value) { value = NodeSet::from_bits(in_.get_u64()); }
  void index(std::uint8_t& value, std::size_t bound) {
    u8(value);
    require(value < bound || value == no_index);
  }
  template <typename E>
  void enumeration(E& value, E last) {
    const auto byte = in_.get_u8();
    require(byte <= static_cast<std::uint8_t>(last));
    value = in_.ok() ? static_cast<E>(byte) : E{};
  }
  template <std::size_t N>
  void text(BoundedString<N>& value) {
    const auto length = std::size_t{in_.get_u8()};
    require(length <= N);
    char characters[N + 1];
    std::uint8_t previous = 0;
    std::size_t read = 0;
    for (const std::uint8_t byte : in_.get_bytes(length)) {
      require(!is_control(byte, previous));
      characters[read++] = static_cast<char>(byte);
      previous = byte;
    }
    value.assign({characters, read});
  }
  void address(IpAddress& value) {
    value = IpAddress{};
    u8(value.family);
    require(value.family == 0 || value.family == 4 || value.family == 6);
    if (!in_.ok() || value.family == 0) return;
    u8(value.prefix);
    require(value.prefix <= (value.family == 4 ? 32 : 128));
    for (std::size_t i = 0; i < (value.family == 4 ? 4u : 16u); ++i) u8(value.bytes[i]);
  }
  template <typename T, std::size_t N, typename Item>
  void list(BoundedVector<T, N>& items, Item item) {
    items.clear();
    const auto count = std::size_t{in_.get_u8()};
    require(count <= N);
    for (std::size_t i = 0; i < count && in_.ok(); ++i) {
      items.push(T{});
      item(items.back());
    }
  }

 private:
  void require(bool holds) {
    if (holds || !in_.ok()) return;
    bad_value_ = true;
    in_.fail();
  }

  wire::ByteReader in_;
  bool bad_value_ = false;
};

}  // namespace vigil::control
