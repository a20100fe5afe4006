#include "netif/netlink.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

namespace vigil::netif {
namespace {

int bind_netlink(int fd) {
  sockaddr_nl local{};
  local.nl_family = AF_NETLINK;
  return ::bind(fd, reinterpret_cast<const sockaddr*>(&local), sizeof local);
}

Result<Descriptor> open_route_socket(const char* purpose) {
  Descriptor socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE));
  if (!socket) return Error::from_errno(std::string("opening a netlink socket for ") + purpose, errno);
  if (bind_netlink(socket.get()) != 0)
    return Error::from_errno(std::string("binding the netlink socket for ") + purpose, errno);
  return socket;
}

}  // namespace

void NetlinkRequest::append(const void* value, std::size_t bytes) {
  const std::size_t at = NLMSG_ALIGN(header().nlmsg_len);
  VIGIL_ASSERT(at + bytes <= bytes_.size());
  if (bytes > 0) std::memcpy(bytes_.data() + at, value, bytes);
  header().nlmsg_len = static_cast<std::uint32_t>(at + bytes);
}

void NetlinkRequest::attribute(std::uint16_t type, const void* value, std::size_t bytes) {
  const rtattr attribute{static_cast<std::uint16_t>(RTA_LENGTH(bytes)), type};
  append(&attribute, sizeof attribute);
  append(value, bytes);
}

void NetlinkRequest::text(std::uint16_t type, std::string_view value) {
  const rtattr attribute{static_cast<std::uint16_t>(RTA_LENGTH(value.size() + 1)), type};
  append(&attribute, sizeof attribute);
  append(value.data(), value.size());
  const std::size_t end = header().nlmsg_len;
  VIGIL_ASSERT(end < bytes_.size());
  bytes_[end] = std::byte{0};
  header().nlmsg_len = static_cast<std::uint32_t>(end + 1);
}

std::size_t NetlinkRequest::begin_nest(std::uint16_t type) {
  const std::size_t position = NLMSG_ALIGN(header().nlmsg_len);
  const rtattr attribute{0, static_cast<std::uint16_t>(type | NLA_F_NESTED)};
  append(&attribute, sizeof attribute);
  return position;
}

void NetlinkRequest::end_nest(std::size_t position) {
  VIGIL_ASSERT(position + sizeof(rtattr) <= header().nlmsg_len);
  const auto length = static_cast<std::uint16_t>(header().nlmsg_len - position);
  std::memcpy(bytes_.data() + position + offsetof(rtattr, rta_len), &length, sizeof length);
}

Result<NetlinkSocket> NetlinkSocket::open() {
  Result<Descriptor> socket = open_route_socket("requests");
  if (!socket) return socket.error();
  const int on = 1;
  // Both only sharpen the answers; a kernel without them still answers.
  ::setsockopt(socket->get(), SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
  ::setsockopt(socket->get(), SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
  NetlinkSocket result;
  result.socket_ = std::move(*socket);
  result.buffer_ = std::make_unique<std::byte[]>(netlink_buffer_bytes);
  return result;
}

int NetlinkSocket::send(NetlinkRequest& request) {
  explanation_.assign("");
  request.header().nlmsg_seq = ++sequence_;
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  const nlmsghdr& header = request.header();
  for (;;) {
    const ssize_t sent = ::sendto(socket_.get(), &header, header.nlmsg_len, 0,
                                  reinterpret_cast<const sockaddr*>(&kernel), sizeof kernel);
    if (sent >= 0) return 0;
    if (errno != EINTR) return errno;
  }
}

int NetlinkSocket::receive(std::size_t& bytes) {
  for (;;) {
    const ssize_t got = ::recv(socket_.get(), buffer_.get(), netlink_buffer_bytes, 0);
    if (got >= 0) {
      bytes = static_cast<std::size_t>(got);
      return 0;
    }
    if (errno != EINTR) return errno;
  }
}

int NetlinkSocket::outcome(const nlmsghdr& message) {
  int code = 0;
  if (message.nlmsg_len >= NLMSG_LENGTH(sizeof code)) std::memcpy(&code, NLMSG_DATA(&message), sizeof code);
  const bool explained = (message.nlmsg_flags & NLM_F_ACK_TLVS) != 0 && message.nlmsg_type == NLMSG_ERROR;
  if (code != 0 && explained) {
    // Capped, only the request's header is repeated; otherwise the whole request lies between.
    const auto* error = static_cast<const nlmsgerr*>(NLMSG_DATA(&message));
    std::size_t skip = NLMSG_LENGTH(sizeof(nlmsgerr));
    if ((message.nlmsg_flags & NLM_F_CAPPED) == 0) skip += NLMSG_ALIGN(error->msg.nlmsg_len) - NLMSG_HDRLEN;
    if (message.nlmsg_len > skip) {
      const NetlinkAttributes<NLMSGERR_ATTR_MSG> words(reinterpret_cast<const std::byte*>(&message) + skip,
                                                       message.nlmsg_len - skip);
      explanation_.assign(words.text(NLMSGERR_ATTR_MSG));
    }
  }
  return -code;
}

int NetlinkSocket::request(NetlinkRequest& request) {
  request.header().nlmsg_flags |= NLM_F_ACK;
  if (const int failed = send(request)) return failed;
  for (;;) {
    std::size_t bytes = 0;
    if (const int failed = receive(bytes)) return failed;
    auto left = static_cast<std::uint32_t>(bytes);
    for (const nlmsghdr* message = first(); NLMSG_OK(message, left); message = NLMSG_NEXT(message, left)) {
      if (message->nlmsg_seq == sequence_ && message->nlmsg_type == NLMSG_ERROR) return outcome(*message);
    }
  }
}

std::string NetlinkSocket::explanation() const {
  return explanation_.empty() ? std::string() : " (the kernel says: " + explanation_.str() + ")";
}

Result<Descriptor> open_netlink_events(std::span<const unsigned> groups) {
  Result<Descriptor> socket = open_route_socket("events");
  if (!socket) return socket;
  // Room for a burst of changes between two turns of the loop; an overrun is survived, by reading all again.
  const int bytes = 1 << 20;
  if (::setsockopt(socket->get(), SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) != 0)
    ::setsockopt(socket->get(), SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
  for (const unsigned group : groups) {
    if (::setsockopt(socket->get(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) != 0)
      return Error::from_errno("joining rtnetlink group " + std::to_string(group), errno);
  }
  return socket;
}

}  // namespace vigil::netif
