// Everything that can happen to a node's core, as data. The daemon makes these from the kernel, the
// simulator from its virtual world.
#pragma once

#include <variant>

#include "runtime/base/cluster.hpp"
#include "runtime/base/message.hpp"

namespace vigil {

// What was stored before this start (or the empty value at the first). Given once, at start.
struct StoredState {
  std::uint64_t epoch_ceiling = 0;  // never vote at or below this counter
  Record accepted;                  // newest record accepted; stamp zero: none
  Duration longest_acknowledged;    // longest lease any earlier life may have acknowledged; zero: unknown
};

namespace event {

struct Tick {};  // a deadline passed; every step() with any event also handles what is due

struct HeartbeatReceived {
  NodeId from = no_node;
  LinkIndex by = 0;  // own link it came in on
  Heartbeat heartbeat;
  Instant arrived = {};  // at the interface, by a wall clock's word: for statistics alone. Zero: now
};
struct AckReceived {
  NodeId from = no_node;
  LinkIndex by = 0;
  Incarnation incarnation;  // the sender's
  HeartbeatAck ack;
  Instant arrived = {};  // as above
};
struct MessageReceived {
  NodeId from = no_node;
  Incarnation incarnation;  // the sender's, authenticated
  Message message;
};

// The shell measured that its loop woke up this late.
struct Late {
  Duration lateness;
};

struct AdapterChanged {
  AdapterIndex adapter = 0;
  bool usable = false;  // up and with carrier; a serial line: open
};

// An effect::Persist with this token is on stable storage (or failed: the node stays out).
struct Persisted {
  std::uint64_t token = 0;
  bool ok = true;
};

// Nothing of an earlier life runs: gates, addresses and applications were probed and cleaned.
struct Cleaned {
  bool ok = true;  // false: something could not be stopped; the node stays out
};

// An effect::AddAddress or RemoveAddress ended.
struct AddressDone {
  GroupIndex group = 0;
  std::uint8_t address = 0;  // index in the group
  bool added = false;        // which of the two
  bool ok = true;
  Duration took;
};
// Duplicate-address check answered after a takeover, or before a first start.
struct AddressConflict {
  GroupIndex group = 0;
  std::uint8_t address = 0;
};
// An address that should be there was removed by somebody, or its gate was lost.
struct AddressLost {
  GroupIndex group = 0;
  std::uint8_t address = 0;
};

enum class AgentOutcome : std::uint8_t { ok, failed, timed_out, killed };
// An effect::RunAgent ended.
struct AgentDone {
  std::uint32_t request = 0;  // the effect's
  AgentOutcome outcome = AgentOutcome::ok;
  int exit_status = 0;
  Duration took;
};
// The monitor found the application of this group not running (sent once per run).
struct ApplicationFailed {
  GroupIndex group = 0;
  std::uint32_t generation = 0;
};
// The agent died or was started again. After `up`, what runs is unknown until probed.
struct AgentState {
  bool up = false;
};

// An effect::UseTieBreaker ended. `held`: the epoch for which it is won, after the operation.
struct TieBreakerDone {
  std::uint32_t request = 0;
  bool ok = true;       // false: it could not be reached, or did not answer in time
  Epoch held;
};

struct OperatorAsked {
  std::uint64_t id = 0;  // the shell's, unique per node and incarnation
  OperatorCommand command;
  std::int64_t wall_ns = 0;  // CLOCK_REALTIME when it was asked
};

// How far a node's CLOCK_REALTIME is ahead of this node's CLOCK_BOOTTIME (its own included).
struct WallClock {
  NodeId node = no_node;
  Duration offset;
};
// The shell keeps a node out, and says why in one line.
struct NodeRefused {
  NodeId node = no_node;  // no_node: none of the configuration
  BoundedString<95> why;
};

}  // namespace event

using Event = std::variant<event::Tick, event::HeartbeatReceived, event::AckReceived, event::MessageReceived,
                           event::Late, event::AdapterChanged, event::Persisted, event::Cleaned,
                           event::AddressDone, event::AddressConflict, event::AddressLost, event::AgentDone,
                           event::ApplicationFailed, event::AgentState, event::TieBreakerDone, event::OperatorAsked,
                           event::WallClock, event::NodeRefused>;

}  // namespace vigil
