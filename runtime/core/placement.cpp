// See placement.hpp. Every change of owner goes through change_owner(), the only place where the
// generation grows and where an owner that may still serve becomes unproven. Nothing here ever
// removes a node from `unproven` but its release, its goodbye, its clean return, the operator's word,
// or the acquired report of an owner which held every proof itself.
#include "runtime/core/placement.hpp"

#include <cstdarg>
#include <cstdio>

#include "runtime/base/seeded_bugs.hpp"

namespace vigil {
namespace {

using Text = BoundedString<127>;

[[gnu::format(printf, 2, 3)]] void say(Text& text, const char* format, ...) {
  char line[Text::capacity() + 1];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  text.assign(line);
}

const char* name_of(const ClusterConfig& config, NodeId node) {
  return node < config.nodes.size() ? config.nodes[node].name.c_str() : "?";
}

BoundedString<127> names_of(const ClusterConfig& config, NodeSet nodes) {
  char line[128] = "";
  std::size_t used = 0;
  for (const NodeId node : nodes) {
    const int wrote = std::snprintf(line + used, sizeof line - used, "%s%s", used > 0 ? ", " : "", name_of(config, node));
    used += static_cast<std::size_t>(wrote);
    if (used >= sizeof line) break;
  }
  return {line};
}

NodeSet nodes_of(const GroupConfig& group) {
  NodeSet nodes;
  for (const NodeId node : group.nodes) nodes.add(node);
  return nodes;
}

// Every address has its network, or that network's backup, among the bits of `networks_up`.
bool covers(const ClusterConfig& config, const GroupConfig& group, std::uint8_t networks_up) {
  const auto up = [networks_up](NetworkIndex network) {
    return network < limits::max_networks && ((networks_up >> network) & 1) != 0;
  };
  for (const AddressConfig& address : group.addresses)
    if (!up(address.network) && !up(config.networks[address.network].backup)) return false;
  return true;
}

// What one group's decisions look at; built per group, owns nothing.
struct Scene {
  const ClusterConfig& config;
  const View& view;
  const NodeFacts& facts;
  ClusterState& state;
  GroupIndex index;

  const GroupConfig& group() const { return config.groups[index]; }
  GroupState& now() const { return state.groups[index]; }

