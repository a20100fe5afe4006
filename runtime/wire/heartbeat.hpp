// Bodies of heartbeat and acknowledgement frames: what is sent most, so every byte counts (a serial
// line of 9600 baud carries 960 of them a second).
//
// What the frame header already says is not said again: the sender's link and start_id come from
// there, and the boot id from the handshake that made the incarnation current (session.hpp), so that
// a heartbeat can never contradict the frame it came in.
//
//   heartbeat  revision u8 · flags u8 · config_hash u64 · sent_ns u64 · link_sequence varint ·
//              committed stamp · heard varint · networks_up u8 · lateness_ms varint · lease_us varint ·
//              count u8 · width u8 · heard_links, count * width bits, lowest first, up to the last node of which
//              anything is heard and the highest link that is heard of any · acks u8 · each: holder u8 ·
//              sent_ns in renewal units, 48 bits
//   ack        revision u8 · link u8 · sent_ns u64 · held_us varint
#pragma once

#include "runtime/base/message.hpp"
#include "runtime/wire/frame.hpp"

namespace vigil::wire {

// Longest bodies: each varint at its longest, all nodes heard.
inline constexpr std::size_t heartbeat_body_max = heartbeat_bytes;
inline constexpr std::size_t ack_body_max = 1 + 1 + 8 + 5;
static_assert(heartbeat_fixed_bytes == 1 + 1 + 8 + 8 + 5 + (10 + 1 + 5) + 10 + 1 + 3 + 5 + (1 + 1) + 1 + 1);
static_assert(heartbeat_body_max == body_bytes_max, "what is reckoned to fit a heartbeat fits one frame");
static_assert(frame_size(heartbeat_body_max) <= limits::frame_bytes);
static_assert(ack_body_max <= body_bytes_max);

// `writer` has room for heartbeat_body_max, ack_body_max bytes.
void encode_heartbeat(ByteWriter& writer, const Heartbeat& heartbeat);
void encode_ack(ByteWriter& writer, const HeartbeatAck& ack);

// False: damaged or not of this protocol; the target is then not to be used. `link` and `incarnation`
// are those of the authenticated frame (Delivered in session.hpp).
bool decode_heartbeat(Bytes body, LinkIndex link, const Incarnation& incarnation, Heartbeat& heartbeat);
bool decode_ack(Bytes body, HeartbeatAck& ack);

}  // namespace vigil::wire
