// Writing and reading within bounds: values, byte order, the one form of a varint, sticky failure.
#include "runtime/wire/bytes.hpp"

#include <algorithm>
#include <array>
#include <vector>

#include "runtime/base/random.hpp"
#include "runtime/wire/replay_window.hpp"
#include "tests/unit/cmocka.hpp"

namespace {

using vigil::wire::ByteReader;
using vigil::wire::ByteWriter;

void integers_are_big_endian(void**) {
  std::array<std::uint8_t, 15> bytes{};
  ByteWriter writer(bytes);
  writer.put_u8(0x01);
  writer.put_u16(0x0203);
  writer.put_u32(0x04050607);
  writer.put_i64(0x08090a0b0c0d0e0f);
  assert_true(writer.ok());
  for (std::size_t i = 0; i < bytes.size(); ++i) assert_int_equal(bytes[i], i + 1);
  ByteReader reader(bytes);
  assert_int_equal(reader.get_u8(), 0x01);
  assert_int_equal(reader.get_u16(), 0x0203);
  assert_int_equal(reader.get_u32(), 0x04050607);
  assert_int_equal(reader.get_i64(), 0x08090a0b0c0d0e0f);
  assert_true(reader.finished());
}

void varints_have_one_form(void**) {
  struct Case {
    std::vector<std::uint8_t> bytes;
    bool valid;
    std::uint64_t value;
  };
  const std::vector<Case> cases{
      {{0x00}, true, 0},
      {{0x7f}, true, 127},
      {{0x80, 0x01}, true, 128},
      {{0xff, 0xff, 0xff, 0xff, 0x0f}, true, UINT32_MAX},
      {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}, true, UINT64_MAX},
      {{0x80, 0x00}, false, 0},                                                          // longer than needed
      {{0xff, 0x80, 0x00}, false, 0},                                                    // likewise
      {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02}, false, 0},          // 65 bits
      {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x81, 0x01}, false, 0},    // 11 bytes
      {{0x80}, false, 0},                                                                // cut
      {{}, false, 0},
  };
  for (const Case& c : cases) {
    ByteReader reader(c.bytes);
    const std::uint64_t value = reader.get_varint();
    assert_int_equal(reader.finished(), c.valid);
    assert_int_equal(value, c.value);
  }
}

void varints_round_trip(void**) {
  vigil::Random random(1);
  for (int i = 0; i < 20'000; ++i) {
    const std::uint64_t value = random.next() >> random.below(64);
    const auto signed_value = static_cast<std::int64_t>(random.next()) >> random.below(64);
    std::array<std::uint8_t, 2 * vigil::wire::varint_bytes_max> bytes{};
    ByteWriter writer(bytes);
    writer.put_varint(value);
    writer.put_signed_varint(signed_value);
    ByteReader reader(writer.written());
    assert_int_equal(reader.get_varint(), value);
    assert_true(reader.get_signed_varint() == signed_value);
    assert_true(reader.finished());
  }
}

void a_writer_that_is_full_stays_failed(void**) {
  std::array<std::uint8_t, 4> bytes{0xaa, 0xaa, 0xaa, 0xaa};
  ByteWriter writer(vigil::wire::MutableBytes(bytes).first(3));
  writer.put_u16(0x0102);
  writer.put_u16(0x0304);  // one byte too many: nothing of it is written
  writer.put_u8(0x05);     // would fit, but the encoding is broken already
  assert_false(writer.ok());
  assert_int_equal(writer.size(), 2);
  assert_int_equal(bytes[2], 0xaa);
  assert_int_equal(bytes[3], 0xaa);
}

void a_reader_that_failed_reads_zeros(void**) {
  const std::array<std::uint8_t, 3> bytes{1, 2, 3};
  ByteReader reader(bytes);
  assert_int_equal(reader.get_u8(), 1);
  assert_int_equal(reader.get_u32(), 0);
  assert_int_equal(reader.get_u8(), 0);
  assert_int_equal(reader.remaining(), 0);
  assert_false(reader.ok());
  ByteReader bounded(bytes);
  assert_int_equal(bounded.get_u8_below(1), 0);
  assert_false(bounded.ok());
  ByteReader varint(bytes);
  assert_int_equal(varint.get_varint_up_to(0), 0);
  assert_false(varint.ok());
}

// Against a plain list of what was seen.
void the_replay_window_matches_a_list(void**) {
  vigil::Random random(7);
  vigil::wire::ReplayWindow window;
  std::vector<std::uint64_t> seen;
  std::uint64_t highest = 0;
  for (int i = 0; i < 20'000; ++i) {
    const std::uint64_t reach = random.chance(1) ? 2000 : 300;
    const std::uint64_t low = highest > 300 ? highest - 300 : 1;
    const std::uint64_t sequence = low + random.below(reach);
    const bool too_old = sequence + vigil::wire::ReplayWindow::width <= highest;
    const bool known = too_old || std::find(seen.begin(), seen.end(), sequence) != seen.end();
    assert_int_equal(window.has_seen(sequence), known);
    if (known) continue;
    window.mark(sequence);
    assert_true(window.has_seen(sequence));
    seen.push_back(sequence);
    if (sequence > highest) highest = sequence;
    if (seen.size() > 1000) seen.erase(seen.begin(), seen.begin() + 500);
  }
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(integers_are_big_endian),          cmocka_unit_test(varints_have_one_form),
      cmocka_unit_test(varints_round_trip),               cmocka_unit_test(a_writer_that_is_full_stays_failed),
      cmocka_unit_test(a_reader_that_failed_reads_zeros), cmocka_unit_test(the_replay_window_matches_a_list),
  };
  return cmocka_run_group_tests_name("wire/bytes", tests, nullptr, nullptr);
}
