#include "runtime/config/diagnostic.hpp"

#include <algorithm>
#include <utility>

namespace vigil {

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
  found_.push_back({file_, at.line, at.column, std::move(message), severity});
}

std::vector<Diagnostic> Diagnostics::take() {
  std::stable_sort(found_.begin(), found_.end(), [](const Diagnostic& a, const Diagnostic& b) {
    return Position{a.line, a.column} < Position{b.line, b.column};
  });
  return std::move(found_);
}

}  // namespace vigil
