// Frames through the daemon's own encoders. See codec.hpp.
#include "tests/sim/codec.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "runtime/wire/heartbeat.hpp"
#include "runtime/wire/hello.hpp"
#include "runtime/wire/message_codec.hpp"

namespace vigil::sim {

namespace {

constexpr std::uint32_t cluster_id = 7;

// Where the slice of fragment `index` begins in the message.
std::size_t slice_at(std::size_t index) { return index * wire::slice_bytes; }

template <typename Value, typename Encode>
std::size_t encoded(const Value& value, wire::MutableBytes out, Encode encode) {
  wire::ByteWriter writer(out);
  encode(writer, value);
  VIGIL_ASSERT(writer.ok());
  return writer.size();
}

// Does `sent` begin with what is known of it, its revision apart?
bool same(wire::Bytes sent, std::size_t revision_at, wire::Bytes known) {
  if (sent.size() < known.size()) return false;
  for (std::size_t i = 0; i < known.size(); ++i)
    if (i != revision_at && sent[i] != known[i]) return false;
  return true;
}

}  // namespace

Codec::Codec() {
  if (const Status ready = wire::prepare_cryptography(); !ready) {
    std::fprintf(stderr, "vigil-sim: %s\n", ready.error().message.c_str());
    std::exit(2);
  }
  std::array<std::uint8_t, wire::key_bytes> key{};
  for (std::size_t i = 0; i < key.size(); ++i) key[i] = static_cast<std::uint8_t>(i * 7 + 1);
  VIGIL_ASSERT(keys_.add(1, key));
}

std::size_t Codec::seal(wire::FrameType type, NodeId from, Incarnation incarnation, LinkIndex link, wire::Bytes body) {
  wire::FrameHeader header;
  header.type = type;
  header.cluster_id = cluster_id;
  header.from = from;
  header.link = link;
  header.start_id = incarnation.start_id;
  header.sequence = ++sequence_;
  frame_bytes_ = wire::seal(keys_, header, body, frame_);
  return frame_bytes_;
}

bool Codec::opened(wire::Bytes& body) {
  const wire::Bytes frame(frame_.data(), frame_bytes_);
  wire::FrameHeader header;
  std::size_t size = 0;
  if (wire::read_header(frame, header) != wire::HeaderStatus::ok) return false;
  if (!wire::open(keys_, frame, plain_, size)) return false;
  body = wire::Bytes(plain_.data(), size);
  return true;
}

bool Codec::refuses_bit(std::size_t bytes, std::uint64_t bit) {
  const std::size_t at = bit % (bytes * 8);
  frame_[at / 8] = static_cast<std::uint8_t>(frame_[at / 8] ^ (1u << (at % 8)));
  wire::Bytes body;
  return !opened(body);
}

std::size_t Codec::body_of(const Heartbeat& heartbeat) {
  return encoded(heartbeat, body_,
                 [](wire::ByteWriter& writer, const Heartbeat& it) { wire::encode_heartbeat(writer, it); });
}

std::size_t Codec::body_of(const HeartbeatAck& ack) {
  return encoded(ack, body_, [](wire::ByteWriter& writer, const HeartbeatAck& it) { wire::encode_ack(writer, it); });
}

// What the next release does to a body: one revision more, and one block that nobody here knows.
template <std::size_t room>
std::size_t Codec::extend(std::array<std::uint8_t, room>& body, std::size_t size, std::size_t revision_at,
                          std::size_t most) {
  constexpr std::size_t block = 5;
  if (size + 1 + block > std::min(most, room)) return size;
  ++body[revision_at];
  body[size] = block;
  for (std::size_t i = 0; i < block; ++i) body[size + 1 + i] = static_cast<std::uint8_t>(0xa0 + i);
  return size + 1 + block;
}

std::int64_t Codec::carry_hello(Release release, std::int64_t wall_ns) {
  constexpr std::size_t newest_block = 10;  // with its length: the clock and the standing
  wire::Hello hello;
  hello.protocol_newest = hello.protocol_oldest = 1;
  hello.challenge = ++sequence_;
  hello.wall_ns = wall_ns;
  std::size_t size =
      encoded(hello, body_, [](wire::ByteWriter& writer, const wire::Hello& it) { wire::encode_hello(writer, it); });
  if (release == Release::newer) size = extend(body_, size, 0, wire::body_bytes_max);
  if (release == Release::older) {
    --body_[0];
    size -= newest_block;
  }
  wire::Hello heard;
  if (!wire::decode_hello({body_.data(), size}, heard) || heard.challenge != hello.challenge) return -1;
  return heard.wall_ns;
}

bool Codec::carry(NodeId from, HeartbeatFrame& frame, Release release) {
  std::size_t size = body_of(frame.heartbeat);
  const std::size_t known = size;
  if (release == Release::newer) size = extend(body_, size, 0, wire::body_bytes_max);
  const LinkIndex link = frame.heartbeat.link;
  const Incarnation incarnation = frame.heartbeat.incarnation;
  seal(wire::FrameType::heartbeat, from, incarnation, link, {body_.data(), size});
  wire::Bytes body;
  if (!opened(body)) return false;
  Heartbeat decoded;
  if (!wire::decode_heartbeat(body, link, incarnation, decoded)) return false;
  frame.heartbeat = decoded;
  return body_of(decoded) == known && same(body, 0, {body_.data(), known});
}

bool Codec::carry(NodeId from, AckFrame& frame, Release release) {
  std::size_t size = body_of(frame.ack);
  const std::size_t known = size;
  if (release == Release::newer) size = extend(body_, size, 0, wire::body_bytes_max);
  seal(wire::FrameType::ack, from, frame.incarnation, 0, {body_.data(), size});
  wire::Bytes body;
  if (!opened(body)) return false;
  HeartbeatAck decoded;
  if (!wire::decode_ack(body, decoded)) return false;
  frame.ack = decoded;
  return body_of(decoded) == known && same(body, 0, {body_.data(), known});
}

bool Codec::carry(NodeId from, MessageFrame& frame, Release release) {
  std::size_t size = wire::encode_message(frame.message, message_);
  const std::size_t known = size;
  if (release == Release::newer) size = extend(message_, size, 1, message_.size());
  const wire::FragmentPlan plan = fragmenter_.plan(0, {message_.data(), size});
  for (std::size_t i = 0; i < plan.count; ++i) {
    const std::size_t length = wire::write_fragment(plan, i, body_);
    seal(wire::FrameType::fragment, from, frame.incarnation, 0, {body_.data(), length});
    wire::Bytes body;
    if (!opened(body) || body.size() != length) return false;
    const wire::Bytes slice = body.subspan(wire::fragment_header_bytes);
    std::copy(slice.begin(), slice.end(), whole_.begin() + static_cast<std::ptrdiff_t>(slice_at(i)));
  }
  if (wire::decode_message({whole_.data(), size}, frame.message) != wire::DecodeStatus::decoded) return false;
  return wire::encode_message(frame.message, message_) == known &&
         same({whole_.data(), size}, 1, {message_.data(), known});
}

bool Codec::refuses(NodeId from, const HeartbeatFrame& frame, std::uint64_t bit) {
  const std::size_t size = body_of(frame.heartbeat);
  const Incarnation incarnation = frame.heartbeat.incarnation;
  return refuses_bit(seal(wire::FrameType::heartbeat, from, incarnation, frame.heartbeat.link, {body_.data(), size}),
                     bit);
}

bool Codec::refuses(NodeId from, const AckFrame& frame, std::uint64_t bit) {
  const std::size_t size = body_of(frame.ack);
  return refuses_bit(seal(wire::FrameType::ack, from, frame.incarnation, 0, {body_.data(), size}), bit);
}

bool Codec::refuses(NodeId from, const MessageFrame& frame, std::uint64_t bit) {
  const std::size_t size = wire::encode_message(frame.message, message_);
  const wire::FragmentPlan plan = fragmenter_.plan(0, {message_.data(), size});
  const std::size_t length = wire::write_fragment(plan, bit % plan.count, body_);
  return refuses_bit(seal(wire::FrameType::fragment, from, frame.incarnation, 0, {body_.data(), length}), bit);
}

std::size_t Codec::bytes_of(const Heartbeat& heartbeat) {
  std::array<std::uint8_t, bodies_room> body;
  return wire::frame_size(encoded(
      heartbeat, body, [](wire::ByteWriter& writer, const Heartbeat& it) { wire::encode_heartbeat(writer, it); }));
}

std::size_t Codec::bytes_of(const HeartbeatAck& ack) {
  std::array<std::uint8_t, bodies_room> body;
  return wire::frame_size(
      encoded(ack, body, [](wire::ByteWriter& writer, const HeartbeatAck& it) { wire::encode_ack(writer, it); }));
}

std::size_t Codec::bytes_of(const Message& message) {
  std::array<std::uint8_t, limits::message_bytes> bytes;
  const std::size_t size = std::min(wire::encode_message(message, bytes), wire::slice_bytes);
  return wire::frame_size(wire::fragment_header_bytes + size);
}

Load Codec::load_of(const Message& message) {
  std::array<std::uint8_t, limits::message_bytes> bytes;
  const std::size_t size = wire::encode_message(message, bytes);
  const std::size_t frames = (size + wire::slice_bytes - 1) / wire::slice_bytes;
  return {frames, size + frames * wire::frame_size(wire::fragment_header_bytes)};
}

}  // namespace vigil::sim
