// What one seed stands for: the cluster, how its clocks and links behave at their best, which faults
// strike and how hard. Every seed turns some faults off altogether (swarm testing: Groce et al. 2012),
// because a fault that always strikes hides what only happens without it.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "runtime/base/cluster.hpp"
#include "runtime/base/random.hpp"
#include "tests/sim/clock.hpp"
#include "tests/sim/machine.hpp"

namespace vigil::sim {

enum class Fault : std::uint8_t {
  pause,         // SIGSTOP … SIGCONT
  pause_midway,  // … between two effects of one step
  daemon_crash,
  machine_crash,
  power_failure,   // all machines at once
  cut_path,        // one direction between two nodes, on one link or all
  isolate,         // a node from all others, one way or both
  partition,       // two camps
  flap,            // a cut that comes and goes
  weather,         // loss, duplicates, delay on the paths of a node
  adapter,         // loses its carrier
  address_effect,  // AddAddress or RemoveAddress fails, an address is lost, a conflict is seen
  application,     // dies; or its next start or stop fails
  agent,           // dies and is started again
  slow_disk,       // writes take long, or fail
  full_disk,       // writes fail for a while
  lost_state,      // a machine crashes and comes back without its state file
  clock_rate,      // a clock's rate changes within the bound
  stopped_clock,   // a virtual machine stands still with its every clock, and goes on; the clocks may catch up
  slow_node,       // each step of a node takes long, for a while
  slow_effects,    // addresses and scripts take long, for a while
  corruption,      // bits flip in frames on the paths of a node
  narrow,          // paths that pass small frames only
  other_file,      // daemons start again with another configuration file, until the faults end
  ambush,          // the next node to propose, commit or go for the tie-breaker is struck while it does
  operator_word,   // somebody types a command
  tie_breaker,     // the register that all share: slow, out of reach, or its answer is lost
  rotate_key,      // an operator asks for a new cluster key
  wall_clock,      // somebody sets a node's wall clock
  new_file,        // the cluster stops, and comes back on the next configuration file, some of it late
  survivors,       // most machines lose their power, and an operator vouches for them
  count_,
};
inline constexpr std::size_t fault_kinds = static_cast<std::size_t>(Fault::count_);
const char* to_string(Fault fault);

// One fault: when it strikes, and the dice that decide the rest (whom, how hard, how long). Each has dice of its
// own, so that a schedule from which some are left out keeps the others as they were.
struct PlannedFault {
  SimTime at = 0;
  Fault kind = Fault::count_;
  std::uint64_t dice = 0;
  std::uint32_t number = 0;  // in the seed's whole schedule
};

struct PathQuality {
  std::int64_t delay_ns = 0;
  std::int64_t jitter_ns = 0;
  double loss_percent = 0;
  double duplicate_percent = 0;
  double corrupt_percent = 0;
};

struct Scenario {
  std::uint64_t seed = 0;
  std::size_t nodes = 0;
  ClusterConfig config;

  PathQuality ethernet;  // without a weather fault
  PathQuality serial;
  std::int64_t drift_ppm = 0;      // each clock's rate lies within ± this
  bool stored_lease_known = true;  // the nodes have run before, so that their first wait is short

  std::uint64_t salt = 0;  // another throw of the world's own dice (delays, the lengths of scripts), all else equal

  SimTime settled_ns = 0;                           // before the first fault
  SimTime chaos_ns = 0;                             // how long faults strike
  SimTime gap_ns = 0;                               // mean time between two
  std::array<std::uint16_t, fault_kinds> weight{};  // 0: never
  std::uint16_t weight_sum = 0;
  std::vector<PlannedFault> faults;  // by time

  bool trial = false;         // no faults but those of a trial (trial.hpp)
  SimTime send_frame_ns = 0;  // in a trial: what the daemon's thread takes for each frame
  SimTime receive_frame_ns = 0;

  bool exam = false;                    // ends with a clean takeover
  std::int64_t takeover_percent = 100;  // less: a bound that nobody can keep, for the test of the test
  GroupIndex cursed_group = no_index;   // its scripts hang until their time-out, to the very end
  SimTime disk_ns = 0;                  // a write, at best
  SimTime script_ns = 0;                // a start or stop script, at best
  SimTime address_ns = 0;               // adding or removing an address
  SimTime register_ns = 0;              // a use of the tie-breaker's register
  NodeId absent = no_node;              // without power until the faults end

  bool rotates = false;      // keys: who has which is simulated
  bool tells_time = false;   // wall clocks
  bool mixed = false;        // nodes of neighbouring releases
  QuorumConfig next_quorum;  // of the next configuration file
  bool has_tie_breaker() const { return !config.quorum.tie_breaker.empty(); }
  SimTime interval_ns() const { return config.timing.interval.ns; }
  SimTime detection_ns() const { return config.timing.detection.ns; }
  // Until a restarted node may vote: longer where it cannot know which leases it had acknowledged.
  SimTime restart_wait_ns() const;
  // From the end of all faults to a whole and serving cluster.
  SimTime convergence_bound_ns() const;
  // Then, from one node's loss of power to service elsewhere (exam.cpp).
  SimTime takeover_bound_ns() const;
};

// What World::about() makes of a usual length, at the longest.
constexpr SimTime about_at_most(SimTime usual) { return (usual / 2 + usual) * 6; }

// `forced_nodes` 0: the seed chooses.
void make_scenario(std::uint64_t seed, std::size_t forced_nodes, Scenario& scenario);
// A trial: every node has the same two networks, groups with an address each are spread over all, and the wires are
// those of a good LAN.
void make_trial(std::uint64_t seed, std::size_t nodes, Scenario& scenario);

}  // namespace vigil::sim
