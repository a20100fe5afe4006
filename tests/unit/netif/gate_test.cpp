// The lease gate on real interfaces: who falls silent, when, and what breaks its promise.
#include "netif/gate.hpp"

#include <bpf/bpf.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>

#include <algorithm>

#include "tests/unit/netif/holder.hpp"
#include "tests/unit/netif/lab.hpp"

using namespace vigil;
using namespace vigil::netif;

namespace {

const IpAddress service4 = address_from("10.99.0.100/24");
const IpAddress service6 = address_from("fd99::100/64");
const IpAddress boot4 = address_from("10.99.0.1/24");

bool contains(const Error& error, const char* text) { return std::strstr(error.message.c_str(), text) != nullptr; }

std::size_t gates_on(const char* interface) {
  std::size_t count = 0;
  for (const char* direction : {"ingress", "egress"}) {
    char line[256];
    std::snprintf(line, sizeof line, "tc filter show dev %s %s | grep -q vigil_gate", interface, direction);
    if (std::system(line) == 0) ++count;
  }
  return count;
}

// A client that sent nothing but one question a millisecond, and what came of each.
struct Exchange {
  Instant sent;
  bool answered = false;
};

std::vector<Exchange> ask_for(lab::UdpClient& client, int milliseconds) {
  std::vector<Exchange> exchanges;
  const Instant end = boot_now() + Duration::from_ms(milliseconds);
  while (boot_now() < end) {
    Exchange exchange{boot_now()};
    exchange.answered = client.echoes(5);
    exchanges.push_back(exchange);
    lab::pause_ms(1);
  }
  return exchanges;
}

std::size_t answered_since(const std::vector<Exchange>& exchanges, Instant since) {
  std::size_t count = 0;
  for (const Exchange& exchange : exchanges) count += exchange.answered && exchange.sent >= since ? 1 : 0;
  return count;
}

std::size_t asked_since(const std::vector<Exchange>& exchanges, Instant since) {
  std::size_t count = 0;
  for (const Exchange& exchange : exchanges) count += exchange.sent >= since ? 1 : 0;
  return count;
}

bool answers_arp(const IpAddress& address) {
  const lab::RawSocket client("vgnif1");
  Frame question = encode_arp_probe(address, lab::client_mac);
  const IpAddress asker = address_from("10.99.0.2");
  std::copy_n(asker.bytes.begin(), 4, question.bytes.begin() + 28);
  if (!client.send(question.span())) return false;
  return client
             .receive(50, 1,
                      [&](const std::vector<std::uint8_t>& frame) {
                        const auto message = decode_arp({frame.data() + 14, frame.size() - 14});
                        return frame[12] == 0x08 && frame[13] == 0x06 && message && message->is_reply &&
                               same_host(message->sender, address);
                      })
             .size() == 1;
}

// The heart of it. Nothing that was asked at or after the end of the last lease is ever answered, while
// the application behind the address runs on, and no process of ours does anything.
void falls_silent_within_the_lease(const char* text, bool by_crash) {
  VIGIL_NEEDS_LAB(lab);
  const IpAddress address = address_from(text);
  lab::EchoServer server({address, boot4});
  lab::Holder holder({address});
  assert_true(holder.is_serving());
  lab->enter_client();
  lab::UdpClient client(text_of(address).c_str(), lab::echo_port);
  lab::UdpClient other("10.99.0.1", lab::echo_port);

  const Instant warm = boot_now() + Duration::from_ms(100);
  const auto healthy = ask_for(client, 500);
  const std::size_t asked = asked_since(healthy, warm);
  assert_true(asked >= 50);
  assert_true(answered_since(healthy, warm) * 2 > asked);  // a renewal may come late on a busy machine
  if (by_crash) {
    holder.crash();
  } else {
    holder.freeze();
  }
  const Instant until = holder.lease_until();
  const auto after = ask_for(client, 400);
  const bool other_answers = other.echoes();
  const bool arp_of_other = answers_arp(boot4);
  const bool arp_of_address = address.family == 4 && answers_arp(address);
  assert_true(holder.lease_until() == until);
  assert_true(asked_since(after, until) >= 20);
  assert_int_equal(answered_since(after, until), 0);
  assert_true(other_answers);
  assert_true(arp_of_other);
  assert_false(arp_of_address);
  if (by_crash) return;
  // Thawed, it renews, and is heard again: it was the lease that had silenced it.
  holder.thaw();
  lab::pause_ms(200);
  assert_true(client.echoes(200) || client.echoes(1500));
}

void a_frozen_holder_falls_silent(void**) { falls_silent_within_the_lease("10.99.0.100/24", false); }
void a_killed_holder_falls_silent(void**) { falls_silent_within_the_lease("10.99.0.100/24", true); }
void a_frozen_holder_falls_silent_on_ipv6(void**) { falls_silent_within_the_lease("fd99::100/64", false); }
void a_killed_holder_falls_silent_on_ipv6(void**) { falls_silent_within_the_lease("fd99::100/64", true); }

void stale_gates_and_addresses_are_found_and_removed(void**) {
  VIGIL_NEEDS_LAB(lab);
  lab::Holder holder({service4, service6});
  assert_true(holder.is_serving());
  holder.crash();
  assert_int_equal(gates_on("vgnif0"), 2);
  assert_int_equal(gates_on("vgnif2"), 2);
  // A new daemon does not build upon what it did not make.
  const auto refused = Gate::create();
  assert_false(refused.ok());
  assert_true(contains(refused.error(), "has taken the place of the lease gate"));
  const Result<CleanStart> cleaned = clean_start({});
  assert_true(cleaned.ok());
  assert_int_equal(cleaned->addresses.size(), 2);
  assert_int_equal(cleaned->gates, 4);
  print_message("clean start: %.3f ms\n", cleaned->took.ms());
  assert_int_equal(gates_on("vgnif0"), 0);
  const Result<CleanStart> again = clean_start({});
  assert_true(again.ok());
  assert_int_equal(again->addresses.size(), 0);
  assert_int_equal(again->gates, 0);
  const auto gate = Gate::create();
  assert_true(gate.ok());
  assert_true((*gate)->detach().ok());
  assert_int_equal(gates_on("vgnif0"), 0);
}

void every_interface_is_gated_but_loopback(void**) {
  VIGIL_NEEDS_LAB(lab);
  const auto gate = Gate::create();
  assert_true(gate.ok());
  assert_int_equal(gates_on("vgnif0"), 2);
  assert_int_equal(gates_on("vgnif2"), 2);
  assert_int_equal(gates_on("lo"), 0);
  assert_true((*gate)->on_readable().ok());  // what attaching itself announced
  assert_true(lab::run("ip link add vgnif8 type veth peer name vgnif9"));
  pollfd ready{(*gate)->event_fd(), POLLIN, 0};
  assert_int_equal(::poll(&ready, 1, 1000), 1);
  assert_true((*gate)->on_readable().ok());
  assert_int_equal(gates_on("vgnif8"), 2);
  assert_int_equal(gates_on("vgnif9"), 2);
  // Attached already is success; an interface that is not there is not.
  assert_true((*gate)->attach(lab::index_of("vgnif8")).ok());
  assert_false((*gate)->attach(4711).ok());
  assert_true(lab::run("ip link del vgnif8"));
  assert_true((*gate)->on_readable().ok());
}

void a_filter_that_comes_before_is_named(void**) {
  VIGIL_NEEDS_LAB(lab);
  const auto gate = Gate::create();
  assert_true(gate.ok());
  // Behind ours: no matter.
  assert_true(lab::run("tc filter add dev vgnif0 ingress prio 2 protocol all bpf bytecode '1,6 0 0 4294967295,'"));
  assert_true((*gate)->verify().ok());
  // Added to our priority, a BPF filter goes before ours.
  assert_true(lab::run("tc filter add dev vgnif2 egress prio 1 protocol all bpf bytecode '1,6 0 0 4294967295,'"));
  pollfd ready{(*gate)->event_fd(), POLLIN, 0};
  assert_int_equal(::poll(&ready, 1, 1000), 1);
  const Status preceded = (*gate)->on_readable();
  assert_false(preceded.ok());
  assert_true(contains(preceded.error(), "egress of vgnif2"));
  assert_true(contains(preceded.error(), "comes before the lease gate"));
  const Status opened = (*gate)->open(0, service4, 0, Epoch{1, 0}, boot_now() + Duration::from_s(1));
  assert_false(opened.ok());
  assert_true(contains(opened.error(), "10.99.0.100"));
  assert_true((*gate)->is_free(0));
}

void a_gate_that_was_removed_is_told_once_and_replaced(void**) {
  VIGIL_NEEDS_LAB(lab);
  const auto gate = Gate::create();
  assert_true(gate.ok());
  assert_true(lab::run("tc qdisc del dev vgnif0 clsact"));
  const Status lost = (*gate)->verify();
  assert_false(lost.ok());
  assert_true(contains(lost.error(), "vgnif0"));
  assert_true(contains(lost.error(), "is gone"));
  assert_true((*gate)->verify().ok());
  assert_int_equal(gates_on("vgnif0"), 2);
}

constexpr int many_pairs = 50;

bool make_many_interfaces() {
  std::string batch = "ip -batch - <<EOF\n";
  for (int i = 0; i < many_pairs; ++i)
    batch += "link add many" + std::to_string(2 * i) + " type veth peer name many" + std::to_string(2 * i + 1) + "\n";
  return std::system((batch + "EOF\n").c_str()) == 0;
}

bool put_a_filter_before(const char* interface) {
  return lab::run("tc filter add dev %s egress prio 1 protocol all bpf bytecode '1,6 0 0 4294967295,'", interface);
}

// verify_due() until nothing is due; how often, how long at the longest, and what was found.
struct Sweep {
  std::size_t turns = 0;
  Duration longest;
  Status found;
};

Sweep finish_sweep(Gate& gate) {
  Sweep sweep;
  while (gate.is_due() && sweep.turns < 1000) {
    const Instant begun = boot_now();
    const Status one = gate.verify_due();
    sweep.longest = longer(sweep.longest, boot_now() - begun);
    if (sweep.found) sweep.found = one;
    ++sweep.turns;
  }
  return sweep;
}

void a_sweep_looks_at_a_few_interfaces_a_turn(void**) {
  VIGIL_NEEDS_LAB(lab);
  assert_true(make_many_interfaces());
  const std::size_t count = 2 + 2 * many_pairs;
  const auto gate = Gate::create();
  assert_true(gate.ok());
  const Instant begun = boot_now();
  assert_true((*gate)->verify().ok());
  const Duration whole = boot_now() - begun;
  assert_false((*gate)->is_due());
  const Instant listing = boot_now();
  assert_true((*gate)->begin_sweep().ok());
  const Duration listed = boot_now() - listing;
  const Sweep calm = finish_sweep(**gate);
  assert_true(calm.found.ok());
  assert_int_equal(calm.turns, (count + GateFilters::links_a_turn - 1) / GateFilters::links_a_turn);
  print_message("%zu interfaces: all at once %.3f ms; listed in %.3f ms, then at most %.3f ms a turn\n", count, whole.ms(),
                listed.ms(), calm.longest.ms());
  // What the kernel's word did not reach us about is found by the next sweep, wherever it is.
  for (const char* interface : {"many0", "many61", "many99"}) {
    assert_true(put_a_filter_before(interface));
    char lost[16384];
    while (::recv((*gate)->event_fd(), lost, sizeof lost, 0) > 0) {
    }
    assert_true((*gate)->begin_sweep().ok());
    const Sweep sweep = finish_sweep(**gate);
    assert_false(sweep.found.ok());
    assert_true(contains(sweep.found.error(), interface));
    assert_true(lab::run("tc filter del dev %s egress prio 1 && tc qdisc del dev %s clsact", interface, interface));
    (void)(*gate)->verify();  // told, and put in its place again
    assert_true((*gate)->verify().ok());
  }
}

void what_the_kernel_tells_of_is_looked_at_first(void**) {
  VIGIL_NEEDS_LAB(lab);
  assert_true(make_many_interfaces());
  const auto gate = Gate::create();
  assert_true(gate.ok());
  assert_true((*gate)->on_readable().ok());
  (void)finish_sweep(**gate);
  assert_true(put_a_filter_before("many77"));
  const Status told = (*gate)->on_readable();
  assert_false(told.ok());
  assert_true(contains(told.error(), "many77"));
  assert_false((*gate)->is_due());
  assert_true((*gate)->begin_sweep().ok());
  assert_false(finish_sweep(**gate).found.ok());
  // More than the kernel could tell: all are looked at.
  const int small = 1;
  assert_int_equal(::setsockopt((*gate)->event_fd(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
  for (int i = 0; i < 20; ++i)
    assert_true(lab::run("ip link set many%d up && ip link set many%d down", i, i));
  Sweep sweep;
  sweep.found = (*gate)->on_readable();
  if (sweep.found) sweep = finish_sweep(**gate);
  assert_false(sweep.found.ok());
  assert_true(contains(sweep.found.error(), "many77"));
}

// A program that does nothing, of the kind wanted.
Descriptor idle_program(bpf_prog_type type, int verdict) {
  const bpf_insn code[] = {{0xb7, 0, 0, 0, verdict}, {0x95, 0, 0, 0, 0}};
  return Descriptor(bpf_prog_load(type, "vgnif_idle", "GPL", code, 2, nullptr));
}

void a_tcx_program_comes_before_every_filter(void**) {
  VIGIL_NEEDS_LAB(lab);
  const auto gate = Gate::create();
  assert_true(gate.ok());
  const Descriptor idle = idle_program(BPF_PROG_TYPE_SCHED_CLS, -1);
  constexpr auto tcx_ingress = static_cast<bpf_attach_type>(46);
  if (bpf_prog_attach(idle.get(), lab::index_of("vgnif0"), tcx_ingress, 0) != 0) {
    print_message("skipped: this kernel has no tcx\n");
    skip();
  }
  const Status preceded = (*gate)->verify();
  assert_false(preceded.ok());
  assert_true(contains(preceded.error(), "tcx"));
  assert_true(contains(preceded.error(), "ingress of vgnif0"));
  assert_int_equal(bpf_prog_detach2(idle.get(), lab::index_of("vgnif0"), tcx_ingress), 0);
  assert_true((*gate)->verify().ok());
}

void an_xdp_program_can_pass_packets_by(void**) {
  VIGIL_NEEDS_LAB(lab);
  const auto gate = Gate::create();
  assert_true(gate.ok());
  const Descriptor idle = idle_program(BPF_PROG_TYPE_XDP, 2);
  LIBBPF_OPTS(bpf_link_create_opts, options, .flags = XDP_FLAGS_SKB_MODE);
  const Descriptor link(bpf_link_create(idle.get(), lab::index_of("vgnif2"), BPF_XDP, &options));
  if (!link) {
    print_message("skipped: this kernel attaches no XDP program here\n");
    skip();
  }
  const Status bypassed = (*gate)->verify();
  assert_false(bypassed.ok());
  assert_true(contains(bypassed.error(), "XDP"));
  assert_true(contains(bypassed.error(), "vgnif2"));
}

// Tags that the kernel has moved into the packet's metadata (the outer), and tags still in the data.
void tagged_frames_are_gated_on_the_wire(void**) {
  VIGIL_NEEDS_LAB(lab);
  const auto gate = Gate::create();
  assert_true(gate.ok());
  assert_true((*gate)->open(3, service4, 0, Epoch{1, 0}, Instant{1}).ok());  // over long ago
  const Frame plain = encode_arp_probe(service4, lab::client_mac);
  lab->enter_client();
  const lab::RawSocket client("vgnif1");
  std::uint64_t expected = 0;
  for (int tags = 0; tags <= 3; ++tags) {
    std::vector<std::uint8_t> frame(plain.span().begin(), plain.span().end());
    const std::array<std::uint8_t, 4> tag = {0x81, 0x00, 0x00, 0x05};
    for (int i = 0; i < tags; ++i) frame.insert(frame.begin() + 12, tag.begin(), tag.end());
    frame.resize(64, 0);
    assert_true(client.send(frame));
    ++expected;
    for (int i = 0; i < 100 && (*gate)->drops(3).ingress < expected; ++i) lab::pause_ms(1);
    assert_int_equal((*gate)->drops(3).ingress, expected);
  }
}

// On devices without an Ethernet header, such as tunnels.
void packets_of_a_tunnel_are_gated(void**) {
  VIGIL_NEEDS_LAB(lab);
  const Descriptor tunnel(::open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK));
  ifreq request{};
  std::snprintf(request.ifr_name, sizeof request.ifr_name, "vgniftun");
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  if (!tunnel || ::ioctl(tunnel.get(), TUNSETIFF, &request) != 0) {
    print_message("skipped: no tun device here\n");
    skip();
  }
  assert_true(lab::run("ip link set vgniftun up && ip route add 10.95.0.0/24 dev vgniftun"));
  const auto gate = Gate::create();
  assert_true(gate.ok());
  assert_true((*gate)->open(3, service4, 0, Epoch{1, 0}, Instant{1}).ok());
  // Ingress: from the tunnel to the address.
  std::vector<std::uint8_t> packet = {0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 95, 0, 9, 10, 99, 0, 100};
  packet.resize(28, 0);
  assert_int_equal(::write(tunnel.get(), packet.data(), packet.size()), packet.size());
  for (int i = 0; i < 100 && (*gate)->drops(3).ingress < 1; ++i) lab::pause_ms(1);
  assert_int_equal((*gate)->drops(3).ingress, 1);
  // Egress: from the address into the tunnel.
  assert_true(lab::run("ip addr add 10.99.0.100/24 dev vgnif0"));
  const Descriptor sender(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_in from{}, to{};
  from.sin_family = to.sin_family = AF_INET;
  std::memcpy(&from.sin_addr, service4.bytes.data(), 4);
  to.sin_port = htons(9);
  to.sin_addr.s_addr = htonl(0x0a5f0009);
  assert_int_equal(::bind(sender.get(), reinterpret_cast<sockaddr*>(&from), sizeof from), 0);
  ::sendto(sender.get(), "x", 1, 0, reinterpret_cast<sockaddr*>(&to), sizeof to);
  assert_int_equal((*gate)->drops(3).egress, 1);
}

void slots_are_opened_closed_and_used_again(void**) {
  VIGIL_NEEDS_LAB(lab);
  const auto created = Gate::create();
  assert_true(created.ok());
  Gate& gate = **created;
  const MacAddress mac = lab::node_mac;
  const Frame mine = encode_gratuitous_arp(service4, mac, ArpForm::request);
  const auto drops = [&](const Frame& frame) {
    const Result<bool> answer = gate.would_drop(frame.span(), Direction::egress);
    return answer.ok() && *answer;
  };
  const Instant later_on = boot_now() + Duration::from_s(60);
  assert_false(drops(mine));
  assert_true(gate.open(127, service4, 5, Epoch{9, 5}, later_on).ok());
  assert_true(gate.open(0, service6, 5, Epoch{9, 5}, later_on).ok());
  assert_false(drops(mine));
  gate.renew_all(boot_now());
  assert_true(drops(mine));
  gate.renew(127, later_on);
  assert_false(drops(mine));
  assert_int_equal(gate.lease_until(127).ns, later_on.ns);
  gate.close(127);
  assert_true(drops(mine));
  gate.renew_all(later_on);  // a closed slot is not renewed
  assert_true(drops(mine));
  assert_false(gate.is_open(127));
  assert_true(gate.remove(127).ok());
  assert_false(drops(mine));
  // The slot serves another address; the old one is nobody's business any more.
  const IpAddress another = address_from("10.99.0.110/24");
  assert_true(gate.open(127, another, 5, Epoch{10, 5}, Instant{1}).ok());
  assert_false(drops(mine));
  assert_true(drops(encode_gratuitous_arp(another, mac, ArpForm::request)));
  assert_int_equal(gate.drops(127).egress, 1);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(a_frozen_holder_falls_silent),
      cmocka_unit_test(a_killed_holder_falls_silent),
      cmocka_unit_test(a_frozen_holder_falls_silent_on_ipv6),
      cmocka_unit_test(a_killed_holder_falls_silent_on_ipv6),
      cmocka_unit_test(stale_gates_and_addresses_are_found_and_removed),
      cmocka_unit_test(every_interface_is_gated_but_loopback),
      cmocka_unit_test(a_filter_that_comes_before_is_named),
      cmocka_unit_test(a_gate_that_was_removed_is_told_once_and_replaced),
                              cmocka_unit_test(a_sweep_looks_at_a_few_interfaces_a_turn),
                              cmocka_unit_test(what_the_kernel_tells_of_is_looked_at_first),
      cmocka_unit_test(a_tcx_program_comes_before_every_filter),
      cmocka_unit_test(an_xdp_program_can_pass_packets_by),
      cmocka_unit_test(tagged_frames_are_gated_on_the_wire),
      cmocka_unit_test(packets_of_a_tunnel_are_gated),
      cmocka_unit_test(slots_are_opened_closed_and_used_again),
  };
  return cmocka_run_group_tests_name("netif/gate", tests, nullptr, nullptr);
}
