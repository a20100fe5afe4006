// The loop of a process that runs nodes: vigild one, vigil-arbiter many. One ring, one thread, one deadline: the
// earliest of all nodes. Each turn it hands over what came, then gives every node its turn in order. A node that is
// busy makes the others late, and each is told so (its WakeListener): so a turn of a node must be short.
#pragma once

#include <memory>
#include <vector>

#include "runtime/loop/ring.hpp"
#include "runtime/node/daemon.hpp"

namespace vigil {

class NodeLoop : private WakeListener {
 public:
  static Result<std::unique_ptr<NodeLoop>> create(const RingOptions& options);
  Ring& ring() { return *ring_; }
  // Between two turns. The node is attached, and outlives its stay.
  void add(Daemon& node);
  void remove(Daemon& node);
  // Waits until something is to be done, at the latest until `until`, and does it. Fails only when the ring is broken.
  Status turn(Instant until = Instant::never());

 private:
  explicit NodeLoop(std::unique_ptr<Ring> ring) : ring_(std::move(ring)) { ring_->set_wake_listener(this); }
  void set_gather();
  void on_wake(const WakeUp& wake) override;

  std::unique_ptr<Ring> ring_;
  std::vector<Daemon*> nodes_;
  Instant turn_;  // when the last one began
};

}  // namespace vigil
