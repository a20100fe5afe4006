// What a node's kernel and process table hold, whatever its daemon is doing: gates with their leases,
// addresses, running applications. Passive data: the shell model writes it, the checker reads it.
#pragma once

#include <array>
#include <cstdint>

#include "runtime/base/ids.hpp"
#include "runtime/base/limits.hpp"
#include "tests/sim/clock.hpp"

namespace vigil::sim {

inline constexpr std::size_t max_sim_nodes = limits::max_nodes;
inline constexpr std::size_t max_sim_groups = limits::max_groups;
// What a seed draws: most of what can go wrong goes wrong among few, and many are slow to play.
inline constexpr std::size_t max_drawn_nodes = 8;
inline constexpr std::size_t max_drawn_groups = 6;
inline constexpr std::size_t max_sim_addresses = 2;  // of one group

struct AddressSlot {
  bool gate = false;             // installed and not closed; without one nothing passes
  Instant lease_until;           // on this machine's own clock
  std::uint8_t adapters = 0;     // bit i: the address is on adapter i
  std::uint8_t being_added = 0;  // bit i: an add to adapter i has begun and not ended
};

struct Machine {
  NodeClock clock;
  bool powered = false;
  bool stopped = false;   // a virtual machine that does not run; its clock stands
  Instant exposed_until;  // the end of any lease that it may have held when it was last stopped; own clock
  Incarnation daemon;     // start_id 0: no daemon runs
  std::array<std::array<AddressSlot, max_sim_addresses>, max_sim_groups> addresses{};
  std::array<bool, max_sim_groups> running{};  // from the first moment of its start script to the end of its stop

  bool gate_open(std::size_t group, std::size_t address, SimTime now) const {
    const AddressSlot& slot = addresses[group][address];
    return slot.gate && slot.lease_until > clock.at(now);
  }
  bool serves(std::size_t group, std::size_t address, SimTime now) const {
    return !stopped && addresses[group][address].adapters != 0 && gate_open(group, address, now);
  }
  // The one case that leases exclude (DESIGN section 4): a machine whose every clock stood still serves, when
  // it goes on, for what was left of the lease that it had. Not for a lease renewed since.
  bool excused(std::size_t group, std::size_t address) const {
    const AddressSlot& slot = addresses[group][address];
    return exposed_until.ns > 0 && slot.lease_until <= exposed_until;
  }
  void lose_everything() {
    addresses = {};
    running = {};
    stopped = false;
    exposed_until = {};
  }
};

using Machines = std::array<Machine, max_sim_nodes>;

// Since when a node, and the paths between two nodes, have been without blemish: the simulator's own
// knowledge, against which an expulsion is judged. sim_never: not sound at this moment.
struct Soundness {
  std::array<SimTime, max_sim_nodes> node{};
  std::array<std::array<SimTime, max_sim_nodes>, max_sim_nodes> pair{};
  std::array<SimTime, max_sim_nodes> frozen_ns{};   // how long it was frozen of late, in one go or several
  std::array<SimTime, max_sim_nodes> slow_until{};  // every step of it took long, or did a moment ago
};

}  // namespace vigil::sim
