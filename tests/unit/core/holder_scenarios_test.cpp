// Plays tests/scenarios/holder/*.txt: what the record, the shell and the agent say in, effects out. The
// stage has besides the cluster a line "self beta"; the scenario is about the first group. Events:
//
//   give alpha [unproven=…] [reason=…] [phase=…]   the group changes hands: a new generation
//   record [unproven=…] [reason=…] [phase=…]       the same generation, shown otherwise
//   expel alpha [leases=60]                        … whose lease is over in so many ms
//   wait 60 | lease lost | lease back | adapter eth0 bad|good
//   added 0 [failed] | removed 0 [failed] | conflict 0 | lost 0
//   start ok|failed|timed_out|killed, stop …, hook …   how the agent's newest such work ended
//   dead [GENERATION] | agent down|up
//   release alpha [GENERATION] | ack
#include <memory>

#include "tests/unit/core/golden.hpp"
#include "tests/unit/core/holder_rig.hpp"
#include "tests/unit/cmocka.hpp"  // last: it defines fail() as a macro

using namespace vigil;
using namespace vigil::testing;

namespace {

class HolderPlayer {
 public:
  void set(const std::string& line) {
    const std::vector<std::string> words = words_of(line);
    if (words.size() == 2 && words[0] == "self")
      self_ = node_named(text_.config(), words[1]);
    else if (!text_.read(line))
      bad_text(line);
  }

  std::vector<std::string> play(const std::string& event) {
    if (!rig_) rig_ = std::make_unique<HolderRig>(text_.config(), self_);
    apply(words_of(event));
    std::vector<std::string> lines = rig_->take();
    drop_repeated_reports(lines);
    if (lines.empty()) lines.push_back("nothing");
    return lines;
  }

 private:
  // How often a report is repeated is the unit tests' matter.
  static void drop_repeated_reports(std::vector<std::string>& lines) {
    std::vector<std::string> kept;
    for (const std::string& line : lines)
      if (line.rfind("report", 0) != 0 || std::find(kept.begin(), kept.end(), line) == kept.end()) kept.push_back(line);
    lines = kept;
  }

  static constexpr const char* outcomes[] = {"ok", "failed", "timed_out", "killed"};

  void show(const std::vector<std::string>& words) {
    GroupState& group = rig_->group();
    group.unproven = nodes_named(text_.config(), value_of(words, "unproven", "-"));
    const std::string reason = value_of(words, "reason");
    if (!reason.empty()) group.reason = enum_named<GroupReason>(reason_texts, reason);
    group.phase = enum_named<GroupPhase>(phase_texts, value_of(words, "phase", group.owner == no_node ? "offline" : "acquiring"));
  }

  void apply(const std::vector<std::string>& words) {
    const std::string& verb = words.at(0);
    const std::string what = words.size() > 1 ? words[1] : "";
    const bool well = words.size() < 3 || words[2] != "failed";
    HolderRig& rig = *rig_;
    if (verb == "give") {
      rig.assign(node_named(text_.config(), what));
      show(words);
    } else if (verb == "record") {
      show(words);
    } else if (verb == "expel") {
      rig.expel(node_named(text_.config(), what));
      rig.context.all_leases_over = rig.context.now + Duration::from_ms(std::stoi(value_of(words, "leases", "0")));
      return;  // seen together with what the record then says of the group
    } else if (verb == "wait") {
      return rig.wait(Duration::from_ms(std::stoi(what)));
    } else if (verb == "lease") {
      what == "lost" ? rig.lose_lease() : rig.regain_lease();
    } else if (verb == "adapter") {
      const auto& adapters = text_.config().nodes[self_].adapters;
      for (std::size_t i = 0; i < adapters.size(); ++i)
        if (adapters[i].device == what) rig.context.adapter_ok[i] = words.at(2) == "good";
    } else if (verb == "added" || verb == "removed") {
      return rig.address_done(static_cast<std::uint8_t>(std::stoi(what)), verb == "added", well);
    } else if (verb == "conflict" || verb == "lost") {
      const auto address = static_cast<std::uint8_t>(std::stoi(what));
      if (verb == "lost") return rig.holder->on_address_lost(rig.context, {0, address}, rig.effects);
      return rig.holder->on_address_conflict(rig.context, {0, address}, rig.effects);
    } else if (verb == "start" || verb == "stop" || verb == "hook") {
      const auto work = verb == "start" ? effect::AgentVerb::start
                        : verb == "stop" ? effect::AgentVerb::stop
                                         : effect::AgentVerb::event;
      rig.agent_done(work, enum_named<event::AgentOutcome>(outcomes, what), what == "failed" ? 3 : 0);
      return;
    } else if (verb == "dead") {
      return rig.application_failed(what.empty() ? rig.group().generation
                                                 : static_cast<std::uint32_t>(std::stoul(what)));
    } else if (verb == "agent") {
      return rig.agent_state(what == "up");
    } else if (verb == "release") {
      const NodeId from = node_named(text_.config(), what);
      rig.holder->on_release(from, HolderRig::incarnation_of(from),
                             words.size() > 2 ? static_cast<std::uint32_t>(std::stoul(words[2]))
                                              : rig.group().generation);
    } else if (verb == "ack") {
      rig.holder->on_report_ack(rig.last_serial());
    } else {
      bad_text(verb);
    }
    rig.advance();
  }

  ClusterText text_;
  NodeId self_ = 0;
  std::unique_ptr<HolderRig> rig_;
};

void every_scenario_comes_out_as_written(void**) {
  assert_true(scenarios_come_out_as_written<HolderPlayer>("tests/scenarios/holder"));
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(every_scenario_comes_out_as_written)};
  return cmocka_run_group_tests_name("core/holder_scenarios", tests, nullptr, nullptr);
}
