// Whatever a serial line brings, the decoder stays within its bounds, is in step again after a zero,
// and what was encoded comes back.
#include <algorithm>
#include <array>
#include <cstdint>
#include <span>

#include "drivers/serial/serial_framing.hpp"
#include "runtime/base/assert.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace vigil;
  const auto bytes = std::as_bytes(std::span(data, size));

  SerialDecoder decoder;
  std::uint64_t frames = 0;
  for (std::byte byte : bytes) {
    const auto frame = decoder.push(byte);
    if (!frame) continue;
    ++frames;
    VIGIL_ASSERT(frame->size() <= limits::frame_bytes);
    // A frame that was accepted can be encoded, and comes back as itself.
    std::array<std::byte, serial_encoded_bytes> again;
    SerialDecoder fresh;
    std::optional<std::span<const std::byte>> back;
    const std::size_t length = serial_encode(*frame, again);
    for (std::byte one : std::span(again).first(length))
      if (const auto got = fresh.push(one)) back = got;
    VIGIL_ASSERT(back.has_value());
    VIGIL_ASSERT(std::ranges::equal(*back, *frame));
  }
  VIGIL_ASSERT(frames == decoder.frames());

  // The input as a frame, on a line that has just carried the input as noise.
  const auto frame = bytes.first(std::min(bytes.size(), limits::frame_bytes));
  std::array<std::byte, serial_encoded_bytes> encoded;
  const std::size_t length = serial_encode(frame, encoded);
  bool heard = false;
  for (std::byte byte : std::span(encoded).first(length))
    if (const auto got = decoder.push(byte)) heard = std::ranges::equal(*got, frame);
  VIGIL_ASSERT(heard);
  return 0;
}
