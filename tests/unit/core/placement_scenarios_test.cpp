// Plays tests/scenarios/placement/*.txt: views, reports and the operator's words in, the groups' states
// out. Events:
//
//   view alpha,beta [expelled=…] [left=…] [clean=…]
//   networks alpha public,private          what alpha can serve on (all at first)
//   ready alpha yes|no
//   heard alpha yes|no                     by a member, though it is none
//   report alpha web acquired [GENERATION] (the current one by default)
//   move web beta | online web | offline web | clear web
//   standby alpha | unstandby alpha | stop alpha | confirm alpha
#include <cstdio>
#include <memory>

#include "runtime/core/placement.hpp"
#include "tests/unit/core/cluster_text.hpp"
#include "tests/unit/core/golden.hpp"
#include "tests/unit/cmocka.hpp"  // last: it defines fail() as a macro

using namespace vigil;
using namespace vigil::testing;

namespace {

class PlacementPlayer {
 public:
  void set(const std::string& line) {
    if (!text_.read(line)) bad_text(line);
  }

  std::vector<std::string> play(const std::string& event) {
    if (!started_) start();
    std::vector<std::string> lines;
    const ClusterState before = state_;
    apply(words_of(event), lines);
    place(config(), view_, facts_, state_);
    ClusterState again = state_;
    place(config(), view_, facts_, again);
    if (!(again == state_)) lines.push_back("place() is not idempotent here");
    for (std::size_t i = 0; i < config().groups.size(); ++i)
      if (!(before.groups[i] == state_.groups[i])) lines.push_back(text(i));
    if (!(before.unfenced == state_.unfenced)) lines.push_back("unfenced: " + text_of(config(), state_.unfenced));
    if (lines.empty()) lines.push_back("nothing changes");
    return lines;
  }

 private:
  const ClusterConfig& config() const { return text_.config(); }

  void start() {
    started_ = true;
    state_ = initial_state(config());
    facts_.networks_up.fill(0xff);
  }

  std::string text(std::size_t index) const {
    const GroupState& group = state_.groups[index];
    std::string line = config().groups[index].name.str() + ": " + text_of(group.phase);
    if (group.owner != no_node) line += " on " + text_of(config(), group.owner);
    line += ", generation " + std::to_string(group.generation) + ", " + text_of(group.reason);
    if (!group.unproven.empty()) line += ", unproven " + text_of(config(), group.unproven);
    if (!group.failed_on.empty()) line += ", failed on " + text_of(config(), group.failed_on);
    if (group.pinned != no_node) line += ", pinned";
    if (group.restarts != 0) line += ", restarts " + std::to_string(group.restarts);
    return line;
  }

  void apply(const std::vector<std::string>& words, std::vector<std::string>& lines) {
    const std::string& verb = words.at(0);
    if (verb == "view") {
      view_.members = facts_.ready = nodes_named(config(), words.at(1));
      apply_view_change(config(), nodes_named(config(), value_of(words, "expelled")),
                        nodes_named(config(), value_of(words, "left")), nodes_named(config(), value_of(words, "clean")),
                        state_);
    } else if (verb == "networks") {
      std::uint8_t bits = 0;
      for (const std::string& name : words_of(words.at(2), ','))
        if (name != "-") bits = static_cast<std::uint8_t>(bits | (1U << network_named(config(), name)));
      facts_.networks_up[node_named(config(), words[1])] = bits;
    } else if (verb == "ready" || verb == "heard") {
      const NodeId node = node_named(config(), words.at(1));
      NodeSet& fact = verb == "ready" ? facts_.ready : facts_.heard;
      words.at(2) == "yes" ? fact.add(node) : fact.remove(node);
    } else if (verb == "report") {
      apply_report_words(words, lines);
    } else {
      apply_operator_words(words, lines);
    }
  }

  void apply_report_words(const std::vector<std::string>& words, std::vector<std::string>& lines) {
    Report report;
    report.group = group_named(config(), words.at(2));
    report.kind = enum_named<ReportKind>(report_texts, words.at(3));
    report.generation = words.size() > 4 ? static_cast<std::uint32_t>(std::stoul(words[4]))
                                         : state_.groups[report.group].generation;
    if (!apply_report(config(), node_named(config(), words[1]), report, facts_, state_)) lines.push_back("stale");
  }

  void apply_operator_words(const std::vector<std::string>& words, std::vector<std::string>& lines) {
    static const char* const verbs[] = {"move", "online", "offline", "clear", "standby", "unstandby", "stop", "confirm"};
    OperatorCommand command;
    command.verb = enum_named<OperatorVerb>(verbs, words.at(0));
    if (static_cast<int>(command.verb) <= static_cast<int>(OperatorVerb::group_clear))
      command.group = group_named(config(), words.at(1));
    else
      command.node = node_named(config(), words.at(1));
    if (command.verb == OperatorVerb::move_group) command.node = node_named(config(), words.at(2));
    BoundedString<127> answer;
    const bool accepted = apply_operator(config(), view_, command, facts_, state_, answer);
    lines.push_back((accepted ? "yes: " : "no: ") + answer.str());
  }

  ClusterText text_;
  bool started_ = false;
  View view_;
  NodeFacts facts_;
  ClusterState state_;
};

void every_scenario_comes_out_as_written(void**) {
  assert_true(scenarios_come_out_as_written<PlacementPlayer>("tests/scenarios/placement"));
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(every_scenario_comes_out_as_written)};
  return cmocka_run_group_tests_name("core/placement_scenarios", tests, nullptr, nullptr);
}
