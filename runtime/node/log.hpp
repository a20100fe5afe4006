// Log lines of the daemon. The real-time thread only puts a line into a bounded ring; a thread of the
// normal class writes them to standard error, where a full pipe or a slow journald may hold it up. Lines
// that find the ring full are counted, and the count is said.
#pragma once

#include <atomic>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "runtime/base/bounded.hpp"
#include "runtime/loop/fd.hpp"
#include "runtime/node/handover.hpp"
#include "runtime/node/side_thread.hpp"

namespace vigil {

enum class LogLevel : std::uint8_t { error = 3, warning = 4, notice = 5, info = 6 };  // syslog's numbers

class Log {
 public:
  // Each line begins with `name`.
  explicit Log(std::string_view name = "vigild");
  ~Log();  // writes what is left
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  // Longer lines are cut. For one thread, the one that runs the loop.
  void write(LogLevel level, std::string_view text) { write(level, {text}); }
  // Parts joined without a space: no allocation for composed lines.
  void write(LogLevel level, std::initializer_list<std::string_view> parts);
  template <typename... Parts>
    requires(sizeof...(Parts) > 1)
  void write(LogLevel level, const Parts&... parts) {
    write(level, {std::string_view(parts)...});
  }

 private:
  static constexpr std::size_t capacity = 512;
  struct Line {
    LogLevel level = LogLevel::info;
    BoundedString<300> text;
  };
  static void* run(void* log);
  void drain();

  std::string name_;
  Handover<Line, capacity> lines_;
  std::atomic<bool> stopping_{false};
  Fd wake_;            // eventfd
  SideThread thread_;  // last: it ends first
};

}  // namespace vigil
