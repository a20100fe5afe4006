#include "runtime/events/environment.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>
#include <nlohmann/json.hpp>

namespace vigil::events {

namespace {

using Json = nlohmann::ordered_json;

std::string node_name(const ClusterConfig& config, NodeId node) {
  return node < config.nodes.size() ? config.nodes[node].name.str() : std::string();
}

const GroupConfig* group_of(const ClusterConfig& config, const EventContext& context) {
  return context.group < config.groups.size() ? &config.groups[context.group] : nullptr;
}

std::string network_name(const ClusterConfig& config, NetworkIndex network) {
  return network < config.networks.size() ? config.networks[network].name.str() : std::string();
}

std::string adapter_device(const ClusterConfig& config, const EventContext& context) {
  const NodeId owner = context.subject != no_node ? context.subject : context.node;
  if (owner >= config.nodes.size()) return {};
  const auto& adapters = config.nodes[owner].adapters;
  return context.adapter < adapters.size() ? adapters[context.adapter].device.str() : std::string();
}

std::string address_text(const ClusterConfig& config, const EventContext& context) {
  const GroupConfig* group = group_of(config, context);
  if (group == nullptr || context.address >= group->addresses.size()) return {};
  return text_of(group->addresses[context.address].address);
}

// Newlines and other control characters would let a text look like several lines or variables.
std::string one_line(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, ' ');
  return text;
}

Json or_null(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }

Json node_json(const ClusterConfig& config, NodeId node) {
  if (node >= config.nodes.size()) return nullptr;
  return Json{{"name", node_name(config, node)}, {"id", node + 1}};
}

Json group_json(const GroupConfig* group, std::uint32_t generation) {
  if (group == nullptr) return nullptr;
  Json addresses = Json::array();
  for (const AddressConfig& address : group->addresses) addresses.push_back(text_of(address.address));
  Json json{{"name", group->name.str()}, {"generation", generation}};
  json["application"] = group->application.present ? or_null(group->application.name.str()) : Json(nullptr);
  json["addresses"] = std::move(addresses);
  return json;
}

Json failed_json(const EventContext& context) {
  if (!context.failed) return nullptr;
  return Json{{"command", context.failed->command},
              {"stage", to_string(context.failed->stage)},
              {"outcome", context.failed->timed_out ? "timed_out" : "failed"},
              {"exit_status", context.failed->exit_status}};
}

std::string event_text(EventName event) {
  return event == EventName::none ? std::string() : std::string(to_string(event));
}

}  // namespace

std::string_view to_string(Action action) {
  switch (action) {
    case Action::hook:
      return "hook";
    case Action::start:
      return "start";
    case Action::stop:
      return "stop";
    case Action::monitor:
      return "monitor";
  }
  return "unknown";
}

std::string_view to_string(HookStage stage) {
  switch (stage) {
    case HookStage::pre:
      return "pre";
    case HookStage::command:
      return "command";
    case HookStage::post:
      return "post";
    case HookStage::notify:
      return "notify";
    case HookStage::recovery:
      return "recovery";
  }
  return "unknown";
}

std::string text_of(const IpAddress& address) {
  if (address.family != 4 && address.family != 6) return {};
  std::array<char, INET6_ADDRSTRLEN> buffer{};
  const int family = address.family == 4 ? AF_INET : AF_INET6;
  if (::inet_ntop(family, address.bytes.data(), buffer.data(), buffer.size()) == nullptr) return {};
  return std::string(buffer.data()) + "/" + std::to_string(address.prefix);
}

std::string time_text(std::int64_t wall_ns) {
  constexpr std::int64_t second = 1'000'000'000;
  std::time_t seconds = static_cast<std::time_t>(wall_ns / second);
  std::int64_t rest_ns = wall_ns % second;
  if (rest_ns < 0) {
    rest_ns += second;
    --seconds;
  }
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  std::array<char, 64> buffer{};
  const std::size_t length = std::strftime(buffer.data(), buffer.size(), "%Y-%m-%dT%H:%M:%S", &utc);
  std::snprintf(buffer.data() + length, buffer.size() - length, ".%06dZ", static_cast<int>(rest_ns / 1000));
  return buffer.data();
}

