#include "drivers/serial/serial_link.hpp"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <termios.h>

#include <cstring>
#include <set>

#include "tests/unit/drivers/link_fixture.hpp"

#include "tests/unit/cmocka.hpp"

using namespace vigil;
using namespace vigil::test;

namespace {

constexpr NodeId peer = 1;

// A pseudo-terminal whose slave side is the link's line, under a name that outlives it.
struct Line {
  Fd master;
  std::string device;

  Line() {
    char directory[] = "/tmp/vigil-serial-test-XXXXXX";
    if (::mkdtemp(directory) == nullptr) std::abort();
    device = std::string(directory) + "/line";
    attach();
  }
  ~Line() {
    ::unlink(device.c_str());
    ::rmdir(device.substr(0, device.rfind('/')).c_str());
  }
  void attach() {
    master.reset(::posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
    char name[64];
    const bool ok = ::grantpt(master.get()) == 0 && ::unlockpt(master.get()) == 0 &&
                    ::ptsname_r(master.get(), name, sizeof name) == 0;
    ::unlink(device.c_str());
    if (!ok || ::symlink(name, device.c_str()) != 0) std::abort();
  }
  bool put(std::span<const std::byte> bytes) const {
    return ::write(master.get(), bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size());
  }
  // The frames that lie at the far end.
  std::vector<Bytes> take(SerialDecoder& decoder) const {
    std::vector<Bytes> frames;
    std::byte byte;
    while (::read(master.get(), &byte, 1) == 1)
      if (const auto frame = decoder.push(byte)) frames.emplace_back(frame->begin(), frame->end());
    return frames;
  }
};

Bytes encoded(const Bytes& frame) {
  std::array<std::byte, serial_encoded_bytes> out;
  const std::size_t size = serial_encode(frame, out);
  return Bytes(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(size));
}

struct Station {
  Line line;
  std::unique_ptr<Ring> ring = Ring::create().value();
  Sink sink;
  SerialDecoder far;
  std::unique_ptr<Link> link =
      SerialLink::create({.index = 2, .device = Path(line.device), .baud = 115200, .peer = peer}).value();
};

// The test is the far end, too, and nothing wakes the loop when that one has something to read.
template <typename Condition>
bool run_both_ends_until(Ring& ring, Condition condition) {
  const Instant give_up = boottime_now() + Duration::from_s(5);
  while (!condition() && boottime_now() < give_up)
    if (!ring.run_once(boottime_now() + Duration::from_ms(1))) return false;
  return condition();
}

int set_up(void** state) {
  auto station = std::make_unique<Station>();
  if (!station->link->open(*station->ring, station->sink)) return -1;
  *state = station.release();
  return 0;
}

int tear_down(void** state) {
  delete static_cast<Station*>(*state);
  return 0;
}

void frames_go_out_and_come_in(void** state) {
  Station& s = *static_cast<Station*>(*state);
  for (std::size_t size = frame_layout::smallest; size <= limits::frame_bytes; size += 8) {
    const Bytes frame = frame_of(static_cast<std::uint8_t>(size), size);
    assert_int_equal(s.link->send(frame, size % 16 == 0 ? everyone : peer), SendOutcome::sent);
    const std::vector<Bytes> out = s.line.take(s.far);
    assert_int_equal(out.size(), 1);
    assert_true(out[0] == frame);

    const Instant before = boottime_now();
    assert_true(s.line.put(encoded(frame)));
    assert_true(run_until(*s.ring, [&] { return !s.sink.heard.empty(); }));
    assert_int_equal(s.sink.heard.size(), 1);
    assert_true(s.sink.heard[0].bytes == frame);
    assert_int_equal(s.sink.heard[0].by, 2);
    assert_int_equal(s.sink.heard[0].source.size, 0);
    assert_true(s.sink.heard[0].received >= before);
    s.sink.heard.clear();
  }
  assert_int_equal(s.link->send(frame_of(1), 5), SendOutcome::not_reachable);
  assert_true(s.link->reaches(peer));
  assert_false(s.link->reaches(5));
  assert_false(s.link->reaches(no_node));
}

// Control characters, eighth bits, everything passes a raw line as it is.
void the_line_is_raw(void** state) {
  Station& s = *static_cast<Station*>(*state);
  for (int first = 0; first < 256; first += 64) {
    Bytes frame = frame_of(1, 8 + 64);
    for (int i = 0; i < 64; ++i) frame[8 + static_cast<std::size_t>(i)] = static_cast<std::byte>(first + i);
    assert_int_equal(s.link->send(frame, peer), SendOutcome::sent);
    const std::vector<Bytes> out = s.line.take(s.far);
    assert_int_equal(out.size(), 1);
    assert_true(out[0] == frame);
    assert_true(s.line.put(encoded(frame)));
  }
  assert_true(run_until(*s.ring, [&] { return s.sink.heard.size() == 4; }));
  assert_int_equal(s.line.take(s.far).size(), 0);  // no echo
  assert_int_equal(s.link->counters().malformed, 0);
}

void noise_is_counted_and_survived(void** state) {
  Station& s = *static_cast<Station*>(*state);
  Bytes noise(3000, std::byte{0x55});
  assert_true(s.line.put(noise));
  assert_true(s.line.put(encoded(frame_of(1))));
  Bytes garbled = encoded(frame_of(2));
  garbled[20] ^= std::byte{4};
  assert_true(s.line.put(garbled));
  assert_true(s.line.put(encoded(Bytes(3))));  // good CRC, too short for a frame
  assert_true(s.line.put(encoded(frame_of(3))));
  assert_true(run_until(*s.ring, [&] { return s.sink.heard.size() == 2; }));
  run_for(*s.ring, Duration::from_ms(10));
  assert_true(s.sink.heard[0].bytes == frame_of(1));
  assert_true(s.sink.heard[1].bytes == frame_of(3));
  assert_int_equal(s.link->counters().malformed, 3);
}

// A far end that does not read: memory stays bounded, and the newest frame survives.
void a_stuck_line_keeps_few_and_the_newest(void** state) {
  Station& s = *static_cast<Station*>(*state);
  const Bytes old = frame_of(1, 200);
  SendOutcome outcome = SendOutcome::sent;
  for (int i = 0; i < 10'000 && outcome == SendOutcome::sent; ++i) outcome = s.link->send(old, peer);
  assert_int_equal(outcome, SendOutcome::queued);
  const std::uint64_t dropped = s.link->counters().send_dropped;
  for (std::uint8_t i = 10; i < 40; ++i) assert_int_equal(s.link->send(frame_of(i), peer), SendOutcome::queued);
  assert_in_range(s.link->counters().send_dropped - dropped, 22, 24);

  std::vector<Bytes> out;
  assert_true(run_both_ends_until(*s.ring, [&] {
    for (Bytes& frame : s.line.take(s.far)) out.push_back(std::move(frame));
    return !out.empty() && out.back() == frame_of(39);
  }));
  assert_int_equal(s.far.crc_errors() + s.far.malformed(), 0);
  assert_int_equal(s.link->send(frame_of(50), peer), SendOutcome::sent);
}

// A message of more fragments than wait: repeated often enough, each of them gets through.
void every_fragment_of_a_repeated_message_passes(void** state) {
  Station& s = *static_cast<Station*>(*state);
  constexpr std::uint8_t fragments = 20;
  const Bytes old = frame_of(1, 200);
  std::set<Bytes> missing;
  for (std::uint8_t i = 0; i < fragments; ++i) missing.insert(frame_of(static_cast<std::uint8_t>(100 + i)));
  for (int repetition = 0; repetition < 200 && !missing.empty(); ++repetition) {
    SendOutcome outcome = SendOutcome::sent;
    for (int i = 0; i < 10'000 && outcome == SendOutcome::sent; ++i) outcome = s.link->send(old, peer);
    assert_int_equal(outcome, SendOutcome::queued);
    for (std::uint8_t i = 0; i < fragments; ++i) s.link->send(frame_of(static_cast<std::uint8_t>(100 + i)), peer);
    const Bytes end = frame_of(99);
    s.link->send(end, peer);
    bool ended = false;
    assert_true(run_both_ends_until(*s.ring, [&] {
      for (const Bytes& frame : s.line.take(s.far)) {
        missing.erase(frame);
        ended = ended || frame == end;
      }
      return ended;
    }));
  }
  assert_true(missing.empty());
}

void a_flood_is_drained_in_turns(void** state) {
  Station& s = *static_cast<Station*>(*state);
  const Bytes line = encoded(frame_of(7, 200));
  std::size_t sent = 0;
  for (int i = 0; i < 2000; ++i) {
    std::size_t at = 0;
    const bool whole = run_both_ends_until(*s.ring, [&] {
      const ssize_t written = ::write(s.line.master.get(), line.data() + at, line.size() - at);
      if (written > 0) at += static_cast<std::size_t>(written);
      return at == line.size();
    });
    assert_true(whole);
    ++sent;
  }
  assert_true(run_until(*s.ring, [&] { return s.sink.heard.size() == sent; }));
  assert_int_equal(s.link->counters().malformed, 0);
}

// A line that brings byte after byte: the loop wakes when a frame begins, and when it can be whole.
void single_bytes_do_not_wake_the_loop(void** state) {
  Station& s = *static_cast<Station*>(*state);
  const Bytes line = encoded(frame_of(7, 110));
  assert_true(s.line.put(line));  // tells how long frames are here
  assert_true(run_until(*s.ring, [&] { return s.sink.heard.size() == 1; }));
  unsigned calls = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    // The speed of the line, by the clock: the kernel may be late, never the bytes.
    const Instant next = boottime_now() + serial_time(1, 115'200);
    assert_true(s.line.put(std::span(line).subspan(i, 1)));
    while (boottime_now() < next) calls += *s.ring->run_once(next);
  }
  assert_true(run_until(*s.ring, [&] { return s.sink.heard.size() == 2; }));
  assert_in_range(calls, 1, line.size() / 4);  // two, and some more where this machine brought bytes late
}

void a_hangup_is_told_and_the_line_comes_back(void** state) {
  Station& s = *static_cast<Station*>(*state);
  s.line.master.reset();
  assert_true(run_until(*s.ring, [&] { return !s.link->usable(); }));
  assert_int_equal(s.link->send(frame_of(1), peer), SendOutcome::unusable);
  assert_false(s.link->reopen().ok());
  assert_false(s.link->usable());
  for (int round = 0; round < 3; ++round) {
    s.line.attach();
    assert_true(s.link->reopen().ok());
    s.far.reset();
    assert_int_equal(s.link->send(frame_of(2), peer), SendOutcome::sent);
    assert_int_equal(s.line.take(s.far).size(), 1);
    s.line.master.reset();
    // Noticed by sending, too, if the loop has not yet.
    const SendOutcome outcome = s.link->send(frame_of(3), peer);
    assert_true(outcome == SendOutcome::failed || outcome == SendOutcome::unusable);
    assert_false(s.link->usable());
  }
  const std::vector<bool> states{true, false, true, false, true, false, true, false};
  assert_true(s.sink.states == states);
  assert_int_equal(s.link->counters().opens, 4);
}

void the_line_gets_its_speed(void**) {
  const struct {
    std::uint32_t baud;
    speed_t code;
  } cases[] = {{9600, B9600}, {115200, B115200}, {921600, B921600}, {4000000, B4000000}};
  for (const auto& one : cases) {
    Line line;
    auto ring = Ring::create().value();
    Sink sink;
    auto link = SerialLink::create({.index = 0, .device = Path(line.device), .baud = one.baud, .peer = peer}).value();
    assert_true(link->open(*ring, sink).ok());
    termios settings{};
    assert_int_equal(::tcgetattr(line.master.get(), &settings), 0);
    assert_int_equal(::cfgetospeed(&settings), one.code);
    assert_int_equal(settings.c_lflag & (ICANON | ECHO | ISIG), 0);
    assert_int_equal(settings.c_iflag & (IXON | IXOFF | ICRNL), 0);
    assert_int_equal(settings.c_cflag & (CRTSCTS | CLOCAL), CLOCAL);
  }
}

void unfit_lines_are_refused_with_the_reason(void**) {
  assert_false(SerialLink::create({.index = 0, .device = "/dev/ttyS0", .baud = 12345, .peer = peer}).ok());
  assert_false(SerialLink::create({.index = 0, .device = "/dev/ttyS0", .baud = 9600, .peer = no_node}).ok());
  assert_false(SerialLink::create({.index = 0, .device = "", .baud = 9600, .peer = peer}).ok());
  auto ring = Ring::create().value();
  Sink sink;
  for (const char* device : {"/dev/null", "/nowhere/tty"}) {
    auto link = SerialLink::create({.index = 0, .device = device, .baud = 9600, .peer = peer}).value();
    Status status = link->open(*ring, sink);
    assert_false(status.ok());
    assert_non_null(std::strstr(status.error().message.c_str(), device));
    assert_false(link->usable());
  }
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(frames_go_out_and_come_in, set_up, tear_down),
      cmocka_unit_test_setup_teardown(the_line_is_raw, set_up, tear_down),
      cmocka_unit_test_setup_teardown(noise_is_counted_and_survived, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_stuck_line_keeps_few_and_the_newest, set_up, tear_down),
      cmocka_unit_test_setup_teardown(every_fragment_of_a_repeated_message_passes, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_flood_is_drained_in_turns, set_up, tear_down),
      cmocka_unit_test_setup_teardown(single_bytes_do_not_wake_the_loop, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_hangup_is_told_and_the_line_comes_back, set_up, tear_down),
      cmocka_unit_test(the_line_gets_its_speed),
      cmocka_unit_test(unfit_lines_are_refused_with_the_reason),
  };
  return cmocka_run_group_tests_name("drivers/serial_link", tests, nullptr, nullptr);
}
