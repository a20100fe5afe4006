// The operator's part of I4: what was accepted is decided, and what was decided stays until another word.
#include <algorithm>
#include <string>

#include "tests/sim/checker.hpp"

namespace vigil::sim {

namespace {

// What the word of an operator leaves in the state, where it leaves one thing that no other event touches.
bool shows(const OperatorCommand& command, const ClusterState& state) {
  switch (command.verb) {
    case OperatorVerb::group_online:
      return state.groups[command.group].wanted;
    case OperatorVerb::group_offline:
      return !state.groups[command.group].wanted;
    case OperatorVerb::node_standby:
      return state.standby.has(command.node);
    case OperatorVerb::node_online:
      return !state.standby.has(command.node);
    default:
      return false;
  }
}

bool leaves_a_mark(OperatorVerb verb) {
  return verb == OperatorVerb::group_online || verb == OperatorVerb::group_offline ||
         verb == OperatorVerb::node_standby || verb == OperatorVerb::node_online;
}

OperatorVerb opposite_of(OperatorVerb verb) {
  switch (verb) {
    case OperatorVerb::group_online:
      return OperatorVerb::group_offline;
    case OperatorVerb::group_offline:
      return OperatorVerb::group_online;
    case OperatorVerb::node_standby:
      return OperatorVerb::node_online;
    default:
      return OperatorVerb::node_standby;
  }
}

}  // namespace

void Checker::asked(const OperatorCommand& command) {
  const Record* newest = newest_committed();
  questions_.push_back({command, newest == nullptr ? Stamp{} : newest->stamp});
}

bool Checker::was_asked(OperatorVerb verb, GroupIndex group, NodeId of) const {
  return std::any_of(questions_.begin(), questions_.end(), [&](const Question& question) {
    const OperatorCommand& command = question.command;
    return command.verb == verb && (group == no_index ? command.node == of : command.group == group);
  });
}

NodeSet Checker::vouched_for() const {
  NodeSet down;
  for (const Question& question : questions_) {
    if (question.command.verb == OperatorVerb::confirm_down) down.add(question.command.node);
    if (question.command.verb == OperatorVerb::quorum_override) down = down | question.command.vouched;
  }
  return down;
}

bool Checker::was_decided(const Question& question) const {
  for (std::size_t i = 0; i < history_size_; ++i) {
    const Known& known = history_[i];
    if (known.committed && known.record.stamp >= question.newest && shows(question.command, known.record.state))
      return true;
  }
  return false;
}

// Two words against each other may be decided in one record, which then shows the later one alone.
void Checker::answered(SimTime now, NodeId node, std::uint64_t number, bool accepted) {
  if (!accepted || number == 0 || number > questions_.size()) return;
  const Question& question = questions_[number - 1];
  const OperatorCommand& command = question.command;
  if (!leaves_a_mark(command.verb)) return;
  if (was_decided(question) || was_asked(opposite_of(command.verb), command.group, command.node)) return;
  fail(Invariant::durability, now,
       "node " + std::to_string(node + 1) + " calls the operator's word " + std::to_string(number) +
           " accepted, but no committed record shows it");
}

// From one committed record to the next, only an operator changes what operators have said.
void Checker::check_word(SimTime now, NodeId node, const Record& before, const Record& record) {
  if (before.state.config_hash != record.state.config_hash) return;  // another file begins anew
  const auto lost = [&](const std::string& what) {
    fail(Invariant::durability, now, "node " + std::to_string(node + 1) + ": " + what + ", though no operator said so");
  };
  for (std::size_t g = 0; g < config_->groups.size(); ++g) {
    const bool wanted = record.state.groups[g].wanted;
    if (wanted == before.state.groups[g].wanted) continue;
    const OperatorVerb verb = wanted ? OperatorVerb::group_online : OperatorVerb::group_offline;
    if (!was_asked(verb, static_cast<GroupIndex>(g), no_node))
      lost("group " + std::to_string(g) + (wanted ? " is wanted again" : " is not wanted any more"));
  }
  for (const NodeId of : record.state.standby - before.state.standby)
    if (!was_asked(OperatorVerb::node_standby, no_index, of)) lost("node " + std::to_string(of + 1) + " is on standby");
  for (const NodeId of : before.state.standby - record.state.standby)
    if (!was_asked(OperatorVerb::node_online, no_index, of))
      lost("node " + std::to_string(of + 1) + " is not on standby any more");
}

}  // namespace vigil::sim
