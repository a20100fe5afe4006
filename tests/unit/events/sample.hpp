// A small cluster for the tests of hooks and the agent: alpha, beta; group "web" with an application.
#pragma once

#include <memory>
#include <string_view>

#include "runtime/base/cluster.hpp"
#include "runtime/base/event_name.hpp"

namespace vigil::test {

inline IpAddress ipv4(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d, std::uint8_t prefix) {
  IpAddress address;
  address.family = 4;
  address.prefix = prefix;
  address.bytes = {a, b, c, d};
  return address;
}

inline std::unique_ptr<ClusterConfig> sample_config() {
  auto config = std::make_unique<ClusterConfig>();
  config->name = "demo";
  NetworkConfig network;
  network.name = "public";
  config->networks.push(network);
  for (const char* name : {"alpha", "beta"}) {
    NodeConfig node;
    node.id = static_cast<NodeId>(config->nodes.size());
    node.name = name;
    AdapterConfig adapter;
    adapter.network = 0;
    adapter.device = node.id == 0 ? "eth0" : "eth7";
    node.adapters.push(adapter);
    config->nodes.push(node);
  }
  GroupConfig group;
  group.name = "web";
  group.nodes.push(0);
  group.nodes.push(1);
  group.addresses.push(AddressConfig{ipv4(10, 77, 1, 100, 24), 0});
  IpAddress v6;
  v6.family = 6;
  v6.prefix = 64;
  v6.bytes = {0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  group.addresses.push(AddressConfig{v6, 0});
  group.application.present = true;
  group.application.name = "httpd";
  config->groups.push(group);
  return config;
}

inline void add_hook(ClusterConfig& config, EventName event, HookStage stage, std::string_view command,
                     Duration timeout = Duration::from_s(10)) {
  HookConfig hook;
  hook.event = static_cast<std::uint8_t>(event);
  hook.stage = stage;
  hook.command.assign(command);
  hook.timeout = timeout;
  config.hooks.push(hook);
}

}  // namespace vigil::test
