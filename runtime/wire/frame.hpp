// The one frame that travels on every kind of link: a clear header, an encrypted body, a tag.
//
//   byte  0      magic 0x56
//         1      layout version, 1
//         2      type
//         3      key id
//         4..7   cluster id
//         8      sender
//         9      destination, 0xff: every node on the link
//        10      the sender's link
//        11      flags: none yet; sent as 0, not looked at
//        12..19  the sender's start_id
//        20..27  sequence: per sender, start_id and link, from 1, strictly increasing
//        28..    body, XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03), the header is associated data
//        last 16 the tag
//
// Integers are big-endian. Bytes 0 and 4..7 are what the packet filter in the kernel looks at, bytes 1 and 8
// say which node is of which release: they keep their places in every version. A frame has at most limits::frame_bytes bytes, and at least 46
// (a body of two), which is the shortest payload that Ethernet carries without padding: the frame has
// no length field, so a driver must hand over exactly what was sent.
//
// Nonce: cluster id, sender, link, start_id, sequence, which together never repeat under one key:
// start_id is 64 random bits drawn for each life of a node (also of a node that wrongly has another's
// id), and within one life the sequence of a link only grows. 24 bytes hold them as they are; nothing
// is hashed, and no state about nonces has to survive a restart. Frames are encrypted under a key
// derived from the cluster key, so that the cluster key may also serve other purposes.
//
// Several keys may be accepted while one is used for sending: a key is rotated by adding the new one
// everywhere, then making it active everywhere, then removing the old one.
//
// This module decides nothing about replay, incarnations or trust in a sender: session.hpp does.
#pragma once

#include <array>
#include <cstdint>

#include "runtime/base/ids.hpp"
#include "runtime/base/limits.hpp"
#include "runtime/base/result.hpp"
#include "runtime/wire/bytes.hpp"

namespace vigil::wire {

inline constexpr std::uint8_t frame_magic = 0x56;
inline constexpr std::uint8_t frame_version = 1;
inline constexpr NodeId broadcast_node = 0xff;
inline constexpr std::size_t header_bytes = 28;
inline constexpr std::size_t tag_bytes = 16;
inline constexpr std::size_t body_bytes_max = limits::frame_bytes - header_bytes - tag_bytes;
inline constexpr std::size_t body_bytes_min = 2;
inline constexpr std::size_t key_bytes = 32;

static_assert(header_bytes + tag_bytes + body_bytes_min == 46);

// The numbers travel: append only.
enum class FrameType : std::uint8_t { heartbeat = 1, ack = 2, fragment = 3, hello = 4, hello_ack = 5 };

struct FrameHeader {
  FrameType type = FrameType::heartbeat;  // as received: possibly one that this release does not know
  std::uint8_t key_id = 0;
  std::uint32_t cluster_id = 0;
  NodeId from = no_node;
  NodeId to = broadcast_node;
  LinkIndex link = 0;
  std::uint64_t start_id = 0;
  std::uint64_t sequence = 0;
};

enum class HeaderStatus : std::uint8_t {
  ok,
  wrong_length,   // shorter than the smallest frame, or longer than the largest
  wrong_magic,    // not one of ours
  wrong_version,  // a layout that this release cannot read
};

// Chooses the fastest implementation that the processor has. Call once, before the first seal() or
// open(), and before threads start.
Status prepare_cryptography();

// The cluster's keys by their id. Wipes what it held.
class KeyRing {
 public:
  static constexpr std::size_t capacity = 4;

  KeyRing() = default;
  KeyRing(const KeyRing&) = delete;
  KeyRing& operator=(const KeyRing&) = delete;
  ~KeyRing();

  // Accepts frames under this key from now on; the first key added is also the active one. Adding an
  // id again replaces its key. Fails when `capacity` keys are held.
  Status add(std::uint8_t key_id, std::span<const std::uint8_t, key_bytes> cluster_key);
  // Seals under this key from now on. Fails when no such key is held.
  Status activate(std::uint8_t key_id);
  // Refuses frames under this key from now on. Fails for the active key and for one not held.
  Status remove(std::uint8_t key_id);

  bool has(std::uint8_t key_id) const { return find(key_id) != nullptr; }
  bool empty() const { return count_ == 0; }
  std::uint8_t active() const { return active_; }
  // The 32 bytes that frames under this id are encrypted with; nullptr: no such key.
  const std::uint8_t* find(std::uint8_t key_id) const;

 private:
  struct Key {
    std::uint8_t id = 0;
    std::array<std::uint8_t, key_bytes> bytes{};
  };
  std::array<Key, capacity> keys_{};
  std::size_t count_ = 0;
  std::uint8_t active_ = 0;
};

// Bytes a sealed body of this length has on the wire.
constexpr std::size_t frame_size(std::size_t body_size) { return header_bytes + body_size + tag_bytes; }

// Writes the frame to `out` and returns its length. header.key_id is ignored: the active key is used.
// The body has body_bytes_min..body_bytes_max bytes, `out` holds frame_size(body.size()), the ring
// has a key, and (start_id, link, sequence) was never sealed before: anything else is our bug. `body`
// may be where it ends up (out + header_bytes).
std::size_t seal(const KeyRing& keys, const FrameHeader& header, Bytes body, MutableBytes out);

// Reads the clear header. Nothing in it is to be believed before open() returned true. Of another version's
// frame it reads the cluster id and the sender, if the frame is long enough to have them.
HeaderStatus read_header(Bytes frame, FrameHeader& header);

// Verifies and decrypts into `body`, which holds at least body_bytes_max bytes, and sets body_size.
// False: the tag does not fit (wrong key, damage, forgery) or no key of this id is held.
// `frame` passed read_header().
bool open(const KeyRing& keys, Bytes frame, MutableBytes body, std::size_t& body_size);

}  // namespace vigil::wire
