// Bodies of heartbeats and of their acknowledgements. The layouts are in the header file.
#include "runtime/wire/heartbeat.hpp"

#include <bit>

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

using HeardLinks = std::array<std::uint8_t, limits::max_nodes>;

void put_heard_links(ByteWriter& writer, const HeardLinks& links) {
  std::size_t count = limits::max_nodes;
  while (count > 0 && links[count - 1] == 0) --count;
  std::uint8_t any = 0;
  for (std::uint8_t of_node : links) any |= of_node;
  const auto width = static_cast<std::size_t>(std::bit_width(any));
  std::array<std::uint8_t, limits::max_nodes> bytes{};
  for (std::size_t bit = 0; bit < count * width; ++bit)
    bytes[bit / 8] |= static_cast<std::uint8_t>((links[bit / width] >> bit % width & 1) << bit % 8);
  writer.put_u8(static_cast<std::uint8_t>(count));
  writer.put_u8(static_cast<std::uint8_t>(width));
  writer.put_bytes(Bytes(bytes.data(), heard_links_bytes(count, width)));
}

// Refuses what put_heard_links() would have said in another way.
void get_heard_links(ByteReader& reader, HeardLinks& links) {
  const std::size_t count = reader.get_u8_below(limits::max_nodes + 1);
  const std::size_t width = reader.get_u8_below(limits::max_links + 1);
  const Bytes bytes = reader.get_bytes(heard_links_bytes(count, width));
  if (!reader.ok()) return;
  std::uint8_t any = 0;
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    if ((bytes[bit / 8] >> bit % 8 & 1) == 0) continue;
    if (bit >= count * width) return reader.fail();
    links[bit / width] |= static_cast<std::uint8_t>(1 << bit % width);
    any |= links[bit / width];
  }
  if ((count > 0 && links[count - 1] == 0) || static_cast<std::size_t>(std::bit_width(any)) != width) reader.fail();
}

void put_acks(ByteWriter& writer, const RenewalAcks& acks) {
  writer.put_u8(static_cast<std::uint8_t>(acks.size()));
  for (const RenewalAck& ack : acks) {
    const auto units = static_cast<std::uint64_t>(ack.sent_ns / renewal_unit.ns);
    writer.put_u8(ack.holder);
    writer.put_u16(static_cast<std::uint16_t>(units >> 32));
    writer.put_u32(static_cast<std::uint32_t>(units));
  }
}

void get_acks(ByteReader& reader, RenewalAcks& acks) {
  for (std::size_t left = reader.get_u8_below(renewal_acks_max + 1); left > 0 && reader.ok(); --left) {
    const NodeId holder = reader.get_u8_below(limits::max_nodes);
    const std::uint64_t high = reader.get_u16();
    const std::uint64_t units = high << 32 | reader.get_u32();
    acks.push({holder, static_cast<std::int64_t>(units) * renewal_unit.ns});
  }
}

}  // namespace

void encode_heartbeat(ByteWriter& writer, const Heartbeat& heartbeat) {
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
  put_heard_links(writer, heartbeat.heard_links);
  put_acks(writer, heartbeat.acks);
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
  get_heard_links(reader, heartbeat.heard_links);
  get_acks(reader, heartbeat.acks);
  finish_body(reader, found);
  return reader.ok() && link < limits::max_links;
}

void encode_ack(ByteWriter& writer, const HeartbeatAck& ack) {
  VIGIL_ASSERT(ack.link < limits::max_links);
  writer.put_u8(revision);
  writer.put_u8(ack.link);
  writer.put_i64(ack.sent_ns);
  writer.put_varint(ack.held_us);
}

bool decode_ack(Bytes body, HeartbeatAck& ack) {
  ByteReader reader(body);
  const std::uint8_t found = get_revision(reader);
  ack.link = reader.get_u8_below(limits::max_links);
  ack.sent_ns = get_clock(reader);
  ack.held_us = reader.get_varint_u32();
  finish_body(reader, found);
  return reader.ok();
}

}  // namespace vigil::wire
