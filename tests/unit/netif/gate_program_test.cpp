// The gate's kernel program, frame by frame, without an interface.
#include "netif/gate_program.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "netif/frames.hpp"
#include "tests/unit/cmocka.hpp"

using namespace vigil;
using namespace vigil::netif;

namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr MacAddress mac = {0x02, 0, 0, 0, 0, 1};
const IpAddress gated4 = address_from("10.99.0.100");
const IpAddress gated6 = address_from("fd99::100");
const IpAddress other4 = address_from("10.99.0.101");
const IpAddress other6 = address_from("fd99::101");

Bytes bytes_of(const Frame& frame) { return Bytes(frame.span().begin(), frame.span().end()); }

Bytes ethernet(std::uint16_t type) {
  return {
      0x02, 0, 0, 0, 0, 2, 0x02, 0, 0, 0, 0, 1, static_cast<std::uint8_t>(type >> 8), static_cast<std::uint8_t>(type)};
}

Bytes ipv4(const IpAddress& from, const IpAddress& to) {
  Bytes frame = ethernet(0x0800);
  const Bytes header = {0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0};
  frame.insert(frame.end(), header.begin(), header.end());
  frame.insert(frame.end(), from.bytes.begin(), from.bytes.begin() + 4);
  frame.insert(frame.end(), to.bytes.begin(), to.bytes.begin() + 4);
  frame.insert(frame.end(), 8, 0);
  return frame;
}

Bytes ipv6(const IpAddress& from, const IpAddress& to, std::uint8_t next, const Bytes& content) {
  Bytes frame = ethernet(0x86dd);
  const Bytes header = {0x60, 0, 0, 0, 0, static_cast<std::uint8_t>(content.size()), next, 255};
  frame.insert(frame.end(), header.begin(), header.end());
  frame.insert(frame.end(), from.bytes.begin(), from.bytes.end());
  frame.insert(frame.end(), to.bytes.begin(), to.bytes.end());
  frame.insert(frame.end(), content.begin(), content.end());
  return frame;
}

Bytes neighbour(std::uint8_t type, const IpAddress& target) {
  Bytes message = {type, 0, 0, 0, 0, 0, 0, 0};
  message.insert(message.end(), target.bytes.begin(), target.bytes.end());
  return message;
}

// A hop-by-hop header of so many bytes before the content.
Bytes behind_options(std::uint8_t next, std::size_t bytes, const Bytes& content) {
  Bytes result = {next, static_cast<std::uint8_t>(bytes / 8 - 1)};
  result.resize(bytes, 0);
  result.insert(result.end(), content.begin(), content.end());
  return result;
}

Bytes tagged(Bytes frame, std::uint16_t tag_type) {
  const Bytes tag = {static_cast<std::uint8_t>(tag_type >> 8), static_cast<std::uint8_t>(tag_type), 0, 5};
  frame.insert(frame.begin() + 12, tag.begin(), tag.end());
  return frame;
}

Bytes arp(const IpAddress& sender, const IpAddress& target) {
  Bytes frame = bytes_of(encode_arp_probe(target, mac));
  std::copy_n(sender.bytes.begin(), 4, frame.begin() + 28);
  return frame;
}

struct Case {
  std::string name;
  Bytes frame;
  bool about_gated;
};

