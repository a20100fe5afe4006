// Frames on a byte stream that loses, garbles and joins in the middle: consistent overhead byte
// stuffing (Cheshire and Baker, 1999) with CRC-32C (Castagnoli, as in RFC 3720 appendix B.4). Pure:
// bytes in, frames out.
//
//   00 | stuffed( frame, CRC-32C of frame, little-endian ) | 00
//
// A zero never occurs inside, so that a receiver is in step again at the next zero whatever came
// before; the leading one ends what noise has begun. Stuffing costs one byte a frame, always, unlike
// escaping, which would make a line's speed depend on what is sent.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "runtime/base/limits.hpp"
#include "runtime/base/time.hpp"

namespace vigil {

inline constexpr std::size_t serial_crc_bytes = 4;
inline constexpr std::size_t serial_overhead_bytes = 2 + 1 + serial_crc_bytes;  // zeros, stuffing, CRC
inline constexpr std::size_t serial_encoded_bytes = limits::frame_bytes + serial_overhead_bytes;
// With at most 253 bytes to stuff there is exactly one byte of overhead.
static_assert(limits::frame_bytes + serial_crc_bytes <= 253);

std::uint32_t crc32c(std::span<const std::byte> bytes);

// Writes the encoded frame to `out` and returns its size. `frame`: at most limits::frame_bytes.
std::size_t serial_encode(std::span<const std::byte> frame, std::span<std::byte, serial_encoded_bytes> out);

class SerialDecoder {
 public:
  // Takes the next byte of the line. Returns a frame when this byte completed a good one; its bytes
  // are valid until the next push().
  std::optional<std::span<const std::byte>> push(std::byte byte);
  // Forgets a frame that has begun: the line was opened anew.
  void reset();

  // Bytes of a frame (or of noise) that has begun and not ended.
  std::size_t pending() const { return size_; }
  std::uint64_t frames() const { return frames_; }
  std::uint64_t crc_errors() const { return crc_errors_; }
  // Byte sequences between zeros that cannot be a frame: too long, too short, wrongly stuffed.
  std::uint64_t malformed() const { return malformed_; }

 private:
  std::optional<std::span<const std::byte>> finish();

  std::array<std::byte, serial_encoded_bytes - 2> bytes_{};
  std::size_t size_ = 0;
  bool too_long_ = false;
  std::uint64_t frames_ = 0;
  std::uint64_t crc_errors_ = 0;
  std::uint64_t malformed_ = 0;
};

// How long a line of this speed needs for so many bytes: ten bits each, with start and stop bit.
constexpr Duration serial_time(std::size_t bytes, std::uint32_t baud) {
  return Duration::from_ns((static_cast<std::int64_t>(bytes) * 10 * 1'000'000'000 + baud - 1) / baud);
}
constexpr Duration serial_frame_time(std::size_t frame_bytes, std::uint32_t baud) {
  return serial_time(frame_bytes + serial_overhead_bytes, baud);
}
// The shortest interval at which a line can carry what each side sends per interval: one heartbeat and
// one acknowledgement, of any size, with a tenth to spare. 9600 baud: 475 ms; 115200 baud: 40 ms.
constexpr Duration serial_interval_floor(std::uint32_t baud) {
  return serial_frame_time(limits::frame_bytes, baud) * 2 * 11 / 10;
}

}  // namespace vigil
