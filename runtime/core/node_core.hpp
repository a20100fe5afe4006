// The whole thinking part of one node: detector, membership, lease, placement, group holders, put
// together. Pure: no I/O, no clock, no allocation after construction, no threads, no logging.
// The daemon runs one of these; the simulator runs dozens.
#pragma once

#include <memory>

#include "runtime/base/cluster.hpp"
#include "runtime/base/time.hpp"
#include "runtime/core/effect.hpp"
#include "runtime/core/event.hpp"
#include "runtime/core/status.hpp"

namespace vigil {

struct NodeOptions {
  NodeId self = no_node;
  Incarnation incarnation;
  StoredState stored;
  std::uint64_t seed = 1;  // jitter of retries only; never safety
};

class NodeCore {
 public:
  // `config` must outlive the core. `now`: the start; the restarted voter's wait counts from it.
  NodeCore(const ClusterConfig& config, const NodeOptions& options, Instant now);
  ~NodeCore();
  // Another one in the same state, from which the simulator's exhaustive mode goes on in another way.
  NodeCore(const NodeCore& other);
  NodeCore& operator=(const NodeCore&) = delete;

  // Feeds one event; appends, in order, what the shell must do.
  void step(Instant now, const Event& event, Effects& effects);
  // As step(), but nothing follows from it yet: for what is heard in one look, before the step that concludes from
  // all of it.
  void hear(Instant now, const Event& event, Effects& effects);
  // The loop arms exactly one timer from this.
  Instant next_deadline() const;

  // For `vigil status`, metrics and the simulator's checkers; reading changes nothing.
  void describe(Instant now, NodeStatus& status) const;
  void phases(Instant now, NodePhases& phases) const;
  const Record& committed() const;
  const Record& accepted() const;
  const KeyState& stored_keys() const;  // of the newest record that is known to be on storage
  Epoch promised() const;
  Instant lease_until() const;
  Incarnation incarnation() const;
  // The peers that tell of no record newer than the one committed here.
  NodeSet not_ahead() const;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace vigil
