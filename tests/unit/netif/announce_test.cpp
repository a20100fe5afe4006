#include "netif/announce.hpp"

#include <algorithm>

#include "tests/unit/netif/lab.hpp"

using namespace vigil;
using namespace vigil::netif;

namespace {

bool same_bytes(const std::vector<std::uint8_t>& frame, const Frame& wanted) {
  return frame.size() >= wanted.size && std::equal(wanted.span().begin(), wanted.span().end(), frame.begin());
}

void announcements_arrive_at_the_other_end(void**) {
  VIGIL_NEEDS_LAB(lab);
  const IpAddress v4 = address_from("10.99.0.100/24");
  const IpAddress v6 = address_from("fd99::100/64");
  const Frame request = encode_gratuitous_arp(v4, lab::node_mac, ArpForm::request);
  const Frame reply = encode_gratuitous_arp(v4, lab::node_mac, ArpForm::reply);
  const Frame advertisement = encode_unsolicited_na(v6, lab::node_mac, false);
  lab->enter_client();
  const lab::RawSocket client("vgnif1");
  lab->enter_node();
  Result<Announcer> announcer = Announcer::open();
  assert_true(announcer.ok());
  const int ifindex = lab::index_of("vgnif0");
  assert_true(announcer->start(v4, ifindex, lab::node_mac, false, Instant{0}).ok());
  assert_true(announcer->start(v6, ifindex, lab::node_mac, false, Instant{0}).ok());
  const auto ours = [&](const std::vector<std::uint8_t>& frame) {
    return same_bytes(frame, request) || same_bytes(frame, reply) || same_bytes(frame, advertisement);
  };
  const auto frames = client.receive(500, 3, ours);
  assert_int_equal(frames.size(), 3);
  assert_true(same_bytes(frames[0], request));
  assert_true(same_bytes(frames[1], reply));
  assert_true(same_bytes(frames[2], advertisement));
}

// The client's kernel, too, is convinced: its neighbour entries move to the new hardware address.
void a_client_follows_the_announcement(void**) {
  VIGIL_NEEDS_LAB(lab);
  lab->enter_client();
  assert_true(lab::run("ip neigh add 10.99.0.100 lladdr 02:00:00:00:00:99 dev vgnif1 nud stale"));
  assert_true(lab::run("ip -6 neigh add fd99::100 lladdr 02:00:00:00:00:99 dev vgnif1 nud stale"));
  lab->enter_node();
  Result<Announcer> announcer = Announcer::open();
  assert_true(announcer.ok());
  const int ifindex = lab::index_of("vgnif0");
  assert_true(announcer->start(address_from("10.99.0.100"), ifindex, lab::node_mac, false, Instant{0}).ok());
  assert_true(announcer->start(address_from("fd99::100"), ifindex, lab::node_mac, false, Instant{0}).ok());
  lab::pause_ms(50);
  lab->enter_client();
  const bool v4 = lab::run("ip neigh show 10.99.0.100 dev vgnif1 | grep -q 02:00:00:00:00:01");
  const bool v6 = lab::run("ip -6 neigh show fd99::100 dev vgnif1 | grep -q 02:00:00:00:00:01");
  assert_true(v4);
  assert_true(v6);
}

void repetitions_follow_the_schedule(void**) {
  VIGIL_NEEDS_LAB(lab);
  const IpAddress address = address_from("fd99::100");
  const Frame advertisement = encode_unsolicited_na(address, lab::node_mac, false);
  const auto is_it = [&](const std::vector<std::uint8_t>& frame) { return same_bytes(frame, advertisement); };
  lab->enter_client();
  const lab::RawSocket client("vgnif1");
  lab->enter_node();
  Result<Announcer> announcer = Announcer::open();
  assert_true(announcer.ok());
  assert_true(announcer->next_deadline().is_never());
  const Instant begun{Duration::from_s(7).ns};
  assert_true(announcer->start(address, lab::index_of("vgnif0"), lab::node_mac, false, begun).ok());
  assert_int_equal(client.receive(200, 1, is_it).size(), 1);
  for (std::size_t i = 1; i < announce_schedule.size(); ++i) {
    const Instant due = announcer->next_deadline();
    assert_int_equal((due - begun).ns, announce_schedule[i].ns);
    announcer->step(due - Duration::from_ns(1));
    announcer->step(due);
    assert_int_equal(client.receive(200, 1, is_it).size(), 1);
  }
  assert_true(announcer->next_deadline().is_never());
  // None came too early, or twice.
  assert_int_equal(client.receive(20, 1, is_it).size(), 0);
}

void stopped_and_late_announcements(void**) {
  VIGIL_NEEDS_LAB(lab);
  const IpAddress address = address_from("fd99::100");
  const Frame advertisement = encode_unsolicited_na(address, lab::node_mac, false);
  const auto is_it = [&](const std::vector<std::uint8_t>& frame) { return same_bytes(frame, advertisement); };
  lab->enter_client();
  const lab::RawSocket client("vgnif1");
  lab->enter_node();
  Result<Announcer> announcer = Announcer::open();
  assert_true(announcer.ok());
  const int ifindex = lab::index_of("vgnif0");
  assert_true(announcer->start(address, ifindex, lab::node_mac, false, Instant{0}).ok());
  announcer->stop(address);
  assert_true(announcer->next_deadline().is_never());
  announcer->step(Instant{Duration::from_s(9).ns});
  assert_int_equal(client.receive(50, 9, is_it).size(), 1);
  // A loop that was away for all of it sends one, not all that it missed.
  assert_true(announcer->start(address, ifindex, lab::node_mac, false, Instant{0}).ok());
  announcer->step(Instant{Duration::from_s(9).ns});
  assert_int_equal(client.receive(50, 9, is_it).size(), 2);
  assert_true(announcer->next_deadline().is_never());
}

void a_down_interface_is_told_and_tried_again(void**) {
  VIGIL_NEEDS_LAB(lab);
  Result<Announcer> announcer = Announcer::open();
  assert_true(announcer.ok());
  assert_true(lab::run("ip link set vgnif0 down"));
  const Status down =
      announcer->start(address_from("10.99.0.100"), lab::index_of("vgnif0"), lab::node_mac, false, Instant{0});
  assert_false(down.ok());
  assert_int_equal(down.error().code, ENETDOWN);
  assert_non_null(std::strstr(down.error().message.c_str(), "10.99.0.100"));
  assert_false(announcer->next_deadline().is_never());
  assert_int_equal(announcer->failures(), 2);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(announcements_arrive_at_the_other_end),    cmocka_unit_test(a_client_follows_the_announcement),
      cmocka_unit_test(repetitions_follow_the_schedule),          cmocka_unit_test(stopped_and_late_announcements),
      cmocka_unit_test(a_down_interface_is_told_and_tried_again),
  };
  return cmocka_run_group_tests_name("netif/announce", tests, nullptr, nullptr);
}