  // Nothing forbids the node to go on running the group.
  bool may_stay(NodeId node) const {
    return view.members.has(node) && nodes_of(group()).has(node) && !state.standby.has(node) &&
           !state.leaving.has(node) && !now().failed_on.has(node);
  }
  // The node could take the group over now.
  bool is_candidate(NodeId node) const {
    return may_stay(node) && facts.ready.has(node) && !state.unfenced.has(node) &&
           covers(config, group(), facts.networks_up[node]);
  }
  // A live node has still to release the group.
  bool awaits_release() const { return now().unproven.intersects(view.members); }
  bool needs_fence() const {
    const ApplicationConfig& application = group().application;
    return application.present && application.state != ApplicationState::none &&
           now().unproven.intersects(state.unfenced);
  }
};

// The owner that leaves becomes unproven; who is given the group cannot be its own obstacle.
void change_owner(GroupState& group, NodeId next, GroupReason reason) {
  if (group.owner != no_node) {
    if (!seeded_bug(Bug::old_owner_not_unproven)) group.unproven.add(group.owner);
    group.previous = group.owner;
  }
  group.owner = next;
  group.unproven.remove(next);
  group.reason = reason;
  group.phase = next == no_node ? GroupPhase::offline : GroupPhase::acquiring;
  group.pinned = no_node;
  group.restarts = 0;
  ++group.generation;
}

int rotating_groups_on(const Scene& scene, NodeId node) {
  int count = 0;
  for (std::size_t i = 0; i < scene.config.groups.size(); ++i)
    if (i != scene.index && scene.config.groups[i].policy == GroupPolicy::rotating &&
        scene.state.groups[i].owner == node)
      ++count;
  return count;
}

NodeId pick_rotating(const Scene& scene, NodeId except) {
  const auto& nodes = scene.group().nodes;
  const GroupState& group = scene.now();
  const NodeId last = group.owner != no_node ? group.owner : group.previous;
  if (last == no_node) {  // first start: spread, one rotating group a node where possible
    NodeId first = no_node;
    for (const NodeId node : nodes) {
      if (node == except || !scene.is_candidate(node)) continue;
      if (rotating_groups_on(scene, node) == 0) return node;
      if (first == no_node) first = node;
    }
    return first;
  }
  std::size_t start = 0;
  for (std::size_t i = 0; i < nodes.size(); ++i)
    if (nodes[i] == last) start = group.reason == GroupReason::operator_offline ? i : i + 1;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const NodeId node = nodes[(start + i) % nodes.size()];
    if (node != except && scene.is_candidate(node)) return node;
  }
  return no_node;
}

NodeId pick(const Scene& scene, NodeId except = no_node) {
  if (scene.group().policy == GroupPolicy::rotating) return pick_rotating(scene, except);
  for (const NodeId node : scene.group().nodes)
    if (node != except && scene.is_candidate(node)) return node;
  return no_node;
}

bool is_failure(GroupReason reason) {
  return reason == GroupReason::start_failed || reason == GroupReason::application_failed;
}

// Nobody can run it: says which of the two ways of being down this is, and why.
void settle_ownerless(const Scene& scene) {
  GroupState& group = scene.now();
  const bool failed = group.failed_on.intersects(nodes_of(scene.group()));
  group.phase = failed ? GroupPhase::error : GroupPhase::offline;
  const bool stop_failed = group.reason == GroupReason::stop_failed && scene.awaits_release();
  if (!stop_failed && !(failed && is_failure(group.reason))) group.reason = GroupReason::no_candidate;
}

GroupReason reason_to_assign(const Scene& scene) {
  switch (scene.now().reason) {
    case GroupReason::none:
    case GroupReason::operator_offline:
      return GroupReason::first_start;
    case GroupReason::no_candidate:
      return scene.now().unproven.intersects(scene.state.unfenced) ? GroupReason::node_failed
                                                                   : GroupReason::first_start;
    default:
      return scene.now().reason;
  }
}

GroupReason reason_to_leave(const Scene& scene) {
  const GroupState& group = scene.now();
  if (!scene.view.members.has(group.owner)) return GroupReason::node_failed;
  if (group.failed_on.has(group.owner))
    return is_failure(group.reason) ? group.reason : GroupReason::application_failed;
  if (scene.state.leaving.has(group.owner)) return GroupReason::node_left;
  return GroupReason::node_standby;
}

NodeId better_node(const Scene& scene) {
  for (const NodeId node : scene.group().nodes) {
    if (node == scene.now().owner) return no_node;
    if (scene.is_candidate(node)) return node;
  }
  return no_node;
}

void place_owned(const Scene& scene) {
  GroupState& group = scene.now();
  if (!scene.may_stay(group.owner)) {
    const GroupReason reason = reason_to_leave(scene);
    if (!scene.view.members.has(group.owner)) scene.state.unfenced.add(group.owner);
    change_owner(group, pick(scene, group.owner), reason);
    if (group.owner == no_node) settle_ownerless(scene);
    return;
  }
  if (group.phase == GroupPhase::acquiring && group.reason == GroupReason::network_failed &&
      !scene.awaits_release() && !covers(scene.config, scene.group(), scene.facts.networks_up[group.owner])) {
    const NodeId next = pick(scene, group.owner);
    if (next != no_node) change_owner(group, next, GroupReason::network_failed);
    return;
  }
  const bool falls_back = scene.group().policy == GroupPolicy::cascading && scene.group().fallback &&
                          group.phase == GroupPhase::online && group.pinned == no_node;
  if (!falls_back) return;
  const NodeId better = better_node(scene);
  if (better != no_node) change_owner(group, better, GroupReason::fallback);
}

void place_group(const Scene& scene) {
  GroupState& group = scene.now();
  if (!group.wanted) {
    if (group.owner != no_node) change_owner(group, no_node, GroupReason::operator_offline);
    group.phase = GroupPhase::offline;
    return;
  }
  if (group.owner != no_node) {
    place_owned(scene);
    return;
  }
  const NodeId next = pick(scene);
  if (next == no_node)
    settle_ownerless(scene);
  else
    change_owner(group, next, reason_to_assign(scene));
}

// A takeover whose proof only a fence, the operator or a stuck node can give says so.
void mark_blocked(const Scene& scene) {
  GroupState& group = scene.now();
  if (group.phase != GroupPhase::acquiring && group.phase != GroupPhase::blocked) return;
  if (scene.needs_fence()) {
    group.phase = GroupPhase::blocked;
    group.reason = GroupReason::unfenced;
    return;
  }
  if (group.reason == GroupReason::stop_failed && scene.awaits_release()) {
    group.phase = GroupPhase::blocked;
    return;
  }
  group.phase = GroupPhase::acquiring;
  if (group.reason == GroupReason::unfenced) group.reason = GroupReason::node_failed;
}

// ---- the operator's words ----------------------------------------------------------------------------

bool refuse_unfit(const Scene& scene, NodeId node, Text& text) {
  const char* group = scene.group().name.c_str();
  const char* name = name_of(scene.config, node);
  if (!nodes_of(scene.group()).has(node))
    say(text, "%s is not among the nodes of %s (%s)", name, group,
        names_of(scene.config, nodes_of(scene.group())).c_str());
  else if (!scene.view.members.has(node))
    say(text, "%s is not in the cluster now; start vigild there first", name);
  else if (scene.state.standby.has(node))
    say(text, "%s is on standby; run 'vigil node online %s' first", name, name);
  else if (scene.state.leaving.has(node))
    say(text, "%s is being stopped; start it again first", name);
  else if (scene.now().failed_on.has(node))
    say(text, "%s failed on %s; repair it, then run 'vigil group clear %s' first", group, name, group);
  else if (!scene.facts.ready.has(node) || scene.state.unfenced.has(node))
    say(text, "%s is not ready yet: it is still cleaning up after an earlier life; try again shortly", name);
  else if (!covers(scene.config, scene.group(), scene.facts.networks_up[node]))
    say(text, "%s has no working adapter for an address of %s; see 'vigil links'", name, group);
  else
    return false;
  return true;
}

bool move_group(const Scene& scene, NodeId node, Text& text) {
  GroupState& group = scene.now();
  const char* name = scene.group().name.c_str();
  if (!group.wanted) {
    say(text, "%s is offline by the operator's word; run 'vigil group online %s' first", name, name);
    return false;
  }
  if (refuse_unfit(scene, node, text)) return false;
  const char* target = name_of(scene.config, node);
  if (group.owner == node) {
    group.pinned = node;
    say(text, "%s is on %s already, and stays there", name, target);
    return true;
  }
  change_owner(group, node, GroupReason::operator_move);
  group.pinned = node;
  if (scene.needs_fence())
    say(text, "%s goes to %s once %s is fenced or confirmed down", name, target,
        names_of(scene.config, group.unproven & scene.state.unfenced).c_str());
  else
    say(text, "%s moves to %s, and stays there while that node can run it", name, target);
  return true;
}

bool group_online(const Scene& scene, Text& text) {
  GroupState& group = scene.now();
  const char* name = scene.group().name.c_str();
  if (!group.wanted) {
    group.wanted = true;
    say(text, "%s goes online", name);
    return true;
  }
  if (group.owner != no_node) {
    say(text, "%s is wanted already, and placed on %s", name, name_of(scene.config, group.owner));
    return true;
  }
  if (!group.failed_on.empty())
    say(text, "%s failed on %s; repair it, then run 'vigil group clear %s'", name,
        names_of(scene.config, group.failed_on).c_str(), name);
  else
    say(text, "%s is wanted already, but none of its nodes can run it now", name);
  return false;
}

bool group_offline(const Scene& scene, Text& text) {
  GroupState& group = scene.now();
  const char* name = scene.group().name.c_str();
  if (!group.wanted) {
    say(text, "%s is offline already", name);
    return true;
  }
  group.wanted = false;
  if (group.owner != no_node)
    change_owner(group, no_node, GroupReason::operator_offline);
  else
    group.reason = GroupReason::operator_offline;
  group.phase = GroupPhase::offline;
  say(text, "%s goes offline, and stays so until 'vigil group online %s'", name, name);
  return true;
}

bool group_clear(const Scene& scene, Text& text) {
  GroupState& group = scene.now();
  const char* name = scene.group().name.c_str();
  if (group.failed_on.empty() && group.pinned == no_node) {
    say(text, "%s has neither failures nor a pin to forget", name);
    return true;
  }
  if (!group.failed_on.empty())
    say(text, "the failures of %s on %s are forgotten", name, names_of(scene.config, group.failed_on).c_str());
  else
    say(text, "%s is not pinned to %s any more", name, name_of(scene.config, group.pinned));
  group.failed_on = {};
  group.pinned = no_node;
  return true;
}

NodeSet groups_stranded_without(const ClusterConfig& config, const View& view, const NodeFacts& facts,
                                ClusterState& state, NodeId node) {
  NodeSet stranded;  // of group indexes: both fit 64 bits
  static_assert(limits::max_groups <= limits::max_nodes);
  for (std::size_t i = 0; i < config.groups.size(); ++i) {
    const Scene scene{config, view, facts, state, static_cast<GroupIndex>(i)};
    if (scene.now().owner == node && pick(scene, node) == no_node) stranded.add(static_cast<NodeId>(i));
  }
  return stranded;
}

void say_leaving(const ClusterConfig& config, const char* what, NodeId node, NodeSet stranded, Text& text) {
  if (stranded.empty())
    say(text, "%s %s; its groups move to other nodes", name_of(config, node), what);
  else
    say(text, "%s %s; no other node can run %s%s: offline until one can", name_of(config, node), what,
        config.groups[stranded.lowest()].name.c_str(), stranded.count() > 1 ? " and others" : "");
}

bool confirm_down(const ClusterConfig& config, const View& view, const NodeFacts& facts, NodeId node,
                  ClusterState& state, Text& text) {
  const char* name = name_of(config, node);
  if (view.members.has(node)) {
    say(text, "%s is alive and in the cluster; stop it with 'vigil node stop %s' instead", name, name);
    return false;
  }
  if (facts.heard.has(node)) {
    say(text, "%s is heard: it is not down, and tells by itself when it is clean; else switch it off first", name);
    return false;
  }
  const bool waited_for = count_as_down(config, node, state);
  if (waited_for)
    say(text, "%s counts as down on your word; groups that waited for it go on", name);
  else
    say(text, "nothing waits for %s to be confirmed down", name);
  return waited_for;
}

bool node_verb(const ClusterConfig& config, const View& view, const OperatorCommand& command, const NodeFacts& facts,
               ClusterState& state, Text& text) {
  const NodeId node = command.node;
  const char* name = name_of(config, node);
  switch (command.verb) {
    case OperatorVerb::node_standby:
      if (state.standby.has(node)) {
        say(text, "%s is on standby already", name);
        return true;
      }
      say_leaving(config, "goes on standby", node, groups_stranded_without(config, view, facts, state, node), text);
      state.standby.add(node);
      return true;
    case OperatorVerb::node_online:
      if (state.leaving.has(node) && view.members.has(node)) {
        say(text, "%s is being stopped; start vigild there again when it is down", name);
        return false;
      }
      if (state.standby.has(node))
        say(text, "%s may run groups again%s", name, view.members.has(node) ? "" : " once it is back in the cluster");
      else
        say(text, "%s is not on standby", name);
      state.standby.remove(node);
      state.leaving.remove(node);
      return true;
    case OperatorVerb::node_stop:
      if (!view.members.has(node)) {
        say(text, "%s is not in the cluster now: nothing to stop", name);
        return false;
      }
      say_leaving(config, "stops", node, groups_stranded_without(config, view, facts, state, node), text);
      state.leaving.add(node);
      return true;
    default:
      return confirm_down(config, view, facts, node, state, text);
  }
}

}  // namespace

