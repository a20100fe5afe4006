#include "runtime/core/group_events.hpp"

#include <arpa/inet.h>

#include <cstdarg>
#include <cstdio>

namespace vigil {

GroupEvents::GroupEvents(const ClusterConfig& config, NodeId self, GroupIndex group)
    : config_(&config), self_(self), group_(group) {
  for (const HookConfig& hook : config.hooks) {
    VIGIL_ASSERT(hook.event < stages_.size());
    stages_[hook.event] = static_cast<std::uint8_t>(stages_[hook.event] | (1U << static_cast<unsigned>(hook.stage)));
  }
}

void GroupEvents::tell(const HolderStep& step, JournalKind kind, EventName event, const EventAbout& about,
                       const char* format, ...) const {
  JournalEntry entry;
  char line[decltype(entry.text)::capacity() + 1];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  entry.text.assign(line);
  entry.node = self_;
  entry.boot_ns = step.context.now.ns;
  entry.kind = kind;
  entry.event = event;
  if (step.context.record != nullptr) entry.stamp = step.context.record->stamp;
  entry.group = group_;
  entry.generation = step.generation;
  entry.subject = about.subject;
  entry.network = about.network;
  entry.adapter = about.adapter;
  entry.duration_us = about.took_us;
  step.effects.push(effect::Journal{entry});
}

bool GroupEvents::has_hook(EventName event, HookStage stage) const {
  return ((stages_[static_cast<std::size_t>(event)] >> static_cast<unsigned>(stage)) & 1) != 0;
}

effect::RunAgent GroupEvents::hook_effect(const HolderStep& step, EventName event, HookStage stage,
                                          const EventAbout& about) const {
  effect::RunAgent run;
  run.request = ++*step.context.next_request;
  run.verb = effect::AgentVerb::event;
  run.group = group_;
  run.generation = step.generation;
  run.event = event;
  run.subject = about.subject;
  run.network = about.network;
  run.adapter = about.adapter;
  run.stage = stage;
  return run;
}

void GroupEvents::run_hooks(const HolderStep& step, EventName event, HookStage stage, const EventAbout& about) const {
  if (has_hook(event, stage)) step.effects.push(hook_effect(step, event, stage, about));
}

void GroupEvents::begin(const HolderStep& step, EventName event, const EventAbout& about) const {
  run_hooks(step, event, HookStage::pre, about);
  run_hooks(step, event, HookStage::command, about);
}

void GroupEvents::end(const HolderStep& step, EventName event, bool ok, const EventAbout& about) const {
  run_hooks(step, event, ok ? HookStage::post : HookStage::recovery, about);
  run_hooks(step, event, HookStage::notify, about);
}

std::uint32_t GroupEvents::ask_hooks(const HolderStep& step, EventName event, HookStage stage) const {
  VIGIL_ASSERT(has_hook(event, stage));
  effect::RunAgent run = hook_effect(step, event, stage, {});
  run.wait = true;
  step.effects.push(run);
  return run.request;
}

Duration GroupEvents::hook_time(EventName event, HookStage stage) const {
  Duration sum;
  for (const HookConfig& hook : config_->hooks)
    if (hook.event == static_cast<std::uint8_t>(event) && hook.stage == stage) sum = sum + hook.timeout;
  return sum;
}

std::uint32_t GroupEvents::run_agent(const HolderStep& step, effect::AgentVerb verb) const {
  effect::RunAgent run;
  run.request = ++*step.context.next_request;
  run.verb = verb;
  run.group = group_;
  run.generation = step.generation;
  step.effects.push(run);
  return run.request;
}

const char* GroupEvents::group_name() const { return config_->groups[group_].name.c_str(); }

const char* GroupEvents::node_name(NodeId node) const {
  return node < config_->nodes.size() ? config_->nodes[node].name.c_str() : "nobody";
}

const char* GroupEvents::device(AdapterIndex adapter) const {
  const auto& adapters = config_->nodes[self_].adapters;
  return adapter < adapters.size() ? adapters[adapter].device.c_str() : "no adapter";
}

const char* GroupEvents::network_name(NetworkIndex network) const {
  return network < config_->networks.size() ? config_->networks[network].name.c_str() : "no network";
}

BoundedString<63> to_text(const IpAddress& address) {
  char bare[INET6_ADDRSTRLEN] = "?";
  inet_ntop(address.family == 6 ? AF_INET6 : AF_INET, address.bytes.data(), bare, sizeof bare);
  char line[64];
  std::snprintf(line, sizeof line, "%s/%u", bare, address.prefix);
  return {line};
}

const char* to_text(GroupReason reason) {
  switch (reason) {
    case GroupReason::none: return "no reason recorded";
    case GroupReason::first_start: return "first start";
    case GroupReason::node_failed: return "its node failed";
    case GroupReason::node_left: return "its node left";
    case GroupReason::network_failed: return "its network failed";
    case GroupReason::application_failed: return "its application failed";
    case GroupReason::start_failed: return "its start failed";
    case GroupReason::stop_failed: return "its stop failed";
    case GroupReason::operator_move: return "the operator moved it";
    case GroupReason::operator_offline: return "the operator took it offline";
    case GroupReason::node_standby: return "its node went on standby";
    case GroupReason::fallback: return "a better node is back";
    case GroupReason::unfenced: return "its node is not fenced";
    case GroupReason::no_candidate: return "no node can run it";
    case GroupReason::address_conflict: return "its address is in use elsewhere";
  }
  return "unknown reason";
}

}  // namespace vigil
