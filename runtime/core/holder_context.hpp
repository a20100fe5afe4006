// What a group's holder may know about the node around it, given anew at every step.
#pragma once

#include <array>
#include <cstdint>

#include "runtime/base/ids.hpp"
#include "runtime/base/record.hpp"
#include "runtime/base/time.hpp"

namespace vigil {

struct HolderContext {
  Instant now;
  NodeId self = no_node;
  const Record* record = nullptr;   // committed
  bool member = true;               // this life of this node is in the record's view, not only its name
  Instant lease_until;              // own lease; now >= lease_until: not serving
  Instant all_leases_over;          // when every lease of every expelled node is over (own clock)
  Instant lease_lost_since;         // never(): has a lease
  std::array<bool, limits::max_adapters> adapter_ok{};  // healthy enough for an address
  std::uint32_t* next_request = nullptr;  // numbers RunAgent effects
  std::uint32_t* next_report = nullptr;   // numbers reports
  bool agent_up = true;

  bool has_lease() const { return now < lease_until; }
};

}  // namespace vigil
