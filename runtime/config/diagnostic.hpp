// What is wrong with a configuration file, where, and what would be right. All findings of a file
// are collected, never only the first: an operator mends a file in one go, not in ten.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace vigil {

// Both from 1, as editors count; column in characters as the TOML parser counts them. 0: the file as a whole.
struct Position {
  std::uint32_t line = 0;
  std::uint32_t column = 0;
  auto operator<=>(const Position&) const = default;
};

enum class Severity : std::uint8_t { error, warning };

struct Diagnostic {
  std::string file;
  std::uint32_t line = 0;
  std::uint32_t column = 0;
  std::string message;  // what was found, what was expected, the nearest valid name; one line, no full stop
  Severity severity = Severity::error;
};

// "cluster.toml:12:3: unknown key 'profle' in [cluster]; did you mean 'profile'?", one line, the form
// that editors and compilers share. A warning says so after the position.
std::string to_string(const Diagnostic& diagnostic);

// Collects findings, each as one line: control characters of the file are shown as \xNN. After max_findings it only
// counts, so that a hostile file cannot fill memory.
class Diagnostics {
 public:
  static constexpr std::size_t max_findings = 200;

  explicit Diagnostics(std::string_view file) : file_(file) {}

  void error(Position at, std::string message) { add(at, std::move(message), Severity::error); }
  void warning(Position at, std::string message) { add(at, std::move(message), Severity::warning); }
  std::size_t errors() const { return errors_; }
  // The findings in the order of the file.
  std::vector<Diagnostic> take();

 private:
  void add(Position at, std::string message, Severity severity);

  std::string file_;
  std::vector<Diagnostic> found_;
  std::size_t errors_ = 0;
};

}  // namespace vigil
