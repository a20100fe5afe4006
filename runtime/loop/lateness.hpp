// Measures how late the loop runs: the difference between the deadline it armed and the moment it
// woke, and how long it was away from the kernel between two waits. A process that was stopped, or a
// machine whose processor was stolen, shows in one or the other, whatever it was doing at the time.
// The detector must know ("I was late" accuses nobody), so that the shell reports a wake-up before it
// hands over what had arrived in the meantime. Allocates nothing, reads no clock.
#pragma once

#include <array>
#include <cstdint>

#include "runtime/base/time.hpp"

namespace vigil {

class LatenessMeter {
 public:
  // Bucket 0 counts what was below 1 µs late, bucket i what lay in [2^(i-1), 2^i) µs, the last bucket
  // all the rest (above 18 minutes).
  static constexpr std::size_t bucket_count = 32;
  using Histogram = std::array<std::uint64_t, bucket_count>;

  // Wake-ups at least this late are counted as late.
  explicit LatenessMeter(Duration notable) : notable_(notable) {}

  // One wait of the loop: it began at `slept_from` with `deadline` armed (never(): none), and ended at
  // `woke`. Returns how late the loop was, 0 when it was not: the larger of the delay behind the
  // deadline and the time spent away from the kernel before this wait.
  Duration observe(Instant slept_from, Instant deadline, Instant woke);

  std::uint64_t wakes() const { return wakes_; }
  std::uint64_t late_count() const { return late_count_; }
  Duration last() const { return last_; }
  Duration worst() const { return worst_; }
  // The longest time between the end of one wait and the begin of the next.
  Duration worst_gap() const { return worst_gap_; }
  const Histogram& histogram() const { return histogram_; }
  // Upper edge of the bucket below which at least `share` (0…1) of all wake-ups lie; zero before the first.
  Duration quantile(double share) const;

 private:
  Duration notable_;
  Instant last_woke_ = Instant::never();  // never(): no wait seen yet
  std::uint64_t wakes_ = 0;
  std::uint64_t late_count_ = 0;
  Duration last_;
  Duration worst_;
  Duration worst_gap_;
  Histogram histogram_{};
};

}  // namespace vigil
