// A service address on this node, from proof to proof: gate, verify, add, announce; and back: lease
// zero, remove, free the gate. The one place where that order is written down.
//
// What it must never do: have an address on an interface without its gate in place before, or free a
// gate whose address may still be on an interface. When the address cannot be removed its gate stays,
// closed, and release() may be called again.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "netif/address.hpp"
#include "netif/announce.hpp"
#include "netif/gate.hpp"

namespace vigil::netif {

struct AcquireRequest {
  AddressSlot slot = 0;
  IpAddress address;
  int ifindex = 0;
  MacAddress mac{};  // of that interface
  NodeId owner = no_node;
  Epoch epoch;
  Instant until;  // of the lease, CLOCK_BOOTTIME
};

// How long each step took.
struct AcquireTiming {
  Duration gate;          // verified on all interfaces, entered, lease set
  Duration address;       // netlink, until the kernel's acknowledgement
  Duration announce;      // first announcement handed to the adapter
  int announce_code = 0;  // errno of a first announcement that failed; the repetitions follow anyway
};

struct ReleaseTiming {
  Duration gate;     // until the lease was zero: silent
  Duration address;  // until the address was off
};

struct CleanStart {
  std::vector<PresentAddress> addresses;  // that were removed
  int gates = 0;                          // filters that were removed
  Duration took;
};

// Removes what an earlier daemon left in the caller's network namespace: addresses first, while its old
// gates still hold them silent, then those gates. `configured`: every service address of the cluster.
Result<CleanStart> clean_start(std::span<const IpAddress> configured);

class ServiceAddresses {
 public:
  // After clean_start(). Loads and attaches the gate; everything that allocates happens here.
  static Result<std::unique_ptr<ServiceAddresses>> open();

  // The slot must be free. On an error nothing is left: no address, no gate.
  Result<AcquireTiming> acquire(const AcquireRequest& request);
  // To another adapter of this node (swap_adapter); the gate stays open. On an error the slot is still
  // in use, and the address perhaps on neither adapter: release it.
  Result<AcquireTiming> move(AddressSlot slot, int ifindex, const MacAddress& mac);
  // A free slot is success: there was nothing to release.
  Result<ReleaseTiming> release(AddressSlot slot);

  // The lease of everything open now ends at `until`. One store an address, no system call.
  void renew(Instant until) { gate_->renew_all(until); }
  // Silences one address, or all, at once; release() must follow.
  void silence(AddressSlot slot);
  void silence_all();

  bool holds(AddressSlot slot) const { return !gate_->is_free(slot); }
  int ifindex_of(AddressSlot slot) const { return places_[slot].ifindex; }

  Gate& gate() { return *gate_; }
  Announcer& announcer() { return announcer_; }
  Addresses& addresses() { return addresses_; }

 private:
  struct Place {
    IpAddress address;
    int ifindex = 0;
  };
  ServiceAddresses(std::unique_ptr<Gate> gate, Addresses addresses, Announcer announcer);
  Status put(AddressSlot slot, int ifindex, const MacAddress& mac, Instant begun, AcquireTiming& timing);

  std::unique_ptr<Gate> gate_;
  Addresses addresses_;
  Announcer announcer_;
  std::array<Place, limits::max_addresses> places_{};
};

// Does this interface forward IPv6 (its neighbour advertisements must say so)? Reads /proc.
bool forwards_ipv6(int ifindex);

}  // namespace vigil::netif
