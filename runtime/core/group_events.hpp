// Says what a group's holder does: lines of the causal journal, from which `vigil why` answers, and the
// hooks that the configuration has for its events. Hooks are asked for after the effects that protect
// (a closed gate) and hold nothing up, but for the two `pre` hooks that the holder itself waits for.
#pragma once

#include <array>
#include <cstdint>

#include "runtime/base/cluster.hpp"
#include "runtime/base/event_name.hpp"
#include "runtime/base/journal.hpp"
#include "runtime/core/effect.hpp"
#include "runtime/core/holder_context.hpp"

namespace vigil {

class GroupEvents;

// One step of a holder: what it sees, where its effects go.
struct HolderStep {
  const HolderContext& context;
  const GroupEvents& events;
  Effects& effects;
  std::uint32_t generation = 0;
};

// What a journal line or a hook is about, beyond its group.
struct EventAbout {
  NodeId subject = no_node;
  NetworkIndex network = no_index;
  AdapterIndex adapter = no_index;
  std::int64_t took_us = -1;  // -1: not measured
};

class GroupEvents {
 public:
  // `config` must outlive it.
  GroupEvents(const ClusterConfig& config, NodeId self, GroupIndex group);

  // Appends one journal line.
  [[gnu::format(printf, 6, 7)]] void tell(const HolderStep& step, JournalKind kind, EventName event,
                                          const EventAbout& about, const char* format, ...) const;

  bool has_hook(EventName event, HookStage stage) const;
  // Runs that stage's hooks, if there are any; nobody waits.
  void run_hooks(const HolderStep& step, EventName event, HookStage stage, const EventAbout& about) const;
  // The hooks of an event's beginning (pre, command) and end (post or recovery; notify).
  void begin(const HolderStep& step, EventName event, const EventAbout& about) const;
  void end(const HolderStep& step, EventName event, bool ok, const EventAbout& about) const;
  // As run_hooks, but answered by event::AgentDone; returns the request's number. There must be a hook.
  std::uint32_t ask_hooks(const HolderStep& step, EventName event, HookStage stage) const;
  // The time-outs of that stage's hooks, which run one after another, together.
  Duration hook_time(EventName event, HookStage stage) const;

  // Work for the agent on the group's application; returns the request's number.
  std::uint32_t run_agent(const HolderStep& step, effect::AgentVerb verb) const;

  const char* group_name() const;
  const char* node_name(NodeId node) const;
  const char* device(AdapterIndex adapter) const;  // of this node
  const char* network_name(NetworkIndex network) const;

 private:
  effect::RunAgent hook_effect(const HolderStep& step, EventName event, HookStage stage, const EventAbout& about) const;

  const ClusterConfig* config_;
  NodeId self_;
  GroupIndex group_;
  std::array<std::uint8_t, static_cast<std::size_t>(EventName::count_)> stages_{};  // bit: HookStage
};

// "10.77.1.100/24", "2001:db8::1/64"
BoundedString<63> to_text(const IpAddress& address);
const char* to_text(GroupReason reason);

}  // namespace vigil
