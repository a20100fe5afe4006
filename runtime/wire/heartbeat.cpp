// Bodies of heartbeats and of their acknowledgements. The layouts are in the header file.
#include "runtime/wire/heartbeat.hpp"

#include "runtime/wire/record_codec.hpp"
#include "runtime/wire/revision.hpp"

namespace vigil::wire {

namespace {

constexpr std::uint8_t flag_quorate = 1 << 0;
constexpr std::uint8_t flag_ready = 1 << 1;
constexpr std::uint8_t flag_wants_lease = 1 << 2;
constexpr std::uint8_t flag_leaving = 1 << 3;
constexpr std::uint8_t flag_late = 1 << 4;
constexpr std::uint8_t flag_clean = 1 << 5;
constexpr std::uint8_t flags_known = (1 << 6) - 1;

constexpr std::uint8_t flag_acknowledged = 1 << 7;
constexpr std::uint64_t lease_us_max = static_cast<std::uint64_t>(lease_sane_max.us());

std::uint8_t flags_of(const Heartbeat& heartbeat) {
  return static_cast<std::uint8_t>(
      (heartbeat.quorate ? flag_quorate : 0) | (heartbeat.ready ? flag_ready : 0) |
      (heartbeat.wants_lease ? flag_wants_lease : 0) | (heartbeat.leaving ? flag_leaving : 0) |
      (heartbeat.late ? flag_late : 0) | (heartbeat.clean ? flag_clean : 0));
}

void set_flags(Heartbeat& heartbeat, std::uint8_t flags) {
  heartbeat.quorate = (flags & flag_quorate) != 0;
  heartbeat.ready = (flags & flag_ready) != 0;
  heartbeat.wants_lease = (flags & flag_wants_lease) != 0;
  heartbeat.leaving = (flags & flag_leaving) != 0;
  heartbeat.late = (flags & flag_late) != 0;
  heartbeat.clean = (flags & flag_clean) != 0;
}

// A reading of CLOCK_BOOTTIME, echoed and compared with others of its kind: never negative.
std::int64_t get_clock(ByteReader& reader) {
  const std::int64_t value = reader.get_i64();
  if (value < 0) reader.fail();
  return value;
}

}  // namespace

void encode_heartbeat(ByteWriter& writer, const Heartbeat& heartbeat) {
  std::size_t count = limits::max_nodes;
  while (count > 0 && heartbeat.heard_links[count - 1] == 0) --count;
  writer.put_u8(revision);
  writer.put_u8(flags_of(heartbeat));
  writer.put_u64(heartbeat.config_hash);
  writer.put_i64(heartbeat.sent_ns);
  writer.put_varint(heartbeat.link_sequence);
  put(writer, heartbeat.committed);
  put(writer, heartbeat.heard);
  writer.put_u8(heartbeat.networks_up);
  writer.put_varint(heartbeat.lateness_ms);
  writer.put_varint(heartbeat.lease_us);
  writer.put_u8(static_cast<std::uint8_t>(count));
  writer.put_bytes(Bytes(heartbeat.heard_links.data(), count));
}

bool decode_heartbeat(Bytes body, LinkIndex link, const Incarnation& incarnation, Heartbeat& heartbeat) {
  ByteReader reader(body);
  heartbeat = Heartbeat{};
  heartbeat.link = link;
  heartbeat.incarnation = incarnation;
  const std::uint8_t found = get_revision(reader);
  set_flags(heartbeat, reader.get_u8_below(flags_known + 1));
  heartbeat.config_hash = reader.get_u64();
  heartbeat.sent_ns = get_clock(reader);
  heartbeat.link_sequence = reader.get_varint_u32();
  get(reader, heartbeat.committed);
  get(reader, heartbeat.heard);
  heartbeat.networks_up = reader.get_u8();
  heartbeat.lateness_ms = reader.get_varint_u16();
  heartbeat.lease_us = static_cast<std::uint32_t>(reader.get_varint_up_to(lease_us_max));
  const Bytes heard = reader.get_bytes(reader.get_u8_below(limits::max_nodes + 1));
  if (!heard.empty() && heard.back() == 0) reader.fail();
  for (std::size_t i = 0; i < heard.size(); ++i) heartbeat.heard_links[i] = heard[i];
  finish_body(reader, found);
  return reader.ok() && link < limits::max_links;
}

void encode_ack(ByteWriter& writer, const HeartbeatAck& ack) {
  VIGIL_ASSERT(ack.link < limits::max_links);
  writer.put_u8(revision);
  writer.put_u8(static_cast<std::uint8_t>(ack.link | (ack.lease_acknowledged ? flag_acknowledged : 0)));
  writer.put_i64(ack.sent_ns);
  put(writer, ack.epoch);
  writer.put_varint(ack.held_us);
}

bool decode_ack(Bytes body, HeartbeatAck& ack) {
  ByteReader reader(body);
  const std::uint8_t found = get_revision(reader);
  const std::uint8_t link = reader.get_u8();
  ack.link = link & 0x7f;
  ack.lease_acknowledged = (link & flag_acknowledged) != 0;
  if (ack.link >= limits::max_links) reader.fail();
  ack.sent_ns = get_clock(reader);
  get(reader, ack.epoch);
  ack.held_us = reader.get_varint_u32();
  finish_body(reader, found);
  return reader.ok();
}

}  // namespace vigil::wire
