// Where the lease gate's programs are: on ingress and egress of every interface of this network
// namespace but loopback, as classic clsact filters of the highest priority. Such a filter belongs to
// the interface, so it stays when the process dies.
//
// verify() is the judge of "the gate is in place": on each of these interfaces the first filter that a
// packet meets must be ours, the very program that we loaded, and nothing may come before filters (tcx
// programs) or pass them by (XDP programs). What sends through a packet socket with PACKET_QDISC_BYPASS,
// through AF_XDP on a queue of its own, or through a virtual function given to somebody else, no filter
// sees: such a host must not rely on the lease.
//
// One look costs some tens of microseconds an interface, and a host may have hundreds. So there are two ways to
// look: verify() at all of them at once, before an address is opened; and for what is open already a few a turn, in
// turns, those first that the kernel has told a change of.
//
// It never takes another program's filter away, and never fights for the first place: it names who has it.
#pragma once

#include <vector>

#include "netif/gate_program.hpp"
#include "netif/netlink.hpp"
#include "runtime/base/result.hpp"

namespace vigil::netif {

class GateFilters {
 public:
  // `program` must outlive this.
  static Result<GateFilters> open(const GateProgram& program);

  // Puts the programs on one interface, in both directions. Already there is success.
  Status attach(int ifindex);

  // Looks at all interfaces: attaches to those that have appeared since, and answers with the first
  // that is not gated as it must be: ours gone, replaced, or preceded. One that was found without our
  // filter is attached to again by the next call, when its caller knows and has closed what was open.
  // Allocates nothing but errors while there are fewer than 256.
  Status verify();

  // The same, a few interfaces at a time: an event or the begin of a sweep makes interfaces due, and each call of
  // verify_due() looks at the next few of these.
  Status begin_sweep();
  void note_event(const nlmsghdr& message);  // of RTNLGRP_TC or RTNLGRP_LINK
  void note_lost_events() { relist_ = true; }
  bool is_due() const;
  Status verify_due();

  // At most so many in one verify_due(), while there are fewer than 1,024.
  static constexpr std::size_t links_a_turn = 4;
  // A whole sweep takes no more turns than this, however many there are.
  static constexpr std::size_t turns_a_sweep = 256;

  // Takes our filters away from everywhere; for a clean shutdown, when no address is left.
  Status detach_all();

 private:
  struct Link {
    int ifindex = 0;
    LinkLayer layer = LinkLayer::ethernet;
    bool has_xdp = false;
    bool attached = false;
    bool present = false;  // in the dump just read
    bool due = false;      // to be looked at
  };
  // What a packet meets first in one direction of an interface.
  struct FirstFilter {
    bool exists = false;
    std::uint32_t program_id = 0;
    bool direct_action = false;
    std::uint16_t priority = 0;
    BoundedString<15> kind;
    BoundedString<31> name;
    bool ours_behind = false;  // ours is there, but not first
  };
  explicit GateFilters(const GateProgram& program) : program_(&program) {}
  Status read_links();
  void note_link(const nlmsghdr& message);
  Status attach_link(Link& link);
  Status attach_one(const Link& link, Direction direction);
  Status verify_link(const Link& link, bool& lost);
  Status look_at(Link& link);
  Result<FirstFilter> first_filter(const Link& link, Direction direction);
  Status no_tcx_before(const Link& link, Direction direction) const;

  const GateProgram* program_;
  NetlinkSocket netlink_;
  std::vector<Link> links_;
  std::size_t next_ = 0;  // in links_: whose turn it is
  bool relist_ = false;   // events were lost: anything may have changed
};

// Takes away every filter whose name says that an earlier Vigil put it there, in the caller's network
// namespace, and returns how many. Only when its addresses are gone: without the gate they would be
// served without a lease.
Result<int> remove_stale_gates();

}  // namespace vigil::netif