std::vector<Case> cases() {
  const IpAddress link_local = address_from("fe80::1");
  const IpAddress nobody = address_from("::");
  const IpAddress all_nodes = address_from("ff02::1");
  Bytes wide_arp = arp(other4, other4);
  wide_arp[14 + 4] = 20;  // InfiniBand's hardware addresses: sender at 28, target at 52
  wide_arp.resize(14 + 8 + 20 + 4 + 20 + 4, 0);
  Bytes wide_gated = wide_arp;
  std::copy_n(gated4.bytes.begin(), 4, wide_gated.begin() + 14 + 8 + 20 + 4 + 20);
  Bytes strange_arp = arp(gated4, gated4);
  strange_arp[14 + 3] = 1;  // not about IPv4
  Bytes appletalk = ipv4(gated4, gated4);
  appletalk[12] = 0x80;
  appletalk[13] = 0x9b;

  return {
      {"IPv4 from", ipv4(gated4, other4), true},
      {"IPv4 to", ipv4(other4, gated4), true},
      {"IPv4 of others", ipv4(other4, other4), false},
      {"ARP from", arp(gated4, other4), true},
      {"ARP about", arp(other4, gated4), true},
      {"ARP probe about", arp(address_from("0.0.0.0"), gated4), true},
      {"ARP of others", arp(other4, other4), false},
      {"ARP with long hardware addresses", wide_gated, true},
      {"ARP with long hardware addresses, of others", wide_arp, false},
      {"ARP about no IPv4 address", strange_arp, false},
      {"gratuitous ARP", bytes_of(encode_gratuitous_arp(gated4, mac, ArpForm::reply)), true},
      {"IPv6 from", ipv6(gated6, other6, 17, Bytes(8)), true},
      {"IPv6 to", ipv6(other6, gated6, 17, Bytes(8)), true},
      {"IPv6 of others", ipv6(other6, other6, 17, Bytes(8)), false},
      {"solicitation", ipv6(link_local, all_nodes, 58, neighbour(135, gated6)), true},
      {"solicitation of others", ipv6(link_local, all_nodes, 58, neighbour(135, other6)), false},
      {"duplicate-address detection", bytes_of(encode_dad_ns(gated6, mac)), true},
      {"advertisement", ipv6(link_local, all_nodes, 58, neighbour(136, gated6)), true},
      {"advertisement of others", ipv6(link_local, all_nodes, 58, neighbour(136, other6)), false},
      {"advertisement behind options", ipv6(link_local, all_nodes, 0, behind_options(58, 8, neighbour(136, gated6))),
       true},
      {"advertisement behind long options",
       ipv6(link_local, all_nodes, 0, behind_options(58, 64, neighbour(136, gated6))), true},
      {"another behind options", ipv6(link_local, all_nodes, 0, behind_options(58, 16, neighbour(136, other6))), false},
      {"UDP that looks like an advertisement", ipv6(link_local, all_nodes, 17, neighbour(136, gated6)), false},
      {"an echo request with the address inside", ipv6(link_local, all_nodes, 58, neighbour(128, gated6)), false},
      {"from nobody to others", ipv6(nobody, other6, 17, Bytes(8)), false},
      {"802.1Q", tagged(ipv4(other4, gated4), 0x8100), true},
      {"802.1Q of others", tagged(ipv4(other4, other4), 0x8100), false},
      {"802.1Q ARP", tagged(arp(other4, gated4), 0x8100), true},
      {"802.1ad over 802.1Q", tagged(tagged(ipv6(other6, gated6, 17, Bytes(8)), 0x8100), 0x88a8), true},
      {"three tags", tagged(tagged(tagged(ipv4(gated4, other4), 0x8100), 0x8100), 0x88a8), true},
      {"three tags of others", tagged(tagged(tagged(ipv4(other4, other4), 0x8100), 0x8100), 0x88a8), false},
      {"another protocol", appletalk, false},
  };
}

vigil_gate_key key_of(const IpAddress& address) {
  vigil_gate_key key{};
  key.family = address.family;
  std::copy_n(address.bytes.begin(), address_bytes(address), key.address);
  return key;
}

class Trial {
 public:
  static std::unique_ptr<Trial> create() {
    if (::geteuid() != 0) return nullptr;
    Result<GateProgram> program = GateProgram::load();
    if (!program) {
      print_message("%s\n", program.error().message.c_str());
      return nullptr;
    }
    auto trial = std::unique_ptr<Trial>(new Trial(std::move(*program)));
    const bool entered =
        trial->program.insert(key_of(gated4), {4, 1}).ok() && trial->program.insert(key_of(gated6), {6, 1}).ok();
    trial->program.entry(4).tenancy = trial->program.entry(6).tenancy = 1;
    return entered ? std::move(trial) : nullptr;
  }
  void set_lease(Instant until) {
    program.entry(4).lease_until_ns = program.entry(6).lease_until_ns = static_cast<std::uint64_t>(until.ns);
  }
  GateProgram program;

 private:
  explicit Trial(GateProgram loaded) : program(std::move(loaded)) {}
};

