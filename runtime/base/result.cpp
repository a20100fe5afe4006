#include "runtime/base/result.hpp"

#include <cstring>

namespace vigil {

Error Error::from_errno(std::string tried, int code) {
  tried += ": ";
  tried += std::strerror(code);
  return Error{std::move(tried), code};
}

}  // namespace vigil
