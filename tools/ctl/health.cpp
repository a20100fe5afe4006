// One judge for each kind of thing; the order of the calls is the order of urgency.
#include "tools/ctl/health.hpp"

#include "tools/ctl/table.hpp"
#include "tools/ctl/words.hpp"

namespace vigil::ctl {

namespace {

using control::reply::Adapter;
using control::reply::Group;
using control::reply::Link;
using control::reply::Node;

std::string confirm_hint(const ClusterPicture& picture, NodeSet nodes) {
  std::string hint =
      "if you know that it is powered off, say so with: vigil fence confirm " + picture.name_of(nodes.lowest());
  if (nodes.count() > 1) hint += " (and the same for the others)";
  return hint;
}

std::string blocked_reason(const ClusterPicture& picture, const Group& group) {
  const std::string holders = joined(picture.names_of(group.state.unproven), "a former owner");
  switch (group.state.reason) {
    case GroupReason::stop_failed:
      return holders + " could not stop it, so it may still run there; " + confirm_hint(picture, group.state.unproven);
    case GroupReason::no_candidate:
      return "no node in the cluster may run it; bring back one of " + joined(
                                                                           [&] {
                                                                             std::vector<std::string> names;
                                                                             for (NodeId id : group.nodes)
                                                                               names.push_back(picture.name_of(id));
                                                                             return names;
                                                                           }(),
                                                                           "its nodes");
    case GroupReason::address_conflict:
      return "another machine answers for its address; find it, then: vigil group clear " + group.name.str();
    default:
      if (group.state.unproven.empty()) return because(group.state.reason, picture.name_of(group.state.previous));
      return holders + " may still run it and is not fenced; " + confirm_hint(picture, group.state.unproven);
  }
}

void judge_self(const ClusterPicture& picture, std::vector<std::string>& problems) {
  const auto& cluster = picture.cluster;
  const std::string self = picture.name_of(cluster.self);
  const std::string why = cluster.role_text.empty() ? "" : ": " + cluster.role_text.str();
  if (cluster.role == NodeRole::no_quorum)
    problems.push_back(self + " (this node) has lost the quorum and serves nothing" + why);
  else if (cluster.role != NodeRole::member)
    problems.push_back(self + " (this node) is not in the cluster yet" + why);
  else if (!cluster.quorate)
    problems.push_back(self + " (this node) has no lease: too few members acknowledge it" + why);
}

void judge_node(const Node& node, std::vector<std::string>& problems) {
  if (node.self) return;
  const std::string name = node.name.str();
  if (node.suspected && node.member)
    problems.push_back(name + " is silent on every link, and is suspected");
  else if (!node.heard)
    problems.push_back(name + " is not heard on any link");
  else if (!node.member)
    problems.push_back(name + " is heard but not in the cluster" + (node.ready ? "; it waits to be admitted" : ""));
  if (!node.config_matches)
    problems.push_back(name + " runs another configuration than this node; make the files equal and restart one");
  if (!node.heard) return;
  for (const Link& link : node.links) {
    if (link.state == LinkState::up || link.state == LinkState::unknown) continue;
    std::string text = "the " + std::string(word(link.kind)) + " link " + link.device.str();
    if (link.state == LinkState::down) text += " to " + name + " is down";
    if (link.state == LinkState::flapping) text += " to " + name + " comes and goes";
    if (link.state == LinkState::one_way_in) text += " is one-way: " + name + " is heard here but does not hear us";
    if (link.state == LinkState::one_way_out) text += " is one-way: " + name + " hears us but is not heard here";
    problems.push_back(text);
  }
}

void judge_adapter(const Adapter& adapter, std::vector<std::string>& problems) {
  const std::string name = "adapter " + adapter.device.str() + " (network " + adapter.network.str() + ")";
  if (!adapter.usable)
    problems.push_back(name + " is down or has no carrier");
  else if (!adapter.healthy && adapter.role != AdapterRole::serial)  // its one link tells already
    problems.push_back(name + " is up, but nobody is heard on it");
}

}  // namespace

std::string blocked_text(const ClusterPicture& picture, const Group& group) {
  const GroupState& state = group.state;
  if (!state.wanted) return "";
  switch (state.phase) {
    case GroupPhase::online:
      return "";
    case GroupPhase::acquiring:
      if (state.unproven.empty()) return picture.name_of(state.owner) + " is starting it";
      return picture.name_of(state.owner) + " waits for the proof that " + joined(picture.names_of(state.unproven)) +
             " no longer serves it";
    case GroupPhase::blocked:
      return blocked_reason(picture, group);
    case GroupPhase::error:
      return "it failed on " + joined(picture.names_of(state.failed_on), "every node") +
             "; mend the cause, then: vigil group clear " + group.name.str();
    case GroupPhase::offline:
      if (state.reason == GroupReason::none) return "it has not been started yet";
      return blocked_reason(picture, group);
  }
  return "";
}

std::string node_word(const ClusterPicture& picture, const Node& node) {
  if (node.self && picture.cluster.role != NodeRole::member) {
    return picture.cluster.role == NodeRole::no_quorum ? "no quorum" : std::string(word(picture.cluster.role));
  }
  if (node.leaving) return "leaving";
  if (node.member && node.suspected) return "suspected";
  if (node.member) return node.standby ? "standby" : "in";
  if (node.heard) return node.ready ? "joining" : "waiting";
  return "out";
}

std::vector<std::string> problems_of(const ClusterPicture& picture) {
  std::vector<std::string> problems;
  judge_self(picture, problems);
  for (const Group& group : picture.groups) {
    const std::string why = blocked_text(picture, group);
    if (!why.empty()) problems.push_back(group.name.str() + " is " + std::string(word(group.state.phase)) + ": " + why);
  }
  problems.insert(problems.end(), picture.problems.begin(), picture.problems.end());
  for (const Node& node : picture.nodes) judge_node(node, problems);
  for (const Adapter& adapter : picture.adapters) judge_adapter(adapter, problems);
  for (const Node& node : picture.nodes)
    if (node.member && node.heard && !node.self && node.networks_up == 0)
      problems.push_back(node.name.str() + " can serve on no network");
  return problems;
}

}  // namespace vigil::ctl
