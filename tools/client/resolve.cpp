// Exact names only; the nearest one is offered, never taken.
#include "tools/client/resolve.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

namespace vigil::control {

namespace {

// Levenshtein distance of two names.
std::size_t distance(std::string_view a, std::string_view b) {
  std::array<std::size_t, limits::name_length + 1> row{};
  b = b.substr(0, limits::name_length);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t above = row[j + 1];
      row[j + 1] = std::min({above + 1, row[j] + 1, diagonal + (a[i] == b[j] ? 0u : 1u)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

// "there is no group `wbe` in cluster demo; did you mean `web`?", else with the list of what there is.
template <typename List>
void refuse_name(const ClusterConfig& config, const char* what, std::string_view name, const List& list,
                 reply::Refused& refused) {
  std::string_view nearest;
  std::size_t best = 1 + name.size() / 3;
  for (const auto& item : list)
    if (const std::size_t d = distance(name, item.name.view()); d <= best) {
      best = d;
      nearest = item.name.view();
    }
  char text[decltype(refused.text)::capacity() + 1];
  int length = std::snprintf(text, sizeof text, "there is no %s '%.*s' in cluster %s", what,
                             static_cast<int>(name.size()), name.data(), config.name.c_str());
  const auto append = [&](const char* lead, std::string_view item, const char* tail) {
    if (length < 0 || static_cast<std::size_t>(length) >= sizeof text) return;
    const auto used = static_cast<std::size_t>(length);
    length += std::snprintf(text + used, sizeof text - used, "%s%.*s%s", lead, static_cast<int>(item.size()),
                            item.data(), tail);
  };
  if (!nearest.empty()) {
    append("; did you mean '", nearest, "'?");
  } else {
    bool first = true;
    for (const auto& item : list) {
      append(first ? "; there is " : ", ", item.name.view(), "");
      first = false;
    }
  }
  refused.why = reply::Refusal::unknown_name;
  refused.text.assign(text);
}

bool needs_group(OperatorVerb verb) {
  return verb == OperatorVerb::move_group || verb == OperatorVerb::group_online ||
         verb == OperatorVerb::group_offline || verb == OperatorVerb::group_clear;
}

bool needs_node(OperatorVerb verb) { return verb == OperatorVerb::move_group || !needs_group(verb); }

}  // namespace

GroupIndex find_group(const ClusterConfig& config, std::string_view name) {
  for (std::size_t i = 0; i < config.groups.size(); ++i)
    if (config.groups[i].name == name) return static_cast<GroupIndex>(i);
  return no_index;
}

NodeId find_node(const ClusterConfig& config, std::string_view name) {
  for (std::size_t i = 0; i < config.nodes.size(); ++i)
    if (config.nodes[i].name == name) return config.nodes[i].id;
  return no_node;
}

bool resolve(const ClusterConfig& config, const request::Operate& operate, OperatorCommand& command,
             reply::Refused& refused) {
  command = OperatorCommand{operate.verb, no_index, no_node};
  if (needs_group(operate.verb)) {
    command.group = find_group(config, operate.group.view());
    if (command.group == no_index) {
      refuse_name(config, "group", operate.group.view(), config.groups, refused);
      return false;
    }
  }
  if (needs_node(operate.verb)) {
    command.node = find_node(config, operate.node.view());
    if (command.node == no_node) {
      refuse_name(config, "node", operate.node.view(), config.nodes, refused);
      return false;
    }
  }
  return true;
}

bool resolve_filter(const ClusterConfig& config, const Name& group, GroupIndex& index, reply::Refused& refused) {
  index = no_index;
  if (group.empty()) return true;
  index = find_group(config, group.view());
  if (index != no_index) return true;
  refuse_name(config, "group", group.view(), config.groups, refused);
  return false;
}

}  // namespace vigil::control
