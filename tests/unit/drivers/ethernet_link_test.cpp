#include "drivers/ethernet/ethernet_link.hpp"

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/socket.h>

#include <cstring>

#include "tests/unit/drivers/link_fixture.hpp"

#include "tests/unit/cmocka.hpp"

using namespace vigil;
using namespace vigil::test;

namespace {

constexpr NodeId alpha = 0;
constexpr NodeId beta = 1;

struct Pair {
  std::unique_ptr<Ring> ring;
  Sink sink_a, sink_b;
  std::unique_ptr<Link> a, b;
};

bool make_veth() {
  return shell("ip link add va type veth peer name vb") && shell("ip link set va up && ip link set vb up");
}

int set_up(void** state) {
  shell("ip link del va");
  if (!make_veth()) return -1;
  auto pair = std::make_unique<Pair>();
  pair->ring = Ring::create().value();
  pair->a =
      EthernetLink::create({.index = 0, .device = "va", .cluster_id = cluster_id, .peers = NodeSet::of(beta)}).value();
  pair->b =
      EthernetLink::create({.index = 5, .device = "vb", .cluster_id = cluster_id, .peers = NodeSet::of(alpha)}).value();
  if (!pair->a->open(*pair->ring, pair->sink_a) || !pair->b->open(*pair->ring, pair->sink_b)) return -1;
  // The pair may say that it was down before; heard when the loop runs first.
  run_for(*pair->ring, Duration::from_ms(20));
  *state = pair.release();
  return 0;
}

int tear_down(void** state) {
  delete static_cast<Pair*>(*state);
  shell("ip link del va");
  return 0;
}

std::string mac_of(const LinkSource& source) {
  std::string text;
  char part[4];
  for (std::size_t i = 0; i < source.size; ++i) {
    std::snprintf(part, sizeof part, "%02x:", static_cast<unsigned>(source.bytes[i]));
    text += part;
  }
  return text.substr(0, text.empty() ? 0 : text.size() - 1);
}

void frames_of_every_size_arrive_exactly(void** state) {
  Pair& pair = *static_cast<Pair*>(*state);
  for (std::size_t size = frame_layout::smallest; size <= limits::frame_bytes; ++size) {
    const Bytes frame = frame_of(static_cast<std::uint8_t>(size), size);
    const Instant before = boottime_now();
    assert_int_equal(pair.a->send(frame, everyone), SendOutcome::sent);
    assert_true(run_until(*pair.ring, [&] { return !pair.sink_b.heard.empty(); }));
    assert_int_equal(pair.sink_b.heard.size(), 1);
    assert_true(pair.sink_b.heard[0].bytes == frame);
    assert_int_equal(pair.sink_b.heard[0].by, 5);
    assert_true(pair.sink_b.heard[0].received >= before);
    assert_int_equal(pair.sink_b.heard[0].source.size, 6);
    pair.sink_b.heard.clear();
  }
  assert_int_equal(pair.sink_a.heard.size(), 0);  // nobody hears itself
  assert_int_equal(pair.b->counters().malformed, 0);
  assert_int_equal(pair.a->counters().frames_sent, pair.b->counters().frames_received);
}

void a_learnt_peer_gets_unicast_others_the_group(void** state) {
  Pair& pair = *static_cast<Pair*>(*state);
  // A tap on vb that sees what addresses the frames carry.
  const Fd tap(::socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, htons(EthernetLink::ether_type)));
  sockaddr_ll where{};
  where.sll_family = AF_PACKET;
  where.sll_protocol = htons(EthernetLink::ether_type);
  where.sll_ifindex = static_cast<int>(::if_nametoindex("vb"));
  assert_int_equal(::bind(tap.get(), reinterpret_cast<sockaddr*>(&where), sizeof where), 0);
  const auto destination = [&] {
    std::array<std::uint8_t, 256> bytes{};
    LinkSource mac;
    mac.size = 6;
    for (int i = 0; i < 2000 && ::recv(tap.get(), bytes.data(), bytes.size(), 0) < 14; ++i) ::usleep(1000);
    std::memcpy(mac.bytes.data(), bytes.data(), 6);
    return mac_of(mac);
  };