bool count_as_down(const ClusterConfig& config, NodeId node, ClusterState& state) {
  bool waited_for = state.unfenced.has(node);
  state.unfenced.remove(node);
  for (std::size_t i = 0; i < config.groups.size(); ++i) {
    waited_for = waited_for || state.groups[i].unproven.has(node);
    state.groups[i].unproven.remove(node);
  }
  return waited_for;
}

ClusterState initial_state(const ClusterConfig& config) {
  ClusterState state;
  state.config_hash = config.hash;
  state.config_version = config.version;
  state.group_count = static_cast<std::uint8_t>(config.groups.size());
  for (std::size_t i = 0; i < config.groups.size(); ++i) state.groups[i].wanted = config.groups[i].autostart;
  return state;
}

ClusterState state_of_new_configuration(const ClusterConfig& config, const ClusterState& before, NodeSet members,
                                        NodeSet present) {
  ClusterState state = initial_state(config);
  NodeSet suspects = before.unfenced | members;
  for (std::size_t i = 0; i < before.group_count; ++i) suspects = suspects | before.groups[i].unproven;
  NodeSet configured;
  for (std::size_t i = 0; i < config.nodes.size(); ++i) configured.add(static_cast<NodeId>(i));
  state.unfenced = (suspects & configured) - present;
  state.standby = before.standby & configured;
  state.keys = before.keys;  // files of both keys are on the nodes' disks, whatever their configuration
  state.keys.done = before.keys.done & configured;
  for (std::size_t i = 0; i < state.group_count; ++i) state.groups[i].unproven = state.unfenced;
  return state;
}

