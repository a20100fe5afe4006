#include "runtime/loop/lateness.hpp"

#include <algorithm>
#include <bit>

namespace vigil {

namespace {

std::size_t bucket_of(Duration lateness) {
  const auto us = static_cast<std::uint64_t>(std::max<std::int64_t>(lateness.us(), 0));
  return std::min<std::size_t>(static_cast<std::size_t>(std::bit_width(us)), LatenessMeter::bucket_count - 1);
}

}  // namespace

Duration LatenessMeter::observe(Instant slept_from, Instant deadline, Instant woke) {
  Duration lateness;
  if (!deadline.is_never() && woke > deadline) lateness = woke - deadline;
  if (!last_woke_.is_never()) {
    const Duration gap = longer(slept_from - last_woke_, Duration{});
    worst_gap_ = longer(worst_gap_, gap);
    lateness = longer(lateness, gap);
  }
  last_woke_ = woke;
  last_ = lateness;
  worst_ = longer(worst_, lateness);
  ++wakes_;
  if (lateness >= notable_) ++late_count_;
  ++histogram_[bucket_of(lateness)];
  return lateness;
}

Duration LatenessMeter::quantile(double share) const {
  if (wakes_ == 0) return Duration{};
  const double needed = share * static_cast<double>(wakes_);
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < bucket_count; ++i) {
    seen += histogram_[i];
    if (static_cast<double>(seen) >= needed) return shorter(Duration::from_us(std::int64_t{1} << i), worst_);
  }
  return worst_;
}

}  // namespace vigil
