// Assertions mean "our bug" and stay on in release builds. Bytes from outside never reach one:
// they get a Result. One condition each, so that the message names the one that broke.
#pragma once

namespace vigil {

[[noreturn]] void assertion_failed(const char* condition, const char* file, int line);

}  // namespace vigil

#define VIGIL_ASSERT(condition)                                        \
  do {                                                                 \
    if (!(condition)) [[unlikely]]                                     \
      ::vigil::assertion_failed(#condition, __FILE__, __LINE__);       \
  } while (false)
