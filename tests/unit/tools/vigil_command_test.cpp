// Whole commands, from the command line to the exit status, against a control socket served as the
// daemon serves it. Each runs in a process of its own.
#include <fcntl.h>
#include <sys/wait.h>

#include <cstdio>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/unit/directory.hpp"
#include "tests/unit/tools/fake_vigild.hpp"
#include "tools/ctl/command_line.hpp"

// Last: its macros clash with the standard library.
// clang-format off
#include "tests/unit/cmocka.hpp"
// clang-format on

namespace {

using namespace vigil;
using Json = nlohmann::json;

struct Outcome {
  int code = -1;
  std::string out;
  std::string err;
  bool says(const char* text) const { return out.find(text) != std::string::npos; }
  bool complains(const char* text) const { return err.find(text) != std::string::npos; }
};

std::string contents(std::FILE* file) {
  std::string text;
  std::rewind(file);
  for (int c = std::fgetc(file); c != EOF; c = std::fgetc(file)) text += static_cast<char>(c);
  std::fclose(file);
  return text;
}

// `vigil --socket SOCKET WORDS…`, with nothing on standard input.
Outcome vigil_says(const std::string& socket, std::vector<std::string> words) {
  std::FILE* out = std::tmpfile();
  std::FILE* err = std::tmpfile();
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    const int nothing = open("/dev/null", O_RDONLY);
    dup2(nothing, STDIN_FILENO);
    dup2(fileno(out), STDOUT_FILENO);
    dup2(fileno(err), STDERR_FILENO);
    words.insert(words.begin(), {"vigil", "--socket", socket});
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    const int code = ctl::run_command_line(static_cast<int>(arguments.size()), arguments.data());
    std::fflush(nullptr);
    _exit(code);
  }
  int state = 0;
  waitpid(child, &state, 0);
  Outcome outcome;
  outcome.code = WIFEXITED(state) ? WEXITSTATUS(state) : -1;
  outcome.out = contents(out);
  outcome.err = contents(err);
  return outcome;
}

void exit_codes_are_as_documented(void**) {
  struct Case {
    std::vector<std::string> words;
    int code;
    const char* out;
    const char* err;
  };
  const Case cases[] = {
      {{"status"}, 0, "db is blocked", ""},
      {{"status", "--exit-code"}, 4, "db is blocked", ""},
      {{"links"}, 0, "Links as beta hears them", ""},
      {{"why", "web"}, 0, "because alpha failed", ""},
      {{"why", "wbe"}, 1, "", "there is no group 'wbe' in cluster demo; there is web and db"},
      {{"why"}, 2, "", "GROUP or --membership is required"},
      {{"why", "--membership"}, 0, "alpha is out: expelled by vote", ""},
      {{"why", "--membership", "--last", "1"}, 0, "No new view", ""},
      {{"why", "--membership", "--since", "1s"}, 0, "No view change is known in that time.", ""},
      {{"why", "--membership", "--since", "noon"}, 2, "", "--since 'noon' is no time"},
      {{"why", "web", "--membership"}, 2, "", "excludes"},
      {{"why", "web", "--since", "1s"}, 2, "", "requires"},
      {{"events", "--last", "2"}, 0, "10.77.1.100/24 answers on eth1", ""},
      {{"events", "--group", "nope"}, 1, "", "there is no group 'nope'"},
      {{"events", "--group", std::string(40, 'x')}, 2, "", "names have at most 31 characters"},
      {{"move", "web", "gama", "--no-wait"}, 1, "", "did you mean 'gamma'?"},
      {{"move", "web"}, 2, "", "node is required"},
      {{"frobnicate"}, 2, "", "frobnicate"},
      {{}, 2, "", "what is to be done?"},
      {{"node"}, 2, "", "see: vigil node --help"},
      {{"fence", "confirm", "alpha"}, 2, "", "give --yes"},
      {{"fence", "confirm", "alpha", "--yes"}, 0, "so be it", ""},
      {{"quorum"}, 0, "beta has a quorum and may serve", ""},
      {{"quorum", "--json"}, 0, "\"votes_spare\": 0", ""},
      {{"quorum", "--help"}, 0, "override", ""},
      {{"quorum", "override", "--yes"}, 1, "", "there is nothing to override"},
      {{"quorum", "overide"}, 2, "", "overide"},
      {{"key", "rotate", "--from-file", "/nonexistent"}, 1, "", "open the cluster key '/nonexistent'"},
      {{"key", "rotate", "--key", std::string(64, 'a')}, 2, "", "--key"},  // no key in a process's arguments
      {{"key", "rotate"}, 0, "key 2 is made; every member fetches it\nthe old key is refused\n", ""},
      {{"version"}, 0, "vigild 0.1.0", ""},
      {{"--version"}, 0, "vigil 0.1.0", ""},
      {{"why", "--help"}, 0, "Exit status:", ""},
      {{"completion", "groups"}, 0, "web\ndb\n", ""},
      {{"completion", "bash"}, 0, "complete -F _vigil vigil", ""},
      {{"status", "--watch", "x"}, 2, "", "--watch"},
  };
  sample::FakeVigild vigild;
  assert_true(vigild.ready());
  for (const Case& each : cases) {
    const Outcome outcome = vigil_says(vigild.path(), each.words);
    const bool right = outcome.code == each.code && outcome.says(each.out) && outcome.complains(each.err);
    if (!right)
      print_error("vigil %s: exit %d\n%s%s", each.words.empty() ? "" : each.words[0].c_str(), outcome.code,
                  outcome.out.c_str(), outcome.err.c_str());
    assert_true(right);
  }
}

