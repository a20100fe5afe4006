// One judge for each kind of wish; each looks at the newest picture alone and remembers nothing.
#include "tools/ctl/goal.hpp"

#include "tools/ctl/health.hpp"
#include "tools/ctl/table.hpp"
#include "tools/ctl/words.hpp"

namespace vigil::ctl {

namespace {

using control::reply::Group;
using control::reply::Node;

// "web: gamma waits for the proof that beta no longer serves it (beta removes addresses)"
std::string doing(const ClusterPicture& picture, const Group& group) {
  std::string text = group.name.str() + ": " + blocked_text(picture, group);
  if (!group.step_text.empty() && group.step_text.view() != "idle")
    text += " (" + picture.name_of(picture.cluster.self) + " " + group.step_text.str() + ")";
  return text;
}

Progress group_runs(const ClusterPicture& picture, const Group& group, NodeId where) {
  const GroupState& state = group.state;
  const std::string name = group.name.str();
  const std::string target = where == no_node ? "" : picture.name_of(where);
  if (state.phase == GroupPhase::online && (where == no_node || state.owner == where))
    return {Progress::reached, name + " is online on " + picture.name_of(state.owner)};
  if (state.wanted && (state.phase == GroupPhase::blocked || state.phase == GroupPhase::error))
    return {Progress::failed, name + " is " + std::string(word(state.phase)) + ": " + blocked_text(picture, group)};
  if (state.phase == GroupPhase::online)
    return {Progress::pending, name + " is still on " + picture.name_of(state.owner)};
  if (!state.wanted) return {Progress::pending, name + " is still offline"};
  return {Progress::pending, doing(picture, group)};
}

Progress group_stopped(const ClusterPicture& picture, const Group& group) {
  const GroupState& state = group.state;
  const std::string name = group.name.str();
  if (!state.wanted && state.owner == no_node && state.unproven.empty())
    return {Progress::reached, name + " is offline"};
  if (!state.wanted && state.phase == GroupPhase::offline && state.unproven.empty())
    return {Progress::reached, name + " is offline"};
  if (!state.wanted && !state.unproven.empty()) {
    const std::string holders = joined(picture.names_of(state.unproven));
    if (state.reason == GroupReason::stop_failed)
      return {Progress::failed, name + ": " + holders + " could not stop it"};
    return {Progress::pending, name + ": waits for the proof that " + holders + " has stopped it"};
  }
  return {Progress::pending, picture.name_of(state.owner) + " stops " + name};
}

// Groups that the node runs, or may still run.
std::vector<std::string> groups_on(const ClusterPicture& picture, NodeId node) {
  std::vector<std::string> names;
  for (const Group& group : picture.groups)
    if (group.state.owner == node || group.state.unproven.has(node)) names.push_back(group.name.str());
  return names;
}

Progress node_cleared(const ClusterPicture& picture, const Node& node, bool must_leave) {
  const std::string name = node.name.str();
  const auto left = groups_on(picture, node.id);
  if (must_leave && !node.member) return {Progress::reached, name + " has left the cluster"};
  if (!must_leave && node.standby && left.empty()) return {Progress::reached, name + " is on standby and runs nothing"};
  if (!left.empty()) return {Progress::pending, name + " hands over " + joined(left)};
  return {Progress::pending, must_leave ? name + " runs nothing, and is leaving" : name + " is not on standby yet"};
}

Progress node_returned(const Node& node) {
  const std::string name = node.name.str();
  if (!node.standby) return {Progress::reached, name + " may run groups again"};
  return {Progress::pending, name + " is still on standby"};
}

}  // namespace

Progress progress_of(const control::request::Operate& asked, const ClusterPicture& picture) {
  const Group* group = picture.group(asked.group.view());
  const Node* node = picture.node(asked.node.view());
  const Progress gone{Progress::failed, "the configuration no longer has what was asked for"};
  switch (asked.verb) {
    case OperatorVerb::move_group:
      return group != nullptr && node != nullptr ? group_runs(picture, *group, node->id) : gone;
    case OperatorVerb::group_online:
      return group != nullptr ? group_runs(picture, *group, no_node) : gone;
    case OperatorVerb::group_offline:
      return group != nullptr ? group_stopped(picture, *group) : gone;
    case OperatorVerb::node_standby:
    case OperatorVerb::node_stop:
      return node != nullptr ? node_cleared(picture, *node, asked.verb == OperatorVerb::node_stop) : gone;
    case OperatorVerb::quorum_override: {
      const std::string self = picture.name_of(picture.cluster.self);
      if (picture.cluster.quorate) return {Progress::reached, self + " has a quorum, and serves"};
      return {Progress::pending, self + " has no quorum yet"};
    }
    case OperatorVerb::node_online:
      return node != nullptr ? node_returned(*node) : gone;
    case OperatorVerb::group_clear:
    case OperatorVerb::confirm_down:
      return {Progress::reached, ""};  // the coordinator's answer says it all
  }
  return gone;
}

}  // namespace vigil::ctl
