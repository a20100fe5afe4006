// Messages: what decodes encodes, and decodes to the same again.
#include "runtime/wire/message_codec.hpp"
#include "tests/fuzz/wire_fuzz.hpp"

using namespace vigil;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Message first;
  static Message second;
  static std::array<std::uint8_t, limits::message_bytes> bytes;
  static std::array<std::uint8_t, limits::message_bytes> again;
  if (wire::decode_message(wire::Bytes(data, size), first) != wire::DecodeStatus::decoded) return 0;
  const std::size_t length = wire::encode_message(first, bytes);
  fuzz::require(wire::decode_message(wire::Bytes(bytes).first(length), second) == wire::DecodeStatus::decoded,
                "what was encoded decodes");
  const std::size_t length_again = wire::encode_message(second, again);
  fuzz::require(std::equal(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(length), again.begin(),
                           again.begin() + static_cast<std::ptrdiff_t>(length_again)),
                "decoding again gives the same message");
  return 0;
}
