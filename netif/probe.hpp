// Asks a segment whether somebody else uses an address: RFC 5227 probes for IPv4, solicitations as in
// RFC 4862 duplicate-address detection for IPv6. Non-blocking; many addresses at a time.
//
// Before a first start anybody who has or wants the address is a conflict. After a takeover the address
// is ours and served, and the question is whether the old owner, or a stranger, still answers for it:
// then only a claim from another hardware address counts, not a question about it.
//
// It only reports. Closing the gate on a conflict is the caller's decision.
//
// ARP is heard through a packet socket bound to that protocol, neighbour discovery through a raw ICMPv6
// socket, so data traffic is never copied for it. Both stay open: closing a packet socket makes the
// kernel wait for all CPUs, which a real-time thread cannot afford.
#pragma once

#include "netif/announce.hpp"
#include "netif/frames.hpp"
#include "runtime/base/result.hpp"

namespace vigil::netif {

enum class ProbePurpose : std::uint8_t { before_use, after_takeover };

// `count` questions, `spacing` apart; `spacing` after the last, silence means free. RFC 5227 suggests 3
// questions one to two seconds apart for hosts that boot; inside one switched segment an answer takes
// well under a millisecond, and 200 ms outlast a busy neighbour's scheduling.
struct ProbeParameters {
  std::uint8_t count = 3;
  Duration spacing = Duration::from_ms(200);
};

enum class ProbeOutcome : std::uint8_t { free, conflict };

struct ProbeResult {
  IpAddress address;
  int ifindex = 0;
  ProbePurpose purpose = ProbePurpose::before_use;
  ProbeOutcome outcome = ProbeOutcome::free;
  MacAddress other{};  // conflict: who; all zero when the message did not say
};

using ProbeResults = BoundedVector<ProbeResult, limits::max_addresses>;
// Hardware addresses of all adapters of this node: what they say is no conflict.
using OwnMacs = BoundedVector<MacAddress, limits::max_adapters>;

class Prober {
 public:
  static Result<Prober> open();

  void set_own_macs(const OwnMacs& macs) { own_macs_ = macs; }

  // Sends the first question from `mac`; an address that is already being probed begins again. An
  // error: the question could not be sent, and nothing is under way.
  Status start(const IpAddress& address, int ifindex, const MacAddress& mac, ProbePurpose purpose,
               const ProbeParameters& parameters, Instant now);
  void stop(const IpAddress& address);

  // The loop polls both for reading, and hands every readiness to on_readable().
  int arp_fd() const { return arp_.get(); }
  // -1 on a kernel without IPv6.
  int neighbour_fd() const { return neighbour_.get(); }
  // Reads all that came; appends conflicts.
  void on_readable(ProbeResults& results);
  // Asks again where it is time; appends addresses found free.
  void step(Instant now, ProbeResults& results);
  Instant next_deadline() const;

 private:
  struct Probe {
    IpAddress address;
    int ifindex = 0;
    MacAddress mac{};
    ProbePurpose purpose = ProbePurpose::before_use;
    ProbeParameters parameters;
    std::uint8_t sent = 0;
    Instant next;
  };
  int ask(const Probe& probe) const;
  void listen_for(const IpAddress& address, int ifindex, bool on) const;
  bool is_own(const MacAddress& mac, const Probe& probe) const;
  void drain();
  void read_arp(ProbeResults* results);
  void read_neighbour(ProbeResults* results);
  void on_arp(const ArpMessage& message, int ifindex, ProbeResults& results);
  void on_neighbour(const NeighbourMessage& message, bool from_nobody, int ifindex, ProbeResults& results);
  void finish(std::size_t index, ProbeOutcome outcome, const MacAddress& other, ProbeResults& results);

  FrameSender sender_;
  Descriptor arp_;
  Descriptor neighbour_;
  OwnMacs own_macs_;
  BoundedVector<Probe, limits::max_addresses> probes_;
};

}  // namespace vigil::netif
