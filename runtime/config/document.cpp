#include "runtime/config/document.hpp"

#include <algorithm>

// Some malformed files trip assertions of toml++ (found by fuzzing). An operator's typing error must
// not end the program, so they become this, which never leaves the file.
namespace {
struct LibraryAssertion {};
constexpr void require(bool condition) {
  if (!condition) throw LibraryAssertion{};
}
}  // namespace

// Header only, so that nothing has to be linked; syntax errors come as values.
#undef NDEBUG
#define TOML_ASSERT(condition) require(static_cast<bool>(condition))
#define TOML_HEADER_ONLY 1
#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

namespace vigil {

namespace {

// toml++ already limits the nesting of arrays and inline tables, but not that of dotted keys.
constexpr int max_depth = 32;

Position position_of(const toml::source_region& region) { return {region.begin.line, region.begin.column}; }

Value convert(const toml::node& node, int depth, Diagnostics& diagnostics) {
  Value value;
  value.at = position_of(node.source());
  if (depth > max_depth) {
    diagnostics.error(value.at, "nested more than " + std::to_string(max_depth) + " levels deep");
    return value;
  }
  if (const auto* table = node.as_table()) {
    value.kind = ValueKind::table;
    for (const auto& [key, child] : *table)
      value.members.push_back(
          {std::string(key.str()), position_of(key.source()), convert(child, depth + 1, diagnostics)});
  } else if (const auto* array = node.as_array()) {
    value.kind = ValueKind::array;
    for (const auto& child : *array) value.items.push_back(convert(child, depth + 1, diagnostics));
  } else if (const auto* text = node.as_string()) {
    value.kind = ValueKind::string;
    value.text = text->get();
  } else if (const auto* integer = node.as_integer()) {
    value.kind = ValueKind::integer;
    value.integer = integer->get();
  } else if (const auto* boolean = node.as_boolean()) {
    value.kind = ValueKind::boolean;
    value.boolean = boolean->get();
  } else {
    value.kind = node.is_floating_point() ? ValueKind::floating : ValueKind::date;
  }
  return value;
}

// Finds what TOML forbids or a person never writes before the library sees it: overlong lines, and
// control characters, on which its assertions are not all reliable. True when the text is clean.
bool check_text(std::string_view text, Diagnostics& diagnostics) {
  Position at{1, 1};
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\n') {
      at = {at.line + 1, 1};
      continue;
    }
    if ((byte < 0x20 && c != '\t' && c != '\r') || byte == 0x7f) {
      diagnostics.error(at, "control character " + std::to_string(byte) + "; expected printable text");
      return false;
    }
    if (++at.column > max_line_bytes + 1) {
      diagnostics.error({at.line, 1}, "the line is longer than " + std::to_string(max_line_bytes) + " bytes");
      return false;
    }
  }
  return true;
}

// The line at whose end the parser first trips over an assertion, by bisection over the lines.
std::uint32_t line_of_assertion(std::string_view text) {
  std::vector<std::size_t> ends;
  for (std::size_t at = 0; at < text.size(); ++at)
    if (text[at] == '\n' || at + 1 == text.size()) ends.push_back(at + 1);
  const auto trips = [&](std::size_t end) {
    try {
      return toml::parse(text.substr(0, end)).failed();
    } catch (const LibraryAssertion&) {
      return true;
    }
  };
  const auto first = std::partition_point(ends.begin(), ends.end(), [&](std::size_t end) { return !trips(end); });
  return static_cast<std::uint32_t>(first - ends.begin()) + (first == ends.end() ? 0 : 1);
}

}  // namespace

std::string_view article_and_name(ValueKind kind) {
  switch (kind) {
    case ValueKind::string:
      return "a string";
    case ValueKind::integer:
      return "an integer";
    case ValueKind::floating:
      return "a floating-point number";
    case ValueKind::boolean:
      return "a boolean";
    case ValueKind::date:
      return "a date or time";
    case ValueKind::array:
      return "an array";
    case ValueKind::table:
      return "a table";
  }
  return "a value";
}

Value parse_document(std::string_view text, Diagnostics& diagnostics) {
  if (text.size() > max_document_bytes) {
    diagnostics.error({}, "the file is too large; expected at most " + std::to_string(max_document_bytes) + " bytes");
    return {};
  }
  if (!check_text(text, diagnostics)) return {};
  try {
    const toml::parse_result parsed = toml::parse(text);
    if (parsed) return convert(parsed.table(), 0, diagnostics);
    diagnostics.error(position_of(parsed.error().source()),
                      "not valid TOML: " + std::string(parsed.error().description()));
  } catch (const LibraryAssertion&) {
    diagnostics.error({line_of_assertion(text), 1}, "not valid TOML: expected a key, '=' and a value, or a [heading]");
  }
  return {};
}

}  // namespace vigil
