#include "drivers/udp/udp_link.hpp"

#include <arpa/inet.h>
#include <errno.h>

#include <cstring>

#include "tests/unit/drivers/link_fixture.hpp"

#include "tests/unit/cmocka.hpp"

using namespace vigil;
using namespace vigil::test;

namespace {

IpAddress ip(const char* text) {
  IpAddress address;
  address.family = std::strchr(text, ':') != nullptr ? 6 : 4;
  address.prefix = address.family == 4 ? 24 : 64;
  ::inet_pton(address.family == 4 ? AF_INET : AF_INET6, text, address.bytes.data());
  return address;
}

// Four stations on the loopback of a namespace of our own: beta has two adapters.
struct Family {
  const char* alpha;
  const char* beta;
  const char* beta_standby;
  const char* gamma;
};
const Family v4 = {"127.0.0.1", "127.0.0.2", "127.0.0.22", "127.0.0.3"};
const Family v6 = {"fd00::1", "fd00::2", "fd00::22", "fd00::3"};

constexpr NodeId alpha = 0;
constexpr NodeId beta = 1;
constexpr NodeId gamma = 2;
constexpr std::uint16_t port = 7410;

std::unique_ptr<Link> make(const char* local, std::initializer_list<UdpPeer> peers) {
  UdpLinkOptions options;
  options.index = 3;
  options.device = "lo";
  options.local = ip(local);
  options.port = port;
  for (const UdpPeer& peer : peers) options.peers.push(peer);
  return UdpLink::create(options).value();
}

struct Net {
  const Family& f;
  std::unique_ptr<Ring> ring = Ring::create().value();
  Sink sinks[4];
  std::unique_ptr<Link> alpha_link =
      make(f.alpha, {{beta, ip(f.beta)}, {beta, ip(f.beta_standby)}, {gamma, ip(f.gamma)}});
  std::unique_ptr<Link> beta_link = make(f.beta, {{alpha, ip(f.alpha)}, {gamma, ip(f.gamma)}});
  std::unique_ptr<Link> beta_standby_link = make(f.beta_standby, {{alpha, ip(f.alpha)}, {gamma, ip(f.gamma)}});
  std::unique_ptr<Link> gamma_link =
      make(f.gamma, {{alpha, ip(f.alpha)}, {beta, ip(f.beta)}, {beta, ip(f.beta_standby)}});

