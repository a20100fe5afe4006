#include "runtime/config/table_reader.hpp"

#include <algorithm>

#include "runtime/config/names.hpp"

namespace vigil {

namespace {

std::string quoted(std::string_view text) { return "'" + std::string(text) + "'"; }

// What a file may contain ends up in one line of a message and in a C string.
bool has_control_characters(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

// "[[node]]" and "adapter" give "node.adapter"; the top level gives the key alone.
std::string heading(std::string_view label, std::string_view key) {
  std::string text(label);
  std::erase_if(text, [](char c) { return c == '[' || c == ']'; });
  return label.starts_with('[') ? text + "." + std::string(key) : std::string(key);
}

}  // namespace

const Member* TableReader::take(std::string_view key) {
  known_.emplace_back(key);
  for (const Member& member : table_.members)
    if (member.key == key) return &member;
  return nullptr;
}

const Value* TableReader::find(std::string_view key, Need need, ValueKind kind) {
  const Member* member = take(key);
  if (member == nullptr) {
    if (need == Need::required)
      diagnostics_.error(table_.at,
                         label_ + " has no " + quoted(key) + "; expected " + std::string(article_and_name(kind)));
    return nullptr;
  }
  if (member->value.kind != kind) {
    diagnostics_.error(member->value.at, quoted(key) + " in " + label_ + " is " +
                                             std::string(article_and_name(member->value.kind)) + "; expected " +
                                             std::string(article_and_name(kind)));
    return nullptr;
  }
  return &member->value;
}

Located<std::string> TableReader::text(std::string_view key, Need need, std::size_t max_bytes) {
  const Value* value = find(key, need, ValueKind::string);
  if (value == nullptr) return {};
  std::string problem;
  if (value->text.empty()) problem = "is empty; expected 1 to " + std::to_string(max_bytes) + " bytes";
  if (value->text.size() > max_bytes)
    problem = "has " + std::to_string(value->text.size()) + " bytes; expected at most " + std::to_string(max_bytes);
  if (has_control_characters(value->text)) problem = "contains control characters; expected one line of text";
  if (problem.empty()) return {value->text, value->at, true};
  diagnostics_.error(value->at, quoted(key) + " in " + label_ + " " + problem);
  return {};
}

Located<std::string> TableReader::name(std::string_view key, Need need) {
  const Value* value = find(key, need, ValueKind::string);
  if (value == nullptr) return {};
  if (is_name(value->text)) return {value->text, value->at, true};
  const std::string shown = quoted(value->text.substr(0, 64));
  diagnostics_.error(value->at, quoted(key) + " in " + label_ + " is " + shown + "; expected 1 to " +
                                    std::to_string(limits::name_length) +
                                    " letters, digits, '-', '_' or '.', beginning with a letter or a digit");
  return {};
}

Located<std::int64_t> TableReader::integer(std::string_view key, Need need, std::int64_t low, std::int64_t high) {
  const Value* value = find(key, need, ValueKind::integer);
  if (value == nullptr) return {};
  if (value->integer >= low && value->integer <= high) return {value->integer, value->at, true};
  diagnostics_.error(value->at, quoted(key) + " in " + label_ + " is " + std::to_string(value->integer) +
                                    "; expected " + std::to_string(low) + " to " + std::to_string(high));
  return {};
}

Located<bool> TableReader::boolean(std::string_view key) {
  const Value* value = find(key, Need::optional, ValueKind::boolean);
  if (value == nullptr) return {};
  return {value->boolean, value->at, true};
}

Located<Duration> TableReader::duration(std::string_view key, Duration low, Duration high) {
  const Value* value = find(key, Need::optional, ValueKind::string);
  if (value == nullptr) return {};
  const Result<Duration> parsed = parse_duration(value->text);
  if (!parsed.ok()) {
    const std::string why = has_control_characters(value->text) ? "is no duration" : parsed.error().message;
    diagnostics_.error(value->at, quoted(key) + " in " + label_ + ": " + why);
    return {};
  }
  if (*parsed >= low && *parsed <= high) return {*parsed, value->at, true};
  diagnostics_.error(value->at, quoted(key) + " in " + label_ + " is " + value->text + "; expected " +
                                    format_duration(low) + " to " + format_duration(high));
  return {};
}

Located<IpAddress> TableReader::address(std::string_view key, Need need) {
  const Value* value = find(key, need, ValueKind::string);
  if (value == nullptr) return {};
  const Result<IpAddress> parsed = parse_address(value->text);
  if (parsed.ok()) return {*parsed, value->at, true};
  const std::string why = has_control_characters(value->text) ? "is no address" : parsed.error().message;
  diagnostics_.error(value->at, quoted(key) + " in " + label_ + ": " + why);
  return {{}, value->at, false};
}

std::vector<Located<std::string>> TableReader::texts(std::string_view key, Need need, Position& at) {
  std::vector<Located<std::string>> texts;
  const Value* value = find(key, need, ValueKind::array);
  if (value == nullptr) return texts;
  at = value->at;
  for (const Value& item : value->items) {
    if (item.kind == ValueKind::string && !has_control_characters(item.text))
      texts.push_back({item.text, item.at, true});
    else
      diagnostics_.error(item.at, "an item of " + quoted(key) + " in " + label_ + " is " +
                                      std::string(article_and_name(item.kind)) + "; expected a one-line string");
  }
  return texts;
}

std::vector<const Value*> TableReader::tables(std::string_view key) {
  std::vector<const Value*> tables;
  const Member* member = take(key);
  if (member == nullptr) return tables;
  bool all_tables = member->value.kind == ValueKind::array;
  for (const Value& item : member->value.items) {
    if (item.kind == ValueKind::table)
      tables.push_back(&item);
    else
      all_tables = false;
  }
  if (!all_tables)
    diagnostics_.error(
        member->at, quoted(key) + " in " + label_ + " is " +
                        (member->value.kind == ValueKind::array ? "an array with items that are no tables"
                                                                : std::string(article_and_name(member->value.kind))) +
                        "; expected tables, each under a heading [[" + heading(label_, key) + "]]");
  return tables;
}

const Value* TableReader::table(std::string_view key) { return find(key, Need::optional, ValueKind::table); }

void TableReader::reject_choice(std::string_view key, const Value& value, const std::vector<std::string>& names) {
  const std::string shown = quoted(value.text.substr(0, 64));
  std::string expected;
  for (std::size_t i = 0; i < names.size(); ++i)
    expected += (i == 0 ? "" : i + 1 == names.size() ? " or " : ", ") + names[i];
  std::string message = quoted(key) + " in " + label_ + " is " + shown + "; expected " + expected;
  if (const auto nearest = nearest_name(value.text, names)) message += "; did you mean '" + *nearest + "'?";
  diagnostics_.error(value.at, std::move(message));
}

void TableReader::finish() {
  for (const Member& member : table_.members) {
    if (std::find(known_.begin(), known_.end(), member.key) != known_.end()) continue;
    const std::string shown = quoted(member.key.substr(0, 64));
    diagnostics_.error(member.at, "unknown key " + shown + " in " + label_ + hint(member.key, known_));
  }
}

}  // namespace vigil