// The daemon is told exactly the nodes that the operator was shown.
void an_override_names_whom_it_vouches_for(void**) {
  sample::FakeVigild vigild;
  assert_true(vigild.ready());
  std::uint64_t vouched = 0;
  vigild.on_command([&](const OperatorCommand& command, NodeStatus& status) {
    if (command.verb == OperatorVerb::quorum_override) vouched = command.vouched.bits();
    status.quorate = true;
    status.role = NodeRole::member;
    return control::reply::Answer{true, "so be it"};
  });
  vigild.change([](NodeStatus& status) {
    status.quorate = false;
    status.role = NodeRole::no_quorum;
    status.peers[1].heard = false;
  });
  const Outcome asked = vigil_says(vigild.path(), {"quorum", "override"});
  const bool refused = asked.code == 2 && asked.complains("give --yes if you vouch that alpha and gamma are down");
  assert_true(refused);
  assert_int_equal(vouched, 0);
  const Outcome done = vigil_says(vigild.path(), {"quorum", "override", "--yes"});
  const bool reached = done.code == 0 && done.says("so be it") && done.says("beta has a quorum, and serves");
  assert_true(reached);
  assert_int_equal(vouched, 0b101);
  vigild.change([](NodeStatus& status) {
    status.quorate = false;
    for (PeerStatus& peer : status.peers) peer.heard = true;
  });
  const Outcome nobody = vigil_says(vigild.path(), {"quorum", "override", "--yes"});
  const bool none = nobody.code == 1 && nobody.complains("nobody is to be vouched for");
  assert_true(none);
}

void an_absent_daemon_is_told_with_what_to_do(void**) {
  const Outcome none = vigil_says("/nonexistent/control.sock", {"status"});
  assert_int_equal(none.code, 3);
  assert_string_equal(none.err.c_str(),
                      "vigil: vigild is not running on this node (no /nonexistent/control.sock); start it with: "
                      "systemctl start vigild\n");
  const Outcome also = vigil_says("/nonexistent/control.sock", {"move", "web", "beta"});
  assert_int_equal(also.code, 3);
  const Outcome version = vigil_says("/nonexistent/control.sock", {"version", "--json"});
  assert_int_equal(version.code, 0);
  const Json json = Json::parse(version.out, nullptr, false);
  assert_true(json.is_object() && json["vigild"].is_null());
}

void a_reader_may_look_and_not_command(void**) {
  sample::FakeVigild vigild;
  vigild.treat_peers_as_readers();
  const Outcome look = vigil_says(vigild.path(), {"status"});
  assert_int_equal(look.code, 0);
  const Outcome command = vigil_says(vigild.path(), {"group", "offline", "web"});
  assert_int_equal(command.code, 1);
  assert_string_equal(command.err.c_str(),
                      "vigil: only root may command the cluster; members of group vigil may look\n");
}

void a_move_is_watched_until_it_is_done(void**) {
  sample::FakeVigild vigild;
  vigild.on_command([](const OperatorCommand& command, NodeStatus& status) {
    GroupState& group = status.committed.state.groups[command.group];
    group.unproven = NodeSet::of(group.owner);
    group.previous = group.owner;
    group.owner = command.node;
    group.phase = GroupPhase::acquiring;
    ++group.generation;
    return control::reply::Answer{true, "web goes to gamma"};
  });
  std::thread cluster([&] {
    for (int step = 0; step < 2; ++step) {
      std::this_thread::sleep_for(std::chrono::milliseconds(400));
      vigild.change([step](NodeStatus& status) {
        GroupState& group = status.committed.state.groups[0];
        group.unproven = NodeSet();
        if (step == 1) group.phase = GroupPhase::online;
      });
    }
  });
  const Outcome outcome = vigil_says(vigild.path(), {"move", "web", "gamma"});
  cluster.join();
  assert_int_equal(outcome.code, 0);
  const std::size_t accepted = outcome.out.find("web goes to gamma\n");
  const std::size_t proof = outcome.out.find("web: gamma waits for the proof that beta no longer serves it\n");
  const std::size_t starting = outcome.out.find("web: gamma is starting it\n");
  const std::size_t done = outcome.out.find("web is online on gamma\n");
  assert_true(accepted == 0 && accepted < proof && proof < starting && starting < done && done != std::string::npos);
}

