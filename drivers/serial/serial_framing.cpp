#include "drivers/serial/serial_framing.hpp"

#include <cstring>

#include "runtime/base/assert.hpp"

namespace vigil {

namespace {

constexpr std::array<std::uint32_t, 256> make_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < table.size(); ++i) {
    std::uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = (value & 1) != 0 ? value >> 1 ^ 0x82f63b78U : value >> 1;
    table[i] = value;
  }
  return table;
}

constexpr std::array<std::uint32_t, 256> crc_table = make_table();

std::uint32_t load_little_endian(const std::byte* bytes) {
  std::uint32_t value = 0;
  for (int i = 3; i >= 0; --i) value = value << 8 | static_cast<std::uint32_t>(bytes[i]);
  return value;
}

// Undoes the stuffing in place; returns the size, or nothing where the code bytes do not fit.
std::optional<std::size_t> unstuff(std::span<std::byte> bytes) {
  std::size_t in = 0;
  std::size_t out = 0;
  while (in < bytes.size()) {
    const auto code = static_cast<std::size_t>(bytes[in++]);
    const std::size_t run = code - 1;  // code is never 0 here
    if (run > bytes.size() - in) return std::nullopt;
    std::memmove(bytes.data() + out, bytes.data() + in, run);
    in += run;
    out += run;
    if (in < bytes.size() && code < 255) bytes[out++] = std::byte{0};
  }
  return out;
}

}  // namespace

std::uint32_t crc32c(std::span<const std::byte> bytes) {
  std::uint32_t crc = 0xffffffffU;
  for (std::byte byte : bytes) crc = crc >> 8 ^ crc_table[(crc ^ static_cast<std::uint32_t>(byte)) & 0xff];
  return ~crc;
}

std::size_t serial_encode(std::span<const std::byte> frame, std::span<std::byte, serial_encoded_bytes> out) {
  VIGIL_ASSERT(frame.size() <= limits::frame_bytes);
  const std::uint32_t crc = crc32c(frame);
  out[0] = std::byte{0};
  std::size_t code_at = 1;  // where the distance to the next zero goes
  std::size_t at = 2;
  const auto put = [&](std::byte byte) {
    if (byte != std::byte{0}) {
      out[at++] = byte;
      return;
    }
    out[code_at] = static_cast<std::byte>(at - code_at);
    code_at = at++;
  };
  for (std::byte byte : frame) put(byte);
  for (int shift = 0; shift < 32; shift += 8) put(static_cast<std::byte>(crc >> shift & 0xff));
  out[code_at] = static_cast<std::byte>(at - code_at);
  out[at++] = std::byte{0};
  return at;
}

void SerialDecoder::reset() {
  size_ = 0;
  too_long_ = false;
}

std::optional<std::span<const std::byte>> SerialDecoder::push(std::byte byte) {
  if (byte == std::byte{0}) return finish();
  if (size_ == bytes_.size())
    too_long_ = true;
  else
    bytes_[size_++] = byte;
  return std::nullopt;
}

std::optional<std::span<const std::byte>> SerialDecoder::finish() {
  const std::size_t size = size_;
  const bool too_long = too_long_;
  reset();
  if (size == 0) return std::nullopt;  // zeros in a row: the end of one frame and the begin of the next
  std::optional<std::size_t> plain;
  if (!too_long) plain = unstuff(std::span(bytes_).first(size));
  if (!plain || *plain < serial_crc_bytes) {
    ++malformed_;
    return std::nullopt;
  }
  const std::span<const std::byte> frame = std::span(bytes_).first(*plain - serial_crc_bytes);
  if (load_little_endian(bytes_.data() + frame.size()) != crc32c(frame)) {
    ++crc_errors_;
    return std::nullopt;
  }
  ++frames_;
  return frame;
}

}  // namespace vigil
