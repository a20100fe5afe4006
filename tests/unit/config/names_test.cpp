// Text forms of addresses and durations, and the nearest name.
#include "runtime/config/names.hpp"

#include "tests/unit/cmocka.hpp"

namespace {

using namespace vigil;

void durations_parse_exactly(void**) {
  const struct {
    const char* text;
    std::int64_t ns;  // -1: refused
  } cases[] = {{"500ms", 500'000'000},
               {"2s", 2'000'000'000},
               {"1m", 60'000'000'000},
               {"1h", 3'600'000'000'000},
               {"250us", 250'000},
               {"1.5s", 1'500'000'000},
               {"0.25us", 250},
               {"0s", 0},
               {"", -1},
               {"5", -1},
               {"s", -1},
               {"-1s", -1},
               {"1 s", -1},
               {"1.s", -1},
               {".5s", -1},
               {"1d", -1},
               {"1sx", -1},
               {"9999999999s", -1},
               {"999999999h", -1}};
  for (const auto& one : cases) {
    const Result<Duration> parsed = parse_duration(one.text);
    assert_int_equal(parsed.ok() ? parsed.value().ns : -1, one.ns);
  }
}

void durations_survive_the_round_trip(void**) {
  for (const char* text : {"500ms", "2s", "1m", "1h", "250us", "90s", "0s"}) {
    const std::string formatted = format_duration(parse_duration(text).value());
    assert_string_equal(formatted.c_str(), text);
  }
}

void addresses_parse_and_format(void**) {
  const struct {
    const char* text;
    const char* formatted;  // null: refused
  } cases[] = {{"10.77.1.1/24", "10.77.1.1/24"},
               {"10.77.1.1/32", "10.77.1.1/32"},
               {"10.77.1.0/31", "10.77.1.0/31"},  // RFC 3021: both ends of a point-to-point link are hosts
               {"FD00:0::1/64", "fd00::1/64"},
               {"10.77.1.1", nullptr},
               {"10.77.1.1/", nullptr},
               {"10.77.1.1/0", nullptr},
               {"10.77.1.1/33", nullptr},
               {"10.77.1.1/-1", nullptr},
               {"10.77.1/24", nullptr},
               {"10.77.1.0/24", nullptr},
               {"10.77.1.255/24", nullptr},
               {"0.0.0.0/24", nullptr},
               {"127.0.0.1/8", nullptr},
               {"224.0.0.18/24", nullptr},
               {"ff02::1/64", nullptr},
               {"::1/128", nullptr},
               {"::/64", nullptr},
               {"fd00::1/129", nullptr},
               {"fd00::1%eth0/64", nullptr}};
  for (const auto& one : cases) {
    const Result<IpAddress> parsed = parse_address(one.text);
    const std::string formatted = parsed.ok() ? format_address(parsed.value()) : "refused";
    assert_string_equal(formatted.c_str(), one.formatted == nullptr ? "refused" : one.formatted);
  }
}

void subnets_contain_their_hosts(void**) {
  const struct {
    const char* host;
    const char* net;
    bool inside;
  } cases[] = {{"10.1.2.3/24", "10.1.2.9/24", true},   {"10.1.2.3/24", "10.1.3.9/24", false},
               {"10.1.2.3/24", "10.1.3.9/23", true},   {"10.1.2.130/24", "10.1.2.1/25", false},
               {"fd00:1::5/64", "fd00:1::9/64", true}, {"fd00:1::5/64", "fd00:2::9/64", false},
               {"fd00:1::5/64", "10.1.2.3/24", false}};
  for (const auto& one : cases)
    assert_int_equal(in_subnet(parse_address(one.host).value(), parse_address(one.net).value()), one.inside);
}

void the_nearest_name_is_near(void**) {
  const std::vector<std::string> names = {"alpha", "beta", "gamma"};
  const struct {
    const char* wrong;
    const char* nearest;  // null: none is near
  } cases[] = {{"alhpa", "alpha"}, {"bet", "beta"}, {"gamma1", "gamma"},
               {"delta", nullptr}, {"x", nullptr},  {"", nullptr}};
  for (const auto& one : cases) {
    const std::string found = nearest_name(one.wrong, names).value_or("none");
    assert_string_equal(found.c_str(), one.nearest == nullptr ? "none" : one.nearest);
  }
  assert_int_equal(edit_distance("profle", "profile"), 1);
  assert_int_equal(edit_distance("ab", "ba"), 1);
  assert_int_equal(edit_distance("", "abc"), 3);
  assert_string_equal(hint("zzz", names).c_str(), "; expected one of: alpha, beta, gamma");
}

void names_are_checked(void**) {
  for (const char* good : {"a", "node-1", "Web_2.x", "1st"}) assert_true(is_name(good));
  for (const char* bad : {"", "-a", ".a", "a b", "a/b", "n\xc3\xa9", "abcdefghijklmnopqrstuvwxyz123456"})
    assert_false(is_name(bad));
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(durations_parse_exactly),    cmocka_unit_test(durations_survive_the_round_trip),
      cmocka_unit_test(addresses_parse_and_format), cmocka_unit_test(subnets_contain_their_hosts),
      cmocka_unit_test(the_nearest_name_is_near),   cmocka_unit_test(names_are_checked),
  };
  return cmocka_run_group_tests_name("config/names", tests, nullptr, nullptr);
}
