// Plays tests/scenarios/membership/*.txt: some whole cores on a scripted network (cluster_rig.hpp), what
// happens to them in, and out what they committed (VIEW.COORDINATOR/VERSION), which gates opened and closed,
// and their journals; one line for all nodes that say the same. Events:
//
//   start alpha,beta [hash=2]     power on (hash: with another configuration than the rest)
//   boot alpha,beta               power on, and wait until all serve in one view: only the end is told
//   crash alpha | restart alpha   power off; power off and on at once
//   freeze alpha | thaw alpha     all its processes stop, and go on; nothing tells them
//   part alpha beta,gamma | heal  networks split into these parts
//   lose Accepted,Commit [from=alpha] [to=beta] | lose nothing
//   cable alpha eth0 out|in
//   disk full|good                everybody's state directory
//   ask alpha VERB [group=web] [node=beta]   an operator at alpha
//   run 180                       the clock goes on by so many ms
#include <memory>

#include "tests/unit/core/cluster_rig.hpp"
#include "tests/unit/core/golden.hpp"
// Last: cmocka's macros (fail, …) bite the standard library.
#include "tests/unit/cmocka.hpp"

using namespace vigil;
using namespace vigil::testing;

namespace {

const char* const verb_texts[] = {"move_group",   "group_online", "group_offline", "group_clear",
                                  "node_standby", "node_online",  "node_stop",     "confirm_down"};

class ClusterPlayer {
 public:
  void set(const std::string& line) {
    if (!text_.read(line)) bad_text(line);
  }

  std::vector<std::string> play(const std::string& event) {
    if (!rig_) {
      config_ = std::make_unique<ClusterConfig>(text_.config());
      rig_ = std::make_unique<ClusterRig>(*config_);
    }
    apply(words_of(event));
    std::vector<std::string> lines = rig_->take();
    if (event.rfind("boot ", 0) == 0) lines = last_record(lines);
    if (lines.empty()) lines.push_back("nothing");
    return lines;
  }

 private:
  static std::vector<std::string> last_record(const std::vector<std::string>& lines) {
    std::vector<std::string> last;
    for (const std::string& line : lines)
      if (line.find(": record ") != std::string::npos) last = {line};
    return last;
  }

  void boot(NodeSet nodes) {
    for (const NodeId node : nodes) rig_->start(node);
    (void)rig_->run_until([&] {
      bool online = rig_->settled(nodes);
      for (std::size_t i = 0; i < config_->groups.size() && online; ++i)
        online = rig_->core(nodes.lowest()).committed().state.groups[i].phase == GroupPhase::online;
      return online;
    });
    rig_->run(Duration::from_ms(200));
  }

  void each(const std::string& names, const std::function<void(NodeId)>& what) {
    for (const NodeId node : nodes_named(*config_, names)) what(node);
  }

  void apply(const std::vector<std::string>& words) {
    const std::string& verb = words.at(0);
    const std::string what = words.size() > 1 ? words[1] : "";
    ClusterRig& rig = *rig_;
    if (verb == "start") {
      const std::uint64_t hash = std::stoull(value_of(words, "hash", "0"));
      each(what, [&](NodeId node) { rig.start(node, hash); });
    } else if (verb == "boot") {
      boot(nodes_named(*config_, what));
    } else if (verb == "crash") {
      each(what, [&](NodeId node) { rig.crash(node); });
    } else if (verb == "restart") {
      each(what, [&](NodeId node) { rig.start(node); });
    } else if (verb == "freeze") {
      each(what, [&](NodeId node) { rig.freeze(node); });
    } else if (verb == "thaw") {
      each(what, [&](NodeId node) { rig.thaw(node); });
    } else if (verb == "part") {
      std::vector<NodeSet> parts;
      for (std::size_t i = 1; i < words.size(); ++i) parts.push_back(nodes_named(*config_, words[i]));
      rig.part(parts);
    } else if (verb == "heal") {
      rig.heal();
    } else if (verb == "lose" && what == "nothing") {
      rig.lose_nothing();
    } else if (verb == "lose") {
      rig.lose(losing(words_of(what, ','), node_named(*config_, value_of(words, "from", "-")),
                      node_named(*config_, value_of(words, "to", "-"))));
    } else if (verb == "cable") {
      const NodeId node = node_named(*config_, what);
      for (std::size_t i = 0; i < config_->nodes[node].adapters.size(); ++i)
        if (config_->nodes[node].adapters[i].device == words.at(2))
          pull(node, static_cast<AdapterIndex>(i), words.at(3));
    } else if (verb == "disk") {
      rig.fail_storage(what == "full");
    } else if (verb == "ask") {
      OperatorCommand command;
      command.verb = enum_named<OperatorVerb>(verb_texts, words.at(2));
      const std::string group = value_of(words, "group");
      if (!group.empty()) command.group = group_named(*config_, group);
      command.node = node_named(*config_, value_of(words, "node", "-"));
      rig.operate(node_named(*config_, what), command);
    } else if (verb == "run") {
      rig.run(Duration::from_ms(std::stoi(what)));
    } else {
      bad_text(verb);
    }
  }

  void pull(NodeId node, AdapterIndex adapter, const std::string& where) {
    rig_->mute_adapter(node, adapter, where == "out");
    rig_->feed(node, event::AdapterChanged{adapter, where != "out"});
  }

  ClusterText text_;
  std::unique_ptr<ClusterConfig> config_;
  std::unique_ptr<ClusterRig> rig_;
};

void every_scenario_comes_out_as_written(void**) {
  assert_true(scenarios_come_out_as_written<ClusterPlayer>("tests/scenarios/membership"));
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(every_scenario_comes_out_as_written)};
  return cmocka_run_group_tests_name("core/membership_scenarios", tests, nullptr, nullptr);
}
