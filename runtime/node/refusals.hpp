// Keeps who is refused, why, and what was said about it: one line when it begins, the line in the status as
// long as it lasts. Decides what is worth a line, nothing else: what is refused, the session has decided.
//
// What an authenticated handshake proves is told at once. Whoever cannot be authenticated is told of after a
// few frames in a row: a single one is damage. Anybody on the network can forge those, so each pair of cause
// and claimed sender gets a line once in `retell` at most, however often it begins anew.
//
// Pure, and never allocates: it runs for every frame that is refused.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "runtime/base/bounded.hpp"
#include "runtime/base/ids.hpp"
#include "runtime/base/time.hpp"
#include "runtime/wire/session.hpp"

namespace vigil {

// By which way it came: "02:00:00:00:00:03 on eth0".
using Whence = BoundedString<95>;

struct Refusal {
  wire::Drop cause = wire::Drop::none;
  NodeId sender = no_node;  // as its frames claim; no_node: they do not say, or nothing that we know
  bool yield = false;       // the second machine of our id is the better established one
  Whence whence;
  Instant last;
  std::uint64_t frames = 0;
};

class Refusals {
 public:
  static constexpr std::size_t capacity = 16;
  static constexpr Duration quiet = Duration::from_s(5);    // without a frame: over
  static constexpr Duration retell = Duration::from_s(60);
  static constexpr std::uint64_t enough = 3;                // unauthenticated frames

  // Is this a cause to keep a node out, and not weather on the line?
  static bool is_refusal(wire::Drop drop);
  // Could anybody have sent it?
  static bool is_unproven(wire::Drop drop);

  struct Noted {
    Refusal* refusal = nullptr;  // as it is kept, valid until the next call; null: there is no room
    bool tell = false;           // now
  };
  // A frame was refused. Where it came from is for the caller to fill in, once, while that is empty.
  Noted note(Instant now, wire::Drop cause, NodeId sender);
  // Calls `over` for each refusal that was told and is quiet now, and forgets it.
  template <typename Over>
  void expire(Instant now, Over over) {
    for (std::size_t i = standing_.size(); i-- > 0;) {
      if (now - standing_[i].refusal.last < quiet) continue;
      if (standing_[i].told) over(standing_[i].refusal);
      standing_.erase(i);
    }
  }
  // Calls `visit` for each that lasts and was told, or would have been but for `retell`.
  template <typename Visit>
  void each(Visit visit) const {
    for (const Standing& one : standing_)
      if (is_due(one)) visit(one.refusal);
  }

 private:
  struct Standing {
    Refusal refusal;
    bool told = false;
  };
  static bool is_due(const Standing& one) { return !is_unproven(one.refusal.cause) || one.refusal.frames >= enough; }
  Standing* find(wire::Drop cause, NodeId sender);

  BoundedVector<Standing, capacity> standing_;
  std::array<std::array<Instant, limits::max_nodes + 1>, wire::drop_count> told_until_{};
};

}  // namespace vigil