void distrust_absent(const ClusterConfig& config, NodeSet absent, ClusterState& state) {
  state.unfenced = state.unfenced | absent;
  for (std::size_t i = 0; i < state.group_count; ++i) {
    const GroupConfig& group = config.groups[i];
    if (!group.application.present || group.application.state == ApplicationState::none) continue;
    for (NodeId node : group.nodes)
      if (absent.has(node)) state.groups[i].unproven.add(node);
  }
}

void apply_view_change(const ClusterConfig& config, NodeSet expelled, NodeSet left, NodeSet clean_rejoined,
                       ClusterState& state) {
  const NodeSet proven = left | clean_rejoined;
  state.unfenced = (state.unfenced | expelled) - clean_rejoined;
  state.leaving = state.leaving - proven;  // whoever is voted out meanwhile is to stop all the same
  for (std::size_t i = 0; i < config.groups.size(); ++i) {
    GroupState& group = state.groups[i];
    if (left.has(group.owner))
      change_owner(group, no_node, GroupReason::node_left);
    else if ((expelled | clean_rejoined).has(group.owner))
      change_owner(group, no_node, GroupReason::node_failed);
    group.unproven = group.unproven - (seeded_bug(Bug::expelled_counts_as_stopped) ? proven | expelled : proven);
  }
}

