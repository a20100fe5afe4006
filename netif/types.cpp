#include "netif/types.hpp"

#include <arpa/inet.h>
#include <time.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <cstring>
#include <string_view>

namespace vigil::netif {

Descriptor::~Descriptor() {
  if (fd_ >= 0) ::close(fd_);
}

Instant boot_now() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return Instant{static_cast<std::int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec};
}

bool same_host(const IpAddress& a, const IpAddress& b) {
  return a.family == b.family && std::memcmp(a.bytes.data(), b.bytes.data(), address_bytes(a)) == 0;
}

std::string text_of(const IpAddress& address, bool with_prefix) {
  if (address.family != 4 && address.family != 6) return "no address";
  char text[INET6_ADDRSTRLEN] = "";
  ::inet_ntop(address.family == 6 ? AF_INET6 : AF_INET, address.bytes.data(), text, sizeof text);
  std::string result = text;
  if (with_prefix) result += "/" + std::to_string(address.prefix);
  return result;
}

std::string text_of(const MacAddress& mac) {
  char text[18];
  std::snprintf(text, sizeof text, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
  return text;
}

IpAddress address_from(const char* text) {
  const std::string_view whole = text;
  const std::size_t slash = whole.find('/');
  const std::string host(whole.substr(0, slash));
  IpAddress address;
  if (::inet_pton(AF_INET, host.c_str(), address.bytes.data()) == 1) {
    address.family = 4;
  } else if (::inet_pton(AF_INET6, host.c_str(), address.bytes.data()) == 1) {
    address.family = 6;
  } else {
    return {};
  }
  const std::uint8_t longest = address.family == 4 ? 32 : 128;
  address.prefix = longest;
  if (slash == std::string_view::npos) return address;
  const std::string_view digits = whole.substr(slash + 1);
  const auto [end, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), address.prefix);
  const bool read = failure == std::errc{} && end == digits.data() + digits.size();
  return read && address.prefix <= longest ? address : IpAddress{};
}

std::string interface_text(int ifindex) {
  char name[IF_NAMESIZE];
  const std::string number = "interface " + std::to_string(ifindex);
  if (ifindex <= 0 || ::if_indextoname(static_cast<unsigned>(ifindex), name) == nullptr) return number;
  return std::string(name) + " (" + number + ")";
}

}  // namespace vigil::netif
