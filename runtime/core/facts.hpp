// What the coordinator knows about the nodes beyond the record, for placement. Facts are hearsay from
// heartbeats: they choose between nodes, they never prove that a node has stopped serving.
#pragma once

#include <array>
#include <cstdint>

#include "runtime/base/ids.hpp"

namespace vigil {

struct NodeFacts {
  NodeSet ready;  // members that are ready to run groups (self included)
  NodeSet heard;  // by any member that we hear: they run, whether or not they are members
  std::array<std::uint8_t, limits::max_nodes> networks_up{};  // as their heartbeats say; bit i: network i
};

}  // namespace vigil
