// Bytes of every protocol message: kind u8 · revision u8 · fields · blocks of newer revisions.
//
// The decoder believes nothing: see record_codec.hpp for what is refused. In people's text, control
// characters become spaces (it ends up on terminals).
//
// Kinds and how they grow: revision.hpp. No allocation.
#pragma once

#include "runtime/base/message.hpp"
#include "runtime/wire/bytes.hpp"

namespace vigil::wire {

// The numbers travel: append only. Pinned to the alternatives of Message in the source file.
enum class MessageKind : std::uint8_t {
  prepare = 1,
  promise = 2,
  nack = 3,
  accept = 4,
  accepted = 5,
  commit = 6,
  fetch = 7,
  committed_record = 8,
  report = 9,
  report_ack = 10,
  operator_request = 11,
  operator_reply = 12,
  journal_share = 13,
  key_report = 14,
  key_ask = 15,
  key_offer = 16,
  journal_ask = 17,
  journal_page = 18,
};

enum class DecodeStatus : std::uint8_t {
  decoded,
  unknown_kind,  // a newer release speaks of something we do not know: skip it
  malformed,     // damage, or a bug of the sender
};

// What a receiver counts, so that `vigil` can show it.
struct DecodeCounters {
  std::uint64_t decoded = 0;
  std::uint64_t unknown_kind = 0;
  std::uint64_t malformed = 0;

  void note(DecodeStatus status) {
    if (status == DecodeStatus::decoded) ++decoded;
    if (status == DecodeStatus::unknown_kind) ++unknown_kind;
    if (status == DecodeStatus::malformed) ++malformed;
  }
};

MessageKind kind_of(const Message& message);

// Writes the message; room for limits::message_bytes is always enough. Returns the bytes written.
std::size_t encode_message(const Message& message, MutableBytes out);

// Unless the status is `decoded`, the target is not to be used.
DecodeStatus decode_message(Bytes bytes, Message& message);

}  // namespace vigil::wire
