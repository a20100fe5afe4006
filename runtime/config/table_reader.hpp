// Reads one TOML table key by key, with the checks that need no other table: presence, type, range,
// spelling. It never stops at a wrong value: it reports it, yields the default, and goes on.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/cluster.hpp"
#include "runtime/config/document.hpp"

namespace vigil {

// A value and where it stands. present: written in the file and well formed. A malformed one has its
// position, so that it is not reported a second time as missing.
template <typename T>
struct Located {
  T value{};
  Position at;
  bool present = false;
};

enum class Need : std::uint8_t { required, optional };

class TableReader {
 public:
  // label is how messages name the table: "[cluster]".
  TableReader(const Value& table, std::string label, Diagnostics& diagnostics)
      : table_(table), label_(std::move(label)), diagnostics_(diagnostics) {}

  Located<std::string> text(std::string_view key, Need need, std::size_t max_bytes);
  // As is_name() says.
  Located<std::string> name(std::string_view key, Need need);
  Located<std::int64_t> integer(std::string_view key, Need need, std::int64_t low, std::int64_t high);
  Located<bool> boolean(std::string_view key);
  Located<Duration> duration(std::string_view key, Duration low, Duration high);
  Located<IpAddress> address(std::string_view key, Need need);
  // An array of strings; items of another type are reported and left out.
  std::vector<Located<std::string>> texts(std::string_view key, Need need, Position& at);
  // The tables of [[label.key]]; empty where there are none.
  std::vector<const Value*> tables(std::string_view key);
  // The table [label.key]; null where there is none.
  const Value* table(std::string_view key);

  template <typename E, std::size_t N>
  Located<E> choice(std::string_view key, Need need, const std::array<std::pair<std::string_view, E>, N>& choices) {
    const Value* value = find(key, need, ValueKind::string);
    if (value == nullptr) return {};
    std::vector<std::string> names;
    for (const auto& [name, meaning] : choices) {
      if (value->text == name) return {meaning, value->at, true};
      names.emplace_back(name);
    }
    reject_choice(key, *value, names);
    return {};
  }

  // Reports every key that nobody asked for. Call it last.
  void finish();

  const std::string& label() const { return label_; }
  Position at() const { return table_.at; }

 private:
  // The value of `key` when it is there and of this kind; else reports and returns null.
  const Value* find(std::string_view key, Need need, ValueKind kind);
  const Member* take(std::string_view key);
  void reject_choice(std::string_view key, const Value& value, const std::vector<std::string>& names);

  const Value& table_;
  std::string label_;
  Diagnostics& diagnostics_;
  std::vector<std::string> known_;
};

}  // namespace vigil
