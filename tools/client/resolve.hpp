// Turns the names in an operator's request into the configuration's indexes, and says which name was
// wrong and which one may have been meant. The daemon's side; allocates nothing.
#pragma once

#include "runtime/base/cluster.hpp"
#include "runtime/base/message.hpp"
#include "tools/client/control_protocol.hpp"

namespace vigil::control {

// False: `refused` says why.
bool resolve(const ClusterConfig& config, const request::Operate& operate, OperatorCommand& command,
             reply::Refused& refused);

// The group filter of GetJournal and Follow; an empty name resolves to no_index, which means all.
bool resolve_filter(const ClusterConfig& config, const Name& group, GroupIndex& index, reply::Refused& refused);

}  // namespace vigil::control
