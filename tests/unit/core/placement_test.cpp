// Properties of placement under long random histories, checked against rules written down here once
// more, and the corners that no scenario file shows well.
#include "runtime/core/placement.hpp"

#include <cstdio>
#include <memory>
#include <string>

#include "runtime/base/random.hpp"
#include "tests/unit/core/cluster_text.hpp"
#include "tests/unit/cmocka.hpp"  // last: it defines fail() as a macro

using namespace vigil;
using namespace vigil::testing;

namespace {

constexpr std::size_t node_count = 5;

std::unique_ptr<ClusterConfig> random_config(Random& random) {
  auto config = std::make_unique<ClusterConfig>();
  for (std::size_t i = 0; i < node_count; ++i) {
    NodeConfig node;
    node.id = static_cast<NodeId>(i);
    node.name.assign("n" + std::to_string(i));
    config->nodes.push(node);
  }
  config->networks.push({});
  config->networks.push({});
  config->networks[1].backup = 0;
  const std::size_t groups = 1 + random.below(6);
  for (std::size_t i = 0; i < groups; ++i) {
    GroupConfig group;
    group.name.assign("g" + std::to_string(i));
    const std::size_t first = random.below(node_count);
    const std::size_t members = 1 + random.below(node_count);
    for (std::size_t n = 0; n < members; ++n) group.nodes.push(static_cast<NodeId>((first + n) % node_count));
    group.policy = random.chance(40) ? GroupPolicy::rotating : GroupPolicy::cascading;
    group.fallback = random.chance(60);
    group.autostart = random.chance(80);
    group.priority = static_cast<std::uint8_t>(random.below(3));
    AddressConfig address;
    address.network = static_cast<NetworkIndex>(random.below(2));
    group.addresses.push(address);
    group.application.present = random.chance(70);
    group.application.state = static_cast<ApplicationState>(random.below(3));
    config->groups.push(group);
  }
  return config;
}

// One cluster with a history; every step is checked.
struct History {
  explicit History(std::uint64_t seed) : random(seed), config(random_config(random)), state(initial_state(*config)) {
    facts.networks_up.fill(0xff);
  }

  Random random;
  std::unique_ptr<ClusterConfig> config;
  View view;
  NodeFacts facts;
  ClusterState state;
  // what this step proved
  NodeSet proven_everywhere;
  std::array<NodeSet, limits::max_groups> proven{};
  const char* broken = nullptr;  // the first rule that did not hold

  void rule(bool holds, const char* text) {
    if (!holds && broken == nullptr) broken = text;
  }

  void step() {
    const ClusterState before = state;
    proven_everywhere = {};
    proven.fill({});
    act();
    const ClusterState unplaced = state;
    place(*config, view, facts, state);
    ClusterState again = state;
    place(*config, view, facts, again);
    rule(again == state, "place() is idempotent");
    ClusterState same = unplaced;
    place(*config, view, facts, same);
    rule(same == state, "place() is deterministic");
    for (std::size_t i = 0; i < config->groups.size(); ++i) check(i, before.groups[i], unplaced.groups[i], state.groups[i]);
  }

  void act() {
    const auto node = static_cast<NodeId>(random.below(node_count));
    switch (random.below(8)) {
      case 0: return change_view(node);
      case 1:
        facts.networks_up[node] = static_cast<std::uint8_t>(random.below(4));
        return;
      case 2:
        random.chance(80) && view.members.has(node) ? facts.ready.add(node) : facts.ready.remove(node);
        return;
      case 3: return command(node);
      default: return report(node);
    }
  }

  void change_view(NodeId node) {
    if (!view.members.has(node)) {
      view.members.add(node);
      facts.ready.add(node);
      facts.networks_up[node] = 3;
      proven_everywhere.add(node);
      return apply_view_change(*config, {}, {}, NodeSet::of(node), state);
    }
    const bool good_order = random.chance(30);
    if (random.chance(15)) {  // crashed and back within one change
      proven_everywhere.add(node);
      return apply_view_change(*config, NodeSet::of(node), {}, NodeSet::of(node), state);
    }
    view.members.remove(node);
    facts.ready.remove(node);
    if (good_order) proven_everywhere.add(node);
    apply_view_change(*config, good_order ? NodeSet{} : NodeSet::of(node), good_order ? NodeSet::of(node) : NodeSet{},
                      {}, state);
  }

