#include "runtime/base/assert.hpp"

#include <cstdio>
#include <cstdlib>

namespace vigil {

void assertion_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "vigil: assertion failed: %s (%s:%d)\n", condition, file, line);
  std::abort();
}

}  // namespace vigil
