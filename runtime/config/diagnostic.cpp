#include "runtime/config/diagnostic.hpp"

#include <algorithm>
#include <utility>

namespace vigil {

namespace {

// What a terminal would act on: C0, DEL, and C1 as UTF-8 writes it (U+0080 to U+009F).
bool is_control(unsigned char byte, unsigned char before) {
  return byte < 0x20 || byte == 0x7f || (before == 0xc2 && byte >= 0x80 && byte < 0xa0);
}

// A file's own words may come with line feeds and escape sequences: a finding stays one line of text.
std::string on_one_line(std::string text) {
  const auto byte_at = [&](std::size_t at) { return static_cast<unsigned char>(text[at]); };
  std::string shown;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (is_control(byte_at(at), at > 0 ? byte_at(at - 1) : 0)) {
      if (byte_at(at) >= 0x80) shown.pop_back();  // its lead byte
      constexpr std::string_view digits = "0123456789abcdef";
      shown += "\\x";
      shown += digits[byte_at(at) >> 4];
      shown += digits[byte_at(at) & 15];
    } else {
      shown += text[at];
    }
  }
  return shown;
}

}  // namespace

std::string to_string(const Diagnostic& diagnostic) {
  std::string text = diagnostic.file;
  if (diagnostic.line > 0) {
    text += ":" + std::to_string(diagnostic.line);
    if (diagnostic.column > 0) text += ":" + std::to_string(diagnostic.column);
  }
  text += diagnostic.severity == Severity::warning ? ": warning: " : ": ";
  return text + diagnostic.message;
}

void Diagnostics::add(Position at, std::string message, Severity severity) {
  if (severity == Severity::error) ++errors_;
  if (found_.size() >= max_findings) return;
  found_.push_back({file_, at.line, at.column, on_one_line(std::move(message)), severity});
}

std::vector<Diagnostic> Diagnostics::take() {
  std::stable_sort(found_.begin(), found_.end(), [](const Diagnostic& a, const Diagnostic& b) {
    return Position{a.line, a.column} < Position{b.line, b.column};
  });
  return std::move(found_);
}

}  // namespace vigil
