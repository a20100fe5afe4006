#include "netif/address.hpp"

#include <linux/if_addr.h>

#include <algorithm>

#include "tests/unit/netif/lab.hpp"

using namespace vigil;
using namespace vigil::netif;

namespace {

const PresentAddress* find(const std::vector<PresentAddress>& all, const char* text) {
  const IpAddress wanted = address_from(text);
  for (const PresentAddress& present : all)
    if (same_host(present.address, wanted)) return &present;
  return nullptr;
}

void adding_and_removing_is_idempotent(void**) {
  VIGIL_NEEDS_LAB(lab);
  Result<Addresses> addresses = Addresses::open();
  assert_true(addresses.ok());
  const int ifindex = lab::index_of("vgnif0");
  for (const char* text : {"10.99.0.100/24", "172.20.0.7/32", "fd99::100/64"}) {
    const IpAddress address = address_from(text);
    const auto first = addresses->add(address, ifindex);
    const auto second = addresses->add(address, ifindex);
    assert_true(first.ok() && *first == AddressChange::made);
    assert_true(second.ok() && *second == AddressChange::already);
    const auto removed = addresses->remove(address, ifindex);
    const auto again = addresses->remove(address, ifindex);
    assert_true(removed.ok() && *removed == AddressChange::made);
    assert_true(again.ok() && *again == AddressChange::already);
  }
}

void service_addresses_carry_the_mark(void**) {
  VIGIL_NEEDS_LAB(lab);
  Result<Addresses> addresses = Addresses::open();
  assert_true(addresses.ok());
  assert_true(lab::run("ip link add vgnif-longname0 type veth peer name vgnif-p && ip link set vgnif-longname0 up"));
  const int ifindex = lab::index_of("vgnif0");
  assert_true(addresses->add(address_from("10.99.0.100/24"), ifindex).ok());
  assert_true(addresses->add(address_from("fd99::100/64"), ifindex).ok());
  assert_true(addresses->add(address_from("10.98.0.100/24"), lab::index_of("vgnif-longname0")).ok());
  const auto marked = addresses->list_service_addresses();
  assert_true(marked.ok());
  assert_int_equal(marked->size(), 3);
  const PresentAddress* v4 = find(*marked, "10.99.0.100");
  const PresentAddress* v6 = find(*marked, "fd99::100");
  const PresentAddress* unlabelled = find(*marked, "10.98.0.100");
  assert_non_null(v4);
  assert_non_null(v6);
  assert_non_null(unlabelled);
  assert_string_equal(v4->label.c_str(), "vgnif0:vgl");
  assert_string_equal(unlabelled->label.c_str(), "vgnif-longname0");  // no room: by protocol alone
  assert_int_equal(v4->address.prefix, 24);
  // Beside the boot address of the same subnet ours is secondary; IPv6 is ready at once.
  assert_true((v4->flags & IFA_F_SECONDARY) != 0);
  assert_int_equal(v6->flags & IFA_F_TENTATIVE, 0);
  assert_true((v4->flags & IFA_F_PERMANENT) != 0);
  // The broadcast address is as iproute2 shows it.
  assert_true(lab::run("ip addr show dev vgnif0 | grep -q '10.99.0.100/24 brd 10.99.0.255 scope global'"));
}

void stale_addresses_are_found_and_removed(void**) {
  VIGIL_NEEDS_LAB(lab);
  Result<Addresses> addresses = Addresses::open();
  assert_true(addresses.ok());
  const int ifindex = lab::index_of("vgnif0");
  assert_true(addresses->add(address_from("10.99.0.100/24"), ifindex).ok());  // marked, not configured any more
  assert_true(addresses->add(address_from("fd99::100/64"), ifindex).ok());
  // Configured, but added by hand: no mark, another prefix, another interface.
  assert_true(lab::run("ip addr add 10.99.0.101/32 dev vgnif2 && ip -6 addr add fd99::101/128 dev vgnif2 nodad"));
  const std::array<IpAddress, 2> configured = {address_from("10.99.0.101/24"), address_from("fd99::101/64")};
  const auto removed = addresses->remove_stale(configured);
  const auto left = addresses->list();
  const auto nothing = addresses->remove_stale(configured);
  assert_true(removed.ok() && left.ok() && nothing.ok());
  assert_int_equal(removed->size(), 4);
  assert_int_equal(nothing->size(), 0);
  for (const char* text : {"10.99.0.100", "10.99.0.101", "fd99::100", "fd99::101"}) assert_null(find(*left, text));
  for (const char* text : {"10.99.0.1", "fd99::1", "127.0.0.1"}) assert_non_null(find(*left, text));
}

// Two service addresses in a subnet without a boot address: the first is primary, and the kernel would
// take the second away with it.
void removing_one_takes_no_other_along(void**) {
  VIGIL_NEEDS_LAB(lab);
  Result<Addresses> addresses = Addresses::open();
  assert_true(addresses.ok());
  const Status prepared = prepare_interface("vgnif2");
  assert_true(prepared.ok());
  const int ifindex = lab::index_of("vgnif2");
  assert_true(addresses->add(address_from("10.97.0.1/24"), ifindex).ok());
  assert_true(addresses->add(address_from("10.97.0.2/24"), ifindex).ok());
  assert_true(addresses->remove(address_from("10.97.0.1/24"), ifindex).ok());
  const auto left = addresses->list();
  assert_true(left.ok());
  assert_null(find(*left, "10.97.0.1"));
  assert_non_null(find(*left, "10.97.0.2"));
}

void errors_name_address_and_interface(void**) {
  VIGIL_NEEDS_LAB(lab);
  Result<Addresses> addresses = Addresses::open();
  assert_true(addresses.ok());
  const auto nowhere = addresses->add(address_from("10.99.0.100/24"), 4711);
  assert_false(nowhere.ok());
  assert_int_equal(nowhere.error().code, ENODEV);
  assert_non_null(std::strstr(nowhere.error().message.c_str(), "10.99.0.100/24"));
  assert_non_null(std::strstr(nowhere.error().message.c_str(), "4711"));
  // Off an interface that is gone, an address is gone.
  const auto gone = addresses->remove(address_from("10.99.0.100/24"), 4711);
  assert_true(gone.ok() && *gone == AddressChange::already);
  assert_false(prepare_interface("vgnif-none").ok());
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(adding_and_removing_is_idempotent),     cmocka_unit_test(service_addresses_carry_the_mark),
      cmocka_unit_test(stale_addresses_are_found_and_removed), cmocka_unit_test(removing_one_takes_no_other_along),
      cmocka_unit_test(errors_name_address_and_interface),
  };
  return cmocka_run_group_tests_name("netif/address", tests, nullptr, nullptr);
}
