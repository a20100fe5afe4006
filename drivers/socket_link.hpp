// What the links over datagram sockets (raw Ethernet, UDP) have in common: sockets, received by the
// ring without a system call per frame, sent to directly.
//
// Heartbeats are most of what comes, and none of them is urgent: the loop looks at them when it wakes for its own.
// So where there is a quiet ring, they have a socket of their own in it, told apart by the kernel by their type, and
// only the rest (messages, greetings) wakes the loop. A wake-up costs more than ten frames.
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
  // Which frames a socket brings.
  enum class Share : std::uint8_t { everything, urgent, beats };
  // A bound, non-blocking socket that can bring nothing but what this link should see. Where frames are shared out,
  // that of the beats is made after the other one.
  virtual Result<Fd> make_socket(Share share) = 0;
  // One datagram as received.
  virtual void take(const Packet& packet) = 0;

  // sendto() with bookkeeping. `address` is a sockaddr of `address_size` bytes.
  SendOutcome send_datagram(std::span<const std::byte> bytes, const void* address, unsigned address_size);
  void deliver(std::span<const std::byte> frame, const Packet& packet, const LinkSource& source);

 private:
  // Errors in a row, without a datagram between them, after which the socket counts as dead: enough
  // for an interface that goes down and up, few enough that a broken socket cannot spin the loop.
  static constexpr unsigned errors_tolerated = 16;

  struct Receiver {
    Ring* ring = nullptr;
    Fd socket;
    SourceId source;
  };

  Status start() final;
  Status add_receiver(std::uint32_t tag, Ring& ring, Share share);
  void on_packet(std::uint32_t tag, const Packet& packet) final;
  void on_receive_stopped(std::uint32_t tag, int error) final;

  std::array<Receiver, 2> receivers_;  // the first one also sends
  unsigned errors_in_a_row_ = 0;
};

}  // namespace vigil
