// Puts service addresses on interfaces and takes them off, and finds those that a daemon which died
// left behind.
//
// Every address that Vigil adds carries its mark: address protocol 0x56 where the kernel has it (5.18
// and later), and for IPv4 the label "<device>:vgl" where that fits a device name. Marks serve people
// and the clean start; what is *configured* as a service address counts as stale at a start whatever
// its mark, because no running daemon can have put it there with a live gate.
//
// It never decides whether an address may be served: the lease gate must be open before add().
#pragma once

#include <span>
#include <vector>

#include "netif/netlink.hpp"
#include "netif/types.hpp"
#include "runtime/base/result.hpp"

namespace vigil::netif {

inline constexpr std::uint8_t address_protocol_mark = 0x56;
inline constexpr std::string_view address_label_mark = ":vgl";

// An address as the kernel has it.
struct PresentAddress {
  IpAddress address;
  int ifindex = 0;
  InterfaceName label;        // IPv4 only
  std::uint8_t protocol = 0;  // IFA_PROTO; 0 where the kernel lacks it
  std::uint32_t flags = 0;    // IFA_F_…

  // True when it carries Vigil's mark.
  bool is_marked() const;
};

enum class AddressChange : std::uint8_t {
  made,
  already,  // it was there, or gone, before
};

class Addresses {
 public:
  // In the caller's network namespace. Nothing allocates after this but errors and the lists.
  static Result<Addresses> open();

  // Adds `address` with its prefix to the interface: no duplicate-address detection by the kernel (a
  // takeover cannot wait for it; Prober does it afterwards), lifetime forever, broadcast for IPv4
  // prefixes up to 30, scope link for link-local ones. The kernel's prefix route is wanted, so that
  // clients in a subnet without a boot address are reachable. One synchronous netlink exchange.
  Result<AddressChange> add(const IpAddress& address, int ifindex);

  // Takes the address off; a missing address or interface is success. The kernel would delete all
  // other addresses of the subnet with an IPv4 address that was its subnet's first there, unless
  // promote_secondaries is set: prepare_interface() does.
  Result<AddressChange> remove(const IpAddress& address, int ifindex);

  // Every address of the namespace, or the marked ones.
  Result<std::vector<PresentAddress>> list();
  Result<std::vector<PresentAddress>> list_service_addresses();

  // For a start: removes, from every interface, marked addresses and those of `configured` (whatever
  // their prefix). Returns what was removed. The old gates must still be in place while this runs.
  Result<std::vector<PresentAddress>> remove_stale(std::span<const IpAddress> configured);

 private:
  NetlinkSocket netlink_;
};

// Settings of one cluster interface, once at start (writes /proc/sys/net, may allocate):
// promote_secondaries=1       removing a service address takes no other address with it
// arp_ignore=1, arp_announce=2   an adapter answers for its own addresses only, so that a standby
//                                adapter on the same segment does not answer for the service adapter
// ignore_routes_with_linkdown=1  after a swap, the dead adapter's route to the same subnet is not used
// The last one applies to IPv6, too, where it is.
Status prepare_interface(const InterfaceName& name);

}  // namespace vigil::netif
