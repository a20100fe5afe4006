// Carries out, on one node, what the committed record says about one resource group: waits for the
// proofs, opens gates, adds addresses, starts and watches the application, or takes all of it down
// and reports the release. Decides nothing about ownership. One holder per group; holders never wait
// for each other (I7).
#pragma once

#include <array>

#include "runtime/base/cluster.hpp"
#include "runtime/base/message.hpp"
#include "runtime/core/effect.hpp"
#include "runtime/core/status.hpp"

namespace vigil {

// What a holder may know about the node around it, given anew at every step.
struct HolderContext {
  Instant now;
  NodeId self = no_node;
  const Record* record = nullptr;   // committed
  Instant lease_until;              // own lease; now >= lease_until: not serving
  Instant all_leases_over;          // when every lease of every expelled node is over (own clock)
  Instant lease_lost_since;         // never(): has a lease
  std::array<bool, limits::max_adapters> adapter_ok{};  // healthy enough for an address
  std::uint32_t* next_request = nullptr;  // numbers RunAgent effects
  std::uint32_t* next_report = nullptr;   // numbers reports
  bool agent_up = true;
};

class GroupHolder {
 public:
  GroupHolder(const ClusterConfig& config, NodeId self, GroupIndex group);

  // Looks at the record, the lease, the proofs and the adapters, and takes the next steps that are due.
  void advance(const HolderContext& context, Effects& effects);
  Instant next_deadline() const;

  void on_address_done(const HolderContext& context, const event::AddressDone& done, Effects& effects);
  void on_address_conflict(const HolderContext& context, const event::AddressConflict& conflict, Effects& effects);
  void on_address_lost(const HolderContext& context, const event::AddressLost& lost, Effects& effects);
  // Returns false when the request was not this holder's.
  bool on_agent_done(const HolderContext& context, const event::AgentDone& done, Effects& effects);
  void on_application_failed(const HolderContext& context, const event::ApplicationFailed& failed, Effects& effects);
  void on_agent_state(const HolderContext& context, bool up, Effects& effects);
  // Another node's release of this group (Report::released), a proof for that generation.
  void on_release(NodeId from, Incarnation incarnation, std::uint32_t generation);
  // The coordinator has taken the report into a record.
  void on_report_ack(std::uint32_t serial);

  bool wants_lease() const;  // holds an address, or is about to
  bool idle() const;         // nothing of this group is or may be up on this node
  void describe(LocalGroupStatus& status) const;

 private:
  // (the implementer's)
};

}  // namespace vigil
