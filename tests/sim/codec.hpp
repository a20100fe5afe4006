// The real wire format between the simulated nodes. Most frames travel as structures, since sealing costs
// more than simulating; one in some dozens, and every damaged one, is encoded, sealed, opened and decoded by
// the daemon's own code. Must never let a damaged frame through, nor lose a field on the way: either is a
// violation.
#pragma once

#include "runtime/wire/fragment.hpp"
#include "runtime/wire/frame.hpp"
#include "tests/sim/host.hpp"

namespace vigil::sim {

class Codec {
 public:
  Codec();
  void reset() { turn_ = 0; }

  // True for the frames that are to travel as bytes: more of those that another release sends.
  bool takes_this_one(Release release) { return ++turn_ % (release == Release::present ? one_in : one_in / 8) == 0; }

  // The same frame as the receiver decodes it. False: something was lost, or refused.
  bool carry(NodeId from, HeartbeatFrame& frame, Release release = Release::present);
  bool carry(NodeId from, AckFrame& frame, Release release = Release::present);
  bool carry(NodeId from, MessageFrame& frame, Release release = Release::present);

  // A wall clock as the hello of this release tells it; 0: it does not say. Negative: what was sent did not arrive.
  std::int64_t carry_hello(Release release, std::int64_t wall_ns);

  // The frame with one bit turned, `bit` chosen anew each time. True: the receiver refuses it.
  bool refuses(NodeId from, const HeartbeatFrame& frame, std::uint64_t bit);
  bool refuses(NodeId from, const AckFrame& frame, std::uint64_t bit);
  bool refuses(NodeId from, const MessageFrame& frame, std::uint64_t bit);

  // On the wire; of a message, its longest frame.
  static std::size_t bytes_of(const Heartbeat& heartbeat);
  static std::size_t bytes_of(const HeartbeatAck& ack);
  static std::size_t bytes_of(const Message& message);
  // All its frames.
  static Load load_of(const Message& message);

 private:
  static constexpr std::uint64_t one_in = 64;
  static constexpr std::size_t bodies_room = limits::frame_bytes;

  std::size_t seal(wire::FrameType type, NodeId from, Incarnation incarnation, LinkIndex link, wire::Bytes body);
  bool opened(wire::Bytes& body);
  bool refuses_bit(std::size_t bytes, std::uint64_t bit);
  template <std::size_t room>
  static std::size_t extend(std::array<std::uint8_t, room>& body, std::size_t size, std::size_t revision_at,
                            std::size_t most);
  std::size_t body_of(const Heartbeat& heartbeat);
  std::size_t body_of(const HeartbeatAck& ack);

  wire::KeyRing keys_;
  wire::Fragmenter fragmenter_;
  std::uint64_t turn_ = 0;
  std::uint64_t sequence_ = 0;
  std::size_t frame_bytes_ = 0;
  std::array<std::uint8_t, bodies_room> body_{};
  std::array<std::uint8_t, limits::frame_bytes> frame_{};
  std::array<std::uint8_t, wire::body_bytes_max> plain_{};
  std::array<std::uint8_t, limits::message_bytes> message_{};
  std::array<std::uint8_t, limits::message_bytes> whole_{};
};

}  // namespace vigil::sim
