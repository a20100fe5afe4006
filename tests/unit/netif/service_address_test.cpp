#include "netif/service_address.hpp"

#include <algorithm>
#include <atomic>
#include <new>

#include "tests/unit/netif/holder.hpp"
#include "tests/unit/netif/lab.hpp"

namespace {
std::atomic<std::size_t> allocations{0};
}

// Counted, to prove that the way of a takeover allocates nothing.
[[gnu::noinline]] void* operator new(std::size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

using namespace vigil;
using namespace vigil::netif;

namespace {

const IpAddress service4 = address_from("10.99.0.100/24");
const IpAddress service6 = address_from("fd99::100/64");

AcquireRequest request_for(AddressSlot slot, const IpAddress& address) {
  return {slot, address, lab::index_of("vgnif0"), lab::node_mac, 2, Epoch{7, 2}, boot_now() + Duration::from_s(30)};
}

bool is_present(ServiceAddresses& service, const IpAddress& address) {
  const auto all = service.addresses().list();
  if (!all) return false;
  return std::any_of(all->begin(), all->end(),
                     [&](const PresentAddress& one) { return same_host(one.address, address); });
}

void an_address_is_served_and_released(void**) {
  VIGIL_NEEDS_LAB(lab);
  lab::EchoServer server({service4, service6});
  const auto opened = ServiceAddresses::open();
  assert_true(opened.ok());
  ServiceAddresses& service = **opened;
  lab->enter_client();
  lab::UdpClient v4("10.99.0.100", lab::echo_port);
  lab::UdpClient v6("fd99::100", lab::echo_port);
  lab->enter_node();
  assert_false(v4.echoes(20));
  const auto first = service.acquire(request_for(0, service4));
  const auto second = service.acquire(request_for(1, service6));
  assert_true(first.ok() && second.ok());
  assert_int_equal(first->announce_code, 0);
  assert_true(service.holds(0) && service.holds(1));
  assert_true(v4.echoes(1500));
  assert_true(v6.echoes(1500));
  // One store silences an address and not the other; another brings it back.
  service.gate().renew(0, boot_now());
  assert_false(v4.echoes(30));
  assert_true(v6.echoes(200));
  service.renew(boot_now() + Duration::from_s(30));
  assert_true(v4.echoes(1500));

  assert_true(service.release(0).ok());
  assert_false(v4.echoes(30));
  assert_false(service.holds(0));
  assert_false(is_present(service, service4));
  assert_true(service.release(0).ok());  // nothing left to release
  assert_true(v6.echoes(200));
  assert_true(service.release(1).ok());
  assert_false(is_present(service, service6));
}

void what_cannot_be_added_leaves_nothing(void**) {
  VIGIL_NEEDS_LAB(lab);
  const auto opened = ServiceAddresses::open();
  assert_true(opened.ok());
  ServiceAddresses& service = **opened;
  AcquireRequest nowhere = request_for(0, service4);
  nowhere.ifindex = 4711;
  const auto refused = service.acquire(nowhere);
  assert_false(refused.ok());
  assert_false(service.holds(0));
  const Result<bool> dropped = service.gate().would_drop(
      encode_gratuitous_arp(service4, lab::node_mac, ArpForm::request).span(), Direction::egress);
  assert_true(dropped.ok() && !*dropped);
  assert_true(service.acquire(request_for(0, service4)).ok());
}

// The proof suppressed, the takeover blocks: without a verified gate no address appears.
void without_a_gate_no_address_is_added(void**) {
  VIGIL_NEEDS_LAB(lab);
  const auto opened = ServiceAddresses::open();
  assert_true(opened.ok());
  ServiceAddresses& service = **opened;
  assert_true(lab::run("tc filter add dev vgnif0 ingress prio 1 protocol all bpf bytecode '1,6 0 0 4294967295,'"));
  const auto refused = service.acquire(request_for(0, service4));
  assert_false(refused.ok());
  assert_false(service.holds(0));
  assert_false(is_present(service, service4));
}

void an_address_moves_to_the_other_adapter(void**) {
  VIGIL_NEEDS_LAB(lab);
  lab::EchoServer server({service4});
  const auto opened = ServiceAddresses::open();
  assert_true(opened.ok());
  ServiceAddresses& service = **opened;
  assert_true(service.acquire(request_for(0, service4)).ok());
  assert_true(lab::run("ip route add 10.94.0.0/24 dev vgnif2"));
  lab->enter_client();
  assert_true(lab::run("ip addr add 10.94.0.2/24 dev vgnif3 && ip route add 10.99.0.100/32 dev vgnif3 src 10.94.0.2"));
  lab::UdpClient client("10.99.0.100", lab::echo_port);
  lab->enter_node();
  const auto moved = service.move(0, lab::index_of("vgnif2"), lab::second_mac);
  assert_true(moved.ok());
  assert_int_equal(service.ifindex_of(0), lab::index_of("vgnif2"));
  assert_true(client.echoes(1500));
  assert_true(lab::run("ip addr show dev vgnif2 | grep -q 10.99.0.100/24"));
  assert_true(lab::run("! ip addr show dev vgnif0 | grep -q 10.99.0.100"));
  service.silence_all();
  assert_false(client.echoes(30));
  assert_true(service.release(0).ok());
}

// An interface that went away took its address with it; the slot is free again.
void release_after_the_interface_is_gone(void**) {
  VIGIL_NEEDS_LAB(lab);
  const auto opened = ServiceAddresses::open();
  assert_true(opened.ok());
  ServiceAddresses& service = **opened;
  assert_true(service.acquire(request_for(0, service4)).ok());
  assert_true(lab::run("ip link del vgnif0"));
  assert_true(service.release(0).ok());
  assert_false(service.holds(0));
}

void a_takeover_allocates_nothing_and_is_quick(void**) {
  VIGIL_NEEDS_LAB(lab);
  const auto opened = ServiceAddresses::open();
  assert_true(opened.ok());
  ServiceAddresses& service = **opened;
  constexpr int rounds = 50;
  std::array<AcquireTiming, rounds> taken{};
  std::array<ReleaseTiming, rounds> given{};
  bool well = true;
  const std::size_t before = allocations;
  for (int i = 0; i < rounds; ++i) {
    const auto acquired = service.acquire(request_for(0, i % 2 == 0 ? service4 : service6));
    service.renew(boot_now() + Duration::from_s(30));
    service.announcer().step(boot_now());
    const auto released = service.release(0);
    well = well && acquired.ok() && released.ok();
    if (!well) break;
    taken[static_cast<std::size_t>(i)] = *acquired;
    given[static_cast<std::size_t>(i)] = *released;
  }
  const std::size_t after = allocations;
  assert_true(well);
  assert_int_equal(after - before, 0);
  const auto median = [](auto& timings, auto part) {
    std::sort(timings.begin(), timings.end(), [&](const auto& a, const auto& b) { return a.*part < b.*part; });
    return static_cast<double>((timings[rounds / 2].*part).ns) / 1e3;
  };
  print_message("median us: gate %.0f, address %.0f, announce %.0f; release: gate %.1f, address %.0f\n",
                median(taken, &AcquireTiming::gate), median(taken, &AcquireTiming::address),
                median(taken, &AcquireTiming::announce), median(given, &ReleaseTiming::gate),
                median(given, &ReleaseTiming::address));
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(an_address_is_served_and_released),
      cmocka_unit_test(what_cannot_be_added_leaves_nothing),
      cmocka_unit_test(without_a_gate_no_address_is_added),
      cmocka_unit_test(an_address_moves_to_the_other_adapter),
      cmocka_unit_test(release_after_the_interface_is_gone),
      cmocka_unit_test(a_takeover_allocates_nothing_and_is_quick),
  };
  return cmocka_run_group_tests_name("netif/service_address", tests, nullptr, nullptr);
}