  void command(NodeId node) {
    OperatorCommand command;
    command.verb = static_cast<OperatorVerb>(random.below(8));
    command.group = static_cast<GroupIndex>(random.below(config->groups.size()));
    command.node = node;
    BoundedString<127> text;
    const bool accepted = apply_operator(*config, view, command, facts, state, text);
    rule(!text.empty(), "every operator's word gets an answer");
    if (command.verb == OperatorVerb::confirm_down && accepted) {
      rule(!view.members.has(node), "a live member is never confirmed down");
      proven_everywhere.add(node);
    }
  }

  void report(NodeId node) {
    Report report;
    report.group = static_cast<GroupIndex>(random.below(config->groups.size()));
    const GroupState& group = state.groups[report.group];
    report.generation = random.chance(85) ? group.generation : group.generation - 1;
    report.kind = static_cast<ReportKind>(random.below(8));
    if (random.chance(60) && group.owner != no_node) node = group.owner;
    // A holder reports "acquired" only with every proof held, never while the record says blocked.
    if (report.kind == ReportKind::acquired && group.phase == GroupPhase::blocked) return;
    if (!view.members.has(node)) return;
    const ClusterState before = state;
    const bool taken = apply_report(*config, node, report, facts, state);
    rule(taken || before == state, "a stale report changes nothing");
    rule(!taken || report.generation == before.groups[report.group].generation, "an old generation's report is stale");
    if (!taken) return;
    if (report.kind == ReportKind::released) proven[report.group].add(node);
    if (report.kind == ReportKind::acquired) proven[report.group] = NodeSet::from_bits(~std::uint64_t{0});
  }

  bool listed(std::size_t index, NodeId node) const {
    for (const NodeId candidate : config->groups[index].nodes)
      if (candidate == node) return true;
    return false;
  }

