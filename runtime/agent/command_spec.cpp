#include "runtime/agent/command_spec.hpp"

#include "runtime/events/environment.hpp"

namespace vigil::agent {

namespace {

EventName default_event(events::Action action) {
  if (action == events::Action::start) return EventName::start_server;
  if (action == events::Action::stop) return EventName::stop_server;
  return EventName::none;
}

}  // namespace

events::EventContext context_of(const AgentRequest& request, NodeId node, events::Action action) {
  events::EventContext context;
  context.action = action;
  context.event = request.event != EventName::none ? request.event : default_event(action);
  if (action == events::Action::monitor) context.event = EventName::none;
  context.stage = action == events::Action::hook ? static_cast<HookStage>(request.stage) : HookStage::command;
  context.node = node;
  context.subject = request.subject;
  context.group = request.group;
  context.generation = request.generation;
  context.network = request.network;
  context.adapter = request.adapter;
  context.address = request.address;
  context.stamp = request.stamp;
  context.wall_ns = request.wall_ns;
  context.boot_ns = request.boot_ns;
  context.reason = request.text.str();
  return context;
}

RunSpec application_spec(const ClusterConfig& config, const events::EventContext& context) {
  VIGIL_ASSERT(context.group < config.groups.size());
  const GroupConfig& group = config.groups[context.group];
  VIGIL_ASSERT(group.application.present);
  RunSpec spec;
  spec.name = std::string(events::to_string(context.action)) + " of " + group.name.str();
  switch (context.action) {
    case events::Action::start:
      spec.command = group.application.start.str();
      spec.timeout = group.application.start_timeout;
      break;
    case events::Action::stop:
      spec.command = group.application.stop.str();
      spec.timeout = group.application.stop_timeout;
      break;
    case events::Action::monitor:
    case events::Action::hook:
      VIGIL_ASSERT(context.action == events::Action::monitor);
      spec.command = group.application.monitor.str();
      spec.timeout = group.application.monitor_timeout;
      spec.grace = Duration::from_ms(500);
      break;
  }
  spec.environment = events::environment_of(config, context);
  spec.input = events::document_of(config, context);
  return spec;
}

RunSpec hook_spec(const ClusterConfig& config, events::EventContext context, std::uint8_t hook) {
  VIGIL_ASSERT(hook < config.hooks.size());
  const HookConfig& wanted = config.hooks[hook];
  context.stage = wanted.stage;
  RunSpec spec;
  spec.name = std::string(to_string(context.event)) + " " + std::string(events::to_string(wanted.stage)) + " hook '" +
              wanted.command.str() + "'";
  spec.command = wanted.command.str();
  spec.timeout = wanted.timeout;
  spec.environment = events::environment_of(config, context);
  spec.input = events::document_of(config, context);
  return spec;
}

}  // namespace vigil::agent