#define NEEDS_TRIAL(trial)                                                      \
  const auto trial = Trial::create();                                           \
  if (!trial) {                                                                 \
    print_message("skipped: no BPF program can be loaded here (needs root)\n"); \
    skip();                                                                     \
  }

void frames_of_an_expired_address_are_dropped_and_no_others(void**) {
  NEEDS_TRIAL(trial);
  trial->set_lease(boot_now());
  for (const Case& one : cases()) {
    for (const Direction direction : both_directions) {
      const Result<bool> dropped = trial->program.would_drop(one.frame, direction);
      assert_true(dropped.ok());
      if (*dropped != one.about_gated) fail_msg("%s: %s", one.name.c_str(), *dropped ? "dropped" : "passed");
    }
  }
}

void nothing_is_dropped_while_the_lease_lasts(void**) {
  NEEDS_TRIAL(trial);
  trial->set_lease(boot_now() + Duration::from_s(60));
  for (const Case& one : cases()) {
    const Result<bool> dropped = trial->program.would_drop(one.frame, Direction::egress);
    assert_true(dropped.ok());
    if (*dropped) fail_msg("%s: dropped", one.name.c_str());
  }
}

// Wherever a frame is cut, the program neither fails nor guesses; where both addresses are whole it drops.
void cut_frames_are_judged_by_what_is_there(void**) {
  NEEDS_TRIAL(trial);
  trial->set_lease(Instant{0});
  for (const Case& one : cases()) {
    for (std::size_t length = 14; length < one.frame.size(); ++length) {
      const Result<bool> dropped = trial->program.would_drop({one.frame.data(), length}, Direction::ingress);
      if (!dropped) continue;  // this kernel does not run programs on so short a frame
      if (*dropped && !one.about_gated) fail_msg("%s, cut to %zu bytes: dropped", one.name.c_str(), length);
    }
  }
}

void drops_are_counted_per_direction(void**) {
  NEEDS_TRIAL(trial);
  trial->set_lease(Instant{0});
  const Bytes frame = ipv4(gated4, other4);
  for (int i = 0; i < 3; ++i) assert_true(trial->program.would_drop(frame, Direction::egress).ok());
  assert_true(trial->program.would_drop(frame, Direction::ingress).ok());
  assert_int_equal(trial->program.drops(4).egress, 3);
  assert_int_equal(trial->program.drops(4).ingress, 1);
  assert_int_equal(trial->program.drops(6).egress, 0);
}

// An index entry of an earlier tenancy must not be judged by the new tenant's lease.
void another_tenants_lease_does_not_count(void**) {
  NEEDS_TRIAL(trial);
  trial->set_lease(boot_now() + Duration::from_s(60));
  trial->program.entry(4).tenancy = 2;
  const Result<bool> old = trial->program.would_drop(ipv4(gated4, other4), Direction::egress);
  assert_true(old.ok() && *old);
  assert_true(trial->program.insert(key_of(gated4), {4, 2}).ok());
  const Result<bool> current = trial->program.would_drop(ipv4(gated4, other4), Direction::egress);
  assert_true(current.ok() && !*current);
}

void an_erased_address_is_judged_no_more(void**) {
  NEEDS_TRIAL(trial);
  trial->set_lease(Instant{0});
  assert_true(trial->program.erase(key_of(gated4)).ok());
  assert_true(trial->program.erase(key_of(gated4)).ok());
  const Result<bool> v4 = trial->program.would_drop(ipv4(gated4, other4), Direction::egress);
  const Result<bool> v6 = trial->program.would_drop(ipv6(gated6, other6, 17, Bytes(8)), Direction::egress);
  assert_true(v4.ok() && !*v4);
  assert_true(v6.ok() && *v6);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(frames_of_an_expired_address_are_dropped_and_no_others),
      cmocka_unit_test(nothing_is_dropped_while_the_lease_lasts),
      cmocka_unit_test(cut_frames_are_judged_by_what_is_there),
      cmocka_unit_test(drops_are_counted_per_direction),
      cmocka_unit_test(another_tenants_lease_does_not_count),
      cmocka_unit_test(an_erased_address_is_judged_no_more),
  };
  return cmocka_run_group_tests_name("netif/gate_program", tests, nullptr, nullptr);
}