  void check(std::size_t index, const GroupState& before, const GroupState& unplaced, const GroupState& after) {
    const NodeSet proof = proven[index] | proven_everywhere;
    for (const NodeId node : before.unproven - after.unproven)
      rule(proof.has(node) || after.owner == node, "no node stops being unproven without a proof");
    if (before.owner != no_node && before.owner != after.owner)
      rule(after.unproven.has(before.owner) || proof.has(before.owner), "an owner that goes is unproven");
    rule(!after.unproven.has(after.owner), "the owner is not its own obstacle");
    rule((view.members | state.unfenced).includes(after.unproven), "the unproven are members, or unfenced");
    rule(before.owner == after.owner || after.generation > before.generation, "another owner, another generation");
    rule(after.generation >= before.generation, "generations do not go back");
    rule(after.pinned == no_node || after.pinned == after.owner, "the pin is the owner's");
    if (after.owner != no_node) {
      rule(view.members.has(after.owner), "the owner is a member");
      rule(after.wanted, "an unwanted group has no owner");
      rule(!state.standby.has(after.owner) && !state.leaving.has(after.owner) && !after.failed_on.has(after.owner),
           "nothing forbids the owner to run it");
    }
    if (after.generation != unplaced.generation && after.owner != no_node)
      rule(listed(index, after.owner) && facts.ready.has(after.owner) && !state.unfenced.has(after.owner) &&
               (facts.networks_up[after.owner] & (config->groups[index].addresses[0].network == 0 ? 1 : 3)) != 0,
           "who is given a group is listed, ready, clean, and has the network");
    if (after.phase == GroupPhase::online) rule(after.unproven.empty(), "online means all proven");
    const ApplicationConfig& application = config->groups[index].application;
    const bool needs_fence = application.present && application.state != ApplicationState::none &&
                             after.unproven.intersects(state.unfenced);
    if (after.phase == GroupPhase::acquiring) rule(!needs_fence, "what needs a fence is blocked");
    if (after.phase == GroupPhase::blocked) rule(!after.unproven.empty(), "blocked means that a proof is missing");
    const bool has_phase_with_owner = after.phase == GroupPhase::acquiring || after.phase == GroupPhase::online ||
                                      after.phase == GroupPhase::blocked;
    rule(has_phase_with_owner == (after.owner != no_node), "the phase says whether there is an owner");
  }
};

void random_histories_keep_every_rule(void**) {
  std::string broken;
  for (std::uint64_t seed = 1; seed <= 400 && broken.empty(); ++seed) {
    History history(seed);
    for (int i = 0; i < 300 && history.broken == nullptr; ++i) {
      history.step();
      if (history.broken != nullptr)
        broken = "seed " + std::to_string(seed) + ", step " + std::to_string(i) + ": " + history.broken;
    }
  }
  assert_string_equal(broken.c_str(), "");
}

// With everybody healthy, patience and no operator, every wanted group ends online.
void quiet_clusters_come_online(void**) {
  std::string stuck;
  for (std::uint64_t seed = 1; seed <= 200 && stuck.empty(); ++seed) {
    History history(seed);
    for (int i = 0; i < 200; ++i) history.step();
    const NodeSet everybody = NodeSet::from_bits((1U << node_count) - 1);
    apply_view_change(*history.config, {}, {}, everybody, history.state);
    history.view.members = history.facts.ready = everybody;
    history.facts.networks_up.fill(3);
    history.state.standby = {};
    for (std::size_t i = 0; i < history.config->groups.size(); ++i) {
      history.state.groups[i].wanted = true;
      history.state.groups[i].failed_on = {};
    }
    for (int round = 0; round < 4; ++round) {  // first placement, and at most one fallback
      place(*history.config, history.view, history.facts, history.state);
      for (std::size_t i = 0; i < history.config->groups.size(); ++i) {
        GroupState& group = history.state.groups[i];
        for (const NodeId node : NodeSet(group.unproven)) {
          const Report released{static_cast<GroupIndex>(i), group.generation, ReportKind::released, 1, {}, 0};
          apply_report(*history.config, node, released, history.facts, history.state);
        }
        const Report acquired{static_cast<GroupIndex>(i), group.generation, ReportKind::acquired, 1, {}, 0};
        apply_report(*history.config, group.owner, acquired, history.facts, history.state);
      }
    }
    ClusterState settled = history.state;
    place(*history.config, history.view, history.facts, settled);
    if (!(settled == history.state)) stuck = "seed " + std::to_string(seed) + ": still moving";
    for (std::size_t i = 0; i < history.config->groups.size(); ++i)
      if (history.state.groups[i].phase != GroupPhase::online)
        stuck = "seed " + std::to_string(seed) + ": group " + std::to_string(i) + " is not online";
  }
  assert_string_equal(stuck.c_str(), "");
}

ClusterText two_nodes() {
  ClusterText text;
  for (const char* line : {"nodes alpha beta", "network public", "group web nodes=alpha,beta addresses=public"})
    if (!text.read(line)) bad_text(line);
  return text;
}

void strange_numbers_are_refused_in_words(void**) {
  const ClusterText text = two_nodes();
  View view;
  view.members = NodeSet::from_bits(3);
  NodeFacts facts;
  ClusterState state = initial_state(text.config());
  const ClusterState before = state;
  const OperatorCommand commands[] = {{OperatorVerb::move_group, 7, 0},        {OperatorVerb::move_group, 0, 9},
                                      {OperatorVerb::move_group, 0, no_node},  {OperatorVerb::group_clear, no_index, 0},
                                      {OperatorVerb::node_standby, 0, 63},     {OperatorVerb::confirm_down, 0, no_node}};
  for (const OperatorCommand& command : commands) {
    BoundedString<127> answer;
    const bool accepted = apply_operator(text.config(), view, command, facts, state, answer);
    const bool named = answer.view().find("there is no") != std::string_view::npos;
    assert_false(accepted);
    assert_true(named);
  }
  Report report;
  report.group = 9;
  const bool taken = apply_report(text.config(), 0, report, facts, state);
  const bool unchanged = state == before;
  assert_false(taken);
  assert_true(unchanged);
}

void budget_and_time_are_kept_until_the_next_takeover(void**) {
  const ClusterText text = two_nodes();
  View view;
  view.members = NodeSet::from_bits(3);
  NodeFacts facts;
  facts.ready = view.members;
  facts.networks_up.fill(1);
  ClusterState state = initial_state(text.config());
  place(text.config(), view, facts, state);
  Report report{0, 1, ReportKind::acquired, 1, {}, 77};
  report.budget.address_us = 40;
  apply_report(text.config(), 0, report, facts, state);
  const Budget first = state.groups[0].last;
  Report again{0, 1, ReportKind::acquired, 2, {}, 99};  // back by itself: no takeover, nothing measured
  apply_report(text.config(), 0, again, facts, state);
  assert_int_equal(first.address_us, 40);
  assert_int_equal(state.groups[0].last.address_us, 40);
  assert_int_equal(state.groups[0].last_wall_ns, 77);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(random_histories_keep_every_rule),
      cmocka_unit_test(quiet_clusters_come_online),
      cmocka_unit_test(strange_numbers_are_refused_in_words),
      cmocka_unit_test(budget_and_time_are_kept_until_the_next_takeover),
  };
  return cmocka_run_group_tests_name("core/placement", tests, nullptr, nullptr);
}
