// Frames: what was sealed opens, anything changed does not, keys rotate, offsets stay where the
// kernel's packet filter looks for them.
#include "runtime/wire/frame.hpp"

#include <algorithm>
#include <set>
#include <vector>

#include "runtime/base/random.hpp"
#include "tests/unit/cmocka.hpp"

namespace {

using namespace vigil;
using wire::FrameHeader;
using wire::FrameType;
using wire::HeaderStatus;
using wire::KeyRing;

using Frame = std::array<std::uint8_t, limits::frame_bytes>;
using Body = std::array<std::uint8_t, wire::body_bytes_max>;

std::array<std::uint8_t, wire::key_bytes> key_of(std::uint8_t fill) {
  std::array<std::uint8_t, wire::key_bytes> key{};
  key.fill(fill);
  return key;
}

FrameHeader header_of(Random& random) {
  FrameHeader header;
  header.type = static_cast<FrameType>(random.between(1, 5));
  header.cluster_id = static_cast<std::uint32_t>(random.next());
  header.from = static_cast<NodeId>(random.below(64));
  header.to = random.chance(50) ? wire::broadcast_node : static_cast<NodeId>(random.below(64));
  header.link = static_cast<LinkIndex>(random.below(8));
  header.start_id = random.next() | 1;
  header.sequence = random.next() | 1;
  return header;
}

Body body_of(Random& random) {
  Body body;
  for (std::uint8_t& byte : body) byte = static_cast<std::uint8_t>(random.next());
  return body;
}

void what_was_sealed_opens(void**) {
  KeyRing keys;
  assert_true(keys.add(9, key_of(1)).ok());
  Random random(1);
  for (std::size_t size = wire::body_bytes_min; size <= wire::body_bytes_max; ++size) {
    const FrameHeader header = header_of(random);
    const Body body = body_of(random);
    Frame frame{};
    const std::size_t length = wire::seal(keys, header, wire::Bytes(body).first(size), frame);
    assert_int_equal(length, wire::frame_size(size));
    FrameHeader read;
    assert_true(wire::read_header(wire::Bytes(frame).first(length), read) == HeaderStatus::ok);
    assert_int_equal(read.type, header.type);
    assert_int_equal(read.key_id, 9);
    assert_int_equal(read.cluster_id, header.cluster_id);
    assert_int_equal(read.from, header.from);
    assert_int_equal(read.to, header.to);
    assert_int_equal(read.link, header.link);
    assert_int_equal(read.start_id, header.start_id);
    assert_int_equal(read.sequence, header.sequence);
    Body opened{};
    std::size_t opened_size = 0;
    assert_true(wire::open(keys, wire::Bytes(frame).first(length), opened, opened_size));
    assert_int_equal(opened_size, size);
    assert_memory_equal(opened.data(), body.data(), size);
  }
}

// The packet filter in the kernel reads these offsets.
void offsets_are_fixed(void**) {
  KeyRing keys;
  assert_true(keys.add(3, key_of(1)).ok());
  FrameHeader header;
  header.type = FrameType::fragment;
  header.cluster_id = 0x11223344;
  header.from = 5;
  header.to = 6;
  header.link = 7;
  header.start_id = 0x0102030405060708;
  header.sequence = 0x1112131415161718;
  const std::array<std::uint8_t, 2> body{0xab, 0xcd};
  Frame frame{};
  const std::size_t length = wire::seal(keys, header, body, frame);
  const std::array<std::uint8_t, wire::header_bytes> expected{
      0x56, 1, 3, 3, 0x11, 0x22, 0x33, 0x44, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16,
      0x17, 0x18};
  assert_memory_equal(frame.data(), expected.data(), expected.size());
  assert_int_equal(length, 46);
  assert_memory_not_equal(frame.data() + wire::header_bytes, body.data(), body.size());
}

void every_flipped_bit_is_refused(void**) {
  KeyRing keys;
  assert_true(keys.add(1, key_of(1)).ok());
  assert_true(keys.add(0, key_of(2)).ok());
  Random random(2);
  Frame frame{};
  const Body body = body_of(random);
  const std::size_t length = wire::seal(keys, header_of(random), body, frame);
  assert_int_equal(length, limits::frame_bytes);
  Body opened{};
  std::size_t size = 0;
  for (std::size_t bit = 0; bit < 8 * length; ++bit) {
    Frame damaged = frame;
    damaged[bit / 8] = static_cast<std::uint8_t>(damaged[bit / 8] ^ 1u << (bit % 8));
    assert_false(wire::open(keys, damaged, opened, size));
  }
  assert_true(wire::open(keys, frame, opened, size));
}

void every_other_length_is_refused(void**) {
  KeyRing keys;
  assert_true(keys.add(1, key_of(1)).ok());
  Random random(3);
  const Body body = body_of(random);
  std::array<std::uint8_t, limits::frame_bytes + 50> frame{};
  const std::size_t length = wire::seal(keys, header_of(random), wire::Bytes(body).first(100), frame);
  Body opened{};
  std::size_t size = 0;
  for (std::size_t other = 0; other < frame.size(); ++other)
    assert_int_equal(wire::open(keys, wire::Bytes(frame).first(other), opened, size), other == length);
}

void headers_that_are_not_ours(void**) {
  struct Case {
    std::vector<std::uint8_t> frame;
    HeaderStatus expected;
  };
  std::vector<std::uint8_t> good(46, 0);
  good[0] = 0x56;
  good[1] = 1;
  std::vector<std::uint8_t> other_magic = good;
  other_magic[0] = 0x57;
  std::vector<std::uint8_t> newer = good;
  newer[1] = 2;
  std::vector<std::uint8_t> longest = good;
  longest.resize(200);
  std::vector<std::uint8_t> too_long = good;
  too_long.resize(201);
  const std::vector<Case> cases{
      {good, HeaderStatus::ok},
      {longest, HeaderStatus::ok},
      {{}, HeaderStatus::wrong_length},
      {{0x56, 1}, HeaderStatus::wrong_length},
      {std::vector<std::uint8_t>(good.begin(), good.end() - 1), HeaderStatus::wrong_length},
      {too_long, HeaderStatus::wrong_length},
      {other_magic, HeaderStatus::wrong_magic},
      {{0x00}, HeaderStatus::wrong_magic},
      {newer, HeaderStatus::wrong_version},
  };
  for (const Case& c : cases) {
    FrameHeader header;
    assert_int_equal(wire::read_header(c.frame, header), c.expected);
  }
}

// Each field that makes the nonce unique changes the ciphertext of the same body.
void no_two_frames_share_a_nonce(void**) {
  KeyRing keys;
  assert_true(keys.add(1, key_of(1)).ok());
  const Body body{};
  FrameHeader base;
  base.from = 1;
  base.start_id = 1;
  base.sequence = 1;
  std::vector<FrameHeader> headers(6, base);
  headers[1].from = 2;
  headers[2].link = 1;
  headers[3].start_id = 2;
  headers[4].sequence = 2;
  headers[5].cluster_id = 1;
  std::set<std::vector<std::uint8_t>> ciphertexts;
  for (const FrameHeader& header : headers) {
    Frame frame{};
    wire::seal(keys, header, body, frame);
    ciphertexts.insert(std::vector<std::uint8_t>(frame.begin() + wire::header_bytes, frame.end() - wire::tag_bytes));
  }
  assert_int_equal(ciphertexts.size(), headers.size());
}

void keys_rotate(void**) {
  Random random(4);
  const Body body = body_of(random);
  KeyRing old_ring;
  KeyRing ring;
  assert_true(old_ring.add(1, key_of(1)).ok());
  assert_true(ring.add(1, key_of(1)).ok());
  assert_true(ring.add(2, key_of(2)).ok());
  Body opened{};
  std::size_t size = 0;
  Frame frame{};

  wire::seal(ring, header_of(random), body, frame);  // still under key 1
  assert_true(wire::open(old_ring, frame, opened, size));
  assert_true(ring.activate(2).ok());
  wire::seal(ring, header_of(random), body, frame);
  assert_false(wire::open(old_ring, frame, opened, size));
  assert_true(old_ring.add(2, key_of(2)).ok());
  assert_true(wire::open(old_ring, frame, opened, size));
  wire::seal(old_ring, header_of(random), body, frame);
  assert_true(wire::open(ring, frame, opened, size));
  assert_true(ring.remove(1).ok());
  assert_false(wire::open(ring, frame, opened, size));

  assert_false(ring.remove(1).ok());    // gone
  assert_false(ring.remove(2).ok());    // active
  assert_false(ring.activate(1).ok());  // gone
  for (std::uint8_t id = 3; id < 6; ++id) assert_true(ring.add(id, key_of(id)).ok());
  assert_false(ring.add(6, key_of(6)).ok());  // full
  assert_true(ring.add(5, key_of(9)).ok());   // replaces
}

// One cluster key under two ids gives two keys for frames: the id is part of the derivation.
void key_id_is_part_of_the_key(void**) {
  KeyRing one;
  KeyRing two;
  assert_true(one.add(1, key_of(7)).ok());
  assert_true(two.add(2, key_of(7)).ok());
  assert_memory_not_equal(one.find(1), two.find(2), wire::key_bytes);
  assert_memory_not_equal(one.find(1), key_of(7).data(), wire::key_bytes);
}

}  // namespace

int main() {
  if (!wire::prepare_cryptography().ok()) return 1;
  const CMUnitTest tests[] = {
      cmocka_unit_test(what_was_sealed_opens),         cmocka_unit_test(offsets_are_fixed),
      cmocka_unit_test(every_flipped_bit_is_refused),  cmocka_unit_test(every_other_length_is_refused),
      cmocka_unit_test(headers_that_are_not_ours),     cmocka_unit_test(no_two_frames_share_a_nonce),
      cmocka_unit_test(keys_rotate),                   cmocka_unit_test(key_id_is_part_of_the_key),
  };
  return cmocka_run_group_tests_name("wire/frame", tests, nullptr, nullptr);
}
