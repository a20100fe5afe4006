#include "runtime/wire/journal_codec.hpp"

#include "runtime/base/message.hpp"
#include "runtime/wire/record_codec.hpp"

namespace vigil::wire {

namespace {

constexpr std::size_t journal_kinds = static_cast<std::size_t>(JournalKind::waiting) + 1;
constexpr std::size_t event_names = static_cast<std::size_t>(EventName::count_);
constexpr std::size_t view_steps = static_cast<std::size_t>(ViewStep::installed) + 1;
constexpr std::size_t accusations = static_cast<std::size_t>(Accusation::other_configuration) + 1;

// Longest encodings: numbers as varints, sets and epochs likewise.
constexpr std::size_t u32_bytes = 5;
constexpr std::size_t epoch_bytes = varint_bytes_max + 1;
constexpr std::size_t plain_bytes = varint_bytes_max + 1 + 8 + 8 + 2 + epoch_bytes + u32_bytes + 1 + u32_bytes + 3 +
                                    varint_bytes_max + 1 + decltype(JournalEntry::text)::capacity();
constexpr std::size_t link_bytes = 2 + u32_bytes;
constexpr std::size_t facts_bytes =
    3 + 2 * epoch_bytes + 6 * varint_bytes_max + 6 * u32_bytes + 1 + limits::max_links * link_bytes;
static_assert(plain_bytes + facts_bytes <= journal_entry_bytes_max);

}  // namespace

void put_entry(ByteWriter& writer, const JournalEntry& entry) {
  writer.put_varint(entry.sequence);
  writer.put_u8(entry.node);
  writer.put_i64(entry.wall_ns);
  writer.put_i64(entry.boot_ns);
  writer.put_u8(static_cast<std::uint8_t>(entry.kind));
  writer.put_u8(static_cast<std::uint8_t>(entry.event));
  put(writer, entry.stamp);
  writer.put_u8(entry.group);
  writer.put_varint(entry.generation);
  writer.put_u8(entry.subject);
  writer.put_u8(entry.network);
  writer.put_u8(entry.adapter);
  writer.put_signed_varint(entry.duration_us);
  put_text(writer, entry.text);
}

void get_entry(ByteReader& reader, JournalEntry& entry) {
  entry.sequence = reader.get_varint();
  entry.node = get_node(reader);
  entry.wall_ns = reader.get_i64();
  entry.boot_ns = reader.get_i64();
  entry.kind = static_cast<JournalKind>(reader.get_u8_below(journal_kinds));
  const std::uint8_t event = reader.get_u8();
  entry.event = event < event_names ? static_cast<EventName>(event) : EventName::none;
  get(reader, entry.stamp);
  entry.group = get_index_or_none(reader, limits::max_groups);
  entry.generation = reader.get_varint_u32();
  entry.subject = get_node_or_none(reader);
  entry.network = get_index_or_none(reader, limits::max_networks);
  entry.adapter = get_index_or_none(reader, limits::max_adapters);
  entry.duration_us = reader.get_signed_varint();
  get_text(reader, entry.text);
}

void put_view_facts(ByteWriter& writer, const ViewFacts& facts) {
  writer.put_u8(static_cast<std::uint8_t>(facts.step));
  if (facts.step == ViewStep::none) return;
  writer.put_u8(static_cast<std::uint8_t>(facts.why));
  writer.put_u8(static_cast<std::uint8_t>(facts.reason));
  put(writer, facts.epoch);
  put(writer, facts.before);
  for (const NodeSet set :
       {facts.members, facts.promised, facts.refused, facts.accepted, facts.hearing, facts.heard})
    put(writer, set);
  for (const std::uint32_t number :
       {facts.round, facts.decide_us, facts.promise_us, facts.accept_us, facts.lease_us, facts.late_us})
    writer.put_varint(number);
  writer.put_u8(static_cast<std::uint8_t>(facts.links.size()));
  for (const LinkSilence& link : facts.links) {
    writer.put_u8(link.link);
    writer.put_u8(link.by);
    writer.put_varint(link.silent_us);
  }
}

void get_view_facts(ByteReader& reader, ViewFacts& facts) {
  facts = ViewFacts{};
  facts.step = static_cast<ViewStep>(reader.get_u8_below(view_steps));
  if (!reader.ok() || facts.step == ViewStep::none) return;
  facts.why = static_cast<Accusation>(reader.get_u8_below(accusations));
  facts.reason = static_cast<NackReason>(reader.get_u8_below(nack_reasons));
  get(reader, facts.epoch);
  get(reader, facts.before);
  for (NodeSet* set :
       {&facts.members, &facts.promised, &facts.refused, &facts.accepted, &facts.hearing, &facts.heard})
    get(reader, *set);
  for (std::uint32_t* number :
       {&facts.round, &facts.decide_us, &facts.promise_us, &facts.accept_us, &facts.lease_us, &facts.late_us})
    *number = reader.get_varint_u32();
  const std::uint8_t links = reader.get_u8_below(limits::max_links + 1);
  for (std::uint8_t i = 0; i < links && reader.ok(); ++i) {
    LinkSilence link;
    link.link = reader.get_u8_below(limits::max_links);
    link.by = reader.get_u8_below(limits::max_links);
    link.silent_us = reader.get_varint_u32();
    facts.links.push(link);
  }
}

}  // namespace vigil::wire
