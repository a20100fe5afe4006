#include "runtime/node/node_loop.hpp"

#include "runtime/loop/clock.hpp"

namespace vigil {

Result<std::unique_ptr<NodeLoop>> NodeLoop::create(const RingOptions& options, const RingOptions& quiet_options) {
  Result<std::unique_ptr<Ring>> ring = Ring::create(options);
  if (!ring) return ring.error();
  Result<std::unique_ptr<Ring>> quiet = Ring::create(quiet_options);
  if (!quiet) return quiet.error();
  return std::unique_ptr<NodeLoop>(new NodeLoop(std::move(ring).value(), std::move(quiet).value()));
}

void NodeLoop::add(Daemon& node) {
  nodes_.push_back(&node);
  set_gather();
  turn_ = boottime_now();
}

void NodeLoop::remove(Daemon& node) {
  std::erase(nodes_, &node);
  set_gather();
}

// The most impatient node's.
void NodeLoop::set_gather() {
  Duration gather;
  for (const Daemon* node : nodes_) {
    const Duration own = node->config().timing.gather();
    if (node == nodes_.front() || own < gather) gather = own;
  }
  ring_->set_gather(gather);
}

Status NodeLoop::turn(Instant until) {
  Instant deadline = until;
  for (const Daemon* node : nodes_) deadline = earlier(deadline, node->next_deadline());
  // What is overdue since before this turn began is this turn's work, not the loop's lateness.
  const Result<unsigned> handled = ring_->run_once(later(deadline, turn_));
  turn_ = boottime_now();
  if (!handled) return handled.error();
  if (!heard_) return heard_;
  for (Daemon* node : nodes_)
    if (!node->ended()) node->on_timer(turn_);
  return {};
}

void NodeLoop::on_wake(const WakeUp& wake) {
  for (Daemon* node : nodes_) node->on_wake(wake);
  heard_ = quiet_->drain();
  for (Daemon* node : nodes_) node->conclude();
}

}  // namespace vigil
