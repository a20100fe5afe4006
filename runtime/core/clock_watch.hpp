// Decides whose wall clock is too far from the others'.
//
// Nothing that Vigil proves needs wall clocks: leases and detection run on CLOCK_BOOTTIME. What needs them is
// what people and applications rely on after a takeover: the merged journal is ordered by them, certificates
// and tickets are valid by them, files and database rows are stamped with them, and a survivor whose clock is
// an hour behind writes the past over the present. So a node far off is not admitted, by its own doing as well
// as by the members'; a member whose clock is changed later is told of it and stays, because expelling it
// would trade a wrong time for an outage.
//
// Who is off is judged against the middle one of the reference clocks: of those that serve already, else of the
// members that are left, else of all that are heard. No majority can be off from its own middle. Of two alone that differ, the one whose
// clock is ahead is called off; both are told, and neither starts without the other.
//
// Pure. A clock is known as its distance from this node's own CLOCK_BOOTTIME, so that a change of any wall
// clock, the own one too, shows by itself. Whoever has not said is not judged.
#pragma once

#include <algorithm>
#include <array>

#include "runtime/base/ids.hpp"
#include "runtime/base/timing.hpp"

namespace vigil {

class ClockWatch {
 public:
  void note(NodeId node, Duration offset) {
    if (node >= limits::max_nodes) return;
    offsets_[node] = offset;
    known_.add(node);
  }
  void forget(NodeId node) { known_.remove(node); }
  NodeSet known() const { return known_; }

  // How far the node's clock is ahead of the middle one; zero when either is not known.
  Duration ahead(NodeId node, NodeSet reference) const {
    Duration middle;
    if (!known_.has(node) || !middle_of(reference & known_, middle)) return {};
    return offsets_[node] - middle;
  }
  // Of `nodes`, those that are farther off than clock_limit.
  NodeSet apart(NodeSet nodes, NodeSet reference) const {
    NodeSet found;
    Duration middle;
    if (!middle_of(reference & known_, middle)) return found;
    for (NodeId node : nodes & known_) {
      const Duration ahead = offsets_[node] - middle;
      if (ahead > clock_limit || ahead < Duration{} - clock_limit) found.add(node);
    }
    return found;
  }

 private:
  // The lower one of two middles.
  bool middle_of(NodeSet nodes, Duration& middle) const {
    if (nodes.empty()) return false;
    std::array<Duration, limits::max_nodes> sorted;
    std::size_t count = 0;
    for (NodeId node : nodes) sorted[count++] = offsets_[node];
    const auto end = sorted.begin() + static_cast<std::ptrdiff_t>(count);
    const auto half = sorted.begin() + static_cast<std::ptrdiff_t>((count - 1) / 2);
    std::nth_element(sorted.begin(), half, end);
    middle = *half;
    return true;
  }

  std::array<Duration, limits::max_nodes> offsets_{};
  NodeSet known_;
};

}  // namespace vigil
