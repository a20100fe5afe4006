// Cuts a message into frame bodies, and puts it together again.
//
// Every fragment: message id u32 · content hash u64 · total length u16 · index u8 · slice. All slices
// but the last have slice_bytes, so that total length alone gives their number.
//
// What the two names of a message are for:
// - The id is fresh for every send to a peer (a counter per peer and incarnation of the sender). The
//   copies of one send that travel over several links share it; the receiver delivers an id once.
// - The content hash names the bytes. A core repeats its message until it is answered, with a fresh id
//   each time; where a fragment of one repetition was lost, the same fragment of the next fills the
//   hole. So a message of many fragments arrives over links that never carry all of them in one go.
// A repetition of a message that was already delivered whole is delivered again, because its answer
// may be what was lost: ids that took part in a delivery are remembered, hashes are not. Messages are
// idempotent (message.hpp), so delivering twice is only wasteful.
//
// A repetition whose content changed has another hash and starts from nothing. Only lease remainders
// do that (they are measured anew each time, and exist only while a node is being expelled); the time
// they save is worth more than the fragments they waste.
//
// Bounded: at most `slots_per_peer` messages of one peer are in progress, the one that waited longest for a
// fragment is given up for a new one; a message of a single fragment needs no slot. A peer's new
// incarnation starts from nothing. The hash is checked over the whole before it is delivered.
//
// Frames are authenticated before their bodies come here (session.hpp).
#pragma once

#include <array>
#include <bitset>
#include <vector>

#include "runtime/base/bounded.hpp"
#include "runtime/wire/frame.hpp"

namespace vigil::wire {

inline constexpr std::size_t fragment_header_bytes = 4 + 8 + 2 + 1;
inline constexpr std::size_t slice_bytes = body_bytes_max - fragment_header_bytes;
inline constexpr std::size_t fragments_max = (limits::message_bytes + slice_bytes - 1) / slice_bytes;
static_assert(fragments_max <= 255, "the index is one byte");
static_assert(limits::message_bytes <= UINT16_MAX, "the total length is two");

// One send of one message, cut: write_fragment() makes each body from it.
struct FragmentPlan {
  Bytes message;  // must outlive the plan
  std::uint32_t id = 0;
  std::uint64_t hash = 0;
  std::size_t count = 0;
};

// Numbers the messages to each peer. One per incarnation: it starts over with the start_id.
class Fragmenter {
 public:
  // `message` has 1..limits::message_bytes bytes.
  FragmentPlan plan(NodeId to, Bytes message);

 private:
  std::array<std::uint32_t, limits::max_nodes> next_id_{};
};

// Writes body number `index` (below plan.count) and returns its length, at most body_bytes_max.
std::size_t write_fragment(const FragmentPlan& plan, std::size_t index, MutableBytes out);

enum class FragmentStatus : std::uint8_t {
  incomplete,  // kept
  complete,    // a message is whole
  duplicate,   // of a fragment that is held, or of a message that was delivered
  malformed,   // contradicts itself
  corrupt,     // whole, but its hash does not fit: given up
};

struct Assembled {
  FragmentStatus status = FragmentStatus::malformed;
  Bytes message;  // when complete; valid until the next add()
};

struct ReassemblyCounters {
  std::uint64_t delivered = 0;
  std::uint64_t duplicates = 0;
  std::uint64_t malformed = 0;
  std::uint64_t corrupt = 0;
  std::uint64_t given_up = 0;  // incomplete messages that made room for others
};

// Allocates in its constructor only: nodes * slots_per_peer * limits::message_bytes.
class Reassembler {
 public:
  static constexpr std::size_t slots_per_peer = 4;

  // `nodes`: highest node id that may send, plus one.
  explicit Reassembler(std::size_t nodes);

  // `from` (below nodes) and `start_id` are the authenticated sender's.
  Assembled add(NodeId from, std::uint64_t start_id, Bytes body);

  const ReassemblyCounters& counters() const { return counters_; }

 private:
  struct Slot {
    bool used = false;
    std::uint64_t hash = 0;
    std::size_t total = 0;
    std::uint64_t touched = 0;  // counts add() calls: the smallest waited longest
    std::bitset<fragments_max> held;
    BoundedVector<std::uint32_t, 8> ids;  // sends that contributed, newest last
    std::array<std::uint8_t, limits::message_bytes> bytes;
  };
  // Which ids were delivered: the highest, and bit i for highest - i.
  struct Delivered {
    std::uint32_t highest = 0;
    std::uint64_t recent = 0;
    bool has(std::uint32_t id) const;
    void add(std::uint32_t id);
  };
  struct Peer {
    std::uint64_t start_id = 0;
    Delivered delivered;
    std::array<Slot, slots_per_peer> slots;
  };

  Slot& slot_for(Peer& peer, std::uint64_t hash, std::size_t total);
  Assembled add_to_slot(Peer& peer, std::uint32_t id, std::uint64_t hash, std::size_t total, std::size_t index,
                        Bytes slice);
  Assembled finish(Peer& peer, Slot& slot);

  std::vector<Peer> peers_;
  std::uint64_t clock_ = 0;
  ReassemblyCounters counters_;
};

}  // namespace vigil::wire
