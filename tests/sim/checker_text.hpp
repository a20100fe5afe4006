// How the checker words its complaints.
#pragma once

#include <cstdarg>
#include <cstdio>
#include <string>

#include "runtime/base/ids.hpp"

namespace vigil::sim {

[[gnu::format(printf, 1, 2)]] inline std::string text(const char* format, ...) {
  char buffer[320];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(buffer, sizeof buffer, format, arguments);
  va_end(arguments);
  return buffer;
}

inline unsigned long long counter(Epoch epoch) { return epoch.counter; }
inline int proposer(Epoch epoch) { return epoch.proposer == no_node ? -1 : epoch.proposer; }

}  // namespace vigil::sim
