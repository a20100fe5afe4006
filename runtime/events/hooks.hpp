// Decides which hooks run for an event, in which order, and what follows when one fails. Pure: it
// runs nothing and waits for nothing; the agent feeds it outcomes and runs what it names next.
//
// A request names an event and a stage, and runs every configured hook of both, one after another in
// the order of the configuration. A hook of `pre`, `command` or `post` that fails or exceeds its time
// is repaired once: the event's `recovery` hooks run, in order, and when all of them succeeded the
// failing hook runs again. What still fails is a failure of the request, but never mutes the hooks
// behind it: the others still run. `notify` hooks are not part of a sequence; they start all at once
// and are waited for by nobody.
#pragma once

#include <cstdint>
#include <optional>

#include "runtime/base/cluster.hpp"
#include "runtime/base/event_name.hpp"

namespace vigil::events {

using HookIndex = std::uint8_t;  // position in ClusterConfig::hooks
using HookList = BoundedVector<HookIndex, limits::max_hooks>;

// The hooks of this event and stage, in the order of the configuration.
HookList hooks_of(const ClusterConfig& config, EventName event, HookStage stage);
// Those of `pre`, then `command`, then `post`: a whole event in one request.
HookList hooks_of_event(const ClusterConfig& config, EventName event);

enum class HookOutcome : std::uint8_t { ok, failed, timed_out };

class HookSequence {
 public:
  struct Step {
    HookIndex hook = 0;
    bool retry = false;                     // after a recovery
    std::optional<HookIndex> recovery_for;  // set: this is a recovery hook, for that one
  };
  struct Failure {
    HookIndex hook = 0;
    HookOutcome outcome = HookOutcome::failed;
  };

  // `main` runs in order; `recovery` repairs its failures (empty: nothing does).
  HookSequence(const HookList& main, const HookList& recovery) : main_(main), recovery_(recovery) {}

  // What has to run now; nothing when the sequence is over. Changes nothing.
  std::optional<Step> next() const;
  // The outcome of the step that next() named.
  void finished(HookOutcome outcome);

  // The hooks that failed for good, in order; a recovery hook that failed counts as well.
  const BoundedVector<Failure, limits::max_hooks * 2>& failures() const { return failures_; }

 private:
  enum class Phase : std::uint8_t { normal, recovering, retrying };

  void advance();

  HookList main_;
  HookList recovery_;
  Phase phase_ = Phase::normal;
  std::size_t position_ = 0;                     // in main_
  std::size_t recovery_position_ = 0;            // in recovery_, while recovering
  HookOutcome first_outcome_ = HookOutcome::ok;  // of the failing hook, while recovering
  BoundedVector<Failure, limits::max_hooks * 2> failures_;
};

}  // namespace vigil::events
