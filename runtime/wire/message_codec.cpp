// Bytes of protocol messages: one put and one get for each kind, side by side. Rules: header file.
#include "runtime/wire/message_codec.hpp"

#include <algorithm>

#include "runtime/wire/journal_codec.hpp"
#include "runtime/wire/record_codec.hpp"
#include "runtime/wire/revision.hpp"

namespace vigil::wire {

namespace {

constexpr std::size_t report_kinds = static_cast<std::size_t>(ReportKind::conflict) + 1;
constexpr std::size_t operator_verbs = static_cast<std::size_t>(OperatorVerb::quorum_override) + 1;
constexpr std::size_t key_steps = static_cast<std::size_t>(KeyStep::lacks) + 1;

void put_flag(ByteWriter& writer, bool flag) { writer.put_u8(flag ? 1 : 0); }
bool get_flag(ByteReader& reader) { return reader.get_u8_below(2) != 0; }

// ---- Agreement -------------------------------------------------------------------------------------

void put(ByteWriter& writer, const Prepare& prepare) {
  put(writer, prepare.epoch);
  put(writer, prepare.base);
  put(writer, prepare.members);
  put_incarnations(writer, prepare.members, prepare.incarnations);
  put(writer, prepare.expel);
  put(writer, prepare.candidate_heard);
}
void get(ByteReader& reader, Prepare& prepare) {
  get(reader, prepare.epoch);
  get(reader, prepare.base);
  get(reader, prepare.members);
  get_incarnations(reader, prepare.members, prepare.incarnations);
  get(reader, prepare.expel);
  get(reader, prepare.candidate_heard);
}

// What changes from one repetition to the next (leases) comes last in every message.
void put(ByteWriter& writer, const Promise& promise) {
  put(writer, promise.epoch);
  put_flag(writer, promise.recovering);
  writer.put_u64(promise.forgotten);
  encode_record(writer, promise.accepted);
  put(writer, promise.leases);
}
void get(ByteReader& reader, Promise& promise) {
  get(reader, promise.epoch);
  promise.recovering = get_flag(reader);
  promise.forgotten = reader.get_u64();
  decode_record(reader, promise.accepted);
  get(reader, promise.leases);
}

void put(ByteWriter& writer, const Nack& nack) {
  put(writer, nack.epoch);
  put(writer, nack.promised);
  writer.put_u8(static_cast<std::uint8_t>(nack.reason));
  put(writer, nack.suspects_heard);
}
void get(ByteReader& reader, Nack& nack) {
  get(reader, nack.epoch);
  get(reader, nack.promised);
  nack.reason = static_cast<NackReason>(reader.get_u8_below(nack_reasons));
  get(reader, nack.suspects_heard);
}

void put(ByteWriter& writer, const Accept& accept) {
  encode_record(writer, accept.record);
  put(writer, accept.leases);
}
void get(ByteReader& reader, Accept& accept) {
  decode_record(reader, accept.record);
  get(reader, accept.leases);
}

void put(ByteWriter& writer, const Accepted& accepted) { put(writer, accepted.stamp); }
void get(ByteReader& reader, Accepted& accepted) { get(reader, accepted.stamp); }

void put(ByteWriter& writer, const Commit& commit) {
  put(writer, commit.stamp);
  put(writer, commit.leases);
}
void get(ByteReader& reader, Commit& commit) {
  get(reader, commit.stamp);
  get(reader, commit.leases);
}

void put(ByteWriter& writer, const Fetch& fetch) { put(writer, fetch.have); }
void get(ByteReader& reader, Fetch& fetch) { get(reader, fetch.have); }

void put(ByteWriter& writer, const CommittedRecord& committed) {
  encode_record(writer, committed.record);
  put(writer, committed.leases);
}
void get(ByteReader& reader, CommittedRecord& committed) {
  decode_record(reader, committed.record);
  get(reader, committed.leases);
}

// ---- Groups ----------------------------------------------------------------------------------------

void put(ByteWriter& writer, const Report& report) {
  writer.put_u8(report.group);
  writer.put_varint(report.generation);
  writer.put_u8(static_cast<std::uint8_t>(report.kind));
  writer.put_varint(report.serial);
  put(writer, report.budget);
  writer.put_i64(report.wall_ns);
}
void get(ByteReader& reader, Report& report) {
  report.group = reader.get_u8_below(limits::max_groups);
  report.generation = reader.get_varint_u32();
  report.kind = static_cast<ReportKind>(reader.get_u8_below(report_kinds));
  report.serial = reader.get_varint_u32();
  get(reader, report.budget);
  report.wall_ns = reader.get_i64();
}

void put(ByteWriter& writer, const ReportAck& ack) { writer.put_varint(ack.serial); }
void get(ByteReader& reader, ReportAck& ack) { ack.serial = reader.get_varint_u32(); }

// ---- Operators -------------------------------------------------------------------------------------

bool names_group(OperatorVerb verb) {
  return verb == OperatorVerb::move_group || verb == OperatorVerb::group_online ||
         verb == OperatorVerb::group_offline || verb == OperatorVerb::group_clear;
}

void put(ByteWriter& writer, const OperatorRequest& request) {
  writer.put_u64(request.id);
  writer.put_u8(static_cast<std::uint8_t>(request.command.verb));
  writer.put_u8(request.command.group);
  writer.put_u8(request.command.node);
}
// A verb has the group or the node that it speaks of; move_group may leave the node to placement.
void get(ByteReader& reader, OperatorRequest& request) {
  request.id = reader.get_u64();
  OperatorCommand& command = request.command;
  command.verb = static_cast<OperatorVerb>(reader.get_u8_below(operator_verbs));
  command.group = get_index_or_none(reader, limits::max_groups);
  command.node = get_node_or_none(reader);
  const bool complete = names_group(command.verb) ? command.group != no_index : command.node != no_node;
  if (!complete) reader.fail();
}

void put(ByteWriter& writer, const OperatorReply& reply) {
  writer.put_u64(reply.id);
  put_flag(writer, reply.accepted);
  put_text(writer, reply.text);
}
void get(ByteReader& reader, OperatorReply& reply) {
  reply.id = reader.get_u64();
  reply.accepted = get_flag(reader);
  get_text(reader, reply.text);
}

// ---- Journal ---------------------------------------------------------------------------------------

void put(ByteWriter& writer, const JournalShare& share) { put_entry(writer, share.entry); }
void get(ByteReader& reader, JournalShare& share) { get_entry(reader, share.entry); }

void put(ByteWriter& writer, const JournalAsk& ask) {
  writer.put_u64(ask.run);
  writer.put_varint(ask.position);
  put(writer, ask.writers);
}
void get(ByteReader& reader, JournalAsk& ask) {
  ask.run = reader.get_u64();
  ask.position = reader.get_varint();
  get(reader, ask.writers);
}

// Run, two positions, a flag, the count, the entries.
static_assert(2 + 8 + 2 * varint_bytes_max + 2 + journal_page_entries * journal_entry_bytes_max <=
              limits::message_bytes);

void put(ByteWriter& writer, const JournalPage& page) {
  writer.put_u64(page.run);
  writer.put_varint(page.position);
  writer.put_varint(page.next);
  put_flag(writer, page.last);
  writer.put_u8(static_cast<std::uint8_t>(page.entries.size()));
  for (const JournalEntry& entry : page.entries) {
    put_entry(writer, entry);
    put_view_facts(writer, entry.view);
  }
}
void get(ByteReader& reader, JournalPage& page) {
  page.run = reader.get_u64();
  page.position = reader.get_varint();
  page.next = reader.get_varint();
  page.last = get_flag(reader);
  const std::uint8_t entries = reader.get_u8_below(journal_page_entries + 1);
  for (std::uint8_t i = 0; i < entries && reader.ok(); ++i) {
    page.entries.resize(page.entries.size() + 1);
    get_entry(reader, page.entries.back());
    get_view_facts(reader, page.entries.back().view);
  }
}

// ---- Rotation of the cluster key -------------------------------------------------------------------

void put(ByteWriter& writer, const KeyReport& report) {
  writer.put_u8(static_cast<std::uint8_t>(report.step));
  writer.put_u8(report.id);
  writer.put_u8(report.sending);
  writer.put_u64(report.print);
}
void get(ByteReader& reader, KeyReport& report) {
  report.step = static_cast<KeyStep>(reader.get_u8_below(key_steps));
  report.id = reader.get_u8();
  report.sending = reader.get_u8();
  report.print = reader.get_u64();
  if (report.id == 0 || report.sending == 0) reader.fail();
}

template <std::size_t N>
void get_array(ByteReader& reader, std::array<std::uint8_t, N>& array) {
  const Bytes bytes = reader.get_bytes(N);
  std::copy(bytes.begin(), bytes.end(), array.begin());
}

void put(ByteWriter& writer, const KeyAsk& ask) {
  writer.put_u8(ask.id);
  writer.put_bytes(ask.public_key);
}
void get(ByteReader& reader, KeyAsk& ask) {
  ask.id = reader.get_u8();
  get_array(reader, ask.public_key);
}

void put(ByteWriter& writer, const KeyOffer& offer) {
  writer.put_u8(offer.id);
  writer.put_bytes(offer.sealed);
}
void get(ByteReader& reader, KeyOffer& offer) {
  offer.id = reader.get_u8();
  get_array(reader, offer.sealed);
}

// ---- Any of them -----------------------------------------------------------------------------------

// Kind k is alternative k-1 of Message.
template <MessageKind kind, typename T>
constexpr bool is_pinned =
    std::is_same_v<T, std::variant_alternative_t<static_cast<std::size_t>(kind) - 1, Message>>;
static_assert(is_pinned<MessageKind::prepare, Prepare> && is_pinned<MessageKind::promise, Promise> &&
              is_pinned<MessageKind::nack, Nack> && is_pinned<MessageKind::accept, Accept> &&
              is_pinned<MessageKind::accepted, Accepted> && is_pinned<MessageKind::commit, Commit> &&
              is_pinned<MessageKind::fetch, Fetch> && is_pinned<MessageKind::committed_record, CommittedRecord> &&
              is_pinned<MessageKind::report, Report> && is_pinned<MessageKind::report_ack, ReportAck> &&
              is_pinned<MessageKind::operator_request, OperatorRequest> &&
              is_pinned<MessageKind::operator_reply, OperatorReply> &&
              is_pinned<MessageKind::journal_share, JournalShare> && is_pinned<MessageKind::key_report, KeyReport> &&
              is_pinned<MessageKind::key_ask, KeyAsk> && is_pinned<MessageKind::key_offer, KeyOffer> &&
              is_pinned<MessageKind::journal_ask, JournalAsk> && is_pinned<MessageKind::journal_page, JournalPage>);
static_assert(std::variant_size_v<Message> == static_cast<std::size_t>(MessageKind::journal_page));

// Makes the alternative of this index and reads its fields; false: there is none.
template <std::size_t index = 0>
bool get_alternative(ByteReader& reader, std::size_t wanted, Message& message) {
  if constexpr (index < std::variant_size_v<Message>) {
    if (index != wanted) return get_alternative<index + 1>(reader, wanted, message);
    get(reader, message.emplace<index>());
    return true;
  }
  return false;
}

}  // namespace

MessageKind kind_of(const Message& message) { return static_cast<MessageKind>(message.index() + 1); }

std::size_t encode_message(const Message& message, MutableBytes out) {
  ByteWriter writer(out);
  writer.put_u8(static_cast<std::uint8_t>(kind_of(message)));
  writer.put_u8(revision);
  std::visit([&writer](const auto& content) { put(writer, content); }, message);
  VIGIL_ASSERT(writer.ok());
  return writer.size();
}

DecodeStatus decode_message(Bytes bytes, Message& message) {
  ByteReader reader(bytes);
  const std::uint8_t kind = reader.get_u8();
  const std::uint8_t found = get_revision(reader);
  if (!reader.ok() || kind == 0) return DecodeStatus::malformed;
  if (!get_alternative(reader, std::size_t{kind} - 1, message)) return DecodeStatus::unknown_kind;
  finish_body(reader, found);
  return reader.ok() ? DecodeStatus::decoded : DecodeStatus::malformed;
}

}  // namespace vigil::wire
