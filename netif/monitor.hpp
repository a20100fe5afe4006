// Watches the interfaces and addresses of this network namespace, as the kernel announces them: link and
// carrier, interfaces that come, go, and come back under another index, addresses that somebody adds
// or removes.
//
// It keeps a table of what it has told, and tells only differences. When the kernel had to drop
// announcements (ENOBUFS) it reads everything again and tells the differences to the table, so nothing
// is missed for good; an interface that went down and up in between is not told.
//
// It decides nothing. After open() it allocates only when more interfaces or addresses than ever appear.
#pragma once

#include <memory>
#include <vector>

#include "netif/netlink.hpp"
#include "netif/types.hpp"
#include "runtime/base/result.hpp"

namespace vigil::netif {

struct InterfaceState {
  int ifindex = 0;
  InterfaceName name;
  MacAddress mac{};            // all zero: no Ethernet address
  std::uint16_t hardware = 0;  // ARPHRD_…
  std::uint32_t mtu_bytes = 0;
  std::uint32_t flags = 0;     // IFF_…
  std::uint8_t operstate = 0;  // IF_OPER_…, RFC 2863

  bool is_up() const { return (flags & IFF_UP) != 0; }
  // The physical layer: false when the cable is out.
  bool has_carrier() const;
  // Up, with carrier, and not dormant: packets may pass.
  bool is_usable() const { return is_up() && has_carrier() && (flags & IFF_RUNNING) != 0; }
  bool is_loopback() const { return (flags & IFF_LOOPBACK) != 0; }
  bool operator==(const InterfaceState&) const = default;
};

struct InterfaceAddress {
  int ifindex = 0;
  IpAddress address;
  std::uint32_t flags = 0;  // IFA_F_…: IFA_F_DADFAILED, IFA_F_TENTATIVE, …

  bool operator==(const InterfaceAddress&) const = default;
};

class MonitorListener {
 public:
  virtual ~MonitorListener() = default;
  virtual void on_interface_appeared(const InterfaceState& now) = 0;
  // Something of it changed: compare before and now.
  virtual void on_interface_changed(const InterfaceState& before, const InterfaceState& now) = 0;
  // Its addresses are gone with it; they are told first.
  virtual void on_interface_gone(const InterfaceState& last) = 0;
  virtual void on_address_added(const InterfaceAddress& address) = 0;
  virtual void on_address_removed(const InterfaceAddress& address) = 0;
};

class Monitor {
 public:
  // Subscribes first, then reads what is there and tells all of it to the listener, which must outlive
  // the monitor.
  static Result<Monitor> open(MonitorListener& listener);

  // Non-blocking; the loop polls it for reading.
  int fd() const { return events_.get(); }
  // Reads all that came. An error means that the table could not be rebuilt after an overrun.
  Status on_readable();

  // Null: no such interface. Valid until the next on_readable().
  const InterfaceState* by_name(std::string_view name) const;
  const InterfaceState* by_index(int ifindex) const;
  const std::vector<InterfaceState>& interfaces() const { return interfaces_; }

  // How often the kernel had to drop announcements.
  std::uint32_t overruns() const { return overruns_; }
  // Reads everything again and tells the differences, as after an overrun.
  Status resync();

 private:
  explicit Monitor(MonitorListener& listener) : listener_(&listener) {}
  void on_message(const nlmsghdr& message);
  void set_interface(const InterfaceState& now);
  void drop_interface(int ifindex);
  void set_address(const InterfaceAddress& now);
  void drop_address(const InterfaceAddress& gone);
  Status dump_interfaces();
  Status dump_addresses();

  MonitorListener* listener_;
  Descriptor events_;
  NetlinkSocket requests_;
  std::unique_ptr<std::byte[]> buffer_;
  std::vector<InterfaceState> interfaces_;
  std::vector<InterfaceAddress> addresses_;
  // Of the dump that is being read.
  std::vector<int> seen_interfaces_;
  std::vector<InterfaceAddress> seen_addresses_;
  std::uint32_t overruns_ = 0;
};

// Of an RTM_NEWLINK message about an interface itself (not a bridge port); false: something else.
bool read_interface(const nlmsghdr& message, InterfaceState& result);

}  // namespace vigil::netif
