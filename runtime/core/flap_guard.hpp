// Decides how long a node that comes and goes is held out. Each admission costs the cluster a view change, and
// placement may move groups for it: a node that is voted out three times within the window is readmitted only
// after a while that doubles with each further time. Pure; every member installs the same views, and so comes to
// the same answer without a word.
//
// It holds nobody out whom a quorum needs: that is desired_view's matter. So a cluster whose last spare node flaps
// still runs, and one with a node to spare changes its view at most
//     2 + log2(flap_hold_max / flap_hold_min) + duration / flap_hold_max
// times because of one node, however fast it flaps.
#pragma once

#include <array>

#include "runtime/base/ids.hpp"
#include "runtime/base/timing.hpp"

namespace vigil {

class FlapGuard {
 public:
  // A view without this node, or without its former life, was installed.
  void voted_out(Instant now, NodeId node) {
    Record& record = records_[node];
    if (record.times == 0 || now - record.last > flap_window) record.times = 0;
    ++record.times;
    record.last = now;
    if (record.times < times_tolerated) return;
    Duration hold = flap_hold_min;
    for (unsigned i = times_tolerated; i < record.times && hold < flap_hold_max; ++i) hold = hold * 2;
    record.until = now + (hold < flap_hold_max ? hold : flap_hold_max);
    next_change_ = now;
  }
  // When held_out() may have another answer.
  Instant next_change() const { return next_change_; }
  NodeSet held_out(Instant now) {
    NodeSet held;
    next_change_ = Instant::never();
    for (std::size_t i = 0; i < records_.size(); ++i) {
      if (now >= records_[i].until) continue;
      held.add(static_cast<NodeId>(i));
      next_change_ = earlier(next_change_, records_[i].until);
    }
    return held;
  }
  Instant until(NodeId node) const { return records_[node].until; }
  // Since it last stayed in for flap_window.
  unsigned times(NodeId node) const { return records_[node].times; }
  static constexpr unsigned times_tolerated = 3;

 private:
  struct Record {
    unsigned times = 0;
    Instant last;
    Instant until;
  };
  std::array<Record, limits::max_nodes> records_{};
  Instant next_change_ = Instant::never();
};

}  // namespace vigil
