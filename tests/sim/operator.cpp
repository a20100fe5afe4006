// The operator, who types at random while faults strike but never lies, and afterwards sets right what
// only an operator can; and the question whether the cluster is whole again.
#include "tests/sim/world.hpp"

namespace vigil::sim {

// The id of a question is its place among all that were asked, from one.
void World::ask(Host& host, OperatorCommand command) {
  if (!host.core || blocked(host)) return;
  trace_.line(now_, host.id, "operator asks: verb %d group %d node %d", static_cast<int>(command.verb),
              command.group == no_index ? -1 : command.group, command.node == no_node ? -1 : command.node + 1);
  checker_.asked(command);
  keep_down(host, command);
  step(host, event_ = event::OperatorAsked{checker_.questions(), command, wall_clock(host)});
}

// Where the word takes the place of votes, whoever gives it sees to it that it stays true until all faults end.
void World::keep_down(const Host& host, const OperatorCommand& command) {
  if (command.verb == OperatorVerb::quorum_override)
    for (const NodeId node : command.vouched) {
      hosts_[node].vouched_for = true;
      hosts_[node].vouched_by = host.id;
    }
  if (command.verb != OperatorVerb::confirm_down || host.core->lease_until() > machines_[host.id].clock.at(now_))
    return;
  hosts_[command.node].vouched_for = true;
}

// For all that this node does not hear, as `vigil quorum override` would name them, if they are down indeed.
void World::vouch(Host& host) {
  if (!host.core || blocked(host)) return;
  OperatorCommand command;
  command.verb = OperatorVerb::quorum_override;
  NodeStatus status;
  host.core->describe(machines_[host.id].clock.at(now_), status);
  for (const PeerStatus& peer : status.peers)
    if (!peer.heard) command.vouched.add(peer.node);
  if (truthful(command)) ask(host, command);
}

void World::answered(Host& host, const effect::OperatorAnswer& answer) {
  trace_.mix(answer.id * 2 + (answer.accepted ? 1 : 0));
  checker_.answered(now_, host.id, answer.id, answer.accepted);
  trace_.line(now_, host.id, "answers the operator: %s: %s", answer.accepted ? "accepted" : "refused",
              answer.text.c_str());
}

// "I vouch that this node is down" is said only of a machine without power.
bool World::truthful(const OperatorCommand& command) const {
  if (command.verb == OperatorVerb::confirm_down) return !machines_[command.node].powered;
  if (command.verb != OperatorVerb::quorum_override) return true;
  for (const NodeId node : command.vouched)
    if (machines_[node].powered) return false;
  return true;
}

Host& World::some_dead_host() {
  std::array<NodeId, max_sim_nodes> dead{};
  std::size_t count = 0;
  for (std::size_t i = 0; i < scenario_.nodes; ++i)
    if (!machines_[i].powered) dead[count++] = static_cast<NodeId>(i);
  return count == 0 ? some_host() : hosts_[dead[random_.below(count)]];
}

void World::operate() {
  OperatorCommand command;
  command.verb = static_cast<OperatorVerb>(random_.below(9));
  if (command.verb == OperatorVerb::quorum_override) return vouch(some_host());
  command.node = (command.verb == OperatorVerb::confirm_down ? some_dead_host() : some_host()).id;
  if (command.verb <= OperatorVerb::group_clear)
    command.group = static_cast<GroupIndex>(random_.below(scenario_.config.groups.size()));
  if (command.verb == OperatorVerb::node_stop && !chance(40)) return;
  if (!truthful(command)) return;
  ask(some_host(), command);
}

// ---- after the faults -----------------------------------------------------------------------------

// Undoes what commands and exhausted restarts have left behind, as an operator would from `vigil status`.
void World::set_right() {
  for (std::size_t i = 0; i < scenario_.nodes; ++i) {
    Host& host = hosts_[i];
    if (host.outcast) daemon_crash(host, scenario_.interval_ns());
    if (!host.core && host.left) at(now_ + scenario_.interval_ns(), What::start_daemon, host.id);
  }
  const Record* record = checker_.newest_committed();
  if (record == nullptr) return;
  if (scenario_.rotates) copy_key_files(*record);
  Host& host = some_host();
  const ClusterState& state = record->state;
  for (const NodeId node : state.standby | state.leaving) ask(host, {OperatorVerb::node_online, no_index, node});
  for (std::size_t g = 0; g < scenario_.config.groups.size(); ++g) {
    const auto group = static_cast<GroupIndex>(g);
    const GroupState& is = state.groups[g];
    if (!is.failed_on.empty() || is.phase == GroupPhase::error) ask(host, {OperatorVerb::group_clear, group, no_node});
    if (!is.wanted) ask(host, {OperatorVerb::group_online, group, no_node});
    // What could not be stopped there ends with a reboot: the only proof an operator has. Where it would hang again,
    // the reboots alone would hold the node out.
    if (group != scenario_.cursed_group && is.phase == GroupPhase::blocked && !is.unproven.empty())
      reboot(hosts_[is.unproven.lowest()]);
  }
}

// Once; then it is given the time that a restarted node takes.
void World::reboot(Host& host) {
  if (host.rebooted_at > calm_at_ &&
      now_ - host.rebooted_at < scenario_.restart_wait_ns() + scenario_.detection_ns() * 8)
    return;
  host.rebooted_at = now_;
  machine_crash(host, scenario_.interval_ns());
}

bool World::group_serves(std::size_t group, const GroupState& state, std::string& why) const {
  const GroupConfig& config = scenario_.config.groups[group];
  const std::string name = "group " + std::to_string(group);
  if (state.phase != GroupPhase::online || state.owner >= scenario_.nodes) {
    why = name + " is not online";
    return false;
  }
  for (std::size_t i = 0; i < scenario_.nodes; ++i) {
    const bool owner = i == state.owner;
    for (std::size_t a = 0; a < config.addresses.size(); ++a)
      if (machines_[i].serves(group, a, now_) != owner) {
        why = name + (owner ? " is not served by its owner, node " : " is served by ") + std::to_string(i + 1);
        return false;
      }
    if (config.application.present && machines_[i].running[group] != owner) {
      why = name + (owner ? "'s application does not run on its owner, node " : "'s application runs on ") +
            std::to_string(i + 1);
      return false;
    }
  }
  return true;
}

bool World::converged(std::string& why) const {
  const Record* record = checker_.newest_committed();
  if (record == nullptr) {
    why = "no view was ever committed";
    return false;
  }
  for (std::size_t i = 0; i < scenario_.nodes; ++i) {
    const Host& host = hosts_[i];
    const std::string name = "node " + std::to_string(i + 1);
    if (!host.core)
      why = name + " does not run";
    else if (!record->view.holds(host.id, host.incarnation))
      why = name + " is not in the newest view";
    else if (host.committed.epoch != record->stamp.epoch)
      why = name + " does not know the newest view";
    else
      continue;
    return false;
  }
  if (!rule_is_settled(*record)) {
    why = "the rule of quorum has not followed the members";
    return false;
  }
  if (scenario_.rotates && !keys_are_settled(*record, why)) return false;
  for (std::size_t g = 0; g < scenario_.config.groups.size(); ++g)
    if (g != scenario_.cursed_group && !group_serves(g, record->state.groups[g], why)) return false;
  return true;
}

// With everybody in, everybody with a vote counts, by the configured rule; but not who is to leave, where the rule
// follows the members.
bool World::rule_is_settled(const Record& record) const {
  const View& view = record.view;
  const ClusterConfig& config = other_file_in_force_ ? other_file_ : scenario_.config;
  const bool by_members = config.quorum.policy == QuorumPolicy::last_man_standing;
  if (view.also.exists() || view.rule.kind != (by_members ? QuorumKind::last_man_standing : QuorumKind::majority))
    return false;
  for (const NodeConfig& node : scenario_.config.nodes)
    if (view.rule.voters.has(node.id) != (node.votes > 0) && !(by_members && record.state.leaving.has(node.id)))
      return false;
  return true;
}

void World::look() {
  std::string why;
  if (converged(why)) {
    converged_at_ = now_;
    done_ = !begin_exam();
    trace_.line(now_, no_node, "converged %.3f ms after the last fault", static_cast<double>(now_ - calm_at_) / 1e6);
    return;
  }
  if (now_ - calm_at_ > scenario_.convergence_bound_ns())
    return checker_.fail(Invariant::convergence, now_,
                         why + ", " + std::to_string((now_ - calm_at_) / 1'000'000) + " ms after the last fault");
  const auto looks = static_cast<std::uint64_t>((now_ - calm_at_) / scenario_.detection_ns());
  if (looks % 4 == 0) set_right();
  at(now_ + scenario_.detection_ns() / 2, What::look, no_node);
}

}  // namespace vigil::sim
