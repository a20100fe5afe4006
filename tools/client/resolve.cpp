// Exact names only; the nearest one is offered, never taken.
#include "tools/client/resolve.hpp"

#include <algorithm>
#include <cstdio>
#include <string_view>

#include "runtime/config/names.hpp"

namespace vigil::control {

namespace {

// "there is no group `wbe` in cluster demo; did you mean `web`?", else with the list of what there is.
template <typename List>
void refuse_name(const ClusterConfig& config, const char* what, std::string_view name, const List& list,
                 reply::Refused& refused) {
  std::string_view nearest;
  std::size_t best = std::max<std::size_t>(1, name.size() / 3) + 1;
  for (const auto& item : list) {
    const std::size_t edits = edit_distance(name, item.name.view());
    if (edits >= best || edits >= item.name.size()) continue;
    best = edits;
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

bool needs_node(OperatorVerb verb) {
  return verb == OperatorVerb::move_group || (!needs_group(verb) && verb != OperatorVerb::quorum_override);
}

}  // namespace

bool resolve(const ClusterConfig& config, const request::Operate& operate, OperatorCommand& command,
             reply::Refused& refused) {
  command = OperatorCommand{operate.verb, no_index, no_node, operate.vouched};
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
