#include "netif/monitor.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "netif/address_message.hpp"

// <net/if.h> has the older flags only, and clashes with <linux/if.h>, which has these.
#ifndef IFF_LOWER_UP
#define IFF_LOWER_UP (1 << 16)
#endif

namespace vigil::netif {
namespace {

constexpr std::size_t expected_interfaces = 256;
constexpr std::size_t expected_addresses = 1024;

bool read_interface_address(const nlmsghdr& message, InterfaceAddress& result) {
  const auto read = read_address_message(message);
  if (read) result = {read->ifindex, read->address, read->flags};
  return read.has_value();
}

bool same_place(const InterfaceAddress& a, const InterfaceAddress& b) {
  return a.ifindex == b.ifindex && a.address == b.address;
}

}  // namespace

bool InterfaceState::has_carrier() const { return (flags & IFF_LOWER_UP) != 0; }

bool read_interface(const nlmsghdr& message, InterfaceState& result) {
  const auto* header = family_header<ifinfomsg>(message);
  if (header == nullptr || header->ifi_family != AF_UNSPEC) return false;
  const auto attributes = NetlinkAttributes<IFLA_OPERSTATE>::of<ifinfomsg>(message);
  result.ifindex = header->ifi_index;
  result.name.assign(attributes.text(IFLA_IFNAME));
  result.hardware = header->ifi_type;
  result.flags = header->ifi_flags;
  result.mtu_bytes = attributes.value<std::uint32_t>(IFLA_MTU, 0);
  result.operstate = attributes.value<std::uint8_t>(IFLA_OPERSTATE, 0);
  result.mac = {};
  const auto mac = attributes.bytes(IFLA_ADDRESS);
  if (mac.size() == result.mac.size()) std::copy(mac.begin(), mac.end(), result.mac.begin());
  return true;
}

Result<Monitor> Monitor::open(MonitorListener& listener) {
  static constexpr std::array<unsigned, 3> groups = {RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR};
  Result<Descriptor> events = open_netlink_events(groups);
  if (!events) return events.error();
  Result<NetlinkSocket> requests = NetlinkSocket::open();
  if (!requests) return requests.error();
  Monitor result(listener);
  result.events_ = std::move(*events);
  result.requests_ = std::move(*requests);
  result.buffer_ = std::make_unique<std::byte[]>(netlink_buffer_bytes);
  result.interfaces_.reserve(expected_interfaces);
  result.seen_interfaces_.reserve(expected_interfaces);
  result.addresses_.reserve(expected_addresses);
  result.seen_addresses_.reserve(expected_addresses);
  const Status read = result.resync();
  if (!read) return read.error();
  return result;
}

Status Monitor::on_readable() {
  bool overrun = false;
  for (;;) {
    const ssize_t got = ::recv(events_.get(), buffer_.get(), netlink_buffer_bytes, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == ENOBUFS) {
      overrun = true;  // from here on everything is old: discard it, and read the truth
      continue;
    }
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
    if (got < 0) return Error::from_errno("reading interface events from the kernel", errno);
    if (overrun) continue;
    auto left = static_cast<std::uint32_t>(got);
    const auto* message = reinterpret_cast<const nlmsghdr*>(buffer_.get());
    for (; NLMSG_OK(message, left); message = NLMSG_NEXT(message, left)) on_message(*message);
  }
  if (!overrun) return {};
  ++overruns_;
  return resync();
}

void Monitor::on_message(const nlmsghdr& message) {
  InterfaceState interface;
  InterfaceAddress address;
  switch (message.nlmsg_type) {
    case RTM_NEWLINK:
      if (read_interface(message, interface)) set_interface(interface);
      break;
    case RTM_DELLINK:
      if (read_interface(message, interface)) drop_interface(interface.ifindex);
      break;
    case RTM_NEWADDR:
      if (read_interface_address(message, address)) set_address(address);
      break;
    case RTM_DELADDR:
      if (read_interface_address(message, address)) drop_address(address);
      break;
    default:
      break;
  }
}

void Monitor::set_interface(const InterfaceState& now) {
  for (InterfaceState& known : interfaces_) {
    if (known.ifindex != now.ifindex) continue;
    if (known == now) return;
    const InterfaceState before = known;
    known = now;
    listener_->on_interface_changed(before, now);
    return;
  }
  interfaces_.push_back(now);
  listener_->on_interface_appeared(now);
}

void Monitor::drop_interface(int ifindex) {
  const auto is_it = [&](const InterfaceState& known) { return known.ifindex == ifindex; };
  const auto found = std::find_if(interfaces_.begin(), interfaces_.end(), is_it);
  if (found == interfaces_.end()) return;
  for (std::size_t i = addresses_.size(); i-- > 0;)
    if (addresses_[i].ifindex == ifindex) drop_address(InterfaceAddress(addresses_[i]));
  const InterfaceState last = *found;
  interfaces_.erase(found);
  listener_->on_interface_gone(last);
}

void Monitor::set_address(const InterfaceAddress& now) {
  for (InterfaceAddress& known : addresses_) {
    if (!same_place(known, now)) continue;
    known.flags = now.flags;
    return;
  }
  addresses_.push_back(now);
  listener_->on_address_added(now);
}

void Monitor::drop_address(const InterfaceAddress& gone) {
  const auto is_it = [&](const InterfaceAddress& known) { return same_place(known, gone); };
  const auto found = std::find_if(addresses_.begin(), addresses_.end(), is_it);
  if (found == addresses_.end()) return;
  const InterfaceAddress last = *found;
  addresses_.erase(found);
  listener_->on_address_removed(last);
}

Status Monitor::dump_interfaces() {
  int code = EINTR;
  for (int attempt = 0; attempt < 5 && code == EINTR; ++attempt) {
    seen_interfaces_.clear();
    NetlinkRequest request(RTM_GETLINK, 0, ifinfomsg{});
    request.attribute(IFLA_EXT_MASK, std::uint32_t{RTEXT_FILTER_SKIP_STATS});
    code = requests_.dump(request, [this](const nlmsghdr& message) {
      InterfaceState state;
      if (message.nlmsg_type != RTM_NEWLINK || !read_interface(message, state)) return;
      seen_interfaces_.push_back(state.ifindex);
      set_interface(state);
    });
  }
  if (code != 0) return Error::from_errno("listing the interfaces of this network namespace", code);
  for (std::size_t i = interfaces_.size(); i-- > 0;) {
    const int ifindex = interfaces_[i].ifindex;
    const bool seen = std::find(seen_interfaces_.begin(), seen_interfaces_.end(), ifindex) != seen_interfaces_.end();
    if (!seen) drop_interface(ifindex);
  }
  return {};
}

Status Monitor::dump_addresses() {
  int code = EINTR;
  for (int attempt = 0; attempt < 5 && code == EINTR; ++attempt) {
    seen_addresses_.clear();
    NetlinkRequest request(RTM_GETADDR, 0, ifaddrmsg{});
    code = requests_.dump(request, [this](const nlmsghdr& message) {
      InterfaceAddress address;
      if (message.nlmsg_type != RTM_NEWADDR || !read_interface_address(message, address)) return;
      seen_addresses_.push_back(address);
      set_address(address);
    });
  }
  if (code != 0) return Error::from_errno("listing the addresses of this network namespace", code);
  for (std::size_t i = addresses_.size(); i-- > 0;) {
    const InterfaceAddress known = addresses_[i];
    const auto is_it = [&](const InterfaceAddress& seen) { return same_place(seen, known); };
    if (std::none_of(seen_addresses_.begin(), seen_addresses_.end(), is_it)) drop_address(known);
  }
  return {};
}

Status Monitor::resync() {
  Status read = dump_interfaces();
  if (!read) return read;
  return dump_addresses();
}

const InterfaceState* Monitor::by_name(std::string_view name) const {
  for (const InterfaceState& known : interfaces_)
    if (known.name == name) return &known;
  return nullptr;
}

const InterfaceState* Monitor::by_index(int ifindex) const {
  for (const InterfaceState& known : interfaces_)
    if (known.ifindex == ifindex) return &known;
  return nullptr;
}

}  // namespace vigil::netif
