// Body of hello and hello_ack frames: who I am, and the challenge that proves it is me and now.
//
//   revision u8 · oldest protocol u8 · newest protocol u8 · boot_id u64 · config_hash u64 ·
//   name_hash u64 · challenge varint · echoed start_id u64 · echoed challenge varint ·
//   count u8 · next sequence of each of my links, varint each
//   revision 2: length varint · CLOCK_REALTIME when sealed, ns i64, 0 unknown · standing u8
//
// A hello has a challenge and echoes nothing (zeros); a hello_ack echoes, and may carry a challenge of
// its own. One with neither is a greeting: it only tells how things stand. What it is for: session.hpp.
#pragma once

#include "runtime/base/bounded.hpp"
#include "runtime/wire/frame.hpp"

namespace vigil::wire {

// How well established a life of a node is. Of two that run under one id the better established stays.
enum class Standing : std::uint8_t {
  newcomer,  // has not listened yet whether the id is taken
  settled,   // has, and it was not
  serving,   // holds a lease: a quorum counts on it
};

struct Hello {
  std::uint8_t protocol_oldest = 0;
  std::uint8_t protocol_newest = 0;
  std::uint64_t boot_id = 0;
  std::uint64_t config_hash = 0;
  std::uint64_t name_hash = 0;        // of the sender's own node name
  std::uint64_t challenge = 0;        // 0: none
  std::uint64_t echo_start_id = 0;    // hello_ack: whose challenge this answers
  std::uint64_t echo_challenge = 0;
  BoundedVector<std::uint64_t, limits::max_links> next_sequence;  // of the sender's links
  std::int64_t wall_ns = 0;           // the sender's CLOCK_REALTIME; 0: it does not say
  Standing standing = Standing::newcomer;

  bool operator==(const Hello&) const = default;
};

inline constexpr std::size_t hello_body_max = 3 + 3 * 8 + 10 + 8 + 10 + 1 + 10 * limits::max_links + 1 + 8 + 1;
static_assert(hello_body_max <= body_bytes_max);

void encode_hello(ByteWriter& writer, const Hello& hello);
bool decode_hello(Bytes body, Hello& hello);

}  // namespace vigil::wire
