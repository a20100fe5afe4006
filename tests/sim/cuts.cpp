// Leaves things out of a scenario. See cuts.hpp.
#include "tests/sim/cuts.hpp"

#include <algorithm>
#include <charconv>
#include <cstdio>

namespace vigil::sim {

namespace {

std::string join(const Cuts::Numbers& numbers) {
  std::string text;
  for (const std::uint32_t number : numbers) text += (text.empty() ? "" : "+") + std::to_string(number);
  return text;
}

std::optional<std::uint64_t> parse_number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// What stands before the next `separator`, which is taken off `text` with it.
std::string_view take(std::string_view& text, char separator) {
  const std::size_t at = std::min(text.find(separator), text.size());
  const std::string_view head = text.substr(0, at);
  text.remove_prefix(std::min(at + 1, text.size()));
  return head;
}

std::optional<Cuts::Numbers> parse_numbers(std::string_view text) {
  Cuts::Numbers numbers;
  while (!text.empty()) {
    const auto number = parse_number(take(text, '+'));
    if (!number || *number > UINT32_MAX) return std::nullopt;
    numbers.push_back(static_cast<std::uint32_t>(*number));
  }
  return numbers;
}

bool parse_one(std::string_view word, Cuts& cuts) {
  if (word == "plain") return cuts.plain = true;
  if (word == "calm") return cuts.calm = true;
  if (word == "brief") return cuts.brief = true;
  const std::string_view key = take(word, '=');
  if (key == "groups") return (cuts.groups = parse_numbers(word)).has_value();
  if (key == "faults") return (cuts.faults = parse_numbers(word)).has_value();
  const auto number = parse_number(word);
  if (key == "nodes" && number && *number >= 2 && *number <= max_sim_nodes) {
    cuts.nodes = *number;
    return true;
  }
  if (key != "salt" || !number) return false;
  cuts.salt = *number;
  return true;
}

// The first adapter of each node is its service adapter on the first network, which is an Ethernet.
void keep_one_network(ClusterConfig& config) {
  config.networks.resize(1);
  config.networks[0].backup = no_index;
  for (NodeConfig& node : config.nodes) {
    node.adapters.resize(1);
    node.links.resize(1);
  }
  for (GroupConfig& group : config.groups)
    for (AddressConfig& address : group.addresses) address.network = 0;
}

void keep_groups(const Cuts::Numbers& kept, Scenario& scenario) {
  ClusterConfig& config = scenario.config;
  const auto all = config.groups;
  const GroupIndex cursed = scenario.cursed_group;
  config.groups.clear();
  scenario.cursed_group = no_index;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (std::find(kept.begin(), kept.end(), i) == kept.end()) continue;
    if (i == cursed) scenario.cursed_group = static_cast<GroupIndex>(config.groups.size());
    config.groups.push(all[i]);
  }
  if (config.groups.empty()) config.groups.push(all[0]);  // faults and operators mean some group
}

void keep_faults(const Cuts::Numbers& kept, Scenario& scenario) {
  std::erase_if(scenario.faults, [&](const PlannedFault& fault) {
    return std::find(kept.begin(), kept.end(), fault.number) == kept.end();
  });
}

void calm_weather(Scenario& scenario) {
  for (PathQuality* quality : {&scenario.ethernet, &scenario.serial}) *quality = {quality->delay_ns, 0, 0, 0};
  scenario.drift_ppm = 0;
}

void end_soon(Scenario& scenario) {
  const SimTime last = scenario.faults.empty() ? scenario.settled_ns : scenario.faults.back().at;
  scenario.chaos_ns = std::min(scenario.chaos_ns, last - scenario.settled_ns + scenario.detection_ns() * 6);
}

std::string describe_rule(const ClusterConfig& config) {
  static constexpr const char* policies[] = {"majority", "weighted votes", "last man standing"};
  std::string text = "  quorum: ";
  text += policies[static_cast<std::size_t>(config.quorum.policy)];
  if (!config.quorum.tie_breaker.empty()) text += ", tie-breaker";
  if (config.quorum.wait_for_all) text += ", waits for all";
  text += ", votes";
  for (const NodeConfig& node : config.nodes)
    text += " " + std::to_string(node.votes) + (node.arbiter ? " (arbiter)" : "");
  return text + "\n";
}

}  // namespace

std::string to_text(const Cuts& cuts) {
  std::string text;
  const auto add = [&text](const std::string& word) { text += (text.empty() ? "" : ",") + word; };
  if (cuts.nodes != 0) add("nodes=" + std::to_string(cuts.nodes));
  if (cuts.plain) add("plain");
  if (cuts.calm) add("calm");
  if (cuts.brief) add("brief");
  if (cuts.groups) add("groups=" + join(*cuts.groups));
  if (cuts.faults) add("faults=" + join(*cuts.faults));
  if (cuts.salt != 0) add("salt=" + std::to_string(cuts.salt));
  return text;
}

std::optional<Cuts> parse_cuts(std::string_view text) {
  Cuts cuts;
  while (!text.empty())
    if (!parse_one(take(text, ','), cuts)) return std::nullopt;
  return cuts;
}

void make_scenario(std::uint64_t seed, const Cuts& cuts, Scenario& scenario) {
  make_scenario(seed, cuts.nodes, scenario);
  scenario.salt = cuts.salt;
  if (cuts.groups) keep_groups(*cuts.groups, scenario);
  if (cuts.faults) keep_faults(*cuts.faults, scenario);
  if (cuts.plain) keep_one_network(scenario.config);
  if (cuts.calm) calm_weather(scenario);
  if (cuts.brief) end_soon(scenario);
}

std::string describe(const Scenario& scenario) {
  static constexpr const char* profiles[] = {"wan", "lan", "fast", "realtime"};
  static constexpr const char* states[] = {"none", "disks", "elsewhere"};
  const ClusterConfig& config = scenario.config;
  char line[200];
  std::snprintf(line, sizeof line, "  %zu nodes, profile %s, %zu network%s, clocks within %lld ppm, loss %.1f %%\n",
                scenario.nodes, profiles[static_cast<std::size_t>(config.profile)], config.networks.size(),
                config.networks.size() == 1 ? "" : "s", static_cast<long long>(scenario.drift_ppm),
                scenario.ethernet.loss_percent);
  std::string text = line;
  text += describe_rule(config);
  for (std::size_t i = 0; i < config.groups.size(); ++i) {
    const GroupConfig& group = config.groups[i];
    std::string nodes;
    for (const NodeId node : group.nodes) nodes += (nodes.empty() ? "" : ",") + std::to_string(node + 1);
    std::snprintf(line, sizeof line, "  group %zu: %s on %s, %zu address%s, %s%s\n", i,
                  group.policy == GroupPolicy::rotating ? "rotating"
                  : group.fallback                      ? "cascading with fallback"
                                                        : "cascading",
                  nodes.c_str(), group.addresses.size(), group.addresses.size() == 1 ? "" : "es",
                  group.application.present ? "application, state = " : "no application",
                  group.application.present ? states[static_cast<std::size_t>(group.application.state)] : "");
    text += line;
  }
  for (const PlannedFault& fault : scenario.faults) {
    std::snprintf(line, sizeof line, "  fault %u at %.3f ms: %s\n", fault.number, static_cast<double>(fault.at) / 1e6,
                  to_string(fault.kind));
    text += line;
  }
  return text;
}

}  // namespace vigil::sim
