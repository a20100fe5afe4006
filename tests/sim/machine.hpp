// What a node's kernel and process table hold, whatever its daemon is doing: gates with their leases,
// addresses, running applications. Passive data: the shell model writes it, the checker reads it.
#pragma once

#include <array>
#include <cstdint>

#include "runtime/base/ids.hpp"
#include "tests/sim/clock.hpp"

namespace vigil::sim {

inline constexpr std::size_t max_sim_nodes = 8;
inline constexpr std::size_t max_sim_groups = 6;
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
  Incarnation daemon;  // start_id 0: no daemon runs
  std::array<std::array<AddressSlot, max_sim_addresses>, max_sim_groups> addresses{};
  std::array<bool, max_sim_groups> running{};  // from the first moment of its start script to the end of its stop

  bool gate_open(std::size_t group, std::size_t address, SimTime now) const {
    const AddressSlot& slot = addresses[group][address];
    return slot.gate && slot.lease_until > clock.at(now);
  }
  bool serves(std::size_t group, std::size_t address, SimTime now) const {
    return addresses[group][address].adapters != 0 && gate_open(group, address, now);
  }
  void lose_everything() {
    addresses = {};
    running = {};
  }
};

using Machines = std::array<Machine, max_sim_nodes>;

// Since when a node, and the paths between two nodes, have been without blemish: the simulator's own
// knowledge, against which an expulsion is judged. sim_never: not sound at this moment.
struct Soundness {
  std::array<SimTime, max_sim_nodes> node{};
  std::array<std::array<SimTime, max_sim_nodes>, max_sim_nodes> pair{};
  std::array<SimTime, max_sim_nodes> frozen_ns{};  // how long it was frozen of late, in one go or several
};

}  // namespace vigil::sim
