// Fragments: messages come out whole, once a send, over lossy and doubled links, within bounds.
#include "runtime/wire/fragment.hpp"

#include <algorithm>
#include <map>
#include <vector>

#include "runtime/base/random.hpp"
#include "tests/unit/cmocka.hpp"

namespace {

using namespace vigil;
using wire::FragmentPlan;
using wire::FragmentStatus;

using Bytes = std::vector<std::uint8_t>;

constexpr std::uint64_t life = 77;  // the sender's start_id

Bytes random_message(Random& random, std::size_t size) {
  Bytes message(size);
  for (std::uint8_t& byte : message) byte = static_cast<std::uint8_t>(random.next());
  return message;
}

std::vector<Bytes> cut(const FragmentPlan& plan) {
  std::vector<Bytes> bodies;
  for (std::size_t i = 0; i < plan.count; ++i) {
    Bytes body(wire::body_bytes_max);
    body.resize(wire::write_fragment(plan, i, body));
    bodies.push_back(body);
  }
  return bodies;
}

bool equals(wire::Bytes a, const Bytes& b) { return std::equal(a.begin(), a.end(), b.begin(), b.end()); }

void every_size_comes_out_whole(void**) {
  Random random(1);
  wire::Fragmenter fragmenter;
  wire::Reassembler reassembler(2);
  std::vector<std::size_t> sizes{1, 2, wire::slice_bytes - 1, wire::slice_bytes, wire::slice_bytes + 1,
                                 limits::message_bytes - 1, limits::message_bytes};
  for (int i = 0; i < 100; ++i) sizes.push_back(1 + random.below(limits::message_bytes));
  for (const std::size_t size : sizes) {
    const Bytes message = random_message(random, size);
    const FragmentPlan plan = fragmenter.plan(0, message);
    std::vector<Bytes> bodies = cut(plan);
    assert_true(bodies.size() <= wire::fragments_max);
    for (std::size_t i = bodies.size(); i > 1; --i) std::swap(bodies[i - 1], bodies[random.below(i)]);
    for (std::size_t i = 0; i < bodies.size(); ++i) {
      const wire::Assembled assembled = reassembler.add(1, life, bodies[i]);
      const bool last = i + 1 == bodies.size();
      assert_int_equal(assembled.status, last ? FragmentStatus::complete : FragmentStatus::incomplete);
      if (last) assert_true(equals(assembled.message, message));
    }
  }
  assert_int_equal(reassembler.counters().delivered, sizes.size());
}

// The same send over two links: delivered once, whatever the order of the copies.
void copies_over_two_links_deliver_once(void**) {
  Random random(2);
  wire::Fragmenter fragmenter;
  wire::Reassembler reassembler(1);
  for (int i = 0; i < 300; ++i) {
    const Bytes message = random_message(random, 1 + random.below(2000));
    std::vector<Bytes> bodies = cut(fragmenter.plan(0, message));
    const std::vector<Bytes> copies = bodies;
    bodies.insert(bodies.end(), copies.begin(), copies.end());
    for (std::size_t k = bodies.size(); k > 1; --k) std::swap(bodies[k - 1], bodies[random.below(k)]);
    int delivered = 0;
    for (const Bytes& body : bodies)
      if (reassembler.add(0, life, body).status == FragmentStatus::complete) ++delivered;
    assert_int_equal(delivered, 1);
  }
}

// A repetition has a fresh id: it is delivered again, because the answer may have been lost.
void a_repetition_is_delivered_again(void**) {
  Random random(3);
  wire::Fragmenter fragmenter;
  wire::Reassembler reassembler(1);
  for (const std::size_t size : {10u, 1000u}) {
    const Bytes message = random_message(random, size);
    for (int repetition = 0; repetition < 5; ++repetition) {
      int delivered = 0;
      for (const Bytes& body : cut(fragmenter.plan(0, message)))
        if (reassembler.add(0, life, body).status == FragmentStatus::complete) ++delivered;
      assert_int_equal(delivered, 1);
    }
  }
}

// A link that loses every second fragment: repetitions of the same content fill each other's holes.
void repetitions_fill_holes(void**) {
  Random random(4);
  wire::Fragmenter fragmenter;
  wire::Reassembler reassembler(1);
  const Bytes message = random_message(random, 6000);
  int sends = 0;
  bool delivered = false;
  Bytes straggler;
  while (!delivered && sends < 30) {
    ++sends;
    const std::vector<Bytes> bodies = cut(fragmenter.plan(0, message));
    straggler = bodies[0];
    for (const Bytes& body : bodies) {
      if (random.chance(50)) continue;
      const wire::Assembled assembled = reassembler.add(0, life, body);
      if (assembled.status != FragmentStatus::complete) continue;
      delivered = true;
      assert_true(equals(assembled.message, message));
    }
  }
  assert_true(delivered);
  assert_true(sends < 20);  // 43 fragments at 50 %: no single send ever gets them all through
  // What is still on its way of the sends that took part starts nothing anew.
  assert_int_equal(reassembler.add(0, life, straggler).status, FragmentStatus::duplicate);
}

void other_content_under_other_ids_does_not_mix(void**) {
  Random random(5);
  wire::Fragmenter fragmenter;
  wire::Reassembler reassembler(3);
  std::vector<Bytes> messages;
  std::vector<std::pair<NodeId, Bytes>> bodies;
  for (NodeId from = 0; from < 3; ++from)
    for (int i = 0; i < 3; ++i) {
      messages.push_back(random_message(random, 1000));  // equal lengths
      for (const Bytes& body : cut(fragmenter.plan(from, messages.back()))) bodies.emplace_back(from, body);
    }
  for (std::size_t i = bodies.size(); i > 1; --i) std::swap(bodies[i - 1], bodies[random.below(i)]);
  std::size_t delivered = 0;
  for (const auto& [from, body] : bodies) {
    const wire::Assembled assembled = reassembler.add(from, life, body);
    if (assembled.status != FragmentStatus::complete) continue;
    ++delivered;
    assert_true(std::any_of(messages.begin(), messages.end(),
                            [&](const Bytes& message) { return equals(assembled.message, message); }));
  }
  assert_int_equal(delivered, messages.size());
}

void the_one_that_waited_longest_makes_room(void**) {
  Random random(6);
  wire::Fragmenter fragmenter;
  wire::Reassembler reassembler(1);
  std::vector<Bytes> messages;
  std::vector<std::vector<Bytes>> bodies;
  for (std::size_t i = 0; i <= wire::Reassembler::slots_per_peer; ++i) {
    messages.push_back(random_message(random, 2 * wire::slice_bytes));
    bodies.push_back(cut(fragmenter.plan(0, messages.back())));
  }
  // The first stays alive by a late touch; the second waited longest when the fifth comes.
  for (std::size_t i = 0; i < wire::Reassembler::slots_per_peer; ++i) reassembler.add(0, life, bodies[i][0]);
  assert_int_equal(reassembler.add(0, life, bodies[0][0]).status, FragmentStatus::duplicate);
  reassembler.add(0, life, bodies.back()[0]);
  assert_int_equal(reassembler.counters().given_up, 1);
  assert_int_equal(reassembler.add(0, life, bodies[0][1]).status, FragmentStatus::complete);
  assert_int_equal(reassembler.add(0, life, bodies.back()[1]).status, FragmentStatus::complete);
  assert_int_equal(reassembler.add(0, life, bodies[1][1]).status, FragmentStatus::incomplete);
}

// A restarted sender numbers from 1 again: nothing of its earlier life is in the way.
void a_new_incarnation_starts_afresh(void**) {
  Random random(7);
  wire::Reassembler reassembler(1);
  const Bytes message = random_message(random, 500);
  for (const std::uint64_t start_id : {1u, 2u, 3u}) {
    wire::Fragmenter fragmenter;
    int delivered = 0;
    for (const Bytes& body : cut(fragmenter.plan(0, message)))
      if (reassembler.add(0, start_id, body).status == FragmentStatus::complete) ++delivered;
    assert_int_equal(delivered, 1);
  }
  // Halves of two lives make no whole.
  wire::Fragmenter fragmenter;
  const std::vector<Bytes> bodies = cut(fragmenter.plan(0, message));
  reassembler.add(0, 4, bodies[0]);
  reassembler.add(0, 4, bodies[1]);
  reassembler.add(0, 5, bodies[2]);
  assert_int_equal(reassembler.add(0, 5, bodies[3]).status, FragmentStatus::incomplete);
}

void contradictions_are_refused(void**) {
  Random random(8);
  wire::Fragmenter fragmenter;
  wire::Reassembler reassembler(1);
  const Bytes message = random_message(random, 300);  // slices of 141, 141, 18
  const std::vector<Bytes> bodies = cut(fragmenter.plan(0, message));
  const auto status_of = [&](Bytes body, std::size_t place, std::uint8_t value) {
    body[place] = value;
    return reassembler.add(0, life, body).status;
  };
  assert_int_equal(status_of(bodies[0], 14, 3), FragmentStatus::malformed);    // index beyond the count
  assert_int_equal(status_of(bodies[0], 14, 2), FragmentStatus::malformed);    // a full slice as the short last one
  assert_int_equal(status_of(bodies[2], 14, 0), FragmentStatus::malformed);    // the other way round
  assert_int_equal(status_of(bodies[0], 12, 0xff), FragmentStatus::malformed); // longer than any message
  for (std::size_t size = 0; size < bodies[0].size(); ++size)
    assert_int_equal(reassembler.add(0, life, wire::Bytes(bodies[0]).first(size)).status, FragmentStatus::malformed);
  Bytes no_id = bodies[0];
  std::fill(no_id.begin(), no_id.begin() + 4, std::uint8_t{0});
  assert_int_equal(reassembler.add(0, life, no_id).status, FragmentStatus::malformed);
  // Slices that do not belong together are found out by the hash over the whole.
  reassembler.add(0, life, bodies[0]);
  reassembler.add(0, life, bodies[1]);
  assert_int_equal(status_of(bodies[2], 20, static_cast<std::uint8_t>(bodies[2][20] ^ 1)), FragmentStatus::corrupt);
  // And the same send still gets through afterwards.
  for (std::size_t i = 0; i < bodies.size(); ++i)
    assert_int_equal(reassembler.add(0, life, bodies[i]).status,
                     i + 1 == bodies.size() ? FragmentStatus::complete : FragmentStatus::incomplete);
  const Bytes small = random_message(random, 10);
  Bytes body = cut(fragmenter.plan(0, small))[0];
  body.back() = static_cast<std::uint8_t>(body.back() ^ 1);
  assert_int_equal(reassembler.add(0, life, body).status, FragmentStatus::corrupt);
}

// Ids out of order, over a long run: each is delivered once while it is within the last 64.
void reordered_sends_are_each_delivered_once(void**) {
  Random random(9);
  wire::Fragmenter fragmenter;
  wire::Reassembler reassembler(1);
  const Bytes message = random_message(random, 20);
  std::vector<Bytes> window;
  std::map<std::uint32_t, int> delivered;
  for (int i = 0; i < 5000; ++i) {
    window.push_back(cut(fragmenter.plan(0, message))[0]);
    if (window.size() < 20) continue;
    const std::size_t pick = random.below(window.size());
    for (int copy = 0; copy < 2; ++copy)
      if (reassembler.add(0, life, window[pick]).status == FragmentStatus::complete)
        ++delivered[wire::ByteReader(window[pick]).get_u32()];
    window.erase(window.begin() + static_cast<std::ptrdiff_t>(random.chance(90) ? 0 : pick));
  }
  assert_true(delivered.size() > 2000);
  for (const auto& [id, times] : delivered) assert_int_equal(times, 1);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(every_size_comes_out_whole),
      cmocka_unit_test(copies_over_two_links_deliver_once),
      cmocka_unit_test(a_repetition_is_delivered_again),
      cmocka_unit_test(repetitions_fill_holes),
      cmocka_unit_test(other_content_under_other_ids_does_not_mix),
      cmocka_unit_test(the_one_that_waited_longest_makes_room),
      cmocka_unit_test(a_new_incarnation_starts_afresh),
      cmocka_unit_test(contradictions_are_refused),
      cmocka_unit_test(reordered_sends_are_each_delivered_once),
  };
  return cmocka_run_group_tests_name("wire/fragment", tests, nullptr, nullptr);
}
