// A trial: what each change of the view costs a cluster of a given size on a good network. Its nodes start together,
// are left in peace, lose one node, the coordinator, five at once, half of all, and get them back; each step begins
// when the one before is done. Times count from the suspicion, or, where nodes return, from when the last of them may
// vote: before that nothing but the profile's timers passes.
#pragma once

#include <array>
#include <cstdint>

#include "runtime/base/ids.hpp"
#include "tests/sim/clock.hpp"

namespace vigil::sim {

// Frames on the wire, and their bytes from the header to the tag.
struct Load {
  std::size_t frames = 0;
  std::size_t bytes = 0;

  Load& operator+=(const Load& other) {
    frames += other.frames;
    bytes += other.bytes;
    return *this;
  }
};

// Which of a peer's messages were there before: the highest number, and those close below it.
struct Seen {
  std::uint64_t highest = 0;
  std::uint64_t recent = 0;  // bit i: highest - i

  // False: it was.
  bool add(std::uint64_t number) {
    if (number > highest) {
      const std::uint64_t ahead = number - highest;
      recent = (ahead < 64 ? recent << ahead : 0) | 1;
      highest = number;
      return true;
    }
    const std::uint64_t behind = highest - number;
    if (behind >= 64 || (recent >> behind & 1) != 0) return false;
    recent |= std::uint64_t{1} << behind;
    return true;
  }
};

enum class TrialStep : std::uint8_t {
  cold_start,
  quiet,
  member_dies,
  member_returns,
  coordinator_dies,
  coordinator_returns,
  five_die,
  five_return,
  partition,  // the smaller half, without the coordinator
  healing,
  count_
};
inline constexpr std::size_t trial_steps = static_cast<std::size_t>(TrialStep::count_);
const char* to_string(TrialStep step);

struct StepFigures {
  bool done = false;
  SimTime took = 0;    // beyond detection, or beyond the waits of those who return
  SimTime lasted = 0;  // in all
  std::uint64_t messages = 0;
  std::uint64_t given_up = 0;  // rounds
  std::uint64_t views = 0;     // committed
  std::size_t busiest = 0;     // frames that one node sent and received meanwhile
  Load sent;                   // of all nodes together
  Load received;
};
using TrialFigures = std::array<StepFigures, trial_steps>;

struct Trial {
  TrialFigures figures{};
  std::size_t step = 0;
  bool running = false;
  SimTime since = 0;                            // the step's begin, or when the next may begin
  SimTime mark = 0;                             // from here on the clock runs; sim_never: not yet
  NodeSet victims;                              // silent from now on
  NodeSet returning;                            // these come back …
  std::array<std::uint32_t, 64> life_before{};  // … in a later life than this
  NodeSet used;  // nodes that were voted out already: who is for the third time is held out
  NodeSet away;  // in the smaller half
  std::uint64_t messages = 0;
  std::uint64_t given_up = 0;
  std::uint64_t epoch_before = 0;
};

}  // namespace vigil::sim
