// The lease arithmetic of DESIGN section 4, both sides of it.
//
// Holder: every heartbeat is a renewal, stamped with its own clock before it is sent. The lease starts
// at the send time that a quorum of the view has acknowledged at least, and lasts Timing::lease.
// Voter: records an acknowledgement before it sends it; a vote to expel ends its acknowledgements and
// tells how long the last one may still be served, on the slowest permitted clock.
#pragma once

#include <array>

#include "runtime/base/message.hpp"
#include "runtime/base/timing.hpp"
#include "runtime/base/view.hpp"

namespace vigil {

class LeaseHolder {
 public:
  LeaseHolder(NodeId self, Duration lease) : self_(self), lease_(lease) {}

  // A renewal leaves at `sent` (own clock): our own acknowledgement of it.
  void on_sent(Instant sent) { acknowledged_[self_] = later(acknowledged_[self_], sent); }
  // A voter of `epoch` acknowledged the renewal sent at `sent`. `now` refuses send times of the future.
  void on_acknowledged(Instant now, NodeId voter, Epoch epoch, Instant sent);
  // The tie-breaker was held for `held` at `asked` or later: in a view that lives by it, it counts as a voter of
  // this epoch that acknowledged then. Nothing but reading it again renews that.
  void on_tie_breaker(Epoch held, Instant asked);
  // A new view is in force: acknowledgements of other epochs no longer count for new leases. A lease
  // already granted keeps its end: the voters who granted it answer for it.
  void on_view(const View& view);
  // Recomputes; true when the end moved on.
  bool recompute(const View& view);
  // The lease is over, now and for good, until new acknowledgements come.
  void surrender();

  Instant until() const { return until_; }

 private:
  Instant acknowledged_by_quorum(const View& view) const;

  NodeId self_;
  Duration lease_;
  Epoch epoch_;
  Instant tie_breaker_read_;
  std::array<Instant, limits::max_nodes> acknowledged_{};  // newest acknowledged send time, own clock
  Instant until_;
};

class LeaseVoter {
 public:
  // Records, before it is sent, that `node`'s renewal of `length` is acknowledged at `now`. False: not
  // acknowledged, because it was voted out.
  bool acknowledge(Instant now, NodeId node, Duration length);
  // A promise: whoever its proposal leaves out is not acknowledged any more, whatever is promised later:
  // the proposal may yet be committed, counting on what this voter reported of the lease.
  void leave_out(NodeSet members) { kept_ = kept_ & members; }
  // A record was accepted, or is known committed: no older proposal can be any more. Its members count.
  void keep_only(NodeSet members) { kept_ = members; }
  // What may still be served by nodes outside `members`, on this clock, drift included.
  void leases_left(Instant now, NodeSet members, LeasesLeft& out) const;
  Instant over_at(NodeId node) const { return over_at_[node]; }
  // Whom no promise leaves out: their acknowledgements may still be told.
  NodeSet kept() const;

 private:
  NodeSet kept_ = NodeSet::from_bits(~std::uint64_t{0});
  std::array<Instant, limits::max_nodes> over_at_{};
};

}  // namespace vigil
