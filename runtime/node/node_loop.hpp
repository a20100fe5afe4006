// The loop of a process that runs nodes: vigild one, vigil-arbiter many. One ring, one thread, one deadline: the
// earliest of all nodes. Each turn it hands over what came, then gives every node its turn in order. A node that is
// busy makes the others late, and each is told so (its WakeListener): so a turn of a node must be short.
//
// Heartbeats come by a second, quiet ring that nobody waits on. It is looked at after every wake-up, before anything
// else is judged: nobody is accused of a silence that only waits to be heard.
#pragma once

#include <memory>
#include <vector>

#include "runtime/loop/ring.hpp"
#include "runtime/node/daemon.hpp"

namespace vigil {

class NodeLoop : private WakeListener {
 public:
  // `quiet`: of the ring that brings heartbeats.
  static Result<std::unique_ptr<NodeLoop>> create(const RingOptions& options, const RingOptions& quiet);
  Ring& ring() { return *ring_; }
  Ring& quiet() { return *quiet_; }
  // Between two turns. The node is attached, and outlives its stay.
  void add(Daemon& node);
  void remove(Daemon& node);
  // Waits until something is to be done, at the latest until `until`, and does it. Fails only when the ring is broken.
  Status turn(Instant until = Instant::never());

 private:
  NodeLoop(std::unique_ptr<Ring> ring, std::unique_ptr<Ring> quiet) : ring_(std::move(ring)), quiet_(std::move(quiet)) {
    ring_->set_wake_listener(this);
  }
  void set_gather();
  void on_wake(const WakeUp& wake) override;

  std::unique_ptr<Ring> ring_;
  std::unique_ptr<Ring> quiet_;
  std::vector<Daemon*> nodes_;
  Instant turn_;  // when the last one began
  Status heard_;  // an error of the quiet ring, for turn() to return
};

}  // namespace vigil
