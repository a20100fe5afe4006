#include "netif/frames.hpp"

#include <string>

#include "tests/unit/cmocka.hpp"

using namespace vigil;
using namespace vigil::netif;

namespace {

constexpr MacAddress mac = {0x02, 0x11, 0x22, 0x33, 0x44, 0x55};

std::string hex(std::span<const std::uint8_t> bytes) {
  static const char digits[] = "0123456789abcdef";
  std::string text;
  for (const std::uint8_t byte : bytes) {
    text += digits[byte >> 4];
    text += digits[byte & 15];
  }
  return text;
}

void gratuitous_arp_is_golden(void**) {
  const IpAddress address = address_from("10.77.1.100/24");
  assert_string_equal(hex(encode_gratuitous_arp(address, mac, ArpForm::request).span()).c_str(),
                      "ffffffffffff0211223344550806"
                      "0001080006040001"
                      "0211223344550a4d0164"
                      "0000000000000a4d0164");
  assert_string_equal(hex(encode_gratuitous_arp(address, mac, ArpForm::reply).span()).c_str(),
                      "ffffffffffff0211223344550806"
                      "0001080006040002"
                      "0211223344550a4d0164"
                      "0211223344550a4d0164");
  assert_string_equal(hex(encode_arp_probe(address, mac).span()).c_str(),
                      "ffffffffffff0211223344550806"
                      "0001080006040001"
                      "02112233445500000000"
                      "0000000000000a4d0164");
}

// The checksums were computed apart from this code, with Python.
void neighbour_messages_are_golden(void**) {
  const IpAddress address = address_from("fd00:77::1:100/64");
  assert_string_equal(hex(encode_unsolicited_na(address, mac, false).span()).c_str(),
                      "33330000000102112233445586dd"
                      "6000000000203aff"
                      "fd000077000000000000000000010100"
                      "ff020000000000000000000000000001"
                      "8800f11420000000"
                      "fd000077000000000000000000010100"
                      "0201021122334455");
  assert_string_equal(hex(encode_dad_ns(address, mac).span()).c_str(),
                      "3333ff01010002112233445586dd"
                      "6000000000183aff"
                      "00000000000000000000000000000000"
                      "ff0200000000000000000001ff010100"
                      "87007b2e00000000"
                      "fd000077000000000000000000010100");
}

void a_router_says_so(void**) {
  const Frame frame = encode_unsolicited_na(address_from("fd00::1"), mac, true);
  assert_int_equal(frame.bytes[14 + 40 + 4], 0xa0);
}

// A receiver sums message and checksum to all ones.
void checksum_verifies_at_odd_length(void**) {
  std::array<std::uint8_t, 16> source{}, destination{};
  source[15] = 0xfe;
  destination[0] = 0xff;
  std::array<std::uint8_t, 9> message = {128, 0, 0, 0, 0xff, 0xff, 0x12, 0x34, 0x56};
  const std::uint16_t checksum = icmpv6_checksum(source, destination, message);
  message[2] = static_cast<std::uint8_t>(checksum >> 8);
  message[3] = static_cast<std::uint8_t>(checksum);
  assert_int_equal(icmpv6_checksum(source, destination, message), 0);
}

void arp_is_read_back(void**) {
  const IpAddress address = address_from("10.77.1.100");
  const Frame reply = encode_gratuitous_arp(address, mac, ArpForm::reply);
  const auto read = decode_arp(reply.span().subspan(14));
  assert_true(read.has_value());
  assert_true(read->is_reply);
  assert_true(read->sender_mac == mac);
  assert_true(same_host(read->sender, address));
  assert_true(same_host(read->target, address));
  const auto probe = decode_arp(encode_arp_probe(address, mac).span().subspan(14));
  assert_true(probe.has_value());
  assert_false(probe->is_reply);
  assert_true(same_host(probe->sender, address_from("0.0.0.0")));
}

void bad_arp_is_refused(void**) {
  const Frame good = encode_gratuitous_arp(address_from("10.77.1.100"), mac, ArpForm::request);
  struct Case {
    const char* name;
    std::size_t at;
    std::uint8_t value;
  };
  static const Case cases[] = {{"hardware type", 1, 6},    {"protocol type", 2, 0x86}, {"hardware length", 4, 8},
                               {"protocol length", 5, 16}, {"operation 3", 7, 3},      {"operation 0x101", 6, 1}};
  for (const Case& one : cases) {
    Frame bad = good;
    bad.bytes[14 + one.at] = one.value;
    if (decode_arp(bad.span().subspan(14))) fail_msg("accepted a wrong %s", one.name);
  }
  for (std::size_t length = 0; length < 28; ++length)
    assert_false(decode_arp(good.span().subspan(14, length)).has_value());
}

void neighbour_messages_are_read_back(void**) {
  const IpAddress address = address_from("fd00:77::1:100");
  const Frame na = encode_unsolicited_na(address, mac, false);
  const auto message = decode_neighbour(na.span().subspan(54));
  assert_true(message.has_value());
  assert_true(message->is_advertisement);
  assert_true(same_host(message->target, address));
  assert_true(message->mac == mac);
  const auto question = decode_neighbour(encode_dad_ns(address, mac).span().subspan(54));
  assert_true(question.has_value());
  assert_false(question->is_advertisement);
  assert_false(question->mac.has_value());
  // Cut anywhere inside it is refused; without its option it is still an advertisement.
  for (std::size_t length = 0; length < 32; ++length) {
    const bool read = decode_neighbour(na.span().subspan(54, length)).has_value();
    assert_int_equal(read, length == 24);
  }
  Frame endless = na;
  endless.bytes[54 + 25] = 0;  // an option of no length
  assert_false(decode_neighbour(endless.span().subspan(54)).has_value());
}

void addresses_are_read_and_written(void**) {
  struct Case {
    const char* text;
    const char* again;  // null: not an address
  };
  static const Case cases[] = {{"10.77.1.100/24", "10.77.1.100/24"},
                               {"10.77.1.100", "10.77.1.100/32"},
                               {"fd00:0::1/64", "fd00::1/64"},
                               {"fd00::1", "fd00::1/128"},
                               {"10.77.1/24", nullptr},
                               {"10.77.1.100/33", nullptr},
                               {"10.77.1.100/", nullptr},
                               {"fd00::1/129", nullptr},
                               {"10.77.1.100/2x", nullptr},
                               {"", nullptr}};
  for (const Case& one : cases) {
    const IpAddress address = address_from(one.text);
    if (one.again == nullptr) {
      if (address.family != 0) fail_msg("'%s' was read as an address", one.text);
      continue;
    }
    assert_string_equal(text_of(address, true).c_str(), one.again);
  }
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(gratuitous_arp_is_golden),
      cmocka_unit_test(neighbour_messages_are_golden),
      cmocka_unit_test(a_router_says_so),
      cmocka_unit_test(checksum_verifies_at_odd_length),
      cmocka_unit_test(arp_is_read_back),
      cmocka_unit_test(bad_arp_is_refused),
      cmocka_unit_test(neighbour_messages_are_read_back),
      cmocka_unit_test(addresses_are_read_and_written),
  };
  return cmocka_run_group_tests_name("netif/frames", tests, nullptr, nullptr);
}
