// From the draft to the configuration: networks, nodes and their adapters. Groups are in
// resolve_groups.cpp, what is derived in derive.cpp.
#include <algorithm>
#include <map>
#include <set>

#include "runtime/config/derive.hpp"
#include "runtime/config/draft.hpp"
#include "runtime/config/names.hpp"

namespace vigil {

namespace {

constexpr std::size_t interface_name_bytes = 15;  // IFNAMSIZ less its terminator

std::string line_of(Position at) { return "line " + std::to_string(at.line); }

// Reports every name that was used before, at its second use.
template <typename Items>
void check_unique_names(const Items& items, std::string_view what, Diagnostics& diagnostics) {
  std::map<std::string, Position> seen;
  for (const auto& item : items) {
    if (!item.name.present) continue;
    const auto [first, fresh] = seen.emplace(item.name.value, item.name.at);
    if (!fresh)
      diagnostics.error(item.name.at, "second " + std::string(what) + " named '" + item.name.value +
                                          "'; the first is at " + line_of(first->second) +
                                          "; expected a name of its own");
  }
}

void resolve_networks(const Draft& draft, ClusterConfig& config, Diagnostics& diagnostics) {
  check_unique_names(draft.networks, "network", diagnostics);
  std::vector<std::string> ethernet_names;
  for (const DraftNetwork& from : draft.networks) {
    NetworkConfig network;
    network.name = Name(from.name.value);
    network.kind = from.kind;
    network.heartbeat_raw = from.raw;
    network.heartbeat_udp = from.udp;
    network.udp_port = from.udp_port;
    config.networks.push(network);
    if (from.kind == NetworkKind::ethernet && from.name.present) ethernet_names.push_back(from.name.value);
  }
  for (std::size_t i = 0; i < draft.networks.size(); ++i) {
    const DraftNetwork& from = draft.networks[i];
    if (!from.backup.present) continue;
    const NetworkIndex backup = find_network(config, from.backup.value);
    if (backup == no_index) {
      diagnostics.error(from.backup.at, "unknown network '" + from.backup.value + "' in 'backup'" +
                                            hint(from.backup.value, ethernet_names));
    } else if (backup == i) {
      diagnostics.error(from.backup.at,
                        "'backup' of network '" + from.name.value + "' is the network itself; expected another one");
    } else if (from.kind == NetworkKind::serial || config.networks[backup].kind == NetworkKind::serial) {
      diagnostics.error(from.backup.at, "'backup' joins '" + from.name.value + "' and '" + from.backup.value +
                                            "', of which one is a serial line; expected two ethernet networks");
    } else {
      config.networks[i].backup = backup;
    }
  }
}

// The node of each id, in the order of ids; nullptr where an id is missing.
std::vector<const DraftNode*> order_by_id(const Draft& draft, Diagnostics& diagnostics) {
  std::vector<const DraftNode*> ordered(draft.nodes.size(), nullptr);
  const std::string expected = "; expected the ids 1 to " + std::to_string(draft.nodes.size()) + ", each once";
  for (const DraftNode& node : draft.nodes) {
    if (!node.id.present) continue;
    const auto index = static_cast<std::size_t>(node.id.value - 1);
    if (index >= ordered.size())
      diagnostics.error(node.id.at, "'id' of node '" + node.name.value + "' is " + std::to_string(node.id.value) +
                                        " in a file of " + std::to_string(ordered.size()) + " nodes" + expected);
    else if (ordered[index] != nullptr)
      diagnostics.error(node.id.at, "'id' of node '" + node.name.value + "' is " + std::to_string(node.id.value) +
                                        ", which node '" + ordered[index]->name.value + "' has at " +
                                        line_of(ordered[index]->id.at) + expected);
    else
      ordered[index] = &node;
  }
  return ordered;
}

void check_ethernet_adapter(const DraftAdapter& from, const NetworkConfig& network, const std::string& node,
                            Diagnostics& diagnostics) {
  if (from.device.present &&
      (from.device.value.size() > interface_name_bytes || from.device.value.find('/') != std::string::npos))
    diagnostics.error(from.device.at, "'device' is '" + from.device.value +
                                          "'; expected an interface name of at most " +
                                          std::to_string(interface_name_bytes) + " characters, such as eth0");
  if (from.peer.present)
    diagnostics.error(from.peer.at,
                      "'peer' on the ethernet network '" + network.name.str() + "'; expected it on serial lines only");
  if (from.baud.present)
    diagnostics.error(from.baud.at,
                      "'baud' on the ethernet network '" + network.name.str() + "'; expected it on serial lines only");
  if (network.heartbeat_udp && from.address.at == Position{})
    diagnostics.error(from.at, "adapter '" + from.device.value + "' of node '" + node +
                                   "' has no 'address'; expected one, because network '" + network.name.str() +
                                   "' has udp heartbeats");
}

void check_serial_adapter(const DraftAdapter& from, const NetworkConfig& network, Diagnostics& diagnostics) {
  if (from.device.present && from.device.value.front() != '/')
    diagnostics.error(from.device.at, "'device' is '" + from.device.value +
                                          "'; expected the absolute path of a tty, such as /dev/ttyS0");
  if (from.address.present)
    diagnostics.error(from.address.at, "'address' on the serial line '" + network.name.str() +
                                           "'; expected it on ethernet networks only");
  if (from.role.present)
    diagnostics.error(from.role.at,
                      "'role' on the serial line '" + network.name.str() + "'; expected it on ethernet networks only");
  if (!from.peer.present)
    diagnostics.error(from.at, "adapter '" + from.device.value + "' on the serial line '" + network.name.str() +
                                   "' has no 'peer'; expected the name of the node at its other end");
}

void resolve_adapter(const DraftAdapter& from, const std::vector<std::string>& networks,
                     const std::vector<std::string>& nodes, NodeConfig& node, const ClusterConfig& config,
                     Diagnostics& diagnostics) {
  AdapterConfig adapter;
  adapter.device = Path(from.device.value);
  adapter.address = from.address.value;
  adapter.role = from.role.value;
  adapter.network = from.network.present ? find_network(config, from.network.value) : no_index;
  if (from.network.present && adapter.network == no_index)
    diagnostics.error(from.network.at, "unknown network '" + from.network.value + "' of adapter '" + from.device.value +
                                           "'" + hint(from.network.value, networks));
  if (adapter.network != no_index) {
    const NetworkConfig& network = config.networks[adapter.network];
    if (network.kind == NetworkKind::serial) {
      check_serial_adapter(from, network, diagnostics);
      adapter.role = AdapterRole::serial;
      adapter.baud = from.baud.present ? static_cast<std::uint32_t>(from.baud.value) : 115'200;
    } else {
      check_ethernet_adapter(from, network, node.name.str(), diagnostics);
    }
  }
  if (from.peer.present) {
    const auto peer = std::find(nodes.begin(), nodes.end(), from.peer.value);
    if (peer == nodes.end())
      diagnostics.error(from.peer.at,
                        "unknown node '" + from.peer.value + "' in 'peer'" + hint(from.peer.value, nodes));
    else if (from.peer.value == node.name.view())
      diagnostics.error(from.peer.at, "'peer' of node '" + node.name.str() +
                                          "' is the node itself; expected the node at the other end of the line");
    else
      adapter.peer = static_cast<NodeId>(peer - nodes.begin());
  }
  node.adapters.push(adapter);
}

// Both ends of every serial line must say so, and at the same speed.
void check_serial_ends(const std::vector<const DraftNode*>& drafts, const ClusterConfig& config,
                       Diagnostics& diagnostics) {
  std::set<std::tuple<NetworkIndex, NodeId, NodeId>> ends;
  for (const NodeConfig& node : config.nodes) {
    for (std::size_t i = 0; i < node.adapters.size(); ++i) {
      const AdapterConfig& adapter = node.adapters[i];
      const DraftAdapter& draft = drafts[node.id]->adapters[i];
      if (adapter.role != AdapterRole::serial || adapter.peer == no_node) continue;
      const std::string line = "serial line '" + config.networks[adapter.network].name.str() + "'";
      const std::string peer = config.nodes[adapter.peer].name.str();
      if (!ends.emplace(adapter.network, node.id, adapter.peer).second) {
        diagnostics.error(draft.at, "second adapter of node '" + node.name.str() + "' on the " + line + " to '" + peer +
                                        "'; expected another network for a second line");
        continue;
      }
      const AdapterConfig* other = nullptr;
      bool reported = false;  // the other end names nobody: that was said there
      for (const AdapterConfig& candidate : config.nodes[adapter.peer].adapters) {
        if (candidate.network == adapter.network && candidate.peer == node.id) other = &candidate;
        reported = reported || (candidate.network == adapter.network && candidate.peer == no_node);
      }
      if (other == nullptr && reported) continue;
      if (other == nullptr)
        diagnostics.error(draft.peer.at, "'peer' is '" + peer + "', but node '" + peer + "' has no adapter on the " +
                                             line + " with peer '" + node.name.str() + "'; expected both ends");
      else if (other->baud != adapter.baud && node.id < adapter.peer)
        diagnostics.error(draft.at, "the " + line + " runs at " + std::to_string(adapter.baud) + " baud on '" +
                                        node.name.str() + "' and at " + std::to_string(other->baud) + " on '" + peer +
                                        "'; expected the same 'baud' at both ends");
    }
  }
}

void check_devices_and_addresses(const std::vector<const DraftNode*>& drafts, const ClusterConfig& config,
                                 Diagnostics& diagnostics) {
  std::map<std::string, Position> addresses;
  for (const NodeConfig& node : config.nodes) {
    std::map<std::string, Position> devices;
    for (const DraftAdapter& adapter : drafts[node.id]->adapters) {
      if (adapter.device.present) {
        const auto [first, fresh] = devices.emplace(adapter.device.value, adapter.device.at);
        if (!fresh)
          diagnostics.error(adapter.device.at, "second adapter with device '" + adapter.device.value + "' on node '" +
                                                   node.name.str() + "'; the first is at " + line_of(first->second) +
                                                   "; expected each device once");
      }
      if (!adapter.address.present) continue;
      const auto [first, fresh] = addresses.emplace(format_host(adapter.address.value), adapter.address.at);
      if (!fresh)
        diagnostics.error(adapter.address.at, "boot address " + first->first + " is used twice; the first is at " +
                                                  line_of(first->second) +
                                                  "; expected an address of its own for each adapter");
    }
  }
  for (NetworkIndex n = 0; n < config.networks.size(); ++n) {
    if (!config.networks[n].heartbeat_udp) continue;
    std::uint8_t family = 0;
    for (const NodeConfig& node : config.nodes) {
      for (std::size_t i = 0; i < node.adapters.size(); ++i) {
        const AdapterConfig& adapter = node.adapters[i];
        if (adapter.network != n || adapter.address.family == 0) continue;
        if (family != 0 && adapter.address.family != family)
          diagnostics.error(drafts[node.id]->adapters[i].address.at,
                            "boot address " + format_address(adapter.address) + " is IPv" +
                                std::to_string(adapter.address.family) + ", but others on network '" +
                                config.networks[n].name.str() + "' are IPv" + std::to_string(family) +
                                "; expected one family for its udp heartbeats");
        family = family == 0 ? adapter.address.family : family;
      }
    }
  }
}

// Every node must be able to hear, and be heard by, at least one other.
void check_links(const std::vector<const DraftNode*>& drafts, const ClusterConfig& config, Diagnostics& diagnostics) {
  for (const NodeConfig& node : config.nodes) {
    const DraftNode& draft = *drafts[node.id];
    if (count_links(config, node) > limits::max_links)
      diagnostics.error(draft.at, "node '" + node.name.str() + "' has " + std::to_string(count_links(config, node)) +
                                      " heartbeat links (one for each adapter and driver); expected at most " +
                                      std::to_string(limits::max_links));
    if (count_links(config, node) == 0) {
      diagnostics.error(draft.at,
                        "node '" + node.name.str() +
                            "' has no heartbeat link; expected a [[node.adapter]] on a network with heartbeats");
      continue;
    }
    bool shared = config.nodes.size() == 1;
    for (const NodeConfig& other : config.nodes)
      for (NetworkIndex n = 0; n < config.networks.size(); ++n)
        shared = shared || (other.id != node.id && has_link_on(config, node, n) && has_link_on(config, other, n));
    if (!shared)
      diagnostics.error(draft.at, "node '" + node.name.str() +
                                      "' shares no heartbeat network with any other node; expected at least one");
  }
}

void resolve_nodes(const Draft& draft, ClusterConfig& config, Diagnostics& diagnostics) {
  check_unique_names(draft.nodes, "node", diagnostics);
  const std::vector<const DraftNode*> ordered = order_by_id(draft, diagnostics);
  if (std::find(ordered.begin(), ordered.end(), nullptr) != ordered.end()) return;
  std::vector<std::string> names;
  for (const DraftNode* node : ordered) names.push_back(node->name.value);
  std::vector<std::string> networks;
  for (const DraftNetwork& network : draft.networks)
    if (network.name.present) networks.push_back(network.name.value);
  for (std::size_t i = 0; i < ordered.size(); ++i) {
    NodeConfig node;
    node.id = static_cast<NodeId>(i);
    node.name = Name(names[i]);
    node.arbiter = ordered[i]->arbiter;
    if (ordered[i]->votes.present) node.votes = static_cast<std::uint8_t>(ordered[i]->votes.value);
    for (const DraftAdapter& adapter : ordered[i]->adapters)
      resolve_adapter(adapter, networks, names, node, config, diagnostics);
    config.nodes.push(node);
  }
  check_serial_ends(ordered, config, diagnostics);
  check_devices_and_addresses(ordered, config, diagnostics);
  check_links(ordered, config, diagnostics);
}

void check_votes(const Draft& draft, const ClusterConfig& config, Diagnostics& diagnostics) {
  const bool weighted = config.quorum.policy != QuorumPolicy::majority;
  int total = 0;
  for (const DraftNode& node : draft.nodes) {
    total += node.votes.present ? static_cast<int>(node.votes.value) : 1;
    if (node.votes.present && !weighted)
      diagnostics.error(node.votes.at, "'votes' in [[node]] under the quorum policy \"majority\", where each node has one; "
                                       "expected policy = \"weighted\" or \"last_man_standing\" in [cluster.quorum]");
  }
  if (total == 0) diagnostics.error(draft.nodes.front().votes.at, "no node has a vote; expected one at least");
  if (draft.tie_breaker.present && total % 2 != 0 && config.quorum.policy != QuorumPolicy::last_man_standing)
    diagnostics.warning(draft.tie_breaker.at, "a tie-breaker, but " + std::to_string(total) +
                                                  " votes never split evenly: it will not be used");
}

}  // namespace

void resolve(const Draft& draft, ClusterConfig& config, Diagnostics& diagnostics) {
  config.name = Name(draft.name);
  config.version = draft.version;
  config.profile = draft.profile;
  config.timing = timing_of(draft.profile);
  if (draft.quorum_policy.present) config.quorum.policy = draft.quorum_policy.value;
  config.quorum.wait_for_all = draft.wait_for_all;
  config.quorum.tie_breaker = Path(draft.tie_breaker.value);
  config.key_file = Path(draft.key_file);
  config.realtime_priority = draft.realtime_priority;
  config.cpu = draft.cpu;
  resolve_networks(draft, config, diagnostics);
  resolve_nodes(draft, config, diagnostics);
  // Without every node in its place, the groups' complaints would only repeat what was said.
  if (config.nodes.size() == draft.nodes.size()) {
    check_unique_names(draft.groups, "group", diagnostics);
    resolve_groups(draft, config, diagnostics);
    if (!draft.nodes.empty()) check_votes(draft, config, diagnostics);
  }
  for (const HookConfig& hook : draft.hooks) config.hooks.push(hook);
}

}  // namespace vigil
