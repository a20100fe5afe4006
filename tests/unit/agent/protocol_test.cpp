// Packets between vigild, launcher and agent: what is sealed is read back; everything else is refused.
#include "runtime/agent/protocol.hpp"

#include <vector>

// Last: cmocka's macros (fail, …) bite the standard library.
#include "tests/unit/cmocka.hpp"

using namespace vigil;
using namespace vigil::agent;

namespace {

AgentRequest sample_request() {
  AgentRequest request;
  request.session = 3;
  request.request = 77;
  request.verb = Verb::event;
  request.stage = Stage::whole;
  request.wait = 1;
  request.group = 5;
  request.event = EventName::rg_move;
  request.generation = 9;
  request.stamp = Stamp{Epoch{4, 1}, 2};
  request.text = "because";
  seal(request);
  return request;
}

template <Packet T>
std::vector<std::byte> packet_of(const T& message) {
  const auto bytes = bytes_of(message);
  return {bytes.begin(), bytes.end()};
}

void sealed_packets_are_read_back(void**) {
  AgentRequest read;
  assert_int_equal(read_packet(packet_of(sample_request()), read), Defect::none);
  assert_int_equal(read.request, 77);
  assert_int_equal(read.event, EventName::rg_move);
  assert_string_equal(read.text.c_str(), "because");
  assert_true((read.stamp == Stamp{Epoch{4, 1}, 2}));
}

void headers_are_checked(void**) {
  const auto damaged = [](auto change) {
    AgentRequest request = sample_request();
    change(request.header);
    AgentRequest read;
    return read_packet(packet_of(request), read);
  };
  assert_int_equal(damaged([](Header& h) { h.magic ^= 1; }), Defect::wrong_magic);
  assert_int_equal(damaged([](Header& h) { ++h.version; }), Defect::wrong_version);
  assert_int_equal(damaged([](Header& h) { h.kind = Kind::reply; }), Defect::wrong_size);
  assert_int_equal(damaged([](Header& h) { h.kind = static_cast<Kind>(0); }), Defect::unknown_kind);
  assert_int_equal(damaged([](Header& h) { h.kind = Kind::count_; }), Defect::unknown_kind);
  assert_int_equal(damaged([](Header& h) { ++h.size; }), Defect::wrong_size);
}

void every_other_length_is_refused(void**) {
  std::vector<std::byte> packet = packet_of(sample_request());
  const std::size_t right = packet.size();
  packet.resize(max_packet_bytes);
  for (std::size_t length = 0; length <= max_packet_bytes; ++length) {
    AgentRequest read;
    const Defect defect = read_packet(std::span<const std::byte>(packet).first(length), read);
    assert_int_equal(defect == Defect::none, length == right);
  }
}

void a_packet_of_another_kind_is_refused(void**) {
  Hello hello;
  hello.session = 1;
  hello.pid = 1;
  seal(hello);
  AgentRequest read;
  assert_int_equal(read_packet(packet_of(hello), read), Defect::unknown_kind);
}

void fields_are_checked(void**) {
  const auto damaged = [](auto change) {
    AgentRequest request = sample_request();
    change(request);
    AgentRequest read;
    return read_packet(packet_of(request), read);
  };
  assert_int_equal(damaged([](AgentRequest& r) { r.verb = Verb::count_; }), Defect::bad_field);
  assert_int_equal(damaged([](AgentRequest& r) { r.stage = Stage::count_; }), Defect::bad_field);
  assert_int_equal(damaged([](AgentRequest& r) { r.wait = 2; }), Defect::bad_field);
  assert_int_equal(damaged([](AgentRequest& r) { r.group = limits::max_groups; }), Defect::bad_field);
  assert_int_equal(damaged([](AgentRequest& r) { r.event = EventName::count_; }), Defect::bad_field);
  assert_int_equal(damaged([](AgentRequest& r) { std::memset(static_cast<void*>(&r.text), 0xff, sizeof(r.text)); }),
                   Defect::bad_field);

  JournalAppend append;
  seal(append);
  JournalAppend read;
  assert_int_equal(read_packet(packet_of(append), read), Defect::none);
  append.entry.kind = static_cast<JournalKind>(8);
  assert_int_equal(read_packet(packet_of(append), read), Defect::bad_field);
}

void uses_of_the_tie_breaker_are_checked(void**) {
  UseTieBreaker use;
  use.request = 3;
  use.win = 1;
  use.epoch = {9, 1};
  seal(use);
  UseTieBreaker read;
  assert_int_equal(read_packet(packet_of(use), read), Defect::none);
  assert_true((read.epoch == Epoch{9, 1}));
  use.epoch = {};
  assert_int_equal(read_packet(packet_of(use), read), Defect::bad_field);  // won for no epoch
  use.win = 0;
  assert_int_equal(read_packet(packet_of(use), read), Defect::none);
  use.win = 2;
  assert_int_equal(read_packet(packet_of(use), read), Defect::bad_field);

  TieBreakerUsed used;
  used.ok = 1;
  seal(used);
  TieBreakerUsed told;
  assert_int_equal(read_packet(packet_of(used), told), Defect::none);
  std::memset(static_cast<void*>(&used.text), 0xff, sizeof(used.text));
  assert_int_equal(read_packet(packet_of(used), told), Defect::bad_field);
}

// Random bytes behind a good header, and random damage to good packets: never accepted with a field
// out of its range, whatever comes.
void random_bytes_do_no_harm(void**) {
  std::uint64_t state = 0x5eed;
  const auto next = [&state] {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    return state >> 33;
  };
  int accepted = 0;
  for (int i = 0; i < 200'000; ++i) {
    std::vector<std::byte> packet = packet_of(sample_request());
    const std::size_t from = i % 2 == 0 ? sizeof(Header) : 0;
    const std::uint64_t changes = 1 + next() % 8;
    for (std::uint64_t c = 0; c < changes; ++c)
      packet[from + next() % (packet.size() - from)] = static_cast<std::byte>(next());
    AgentRequest read;
    if (read_packet(packet, read) != Defect::none) continue;
    ++accepted;
    assert_true(read.text.size() <= Text::capacity());
    assert_true(read.verb < Verb::count_ && read.stage < Stage::count_ && read.event < EventName::count_);
    assert_true(read.group == no_index || read.group < limits::max_groups);
  }
  assert_true(accepted > 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(sealed_packets_are_read_back),
                              cmocka_unit_test(headers_are_checked),
                              cmocka_unit_test(every_other_length_is_refused),
                              cmocka_unit_test(a_packet_of_another_kind_is_refused),
                              cmocka_unit_test(fields_are_checked),
                              cmocka_unit_test(uses_of_the_tie_breaker_are_checked),
                              cmocka_unit_test(random_bytes_do_no_harm)};
  return cmocka_run_group_tests_name("agent/protocol", tests, nullptr, nullptr);
}
