#include "runtime/events/event_catalog.hpp"

#include <array>
#include <cstddef>

namespace vigil::events {

namespace {

constexpr std::array<EventInfo, static_cast<std::size_t>(EventName::count_)> catalog = {{
    {"", ""},
    {"a node was admitted to the cluster", "subject"},
    {"the groups due on the node that came up have been placed", "subject"},
    {"a node left the cluster, or was expelled from it", "subject"},
    {"the groups of the node that went down have been taken over, or are waiting for a proof", "subject"},
    {"a network carries heartbeats of a node again", "subject network"},
    {"all of a node's adapters on a network went silent", "subject network"},
    {"a path carries frames in one direction only", "subject network adapter"},
    {"a standby adapter failed", "subject network adapter"},
    {"a standby adapter works again", "subject network adapter"},
    {"a service address moved from a failed adapter to a standby adapter of the same node",
     "subject group network adapter address"},
    {"a service adapter failed", "subject network adapter"},
    {"a service adapter works again", "subject network adapter"},
    {"a service address was added to a node", "subject group network adapter address"},
    {"a service address was removed from a node", "subject group network adapter address"},
    {"an application is being started", "subject group"},
    {"an application is being stopped", "subject group"},
    {"an application failed and is started again on the same node", "subject group"},
    {"an application's monitor failed, or timed out", "subject group"},
    {"all parts of a resource group are up", "subject group"},
    {"all parts of a resource group are down", "subject group"},
    {"a resource group waits for a proof that its old owner no longer serves it", "subject group"},
    {"a resource group changes its owner", "subject group"},
    {"a resource group returns to a node of higher priority", "subject group"},
    {"this node is no longer part of a quorum and stops serving", "subject"},
    {"this node is part of a quorum again", "subject"},
    {"a lease ran out on a healthy member: its addresses were silent for a moment", "subject"},
    {"a new view of the cluster was installed", "subject"},
    {"another node uses a different configuration", "subject"},
    {"a hook or an application's command exceeded its time and was killed", "subject group"},
    {"a hook or an application's command failed", "subject group"},
    {"another machine answers for a service address", "subject group network address"},
    {"this node's real-time loop woke up late; it accuses nobody for a while", "subject"},
    {"a node is kept out: it has another key or protocol version, or an id or name that is taken, comes and goes too often, or gets no records",
     "subject"},
    {"a node's wall clock is too far from the others': a newcomer is not admitted, a member stays", "subject"},
    {"a rotation of the cluster key began, went on, ended or was given up", "subject"},
    {"the votes of a quorum are counted by another rule: smaller, larger, or the operator's", "subject"},
}};

constexpr bool every_event_is_described() {
  for (std::size_t i = 1; i < catalog.size(); ++i)
    if (catalog[i].when.empty() || catalog[i].fields.empty()) return false;
  return true;
}
static_assert(every_event_is_described());

}  // namespace

EventInfo describe(EventName event) {
  const auto index = static_cast<std::size_t>(event);
  return index < catalog.size() ? catalog[index] : EventInfo{};
}

}  // namespace vigil::events
