// Who should be in the next view: by who is heard, in which life, and who hears whom.
#include "runtime/core/desired_view.hpp"

#include "runtime/base/random.hpp"
#include "tests/unit/core/peers_fixture.hpp"
// Last: cmocka's macros (fail, …) bite the standard library.
#include "tests/unit/cmocka.hpp"

using namespace vigil;
using namespace vigil::testing;

namespace {

// Node 0 looks at five nodes, of which 0 to 3 are in the base view.
struct Fixture {
  Fixture() : config(cluster_of(5)), peers(*config, 0), base(record_of(*config, nodes({0, 1, 2, 3}))) {
    input.config = config.get();
    input.table = &peers.table;
    input.base = &base;
    input.self_incarnation = life_of(0);
    input.self_ready = true;
  }
  DesiredView decide() const { return desired_view(input); }
  Peer& peer(NodeId node) { return peers.table.peers[node]; }

  std::unique_ptr<ClusterConfig> config;
  Peers peers;
  Record base;
  DesiredInput input;
};

void the_healthy_stay_and_the_new_come_in(void**) {
  Fixture f;
  const DesiredView all = f.decide();
  assert_true(all.kept == nodes({0, 1, 2, 3}));
  assert_true(all.joining == nodes({4}));
  assert_true(all.members == nodes({0, 1, 2, 3, 4}));
  assert_true(all.expelled.empty());
  assert_true(all.left.empty());
  for (const NodeId node : all.members) assert_true(all.incarnations[node] == life_of(node));
  assert_true(all.changes(f.base.view));
  f.peers.silent(4, Duration::from_s(1));
  assert_false(f.decide().changes(f.base.view));
}

void the_silent_are_expelled(void**) {
  Fixture f;
  f.peers.silent(4, Duration::from_s(1));
  f.peers.silent(2, Duration::from_ms(180));
  const DesiredView without = f.decide();
  assert_true(without.kept == nodes({0, 1, 3}));
  assert_true(without.expelled == nodes({2}));
  assert_true(without.left.empty());
}

void who_says_goodbye_has_left(void**) {
  Fixture f;
  f.peer(2).latest.leaving = true;
  f.peer(4).latest.leaving = true;
  DesiredView view = f.decide();
  assert_true(view.kept == nodes({0, 1, 3}));
  assert_true(view.left == nodes({2}));
  assert_true(view.expelled.empty());
  assert_true(view.joining.empty());
  // … also when it fell silent afterwards: its goodbye was its last word.
  f.peers.silent(2, Duration::from_s(1));
  view = f.decide();
  assert_true(view.left == nodes({2}));
  // … but not when what came back is another life.
  f.peers.restarted(2);
  f.peer(2).latest.leaving = false;
  view = f.decide();
  assert_true(view.expelled == nodes({2}));
  f.input.self_leaving = true;
  view = f.decide();
  assert_true(view.left.has(0));
  assert_false(view.members.has(0));
}

void a_restarted_member_is_expelled_and_joins(void**) {
  Fixture f;
  f.peers.restarted(2);
  const DesiredView view = f.decide();
  assert_true(view.expelled == nodes({2}));
  assert_true(view.joining == nodes({2, 4}));
  assert_true(view.members == nodes({0, 1, 2, 3, 4}));
  assert_true(view.incarnations[2] == life_of(2, 2));
  assert_true(view.changes(f.base.view));  // the same members, and yet another view
}

void what_keeps_a_node_out(void**) {
  struct Row {
    const char* why;
    void (*spoil)(Fixture& f);
  };
  const Row rows[] = {
      {"its restart wait", [](Fixture& f) { f.peer(4).latest.ready = false; }},
      {"what it may still run", [](Fixture& f) { f.peer(4).latest.clean = false; }},
      {"its goodbye", [](Fixture& f) { f.peer(4).latest.leaving = true; }},
      {"another configuration", [](Fixture& f) { f.peer(4).latest.config_hash += 1; }},
      {"silence", [](Fixture& f) { f.peers.silent(4, Duration::from_ms(200)); }},
      {"a moment's hearing", [](Fixture& f) { f.peer(4).heard_since = f.peers.table.now - Duration::from_ms(124); }},
      {"not hearing us", [](Fixture& f) { f.peer(4).heard_since = Instant::never(); }},
      {"not hearing a member", [](Fixture& f) { f.peers.deafen(4, 2); }},
      {"a member not hearing it", [](Fixture& f) { f.peers.deafen(2, 4); }},
      {"having been in, in this life", [](Fixture& f) { f.base.view.incarnations[4] = life_of(4); }},
      {"having been in the view before",
       [](Fixture& f) {
         f.base.previous = f.base.view;
         f.base.previous.incarnations[4] = life_of(4);
       }},
  };
  for (const Row& row : rows) {
    Fixture f;
    assert_true(f.decide().joining == nodes({4}));
    row.spoil(f);
    if (!f.decide().joining.empty()) print_error("admitted in spite of: %s\n", row.why);
    assert_true(f.decide().joining.empty());
    assert_true(f.decide().kept == nodes({0, 1, 2, 3}));
  }
}

void admission_takes_its_time(void**) {
  Fixture f;
  f.peer(4).heard_since = f.peers.table.now - f.config->timing.admission();
  assert_true(f.decide().joining == nodes({4}));
}

// The node that decides was voted out itself, and learns it from a record that a promise brought.
void an_old_life_of_our_own_never_comes_back(void**) {
  Fixture f;
  f.base = record_of(*f.config, nodes({1, 2, 3}), {2, 1});
  f.base.view.incarnations[0] = life_of(0);
  assert_false(f.decide().members.has(0));
  f.base.view.incarnations[0] = {};
  f.base.previous = view_of(*f.config, nodes({0, 1, 2, 3}));
  assert_false(f.decide().members.has(0));
  f.input.self_incarnation = life_of(0, 2);
  assert_true(f.decide().joining.has(0));
  f.input.self_ready = false;
  assert_false(f.decide().members.has(0));
}

void a_deaf_member_is_expelled(void**) {
  Fixture f;
  f.peers.silent(4, Duration::from_s(1));
  // 3 hears nobody, and is heard by all.
  for (const int other : {0, 1, 2}) f.peers.deafen(3, static_cast<NodeId>(other));
  const DesiredView view = f.decide();
  assert_true(view.kept == nodes({0, 1, 2}));
  assert_true(view.expelled == nodes({3}));
}

void two_joiners_that_do_not_hear_each_other(void**) {
  Fixture f;
  f.base = record_of(*f.config, nodes({0, 1, 2}));
  f.peers.break_pair(3, 4);
  assert_true(f.decide().joining == nodes({3}));  // one of them, by id: the same for all who decide
}

// ---- broken pairs --------------------------------------------------------------------------------

void clique_table(void**) {
  struct Row {
    std::initializer_list<std::pair<int, int>> broken;
    NodeId coordinator;
    NodeSet left;
  };
  const Row rows[] = {
      {{}, 0, nodes({0, 1, 2, 3, 4})},
      // of two alike, the one with the higher id goes …
      {{{1, 2}}, 0, nodes({0, 1, 3, 4})},
      // … unless it is the coordinator
      {{{1, 2}}, 2, nodes({0, 2, 3, 4})},
      // who is broken with more goes first
      {{{1, 2}, {1, 3}}, 0, nodes({0, 2, 3, 4})},
      // … also the coordinator
      {{{0, 2}, {0, 3}, {0, 4}}, 0, nodes({1, 2, 3, 4})},
      // two broken pairs apart
      {{{0, 4}, {1, 3}}, 0, nodes({0, 1, 2})},
      // a split in two: the larger half stays
      {{{0, 2}, {0, 3}, {0, 4}, {1, 2}, {1, 3}, {1, 4}}, 0, nodes({2, 3, 4})},
      // nobody hears anybody
      {{{0, 1}, {0, 2}, {0, 3}, {0, 4}, {1, 2}, {1, 3}, {1, 4}, {2, 3}, {2, 4}, {3, 4}}, 3, nodes({3})},
  };
  for (const Row& row : rows) {
    const auto config = cluster_of(5);
    // Every node must come to the same result from its own table.
    for (NodeId self = 0; self < 5; ++self) {
      Peers peers(*config, self);
      for (const auto& [a, b] : row.broken) peers.break_pair(static_cast<NodeId>(a), static_cast<NodeId>(b));
      const NodeSet left = largest_connected(peers.table, nodes({0, 1, 2, 3, 4}), row.coordinator);
      assert_int_equal(left.bits(), row.left.bits());
    }
  }
}

void one_way_is_broken_too(void**) {
  const auto config = cluster_of(3);
  Peers peers(*config, 0);
  peers.deafen(1, 2);
  assert_true(largest_connected(peers.table, nodes({0, 1, 2}), 0) == nodes({0, 1}));
}

void what_is_left_is_always_whole(void**) {
  Random random(11);
  const auto config = cluster_of(8);
  for (int round = 0; round < 3'000; ++round) {
    Peers peers(*config, 0);
    const int breaks = static_cast<int>(random.below(12));
    for (int i = 0; i < breaks; ++i)
      peers.deafen(static_cast<NodeId>(random.below(8)), static_cast<NodeId>(random.below(8)));
    const NodeSet left = largest_connected(peers.table, NodeSet::from_bits(0xff), 0);
    assert_false(left.empty());
    for (const NodeId a : left)
      for (const NodeId b : left) assert_true(peers.table.connected(a, b));
  }
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(the_healthy_stay_and_the_new_come_in),
      cmocka_unit_test(the_silent_are_expelled),
      cmocka_unit_test(who_says_goodbye_has_left),
      cmocka_unit_test(a_restarted_member_is_expelled_and_joins),
      cmocka_unit_test(what_keeps_a_node_out),
      cmocka_unit_test(admission_takes_its_time),
      cmocka_unit_test(an_old_life_of_our_own_never_comes_back),
      cmocka_unit_test(a_deaf_member_is_expelled),
      cmocka_unit_test(two_joiners_that_do_not_hear_each_other),
      cmocka_unit_test(clique_table),
      cmocka_unit_test(one_way_is_broken_too),
      cmocka_unit_test(what_is_left_is_always_whole),
  };
  return cmocka_run_group_tests_name("core/desired_view", tests, nullptr, nullptr);
}
