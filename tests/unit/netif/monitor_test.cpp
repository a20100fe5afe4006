#include "netif/monitor.hpp"

#include <algorithm>

#include "tests/unit/netif/lab.hpp"

using namespace vigil;
using namespace vigil::netif;

namespace {

struct Recorder : MonitorListener {
  std::vector<InterfaceState> appeared, gone;
  std::vector<std::pair<InterfaceState, InterfaceState>> changed;
  std::vector<InterfaceAddress> added, removed;

  void on_interface_appeared(const InterfaceState& now) override { appeared.push_back(now); }
  void on_interface_changed(const InterfaceState& before, const InterfaceState& now) override {
    changed.push_back({before, now});
  }
  void on_interface_gone(const InterfaceState& last) override { gone.push_back(last); }
  void on_address_added(const InterfaceAddress& address) override { added.push_back(address); }
  void on_address_removed(const InterfaceAddress& address) override { removed.push_back(address); }
  void forget() {
    appeared.clear();
    gone.clear();
    changed.clear();
    added.clear();
    removed.clear();
  }
};

// Reads events until the condition holds, for a second at most.
template <typename Condition>
bool until(Monitor& monitor, Condition condition) {
  const Instant end = boot_now() + Duration::from_s(1);
  for (;;) {
    if (!monitor.on_readable()) return false;
    if (condition()) return true;
    const Duration left = end - boot_now();
    if (left.ns <= 0) return false;
    pollfd ready{monitor.fd(), POLLIN, 0};
    ::poll(&ready, 1, static_cast<int>(left.ns / 1'000'000) + 1);
  }
}

bool has(const std::vector<InterfaceAddress>& all, const char* text) {
  const IpAddress wanted = address_from(text);
  return std::any_of(all.begin(), all.end(), [&](const InterfaceAddress& one) { return one.address == wanted; });
}

void the_first_dump_tells_what_is_there(void**) {
  VIGIL_NEEDS_LAB(lab);
  Recorder recorder;
  Result<Monitor> monitor = Monitor::open(recorder);
  assert_true(monitor.ok());
  assert_int_equal(recorder.appeared.size(), 3);  // lo, vgnif0, vgnif2
  assert_true(has(recorder.added, "10.99.0.1/24"));
  assert_true(has(recorder.added, "fd99::1/64"));
  const InterfaceState* node = monitor->by_name("vgnif0");
  assert_non_null(node);
  assert_int_equal(node->ifindex, lab::index_of("vgnif0"));
  assert_true(node->mac == lab::node_mac);
  assert_true(node->is_usable());
  assert_false(node->is_loopback());
  assert_true(monitor->by_name("lo")->is_loopback());
  assert_null(monitor->by_name("vgnif9"));
  assert_ptr_equal(monitor->by_index(node->ifindex), node);
}

void carrier_loss_and_return_are_told(void**) {
  VIGIL_NEEDS_LAB(lab);
  Recorder recorder;
  Result<Monitor> monitor = Monitor::open(recorder);
  assert_true(monitor.ok());
  const auto usable = [&] { return monitor->by_name("vgnif0")->is_usable(); };
  assert_true(usable());
  lab->enter_client();
  assert_true(lab::run("ip link set vgnif1 down"));
  lab->enter_node();
  assert_true(until(*monitor, [&] { return !usable(); }));
  assert_true(monitor->by_name("vgnif0")->is_up());
  assert_false(monitor->by_name("vgnif0")->has_carrier());
  assert_true(recorder.changed.back().first.name.view() == "vgnif0");
  lab->enter_client();
  assert_true(lab::run("ip link set vgnif1 up"));
  lab->enter_node();
  assert_true(until(*monitor, usable));
}

void an_interface_comes_back_under_another_index(void**) {
  VIGIL_NEEDS_LAB(lab);
  Recorder recorder;
  Result<Monitor> monitor = Monitor::open(recorder);
  assert_true(monitor.ok());
  const int before = monitor->by_name("vgnif0")->ifindex;
  recorder.forget();
  assert_true(lab::run("ip link del vgnif0"));
  assert_true(until(*monitor, [&] { return recorder.gone.size() == 1; }));
  assert_int_equal(recorder.gone[0].ifindex, before);
  assert_true(has(recorder.removed, "10.99.0.1/24"));  // told before the interface, or with it
  assert_null(monitor->by_name("vgnif0"));
  assert_true(lab::run("ip link add vgnif0 type veth peer name vgnif7"));
  assert_true(until(*monitor, [&] { return monitor->by_name("vgnif0") != nullptr; }));
  assert_true(monitor->by_name("vgnif0")->ifindex != before);
}

void addresses_added_and_removed_by_others_are_told_once(void**) {
  VIGIL_NEEDS_LAB(lab);
  Recorder recorder;
  Result<Monitor> monitor = Monitor::open(recorder);
  assert_true(monitor.ok());
  recorder.forget();
  assert_true(lab::run("ip addr add 10.99.0.50/24 dev vgnif0 && ip -6 addr add fd99::50/64 dev vgnif0 nodad"));
  assert_true(until(*monitor, [&] { return recorder.added.size() >= 2; }));
  assert_true(lab::run("ip addr change 10.99.0.50/24 dev vgnif0 valid_lft 100 preferred_lft 100"));
  assert_true(lab::run("ip addr del 10.99.0.50/24 dev vgnif0 && ip -6 addr del fd99::50/64 dev vgnif0"));
  assert_true(until(*monitor, [&] { return recorder.removed.size() >= 2; }));
  assert_int_equal(recorder.added.size(), 2);
  assert_true(has(recorder.added, "10.99.0.50/24") && has(recorder.added, "fd99::50/64"));
  assert_int_equal(recorder.removed.size(), 2);
}

// The kernel drops announcements when nobody reads them; what they said must still arrive.
void an_overrun_is_survived(void**) {
  VIGIL_NEEDS_LAB(lab);
  Recorder recorder;
  Result<Monitor> monitor = Monitor::open(recorder);
  assert_true(monitor.ok());
  recorder.forget();
  const int tiny = 4096;
  assert_int_equal(::setsockopt(monitor->fd(), SOL_SOCKET, SO_RCVBUF, &tiny, sizeof tiny), 0);
  assert_true(lab::run("for i in $(seq 100 160); do echo addr add 10.96.0.$i/24 dev vgnif0; done | ip -batch -"));
  assert_true(lab::run("ip addr del 10.99.0.1/24 dev vgnif0 && ip link del vgnif2"));
  assert_true(until(*monitor, [&] { return recorder.gone.size() == 1; }));
  assert_true(monitor->overruns() >= 1);
  assert_true(has(recorder.removed, "10.99.0.1/24"));
  assert_true(has(recorder.added, "10.96.0.100/24") && has(recorder.added, "10.96.0.160/24"));
  assert_int_equal(recorder.added.size(), 61);
  assert_null(monitor->by_name("vgnif2"));
}

// A port that leaves a bridge is announced as a deleted link, of the bridge's family: it is still there.
void a_port_that_leaves_its_bridge_is_not_gone(void**) {
  VIGIL_NEEDS_LAB(lab);
  if (!lab::run("ip link add vgnifbr type bridge 2>/dev/null")) {
    print_message("skipped: this kernel has no bridge\n");
    skip();
  }
  Recorder recorder;
  Result<Monitor> monitor = Monitor::open(recorder);
  assert_true(monitor.ok());
  assert_true(lab::run("ip link set vgnif2 master vgnifbr && ip link set vgnif2 nomaster"));
  assert_true(lab::run("ip addr add 10.99.0.50/24 dev vgnif0"));  // a mark in the stream
  assert_true(until(*monitor, [&] { return has(recorder.added, "10.99.0.50/24"); }));
  assert_int_equal(recorder.gone.size(), 0);
  assert_non_null(monitor->by_name("vgnif2"));
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(the_first_dump_tells_what_is_there),
      cmocka_unit_test(carrier_loss_and_return_are_told),
      cmocka_unit_test(an_interface_comes_back_under_another_index),
      cmocka_unit_test(addresses_added_and_removed_by_others_are_told_once),
      cmocka_unit_test(an_overrun_is_survived),
      cmocka_unit_test(a_port_that_leaves_its_bridge_is_not_gone),
  };
  return cmocka_run_group_tests_name("netif/monitor", tests, nullptr, nullptr);
}
