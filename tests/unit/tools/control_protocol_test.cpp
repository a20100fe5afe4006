// Every record survives its bytes; no damaged packet is taken for a record.
#include "tools/client/control_protocol.hpp"

#include <vector>

#include "runtime/base/random.hpp"
#include "tests/unit/tools/sample.hpp"

// Last: its macros clash with the standard library.
// clang-format off
#include "tests/unit/cmocka.hpp"
// clang-format on

namespace {

using namespace vigil;
using namespace vigil::control;

std::vector<Request> requests() {
  return {request::GetStatus{},
          request::GetJournal{"web", 12'345, 7},
          request::Follow{"", 50},
          request::Operate{OperatorVerb::move_group, "web", "beta", {}},
          request::Operate{OperatorVerb::confirm_down, "", "alpha", {}},
          request::Operate{OperatorVerb::quorum_override, "", "", NodeSet::from_bits(0b101)},
          request::GetNames{},
          request::GetVersion{},
          request::RotateKey{},
          request::RotateKey{true, {1, 2, 255}},
          request::GetViews{}};
}

std::vector<Reply> replies() {
  const auto config = sample::config();
  const auto status = sample::status();
  std::vector<Reply> all;
  const ClusterPicture picture = sample::picture(*config, *status);
  all.push_back(picture.cluster);
  for (const auto& each : picture.nodes) all.push_back(each);
  for (const auto& each : picture.adapters) all.push_back(each);
  for (const auto& each : picture.groups) all.push_back(each);
  for (const auto& each : sample::journal_replies(*config)) all.push_back(each);
  all.push_back(reply::NameItem{reply::NameOf::network, "public"});
  all.push_back(reply::Version{"0.1.0", 1});
  all.push_back(reply::Answer{true, "web goes to beta"});
  all.push_back(reply::Refused{reply::Refusal::unknown_name, "there is no group 'wbe'"});
  all.push_back(reply::End{});
  all.push_back(reply::Problem{"gamma is refused (eth0): its key differs"});
  all.push_back(picture.quorum);
  reply::Quorum weighted{QuorumPolicy::last_man_standing, true, "/shared/tie", NodeSet::of(2), {}};
  weighted.counted.rule = {QuorumKind::overridden, NodeSet::from_bits(0b101), 3, true, true, {}};
  weighted.counted.rule.votes[0] = 4;
  weighted.counted.rule.votes[2] = 1;
  weighted.counted.also = picture.quorum.counted.rule;
  weighted.counted.vouched = NodeSet::of(1);
  weighted.counted.start_needs_every_voter = true;
  all.push_back(weighted);
  all.push_back(reply::Keys{{KeyPhase::switching, 1, 2, 77, NodeSet::from_bits(5)}});
  all.push_back(reply::Told{"gamma", false, 7, 12'345});
  for (const auto& each : sample::view_replies(*config)) all.push_back(each);
  return all;
}

template <typename Record>
std::vector<std::byte> bytes_of(const Record& record) {
  std::vector<std::byte> buffer(packet_bytes);
  buffer.resize(encode(record, buffer));
  return buffer;
}

// Encodes, decodes, encodes again: the same bytes, and no fault.
template <typename Record>
bool survives(const Record& record) {
  const auto first = bytes_of(record);
  Record back;
  if (decode(first, back) != Fault::none || back.index() != record.index()) return false;
  return bytes_of(back) == first;
}

template <typename Record>
std::size_t damaged_and_taken(const Record& record) {
  const auto whole = bytes_of(record);
  std::size_t taken = 0;
  Record back;
  for (std::size_t length = 0; length < whole.size(); ++length)
    if (decode(std::span(whole).first(length), back) == Fault::none) ++taken;
  auto longer = whole;
  longer.push_back(std::byte{0});
  if (decode(longer, back) != Fault::left_over) ++taken;
  auto other = whole;
  other[0] = std::byte{protocol_version + 1};
  if (decode(other, back) != Fault::other_version) ++taken;
  other = whole;
  other[1] ^= std::byte{0x80};  // a reply for a request, and the other way round
  if (decode(other, back) != Fault::unknown_kind) ++taken;
  other = whole;
  other[1] |= std::byte{0x7f};
  if (decode(other, back) != Fault::unknown_kind) ++taken;
  return taken;
}

void every_record_survives_its_bytes(void**) {
  for (const Request& each : requests()) assert_true(survives(each));
  for (const Reply& each : replies()) assert_true(survives(each));
}

void values_come_back_equal(void**) {
  const Request asked = request::Operate{OperatorVerb::move_group, "web", "beta"};
  Request back;
  assert_int_equal(static_cast<int>(decode(bytes_of(asked), back)), static_cast<int>(Fault::none));
  assert_true(back == asked);
  const auto config = sample::config();
  const auto status = sample::status();
  const ClusterPicture picture = sample::picture(*config, *status);
  Reply reply;
  assert_int_equal(static_cast<int>(decode(bytes_of(Reply(picture.groups[0])), reply)), static_cast<int>(Fault::none));
  const bool equal = std::get<reply::Group>(reply) == picture.groups[0];
  assert_true(equal);
  for (const Reply& each : replies()) {
    if (!std::holds_alternative<reply::Quorum>(each)) continue;
    assert_int_equal(static_cast<int>(decode(bytes_of(each), reply)), static_cast<int>(Fault::none));
    assert_true(std::get<reply::Quorum>(reply) == std::get<reply::Quorum>(each));
  }
}

void damaged_packets_are_refused(void**) {
  for (const Request& each : requests()) assert_int_equal(damaged_and_taken(each), 0);
  for (const Reply& each : replies()) assert_int_equal(damaged_and_taken(each), 0);
}

void bad_values_are_refused(void**) {
  struct Case {
    const char* name;
    Request request;
    std::size_t at;      // this byte …
    std::uint8_t value;  // … becomes this
  };
  const Case cases[] = {
      {"verb out of range", request::Operate{OperatorVerb::move_group, "web", "beta"}, 2, 9},
      {"control character", request::Operate{OperatorVerb::move_group, "web", "beta"}, 4, 0x1b},
      {"name longer than any", request::GetJournal{"web", 0, 0}, 2, 32},
  };
  for (const Case& each : cases) {
    auto bytes = bytes_of(each.request);
    bytes[each.at] = static_cast<std::byte>(each.value);
    Request back;
    const Fault fault = decode(bytes, back);
    if (fault != Fault::bad_value) print_error("%s\n", each.name);
    assert_int_equal(static_cast<int>(fault), static_cast<int>(Fault::bad_value));
  }
}

void text_for_a_terminal_holds_no_control_characters(void**) {
  const Reply answer = reply::Answer{true,
                                     "a\x1b[2Jb\n\x7f\xc2\x9b"
                                     "c\xc3\x9f"};
  Reply back;
  assert_int_equal(static_cast<int>(decode(bytes_of(answer), back)), static_cast<int>(Fault::none));
  const std::string text = std::get<reply::Answer>(back).text.str();
  assert_string_equal(text.c_str(), "a?[2Jb??\xc2?c\xc3\x9f");
}

// Random changes of valid packets: decoding never reads outside, and what it takes is canonical.
void noise_is_refused_or_canonical(void**) {
  Random random(20261122);
  std::size_t bad = 0;
  for (const Reply& each : replies()) {
    const auto whole = bytes_of(each);
    for (int round = 0; round < 400; ++round) {
      auto bytes = whole;
      for (std::uint64_t change = 0; change <= random.below(3); ++change)
        bytes[random.below(bytes.size())] = static_cast<std::byte>(random.below(256));
      Reply back;
      if (decode(bytes, back) == Fault::none && bytes_of(back) != bytes) ++bad;
    }
  }
  assert_int_equal(bad, 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(every_record_survives_its_bytes),
      cmocka_unit_test(values_come_back_equal),
      cmocka_unit_test(damaged_packets_are_refused),
      cmocka_unit_test(bad_values_are_refused),
      cmocka_unit_test(text_for_a_terminal_holds_no_control_characters),
      cmocka_unit_test(noise_is_refused_or_canonical),
  };
  return cmocka_run_group_tests_name("tools/control_protocol", tests, nullptr, nullptr);
}