  explicit Net(const Family& family) : f(family) {}
  std::string open() {
    Link* links[] = {alpha_link.get(), beta_link.get(), beta_standby_link.get(), gamma_link.get()};
    for (std::size_t i = 0; i < 4; ++i)
      if (Status status = links[i]->open(*ring, sinks[i]); !status) return status.error().message;
    return {};
  }
};

void check_family(const Family& family) {
  Net net(family);
  assert_string_equal(net.open().c_str(), "");

  // A broadcast reaches every address of every peer, once.
  const Bytes frame = frame_of(1, 200);
  assert_int_equal(net.alpha_link->send(frame, everyone), SendOutcome::sent);
  for (int i = 1; i < 4; ++i) {
    assert_true(run_until(*net.ring, [&] { return net.sinks[i].heard.size() == 1; }));
    assert_true(net.sinks[i].heard[0].bytes == frame);
    assert_int_equal(net.sinks[i].heard[0].by, 3);
  }
  assert_int_equal(net.alpha_link->counters().frames_sent, 3);
  assert_int_equal(net.sinks[0].heard.size(), 0);

  // To one node: to all its addresses, until one is learnt.
  assert_int_equal(net.alpha_link->send(frame_of(2), beta), SendOutcome::sent);
  assert_true(run_until(*net.ring, [&] { return net.sinks[1].heard.size() == 2 && net.sinks[2].heard.size() == 2; }));
  assert_int_equal(net.beta_standby_link->send(frame_of(3), alpha), SendOutcome::sent);
  assert_true(run_until(*net.ring, [&] { return net.sinks[0].heard.size() == 1; }));
  const LinkSource source = net.sinks[0].heard[0].source;
  net.alpha_link->learn(gamma, source);  // not gamma's address: ignored
  assert_int_equal(net.alpha_link->send(frame_of(4), gamma), SendOutcome::sent);
  net.alpha_link->learn(beta, source);
  assert_int_equal(net.alpha_link->send(frame_of(5), beta), SendOutcome::sent);
  assert_true(run_until(*net.ring, [&] { return net.sinks[2].heard.size() == 3 && net.sinks[3].heard.size() == 2; }));
  run_for(*net.ring, Duration::from_ms(5));
  assert_int_equal(net.sinks[1].heard.size(), 2);
  assert_int_equal(net.alpha_link->send(frame_of(6), 9), SendOutcome::not_reachable);
  assert_true(net.alpha_link->reaches(gamma));
  assert_false(net.alpha_link->reaches(alpha));
}

void ipv4_reaches_everyone_and_one(void**) { check_family(v4); }
void ipv6_reaches_everyone_and_one(void**) {
  if (!Fd(::socket(AF_INET6, SOCK_DGRAM, 0)).valid()) {
    print_message("SKIP ipv6_reaches_everyone_and_one: this kernel has no IPv6\n");
    skip();
  }
  check_family(v6);
}

void strangers_and_misfits_are_counted_apart(void**) {
  Net net(v4);
  assert_string_equal(net.open().c_str(), "");
  const struct {
    const char* from;
    std::uint16_t from_port;
  } cases[] = {
      {"127.0.0.9", port},       // no peer has this address
      {"127.0.0.22", port + 1},  // nor this port
      {"127.0.0.99", port},
  };
  std::uint64_t foreign = 0;
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  ::inet_pton(AF_INET, v4.alpha, &to.sin_addr);
  const auto send_from = [&](const char* text, std::uint16_t from_port, std::size_t size) {
    const Fd fd(::socket(AF_INET, SOCK_DGRAM, 0));
    sockaddr_in from = to;
    from.sin_port = htons(from_port);
    ::inet_pton(AF_INET, text, &from.sin_addr);
    const Bytes bytes(size);
    return ::bind(fd.get(), reinterpret_cast<sockaddr*>(&from), sizeof from) == 0 &&
           ::sendto(fd.get(), bytes.data(), bytes.size(), 0, reinterpret_cast<sockaddr*>(&to), sizeof to) ==
               static_cast<ssize_t>(size);
  };
  for (const auto& one : cases) {
    assert_true(send_from(one.from, one.from_port, 64));
    ++foreign;
    assert_true(run_until(*net.ring, [&] { return net.alpha_link->counters().foreign == foreign; }));
  }
  // A peer's address with what is no frame: too short, too long, longer than a buffer.
  net.gamma_link->close();
  std::uint64_t malformed = 0;
  for (std::size_t size : {0, 7, 201, 1400}) {
    assert_true(send_from(v4.gamma, port, size));
    ++malformed;
    assert_true(run_until(*net.ring, [&] { return net.alpha_link->counters().malformed == malformed; }));
  }
  assert_int_equal(net.sinks[0].heard.size(), 0);
}

// Datagrams to a peer that answers no ARP must not use up the room for those to the living.
void a_dead_peer_costs_the_living_nothing(void**) {
  assert_true(
      shell("ip link add ua type veth peer name ub && ip link set ua up && ip link set ub up && "
            "ip addr add 10.99.0.1/24 dev ua && ip neigh add 10.99.0.2 lladdr 02:00:00:00:00:02 dev ua"));
  UdpLinkOptions options;
  options.device = "ua";
  options.local = ip("10.99.0.1");
  options.port = port;
  options.peers.push({1, ip("10.99.0.2")});  // its MAC is known: its datagrams leave
  for (NodeId node = 2; node < 12; ++node) {
    IpAddress address = ip("10.99.0.0");
    address.bytes[3] = static_cast<std::uint8_t>(node + 1);
    options.peers.push({node, address});  // nobody answers for these
  }
  auto ring = Ring::create().value();
  Sink sink;
  auto link = UdpLink::create(options).value();
  assert_true(link->open(*ring, sink).ok());
  unsigned refused = 0;
  for (int i = 0; i < 3000; ++i) {
    link->send(frame_of(1, 200), everyone);
    if (link->send(frame_of(2, 200), 1) != SendOutcome::sent) ++refused;
  }
  assert_int_equal(refused, 0);
  link->close();
  assert_true(shell("ip link del ua"));
}

void a_missing_address_or_device_is_named_and_found_later(void**) {
  auto ring = Ring::create().value();
  Sink sink;
  UdpLinkOptions options;
  options.device = "uc";
  options.local = ip("10.98.0.1");
  options.port = port;
  options.peers.push({1, ip("10.98.0.2")});
  auto link = UdpLink::create(options).value();
  Status status = link->open(*ring, sink);
  assert_false(status.ok());
  assert_int_equal(status.error().code, ENODEV);
  assert_non_null(std::strstr(status.error().message.c_str(), "uc"));
  assert_true(shell("ip link add uc type veth peer name ud && ip link set uc up && ip link set ud up"));
  status = link->reopen();
  assert_false(status.ok());
  assert_int_equal(status.error().code, EADDRNOTAVAIL);
  assert_non_null(std::strstr(status.error().message.c_str(), "10.98.0.1"));
  assert_true(shell("ip addr add 10.98.0.1/24 dev uc"));
  assert_true(link->reopen().ok());
  assert_int_equal(link->send(frame_of(1), everyone), SendOutcome::sent);
  assert_true(link->reopen().ok());  // its own port is free again
  // The device goes while the link is open.
  assert_true(shell("ip link del uc"));
  const SendOutcome outcome = link->send(frame_of(1), everyone);
  assert_true(outcome == SendOutcome::failed);
  assert_false(link->reopen().ok());
}

void unfit_options_are_refused(void**) {
  UdpLinkOptions good;
  good.device = "lo";
  good.local = ip("127.0.0.1");
  good.port = port;
  assert_true(UdpLink::create(good).ok());
  UdpLinkOptions bad = good;
  bad.local = IpAddress{};
  assert_false(UdpLink::create(bad).ok());
  bad = good;
  bad.port = 0;
  assert_false(UdpLink::create(bad).ok());
  bad = good;
  bad.device = "";
  assert_false(UdpLink::create(bad).ok());
}

}  // namespace

int main() {
  if (const std::string why = enter_own_network(); !why.empty()) {
    std::printf("SKIP drivers/udp_link: %s\n", why.c_str());
    return 0;
  }
  for (const char* address : {v6.alpha, v6.beta, v6.beta_standby, v6.gamma})
    shell(std::string("ip addr add ") + address + "/64 dev lo nodad");
  const CMUnitTest tests[] = {
      cmocka_unit_test(ipv4_reaches_everyone_and_one),
      cmocka_unit_test(ipv6_reaches_everyone_and_one),
      cmocka_unit_test(strangers_and_misfits_are_counted_apart),
      cmocka_unit_test(a_dead_peer_costs_the_living_nothing),
      cmocka_unit_test(a_missing_address_or_device_is_named_and_found_later),
      cmocka_unit_test(unfit_options_are_refused),
  };
  return cmocka_run_group_tests_name("drivers/udp_link", tests, nullptr, nullptr);
}
