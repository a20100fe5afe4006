// Entries of all nodes come together, each once, whatever is lost on the way; who does not answer holds the
// answer up for a moment, and is named.
#include "runtime/node/journal_merge.hpp"

#include <deque>
#include <map>
#include <string>
// Last: cmocka's macros (fail, …) bite the standard library.
#include "tests/unit/cmocka.hpp"

using namespace vigil;

namespace {

constexpr NodeId alpha = 0, beta = 1, gamma = 2;

JournalEntry entry(NodeId node, std::uint64_t sequence) {
  JournalEntry made;
  made.node = node;
  made.sequence = sequence;
  made.boot_ns = static_cast<std::int64_t>(sequence);
  made.event = EventName::node_up;
  return made;
}

// The asking node, and two that answer from journals of their own.
struct Table : private MergeListener {
  Table() : merge(config(), *this) {}
  static const ClusterConfig& config() {
    static const ClusterConfig made{};
    return made;
  }

  void run(int turns = 10'000) {
    for (; merge.running() && turns > 0; --turns) {
      if (asks.empty()) {
        now = merge.next_deadline();
        merge.advance(now);
        continue;
      }
      const auto [to, ask] = asks.front();
      asks.pop_front();
      if (lose_every > 0 && ++asked % lose_every == 0) continue;
      if (gone.has(to)) continue;
      const JournalPage page = journal_page(others[to], runs[to], ask);
      for (int copies = 0; copies < (twice ? 2 : 1); ++copies) merge.on_page(now, to, page);
    }
  }
  void send_ask(NodeId to, const JournalAsk& ask) override { asks.emplace_back(to, ask); }
  void on_merged_entry(const JournalEntry& merged) override {
    ++brought;
    if (own.add(merged)) ++added;
  }
  void on_merged(NodeSet who) override {
    reached = who;
    ++ended;
  }

