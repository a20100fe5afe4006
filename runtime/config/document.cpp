#include "runtime/config/document.hpp"

// Header only, so that nothing has to be linked; no exceptions, so that errors are values.
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

// Line number of the first line that is too long; 0 where none is.
std::uint32_t overlong_line(std::string_view text) {
  std::uint32_t line = 1;
  std::size_t start = 0;
  while (start <= text.size()) {
    const std::size_t end = std::min(text.find('\n', start), text.size());
    if (end - start > max_line_bytes) return line;
    start = end + 1;
    ++line;
  }
  return 0;
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
  if (const std::uint32_t line = overlong_line(text); line > 0) {
    diagnostics.error({line, 1}, "the line is longer than " + std::to_string(max_line_bytes) + " bytes");
    return {};
  }
  const toml::parse_result parsed = toml::parse(text);
  if (!parsed) {
    diagnostics.error(position_of(parsed.error().source()),
                      "not valid TOML: " + std::string(parsed.error().description()));
    return {};
  }
  return convert(parsed.table(), 0, diagnostics);
}

}  // namespace vigil
