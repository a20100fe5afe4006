// Control packets from any process that may open the socket: decoding never fails but by a Fault, and
// what it takes encodes to the same bytes again.
#include <array>
#include <cstdlib>
#include <cstring>

#include "tools/client/control_protocol.hpp"

namespace {

using namespace vigil::control;

template <typename Record>
void check(std::span<const std::byte> packet) {
  Record record;
  if (decode(packet, record) != Fault::none) return;
  std::array<std::byte, packet_bytes> again;
  const std::size_t length = encode(record, again);
  if (length != packet.size() || std::memcmp(again.data(), packet.data(), length) != 0) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::span packet(reinterpret_cast<const std::byte*>(data), size);
  check<Request>(packet);
  check<Reply>(packet);
  return 0;
}