void a_wait_has_an_end(void**) {
  sample::FakeVigild vigild;
  const Outcome slow = vigil_says(vigild.path(), {"move", "web", "gamma", "--timeout", "0.3"});
  assert_int_equal(slow.code, 5);
  assert_true(slow.complains("not done within the time allowed; it goes on (web is still on beta)"));
  const Outcome hopeless = vigil_says(vigild.path(), {"group", "online", "db"});
  assert_int_equal(hopeless.code, 1);
  assert_true(hopeless.complains("db is blocked: alpha may still run it"));
  const Outcome unwatched = vigil_says(vigild.path(), {"move", "web", "gamma", "--no-wait"});
  assert_int_equal(unwatched.code, 0);
  assert_string_equal(unwatched.out.c_str(), "so be it\n");
}

void a_refusal_is_passed_on(void**) {
  sample::FakeVigild vigild;
  vigild.on_command([](const OperatorCommand&, NodeStatus&) {
    return control::reply::Answer{false, "gamma is on standby"};
  });
  const Outcome outcome = vigil_says(vigild.path(), {"move", "web", "gamma"});
  assert_int_equal(outcome.code, 1);
  assert_string_equal(outcome.err.c_str(), "vigil: refused: gamma is on standby\n");
}

void stopping_this_node_ends_when_its_daemon_is_gone(void**) {
  sample::FakeVigild vigild;
  std::thread daemon([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
    vigild.stop();
  });
  const Outcome outcome = vigil_says(vigild.path(), {"node", "stop", "beta"});
  daemon.join();
  assert_int_equal(outcome.code, 0);
  assert_true(outcome.says("beta hands over web"));
  assert_true(outcome.says("vigild on this node has stopped\n"));
}

void follow_prints_what_comes_and_notices_the_end(void**) {
  sample::FakeVigild vigild;
  const Outcome outcome = vigil_says(vigild.path(), {"events", "--follow", "--json", "--last", "1"});
  assert_int_equal(outcome.code, 3);
  std::vector<Json> lines;
  for (std::size_t at = 0, end; (end = outcome.out.find('\n', at)) != std::string::npos; at = end + 1)
    lines.push_back(Json::parse(outcome.out.substr(at, end - at), nullptr, false));
  assert_int_equal(lines.size(), 2);
  assert_true(lines[0].is_object() && lines[0]["event"] == "swap_adapter" && lines[0]["group_name"] == "web");
  assert_true(lines[1].is_object() && lines[1]["subject_name"] == "alpha" && lines[1]["subject"] == 1);
}

