// Body of hello and hello_ack frames: who I am, and the challenge that proves it is me and now.
//
//   revision u8 · oldest protocol u8 · newest protocol u8 · boot_id u64 · config_hash u64 ·
//   name_hash u64 · challenge varint · echoed start_id u64 · echoed challenge varint ·
//   count u8 · next sequence of each of my links, varint each
//
// A hello has a challenge and echoes nothing (zeros); a hello_ack echoes, and may carry a challenge of
// its own. What it is for: session.hpp.
#pragma once

#include "runtime/base/bounded.hpp"
#include "runtime/wire/frame.hpp"

namespace vigil::wire {

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

  bool operator==(const Hello&) const = default;
};

inline constexpr std::size_t hello_body_max = 3 + 3 * 8 + 10 + 8 + 10 + 1 + 10 * limits::max_links;
static_assert(hello_body_max <= body_bytes_max);

void encode_hello(ByteWriter& writer, const Hello& hello);
bool decode_hello(Bytes body, Hello& hello);

}  // namespace vigil::wire
