// Everything a core may ask of its shell, as data, in order. Nothing waits for a Persist: a core that must not
// go on before something is stored asks ahead, and goes on at event::Persisted (voter.hpp).
#pragma once

#include <type_traits>
#include <variant>
#include <vector>

#include "runtime/base/message.hpp"
#include "runtime/core/event.hpp"

namespace vigil {

namespace effect {

struct SendHeartbeat {
  LinkIndex link = 0;  // own link; to every peer on it. The shell fills sent_ns last of all
  Heartbeat heartbeat;
};
struct SendAck {
  NodeId to = no_node;
  LinkIndex by = 0;  // own link
  HeartbeatAck ack;
};
// To one node, on every link fit for it. Unreliable: the core repeats it.
struct SendMessage {
  NodeId to = no_node;
  Message message;
};

struct Persist {
  std::uint64_t token = 0;
  StoredState state;
};

// The lease of everything this node serves now ends at `until` (own clock). One store per open gate.
struct RenewLease {
  Instant until;
  Epoch epoch;
};
// Install and verify the gate of this address, then add the address to `adapter`, then announce it.
// Answered by event::AddressDone.
struct AddAddress {
  GroupIndex group = 0;
  std::uint8_t address = 0;
  AdapterIndex adapter = 0;
  Epoch epoch;
  Instant lease_until;
  bool probe_first = false;  // first start: duplicate-address check before; takeover: afterwards
};
// Close the gate, remove the address, remove the gate. Answered by event::AddressDone.
struct RemoveAddress {
  GroupIndex group = 0;
  std::uint8_t address = 0;
  AdapterIndex adapter = 0;
};

enum class AgentVerb : std::uint8_t { start, stop, monitor_on, monitor_off, event, clean };
// Work for vigil-agent. start and stop are answered by event::AgentDone; monitor_on leads to
// event::ApplicationFailed; event runs hooks (answered only when `wait`); clean stops every
// application of this node's groups that may run, answered by AgentDone.
struct RunAgent {
  std::uint32_t request = 0;
  AgentVerb verb = AgentVerb::start;
  GroupIndex group = no_index;
  std::uint32_t generation = 0;
  EventName event = EventName::none;
  NodeId subject = no_node;
  NetworkIndex network = no_index;
  AdapterIndex adapter = no_index;
  HookStage stage = HookStage::post;  // for event: run the hooks of this stage
  bool wait = false;
};

// Reads the tie-breaker, or wins it for `epoch` in one compare-and-swap: only while it is not won for an epoch
// above `known`. Answered by event::TieBreakerDone, always, and within a second or so (agent::tie_breaker_limit).
struct UseTieBreaker {
  std::uint32_t request = 0;
  bool win = false;
  Epoch epoch;
  Epoch known;
};

// One line of the journal; the shell stamps wall_ns, keeps it, shares it.
struct Journal {
  JournalEntry entry;
};

// Answer to event::OperatorAsked.
struct OperatorAnswer {
  std::uint64_t id = 0;
  bool accepted = false;
  BoundedString<127> text;
};

// This life of the node is over (expelled, or it must start afresh): the shell stops and cleans
// everything, makes a new core with a new incarnation and the stored state, and reports Cleaned to it.
struct StartAfresh {
  BoundedString<95> why;
};
// Left in good order: the daemon may exit.
struct Left {};

}  // namespace effect

using Effect = std::variant<effect::SendHeartbeat, effect::SendAck, effect::SendMessage, effect::Persist,
                            effect::RenewLease, effect::AddAddress, effect::RemoveAddress, effect::RunAgent,
                            effect::UseTieBreaker, effect::Journal, effect::OperatorAnswer, effect::StartAfresh, effect::Left>;

// What the busiest step of a node may emit: a view change tells every node several things, and every
// group takes several steps: for each address the effect, its journal lines and its hooks' four stages, and
// as much again for the application and the group.
inline std::size_t effects_limit(const ClusterConfig& config) {
  constexpr std::size_t per_group = 8 * (limits::max_group_addresses + 4);
  return 48 + 8 * config.nodes.size() + per_group * config.groups.size();
}

// Ordered output of one step. Capacity is reserved once; a core that emits more than this in one
// step is broken.
class Effects {
 public:
  static constexpr std::size_t largest_limit = 2608;  // effects_limit() of the largest configuration
  explicit Effects(std::size_t limit = largest_limit) : limit_(limit) { items_.reserve(limit); }
  // Builds the alternative in place: a variant is as large as its largest, most effects are small.
  template <typename Alternative>
  void push(const Alternative& alternative) {
    VIGIL_ASSERT(items_.size() < limit_);
    if constexpr (std::is_same_v<Alternative, Effect>)
      std::visit([this](const auto& one) { items_.emplace_back(one); }, alternative);
    else
      items_.emplace_back(alternative);
  }
  const std::vector<Effect>& items() const { return items_; }
  std::vector<Effect>& items() { return items_; }
  bool empty() const { return items_.empty(); }
  void clear() { items_.clear(); }

 private:
  std::vector<Effect> items_;
  std::size_t limit_;
};

}  // namespace vigil
