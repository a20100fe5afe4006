// What the tests of links share: a sink that remembers, a ring, waiting for a condition, and a network
// namespace of one's own.
#pragma once

#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "drivers/link.hpp"
#include "runtime/loop/clock.hpp"
#include "runtime/loop/ring.hpp"

namespace vigil::test {

using Bytes = std::vector<std::byte>;

inline constexpr std::uint32_t cluster_id = 0x00c0ffee;

// A frame as kernel filters know it, told apart by `number`.
inline Bytes frame_of(std::uint8_t number, std::size_t size = 64, std::uint32_t cluster = cluster_id) {
  Bytes frame(size);
  for (std::size_t i = 0; i < size; ++i) frame[i] = static_cast<std::byte>(i * 7 + number);
  frame[0] = std::byte{frame_layout::magic};
  frame[1] = std::byte{number};
  for (int i = 0; i < 4; ++i)
    frame[4 + static_cast<std::size_t>(i)] = static_cast<std::byte>(cluster >> (24 - 8 * i) & 0xff);
  return frame;
}

struct Sink : FrameSink {
  struct Heard {
    LinkIndex by;
    Bytes bytes;
    Instant received;
    LinkSource source;
  };
  std::vector<Heard> heard;
  std::vector<bool> states;
  void on_frame(LinkIndex by, std::span<const std::byte> bytes, Instant received, Instant,
                const LinkSource& source) override {
    heard.push_back({by, Bytes(bytes.begin(), bytes.end()), received, source});
  }
  void on_link_state(LinkIndex, bool usable) override { states.push_back(usable); }
};

template <typename Condition>
bool run_until(Ring& ring, Condition condition, Duration limit = Duration::from_s(5)) {
  const Instant give_up = boottime_now() + limit;
  while (!condition() && boottime_now() < give_up)
    if (!ring.run_once(give_up)) return false;
  return condition();
}

// Nothing may come: run for a while.
inline void run_for(Ring& ring, Duration time) {
  run_until(
      ring, [] { return false; }, time);
}

inline bool shell(const std::string& command) { return std::system((command + " >/dev/null 2>&1").c_str()) == 0; }

// Moves this process into a network namespace of its own, which ends with it. Empty, or why not.
inline std::string enter_own_network() {
  if (::geteuid() != 0) return "needs root for a network namespace";
  if (::unshare(CLONE_NEWNET) != 0) return "this kernel gives no network namespace";
  if (!shell("ip link set lo up")) return "needs iproute2";
  return {};
}

}  // namespace vigil::test
