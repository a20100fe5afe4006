#include "netif/probe.hpp"

#include "tests/unit/netif/lab.hpp"

using namespace vigil;
using namespace vigil::netif;

namespace {

constexpr ProbeParameters quick = {.count = 3, .spacing = Duration::from_ms(40)};

// Runs the prober's own loop until it has nothing left to do.
ProbeResults finish(Prober& prober) {
  ProbeResults results;
  while (!prober.next_deadline().is_never()) {
    pollfd ready[2] = {{prober.arp_fd(), POLLIN, 0}, {prober.neighbour_fd(), POLLIN, 0}};
    const Duration left = prober.next_deadline() - boot_now();
    ::poll(ready, 2, left.ns <= 0 ? 0 : static_cast<int>(left.ns / 1'000'000) + 1);
    if (((ready[0].revents | ready[1].revents) & POLLIN) != 0) prober.on_readable(results);
    prober.step(boot_now(), results);
  }
  return results;
}

void an_unused_address_is_free(void**) {
  VIGIL_NEEDS_LAB(lab);
  Result<Prober> prober = Prober::open();
  assert_true(prober.ok());
  const int ifindex = lab::index_of("vgnif0");
  const Instant begun = boot_now();
  for (const char* text : {"10.99.0.100/24", "fd99::100/64"}) {
    const Status started =
        prober->start(address_from(text), ifindex, lab::node_mac, ProbePurpose::before_use, quick, begun);
    assert_true(started.ok());
  }
  const ProbeResults results = finish(*prober);
  assert_int_equal(results.size(), 2);
  for (const ProbeResult& result : results) assert_true(result.outcome == ProbeOutcome::free);
  // Silence counts only after the last question's spacing.
  assert_true(boot_now() - begun >= quick.spacing * quick.count);
}

void an_address_in_use_is_a_conflict(void**) {
  VIGIL_NEEDS_LAB(lab);
  Result<Prober> prober = Prober::open();
  assert_true(prober.ok());
  const int ifindex = lab::index_of("vgnif0");
  for (const ProbePurpose purpose : {ProbePurpose::before_use, ProbePurpose::after_takeover}) {
    for (const char* text : {"10.99.0.2/24", "fd99::2/64"}) {
      const Status started = prober->start(address_from(text), ifindex, lab::node_mac, purpose, quick, boot_now());
      assert_true(started.ok());
      const ProbeResults results = finish(*prober);
      assert_int_equal(results.size(), 1);
      assert_true(results[0].outcome == ProbeOutcome::conflict);
      assert_true(results[0].other == lab::client_mac);
      assert_true(results[0].purpose == purpose);
    }
  }
}

// The check that follows a takeover: the address is ours and assigned, the kernel answers for it itself.
void our_own_address_is_no_conflict(void**) {
  VIGIL_NEEDS_LAB(lab);
  Result<Prober> prober = Prober::open();
  assert_true(prober.ok());
  assert_true(lab::run("ip addr add 10.99.0.100/24 dev vgnif0 && ip -6 addr add fd99::100/64 dev vgnif0 nodad"));
  const int ifindex = lab::index_of("vgnif0");
  for (const char* text : {"10.99.0.100/24", "fd99::100/64"})
    assert_true(
        prober->start(address_from(text), ifindex, lab::node_mac, ProbePurpose::after_takeover, quick, boot_now())
            .ok());
  const ProbeResults results = finish(*prober);
  assert_int_equal(results.size(), 2);
  for (const ProbeResult& result : results) assert_true(result.outcome == ProbeOutcome::free);
}

struct Said {
  const char* name;
  Frame frame;
  const char* about;
  ProbePurpose purpose;
  ProbeOutcome outcome;
};

void what_others_say_is_judged(void**) {
  VIGIL_NEEDS_LAB(lab);
  const IpAddress v4 = address_from("10.99.0.100");
  const IpAddress v6 = address_from("fd99::100");
  const MacAddress other = lab::client_mac;
  const MacAddress standby = lab::second_mac;
  const auto arp = [&](const MacAddress& mac) { return encode_gratuitous_arp(v4, mac, ArpForm::request); };
  Frame routed = encode_unsolicited_na(v6, other, false);
  routed.bytes[14 + 7] = 254;  // its hop limit says that it came through a router: forged
  const Said table[] = {
      {"an announcement", arp(other), "10.99.0.100", ProbePurpose::after_takeover, ProbeOutcome::conflict},
      {"our standby adapter's", arp(standby), "10.99.0.100", ProbePurpose::after_takeover, ProbeOutcome::free},
      {"a probe before use", encode_arp_probe(v4, other), "10.99.0.100", ProbePurpose::before_use,
       ProbeOutcome::conflict},
      {"a probe after takeover", encode_arp_probe(v4, other), "10.99.0.100", ProbePurpose::after_takeover,
       ProbeOutcome::free},
      {"about another address", arp(other), "10.99.0.101", ProbePurpose::before_use, ProbeOutcome::free},
      {"an advertisement", encode_unsolicited_na(v6, other, false), "fd99::100", ProbePurpose::after_takeover,
       ProbeOutcome::conflict},
      {"our standby's advertisement", encode_unsolicited_na(v6, standby, false), "fd99::100",
       ProbePurpose::after_takeover, ProbeOutcome::free},
      {"a forged advertisement", routed, "fd99::100", ProbePurpose::before_use, ProbeOutcome::free},
      {"another's DAD before use", encode_dad_ns(v6, other), "fd99::100", ProbePurpose::before_use,
       ProbeOutcome::conflict},
      {"another's DAD after takeover", encode_dad_ns(v6, other), "fd99::100", ProbePurpose::after_takeover,
       ProbeOutcome::free},
  };
  Result<Prober> prober = Prober::open();
  assert_true(prober.ok());
  OwnMacs own;
  own.push(lab::node_mac);
  own.push(standby);
  prober->set_own_macs(own);
  lab->enter_client();
  const lab::RawSocket client("vgnif1");
  lab->enter_node();
  const int ifindex = lab::index_of("vgnif0");
  for (const Said& said : table) {
    assert_true(prober->start(address_from(said.about), ifindex, lab::node_mac, said.purpose, quick, boot_now()).ok());
    assert_true(client.send(said.frame.span()));
    const ProbeResults results = finish(*prober);
    assert_int_equal(results.size(), 1);
    if (results[0].outcome != said.outcome) fail_msg("%s: judged wrongly", said.name);
  }
}

// What was said before the first question is the old owner's, who was right to say it.
void old_announcements_do_not_count(void**) {
  VIGIL_NEEDS_LAB(lab);
  Result<Prober> prober = Prober::open();
  assert_true(prober.ok());
  lab->enter_client();
  const lab::RawSocket client("vgnif1");
  lab->enter_node();
  const IpAddress address = address_from("10.99.0.100");
  assert_true(client.send(encode_gratuitous_arp(address, lab::client_mac, ArpForm::request).span()));
  lab::pause_ms(20);
  assert_true(
      prober->start(address, lab::index_of("vgnif0"), lab::node_mac, ProbePurpose::after_takeover, quick, boot_now())
          .ok());
  const ProbeResults results = finish(*prober);
  assert_int_equal(results.size(), 1);
  assert_true(results[0].outcome == ProbeOutcome::free);
}

// A question that never left proves nothing.
void an_interface_that_is_down_proves_nothing(void**) {
  VIGIL_NEEDS_LAB(lab);
  Result<Prober> prober = Prober::open();
  assert_true(prober.ok());
  const int ifindex = lab::index_of("vgnif0");
  const IpAddress address = address_from("10.99.0.100");
  assert_true(prober->start(address, ifindex, lab::node_mac, ProbePurpose::before_use, quick, boot_now()).ok());
  assert_true(lab::run("ip link set vgnif0 down"));
  ProbeResults results;
  for (int i = 0; i < 10; ++i) {
    lab::pause_ms(40);
    prober->step(boot_now(), results);
  }
  assert_int_equal(results.size(), 0);
  assert_false(prober->next_deadline().is_never());
  prober->stop(address);
  assert_true(prober->next_deadline().is_never());
  assert_false(prober->start(address, ifindex, lab::node_mac, ProbePurpose::before_use, quick, boot_now()).ok());
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(an_unused_address_is_free),      cmocka_unit_test(an_address_in_use_is_a_conflict),
      cmocka_unit_test(our_own_address_is_no_conflict), cmocka_unit_test(what_others_say_is_judged),
      cmocka_unit_test(old_announcements_do_not_count), cmocka_unit_test(an_interface_that_is_down_proves_nothing),
  };
  return cmocka_run_group_tests_name("netif/probe", tests, nullptr, nullptr);
}
