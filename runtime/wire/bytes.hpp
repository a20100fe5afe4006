// Bounded writing and reading of bytes: what every encoder and decoder of this room is made of.
//
// Fixed-width integers are big-endian whatever the machine. A varint is seven bits a byte, the least
// significant group first, the top bit saying that another byte follows; only the shortest form is
// read back, so that one value has one encoding and decode then encode gives the same bytes.
//
// Both classes carry a sticky failure: after the first byte too many, a writer writes nothing more and
// a reader returns zeros, so that a decoder is straight-line code with one check at its end. They
// never allocate, never throw and never touch a byte outside their span.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace vigil::wire {

using Bytes = std::span<const std::uint8_t>;
using MutableBytes = std::span<std::uint8_t>;

inline constexpr std::size_t varint_bytes_max = 10;  // of 64 bits

class ByteWriter {
 public:
  explicit ByteWriter(MutableBytes out) : out_(out) {}

  bool ok() const { return ok_; }
  std::size_t size() const { return size_; }
  std::size_t room() const { return out_.size() - size_; }
  Bytes written() const { return Bytes(out_.data(), size_); }

  void put_u8(std::uint8_t value) { put_big_endian(value, 1); }
  void put_u16(std::uint16_t value) { put_big_endian(value, 2); }
  void put_u32(std::uint32_t value) { put_big_endian(value, 4); }
  void put_u64(std::uint64_t value) { put_big_endian(value, 8); }
  void put_i64(std::int64_t value) { put_u64(static_cast<std::uint64_t>(value)); }

  void put_varint(std::uint64_t value) {
    while (value >= 0x80) {
      put_u8(static_cast<std::uint8_t>(value | 0x80));
      value >>= 7;
    }
    put_u8(static_cast<std::uint8_t>(value));
  }
  // Small negative numbers stay small: 0, -1, 1, -2 … become 0, 1, 2, 3 …
  void put_signed_varint(std::int64_t value) {
    const auto bits = static_cast<std::uint64_t>(value);
    put_varint((bits << 1) ^ (value < 0 ? ~std::uint64_t{0} : 0));
  }
  void put_bytes(Bytes bytes) {
    if (!reserve(bytes.size())) return;
    if (!bytes.empty()) std::memcpy(out_.data() + size_, bytes.data(), bytes.size());
    size_ += bytes.size();
  }

 private:
  bool reserve(std::size_t count) {
    if (count > room()) ok_ = false;
    return ok_;
  }
  void put_big_endian(std::uint64_t value, std::size_t width) {
    if (!reserve(width)) return;
    for (std::size_t i = width; i > 0; --i) {
      out_[size_ + i - 1] = static_cast<std::uint8_t>(value);
      value >>= 8;
    }
    size_ += width;
  }

  MutableBytes out_;
  std::size_t size_ = 0;
  bool ok_ = true;
};

class ByteReader {
 public:
  explicit ByteReader(Bytes in) : in_(in) {}

  bool ok() const { return ok_; }
  // True when everything was read and nothing was wrong.
  bool finished() const { return ok_ && next_ == in_.size(); }
  std::size_t remaining() const { return ok_ ? in_.size() - next_ : 0; }
  // A field holds what it must not hold: all that follows reads as zero.
  void fail() { ok_ = false; }

  std::uint8_t get_u8() { return static_cast<std::uint8_t>(get_big_endian(1)); }
  std::uint16_t get_u16() { return static_cast<std::uint16_t>(get_big_endian(2)); }
  std::uint32_t get_u32() { return static_cast<std::uint32_t>(get_big_endian(4)); }
  std::uint64_t get_u64() { return get_big_endian(8); }
  std::int64_t get_i64() { return static_cast<std::int64_t>(get_u64()); }

  std::uint64_t get_varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 7 * varint_bytes_max; shift += 7) {
      const std::uint8_t byte = get_u8();
      if (!ok_) return 0;
      const bool last = (byte & 0x80) == 0;
      // The tenth byte has one bit of 64 left; a last byte of zero would be a longer form of a shorter one.
      if ((shift == 63 && byte > 1) || (last && byte == 0 && shift > 0)) break;
      value |= std::uint64_t{byte & 0x7fu} << shift;
      if (last) return value;
    }
    fail();
    return 0;
  }
  // A varint that must not exceed `most`.
  std::uint64_t get_varint_up_to(std::uint64_t most) {
    const std::uint64_t value = get_varint();
    if (value <= most) return value;
    fail();
    return 0;
  }
  std::uint32_t get_varint_u32() { return static_cast<std::uint32_t>(get_varint_up_to(UINT32_MAX)); }
  std::uint16_t get_varint_u16() { return static_cast<std::uint16_t>(get_varint_up_to(UINT16_MAX)); }
  std::int64_t get_signed_varint() {
    const std::uint64_t bits = get_varint();
    return static_cast<std::int64_t>((bits >> 1) ^ ((bits & 1) != 0 ? ~std::uint64_t{0} : 0));
  }
  // A byte that must be smaller than `bound`: an enumeration, an index.
  std::uint8_t get_u8_below(std::size_t bound) {
    const std::uint8_t value = get_u8();
    if (value < bound) return value;
    fail();
    return 0;
  }
  // The next `count` bytes, in place; empty on failure.
  Bytes get_bytes(std::size_t count) {
    if (!ok_ || count > in_.size() - next_) {
      fail();
      return {};
    }
    const Bytes bytes = in_.subspan(next_, count);
    next_ += count;
    return bytes;
  }

 private:
  std::uint64_t get_big_endian(std::size_t width) {
    std::uint64_t value = 0;
    for (const std::uint8_t byte : get_bytes(width)) value = value << 8 | byte;
    return value;
  }

  Bytes in_;
  std::size_t next_ = 0;
  bool ok_ = true;
};

}  // namespace vigil::wire
