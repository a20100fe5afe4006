// One line to standard error, in one write, prefixed with who says it.
#pragma once

#include <string>

namespace vigil::agent {

void log_line(const std::string& text);

}  // namespace vigil::agent
