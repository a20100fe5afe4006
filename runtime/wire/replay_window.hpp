// Which sequence numbers of one stream were seen: a frame is believed once.
//
// The window slides with the highest number seen; below it by `width` or more, everything counts as
// seen. 1,024 outlasts a burst of fragments to 63 peers on one link that the heartbeat behind it has overtaken:
// heartbeats have a socket of their own.
#pragma once

#include <bitset>
#include <cstdint>

namespace vigil::wire {

class ReplayWindow {
 public:
  static constexpr std::uint64_t width = 1024;

  std::uint64_t highest() const { return highest_; }

  bool has_seen(std::uint64_t sequence) const {
    if (sequence > highest_) return false;
    const std::uint64_t age = highest_ - sequence;
    return age >= width || seen_[age];
  }
  void mark(std::uint64_t sequence) {
    if (sequence > highest_) {
      const std::uint64_t step = sequence - highest_;
      if (step < width)
        seen_ <<= step;
      else
        seen_.reset();
      highest_ = sequence;
    }
    const std::uint64_t age = highest_ - sequence;
    if (age < width) seen_.set(age);
  }

 private:
  std::uint64_t highest_ = 0;
  std::bitset<width> seen_;  // bit i: highest_ - i
};

}  // namespace vigil::wire
