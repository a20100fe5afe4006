// What a journal entry about membership knows beyond its sentence: on which evidence a node was accused,
// how its voters answered a candidate, how long each step of a view change took. Of fixed size, since the
// core that fills it allocates nothing; which fields mean something depends on the step.
#pragma once

#include <cstdint>

#include "runtime/base/bounded.hpp"
#include "runtime/base/ids.hpp"

namespace vigil {

enum class NackReason : std::uint8_t;  // message.hpp

enum class ViewStep : std::uint8_t {
  none,       // the entry is not about a view change
  accused,    // subject should be left out, says the writer
  refused,    // subject refused its vote to the writer, a candidate
  given_up,   // the writer's round came to nothing
  committed,  // the writer's round was accepted: the view is decided
  installed,  // the view is in force at the writer
};

enum class Accusation : std::uint8_t {
  silent,               // every link of it has been silent for its detection time
  one_way,              // it is heard, but it and others do not hear each other
  restarted,            // it answers in another life: the one that is a member has ended
  never_heard,          // a member that the writer has not heard since its own start
  other_configuration,  // it uses another configuration now
};

// The newest heartbeat from one link of the accused.
struct LinkSilence {
  static constexpr std::uint32_t never = UINT32_MAX;
  LinkIndex link = 0;           // the accused's
  LinkIndex by = 0;             // the accuser's, which heard it last
  std::uint32_t silent_us = 0;  // when it was accused; never: none of this life

  bool operator==(const LinkSilence&) const = default;
};

struct ViewFacts {
  ViewStep step = ViewStep::none;
  Accusation why = Accusation::silent;  // accused
  NackReason reason{};                  // refused
  Epoch epoch;        // sought, or of the view decided; none yet for accused
  Epoch before;       // of the view to be changed
  NodeSet members;    // given_up, committed: who was asked; installed: of the view
  NodeSet promised;   // given_up, committed
  NodeSet refused;    // given_up, committed
  NodeSet accepted;   // given_up, committed
  NodeSet hearing;    // accused: who still heard it, by their own newest word
  NodeSet heard;      // accused: whom it heard, by its newest word; refused: accused nodes the voter hears
  std::uint32_t round = 0;       // given_up, committed: which round since the view before, from 1
  std::uint32_t decide_us = 0;   // given_up, committed: need arose (suspicion) to Prepare
  std::uint32_t promise_us = 0;  // … to a quorum of promises; UINT32_MAX: never
  std::uint32_t accept_us = 0;   // … to the commit; UINT32_MAX: never
  std::uint32_t lease_us = 0;    // installed: until the leases of those left out are over
  std::uint32_t late_us = 0;     // accused: the accuser's own lateness since the last sign of life
  BoundedVector<LinkSilence, limits::max_links> links;  // accused

  bool operator==(const ViewFacts&) const = default;
};

}  // namespace vigil
