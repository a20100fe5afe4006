// What the tests of the node's shell share: a directory of their own, a captured standard error, waiting
// on a ring with a limit.
#pragma once

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <fstream>
#include <string>

#include "runtime/loop/clock.hpp"
#include "runtime/loop/ring.hpp"
#include "tests/unit/directory.hpp"

namespace vigil::test {

inline void put(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

// Standard error goes to a file while this lives.
class CapturedError {
 public:
  explicit CapturedError(const std::string& path) : path_(path), kept_(::dup(STDERR_FILENO)) {
    const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ::dup2(file, STDERR_FILENO);
    ::close(file);
  }
  ~CapturedError() { give_back(); }
  void give_back() {
    if (kept_ < 0) return;
    std::fflush(stderr);
    ::dup2(kept_, STDERR_FILENO);
    ::close(kept_);
    kept_ = -1;
  }
  std::string text() const { return content(path_); }

 private:
  std::string path_;
  int kept_;
};

template <typename Condition>
bool run_until(Ring& ring, Condition condition, Duration limit = Duration::from_s(5)) {
  const Instant end = boottime_now() + limit;
  while (!condition() && boottime_now() < end)
    if (!ring.run_once(earlier(end, boottime_now() + Duration::from_ms(20)))) return false;
  return condition();
}

}  // namespace vigil::test
