// Bytes of journal entries. Two forms: JournalShare carries an entry as the first release knew it; a
// JournalPage carries, behind the same fields, what is known of a view change. Control characters in people's
// text become spaces, and events that a newer release invented become EventName::none: an entry is readable
// without.
#pragma once

#include "runtime/base/journal.hpp"
#include "runtime/wire/bytes.hpp"

namespace vigil::wire {

template <std::size_t N>
void put_text(ByteWriter& writer, const BoundedString<N>& text) {
  static_assert(N <= UINT8_MAX);
  writer.put_u8(static_cast<std::uint8_t>(text.size()));
  writer.put_bytes(Bytes(reinterpret_cast<const std::uint8_t*>(text.c_str()), text.size()));
}

template <std::size_t N>
void get_text(ByteReader& reader, BoundedString<N>& text) {
  const Bytes bytes = reader.get_bytes(reader.get_u8_below(N + 1));
  std::array<char, N> clean{};
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const bool control = bytes[i] < 0x20 || bytes[i] == 0x7f;
    clean[i] = control ? ' ' : static_cast<char>(bytes[i]);
  }
  text.assign(std::string_view(clean.data(), bytes.size()));
}

// Most bytes of an entry with its facts.
inline constexpr std::size_t journal_entry_bytes_max = 512;

// All but `view`.
void put_entry(ByteWriter& writer, const JournalEntry& entry);
void get_entry(ByteReader& reader, JournalEntry& entry);

void put_view_facts(ByteWriter& writer, const ViewFacts& facts);
void get_view_facts(ByteReader& reader, ViewFacts& facts);

}  // namespace vigil::wire
