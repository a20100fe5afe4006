// What a voter's beats tell holders: all where they fit, owners first and the others in turns where they do not, and
// nothing of another epoch, of long ago, or of whom it has voted out.
#include "runtime/core/renewal_acks.hpp"

#include <algorithm>
#include <vector>

// Last: cmocka's macros (fail, …) bite the standard library.
#include "tests/unit/cmocka.hpp"

using namespace vigil;

namespace {

constexpr Epoch epoch{7, 1};
constexpr NodeSet everybody = NodeSet::from_bits(~std::uint64_t{0});
constexpr NodeSet first_nodes(unsigned count) {
  return count >= 64 ? everybody : NodeSet::from_bits((std::uint64_t{1} << count) - 1);
}
constexpr Instant start{1'000'000'000};

Instant at(int ms) { return start + Duration::from_ms(ms); }
std::int64_t sent(int ms) { return at(ms).ns / renewal_unit.ns * renewal_unit.ns; }

std::vector<NodeId> told(RenewalBook& book, NodeSet holders, NodeSet owners, Epoch of = epoch, Instant since = Instant{},
                         LinkIndex link = 0) {
  RenewalAcks acks;
  book.tell(link, since, of, holders, owners, acks);
  std::vector<NodeId> nodes;
  for (const RenewalAck& ack : acks) nodes.push_back(ack.holder);
  return nodes;
}

void the_newest_renewal_is_told_rounded_down(void**) {
  RenewalBook book(4, 1, 64, 0);
  book.note(at(1), 2, epoch, sent(0) + 3);
  RenewalAcks acks;
  book.tell(0, Instant{}, epoch, everybody, {}, acks);
  assert_int_equal(acks.size(), 1);
  assert_int_equal(acks[0].holder, 2);
  assert_int_equal(acks[0].sent_ns, sent(0));
  book.note(at(31), 2, epoch, sent(30));
  book.tell(0, Instant{}, epoch, everybody, {}, acks);
  assert_int_equal(acks.size(), 1);
  assert_int_equal(acks[0].sent_ns, sent(30));
}

void copies_and_overtaken_renewals_are_known(void**) {
  RenewalBook book(4, 1, 64, 0);
  assert_false(book.knows(2, epoch, sent(5)));
  book.note(at(6), 2, epoch, sent(5));
  assert_true(book.knows(2, epoch, sent(5)));
  assert_true(book.knows(2, epoch, sent(4)));
  assert_false(book.knows(2, epoch, sent(6)));
  assert_false(book.knows(2, {8, 1}, sent(5)));  // another epoch asks anew
  book.forget(2);
  assert_false(book.knows(2, epoch, sent(5)));
}

void what_is_not_told(void**) {
  struct Row {
    const char* what;
    Epoch of;
    Instant since;
    NodeSet holders;
    bool is_told;
  };
  const Row rows[] = {
      {"in its epoch, new, kept", epoch, at(9), everybody, true},
      {"in another epoch", {8, 1}, at(9), everybody, false},
      {"recorded a lease ago", epoch, at(10), everybody, false},
      {"voted out since", epoch, at(9), everybody - NodeSet::of(5), false},
  };
  for (const Row& row : rows) {
    RenewalBook book(4, 1, 64, 0);
    book.note(at(10), 5, epoch, sent(8));
    const bool is_told = !told(book, row.holders, {}, row.of, row.since).empty();
    if (is_told != row.is_told) print_error("%s\n", row.what);
    assert_int_equal(is_told, row.is_told);
  }
}

// 26 others and room for 11 on one link: owners in every beat, everybody within as many beats as it takes.
void owners_first_and_the_others_in_turns(void**) {
  constexpr std::size_t room = 11;
  constexpr NodeId nodes = 27;
  RenewalBook book(room, 1, nodes, 9);
  for (NodeId node = 1; node < nodes; ++node) book.note(at(1), node, epoch, sent(0));
  const NodeSet holders = first_nodes(nodes) - NodeSet::of(0);
  const NodeSet owners = NodeSet::of(3) | NodeSet::of(20);
  NodeSet heard;
  for (int beat = 0; beat < 3; ++beat) {
    const std::vector<NodeId> nodes_told = told(book, holders, owners);
    assert_int_equal(nodes_told.size(), room);
    for (NodeId owner : owners) assert_int_equal(std::count(nodes_told.begin(), nodes_told.end(), owner), 1);
    for (NodeId node : nodes_told) heard.add(node);
  }
  assert_true(heard == holders);
}

// Beats until every holder was told, over these links in turn; the owners among them are the first ones.
int beats_until_all(NodeId nodes, std::size_t room, std::size_t links, NodeId owners, std::vector<LinkIndex> alive) {
  RenewalBook book(room, links, nodes, 5);
  for (NodeId node = 1; node < nodes; ++node) book.note(at(1), node, epoch, sent(0));
  const NodeSet holders = first_nodes(nodes) - NodeSet::of(0);
  const NodeSet owning = first_nodes(owners + 1u) - NodeSet::of(0);
  int worst = 0;
  for (int begin = 0; begin < 20; ++begin) {
    NodeSet heard;
    int beats = 0;
    for (; heard != holders && beats < 100; ++beats)
      for (LinkIndex link = 0; link < links; ++link) {
        const std::vector<NodeId> nodes_told = told(book, holders, owning, epoch, {}, link);
        if (std::count(alive.begin(), alive.end(), link) > 0)
          for (NodeId node : nodes_told) heard.add(node);
      }
    worst = std::max(worst, beats);
  }
  return worst;
}

// However many own something, nobody waits longer than in equal turns; and what the other link would have told is told
// by each alone.
void nobody_is_passed_over(void**) {
  for (NodeId nodes = 24; nodes <= 64; ++nodes)
    for (std::size_t links = 1; links <= 4; links *= 2)
      for (NodeId owners = 0; owners < 14; ++owners) {
        constexpr std::size_t room = 11;
        const int alone = (nodes - 1 + static_cast<int>(room) - 1) / static_cast<int>(room);
        std::vector<LinkIndex> all;
        while (all.size() < links) all.push_back(static_cast<LinkIndex>(all.size()));
        const int together = beats_until_all(nodes, room, links, owners, all);
        if (together > std::max(4, alone + 1))
          print_error("%d nodes, %zu links, %d owners: %d beats\n", nodes, links, owners, together);
        assert_true(together <= std::max(4, alone + 1));
        if (links == 1) continue;
        for (LinkIndex link : all) {
          const int by_one = beats_until_all(nodes, room, links, owners, {link});
          if (by_one > 7) print_error("%d nodes, %d owners, link %d alone: %d beats\n", nodes, owners, link, by_one);
          assert_true(by_one <= 7);
        }
      }
  assert_true(beats_until_all(64, 11, 2, 13, {0, 1}) <= 4);
}

void owners_that_do_not_fit_take_turns_too(void**) {
  RenewalBook book(4, 1, 64, 0);
  NodeSet owners;
  for (NodeId node = 1; node < 10; ++node) {
    book.note(at(1), node, epoch, sent(0));
    owners.add(node);
  }
  NodeSet heard;
  for (int beat = 0; beat < 3; ++beat)
    for (NodeId node : told(book, everybody, owners)) heard.add(node);
  assert_true(heard == owners);
}

// What is reckoned in base/message.hpp, for clusters as they are.
void a_small_cluster_is_answered_at_once(void**) {
  for (std::size_t nodes = 2; nodes <= 12; ++nodes) assert_true(renewal_acks_that_fit(nodes, 5) >= nodes - 1);
  assert_true(renewal_acks_that_fit(64, 2) >= 11);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(the_newest_renewal_is_told_rounded_down),
      cmocka_unit_test(copies_and_overtaken_renewals_are_known),
      cmocka_unit_test(what_is_not_told),
      cmocka_unit_test(owners_first_and_the_others_in_turns),
      cmocka_unit_test(nobody_is_passed_over),
      cmocka_unit_test(owners_that_do_not_fit_take_turns_too),
      cmocka_unit_test(a_small_cluster_is_answered_at_once),
  };
  return cmocka_run_group_tests_name("core/renewal_acks", tests, nullptr, nullptr);
}
