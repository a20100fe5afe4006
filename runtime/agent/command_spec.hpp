// Puts together what a command is given: from a request of vigild and the configuration to a RunSpec.
#pragma once

#include "runtime/agent/protocol.hpp"
#include "runtime/agent/runner.hpp"
#include "runtime/events/event_context.hpp"

namespace vigil::agent {

// The context of a request, for `node`. A start or stop without an event's name is start_server or
// stop_server; a monitor has none.
events::EventContext context_of(const AgentRequest& request, NodeId node, events::Action action);

// One of the application's commands of context.group, which must have an application.
RunSpec application_spec(const ClusterConfig& config, const events::EventContext& context);

// A hook, by its position in the configuration; the context's stage becomes the hook's.
RunSpec hook_spec(const ClusterConfig& config, events::EventContext context, std::uint8_t hook);

}  // namespace vigil::agent
