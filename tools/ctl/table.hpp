// Aligned columns, and colour where the reader is a terminal. Pure text in, text out.
#pragma once

#include <string>
#include <vector>

namespace vigil::ctl {

enum class Colour { plain, good, warn, bad, dim, bold };

// True when standard output is a terminal that wants colour (NO_COLOR unset, TERM not dumb).
bool stdout_wants_colour();

std::string paint(const std::string& text, Colour colour, bool colours);

struct Cell {
  std::string text;
  Colour colour = Colour::plain;
  bool right = false;                                                                                         // numbers
  Cell(std::string t, Colour c = Colour::plain, bool r = false) : text(std::move(t)), colour(c), right(r) {}  // NOLINT
  Cell(const char* t) : text(t) {}                                                                            // NOLINT
};

// Rows of cells as lines, columns two blanks apart, no blanks at the ends of lines. Widths count
// UTF-8 characters, not bytes.
std::string table(const std::vector<std::vector<Cell>>& rows, bool colours);

// "a", "a and b", "a, b and c"; `none` for nothing.
std::string joined(const std::vector<std::string>& items, const std::string& none = "nobody");

}  // namespace vigil::ctl
