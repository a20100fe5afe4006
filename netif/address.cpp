#include "netif/address.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "netif/address_message.hpp"

namespace vigil::netif {
namespace {

std::uint8_t kernel_family(const IpAddress& address) { return address.family == 6 ? AF_INET6 : AF_INET; }

bool is_ipv4_link_local(const IpAddress& address) {
  return address.family == 4 && address.bytes[0] == 169 && address.bytes[1] == 254;
}

std::array<std::uint8_t, 4> broadcast_of(const IpAddress& address) {
  std::array<std::uint8_t, 4> result{};
  for (std::size_t i = 0; i < 4; ++i) {
    const int network_bits = std::clamp(static_cast<int>(address.prefix) - static_cast<int>(i) * 8, 0, 8);
    result[i] = static_cast<std::uint8_t>(address.bytes[i] | (0xff >> network_bits));
  }
  return result;
}

ifaddrmsg header_for(const IpAddress& address, int ifindex) {
  ifaddrmsg header{};
  header.ifa_family = kernel_family(address);
  header.ifa_prefixlen = address.prefix;
  header.ifa_index = static_cast<unsigned>(ifindex);
  header.ifa_scope = is_ipv4_link_local(address) ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
  return header;
}

void mark(NetlinkRequest& request, const IpAddress& address, int ifindex) {
  request.attribute(IFA_PROTO, address_protocol_mark);
  char name[IF_NAMESIZE];
  if (address.family != 4 || ::if_indextoname(static_cast<unsigned>(ifindex), name) == nullptr) return;
  const std::size_t length = std::strlen(name);
  if (length + address_label_mark.size() > InterfaceName::capacity()) return;
  std::memcpy(name + length, address_label_mark.data(), address_label_mark.size());
  request.text(IFA_LABEL, {name, length + address_label_mark.size()});
}

bool read_address(const nlmsghdr& message, PresentAddress& result) {
  if (message.nlmsg_type != RTM_NEWADDR) return false;
  const auto read = read_address_message(message);
  if (read) result = {read->address, read->ifindex, InterfaceName(read->label), read->protocol, read->flags};
  return read.has_value();
}

}  // namespace

bool PresentAddress::is_marked() const {
  return protocol == address_protocol_mark || label.view().ends_with(address_label_mark);
}

Result<Addresses> Addresses::open() {
  Result<NetlinkSocket> netlink = NetlinkSocket::open();
  if (!netlink) return netlink.error();
  Addresses result;
  result.netlink_ = std::move(*netlink);
  return result;
}

Result<AddressChange> Addresses::add(const IpAddress& address, int ifindex) {
  VIGIL_ASSERT(address.family == 4 || address.family == 6);
  NetlinkRequest request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, header_for(address, ifindex));
  const std::size_t bytes = address_bytes(address);
  request.attribute(IFA_LOCAL, address.bytes.data(), bytes);
  request.attribute(IFA_ADDRESS, address.bytes.data(), bytes);
  if (address.family == 4 && address.prefix <= 30) request.attribute(IFA_BROADCAST, broadcast_of(address));
  if (address.family == 6) request.attribute(IFA_FLAGS, std::uint32_t{IFA_F_NODAD});
  mark(request, address, ifindex);

  const int code = netlink_.request(request);
  if (code == 0) return AddressChange::made;
  if (code == EEXIST) return AddressChange::already;
  Error error = Error::from_errno("adding " + text_of(address, true) + " to " + interface_text(ifindex), code);
  if (code == EPERM) error.message += "; run as root, or with CAP_NET_ADMIN";
  if (address.family == 6 && (code == EACCES || code == ENODEV || code == EINVAL))
    error.message += "; is IPv6 enabled there (net.ipv6.conf.<device>.disable_ipv6)?";
  error.message += netlink_.explanation();
  return error;
}

Result<AddressChange> Addresses::remove(const IpAddress& address, int ifindex) {
  NetlinkRequest request(RTM_DELADDR, 0, header_for(address, ifindex));
  // IFA_LOCAL alone matches an IPv4 address under any prefix; IPv6 goes by address and prefix.
  request.attribute(IFA_LOCAL, address.bytes.data(), address_bytes(address));
  const int code = netlink_.request(request);
  if (code == 0) return AddressChange::made;
  if (code == EADDRNOTAVAIL || code == ENODEV || code == ENXIO) return AddressChange::already;
  Error error = Error::from_errno("removing " + text_of(address, true) + " from " + interface_text(ifindex), code);
  error.message += netlink_.explanation();
  return error;
}

Result<std::vector<PresentAddress>> Addresses::list() {
  std::vector<PresentAddress> result;
  int code = EINTR;
  for (int attempt = 0; attempt < 5 && code == EINTR; ++attempt) {
    result.clear();
    NetlinkRequest request(RTM_GETADDR, 0, ifaddrmsg{});
    code = netlink_.dump(request, [&](const nlmsghdr& message) {
      PresentAddress present;
      if (read_address(message, present)) result.push_back(present);
    });
  }
  if (code != 0) return Error::from_errno("listing the addresses of this network namespace", code);
  return result;
}

Result<std::vector<PresentAddress>> Addresses::list_service_addresses() {
  Result<std::vector<PresentAddress>> all = list();
  if (all) std::erase_if(*all, [](const PresentAddress& present) { return !present.is_marked(); });
  return all;
}

Result<std::vector<PresentAddress>> Addresses::remove_stale(std::span<const IpAddress> configured) {
  Result<std::vector<PresentAddress>> stale = list();
  if (!stale) return stale;
  std::erase_if(*stale, [&](const PresentAddress& present) {
    const auto is_this = [&](const IpAddress& address) { return same_host(address, present.address); };
    return !present.is_marked() && std::none_of(configured.begin(), configured.end(), is_this);
  });
  for (const PresentAddress& present : *stale) {
    Result<AddressChange> removed = remove(present.address, present.ifindex);
    if (!removed) return removed.error();
  }
  return stale;
}

namespace {

Status write_setting(const std::string& path, char value) {
  const Descriptor file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file) return Error::from_errno("opening " + path, errno);
  if (::write(file.get(), &value, 1) != 1)
    return Error::from_errno("writing " + std::string(1, value) + " to " + path, errno);
  return {};
}

}  // namespace

Status prepare_interface(const InterfaceName& name) {
  struct Setting {
    const char* name;
    char value;
  };
  static constexpr Setting settings[] = {
      {"promote_secondaries", '1'}, {"arp_ignore", '1'}, {"arp_announce", '2'}, {"ignore_routes_with_linkdown", '1'}};
  for (const Setting& setting : settings) {
    Status written = write_setting("/proc/sys/net/ipv4/conf/" + name.str() + "/" + setting.name, setting.value);
    if (!written) return written;
  }
  Status written = write_setting("/proc/sys/net/ipv6/conf/" + name.str() + "/ignore_routes_with_linkdown", '1');
  const bool has_ipv6 = written.ok() || written.error().code != ENOENT;
  return has_ipv6 ? written : Status{};
}

}  // namespace vigil::netif