bool apply_report(const ClusterConfig& config, NodeId from, const Report& report, const NodeFacts& facts,
                  ClusterState& state) {
  if (report.group >= config.groups.size()) return false;
  GroupState& group = state.groups[report.group];
  if (report.generation != group.generation) return false;
  const bool of_source = report.kind == ReportKind::released || report.kind == ReportKind::stop_failed;
  if (of_source ? !group.unproven.has(from) : group.owner != from) return false;

  switch (report.kind) {
    case ReportKind::acquired:
      // The owner held every proof before it began: whatever the coordinator still missed is settled.
      group.phase = GroupPhase::online;
      group.unproven = {};
      if (report.budget != Budget{}) {  // empty: it came back by itself, that was no takeover
        group.last = report.budget;
        group.last_wall_ns = report.wall_ns;
      }
      if (group.reason == GroupReason::unfenced) group.reason = GroupReason::node_failed;
      return true;
    case ReportKind::released:
      group.unproven.remove(from);
      return true;
    case ReportKind::start_failed:
    case ReportKind::application_failed:
      group.failed_on.add(from);
      group.reason = report.kind == ReportKind::start_failed ? GroupReason::start_failed
                                                             : GroupReason::application_failed;
      return true;
    case ReportKind::stop_failed:
      group.reason = GroupReason::stop_failed;
      if (group.owner != no_node) group.phase = GroupPhase::blocked;
      return true;
    case ReportKind::network_lost: {
      View view;
      view.members = facts.ready;  // candidates are ready members: no more of the view is needed
      const Scene scene{config, view, facts, state, report.group};
      const NodeId next = group.wanted ? pick(scene, from) : no_node;
      if (next != no_node) {
        change_owner(group, next, GroupReason::network_failed);
      } else {  // elsewhere it would be no better: it stays, and its owner goes on trying
        group.phase = GroupPhase::acquiring;
        group.reason = GroupReason::network_failed;
      }
      return true;
    }
    case ReportKind::conflict:
      group.phase = GroupPhase::acquiring;
      group.reason = GroupReason::address_conflict;
      return true;
    case ReportKind::restarted:
      if (group.restarts < 0xff) ++group.restarts;
      return true;
  }
  return false;
}

