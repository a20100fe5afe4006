// What `vigil quorum` says, held word for word, and the counting behind it, for every rule.
#include <cstdlib>
#include <ctime>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "runtime/core/quorum.hpp"
#include "tests/unit/tools/sample.hpp"
#include "tools/ctl/json.hpp"
#include "tools/ctl/quorum.hpp"

// Last: its macros clash with the standard library.
// clang-format off
#include "tests/unit/cmocka.hpp"
// clang-format on

namespace {

using namespace vigil;
using namespace vigil::ctl;

NodeSet bits(std::uint64_t value) { return NodeSet::from_bits(value); }

// beta's picture of a cluster of n1 (this node), n2, …: who is heard, who is a member, by which rule.
struct Scene {
  QuorumPolicy policy = QuorumPolicy::majority;
  std::vector<std::uint8_t> votes = {1, 1, 1};
  std::uint64_t heard = 0b111;  // this node included
  std::uint64_t members = 0b111;
  bool quorate = true;
  bool wait_for_all = false;
  const char* tie_breaker = "";
  std::uint64_t rule_of_nodes = 0;  // 0: the configured rule
  QuorumKind kind = QuorumKind::last_man_standing;
  std::uint64_t also_of_nodes = 0;
  NodeRole role = NodeRole::member;
  const char* role_text = "";
  std::uint64_t vouched = 0;
};

control::ClusterPicture picture_of(const Scene& scene) {
  auto config = std::make_unique<ClusterConfig>();
  config->name = "demo";
  config->quorum = {scene.policy, scene.wait_for_all, Path(scene.tie_breaker)};
  NodeStatus status;
  status.self = 0;
  status.role = scene.role;
  status.role_text = scene.role_text;
  status.quorate = scene.quorate;
  for (std::size_t i = 0; i < scene.votes.size(); ++i) {
    NodeConfig node;
    node.id = static_cast<NodeId>(i);
    node.name = Name("n" + std::to_string(i + 1));
    node.votes = scene.votes[i];
    config->nodes.push(node);
    PeerStatus peer;
    peer.node = node.id;
    peer.heard = bits(scene.heard).has(node.id);
    if (i > 0) status.peers.push(peer);
  }
  QuorumStatus& quorum = status.quorum;
  quorum.configured = configured_rule(*config);
  quorum.rule = scene.rule_of_nodes == 0 ? quorum.configured : rule_of(*config, scene.kind, bits(scene.rule_of_nodes));
  if (scene.also_of_nodes != 0) quorum.also = rule_of(*config, scene.kind, bits(scene.also_of_nodes));
  quorum.members = bits(scene.members);
  quorum.vouched = bits(scene.vouched);
  View view;
  view.rule = quorum.rule;
  quorum.start_needs_every_voter = starts_with_every_voter(*config) || decides_by_own_quorum(*config, view);
  status.committed.view.members = quorum.members;
  status.committed.view.rule = quorum.rule;
  return sample::picture(*config, status);
}

std::string sentences_of(const Scene& scene) {
  std::string text;
  for (const std::string& sentence : quorum_sentences(picture_of(scene))) text += sentence + '\n';
  return text;
}

void a_page_reads_like_this(void**) {
  const auto config = sample::config();
  const std::string text = quorum_text(sample::picture(*config, *sample::status()), {}, false);
  assert_string_equal(text.c_str(), R"txt(Cluster  demo
Policy   majority: more than half of all configured nodes, whoever is in
Rule     2 of 3 votes of alpha, beta and gamma

NODE   VOTES  COUNTS  NOTE
alpha      1  no      not heard
beta       1  yes     this node, the cluster stops without it
gamma      1  yes     the cluster stops without it

beta has a quorum and may serve: it counts 2 votes (beta and gamma) and needs 2.
No vote can be lost. The loss of beta or gamma stops the cluster: nothing is served until enough votes are together again.
A tie cannot happen: 3 votes do not split into two halves.
After a complete stop the cluster starts when 2 of 3 votes are there.
)txt");
}

void each_standing_is_explained(void**) {
  struct Case {
    Scene scene;
    const char* text;
  };
  const Case cases[] = {
      {{},
       "n1 has a quorum and may serve: it counts 3 votes (n1, n2 and n3) and needs 2.\n"
       "1 vote more can be lost at one moment. No single node's loss stops the cluster.\n"
       "A tie cannot happen: 3 votes do not split into two halves.\n"
       "After a complete stop the cluster starts when 2 of 3 votes are there.\n"},
      {{.policy = QuorumPolicy::weighted, .votes = {3, 1, 1}},
       "n1 has a quorum and may serve: it counts 5 votes (n1, n2 and n3) and needs 3.\n"
       "2 votes more can be lost at one moment. The loss of n1 stops the cluster: nothing is served until enough votes "
       "are together again.\n"
       "A tie cannot happen: 5 votes do not split into two halves.\n"
       "After a complete stop the cluster starts when 3 of 5 votes are there.\n"},
      {{.votes = {1, 1, 1}, .heard = 0b001, .quorate = false, .role = NodeRole::no_quorum},
       "n1 has no quorum and serves nothing: it counts 1 vote (n1) and needs 2.\n"
       "1 vote is lacking. Not heard: n2 and n3. It is enough to bring back n2 or n3, or to mend the network to it.\n"
       "If you know that n2 and n3 are down, and can keep them down: vigil quorum override\n"
       "A tie cannot happen: 3 votes do not split into two halves.\n"
       "After a complete stop the cluster starts when 2 of 3 votes are there.\n"},
      {{.votes = {1, 1, 1, 1},
        .heard = 0b0011,
        .members = 0b1111,
        .quorate = false,
        .role = NodeRole::no_quorum,
        .vouched = 0b1100},
       "n1 has no quorum and serves nothing: it counts 2 votes (n1 and n2) and needs 3.\n"
       "On the operator's word n3 and n4 count as down; a view that builds on it is being agreed.\n"
       "At a tie (2 against 2 votes) neither half has a quorum: both stop serving until they hear each other, or until "
       "you "
       "decide for one of them with 'vigil quorum override'.\n"
       "After a complete stop the cluster starts when 3 of 4 votes are there.\n"},
      {{.votes = {1, 1}, .heard = 0b01, .members = 0b01, .tie_breaker = "/shared/tie"},
       "n1 has a quorum by the tie-breaker: it counts 1 vote (n1) and needs 2, and exactly half is enough while "
       "/shared/tie "
       "can be read and is its own.\n"
       "No vote can be lost, and the tie-breaker neither. The loss of n1 stops the cluster: nothing is served until "
       "enough "
       "votes are together again.\n"
       "At a tie (1 against 1 vote) the half that wins the tie-breaker /shared/tie goes on, and the other one stops.\n"
       "After a complete stop the cluster starts when every node with a vote is there (fewer cannot know what the last "
       "ones decided): n1 and n2; or on your word (vigil quorum override).\n"},
      {{.policy = QuorumPolicy::last_man_standing,
        .votes = {1, 1, 1, 1, 1},
        .heard = 0b00111,
        .members = 0b00111,
        .rule_of_nodes = 0b00111},
       "n1 has a quorum and may serve: it counts 3 votes (n1, n2 and n3) and needs 2.\n"
       "1 vote more can be lost at one moment. No single node's loss stops the cluster.\n"
       "After each loss the votes are counted anew, so nodes may fail one after another, down to two.\n"
       "A tie cannot happen: 3 votes do not split into two halves.\n"
       "After a complete stop the cluster starts when every node with a vote is there (fewer cannot know what the last "
       "ones decided): n1, n2, n3, n4 and n5; or on your word (vigil quorum override).\n"},
      {{.heard = 0b011, .members = 0, .quorate = false, .wait_for_all = true, .role = NodeRole::joining},
       "n1 has no quorum and serves nothing: it counts 2 votes (n1 and n2) and needs 2.\n"
       "It is in no cluster yet. A start needs every node with a vote, and n3 is not heard.\n"
       "If you know that n3 is down, and can keep it down: vigil quorum override\n"
       "A tie cannot happen: 3 votes do not split into two halves.\n"
       "After a complete stop the cluster starts when every node with a vote is there (wait_for_all): n1, n2 and n3; "
       "or on "
       "your word (vigil quorum override).\n"},
      {{.heard = 0b001, .members = 0, .quorate = false, .role = NodeRole::waiting, .role_text = "restarted: waits"},
       "n1 does not vote yet and serves nothing: restarted: waits.\n"
       "If you know that n2 and n3 are down, and can keep them down: vigil quorum override\n"
       "A tie cannot happen: 3 votes do not split into two halves.\n"
       "After a complete stop the cluster starts when 2 of 3 votes are there.\n"},
  };
  for (const Case& each : cases) {
    const std::string text = sentences_of(each.scene);
    assert_string_equal(text.c_str(), each.text);
  }
}

// The loss that is foretold is the loss that the core's own arithmetic knows.
void what_would_stop_it_is_counted_by_the_core(void**) {
  for (const char* tie_breaker : {"", "/shared/tie"}) {
    for (std::uint64_t heard = 1; heard < 32; heard += 2) {
      Scene scene{.policy = QuorumPolicy::weighted,
                  .votes = {2, 1, 1, 1, 1},
                  .heard = heard,
                  .members = 0b11111,
                  .tie_breaker = tie_breaker};
      const auto picture = picture_of(scene);
      const QuorumFacts facts = quorum_facts(picture);
      View view;
      view.members = bits(0b11111);
      view.rule = picture.quorum.counted.rule;
      for (NodeId node : bits(heard)) {
        const bool before = view.is_quorum_holding(bits(heard));
        const bool after = view.is_quorum_holding(bits(heard) - NodeSet::of(node));
        assert_int_equal(facts.stops_without.has(node), before && !after);
      }
      assert_int_equal(facts.spare >= 0, view.is_quorum(bits(heard)));
    }
  }
}

// While the rule changes, both count.
void a_changing_rule_shows_both(void**) {
  const Scene scene{.policy = QuorumPolicy::last_man_standing,
                    .votes = {1, 1, 1, 1, 1},
                    .heard = 0b01111,
                    .members = 0b01111,
                    .rule_of_nodes = 0b01111,
                    .also_of_nodes = 0b11111};
  const QuorumFacts facts = quorum_facts(picture_of(scene));
  assert_int_equal(facts.needed, 3);
  assert_int_equal(facts.spare, 1);
  const std::string text = quorum_text(picture_of(scene), {}, false);
  const bool told = text.find(
                        "3 of 4 votes of n1, n2, n3 and n4; and, while the rule changes, also 3 of 5 votes of n1, n2, "
                        "n3, n4 and n5 (configured: 3 of 5 votes)") != std::string::npos;
  assert_true(told);
}

void a_tie_needs_two_equal_halves(void**) {
  struct Row {
    std::vector<std::uint8_t> votes;
    bool can_tie;
  };
  const Row rows[] = {{{1, 1}, true},    {{1, 1, 1}, false},   {{3, 1}, false},     {{2, 1, 1}, true},
                      {{0, 1, 1}, true}, {{5, 3, 1, 1}, true}, {{100, 3, 3}, false}};
  for (const Row& row : rows) {
    const QuorumFacts facts = quorum_facts(picture_of({.policy = QuorumPolicy::weighted, .votes = row.votes}));
    assert_int_equal(facts.can_tie, row.can_tie);
  }
}

// Every member writes of a change; it is told once, with the operator's word that led to it.
void changes_are_told_once(void**) {
  const auto config = sample::config();
  std::vector<control::reply::Journal> journal;
  for (const sample::Said& said : {
           sample::Said{0, 1, JournalKind::observed, EventName::quorum_rule, 0, no_index, 0, -1,
                        "counts as down on the operator's word"},
           sample::Said{10, 1, JournalKind::decided, EventName::view_change, 1, no_index, 0, -1, "view installed"},
           sample::Said{20, 1, JournalKind::decided, EventName::quorum_rule, 1, no_index, 0, -1,
                        "on the operator's word: 1 of 1 votes needed from now on, before 2 of 3"},
           sample::Said{30, 2, JournalKind::decided, EventName::quorum_rule, 1, no_index, 0, -1,
                        "on the operator's word: 1 of 1 votes needed from now on, before 2 of 3"},
       })
    journal.push_back(control::journal_reply(*config, sample::entry(said)));
  const std::string text = quorum_text(sample::picture(*config, *sample::status()), journal, false);
  const std::string tail = text.substr(text.find("What changed the rule"));
  assert_string_equal(tail.c_str(), R"txt(What changed the rule
  2026-10-26 07:33:20.000  beta  alpha counts as down on the operator's word
  2026-10-26 07:33:20.000  beta  on the operator's word: 1 of 1 votes needed from now on, before 2 of 3
)txt");
}

void the_warning_names_whom_it_is_about(void**) {
  Scene scene{.heard = 0b001, .quorate = false, .role = NodeRole::no_quorum};
  std::string text = override_warning(picture_of(scene));
  assert_string_equal(
      text.c_str(),
      "You vouch that n2 and n3 are powered off, or otherwise cannot touch any disk, address\n"
      "or application of this cluster, and will stay so until each of them hears n1 again: do not start\n"
      "them where n1 cannot be heard.\n"
      "n1 will start here what ran there. Whatever they decided without n1 is lost, and if you\n"
      "are wrong, two nodes serve the same thing, and data may be lost.\n"
      "From then on the votes of the nodes that are in count alone, and nobody else's; the configured\n"
      "rule is in force again when a majority of it is back.\n");
  scene.heard = 0b011;
  text = override_warning(picture_of(scene));
  const bool one =
      text.find("You vouch that n3 is powered off") == 0 && text.find("until it hears n1 again") != std::string::npos;
  assert_true(one);
}

void the_document_has_what_is_promised(void**) {
  const auto json =
      nlohmann::json::parse(quorum_json(picture_of({.policy = QuorumPolicy::weighted, .votes = {3, 1, 1}}), {}));
  for (const char* member :
       {"schema",          "cluster",      "self",          "epoch",          "quorate",
        "policy",          "wait_for_all", "tie_breaker",   "rule",           "rule_before",
        "rule_configured", "votes_needed", "votes_counted", "votes_spare",    "stops_without",
        "tie_without",     "enough_with",  "can_tie",       "by_tie_breaker", "start_needs_every_voter",
        "start_lacks",     "vouched_down", "text",          "nodes",          "changes"})
    assert_true(json.contains(member));
  assert_int_equal(json["nodes"][0]["votes"].get<int>(), 3);
  assert_true(json["stops_without"] == nlohmann::json::array({"n1"}));
  assert_true(json["rule_before"].is_null() && json["tie_breaker"].is_null());
  assert_true(json["rule"]["kind"] == "majority" && json["rule"]["votes"] == 5);
}

}  // namespace

int main() {
  setenv("TZ", "UTC", 1);
  tzset();
  const CMUnitTest tests[] = {
      cmocka_unit_test(a_page_reads_like_this),
      cmocka_unit_test(each_standing_is_explained),
      cmocka_unit_test(what_would_stop_it_is_counted_by_the_core),
      cmocka_unit_test(a_changing_rule_shows_both),
      cmocka_unit_test(a_tie_needs_two_equal_halves),
      cmocka_unit_test(changes_are_told_once),
      cmocka_unit_test(the_warning_names_whom_it_is_about),
      cmocka_unit_test(the_document_has_what_is_promised),
  };
  return cmocka_run_group_tests_name("tools/quorum_text", tests, nullptr, nullptr);
}
