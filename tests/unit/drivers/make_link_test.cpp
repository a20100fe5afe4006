#include <arpa/inet.h>

#include "drivers/link.hpp"
#include "tests/unit/cmocka.hpp"

using namespace vigil;

namespace {

IpAddress v4(std::uint8_t last) { return {.family = 4, .prefix = 24, .bytes = {10, 0, 0, last}}; }

AdapterConfig adapter(NetworkIndex network, const char* device, IpAddress address) {
  AdapterConfig made;
  made.network = network;
  made.device = device;
  made.address = address;
  return made;
}

// Network 0: raw and UDP, nodes 0, 1, 2 (2 without raw); network 1: a serial line between 0 and 1.
ClusterConfig cluster() {
  ClusterConfig config;
  config.cluster_id = 77;
  NetworkConfig ethernet;
  ethernet.name = "public";
  ethernet.udp_port = 7410;
  config.networks.push(ethernet);
  NetworkConfig line;
  line.kind = NetworkKind::serial;
  config.networks.push(line);
  for (NodeId id = 0; id < 3; ++id) {
    NodeConfig node;
    node.id = id;
    node.adapters.push(adapter(0, "eth0", v4(static_cast<std::uint8_t>(id + 1))));
    if (id < 2) {
      AdapterConfig serial;
      serial.network = 1;
      serial.role = AdapterRole::serial;
      serial.device = "/dev/ttyS0";
      serial.peer = id == 0 ? 1 : 0;
      serial.baud = 9600;
      node.adapters.push(serial);
      node.links.push({LinkKind::ethernet, 0, true});
    }
    node.links.push({LinkKind::udp, 0, true});
    if (id < 2) node.links.push({LinkKind::serial, 1, false});
    config.nodes.push(node);
  }
  return config;
}

void each_kind_becomes_its_driver_with_its_peers(void**) {
  const ClusterConfig config = cluster();
  const struct {
    NodeId self;
    LinkIndex link;
    LinkKind kind;
    bool reaches[3];
  } cases[] = {
      {0, 0, LinkKind::ethernet, {false, true, false}},  // node 2 has no raw Ethernet
      {0, 1, LinkKind::udp, {false, true, true}},       {0, 2, LinkKind::serial, {false, true, false}},
      {1, 2, LinkKind::serial, {true, false, false}},   {2, 0, LinkKind::udp, {true, true, false}},
  };
  for (const auto& one : cases) {
    Result<std::unique_ptr<Link>> link = make_link(config, one.self, one.link);
    assert_true(link.ok());
    assert_int_equal((*link)->kind(), one.kind);
    assert_int_equal((*link)->index(), one.link);
    assert_false((*link)->usable());
    for (NodeId node = 0; node < 3; ++node) assert_int_equal((*link)->reaches(node), one.reaches[node]);
    std::array<std::byte, 8> frame{};
    assert_int_equal((*link)->send(frame, everyone), SendOutcome::unusable);
  }
}

void what_the_configuration_lacks_is_an_error(void**) {
  ClusterConfig config = cluster();
  config.nodes[0].adapters[0].address = IpAddress{};
  config.nodes[0].adapters[1].baud = 1;
  assert_true(make_link(config, 0, 0).ok());
  assert_false(make_link(config, 0, 1).ok());
  assert_false(make_link(config, 0, 2).ok());
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(each_kind_becomes_its_driver_with_its_peers),
      cmocka_unit_test(what_the_configuration_lacks_is_an_error),
  };
  return cmocka_run_group_tests_name("drivers/make_link", tests, nullptr, nullptr);
}
