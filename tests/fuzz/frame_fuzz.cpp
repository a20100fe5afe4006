// Frames. First byte 0: the rest is a frame as it came from the network, opened with a key that it
// does not know. Otherwise it is the type of a frame whose body is the rest: sealed correctly, opened,
// and decoded, so that what lies behind the authentication is reached.
#include <algorithm>

#include "runtime/wire/heartbeat.hpp"
#include "runtime/wire/hello.hpp"
#include "tests/fuzz/wire_fuzz.hpp"

namespace {

using namespace vigil;

// Encodes what was decoded, and compares: one value has one encoding, up to blocks of newer revisions. A body of an
// older revision lacks the blocks that we append to it.
template <typename Encode>
void require_same_bytes(wire::Bytes body, Encode encode) {
  std::array<std::uint8_t, wire::body_bytes_max> again;
  wire::ByteWriter writer(again);
  encode(writer);
  fuzz::require(writer.ok(), "what was decoded fits a frame again");
  const wire::Bytes fields = writer.written();
  const bool older = body[0] < fields[0];
  fuzz::require(older || fields.size() <= body.size(), "encoding again makes nothing longer");
  const auto common = static_cast<std::ptrdiff_t>(std::min(fields.size(), body.size()));
  fuzz::require(std::equal(fields.begin() + 1, fields.begin() + common, body.begin() + 1), "encoding again gives the same bytes");
}

void decode(wire::FrameType type, wire::Bytes body) {
  if (type == wire::FrameType::heartbeat) {
    Heartbeat heartbeat;
    if (wire::decode_heartbeat(body, 0, {1, 2}, heartbeat))
      require_same_bytes(body, [&](wire::ByteWriter& writer) { wire::encode_heartbeat(writer, heartbeat); });
  } else if (type == wire::FrameType::ack) {
    HeartbeatAck ack;
    if (wire::decode_ack(body, ack))
      require_same_bytes(body, [&](wire::ByteWriter& writer) { wire::encode_ack(writer, ack); });
  } else if (type == wire::FrameType::hello || type == wire::FrameType::hello_ack) {
    wire::Hello hello;
    if (wire::decode_hello(body, hello))
      require_same_bytes(body, [&](wire::ByteWriter& writer) { wire::encode_hello(writer, hello); });
  }
}

void open_foreign(wire::Bytes frame) {
  wire::FrameHeader header;
  wire::read_header(frame, header);
  std::array<std::uint8_t, wire::body_bytes_max> body;
  std::size_t size = 0;
  fuzz::require(!wire::open(fuzz::known_keys(), frame, body, size), "nobody forges a tag without the key");
}

void open_own(fuzz::Input input, std::uint8_t type) {
  wire::FrameHeader header;
  header.type = static_cast<wire::FrameType>(type);
  header.start_id = 1;
  header.sequence = 1;
  const wire::Bytes body = input.bytes(wire::body_bytes_max);
  if (body.size() < wire::body_bytes_min) return;
  std::array<std::uint8_t, limits::frame_bytes> frame;
  const std::size_t size = wire::seal(fuzz::known_keys(), header, body, frame);
  std::array<std::uint8_t, wire::body_bytes_max> opened;
  std::size_t opened_size = 0;
  fuzz::require(wire::open(fuzz::known_keys(), wire::Bytes(frame).first(size), opened, opened_size),
                "what was sealed opens");
  fuzz::require(std::equal(body.begin(), body.end(), opened.begin(), opened.begin() + static_cast<std::ptrdiff_t>(opened_size)),
                "what was opened is what was sealed");
  decode(header.type, wire::Bytes(opened).first(opened_size));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(wire::Bytes(data, size));
  const std::uint8_t type = input.byte();
  if (type == 0)
    open_foreign(input.rest());
  else
    open_own(input, type);
  return 0;
}
