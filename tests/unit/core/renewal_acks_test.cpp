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
constexpr Instant start{1'000'000'000};

Instant at(int ms) { return start + Duration::from_ms(ms); }
std::int64_t sent(int ms) { return at(ms).ns / renewal_unit.ns * renewal_unit.ns; }

std::vector<NodeId> told(RenewalBook& book, NodeSet holders, NodeSet owners, Epoch of = epoch, Instant since = Instant{}) {
  RenewalAcks acks;
  book.tell(since, of, holders, owners, acks);
  std::vector<NodeId> nodes;
  for (const RenewalAck& ack : acks) nodes.push_back(ack.holder);
  return nodes;
}

void the_newest_renewal_is_told_rounded_down(void**) {
  RenewalBook book(4, 0);
  book.note(at(1), 2, epoch, sent(0) + 3);
  RenewalAcks acks;
  book.tell(Instant{}, epoch, everybody, {}, acks);
  assert_int_equal(acks.size(), 1);
  assert_int_equal(acks[0].holder, 2);
  assert_int_equal(acks[0].sent_ns, sent(0));
  book.note(at(31), 2, epoch, sent(30));
  book.tell(Instant{}, epoch, everybody, {}, acks);
  assert_int_equal(acks.size(), 1);
  assert_int_equal(acks[0].sent_ns, sent(30));
}

void copies_and_overtaken_renewals_are_known(void**) {
  RenewalBook book(4, 0);
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
    RenewalBook book(4, 0);
    book.note(at(10), 5, epoch, sent(8));
    const bool is_told = !told(book, row.holders, {}, row.of, row.since).empty();
    if (is_told != row.is_told) print_error("%s\n", row.what);
    assert_int_equal(is_told, row.is_told);
  }
}

// 63 others and room for 11: owners in every beat, everybody within as many beats as it takes.
void owners_first_and_the_others_in_turns(void**) {
  constexpr std::size_t room = 11;
  RenewalBook book(room, 9);
  for (NodeId node = 1; node < 64; ++node) book.note(at(1), node, epoch, sent(0));
  const NodeSet owners = NodeSet::of(3) | NodeSet::of(40) | NodeSet::of(63);
  NodeSet heard;
  const std::size_t beats = (60 + room - 4) / (room - 3);
  for (std::size_t beat = 0; beat < beats; ++beat) {
    const std::vector<NodeId> nodes = told(book, everybody, owners);
    assert_int_equal(nodes.size(), room);
    for (NodeId owner : owners) assert_int_equal(std::count(nodes.begin(), nodes.end(), owner), 1);
    for (NodeId node : nodes) heard.add(node);
  }
  assert_int_equal(heard.count(), 63);
}

void owners_that_do_not_fit_take_turns_too(void**) {
  RenewalBook book(4, 0);
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
      cmocka_unit_test(owners_that_do_not_fit_take_turns_too),
      cmocka_unit_test(a_small_cluster_is_answered_at_once),
  };
  return cmocka_run_group_tests_name("core/renewal_acks", tests, nullptr, nullptr);
}
