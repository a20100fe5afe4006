// The world's agenda: what happens when, in one total order (time, then order of entry), and the pools
// that hold what is under way. Nothing here allocates once it has grown to its working size.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <vector>

#include "runtime/base/assert.hpp"
#include "runtime/base/ids.hpp"
#include "tests/sim/clock.hpp"

namespace vigil::sim {

enum class What : std::uint8_t {
  timer,          // a core's deadline
  heartbeat,      // a frame arrives; slot: heartbeat pool
  ack,            // slot: ack pool
  message,        // slot: message pool
  persisted,      // a write ended; slot: write pool
  gates_cleaned,  // the starting shell removed stale gates and addresses
  cleaned,        // … and stopped what an earlier life had left running
  address_begin,  // slot: address job pool
  address_end,
  agent_begin,  // slot: agent job pool
  agent_end,
  agent_down,       // the agent died
  agent_up,         // the launcher has started it again
  adapter_changed,  // link: adapter; slot: usable
  address_lost,     // link: group; slot: address
  address_conflict,
  monitor,          // link: group; the monitor looks
  resume,           // SIGCONT
  machine_goes_on,  // slot: which stop of this machine ends
  start_daemon,
  crash_daemon,
  power_on,
  fault,    // slot: its place in the schedule
  heal,     // slot: serial number of an active network fault
  flap,     // slot: as heal; a flapping cut changes its state
  operate,         // the operator types something
  doom,            // machines lose their power, and somebody will vouch for them; slot: which
  vouch,           // … or vouches for all that this node does not hear
  register_used,   // a use of the tie-breaker reaches its register; slot: register pool
  register_answer, // … and its answer the daemon
  keys_stored,     // the key file was replaced, or could not be
  key_tick,        // the daemon looks after its keys
  hear_clock,      // slot: the node whose wall clock is told
  greet,           // a node tells its wall clock
  change_file,     // a daemon starts again with the configuration file in force
  calm,     // all faults end
  look,     // has the cluster converged?
  grade,    // has the exam's takeover happened?
};

struct Entry {
  SimTime at = 0;
  std::uint32_t order = 0;
  std::uint32_t slot = 0;
  std::uint32_t life = 0;  // of the receiving daemon, where the entry dies with it; of a frame in a trial, 1: read
  What what = What::timer;
  NodeId node = no_node;
  NodeId from = no_node;
  std::uint8_t link = 0;  // the receiver's link; or a group
};

class Agenda {
 public:
  void clear() {
    heap_.clear();
    order_ = 0;
  }
  bool empty() const { return heap_.empty(); }
  void push(Entry entry) {
    entry.order = order_++;
    heap_.push_back(entry);
    std::push_heap(heap_.begin(), heap_.end(), later);
  }
  // What was to happen to a machine that stands still happens that much later.
  template <typename Of>
  void postpone(SimTime by, Of of) {
    for (Entry& entry : heap_)
      if (of(entry)) entry.at += by;
    std::make_heap(heap_.begin(), heap_.end(), later);
  }
  // What was still on a slow way is there by then.
  template <typename Of>
  void hasten(SimTime latest, Of of) {
    for (Entry& entry : heap_)
      if (of(entry) && entry.at > latest) entry.at = latest;
    std::make_heap(heap_.begin(), heap_.end(), later);
  }
  Entry pop() {
    std::pop_heap(heap_.begin(), heap_.end(), later);
    const Entry entry = heap_.back();
    heap_.pop_back();
    return entry;
  }

 private:
  static bool later(const Entry& a, const Entry& b) { return a.at != b.at ? a.at > b.at : a.order > b.order; }

  std::vector<Entry> heap_;
  std::uint32_t order_ = 0;
};

// Reference-counted slots of one type, reused for ever. References stay valid while others are taken.
template <typename T>
class Pool {
 public:
  // The slot's old content is left in place: the caller overwrites what it uses. References: one.
  std::uint32_t take() {
    if (free_.empty()) {
      items_.emplace_back();
      references_.push_back(0);
      free_.push_back(static_cast<std::uint32_t>(items_.size() - 1));
    }
    const std::uint32_t slot = free_.back();
    free_.pop_back();
    references_[slot] = 1;
    return slot;
  }
  void share(std::uint32_t slot) { ++references_[slot]; }
  void drop(std::uint32_t slot) {
    VIGIL_ASSERT(references_[slot] > 0);
    if (--references_[slot] == 0) free_.push_back(slot);
  }
  T& operator[](std::uint32_t slot) { return items_[slot]; }
  void clear() {
    free_.clear();
    for (std::size_t i = items_.size(); i > 0; --i) {
      references_[i - 1] = 0;
      free_.push_back(static_cast<std::uint32_t>(i - 1));
    }
  }

 private:
  std::deque<T> items_;
  std::vector<std::uint32_t> references_;
  std::vector<std::uint32_t> free_;
};

}  // namespace vigil::sim
