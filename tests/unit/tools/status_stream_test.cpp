// What the daemon streams: the right records in the right order, each within a packet, whatever the size.
#include "tools/client/status_stream.hpp"

#include <string>
#include <vector>

#include "tests/unit/tools/sample.hpp"

// Last: its macros clash with the standard library.
// clang-format off
#include "tests/unit/cmocka.hpp"
// clang-format on

namespace {

using namespace vigil;
using namespace vigil::control;

// One letter a record, in order: C cluster, N node, A adapter, G group, I name, E end, P problem, K keys, T told, Q quorum, ? damaged.
template <typename Stream>
std::string shape_of(Stream stream, std::size_t* longest = nullptr) {
  static constexpr char letters[] = "CNAGJIVWREPKTQ";
  std::vector<std::byte> buffer(packet_bytes);
  std::string shape;
  std::size_t length = 0;
  while (stream.next(buffer, length)) {
    Reply reply;
    const Fault fault = decode(std::span(buffer).first(length), reply);
    shape += fault == Fault::none ? letters[reply.index()] : '?';
    if (longest != nullptr && length > *longest) *longest = length;
  }
  if (stream.next(buffer, length)) shape += "!";  // over is over
  return shape;
}

void status_is_streamed_in_order(void**) {
  const auto config = sample::config();
  const auto status = sample::status();
  const std::string shape = shape_of(StatusStream(*config, *status));
  assert_string_equal(shape.c_str(), "CNNNAAAGGKQE");
  status->problems.push("something");
  const std::string with_problem = shape_of(StatusStream(*config, *status));
  assert_string_equal(with_problem.c_str(), "CNNNAAAGGPKQE");
  const std::string names = shape_of(NamesStream(*config));
  assert_string_equal(names.c_str(), "IIIIIIIIIE");  // cluster, 3 nodes, 2 groups, 3 networks
}

void status_says_what_the_node_knows(void**) {
  const auto config = sample::config();
  const auto status = sample::status();
  const ClusterPicture picture = sample::picture(*config, *status);
  assert_int_equal(picture.nodes.size(), 3);
  assert_string_equal(picture.cluster.name.c_str(), "demo");
  assert_int_equal(picture.cluster.votes_needed, 2);
  assert_int_equal(picture.cluster.lease_left.ns, 142'000'000);
  const reply::Node& alpha = picture.nodes[0];
  assert_false(alpha.member);
  assert_true(alpha.unfenced);
  assert_false(alpha.heard);
  const reply::Node& beta = picture.nodes[1];
  assert_true(beta.self && beta.heard && beta.ready && beta.member);
  assert_int_equal(beta.networks_up, 0b11);  // the serial line is no network to serve on
  assert_int_equal(beta.lateness_ms, 2);
  const reply::Node& gamma = picture.nodes[2];
  assert_int_equal(gamma.links.size(), 2);
  assert_string_equal(gamma.links[1].device.c_str(), "eth1");
  assert_string_equal(gamma.links[1].network.c_str(), "private");
  assert_string_equal(picture.groups[0].addresses[0].device.c_str(), "eth0");
  assert_string_equal(picture.adapters[2].device.c_str(), "/dev/ttyS0");
}

void a_node_without_a_view_has_a_status_too(void**) {
  const auto config = sample::config();
  NodeStatus status;
  status.self = 2;
  status.role_text = "waits for the longest lease to be over";
  const std::string shape = shape_of(StatusStream(*config, status));
  assert_string_equal(shape.c_str(), "CNNNAAGGKQE");
  const ClusterPicture picture = sample::picture(*config, status);
  assert_true(picture.cluster.members.empty());
  assert_string_equal(picture.cluster.role_text.c_str(), "waits for the longest lease to be over");
}

void the_largest_cluster_fits(void**) {
  ClusterConfig& config = *new ClusterConfig;
  NodeStatus& status = *new NodeStatus;
  const Name name(std::string(limits::name_length, 'n'));
  const Path path(std::string(limits::path_length, 'p'));
  IpAddress address;
  address.family = 6;
  address.prefix = 128;
  for (std::size_t i = 0; i < limits::max_networks; ++i) {
    NetworkConfig network;
    network.name = name;
    config.networks.push(network);
  }
  for (std::size_t i = 0; i < limits::max_nodes; ++i) {
    NodeConfig node;
    node.id = static_cast<NodeId>(i);
    node.name = name;
    for (std::uint8_t a = 0; a < limits::max_adapters; ++a) {
      AdapterConfig adapter;
      adapter.network = a;
      adapter.device = path;
      adapter.address = address;
      node.adapters.push(adapter);
      node.links.push({LinkKind::udp, a, true});
    }
    config.nodes.push(node);
    PeerStatus peer;
    peer.node = node.id;
    for (std::uint8_t l = 0; l < limits::max_links * 2; ++l) {
      PeerLinkStatus link;
      link.by = static_cast<LinkIndex>(l % limits::max_links);
      peer.links.push(link);
    }
    status.peers.push(peer);
  }
  for (std::size_t i = 0; i < limits::max_groups; ++i) {
    GroupConfig group;
    group.name = name;
    for (NodeId n = 0; n < limits::max_nodes; ++n) group.nodes.push(n);
    for (std::size_t a = 0; a < limits::max_group_addresses; ++a) group.addresses.push({address, 0});
    config.groups.push(group);
    status.groups[i].step_text.assign(std::string(63, 's'));
  }
  status.self = 63;
  std::size_t longest = 0;
  const std::string shape = shape_of(StatusStream(config, status), &longest);
  delete &config;
  delete &status;
  assert_int_equal(shape.size(), 1 + limits::max_nodes + limits::max_adapters + limits::max_groups + 3);
  assert_true(shape.find('?') == std::string::npos);
  assert_true(longest <= packet_bytes);
}

void journal_filter_keeps_what_concerns_the_group(void**) {
  JournalEntry entry;
  entry.wall_ns = 100;
  entry.group = 2;
  assert_true(journal_matches(entry, no_index, 0));
  assert_true(journal_matches(entry, 2, 100));
  assert_false(journal_matches(entry, 1, 0));
  assert_false(journal_matches(entry, 2, 101));
  entry.group = no_index;  // about the cluster: everyone's
  assert_true(journal_matches(entry, 1, 0));
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(status_is_streamed_in_order),
      cmocka_unit_test(status_says_what_the_node_knows),
      cmocka_unit_test(a_node_without_a_view_has_a_status_too),
      cmocka_unit_test(the_largest_cluster_fits),
      cmocka_unit_test(journal_filter_keeps_what_concerns_the_group),
  };
  return cmocka_run_group_tests_name("tools/status_stream", tests, nullptr, nullptr);
}
