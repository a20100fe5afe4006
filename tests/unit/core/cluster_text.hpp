// Builds a ClusterConfig from a few lines of text, for the scenario files and unit tests of the cores:
//
//   nodes alpha beta gamma
//   network public backup=private
//   adapter alpha public eth0 service          ("adapter * …": on every node)
//   group web nodes=alpha,beta addresses=public,private policy=rotating fallback=no autostart=no
//         priority=10 app=none|disks|elsewhere monitor restarts=2 window=60     (all on one line)
//   hook acquire_service_addr pre
//
// Addresses are 10.77.1.100/24, .101, … in the order of their definition. Timing is that of `lan`.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "runtime/base/cluster.hpp"
#include "runtime/base/event_name.hpp"
#include "runtime/base/message.hpp"
#include "runtime/base/record.hpp"

namespace vigil::testing {

inline std::vector<std::string> words_of(const std::string& line, char separator = ' ') {
  std::vector<std::string> words;
  std::string word;
  for (const char c : line) {
    if (c != separator) {
      word += c;
      continue;
    }
    if (!word.empty()) words.push_back(word);
    word.clear();
  }
  if (!word.empty()) words.push_back(word);
  return words;
}

[[noreturn]] inline void bad_text(const std::string& what) {
  std::fprintf(stderr, "test text: cannot read '%s'\n", what.c_str());
  std::abort();
}

// "key=value" among words; `otherwise` when absent. A bare "key" has the value "yes".
inline std::string value_of(const std::vector<std::string>& words, const std::string& key,
                            const std::string& otherwise = "") {
  for (const std::string& word : words) {
    if (word == key) return "yes";
    if (word.rfind(key + "=", 0) == 0) return word.substr(key.size() + 1);
  }
  return otherwise;
}

inline NodeId node_named(const ClusterConfig& config, const std::string& name) {
  for (const NodeConfig& node : config.nodes)
    if (node.name == name) return node.id;
  if (name == "-") return no_node;
  bad_text(name);
}

inline NodeSet nodes_named(const ClusterConfig& config, const std::string& list) {
  NodeSet nodes;
  for (const std::string& name : words_of(list, ','))
    if (name != "-") nodes.add(node_named(config, name));
  return nodes;
}

inline NetworkIndex network_named(const ClusterConfig& config, const std::string& name) {
  for (std::size_t i = 0; i < config.networks.size(); ++i)
    if (config.networks[i].name == name) return static_cast<NetworkIndex>(i);
  bad_text(name);
}

inline GroupIndex group_named(const ClusterConfig& config, const std::string& name) {
  for (std::size_t i = 0; i < config.groups.size(); ++i)
    if (config.groups[i].name == name) return static_cast<GroupIndex>(i);
  bad_text(name);
}

inline std::string text_of(const ClusterConfig& config, NodeSet nodes) {
  std::string text;
  for (const NodeId node : nodes) text += (text.empty() ? "" : ",") + config.nodes[node].name.str();
  return text.empty() ? "-" : text;
}

inline std::string text_of(const ClusterConfig& config, NodeId node) {
  return node < config.nodes.size() ? config.nodes[node].name.str() : "-";
}

inline const char* const phase_texts[] = {"offline", "acquiring", "online", "blocked", "error"};
inline const char* const reason_texts[] = {
    "none",          "first_start",      "node_failed",  "node_left", "network_failed", "application_failed",
    "start_failed",  "stop_failed",      "operator_move", "operator_offline", "node_standby", "fallback",
    "unfenced",      "no_candidate",     "address_conflict"};
inline const char* const report_texts[] = {"acquired",           "released",     "start_failed", "stop_failed",
                                           "application_failed", "network_lost", "restarted",    "conflict"};

template <typename Enum, std::size_t N>
Enum enum_named(const char* const (&texts)[N], const std::string& name) {
  for (std::size_t i = 0; i < N; ++i)
    if (name == texts[i]) return static_cast<Enum>(i);
  bad_text(name);
}

inline std::string text_of(GroupPhase phase) { return phase_texts[static_cast<std::size_t>(phase)]; }
inline std::string text_of(GroupReason reason) { return reason_texts[static_cast<std::size_t>(reason)]; }
inline std::string text_of(ReportKind kind) { return report_texts[static_cast<std::size_t>(kind)]; }

class ClusterText {
 public:
  // One line of the grammar above; false: it is none of it.
  bool read(const std::string& line) {
    const std::vector<std::string> words = words_of(line);
    if (words.empty() || words[0][0] == '#') return true;
    if (words[0] == "nodes") return read_nodes(words);
    if (words[0] == "network") return read_network(words);
    if (words[0] == "adapter") return read_adapter(words);
    if (words[0] == "group") return read_group(words);
    if (words[0] == "hook") return read_hook(words);
    return false;
  }
  const ClusterConfig& config() const { return *config_; }

