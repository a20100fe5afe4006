// A rotation goes on when every member has done its part, whoever comes, goes or says old things meanwhile.
#include "runtime/core/key_rotation.hpp"

// Last: its macros clash with the standard library.
#include "tests/unit/cmocka.hpp"

namespace {

using namespace vigil;

constexpr std::uint64_t print = 77;
constexpr NodeSet three = NodeSet::from_bits(0b111);

void say(KeyState& keys, NodeId from, KeyStep step, std::uint8_t id = 2, std::uint8_t sending = 1, std::uint64_t which = print) {
  apply_key_report(from, {step, id, sending, which}, keys);
}

KeyState begun() {
  KeyState keys;
  say(keys, 0, KeyStep::begin);
  return keys;
}

KeyState switching() {
  KeyState keys = begun();
  for (const NodeId node : three) say(keys, node, KeyStep::holds);
  advance_keys(three, keys);
  return keys;
}

void all_members_take_each_step(void**) {
  KeyState keys = begun();
  assert_int_equal(keys.phase, KeyPhase::spreading);
  assert_int_equal(keys.active, 1);
  assert_int_equal(keys.next, 2);
  assert_true(keys.done == NodeSet::of(0));
  say(keys, 1, KeyStep::holds);
  advance_keys(three, keys);
  assert_int_equal(keys.phase, KeyPhase::spreading);  // one is missing
  say(keys, 2, KeyStep::holds);
  advance_keys(three, keys);
  assert_int_equal(keys.phase, KeyPhase::switching);
  assert_true(keys.done.empty());
  for (const NodeId node : {NodeId{0}, NodeId{2}}) say(keys, node, KeyStep::sends, 2, 2);
  advance_keys(three, keys);
  assert_int_equal(keys.phase, KeyPhase::switching);
  say(keys, 1, KeyStep::sends, 2, 2);
  advance_keys(three, keys);
  assert_true((keys == KeyState{KeyPhase::settled, 2, 0, 0, {}}));
}

void who_leaves_is_not_waited_for_and_who_comes_is(void**) {
  KeyState keys = begun();
  say(keys, 1, KeyStep::holds);
  advance_keys(NodeSet::from_bits(0b1111), keys);
  assert_int_equal(keys.phase, KeyPhase::spreading);
  advance_keys(NodeSet::from_bits(0b0011), keys);
  assert_int_equal(keys.phase, KeyPhase::switching);
}

// Who made the key died before anybody fetched it.
void without_a_holder_it_is_given_up(void**) {
  KeyState keys = begun();
  advance_keys(NodeSet::from_bits(0b110), keys);
  assert_true((keys == KeyState{KeyPhase::settled, 1, 0, 0, {}}));
  keys = begun();
  say(keys, 2, KeyStep::holds);
  advance_keys(NodeSet::from_bits(0b110), keys);
  assert_int_equal(keys.phase, KeyPhase::spreading);  // it can be fetched from node 2
}

// Its file went with the disk. It fetches it from another, and without one the rotation is given up.
void who_lost_it_says_so(void**) {
  KeyState keys = begun();
  say(keys, 1, KeyStep::holds);
  say(keys, 0, KeyStep::lacks, 3);
  assert_true(keys.done == NodeSet::from_bits(0b011));  // an old word, of another key
  say(keys, 0, KeyStep::lacks);
  advance_keys(three, keys);
  assert_true((keys == KeyState{KeyPhase::spreading, 1, 2, print, NodeSet::of(1)}));
  say(keys, 1, KeyStep::lacks);
  advance_keys(three, keys);
  assert_true((keys == KeyState{KeyPhase::settled, 1, 0, 0, {}}));
  keys = switching();
  say(keys, 0, KeyStep::sends, 2, 2);
  const KeyState before = keys;
  say(keys, 0, KeyStep::lacks);
  assert_true(keys == before);
}

// Who joins while the next key is sent under may not hold it.
void who_joins_late_is_given_it_first(void**) {
  KeyState keys = switching();
  say(keys, 0, KeyStep::sends, 2, 2);
  let_join(three, three, NodeSet::of(3), keys);
  assert_true((keys == KeyState{KeyPhase::spreading, 1, 2, print, three}));
  const NodeSet four = NodeSet::from_bits(0b1111);
  advance_keys(four, keys);
  assert_int_equal(keys.phase, KeyPhase::spreading);
  say(keys, 3, KeyStep::holds);
  advance_keys(four, keys);
  assert_int_equal(keys.phase, KeyPhase::switching);
  const KeyState spreading = begun();
  keys = spreading;
  let_join(three, three, NodeSet::of(3), keys);
  assert_true(keys == spreading);
}

// What an earlier life held may be gone with its disk; but where all are new, somebody among them holds it.
void who_returns_while_it_spreads_holds_nothing_until_it_says_so(void**) {
  const NodeSet returning = NodeSet::of(1);
  KeyState keys{KeyPhase::spreading, 1, 2, print, three};
  let_join(three, three - returning, returning, keys);
  assert_true((keys == KeyState{KeyPhase::spreading, 1, 2, print, three - returning}));
  keys.done = three;
  let_join(three, {}, three, keys);
  assert_true((keys == KeyState{KeyPhase::spreading, 1, 2, print, three}));
}

// All had the next key on their disks, and one of them may have refused the old one before all lost their power.
void members_that_are_back_go_on_sending_under_the_next_key(void**) {
  KeyState keys = switching();
  keys.done = three;
  let_join(three, three - NodeSet::of(1), NodeSet::of(1), keys);
  assert_true((keys == KeyState{KeyPhase::switching, 1, 2, print, three - NodeSet::of(1)}));
  let_join(three, {}, three, keys);
  assert_true((keys == KeyState{KeyPhase::switching, 1, 2, print, {}}));
}

void old_and_foreign_words_change_nothing(void**) {
  const KeyState spreading = begun();
  KeyState keys = spreading;
  say(keys, 1, KeyStep::begin, 3);                 // a second rotation at once
  say(keys, 1, KeyStep::holds, 3);                 // of another key
  say(keys, 1, KeyStep::holds, 2, 1, print + 1);   // of another key under the same id
  say(keys, 1, KeyStep::sends, 2, 2);              // too early
  assert_true(keys == spreading);
  const KeyState before = switching();
  keys = before;
  say(keys, 1, KeyStep::holds);                    // too late
  say(keys, 1, KeyStep::sends, 2, 1);              // it does not
  say(keys, 1, KeyStep::begin, 3);
  assert_true(keys == before);
  keys = {KeyPhase::settled, 2, 0, 0, {}};
  const KeyState settled = keys;
  say(keys, 1, KeyStep::holds);
  say(keys, 1, KeyStep::sends, 2, 2);
  say(keys, 1, KeyStep::begin, 2, 1);              // it is behind: it sends under a retired key
  say(keys, 1, KeyStep::begin, 2, 2);              // to the key that is
  assert_true(keys == settled);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(all_members_take_each_step),
      cmocka_unit_test(who_leaves_is_not_waited_for_and_who_comes_is),
      cmocka_unit_test(without_a_holder_it_is_given_up),
      cmocka_unit_test(who_lost_it_says_so),
      cmocka_unit_test(who_joins_late_is_given_it_first),
      cmocka_unit_test(who_returns_while_it_spreads_holds_nothing_until_it_says_so),
      cmocka_unit_test(members_that_are_back_go_on_sending_under_the_next_key),
      cmocka_unit_test(old_and_foreign_words_change_nothing),
  };
  return cmocka_run_group_tests_name("core/key_rotation", tests, nullptr, nullptr);
}