bool apply_operator(const ClusterConfig& config, const View& view, const OperatorCommand& command,
                    const NodeFacts& facts, ClusterState& state, BoundedString<127>& text) {
  const OperatorVerb verb = command.verb;
  const bool names_group = verb == OperatorVerb::move_group || verb == OperatorVerb::group_online ||
                           verb == OperatorVerb::group_offline || verb == OperatorVerb::group_clear;
  const bool names_node = !names_group || verb == OperatorVerb::move_group;
  if (names_group && command.group >= config.groups.size()) {
    say(text, "there is no group number %u; see 'vigil status'", command.group);
    return false;
  }
  if (names_node && command.node >= config.nodes.size()) {
    say(text, "there is no node number %u; see 'vigil status'", command.node + 1U);
    return false;
  }
  if (!names_group) return node_verb(config, view, command, facts, state, text);
  const Scene scene{config, view, facts, state, command.group};
  switch (verb) {
    case OperatorVerb::move_group:
      return move_group(scene, command.node, text);
    case OperatorVerb::group_online:
      return group_online(scene, text);
    case OperatorVerb::group_offline:
      return group_offline(scene, text);
    default:
      return group_clear(scene, text);
  }
}

void place(const ClusterConfig& config, const View& view, const NodeFacts& facts, ClusterState& state) {
  std::array<GroupIndex, limits::max_groups> order{};
  const std::size_t count = config.groups.size();
  for (std::size_t i = 0; i < count; ++i) {  // insertion by priority; equal ones keep the file's order
    std::size_t at = i;
    for (; at > 0 && config.groups[order[at - 1]].priority < config.groups[i].priority; --at)
      order[at] = order[at - 1];
    order[at] = static_cast<GroupIndex>(i);
  }
  for (std::size_t i = 0; i < count; ++i) {
    const Scene scene{config, view, facts, state, order[i]};
    place_group(scene);
    mark_blocked(scene);
  }
}

}  // namespace vigil