  assert_int_equal(pair.a->send(frame_of(1), beta), SendOutcome::sent);
  assert_string_equal(destination().c_str(), "03:56:00:c0:ff:ee");
  assert_int_equal(pair.b->send(frame_of(2), everyone), SendOutcome::sent);
  assert_true(run_until(*pair.ring, [&] { return pair.sink_a.heard.size() == 1; }));
  pair.a->learn(beta, pair.sink_a.heard[0].source);
  pair.a->learn(9, pair.sink_a.heard[0].source);  // not on this link: ignored
  assert_int_equal(pair.a->send(frame_of(3), beta), SendOutcome::sent);
  assert_string_equal(destination().c_str(), mac_of(pair.sink_a.heard[0].source).c_str());
  assert_int_equal(pair.a->send(frame_of(4), everyone), SendOutcome::sent);
  assert_string_equal(destination().c_str(), "03:56:00:c0:ff:ee");
  assert_int_equal(pair.a->send(frame_of(5), 9), SendOutcome::not_reachable);
  assert_true(run_until(*pair.ring, [&] { return pair.sink_b.heard.size() == 3; }));
}

// Sends `payload` from va with any type and destination, past the driver.
bool send_raw(std::uint16_t type, const std::array<std::uint8_t, 6>& to, const Bytes& payload) {
  const Fd fd(::socket(AF_PACKET, SOCK_DGRAM, 0));
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(type);
  address.sll_ifindex = static_cast<int>(::if_nametoindex("va"));
  address.sll_halen = 6;
  std::memcpy(address.sll_addr, to.data(), 6);
  return ::sendto(fd.get(), payload.data(), payload.size(), 0, reinterpret_cast<sockaddr*>(&address), sizeof address) ==
         static_cast<ssize_t>(payload.size());
}

Bytes with_length(const Bytes& frame, std::size_t length) {
  Bytes payload(2 + frame.size());
  payload[0] = static_cast<std::byte>(length >> 8);
  payload[1] = static_cast<std::byte>(length & 0xff);
  std::memcpy(payload.data() + 2, frame.data(), frame.size());
  return payload;
}

void the_kernel_drops_what_is_not_ours(void** state) {
  Pair& pair = *static_cast<Pair*>(*state);
  const EthernetLink::Mac group = EthernetLink::group_of(cluster_id);
  const EthernetLink::Mac stranger = {0x02, 0, 0, 0, 0, 9};
  const EthernetLink::Mac everybody = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
  Bytes wrong_magic = frame_of(1);
  wrong_magic[0] = std::byte{0x57};
  const std::uint16_t ours = EthernetLink::ether_type;
  const Bytes good = frame_of(1);
  // Promiscuous, so that what is for another host reaches the stack at all.
  assert_true(shell("ip link set vb promisc on"));
  const struct {
    std::uint16_t type;
    EthernetLink::Mac to;
    Bytes payload;
    unsigned delivered;
    unsigned malformed;  // passed by the kernel, refused by the driver
  } cases[] = {
      {ours, group, with_length(good, good.size()), 1, 0},
      {ours, everybody, with_length(good, good.size()), 1, 0},
      {0x88b6, group, with_length(good, good.size()), 0, 0},   // another type
      {ours, stranger, with_length(good, good.size()), 0, 0},  // for another host
      {ours, group, with_length(wrong_magic, good.size()), 0, 0},
      {ours, group, with_length(frame_of(1, 64, cluster_id + 1), 64), 0, 0},  // another cluster
      {ours, group, Bytes(1, std::byte{0}), 0, 0},                            // nothing in it
      {ours, group, with_length(good, good.size() + 1), 0, 1},                // says more than there is
      {ours, group, with_length(good, 3), 0, 1},
      {ours, group, with_length(frame_of(1, 400), 400), 0, 1},   // more than a frame may have
      {ours, group, with_length(frame_of(1, 1400), 64), 0, 1},   // more than a buffer holds
      {ours, group, with_length(good, good.size() - 10), 1, 0},  // padded, as short frames are
  };
  std::uint64_t delivered = 0;
  std::uint64_t malformed = 0;
  for (const auto& one : cases) {
    assert_true(send_raw(one.type, one.to, one.payload));
    delivered += one.delivered;
    malformed += one.malformed;
    run_until(*pair.ring, [&] {
      return pair.b->counters().frames_received + pair.b->counters().malformed >= delivered + malformed;
    });
    run_for(*pair.ring, Duration::from_ms(2));
    assert_int_equal(pair.b->counters().frames_received, delivered);
    assert_int_equal(pair.b->counters().malformed, malformed);
  }
  assert_int_equal(pair.sink_b.heard.size(), delivered);
}

