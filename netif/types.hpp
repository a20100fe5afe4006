// The few nouns that all of netif shares: hardware addresses, interface names, a descriptor that closes
// itself, and how addresses are compared and written for people.
#pragma once

#include <net/if.h>

#include <array>
#include <cstdint>
#include <string>
#include <utility>

#include "runtime/base/cluster.hpp"
#include "runtime/base/time.hpp"

namespace vigil::netif {

using MacAddress = std::array<std::uint8_t, 6>;
using InterfaceName = BoundedString<IFNAMSIZ - 1>;

// Owns one file descriptor: moves, never copies.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor();

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

// CLOCK_BOOTTIME, as the cores' Instant and the gate's lease count it.
Instant boot_now();

// Bytes of the address itself: 4 or 16.
constexpr std::size_t address_bytes(const IpAddress& address) { return address.family == 6 ? 16 : 4; }

// The same host, whatever the prefix lengths.
bool same_host(const IpAddress& a, const IpAddress& b);

// "10.77.1.100" or "fd00::1"; with_prefix adds "/24".
std::string text_of(const IpAddress& address, bool with_prefix = false);
std::string text_of(const MacAddress& mac);

// Reads "10.77.1.100/24" or "fd00::1"; without a prefix it is the host's (32 or 128). family 0: not an address.
IpAddress address_from(const char* text);

// "eth0 (interface 3)", or "interface 3" when nothing of that index is here.
std::string interface_text(int ifindex);

}  // namespace vigil::netif
