// Heartbeats over a serial line (raw tty): the path that shares nothing with any network. Works on
// /dev/ttyS* and on pseudo-terminals; uses no flow control and no modem lines, which user-mode Linux
// and many cables lack.
//
// A line is slow: at 9600 baud a full frame takes 0.22 s, and a tty's own queue would hold seconds of
// heartbeats that nobody wants any more. So a frame is handed to the tty only when the one before it has
// left, and few wait: a heartbeat, an acknowledgement, and the fragments of a message. When they are too
// many, one of them gives way at random, so that of a message that is repeated every fragment passes
// sooner or later. What comes in is always read, however much it is; but a line that brings
// single bytes does not wake the loop for each: once a frame has begun, nobody looks until the rest of
// it, by the size of the one before, can have come. Where the owner looks by itself, as it does with a
// quiet ring, nothing that comes wakes the loop; a timer looks before the tty's own buffer could be full.
#pragma once

#include "drivers/link.hpp"
#include "drivers/serial/serial_framing.hpp"
#include "runtime/base/random.hpp"
#include "runtime/loop/fd.hpp"

namespace vigil {

struct SerialLinkOptions {
  LinkIndex index = 0;
  Path device;             // of the tty
  std::uint32_t baud = 0;  // a standard speed, 1200 … 4000000
  NodeId peer = no_node;
};

class SerialLink final : public Link, private RingHandler {
 public:
  static Result<std::unique_ptr<Link>> create(const SerialLinkOptions& options);
  explicit SerialLink(const SerialLinkOptions& options);
  ~SerialLink() override;

  void close() override;
  SendOutcome send(std::span<const std::byte> frame, NodeId to) override;
  bool reaches(NodeId node) const override { return node != no_node && node == options_.peer; }
  void look() override;

 private:
  struct Waiting {
    std::array<std::byte, limits::frame_bytes> bytes;
    std::size_t size = 0;
  };
  static constexpr std::uint32_t line_tag = 0;
  static constexpr std::uint32_t room_tag = 1;
  static constexpr std::uint32_t pace_tag = 2;
  static constexpr std::uint32_t rest_tag = 3;

  Status start() override;
  Status set_line(int fd) const;
  void on_ready(std::uint32_t tag, std::uint32_t events) override;
  void on_timer(std::uint32_t tag) override;
  void receive();
  void rest();
  bool drain();
  void pump();
  bool write_out();
  void wait_for_room();
  std::size_t unsent_in_tty() const;
  Status watch();
  void fail(int error);

  SerialLinkOptions options_;
  Fd line_;
  SourceId line_source_;  // something came; not armed while the line rests, not there with a quiet ring
  SourceId room_source_;  // the tty takes more of a frame begun; valid once there was need of it
  SourceId pace_;         // when the tty should have sent what it has
  SourceId rest_;         // when the line is read again
  SerialDecoder decoder_;
  std::size_t usual_bytes_ = 0;  // the last frame's, as encoded
  std::uint64_t decoder_errors_seen_ = 0;              // already in counters_.malformed
  std::array<std::byte, serial_encoded_bytes> out_{};  // the frame being written
  std::size_t out_size_ = 0;
  std::size_t out_at_ = 0;
  BoundedVector<Waiting, 8> waiting_;  // oldest first
  Random gives_way_{1};                // which place gives way: in no rhythm that repetitions could share
};

}  // namespace vigil
