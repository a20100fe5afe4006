// Heartbeats and acknowledgements: they survive the wire, and fit it.
#include "runtime/wire/heartbeat.hpp"

#include <algorithm>
#include <vector>

#include "tests/unit/wire/random_messages.hpp"

#include "tests/unit/cmocka.hpp"

namespace {

using namespace vigil;
using test::RandomMessages;

using Body = std::array<std::uint8_t, wire::body_bytes_max>;

std::vector<std::uint8_t> encoded(const Heartbeat& heartbeat) {
  Body body{};
  wire::ByteWriter writer(body);
  wire::encode_heartbeat(writer, heartbeat);
  assert_true(writer.ok());
  return {body.begin(), body.begin() + static_cast<std::ptrdiff_t>(writer.size())};
}

std::vector<std::uint8_t> encoded(const HeartbeatAck& ack) {
  Body body{};
  wire::ByteWriter writer(body);
  wire::encode_ack(writer, ack);
  assert_true(writer.ok());
  return {body.begin(), body.begin() + static_cast<std::ptrdiff_t>(writer.size())};
}

// Field by field: a heartbeat has no ==, since no core compares them.
bool same(const Heartbeat& a, const Heartbeat& b) {
  return a.link == b.link && a.link_sequence == b.link_sequence && a.sent_ns == b.sent_ns &&
         a.committed == b.committed && a.quorate == b.quorate && a.ready == b.ready &&
         a.wants_lease == b.wants_lease && a.leaving == b.leaving && a.late == b.late && a.clean == b.clean &&
         a.incarnation == b.incarnation && a.config_hash == b.config_hash && a.heard == b.heard &&
         a.networks_up == b.networks_up && a.lateness_ms == b.lateness_ms && a.lease_us == b.lease_us &&
         a.heard_links == b.heard_links && a.acks == b.acks;
}

void heartbeats_round_trip(void**) {
  for (const std::size_t nodes : {1u, 2u, 3u, 8u, 63u, 64u}) {
    RandomMessages make(nodes, nodes, 1);
    for (int i = 0; i < 500; ++i) {
      const Incarnation incarnation = make.incarnation();
      const auto link = static_cast<LinkIndex>(make.random().below(limits::max_links));
      const Heartbeat sent = make.heartbeat(incarnation, link);
      Heartbeat received;
      assert_true(wire::decode_heartbeat(encoded(sent), link, incarnation, received));
      assert_true(same(sent, received));
    }
  }
}

void acknowledgements_round_trip(void**) {
  RandomMessages make(1, 64, 1);
  for (int i = 0; i < 2000; ++i) {
    const HeartbeatAck sent = make.ack();
    HeartbeatAck received;
    assert_true(wire::decode_ack(encoded(sent), received));
    assert_int_equal(received.link, sent.link);
    assert_int_equal(received.sent_ns, sent.sent_ns);
    assert_int_equal(received.held_us, sent.held_us);
  }
}

// The largest cluster, every number at its longest.
Heartbeat largest() {
  Heartbeat heartbeat;
  heartbeat.link_sequence = UINT32_MAX;
  heartbeat.sent_ns = INT64_MAX;
  heartbeat.committed = {{UINT64_MAX, 63}, UINT32_MAX};
  heartbeat.config_hash = UINT64_MAX;
  heartbeat.heard = NodeSet::from_bits(UINT64_MAX);
  heartbeat.networks_up = 0xff;
  heartbeat.lateness_ms = UINT16_MAX;
  heartbeat.lease_us = 3'600'000'000;
  heartbeat.heard_links.fill(0xff);
  for (std::size_t i = 0; i < renewal_acks_that_fit(limits::max_nodes, limits::max_links); ++i)
    heartbeat.acks.push({static_cast<NodeId>(63 - i), ((std::int64_t{1} << 48) - 1) * renewal_unit.ns});
  return heartbeat;
}

// A week of a cluster of three nodes on three links.
Heartbeat usual() {
  Heartbeat heartbeat;
  heartbeat.link_sequence = 24'192'000;
  heartbeat.sent_ns = 604'800'000'000'000;
  heartbeat.committed = {{130, 1}, 12};
  heartbeat.config_hash = 0x1234567890abcdef;
  heartbeat.heard = NodeSet::from_bits(7);
  heartbeat.networks_up = 3;
  heartbeat.lateness_ms = 1;
  heartbeat.lease_us = 150'000;
  heartbeat.heard_links[1] = 7;
  heartbeat.heard_links[2] = 7;
  for (NodeId holder = 1; holder <= 2; ++holder) heartbeat.acks.push({holder, 604'800'000'000'000 / renewal_unit.ns * renewal_unit.ns});
  return heartbeat;
}

void sizes(void**) {
  assert_true(encoded(largest()).size() <= wire::heartbeat_body_max);
  assert_true(encoded(largest()).size() + renewal_ack_bytes > wire::heartbeat_body_max);  // no room is wasted
  assert_true(wire::frame_size(encoded(largest()).size()) <= limits::frame_bytes);
  assert_true(wire::frame_size(encoded(usual()).size()) <= 100);
  const HeartbeatAck ack{7, INT64_MAX, UINT32_MAX};
  assert_int_equal(encoded(ack).size(), wire::ack_body_max);
  print_message("heartbeat frame: %zu bytes with 3 nodes, %zu with 64; acknowledgement at most %zu\n",
                wire::frame_size(encoded(usual()).size()), wire::frame_size(encoded(largest()).size()),
                wire::frame_size(encoded(ack).size()));
}

void cut_and_lengthened_bodies_are_refused(void**) {
  const std::vector<std::uint8_t> heartbeat = encoded(largest());
  const std::vector<std::uint8_t> ack = encoded(HeartbeatAck{1, 2, 5});
  Heartbeat read;
  HeartbeatAck read_ack;
  for (std::size_t size = 0; size < heartbeat.size(); ++size)
    assert_false(wire::decode_heartbeat(wire::Bytes(heartbeat).first(size), 0, {}, read));
  for (std::size_t size = 0; size < ack.size(); ++size)
    assert_false(wire::decode_ack(wire::Bytes(ack).first(size), read_ack));
  std::vector<std::uint8_t> longer = heartbeat;
  longer.push_back(0);
  assert_false(wire::decode_heartbeat(longer, 0, {}, read));
  longer = ack;
  longer.push_back(0);
  assert_false(wire::decode_ack(longer, read_ack));
}

// A release two revisions ahead appends two blocks: the known fields are read, the blocks skipped.
void newer_revisions_are_understood(void**) {
  std::vector<std::uint8_t> body = encoded(usual());
  body[0] = 3;
  const std::vector<std::uint8_t> without = body;
  body.insert(body.end(), {3, 1, 2, 3, 0});
  Heartbeat read;
  assert_true(wire::decode_heartbeat(body, 0, {}, read));
  assert_true(same(read, usual()));
  assert_false(wire::decode_heartbeat(without, 0, {}, read));  // blocks missing
  std::vector<std::uint8_t> cut = body;
  cut.pop_back();
  assert_false(wire::decode_heartbeat(cut, 0, {}, read));
  body.push_back(0);
  assert_false(wire::decode_heartbeat(body, 0, {}, read));  // more than the blocks
  body = encoded(usual());
  body[0] = 0;
  assert_false(wire::decode_heartbeat(body, 0, {}, read));
}

void senseless_values_are_refused(void**) {
  Heartbeat read;
  HeartbeatAck read_ack;
  Heartbeat heartbeat = usual();
  heartbeat.sent_ns = -1;
  assert_false(wire::decode_heartbeat(encoded(heartbeat), 0, {}, read));
  heartbeat = usual();
  heartbeat.lease_us = 3'600'000'001;
  assert_false(wire::decode_heartbeat(encoded(heartbeat), 0, {}, read));
  heartbeat = usual();
  heartbeat.committed.epoch.proposer = 64;
  assert_false(wire::decode_heartbeat(encoded(heartbeat), 0, {}, read));
  assert_false(wire::decode_heartbeat(encoded(usual()), limits::max_links, {}, read));
  assert_true(wire::decode_heartbeat(encoded(usual()), 0, {}, read));
  std::vector<std::uint8_t> ack = encoded(HeartbeatAck{1, 2, 5});
  ack[1] = 8;  // no such link
  assert_false(wire::decode_ack(ack, read_ack));
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(heartbeats_round_trip),
      cmocka_unit_test(acknowledgements_round_trip),
      cmocka_unit_test(sizes),
      cmocka_unit_test(cut_and_lengthened_bodies_are_refused),
      cmocka_unit_test(newer_revisions_are_understood),
      cmocka_unit_test(senseless_values_are_refused),
  };
  return cmocka_run_group_tests_name("wire/heartbeat", tests, nullptr, nullptr);
}