// The members that programs rely on: README.md of tools/ctl.
void json_has_its_members(void**) {
  sample::FakeVigild vigild;
  const Json status = Json::parse(vigil_says(vigild.path(), {"status", "--json"}).out, nullptr, false);
  assert_true(status.is_object());
  const char* top[] = {
      "schema",   "cluster",      "config_hash",   "config_version", "profile",        "timing_ms",        "self",
      "role",     "role_text",    "quorate",       "epoch",          "record_version", "coordinator",      "members",
      "voters",   "votes_needed", "view_changing", "lease_left_ms",  "lease_gaps",     "late_count",       "healthy",
      "problems", "key",      "nodes",        "groups",        "links",          "adapters",       "worst_lateness_ms"};
  for (const char* name : top) assert_true(status.contains(name));
  assert_int_equal(status.size(), std::size(top));
  const Json& group = status["groups"][0];
  assert_true(group["owner"] == "beta" && group["phase"] == "online" && group["reason"] == "node_failed");
  assert_true(group["addresses"][0]["address"] == "10.77.1.100/24" && group["addresses"][0]["device"] == "eth0");
  assert_true(group["budget_ms"]["fence"] == 36.4);
  assert_true(status["groups"][1]["unproven"] == Json::array({"alpha"}));
  assert_true(status["epoch"]["counter"] == 7 && status["epoch"]["proposer"] == "beta");
  assert_true(status["nodes"][0]["id"] == 1 && status["nodes"][0]["member"] == false);
  assert_true(status["lease_left_ms"] == 142.0 && status["healthy"] == false);
  const Json why = Json::parse(vigil_says(vigild.path(), {"why", "web", "--json"}).out, nullptr, false);
  assert_true(why.is_object() && why["takeovers"].size() == 1);
  const Json& takeover = why["takeovers"][0];
  assert_true(takeover["from"] == "alpha" && takeover["to"] == "beta" && takeover["complete"] == true);
  assert_true(takeover["timeline"][0]["at_ms"] == 183.0 && takeover["budget_ms"]["total"] == 233.0);
  const Json views = Json::parse(vigil_says(vigild.path(), {"why", "--membership", "--json"}).out, nullptr, false);
  assert_true(views.is_object() && views["changes"].size() == 3);
  const Json& change = views["changes"][0];
  assert_true(change["epoch"]["counter"] == 7 && change["before"]["counter"] == 6);
  assert_true(change["left"][0]["node"] == "alpha" && change["members"] == Json::array({"beta", "gamma"}));
  const Json& accusation = change["accusations"][0];
  assert_true(accusation["by"] == "beta" && accusation["node"] == "alpha" && accusation["why"] == "silent");
  assert_true(accusation["links"][0]["device"] == "eth0" && accusation["links"][0]["last_heartbeat_ms"] == 183.0);
  assert_true(accusation["links"][2]["last_heartbeat_ms"].is_null());
  assert_true(change["accusations"][1]["own_lateness_ms"] == 40.0);
  assert_true(change["votes"][1]["node"] == "gamma" && change["votes"][1]["answer"] == "promised");
  assert_true(change["refusals"][0]["reason"] == "still_hear_suspect" && change["rounds"] == 2);
  assert_true(change["steps_ms"]["promise"] == 0.8 && change["installed"].size() == 2);
  assert_true(views["changes"][1]["joined"][0]["node"] == "alpha" && views["changes"][2]["epoch"].is_null());
  assert_true(views["nodes"][2]["name"] == "gamma" && views["nodes"][2]["reached"] == false);
  const Json links = Json::parse(vigil_says(vigild.path(), {"links", "--json"}).out, nullptr, false);
  assert_true(links.is_object() && links["links"][4]["state"] == "one_way_in");
}

void a_daemon_of_another_version_is_recognised(void**) {
  sample::FakeVigild vigild;
  vigild.answer_with({std::byte{control::protocol_version + 1}, std::byte{0x80}});
  const Outcome other = vigil_says(vigild.path(), {"status"});
  assert_int_equal(other.code, 3);
  assert_true(other.complains("speaks another version of the control protocol"));
  vigild.answer_with({std::byte{control::protocol_version}, std::byte{0xfe}});
  const Outcome noise = vigil_says(vigild.path(), {"status"});
  assert_int_equal(noise.code, 3);
  assert_true(noise.complains("sent a record that is of an unknown kind"));
}

void local_commands_need_no_daemon(void**) {
  const test::Directory directory;
  const std::string key = directory / "key";
  const std::string config = directory / "cluster.toml";
  std::ofstream(config) << "version = 1\n[cluster]\nname = \"demo\"\nprofle = \"lan\"\n";
  const Outcome made = vigil_says("/nowhere", {"key", "generate", key});
  const Outcome again = vigil_says("/nowhere", {"key", "generate", key});
  const Outcome bad = vigil_says("/nowhere", {"check-config", config});
  const Outcome missing = vigil_says("/nowhere", {"check-config", config + ".not"});
  assert_int_equal(made.code, 0);
  assert_int_equal(again.code, 1);
  assert_int_equal(bad.code, 1);
  assert_true(bad.complains("cluster.toml:4:1: "));
  assert_true(bad.complains("profile"));
  assert_int_equal(missing.code, 1);
}

}  // namespace

int main() {
  setenv("TZ", "UTC", 1);
  tzset();
  const CMUnitTest tests[] = {
      cmocka_unit_test(exit_codes_are_as_documented),
      cmocka_unit_test(an_override_names_whom_it_vouches_for),
      cmocka_unit_test(an_absent_daemon_is_told_with_what_to_do),
      cmocka_unit_test(a_reader_may_look_and_not_command),
      cmocka_unit_test(a_move_is_watched_until_it_is_done),
      cmocka_unit_test(a_wait_has_an_end),
      cmocka_unit_test(a_refusal_is_passed_on),
      cmocka_unit_test(stopping_this_node_ends_when_its_daemon_is_gone),
      cmocka_unit_test(follow_prints_what_comes_and_notices_the_end),
      cmocka_unit_test(json_has_its_members),
      cmocka_unit_test(a_daemon_of_another_version_is_recognised),
      cmocka_unit_test(local_commands_need_no_daemon),
  };
  return cmocka_run_group_tests_name("tools/vigil_command", tests, nullptr, nullptr);
}