  Instant now = Instant{} + Duration::from_s(1);
  std::map<NodeId, Journal> others;
  std::map<NodeId, std::uint64_t> runs{{alpha, 70}, {beta, 71}, {gamma, 72}};
  Journal own;
  JournalMerge merge;
  std::deque<std::pair<NodeId, JournalAsk>> asks;
  NodeSet gone;
  NodeSet reached;
  unsigned asked = 0;
  unsigned lose_every = 0;
  bool twice = false;
  int brought = 0;
  int added = 0;
  int ended = 0;
};

NodeSet both() { return NodeSet::of(beta) | NodeSet::of(gamma); }

void all_entries_come_once(void**) {
  for (const bool twice : {false, true})
    for (const unsigned lose_every : {0u, 3u}) {
      Table table;
      table.twice = twice;
      table.lose_every = lose_every;
      for (std::uint64_t i = 1; i <= 100; ++i) table.others[beta].add(entry(beta, i));
      for (std::uint64_t i = 1; i <= 50; ++i) table.others[gamma].add(entry(gamma, i));
      for (std::uint64_t i = 40; i <= 60; ++i) table.others[gamma].add(entry(beta, i));  // beta tells them itself
      for (const NodeId node : both())  // alpha is gone; each knows a part of what it wrote
        for (std::uint64_t i = 1; i <= 10; ++i) table.others[node].add(entry(alpha, node * 5 + i));
      table.merge.begin(table.now, both(), NodeSet::of(alpha));
      table.run();
      assert_int_equal(table.ended, 1);
      assert_true(table.reached == both());
      assert_int_equal(table.added, 165);
      assert_true(table.twice || table.brought == 170);
      // The next time only what is new is asked for.
      table.brought = 0;
      table.others[beta].add(entry(beta, 101));
      table.merge.begin(table.now, both(), NodeSet::of(alpha));
      table.run();
      assert_int_equal(table.ended, 2);
      assert_int_equal(table.brought, 1);
      assert_int_equal(table.added, 166);
    }
}

void who_does_not_answer_is_given_up(void**) {
  Table table;
  table.others[beta].add(entry(beta, 1));
  table.gone = NodeSet::of(gamma);
  const Instant begun = table.now;
  table.merge.begin(table.now, both(), NodeSet::of(alpha));
  table.run();
  assert_int_equal(table.ended, 1);
  assert_true(table.reached == NodeSet::of(beta));
  assert_true(table.now - begun < Duration::from_s(1));
}

void with_nobody_to_ask_it_ends_at_once(void**) {
  Table table;
  table.merge.begin(table.now, {}, {});
  assert_int_equal(table.ended, 1);
  assert_true(table.reached.empty());
  assert_true(table.merge.next_deadline().is_never());
}

// Whom we could ask the last time we must ask others about now, from the beginning.
void more_missing_nodes_are_asked_for_anew(void**) {
  Table table;
  for (std::uint64_t i = 1; i <= 20; ++i) table.others[beta].add(entry(gamma, i));
  for (std::uint64_t i = 1; i <= 20; ++i) table.others[beta].add(entry(beta, i));
  table.merge.begin(table.now, NodeSet::of(beta), {});
  table.run();
  assert_int_equal(table.added, 20);
  table.merge.begin(table.now, NodeSet::of(beta), NodeSet::of(gamma));
  table.run();
  assert_int_equal(table.added, 40);
  table.brought = 0;
  table.merge.begin(table.now, NodeSet::of(beta), {});
  table.run();
  assert_int_equal(table.brought, 0);
}

// Another run numbers its entries anew.
void a_restarted_node_is_asked_from_its_beginning(void**) {
  Table table;
  for (std::uint64_t i = 1; i <= 30; ++i) table.others[beta].add(entry(beta, i));
  table.merge.begin(table.now, NodeSet::of(beta), {});
  table.run();
  assert_int_equal(table.added, 30);
  table.others[beta] = Journal();
  table.runs[beta] = 99;
  for (std::uint64_t i = 101; i <= 140; ++i) table.others[beta].add(entry(beta, i));
  table.merge.begin(table.now, NodeSet::of(beta), {});
  table.run();
  assert_int_equal(table.ended, 2);
  assert_int_equal(table.added, 70);
}

void what_a_node_has_forgotten_is_skipped(void**) {
  Table table;
  for (std::uint64_t i = 1; i <= Journal::capacity + 500; ++i) table.others[beta].add(entry(beta, i));
  table.merge.begin(table.now, NodeSet::of(beta), {});
  table.run();
  assert_int_equal(table.ended, 1);
  assert_int_equal(table.added, Journal::capacity);
}

void one_who_asks_meanwhile_gets_the_same_answer(void**) {
  Table table;
  table.others[beta].add(entry(beta, 1));
  table.others[gamma].add(entry(gamma, 1));
  table.merge.begin(table.now, NodeSet::of(beta), {});
  table.merge.begin(table.now, both(), NodeSet::of(alpha));
  table.run();
  assert_int_equal(table.ended, 1);
  assert_true(table.reached == both());
  assert_int_equal(table.brought, 2);
}

// Pages that nobody asked for, or that lead nowhere.
void senseless_pages_change_nothing(void**) {
  Table table;
  JournalPage page;
  page.run = 71;
  page.entries.push(entry(beta, 1));
  table.merge.on_page(table.now, beta, page);
  assert_int_equal(table.brought, 0);
  table.merge.begin(table.now, NodeSet::of(beta), {});
  JournalPage endless = page;
  endless.last = false;
  table.merge.on_page(table.now, beta, endless);  // its next page would be itself
  JournalPage later = page;
  later.position = 8;
  later.next = 9;
  table.merge.on_page(table.now, beta, later);
  JournalPage unasked = page;
  unasked.run = 0;
  table.merge.on_page(table.now, beta, unasked);
  assert_int_equal(table.brought, 0);
  assert_true(table.merge.running());
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(all_entries_come_once),
      cmocka_unit_test(who_does_not_answer_is_given_up),
      cmocka_unit_test(with_nobody_to_ask_it_ends_at_once),
      cmocka_unit_test(more_missing_nodes_are_asked_for_anew),
      cmocka_unit_test(a_restarted_node_is_asked_from_its_beginning),
      cmocka_unit_test(what_a_node_has_forgotten_is_skipped),
      cmocka_unit_test(one_who_asks_meanwhile_gets_the_same_answer),
      cmocka_unit_test(senseless_pages_change_nothing),
  };
  return cmocka_run_group_tests_name("node/journal_merge", tests, nullptr, nullptr);
}
