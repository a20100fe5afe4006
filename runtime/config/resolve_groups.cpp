// Groups: their nodes, their service addresses, and whether every node can carry every address.
#include <algorithm>
#include <map>

#include "runtime/config/draft.hpp"
#include "runtime/config/names.hpp"

namespace vigil {

namespace {

// True when this node has an adapter on the network or on its backup.
bool can_carry(const ClusterConfig& config, const NodeConfig& node, NetworkIndex network) {
  const NetworkIndex backup = config.networks[network].backup;
  return std::any_of(node.adapters.begin(), node.adapters.end(), [&](const AdapterConfig& adapter) {
    return adapter.network == network || (backup != no_index && adapter.network == backup);
  });
}

void resolve_group_nodes(const DraftGroup& from, GroupConfig& group, const ClusterConfig& config,
                         Diagnostics& diagnostics) {
  if (from.nodes.empty() && from.nodes_at.line != from.at.line)
    diagnostics.error(from.nodes_at, "'nodes' of group '" + from.name.value + "' is empty; expected at least one node" +
                                         hint("", node_names(config)));
  for (const auto& name : from.nodes) {
    const NodeId node = find_node(config, name.value);
    if (node == no_node) {
      diagnostics.error(name.at, "unknown node '" + name.value.substr(0, 64) + "' in group '" + from.name.value + "'" +
                                     hint(name.value, node_names(config)));
      continue;
    }
    if (std::find(group.nodes.begin(), group.nodes.end(), node) != group.nodes.end()) {
      diagnostics.error(
          name.at, "node '" + name.value + "' is twice in group '" + from.name.value + "'; expected each node once");
      continue;
    }
    if (config.nodes[node].arbiter) {
      diagnostics.error(name.at, "node '" + name.value + "' of group '" + from.name.value +
                                     "' is an arbiter, which votes and runs nothing; expected another node");
      continue;
    }
    group.nodes.push(node);
  }
}

void resolve_address(const DraftAddress& from, const DraftGroup& draft, GroupConfig& group, const ClusterConfig& config,
                     Diagnostics& diagnostics) {
  AddressConfig address;
  address.address = from.address.value;
  std::vector<std::string> names;
  for (const NetworkConfig& network : config.networks)
    if (network.kind == NetworkKind::ethernet) names.push_back(network.name.str());
  address.network = from.network.present ? find_network(config, from.network.value) : no_index;
  if (from.network.present && address.network == no_index)
    diagnostics.error(from.network.at, "unknown network '" + from.network.value + "' of an address in group '" +
                                           draft.name.value + "'" + hint(from.network.value, names));
  if (address.network != no_index) {
    if (config.networks[address.network].kind == NetworkKind::serial)
      diagnostics.error(from.network.at, "network '" + from.network.value +
                                             "' is a serial line; expected an ethernet network for a service address");
    else
      for (const NodeId node : group.nodes)
        if (!can_carry(config, config.nodes[node], address.network))
          diagnostics.error(from.network.at, "node '" + config.nodes[node].name.str() + "' of group '" +
                                                 draft.name.value + "' cannot carry " +
                                                 format_host(from.address.value) +
                                                 "; expected it to have an adapter on network '" + from.network.value +
                                                 "' or on its backup");
  }
  group.addresses.push(address);
}

// A service address must belong to nobody else: not to another group, not to an adapter.
void check_service_addresses(const Draft& draft, const ClusterConfig& config, Diagnostics& diagnostics) {
  std::map<std::string, std::string> owners;
  for (const NodeConfig& node : config.nodes)
    for (const AdapterConfig& adapter : node.adapters)
      if (adapter.address.family != 0)
        owners.emplace(format_host(adapter.address),
                       "the boot address of '" + adapter.device.str() + "' on node '" + node.name.str() + "'");
  for (const DraftGroup& group : draft.groups) {
    for (const DraftAddress& address : group.addresses) {
      if (!address.address.present) continue;
      const auto [owner, fresh] =
          owners.emplace(format_host(address.address.value), "a service address of group '" + group.name.value + "'");
      if (!fresh)
        diagnostics.error(address.address.at, "service address " + owner->first + " is also " + owner->second +
                                                  "; expected an address of its own");
    }
  }
}

// Linux chooses the adapter for an answer by subnet. Where an address can move between adapters of one
// node, it needs a subnet that no other adapter has; where it cannot, it belongs into its adapter's.
void warn_of_subnet(const ClusterConfig& config, const GroupConfig& group, const AddressConfig& address, Position at,
                    Diagnostics& diagnostics) {
  const NetworkIndex backup = config.networks[address.network].backup;
  bool boot_addresses = false;
  bool on_subnet = false;
  bool can_move = false;
  for (const NodeId node : group.nodes) {
    int carriers = 0;
    for (const AdapterConfig& adapter : config.nodes[node].adapters) {
      if (adapter.network != address.network && (backup == no_index || adapter.network != backup)) continue;
      ++carriers;
      boot_addresses = boot_addresses || adapter.address.family == address.address.family;
      on_subnet = on_subnet || in_subnet(address.address, adapter.address);
    }
    can_move = can_move || carriers > 1;
  }
  const std::string shown = "service address " + format_address(address.address);
  if (can_move && on_subnet)
    diagnostics.warning(at, shown + " shares its subnet with boot addresses: after a swap, answers may leave by the " +
                                "failed adapter; give service addresses a subnet of their own");
  if (!can_move && boot_addresses && !on_subnet)
    diagnostics.warning(at, shown + " lies on no subnet of the adapters of network '" +
                                config.networks[address.network].name.str() + "'; clients need a route to it");
}

}  // namespace

void resolve_groups(const Draft& draft, ClusterConfig& config, Diagnostics& diagnostics) {
  for (const DraftGroup& from : draft.groups) {
    GroupConfig group;
    group.name = Name(from.name.value);
    group.policy = from.policy.value;
    group.fallback = from.fallback.present ? from.fallback.value : group.policy == GroupPolicy::cascading;
    group.autostart = from.autostart;
    group.priority = from.priority;
    group.application = from.application;
    if (group.policy == GroupPolicy::rotating && from.fallback.present && from.fallback.value)
      diagnostics.error(from.fallback.at, "'fallback' of the rotating group '" + from.name.value +
                                              "' is true; expected policy = \"cascading\" for a group that returns");
    resolve_group_nodes(from, group, config, diagnostics);
    for (const DraftAddress& address : from.addresses) resolve_address(address, from, group, config, diagnostics);
    config.groups.push(group);
  }
  check_service_addresses(draft, config, diagnostics);
}

void warn(const Draft& draft, const ClusterConfig& config, Diagnostics& diagnostics) {
  if (config.nodes.size() == 1) diagnostics.warning(draft.nodes[0].at, "one node alone: nothing can take over from it");
  if (config.nodes.size() == 2 && config.quorum.tie_breaker.empty())
    diagnostics.warning(
        draft.nodes[1].at,
        "two nodes: after the failure of one, the other has no majority and stops serving; add a third node, an "
        "arbiter, or a tie_breaker in [cluster.quorum]");
  int heartbeat_networks = 0;
  for (NetworkIndex n = 0; n < config.networks.size(); ++n) {
    int nodes = 0;
    for (const NodeConfig& node : config.nodes)
      nodes += std::any_of(node.links.begin(), node.links.end(),
                           [&](const LinkConfig& link) { return node.adapters[link.adapter].network == n; })
                   ? 1
                   : 0;
    heartbeat_networks += nodes >= 2 ? 1 : 0;
  }
  if (config.nodes.size() > 1 && heartbeat_networks == 1)
    diagnostics.warning(draft.networks[0].at,
                        "only one network carries heartbeats: its failure alone makes every node suspect the others; "
                        "add a second network or serial lines");
  for (std::size_t g = 0; g < config.groups.size(); ++g) {
    const GroupConfig& group = config.groups[g];
    for (std::size_t a = 0; a < group.addresses.size(); ++a)
      warn_of_subnet(config, group, group.addresses[a], draft.groups[g].addresses[a].address.at, diagnostics);
    if (group.application.present && group.application.state != ApplicationState::none)
      diagnostics.warning(
          draft.groups[g].state_at,
          "application '" + group.application.name.str() + "' has state = \"" +
              (group.application.state == ApplicationState::disks
                   ? "disks\", but its group has no disks that could be fenced"
                   : "elsewhere\", and no fence device is configured") +
              ": after a crash its takeover waits until the operator confirms that the old node is off");
  }
}

}  // namespace vigil
