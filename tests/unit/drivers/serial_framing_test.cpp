#include "drivers/serial/serial_framing.hpp"

#include <cstring>
#include <string_view>
#include <vector>

#include "runtime/base/random.hpp"
#include "tests/unit/cmocka.hpp"

using namespace vigil;

namespace {

using Bytes = std::vector<std::byte>;

Bytes encode(const Bytes& frame) {
  std::array<std::byte, serial_encoded_bytes> out;
  const std::size_t size = serial_encode(frame, out);
  return Bytes(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(size));
}

std::vector<Bytes> decode(SerialDecoder& decoder, const Bytes& line) {
  std::vector<Bytes> frames;
  for (std::byte byte : line)
    if (const auto frame = decoder.push(byte)) frames.emplace_back(frame->begin(), frame->end());
  return frames;
}

// Three kinds of content, since stuffing depends on where the zeros are.
Bytes content(std::size_t size, int kind) {
  Bytes bytes(size);
  for (std::size_t i = 0; i < size; ++i)
    bytes[i] = kind == 0   ? std::byte{0}
               : kind == 1 ? std::byte{0xff}
                           : static_cast<std::byte>((i * 37 + size * 11 + (i >> 3)) & 0xff);
  return bytes;
}

void append(Bytes& a, const Bytes& b) { a.insert(a.end(), b.begin(), b.end()); }

void crc_is_castagnoli(void**) {
  const auto of = [](std::string_view text) { return crc32c(std::as_bytes(std::span(text.data(), text.size()))); };
  assert_int_equal(of("123456789"), 0xe3069283U);
  assert_int_equal(of(""), 0);
  assert_int_equal(crc32c(Bytes(32, std::byte{0})), 0x8a9136aaU);  // RFC 3720 appendix B.4
  assert_int_equal(crc32c(Bytes(32, std::byte{0xff})), 0x62a8ab43U);
}

void every_length_comes_back(void**) {
  SerialDecoder decoder;
  std::uint64_t count = 0;
  for (int kind = 0; kind < 3; ++kind) {
    for (std::size_t size = 0; size <= limits::frame_bytes; ++size) {
      const Bytes frame = content(size, kind);
      const Bytes line = encode(frame);
      assert_int_equal(line.size(), size + serial_overhead_bytes);
      for (std::size_t i = 1; i + 1 < line.size(); ++i) assert_int_not_equal(line[i], 0);
      const std::vector<Bytes> got = decode(decoder, line);
      assert_int_equal(got.size(), 1);
      assert_true(got[0] == frame);
      assert_int_equal(decoder.frames(), ++count);
    }
  }
  assert_int_equal(decoder.crc_errors() + decoder.malformed(), 0);
}

void a_frame_cut_anywhere_costs_that_frame_alone(void**) {
  const Bytes frame = content(50, 2);
  const Bytes line = encode(frame);
  for (std::size_t cut = 0; cut <= line.size(); ++cut) {
    // Only the first `cut` bytes arrive, then the next frame; and the other way round: the line is
    // joined in the middle.
    SerialDecoder head;
    Bytes stream(line.begin(), line.begin() + static_cast<std::ptrdiff_t>(cut));
    append(stream, line);
    const std::vector<Bytes> after_head = decode(head, stream);
    // Without its last byte the frame is ended by the leading zero of the next.
    assert_int_equal(after_head.size(), cut + 1 >= line.size() ? 2 : 1);
    assert_true(after_head.back() == frame);

    SerialDecoder tail;
    stream.assign(line.begin() + static_cast<std::ptrdiff_t>(cut), line.end());
    append(stream, line);
    const std::vector<Bytes> after_tail = decode(tail, stream);
    assert_int_equal(after_tail.size(), cut <= 1 ? 2 : 1);
    assert_true(after_tail.back() == frame);
  }
}

void every_flipped_bit_is_noticed(void**) {
  for (std::size_t size : {0, 1, 8, 60, 200}) {
    const Bytes frame = content(size, 2);
    const Bytes line = encode(frame);
    // The leading zero may be garbled without harm (it ends nothing here); all else must be noticed.
    for (std::size_t bit = 8; bit < line.size() * 8; ++bit) {
      SerialDecoder decoder;
      Bytes stream = line;
      stream[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
      assert_int_equal(decode(decoder, stream).size(), 0);
      stream.assign(1, std::byte{0});
      decode(decoder, stream);
      assert_int_equal(decoder.frames(), 0);
      assert_true(decoder.crc_errors() + decoder.malformed() > 0);
      const std::vector<Bytes> next = decode(decoder, line);
      assert_int_equal(next.size(), 1);
      assert_true(next[0] == frame);
    }
  }
}

void noise_between_frames_is_survived(void**) {
  Random random(20240607);
  SerialDecoder decoder;
  for (int round = 0; round < 300; ++round) {
    Bytes stream(random.below(700));
    for (std::byte& byte : stream) byte = static_cast<std::byte>(random.next() & 0xff);
    const Bytes frame = content(static_cast<std::size_t>(round) % (limits::frame_bytes + 1), 2);
    append(stream, encode(frame));
    const std::vector<Bytes> got = decode(decoder, stream);
    assert_int_equal(got.size(), 1);
    assert_true(got[0] == frame);
  }
  assert_int_equal(decoder.frames(), 300);
  assert_true(decoder.malformed() > 300);
}

void bad_sequences_are_counted_by_kind(void**) {
  const struct {
    Bytes line;
    unsigned malformed;
    unsigned crc_errors;
  } cases[] = {
      {Bytes(10, std::byte{0}), 0, 0},                     // idle zeros
      {{std::byte{5}, std::byte{1}, std::byte{0}}, 1, 0},  // run leaves the frame
      {{std::byte{1}, std::byte{0}}, 1, 0},                // too short for a CRC
      {{std::byte{5}, std::byte{1}, std::byte{1}, std::byte{1}, std::byte{1}, std::byte{0}}, 0, 1},
      {[] {
         Bytes b(5000, std::byte{1});
         b.back() = std::byte{0};
         return b;
       }(),
       1, 0},  // too long, once
  };
  for (const auto& one : cases) {
    SerialDecoder decoder;
    assert_int_equal(decode(decoder, one.line).size(), 0);
    assert_int_equal(decoder.malformed(), one.malformed);
    assert_int_equal(decoder.crc_errors(), one.crc_errors);
    assert_int_equal(decode(decoder, encode(content(20, 0))).size(), 1);
  }
}

void a_reset_forgets_what_has_begun(void**) {
  SerialDecoder decoder;
  decode(decoder, Bytes(100, std::byte{7}));
  decoder.reset();
  const Bytes line = encode(content(9, 2));
  assert_int_equal(decode(decoder, Bytes(line.begin() + 1, line.end())).size(), 1);
  assert_int_equal(decoder.malformed(), 0);
}

void line_times_follow_from_the_speed(void**) {
  assert_int_equal(serial_time(960, 9600).ns, Duration::from_s(1).ns);
  assert_int_equal(serial_frame_time(200, 9600).us(), 215'625);
  assert_true(serial_interval_floor(9600) > Duration::from_ms(430));
  assert_true(serial_interval_floor(9600) < Duration::from_ms(480));
  assert_true(serial_interval_floor(115200) < Duration::from_ms(41));
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(crc_is_castagnoli),
      cmocka_unit_test(every_length_comes_back),
      cmocka_unit_test(a_frame_cut_anywhere_costs_that_frame_alone),
      cmocka_unit_test(every_flipped_bit_is_noticed),
      cmocka_unit_test(noise_between_frames_is_survived),
      cmocka_unit_test(bad_sequences_are_counted_by_kind),
      cmocka_unit_test(a_reset_forgets_what_has_begun),
      cmocka_unit_test(line_times_follow_from_the_speed),
  };
  return cmocka_run_group_tests_name("drivers/serial_framing", tests, nullptr, nullptr);
}
