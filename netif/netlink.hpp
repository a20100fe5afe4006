// Talks rtnetlink with the kernel: one request, one answer, no allocation, no waiting.
//
// The kernel handles a netlink request inside sendmsg(), so its acknowledgement lies in the receive
// queue when that returns; and each recvmsg() of a dump produces the next part. Nothing here ever
// blocks for longer than the kernel holds its own configuration lock. That is why this is written by
// hand: libnl allocates per message, and the real-time thread must not.
#pragma once

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "netif/types.hpp"
#include "runtime/base/assert.hpp"
#include "runtime/base/result.hpp"

namespace vigil::netif {

// One request being put together. Overflowing the fixed buffer is our bug.
class NetlinkRequest {
 public:
  // flags beside NLM_F_REQUEST; family_header is the message type's fixed struct (ifaddrmsg, tcmsg, …).
  template <typename Header>
  NetlinkRequest(std::uint16_t type, std::uint16_t flags, const Header& family_header) {
    header().nlmsg_type = type;
    header().nlmsg_flags = static_cast<std::uint16_t>(flags | NLM_F_REQUEST);
    header().nlmsg_len = NLMSG_HDRLEN;
    append(&family_header, sizeof family_header);
  }

  void attribute(std::uint16_t type, const void* value, std::size_t bytes);
  template <typename T>
  void attribute(std::uint16_t type, const T& value) {
    attribute(type, &value, sizeof value);
  }
  void text(std::uint16_t type, std::string_view value);  // with its terminating zero
  // Attributes until end_nest(position) lie inside `type`.
  std::size_t begin_nest(std::uint16_t type);
  void end_nest(std::size_t position);

  nlmsghdr& header() { return *reinterpret_cast<nlmsghdr*>(bytes_.data()); }
  const nlmsghdr& header() const { return *reinterpret_cast<const nlmsghdr*>(bytes_.data()); }

 private:
  void append(const void* value, std::size_t bytes);

  alignas(nlmsghdr) std::array<std::byte, 512> bytes_{};
};

// The attributes of one message by type; unknown and malformed ones are passed over.
template <std::uint16_t Max>
class NetlinkAttributes {
 public:
  NetlinkAttributes(const void* start, std::size_t bytes) {
    const auto* attribute = static_cast<const rtattr*>(start);
    for (auto left = static_cast<int>(bytes); RTA_OK(attribute, left); attribute = RTA_NEXT(attribute, left)) {
      const auto type = static_cast<std::uint16_t>(attribute->rta_type & NLA_TYPE_MASK);
      if (type <= Max) found_[type] = attribute;
    }
  }
  // Of a whole message with the family header `Header`.
  template <typename Header>
  static NetlinkAttributes of(const nlmsghdr& message) {
    constexpr std::size_t skip = NLMSG_LENGTH(NLMSG_ALIGN(sizeof(Header)));
    if (message.nlmsg_len <= skip) return NetlinkAttributes(nullptr, 0);
    return NetlinkAttributes(reinterpret_cast<const std::byte*>(&message) + skip, message.nlmsg_len - skip);
  }

  bool has(std::uint16_t type) const { return found_[type] != nullptr; }
  std::span<const std::uint8_t> bytes(std::uint16_t type) const {
    if (!has(type)) return {};
    return {static_cast<const std::uint8_t*>(RTA_DATA(found_[type])), RTA_PAYLOAD(found_[type])};
  }
  template <typename T>
  T value(std::uint16_t type, T otherwise) const {
    if (!has(type) || RTA_PAYLOAD(found_[type]) < sizeof(T)) return otherwise;
    T result;
    std::memcpy(&result, RTA_DATA(found_[type]), sizeof result);
    return result;
  }
  std::string_view text(std::uint16_t type) const {
    const auto payload = bytes(type);
    const std::string_view all(reinterpret_cast<const char*>(payload.data()), payload.size());
    return all.substr(0, all.find('\0'));
  }

 private:
  std::array<const rtattr*, Max + 1> found_{};
};

// The fixed struct behind the message's header, or null when the message is too short for it.
template <typename Header>
const Header* family_header(const nlmsghdr& message) {
  if (message.nlmsg_len < NLMSG_LENGTH(sizeof(Header))) return nullptr;
  return static_cast<const Header*>(NLMSG_DATA(&message));
}

class NetlinkSocket {
 public:
  // In the network namespace of the caller.
  static Result<NetlinkSocket> open();

  // Sends, and returns the kernel's answer: 0 or an errno value; explanation() has its words, if any.
  int request(NetlinkRequest& request);

  // Calls visit(const nlmsghdr&) for every object of a dump; returns 0 or an errno value. EINTR: the
  // objects changed meanwhile and the dump may be inconsistent; begin again.
  template <typename Visit>
  int dump(NetlinkRequest& request, Visit&& visit) {
    request.header().nlmsg_flags |= NLM_F_DUMP;
    if (const int failed = send(request)) return failed;
    bool changed = false;
    for (;;) {
      std::size_t bytes = 0;
      if (const int failed = receive(bytes)) return failed;
      auto left = static_cast<std::uint32_t>(bytes);
      for (const nlmsghdr* message = first(); NLMSG_OK(message, left); message = NLMSG_NEXT(message, left)) {
        if (message->nlmsg_seq != sequence_) continue;
        changed = changed || (message->nlmsg_flags & NLM_F_DUMP_INTR) != 0;
        if (message->nlmsg_type == NLMSG_ERROR || message->nlmsg_type == NLMSG_DONE) {
          const int failed = outcome(*message);
          return failed == 0 && changed ? EINTR : failed;
        }
        visit(*message);
      }
    }
  }

  // What the kernel said about the last refusal, as ": words", or nothing. Valid until the next call.
  std::string explanation() const;

 private:
  int send(NetlinkRequest& request);
  int receive(std::size_t& bytes);
  int outcome(const nlmsghdr& message);
  const nlmsghdr* first() const { return reinterpret_cast<const nlmsghdr*>(buffer_.get()); }

  Descriptor socket_;
  std::uint32_t sequence_ = 0;
  std::unique_ptr<std::byte[]> buffer_;
  BoundedString<127> explanation_;
};

// A non-blocking socket on which the kernel announces changes of these rtnetlink groups (RTNLGRP_…).
Result<Descriptor> open_netlink_events(std::span<const unsigned> groups);

// Large enough for every message that the kernel sends in one piece.
inline constexpr std::size_t netlink_buffer_bytes = 32768;

}  // namespace vigil::netif