std::vector<std::string> environment_of(const ClusterConfig& config, const EventContext& context) {
  std::vector<std::string> environment = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/",
                                          "LANG=C.UTF-8"};
  const auto set = [&environment](const char* name, std::string value) {
    environment.push_back(std::string(name) + "=" + one_line(std::move(value)));
  };
  const GroupConfig* group = group_of(config, context);
  std::string addresses;
  if (group != nullptr)
    for (const AddressConfig& address : group->addresses)
      addresses += (addresses.empty() ? "" : " ") + text_of(address.address);

  set("VIGIL_ACTION", std::string(to_string(context.action)));
  set("VIGIL_EVENT", event_text(context.event));
  set("VIGIL_STAGE", std::string(to_string(context.stage)));
  set("VIGIL_CLUSTER", config.name.str());
  set("VIGIL_NODE", node_name(config, context.node));
  set("VIGIL_NODE_ID", context.node < config.nodes.size() ? std::to_string(context.node + 1) : "");
  set("VIGIL_SUBJECT", node_name(config, context.subject));
  set("VIGIL_GROUP", group != nullptr ? group->name.str() : "");
  set("VIGIL_APPLICATION", group != nullptr && group->application.present ? group->application.name.str() : "");
  set("VIGIL_GENERATION", group != nullptr ? std::to_string(context.generation) : "");
  set("VIGIL_NETWORK", network_name(config, context.network));
  set("VIGIL_ADAPTER", adapter_device(config, context));
  set("VIGIL_ADDRESS", address_text(config, context));
  set("VIGIL_ADDRESSES", std::move(addresses));
  set("VIGIL_EPOCH", std::to_string(context.stamp.epoch.counter));
  set("VIGIL_RECORD", std::to_string(context.stamp.version));
  set("VIGIL_REASON", context.reason);
  set("VIGIL_TIME", time_text(context.wall_ns));
  set("VIGIL_TIME_NS", std::to_string(context.wall_ns));
  const bool failed = context.failed.has_value();
  set("VIGIL_FAILED_COMMAND", failed ? context.failed->command : "");
  set("VIGIL_FAILED_STAGE", failed ? std::string(to_string(context.failed->stage)) : "");
  set("VIGIL_FAILED_OUTCOME", failed ? (context.failed->timed_out ? "timed_out" : "failed") : "");
  set("VIGIL_FAILED_STATUS", failed ? std::to_string(context.failed->exit_status) : "");
  return environment;
}

std::string document_of(const ClusterConfig& config, const EventContext& context) {
  const Epoch& epoch = context.stamp.epoch;
  Json json;
  json["version"] = 1;
  json["action"] = to_string(context.action);
  json["event"] = or_null(event_text(context.event));
  json["stage"] = to_string(context.stage);
  json["cluster"] = config.name.str();
  json["node"] = node_json(config, context.node);
  json["subject"] = node_json(config, context.subject);
  json["group"] = group_json(group_of(config, context), context.generation);
  json["network"] = or_null(network_name(config, context.network));
  json["adapter"] = or_null(adapter_device(config, context));
  json["address"] = or_null(address_text(config, context));
  json["epoch"] = Json{{"counter", epoch.counter}, {"proposer", or_null(node_name(config, epoch.proposer))}};
  json["record"] = context.stamp.version;
  json["reason"] = or_null(context.reason);
  json["time"] = time_text(context.wall_ns);
  json["wall_ns"] = context.wall_ns;
  json["boot_ns"] = context.boot_ns;
  json["failed"] = failed_json(context);
  // Bytes that are not UTF-8 (a command's output, say) are replaced, never thrown over.
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace vigil::events
