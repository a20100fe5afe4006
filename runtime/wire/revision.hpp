// How bodies and messages grow so that release N talks with N-1.
//
// Every heartbeat, acknowledgement, hello and message carries a revision byte. The fields of revision
// 1 never change; each later revision appends exactly one block: a varint length, then that many
// bytes. A reader of an older revision skips the blocks it does not know; a reader of a newer one
// finds blocks missing and uses defaults. Nothing else may follow, and a body of a known revision
// ends where its fields end: trailing bytes are an error, not an extension. Each kind of body counts its
// own revisions; `revision` is that of all that were never extended.
//
// What may not be skipped (a new rule of safety, a new enumerator of replicated state) needs a new
// message kind or frame type, and is sent only once every peer's hello names a protocol version that
// has it. Unknown message kinds and frame types are counted and dropped.
#pragma once

#include "runtime/wire/bytes.hpp"

namespace vigil::wire {

inline constexpr std::uint8_t revision = 1;

// The range of protocol versions that this release speaks; exchanged in hellos.
inline constexpr std::uint8_t protocol_oldest = 1;
inline constexpr std::uint8_t protocol_newest = 1;

// Reads the revision byte; 0 does not exist.
inline std::uint8_t get_revision(ByteReader& reader) {
  const std::uint8_t found = reader.get_u8();
  if (found == 0) reader.fail();
  return found;
}

// Skips the blocks of revisions newer than `known`, and fails the reader if anything else follows.
inline void finish_body(ByteReader& reader, std::uint8_t found, std::uint8_t known = revision) {
  for (unsigned newer = known; newer < found && reader.ok(); ++newer)
    reader.get_bytes(static_cast<std::size_t>(reader.get_varint_up_to(SIZE_MAX)));
  if (!reader.finished()) reader.fail();
}

}  // namespace vigil::wire