void an_interface_down_and_up_needs_no_reopening(void** state) {
  Pair& pair = *static_cast<Pair*>(*state);
  for (int round = 0; round < 3; ++round) {
    assert_true(shell("ip link set vb down"));
    run_for(*pair.ring, Duration::from_ms(20));
    assert_int_equal(pair.b->send(frame_of(1), everyone), SendOutcome::failed);
    assert_int_equal(pair.b->counters().last_error, ENETDOWN);
    assert_true(pair.b->usable());
    assert_true(shell("ip link set vb up"));
    pair.sink_b.heard.clear();
    assert_true(run_until(*pair.ring, [&] {
      pair.a->send(frame_of(2), everyone);
      pair.ring->run_once(boottime_now() + Duration::from_ms(5)).ok();
      return !pair.sink_b.heard.empty();
    }));
  }
  assert_true(pair.b->counters().receive_errors >= 3);
}

void a_deleted_interface_is_noticed_and_its_successor_used(void** state) {
  Pair& pair = *static_cast<Pair*>(*state);
  assert_true(shell("ip link del va"));
  run_for(*pair.ring, Duration::from_ms(20));
  assert_int_equal(pair.a->send(frame_of(1), everyone), SendOutcome::failed);
  assert_false(pair.a->usable());
  assert_int_equal(pair.a->send(frame_of(1), everyone), SendOutcome::unusable);
  Status gone = pair.a->reopen();
  assert_false(gone.ok());
  assert_int_equal(gone.error().code, ENODEV);
  assert_true(make_veth());
  assert_true(pair.a->reopen().ok());
  assert_true(pair.b->reopen().ok());
  pair.sink_b.heard.clear();
  assert_true(run_until(*pair.ring, [&] {
    pair.a->send(frame_of(3), everyone);
    pair.ring->run_once(boottime_now() + Duration::from_ms(5)).ok();
    return !pair.sink_b.heard.empty();
  }));
  const std::vector<bool> states{true, false, true};
  assert_true(pair.sink_a.states == states);
  assert_int_equal(pair.a->counters().opens, 2);
}

void unfit_devices_are_refused_with_the_reason(void** state) {
  Pair& pair = *static_cast<Pair*>(*state);
  Sink sink;
  assert_false(
      EthernetLink::create({.index = 0, .device = "name-far-too-long-for-one", .cluster_id = 1, .peers = {}}).ok());
  std::unique_ptr<Link> none =
      EthernetLink::create({.index = 0, .device = "none", .cluster_id = 1, .peers = {}}).value();
  Status status = none->open(*pair.ring, sink);
  assert_false(status.ok());
  assert_non_null(std::strstr(status.error().message.c_str(), "none"));
  std::unique_ptr<Link> loopback =
      EthernetLink::create({.index = 0, .device = "lo", .cluster_id = 1, .peers = {}}).value();
  status = loopback->open(*pair.ring, sink);
  assert_false(status.ok());
  assert_non_null(std::strstr(status.error().message.c_str(), "no Ethernet interface"));
  assert_false(loopback->usable());
  assert_int_equal(sink.states.size(), 0);
}

}  // namespace

int main() {
  if (const std::string why = enter_own_network(); !why.empty()) {
    std::printf("SKIP drivers/ethernet_link: %s\n", why.c_str());
    return 0;
  }
  const CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(frames_of_every_size_arrive_exactly, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_learnt_peer_gets_unicast_others_the_group, set_up, tear_down),
      cmocka_unit_test_setup_teardown(the_kernel_drops_what_is_not_ours, set_up, tear_down),
      cmocka_unit_test_setup_teardown(an_interface_down_and_up_needs_no_reopening, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_deleted_interface_is_noticed_and_its_successor_used, set_up, tear_down),
      cmocka_unit_test_setup_teardown(unfit_devices_are_refused_with_the_reason, set_up, tear_down),
  };
  return cmocka_run_group_tests_name("drivers/ethernet_link", tests, nullptr, nullptr);
}
