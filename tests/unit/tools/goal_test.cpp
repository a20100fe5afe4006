// When an operator's word has come about, when it is still under way, and when it will not.
#include "tools/ctl/goal.hpp"

#include <string>

#include "tests/unit/tools/sample.hpp"

// Last: its macros clash with the standard library.
// clang-format off
#include "tests/unit/cmocka.hpp"
// clang-format on

namespace {

using namespace vigil;
using namespace vigil::ctl;
using control::request::Operate;

struct Case {
  Operate asked;
  void (*change)(ClusterState& state, View& view);
  Progress::State state;
  const char* text;
};

GroupState& web(ClusterState& state) { return state.groups[0]; }

const Case cases[] = {
    {{OperatorVerb::move_group, "web", "beta"},
     [](ClusterState&, View&) {},
     Progress::reached,
     "web is online on beta"},
    {{OperatorVerb::move_group, "web", "gamma"},
     [](ClusterState&, View&) {},
     Progress::pending,
     "web is still on beta"},
    {{OperatorVerb::move_group, "web", "gamma"},
     [](ClusterState& s, View&) {
       web(s).owner = 2;
       web(s).phase = GroupPhase::acquiring;
       web(s).unproven = NodeSet::of(1);
     },
     Progress::pending,
     "web: gamma waits for the proof that beta no longer serves it"},
    {{OperatorVerb::move_group, "web", "gamma"},
     [](ClusterState& s, View&) {
       web(s).phase = GroupPhase::error;
       web(s).failed_on = NodeSet::of(2);
     },
     Progress::failed,
     "web is error: it failed on gamma; mend the cause, then: vigil group clear web"},
    {{OperatorVerb::group_online, "web", ""},
     [](ClusterState& s, View&) { web(s).wanted = false, web(s).phase = GroupPhase::offline; },
     Progress::pending,
     "web is still offline"},
    {{OperatorVerb::group_online, "db", ""},
     [](ClusterState&, View&) {},
     Progress::failed,
     "db is blocked: alpha may still run it and is not fenced; if you know that it is powered off, say so with: vigil "
     "fence confirm alpha"},
    {{OperatorVerb::group_offline, "web", ""}, [](ClusterState&, View&) {}, Progress::pending, "beta stops web"},
    {{OperatorVerb::group_offline, "web", ""},
     [](ClusterState& s, View&) {
       web(s).wanted = false;
       web(s).owner = no_node;
       web(s).phase = GroupPhase::offline;
       web(s).unproven = NodeSet::of(1);
     },
     Progress::pending,
     "web: waits for the proof that beta has stopped it"},
    {{OperatorVerb::group_offline, "web", ""},
     [](ClusterState& s, View&) {
       web(s).wanted = false;
       web(s).owner = no_node;
       web(s).phase = GroupPhase::offline;
     },
     Progress::reached,
     "web is offline"},
    {{OperatorVerb::node_standby, "", "beta"},
     [](ClusterState& s, View&) { s.standby = NodeSet::of(1); },
     Progress::pending,
     "beta hands over web"},
    {{OperatorVerb::node_standby, "", "beta"},
     [](ClusterState& s, View&) {
       s.standby = NodeSet::of(1);
       web(s).owner = 2;
     },
     Progress::reached,
     "beta is on standby and runs nothing"},
    {{OperatorVerb::node_online, "", "beta"},
     [](ClusterState& s, View&) { s.standby = NodeSet::of(1); },
     Progress::pending,
     "beta is still on standby"},
    {{OperatorVerb::node_online, "", "beta"},
     [](ClusterState&, View&) {},
     Progress::reached,
     "beta may run groups again"},
    {{OperatorVerb::node_stop, "", "gamma"}, [](ClusterState&, View&) {}, Progress::pending, "gamma hands over db"},
    {{OperatorVerb::node_stop, "", "gamma"},
     [](ClusterState& s, View& v) { v.members.remove(2), s.groups[1].owner = 1; },
     Progress::reached,
     "gamma has left the cluster"},
    {{OperatorVerb::group_clear, "web", ""}, [](ClusterState&, View&) {}, Progress::reached, ""},
    {{OperatorVerb::move_group, "nothing", "beta"},
     [](ClusterState&, View&) {},
     Progress::failed,
     "the configuration no longer has what was asked for"},
};

void progress_is_judged(void**) {
  for (const Case& each : cases) {
    auto status = sample::status();
    each.change(status->committed.state, status->committed.view);
    const Progress progress = progress_of(each.asked, sample::picture(*sample::config(), *status));
    assert_string_equal(progress.text.c_str(), each.text);
    assert_int_equal(progress.state, each.state);
  }
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(progress_is_judged)};
  return cmocka_run_group_tests_name("tools/goal", tests, nullptr, nullptr);
}
