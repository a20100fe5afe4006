// Tells a segment where a service address lives now: gratuitous ARP in both forms, or an unsolicited
// neighbour advertisement, at once and then repeated, because each may be lost and some switches and
// hosts heed only the later ones.
//
// The repetitions of one address, from the moment it is served:
//
//   0       first, before anything else: this one ends the outage
//   20 ms   the switch port that was just enabled, the client whose queue was full
//   100 ms
//   1 s     hosts that hold an entry for a second before they change it (Linux's locktime)
//   3 s     the third of RFC 4861's MAX_NEIGHBOR_ADVERTISEMENT, past RFC 5227's ANNOUNCE_INTERVAL
//
// It sends through the interface's ordinary egress path, so the lease gate stops it with everything
// else. It never waits and never allocates after open().
#pragma once

#include "netif/frames.hpp"
#include "runtime/base/result.hpp"

namespace vigil::netif {

inline constexpr std::array<Duration, 5> announce_schedule = {
    Duration::from_ms(0), Duration::from_ms(20), Duration::from_ms(100), Duration::from_s(1), Duration::from_s(3)};

// A packet socket that only sends, on any interface, without waiting.
class FrameSender {
 public:
  static Result<FrameSender> open();
  // 0, or the errno value that the kernel gave.
  int send(const Frame& frame, int ifindex) const;

 private:
  Descriptor socket_;
};

class Announcer {
 public:
  static Result<Announcer> open();

  // Sends the first announcement and plans the others; an address that is already being announced
  // starts again, with the new place. `router`: see encode_unsolicited_na. An error is that of the first
  // sending; the repetitions go on all the same.
  Status start(const IpAddress& address, int ifindex, const MacAddress& mac, bool router, Instant now);
  void stop(const IpAddress& address);

  void step(Instant now);
  Instant next_deadline() const;

  // Frames that the kernel did not take since open().
  std::uint32_t failures() const { return failures_; }

 private:
  struct Entry {
    IpAddress address;
    int ifindex = 0;
    MacAddress mac{};
    bool router = false;
    Instant begun;
    std::size_t sent = 0;  // position in the schedule
  };
  int announce(const Entry& entry);

  FrameSender sender_;
  BoundedVector<Entry, limits::max_addresses> entries_;
  std::uint32_t failures_ = 0;
};

}  // namespace vigil::netif
