// Widths are counted before colour is added, so that escape sequences take no room.
#include "tools/ctl/table.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>

namespace vigil::ctl {

namespace {

std::size_t width_of(const std::string& text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

const char* code_of(Colour colour) {
  switch (colour) {
    case Colour::plain:
      return "";
    case Colour::good:
      return "\x1b[32m";
    case Colour::warn:
      return "\x1b[33m";
    case Colour::bad:
      return "\x1b[1;31m";
    case Colour::dim:
      return "\x1b[2m";
    case Colour::bold:
      return "\x1b[1m";
  }
  return "";
}

}  // namespace

bool stdout_wants_colour() {
  const char* no_colour = std::getenv("NO_COLOR");
  const char* terminal = std::getenv("TERM");
  if (no_colour != nullptr && *no_colour != '\0') return false;
  if (terminal == nullptr || std::string_view(terminal) == "dumb") return false;
  return isatty(STDOUT_FILENO) == 1;
}

std::string paint(const std::string& text, Colour colour, bool colours) {
  if (!colours || colour == Colour::plain || text.empty()) return text;
  return code_of(colour) + text + "\x1b[0m";
}

std::string table(const std::vector<std::vector<Cell>>& rows, bool colours) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows)
    for (std::size_t i = 0; i < row.size(); ++i) {
      if (i == widths.size()) widths.push_back(0);
      widths[i] = std::max(widths[i], width_of(row[i].text));
    }
  std::string out;
  for (const auto& row : rows) {
    std::string line;
    std::size_t owed = 0;  // blanks due before the next cell that has text
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::size_t width = width_of(row[i].text);
      const std::size_t fill = widths[i] - width;
      if (row[i].right) owed += fill;
      if (width > 0) {
        line.append(owed, ' ');
        line += paint(row[i].text, row[i].colour, colours);
        owed = 0;
      }
      owed += 2 + (row[i].right ? 0 : fill);
    }
    out += line + '\n';
  }
  return out;
}

std::string joined(const std::vector<std::string>& items, const std::string& none) {
  if (items.empty()) return none;
  std::string out = items[0];
  for (std::size_t i = 1; i < items.size(); ++i) out += (i + 1 == items.size() ? " and " : ", ") + items[i];
  return out;
}

}  // namespace vigil::ctl
