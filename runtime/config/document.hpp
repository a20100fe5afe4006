// A TOML file as a tree with positions: what the rest of config/ reads. Only document.cpp knows which
// library parses, and its exceptions and types go no further.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/config/diagnostic.hpp"

namespace vigil {

enum class ValueKind : std::uint8_t { string, integer, floating, boolean, date, array, table };

std::string_view article_and_name(ValueKind kind);  // "a string", "an integer"

struct Member;

struct Value {
  ValueKind kind = ValueKind::table;
  Position at;
  std::string text;             // string
  std::int64_t integer = 0;     // integer
  bool boolean = false;         // boolean
  std::vector<Value> items;     // array
  std::vector<Member> members;  // table
};

struct Member {
  std::string key;
  Position at;  // of the key
  Value value;
};

// Files above this are refused unread: a cluster at every limit needs less than half of it.
inline constexpr std::size_t max_document_bytes = 256 * 1024;
inline constexpr std::size_t max_line_bytes = 1024;

// Parses TOML 1.0. On a syntax error adds one diagnostic and returns an empty table: a TOML parser
// cannot go on behind one.
Value parse_document(std::string_view text, Diagnostics& diagnostics);

}  // namespace vigil
