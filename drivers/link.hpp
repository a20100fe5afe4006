// A link: one heartbeat path of this node, a driver on an adapter. It carries opaque frames of at most
// limits::frame_bytes, unreliably, and says who they claim to come from only as an opaque source. It
// knows nothing of what is in a frame beyond what the kernel filters by (magic and cluster id); every
// frame that it hands over is still unauthenticated.
//
// A frame that cannot leave now is dropped, not queued: the next heartbeat is worth more than an old
// one. Sending and receiving allocate nothing and never block.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "runtime/base/cluster.hpp"
#include "runtime/base/result.hpp"
#include "runtime/base/time.hpp"
#include "runtime/loop/ring.hpp"

namespace vigil {

// As the `to` of Link::send(): every peer on the link.
inline constexpr NodeId everyone = no_node;

// What kernel filters may look at. wire/ lays frames out accordingly.
namespace frame_layout {
inline constexpr std::uint8_t magic = 0x56;          // byte 0
inline constexpr std::size_t type_offset = 2;        // u8
inline constexpr std::uint8_t last_beat_type = 2;    // types up to this one are heartbeats and their answers
inline constexpr std::size_t cluster_id_offset = 4;  // big-endian u32
inline constexpr std::size_t smallest = 8;           // nothing shorter is a frame
}  // namespace frame_layout

// Where a frame came from, meaningful to the link that delivered it: a MAC, a socket address. Serial: empty.
struct LinkSource {
  std::array<std::byte, 32> bytes{};
  std::uint8_t size = 0;

  bool operator==(const LinkSource&) const = default;
};

enum class SendOutcome : std::uint8_t {
  sent,           // the kernel has it (a broadcast: for at least one peer)
  queued,         // the line is busy; leaves next unless something newer replaces it
  busy,           // dropped: no room in the kernel's queue
  not_reachable,  // the node is not on this link
  failed,         // dropped: counters().last_error is the errno
  unusable,       // dropped: the link is not open
};

struct LinkCounters {
  std::uint64_t frames_sent = 0;      // handed to the kernel, one per datagram
  std::uint64_t frames_received = 0;  // handed to the sink
  std::uint64_t send_dropped = 0;     // busy, or replaced in the queue by a newer frame
  std::uint64_t send_errors = 0;
  std::uint64_t receive_errors = 0;  // errors of the socket or line
  std::uint64_t malformed = 0;       // bytes that are no frame: wrong length, failed CRC, noise
  std::uint64_t foreign = 0;         // from an address that no peer has
  std::uint64_t opens = 0;
  int last_error = 0;  // errno of the last send or receive error
};

class FrameSink {
 public:
  virtual ~FrameSink() = default;
  // `bytes` is valid during the call. `received` is read after the frame's arrival, never before; `arrived`, for
  // statistics alone, is what the kernel says about when it came.
  virtual void on_frame(LinkIndex by, std::span<const std::byte> bytes, Instant received, Instant arrived,
                        const LinkSource& source) = 0;
  // The link became usable, or stopped being so (its interface is gone, the other end of the line
  // hung up): from inside open(), reopen(), send() or the loop.
  virtual void on_link_state(LinkIndex by, bool usable) = 0;
};

class Link {
 public:
  virtual ~Link() = default;

  // Opens the link. `ring` and `sink` must outlive it, or close() comes first. After an error the link
  // remembers both: reopen() tries again. With a `quiet` ring, heartbeats and their answers wake nobody: they come
  // when that ring is drained, and by look().
  Status open(Ring& ring, FrameSink& sink, Ring* quiet = nullptr);
  // Closes and opens anew: when netlink tells of the device, or with a back-off after on_link_state(false).
  // It costs some ten system calls; the frames that were waiting in the kernel are lost.
  Status reopen();
  virtual void close() = 0;

  // `frame`: 8…limits::frame_bytes bytes. `to`: a node, or `everyone`.
  virtual SendOutcome send(std::span<const std::byte> frame, NodeId to) = 0;
  // Takes what waits outside of any ring: the owner calls it whenever it has drained the quiet one.
  virtual void look() {}
  // True when `node` is configured to be on this link.
  virtual bool reaches(NodeId node) const = 0;
  // The shell has authenticated a frame of `node` that came from `source`: later frames to it alone go there.
  virtual void learn(NodeId node, const LinkSource& source);

  // Open, and nothing says that its device is gone. (Carrier is netif's to know.)
  bool usable() const { return usable_; }
  LinkKind kind() const { return kind_; }
  LinkIndex index() const { return index_; }
  const LinkCounters& counters() const { return counters_; }

 protected:
  Link(LinkKind kind, LinkIndex index) : kind_(kind), index_(index) {}
  virtual Status start() = 0;  // opens the closed link on ring() and leaves it closed on error
  void set_usable(bool usable);
  Ring& ring() { return *ring_; }
  Ring* quiet() { return quiet_; }  // null: everything comes by ring()
  FrameSink& sink() { return *sink_; }
  LinkCounters counters_;

 private:
  LinkKind kind_;
  LinkIndex index_;
  bool usable_ = false;
  Ring* ring_ = nullptr;
  Ring* quiet_ = nullptr;
  FrameSink* sink_ = nullptr;
};

// The driver of node `self`'s link `link` as configured, not open yet. Fails when the configuration
// lacks what the driver needs (an address, a device, a known speed).
Result<std::unique_ptr<Link>> make_link(const ClusterConfig& config, NodeId self, LinkIndex link);

}  // namespace vigil
