// One GroupHolder with the node around it, for tests: a record to edit, a clock to turn, effects as
// lines of text. The rig answers nothing by itself.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "runtime/core/group_holder.hpp"
#include "tests/unit/core/cluster_text.hpp"

namespace vigil::testing {

class HolderRig {
 public:
  // `config` must outlive the rig. All adapters good, lease never ending, everybody a member.
  HolderRig(const ClusterConfig& config, NodeId self, GroupIndex group = 0)
      : config_(config), holder(std::make_unique<GroupHolder>(config, self, group)), group_index(group) {
    context.now = Instant{1'000'000'000};
    context.self = self;
    context.record = &record;
    context.lease_until = context.now + Duration::from_s(3600);
    context.all_leases_over = Instant{0};
    context.lease_lost_since = Instant::never();
    context.adapter_ok.fill(true);
    context.next_request = &next_request_;
    context.next_report = &next_report_;
    record.stamp = {{1, 0}, 1};
    record.view.epoch = {1, 0};
    record.view.coordinator = 0;
    for (const NodeConfig& node : config.nodes) {
      record.view.members.add(node.id);
      record.view.incarnations[node.id] = incarnation_of(node.id);
    }
    record.state.group_count = static_cast<std::uint8_t>(config.groups.size());
  }

  static Incarnation incarnation_of(NodeId node) { return {std::uint64_t{100} + node, std::uint64_t{200} + node}; }
  GroupState& group() { return record.state.groups[group_index]; }

  // Gives the group to `owner` as a new generation.
  void assign(NodeId owner, NodeSet unproven = {}, GroupReason reason = GroupReason::node_failed,
              GroupPhase phase = GroupPhase::acquiring) {
    group().previous = group().owner;
    group().owner = owner;
    group().unproven = unproven;
    group().reason = reason;
    group().phase = phase;
    ++group().generation;
  }
  void expel(NodeId node) {
    record.view.members.remove(node);
    record.view.incarnations[node] = {};
    record.state.unfenced.add(node);
    ++record.view.epoch.counter;
  }

  void advance() { holder->advance(context, effects); }
  // Turns the clock, stopping at every deadline of the holder on the way.
  void wait(Duration duration) {
    const Instant end = context.now + duration;
    for (int guard = 0; guard < 10'000 && holder->next_deadline() <= end; ++guard) {
      context.now = later(context.now, holder->next_deadline());
      advance();
    }
    context.now = end;
    advance();
  }
  void lose_lease() {
    context.lease_until = context.now;
    context.lease_lost_since = context.now;
  }
  void regain_lease() {
    context.lease_until = context.now + Duration::from_s(3600);
    context.lease_lost_since = Instant::never();
  }
  void address_done(std::uint8_t address, bool added, bool ok = true) {
    holder->on_address_done(context, {group_index, address, added, ok, Duration::from_us(40)}, effects);
  }
  // Ends the newest request of this verb.
  bool agent_done(effect::AgentVerb verb, event::AgentOutcome outcome = event::AgentOutcome::ok, int status = 0) {
    std::uint32_t request = 0;
    for (const effect::RunAgent& run : history)
      if (run.verb == verb && (verb != effect::AgentVerb::event || run.wait)) request = run.request;
    for (const Effect& effect : effects.items())
      if (const auto* run = std::get_if<effect::RunAgent>(&effect))
        if (run->verb == verb && (verb != effect::AgentVerb::event || run->wait)) request = run->request;
    return holder->on_agent_done(context, {request, outcome, status, Duration::from_ms(20)}, effects);
  }
  void application_failed(std::uint32_t generation) {
    holder->on_application_failed(context, {group_index, generation}, effects);
  }
  void agent_state(bool up) {
    context.agent_up = up;
    holder->on_agent_state(context, up, effects);
  }

  // How many of the effects that were not taken yet are of this kind.
  template <typename T>
  int count() const {
    int found = 0;
    for (const Effect& effect : effects.items())
      if (std::holds_alternative<T>(effect)) ++found;
    return found;
  }
  int count_agent(effect::AgentVerb verb) const {
    int found = 0;
    for (const Effect& effect : effects.items())
      if (const auto* run = std::get_if<effect::RunAgent>(&effect)) found += run->verb == verb;
    return found;
  }
  int count_report(ReportKind kind, NodeId to = no_node) const {
    int found = 0;
    for (const Effect& effect : effects.items())
      if (const auto* send = std::get_if<effect::SendMessage>(&effect))
        if (const auto* report = std::get_if<Report>(&send->message))
          found += report->kind == kind && (to == no_node || send->to == to);
    return found;
  }
  // The steps of an acquisition that need proofs.
  int count_takeover_steps() const { return count<effect::AddAddress>() + count_agent(effect::AgentVerb::start); }

  // Forgets the effects so far, and returns them as text.
  std::vector<std::string> take() {
    std::vector<std::string> lines;
    for (const Effect& effect : effects.items()) {
      if (const auto* run = std::get_if<effect::RunAgent>(&effect)) history.push_back(*run);
      lines.push_back(text(effect));
    }
    effects.clear();
    return lines;
  }
  std::uint32_t last_serial() const { return next_report_; }

 private:
  std::string address_text(std::uint8_t index) const {
    return to_text(config_.groups[group_index].addresses[index].address).str();
  }
  std::string device(AdapterIndex adapter) const { return config_.nodes[context.self].adapters[adapter].device.str(); }
  std::string text(const Effect& effect) const {
    static const char* const verbs[] = {"start", "stop", "monitor_on", "monitor_off", "hook", "clean"};
    static const char* const stages[] = {"pre", "command", "post", "notify", "recovery"};
    static const char* const kinds[] = {"observed", "accused", "voted", "decided", "started", "done", "failed", "waiting"};
    if (const auto* add = std::get_if<effect::AddAddress>(&effect))
      return "add " + address_text(add->address) + " on " + device(add->adapter) + (add->probe_first ? " after probe" : "");
    if (const auto* remove = std::get_if<effect::RemoveAddress>(&effect))
      return "remove " + address_text(remove->address) + " from " + device(remove->adapter);
    if (const auto* run = std::get_if<effect::RunAgent>(&effect)) {
      std::string line = std::string("agent ") + verbs[static_cast<std::size_t>(run->verb)];
      if (run->verb == effect::AgentVerb::event)
        line += " " + std::string(to_string(run->event)) + " " + stages[static_cast<std::size_t>(run->stage)];
      return line + (run->wait ? " and wait" : "");
    }
    if (const auto* send = std::get_if<effect::SendMessage>(&effect))
      if (const auto* report = std::get_if<Report>(&send->message))
        return "report " + text_of(report->kind) + " of generation " + std::to_string(report->generation) + " to " +
               text_of(config_, send->to);
    if (const auto* journal = std::get_if<effect::Journal>(&effect))
      return std::string("journal ") + kinds[static_cast<std::size_t>(journal->entry.kind)] + " " +
             std::string(to_string(journal->entry.event)) + ": " + journal->entry.text.str();
    return "an effect that no holder has";
  }

  const ClusterConfig& config_;

 public:
  Record record;
  HolderContext context;
  std::unique_ptr<GroupHolder> holder;
  GroupIndex group_index;
  Effects effects;
  std::vector<effect::RunAgent> history;

 private:
  std::uint32_t next_request_ = 0;
  std::uint32_t next_report_ = 0;
};

}  // namespace vigil::testing
