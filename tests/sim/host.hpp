// One node as the world sees it: the machine, the daemon's shell around a real core, its disk and its
// agent. Plain data; World moves it.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "runtime/core/node_core.hpp"
#include "tests/sim/disk.hpp"
#include "tests/sim/heap.hpp"
#include "tests/sim/keys.hpp"
#include "tests/sim/machine.hpp"
#include "tests/sim/trial.hpp"

namespace vigil::sim {

struct HeartbeatFrame {
  Heartbeat heartbeat;
  std::uint32_t start = 0;  // the sender's how-manieth life: the wire's sessions know old from new
  Load load;
  SimKey key;  // it is sealed with
};
struct AckFrame {
  HeartbeatAck ack;
  Incarnation incarnation;
  std::uint32_t start = 0;
  Load load;
  SimKey key;
};
struct MessageFrame {
  Message message;
  Incarnation incarnation;
  std::uint32_t start = 0;
  std::uint64_t number = 0;  // of the sender, in a trial: copies by several links share it
  Load load;
  SimKey key;
};
struct PendingWrite {
  std::uint64_t token = 0;
  StoredState state;
  bool ok = true;
};
struct AddressJob {
  std::uint8_t group = 0;
  std::uint8_t address = 0;
  AdapterIndex adapter = 0;
  bool add = false;
  bool ok = true;
  Instant lease_until;
  SimTime began = 0;
};
struct AgentJob {
  effect::RunAgent work;
  event::AgentOutcome outcome = event::AgentOutcome::ok;
  SimTime began = 0;
  SimTime length = 0;
  bool cancelled = false;
};

// One use of the tie-breaker, from its asking to its answer.
struct RegisterUse {
  effect::UseTieBreaker use;
  Instant asked;             // on the node's clock
  std::uint32_t number = 0;  // of the life's uses: only the newest is answered
  bool reachable = true;
  bool used = false;    // it has reached the register
  bool in_time = true;  // the answer is there before the agent gives it up
  Epoch held;
};

// How the faults want this node's effects to go wrong, one each.
struct Mischief {
  bool address_fails = false;
  bool start_fails = false;
  bool stop_fails = false;
  bool script_hangs = false;
  bool write_fails = false;
  SimTime slow_writes_until = 0;
  SimTime full_disk_until = 0;
  SimTime slow_effects_until = 0;
  SimTime slow_steps_until = 0;
  SimTime slow_step = 0;
  SimTime register_fails_until = 0;
  SimTime register_slow_until = 0;
  SimTime register_mute_until = 0;  // it is used, and the answer is lost
};

// Which release its daemon is of: this one, the one before, whose hellos say less, or the next, whose frames say more.
enum class Release : std::uint8_t { older, present, newer };

struct Host {
  NodeId id = no_node;
  std::unique_ptr<NodeCore> core;  // null: no daemon runs
  Incarnation incarnation;
  std::uint32_t life = 0;   // grows with every start and stop of the daemon
  std::uint32_t start = 0;  // counts starts, for the wire's sessions
  bool left = false;        // its daemon said goodbye
  bool outcast = false;     // a write or a cleaning failed: it stays out until started again
  std::uint64_t boot_id = 0;
  std::array<std::uint32_t, max_sim_nodes> newest_start{};  // of each peer, as this life has seen
  std::array<Incarnation, max_sim_nodes> newest_incarnation{};

  // In a trial: what its frames cost, and which messages it has had
  SimTime busy_until = 0;
  std::uint64_t next_number = 0;
  Load sent;
  Load received;
  std::array<Seen, max_sim_nodes> seen{};

  // The loop
  SimTime armed_at = sim_never;  // the earliest timer entry on the agenda
  bool paused = false;
  SimTime resume_at = 0;
  SimTime rebooted_at = 0;       // by the operator, after the faults
  SimTime power_at = 0;          // not before
  bool vouched_for = false;      // an operator keeps it without power until the faults end
  NodeId vouched_by = no_node;   // in an override
  int pause_after_effects = -1;  // ≥ 0: freeze in the middle of the next step that has more effects
  SimTime pause_length = 0;
  std::uint32_t stops = 0;  // of its machine, counted
  SimTime stands_since = 0;
  SimTime goes_on_at = 0;
  std::vector<Entry> inbox;  // what came in while held, from inbox_next on
  std::size_t inbox_next = 0;
  std::vector<Entry> unseen;   // heartbeats that have come and were not looked at
  std::vector<Effect> outbox;  // effects not carried out yet, from outbox_next on
  std::size_t outbox_next = 0;
  Stamp committed;  // as last told to the checker
  Stamp accepted;
  Epoch promised;
  NodePhases phases;  // as last seen
  View view;          // committed
  std::array<GroupPhase, max_sim_groups> group_phases{};

  // The disk
  Disk disk;
  bool forgetful = false;             // lost its state file, and was in no committed view since
  bool other_file = false;            // started with the other configuration file
  std::vector<std::uint32_t> writes;  // slots, in order
  SimTime disk_free_at = 0;

  // Kernel jobs and the agent
  std::array<std::array<SimTime, max_sim_addresses>, max_sim_groups> address_free_at{};
  std::array<SimTime, max_sim_groups> script_free_at{};
  std::vector<std::uint32_t> scripts;  // slots of this life's jobs that have not ended
  std::array<bool, max_sim_groups> monitored{};
  std::array<std::uint32_t, max_sim_groups> monitored_generation{};
  std::uint8_t carriers = 0;  // bit i: adapter i's carrier, as last told
  bool agent_up = true;
  std::uint32_t register_uses = 0;     // of this life
  std::uint32_t register_request = 0;  // the newest, as the core numbered it
  bool register_asked = false;         // it has no answer yet
  SimKeys key_file;
  KeyKeeping key;
  std::int64_t wall_error_ns = 0;  // of its wall clock
  Release release = Release::present;
  Mischief mischief;
};

}  // namespace vigil::sim
