// What the links over datagram sockets (raw Ethernet, UDP) have in common: one socket, received by the
// ring without a system call per frame, sent to directly.
//
// Sending is a plain sendto(MSG_DONTWAIT): the frame is with the device when it returns. Through the
// ring it would leave only when the handlers are done and the loop enters the kernel again, it would
// need a buffer that outlives the call, and an error would come back after the heartbeat's send time is
// already in use. tools/bench/bench-heartbeat measures both.
#pragma once

#include "drivers/link.hpp"
#include "runtime/loop/fd.hpp"

namespace vigil {

class SocketLink : public Link, private RingHandler {
 public:
  ~SocketLink() override;
  void close() final;

 protected:
  using Link::Link;
  // A bound, non-blocking socket that can bring nothing but what this link should see.
  virtual Result<Fd> make_socket() = 0;
  // One datagram as received.
  virtual void take(const Packet& packet) = 0;

  int socket() const { return socket_.get(); }
  // sendto() with bookkeeping. `address` is a sockaddr of `address_size` bytes.
  SendOutcome send_datagram(std::span<const std::byte> bytes, const void* address, unsigned address_size);
  void deliver(std::span<const std::byte> frame, Instant received, const LinkSource& source);

 private:
  // Errors in a row, without a datagram between them, after which the socket counts as dead: enough
  // for an interface that goes down and up, few enough that a broken socket cannot spin the loop.
  static constexpr unsigned errors_tolerated = 16;

  Status start() final;
  void on_packet(std::uint32_t tag, const Packet& packet) final;
  void on_receive_stopped(std::uint32_t tag, int error) final;

  Fd socket_;
  SourceId source_;
  unsigned errors_in_a_row_ = 0;
};

}  // namespace vigil