 private:
  bool read_nodes(const std::vector<std::string>& words) {
    for (std::size_t i = 1; i < words.size(); ++i) {
      NodeConfig node;
      node.id = static_cast<NodeId>(i - 1);
      node.name.assign(words[i]);
      config_->nodes.push(node);
    }
    return true;
  }
  bool read_network(const std::vector<std::string>& words) {
    NetworkConfig network;
    network.name.assign(words.at(1));
    config_->networks.push(network);
    const std::string backup = value_of(words, "backup");
    if (!backup.empty()) config_->networks.back().backup = network_named(*config_, backup);
    return true;
  }
  bool read_adapter(const std::vector<std::string>& words) {
    AdapterConfig adapter;
    adapter.network = network_named(*config_, words.at(2));
    adapter.device.assign(words.at(3));
    adapter.role = value_of(words, "standby") == "yes" ? AdapterRole::standby : AdapterRole::service;
    for (NodeConfig& node : config_->nodes)
      if (words[1] == "*" || node.name == words[1]) node.adapters.push(adapter);
    return true;
  }
  bool read_group(const std::vector<std::string>& words) {
    GroupConfig group;
    group.name.assign(words.at(1));
    for (const std::string& name : words_of(value_of(words, "nodes"), ','))
      group.nodes.push(node_named(*config_, name));
    for (const std::string& name : words_of(value_of(words, "addresses"), ',')) {
      AddressConfig address;
      address.network = network_named(*config_, name);
      address.address.family = 4;
      address.address.prefix = 24;
      address.address.bytes = {10, 77, 1, static_cast<std::uint8_t>(100 + addresses_++)};
      group.addresses.push(address);
    }
    group.policy = value_of(words, "policy") == "rotating" ? GroupPolicy::rotating : GroupPolicy::cascading;
    group.fallback = value_of(words, "fallback", "yes") == "yes";
    group.autostart = value_of(words, "autostart", "yes") == "yes";
    group.priority = static_cast<std::uint8_t>(std::stoi(value_of(words, "priority", "100")));
    read_application(words, group);
    config_->groups.push(group);
    return true;
  }
  static void read_application(const std::vector<std::string>& words, GroupConfig& group) {
    const std::string state = value_of(words, "app");
    ApplicationConfig& application = group.application;
    application.present = !state.empty();
    application.name.assign(group.name.str() + "d");
    application.state = state == "none"    ? ApplicationState::none
                        : state == "disks" ? ApplicationState::disks
                                           : ApplicationState::elsewhere;
    if (value_of(words, "monitor") == "yes") application.monitor.assign("check");
    application.start_timeout = application.stop_timeout = Duration::from_s(10);
    application.restarts = static_cast<std::uint8_t>(std::stoi(value_of(words, "restarts", "2")));
    application.restart_window = Duration::from_s(std::stoi(value_of(words, "window", "60")));
  }
  bool read_hook(const std::vector<std::string>& words) {
    static const char* const stages[] = {"pre", "command", "post", "notify", "recovery"};
    HookConfig hook;
    const auto event = event_from_string(words.at(1));
    if (!event) bad_text(words[1]);
    hook.event = static_cast<std::uint8_t>(*event);
    hook.stage = enum_named<HookStage>(stages, words.at(2));
    config_->hooks.push(hook);
    return true;
  }

  std::unique_ptr<ClusterConfig> config_ = std::make_unique<ClusterConfig>();
  int addresses_ = 0;
};

}  // namespace vigil::testing
