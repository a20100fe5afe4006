// What this voter's heartbeats tell the holders of leases: which of their renewals it has recorded.
//
// A beat carries the newest renewal of every node, where they fit; in larger clusters those of the nodes that own
// groups first, and the others in turns, which each link takes for itself: beside another that goes on it halves the
// time until all are told, and alone it passes over nobody. Telling late, or twice, is harmless: what was recorded covers the lease,
// however late its holder hears of it (lease.hpp). It decides nothing about who is acknowledged.
#pragma once

#include <array>

#include "runtime/base/message.hpp"

namespace vigil {

class RenewalBook {
 public:
  // `room`: acknowledgements that fit one beat. `links`: of this node, of whichever kind. `nodes`: of the configuration. `first`:
  // where the turns begin, different on every node.
  RenewalBook(std::size_t room, std::size_t links, std::size_t nodes, NodeId first);

  // `holder`'s renewal that left at `sent_ns` was recorded at `now`, in this epoch.
  void note(Instant now, NodeId holder, Epoch epoch, std::int64_t sent_ns) { entries_[holder] = {sent_ns, epoch, now}; }
  // A copy of a renewal that was recorded, or one that was overtaken.
  bool knows(NodeId holder, Epoch epoch, std::int64_t sent_ns) const {
    return entries_[holder].epoch == epoch && sent_ns <= entries_[holder].sent_ns;
  }
  void forget(NodeId holder) { entries_[holder] = {}; }
  // There may be more to tell than these.
  bool fills(const RenewalAcks& acks) const { return acks.size() >= room_; }
  // The word of the next beat of `link`, in `epoch`: renewals of `holders` recorded after `since`, those of `owners`
  // before others.
  void tell(LinkIndex link, Instant since, Epoch epoch, NodeSet holders, NodeSet owners, RenewalAcks& acks);

 private:
  struct Entry {
    std::int64_t sent_ns = 0;
    Epoch epoch;
    Instant recorded;
  };
  bool counts(NodeId node, Instant since, Epoch epoch) const {
    return entries_[node].sent_ns > 0 && entries_[node].epoch == epoch && entries_[node].recorded > since;
  }
  void push(NodeId node, RenewalAcks& acks) const;
  bool leaves_room_for_others(NodeSet holders, NodeSet owners) const;

  std::size_t room_;
  std::size_t nodes_;
  std::array<NodeId, limits::max_links> turns_{};  // on each link: who of those that are not told first is next
  std::array<Entry, limits::max_nodes> entries_{};
};

}  // namespace vigil
