// One cluster that the tests of the tools look at: alpha, beta and gamma, two networks and a serial
// line; web runs on beta since alpha failed; db is blocked, since alpha may still run it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "runtime/base/cluster.hpp"
#include "runtime/core/status.hpp"
#include "tools/client/client.hpp"
#include "tools/client/status_stream.hpp"

namespace vigil::sample {

inline constexpr std::int64_t wall_ns = 1'793'000'000'000'000'000;  // 2026-10-26 02:13:20 UTC

inline IpAddress ipv4(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d, std::uint8_t prefix) {
  IpAddress address;
  address.family = 4;
  address.prefix = prefix;
  address.bytes = {a, b, c, d};
  return address;
}

inline NodeConfig node(NodeId id, const char* name, NodeId serial_peer) {
  NodeConfig config;
  config.id = id;
  config.name = name;
  for (std::uint8_t network = 0; network < 2; ++network) {
    AdapterConfig adapter;
    adapter.network = network;
    adapter.device = network == 0 ? "eth0" : "eth1";
    adapter.address = ipv4(10, network == 0 ? 77 : 78, 1, static_cast<std::uint8_t>(id + 1), 24);
    config.adapters.push(adapter);
    config.links.push({LinkKind::ethernet, network, true});
  }
  if (serial_peer != no_node) {
    AdapterConfig line;
    line.network = 2;
    line.role = AdapterRole::serial;
    line.device = "/dev/ttyS0";
    line.peer = serial_peer;
    line.baud = 115200;
    config.adapters.push(line);
    config.links.push({LinkKind::serial, 2, false});
  }
  return config;
}

inline std::unique_ptr<ClusterConfig> config() {
  auto cluster = std::make_unique<ClusterConfig>();
  cluster->name = "demo";
  cluster->hash = 0x0123456789abcdef;
  for (const char* name : {"public", "private", "line-ab"}) {
    NetworkConfig network;
    network.name = name;
    cluster->networks.push(network);
  }
  cluster->networks[0].backup = 1;
  cluster->networks[2].kind = NetworkKind::serial;
  cluster->nodes.push(node(0, "alpha", 1));
  cluster->nodes.push(node(1, "beta", 0));
  cluster->nodes.push(node(2, "gamma", no_node));
  for (const char* name : {"web", "db"}) {
    GroupConfig group;
    group.name = name;
    for (NodeId id : {NodeId{0}, NodeId{1}, NodeId{2}}) group.nodes.push(id);
    group.application.present = true;
    group.application.name = name == std::string("web") ? "httpd" : "postgres";
    cluster->groups.push(group);
  }
  cluster->groups[0].addresses.push({ipv4(10, 77, 1, 100, 24), 0});
  return cluster;
}

inline PeerLinkStatus link(LinkIndex by, LinkState state, std::int64_t ago_ms) {
  PeerLinkStatus link;
  link.by = by;
  link.link = by;
  link.state = state;
  link.last_heard_ago = Duration::from_ms(ago_ms);
  link.received = 997;
  link.lost = 3;
  link.jitter_us = 120;
  link.round_trip_us = 410;
  return link;
}

// As beta tells it.
inline std::unique_ptr<NodeStatus> status() {
  auto beta = std::make_unique<NodeStatus>();
  beta->self = 1;
  beta->role = NodeRole::member;
  beta->incarnation = {0xb007, 0x57a2};
  beta->quorate = true;
  beta->lease_left = Duration::from_ms(142);
  beta->worst_lateness = Duration::from_us(2'300);
  beta->adapters[0] = {true, true};
  beta->adapters[1] = {true, true};
  beta->adapters[2] = {true, false};

  Record& record = beta->committed;
  record.stamp = {{7, 1}, 4};
  record.view.epoch = {7, 1};
  record.view.coordinator = 1;
  record.view.members = NodeSet::from_bits(0b110);
  record.view.rule = {.voters = NodeSet::from_bits(0b111), .needed = 2, .votes = {}};
  beta->quorum.rule = record.view.rule;
  beta->quorum.configured = record.view.rule;
  beta->quorum.members = record.view.members;
  record.state.group_count = 2;
  record.state.unfenced = NodeSet::of(0);
  GroupState& web = record.state.groups[0];
  web.phase = GroupPhase::online;
  web.reason = GroupReason::node_failed;
  web.owner = 1;
  web.previous = 0;
  web.generation = 4;
  web.last = {183'000, 1'200, 36'400, 0, 400, 12'000};
  web.last_wall_ns = wall_ns;
  GroupState& db = record.state.groups[1];
  db.phase = GroupPhase::blocked;
  db.reason = GroupReason::unfenced;
  db.owner = 2;
  db.previous = 0;
  db.generation = 2;
  db.unproven = NodeSet::of(0);
  beta->groups[0].adapter_of = {0, no_index, no_index, no_index};
  beta->groups[1].adapter_of = {no_index, no_index, no_index, no_index};

  PeerStatus alpha;
  alpha.node = 0;
  for (LinkIndex by = 0; by < 3; ++by) alpha.links.push(link(by, LinkState::down, 12'000));
  beta->peers.push(alpha);
  PeerStatus gamma;
  gamma.node = 2;
  gamma.heard = true;
  gamma.ready = true;
  gamma.networks_up = 0b11;
  gamma.lateness_ms = 1;
  gamma.links.push(link(0, LinkState::up, 12));
  gamma.links.push(link(1, LinkState::one_way_in, 13));
  beta->peers.push(gamma);
  return beta;
}

// The status as a client gathers it, without a socket between.
inline control::ClusterPicture picture(const ClusterConfig& config, const NodeStatus& status) {
  control::ClusterPicture picture;
  control::StatusStream stream(config, status);
  std::vector<std::byte> buffer(control::packet_bytes);
  std::size_t length = 0;
  while (stream.next(buffer, length)) {
    control::Reply reply;
    if (control::decode(std::span(buffer).first(length), reply) != control::Fault::none) return {};
    if (const auto* cluster = std::get_if<control::reply::Cluster>(&reply)) picture.cluster = *cluster;
    if (const auto* one = std::get_if<control::reply::Node>(&reply)) picture.nodes.push_back(*one);
    if (const auto* one = std::get_if<control::reply::Adapter>(&reply)) picture.adapters.push_back(*one);
    if (const auto* one = std::get_if<control::reply::Group>(&reply)) picture.groups.push_back(*one);
    if (const auto* one = std::get_if<control::reply::Quorum>(&reply)) picture.quorum = *one;
  }
  return picture;
}

struct Said {
  std::int64_t at_us;  // after wall_ns
  NodeId node;
  JournalKind kind;
  EventName event;
  NodeId subject = no_node;
  GroupIndex group = no_index;
  std::uint32_t generation = 0;
  std::int64_t duration_us = -1;
  const char* text = "";
  AdapterIndex adapter = no_index;
};

inline JournalEntry entry(const Said& said) {
  static std::uint64_t sequence = 0;
  JournalEntry made;
  made.sequence = ++sequence;
  made.node = said.node;
  made.wall_ns = wall_ns + said.at_us * 1000;
  made.boot_ns = said.at_us * 1000;
  made.kind = said.kind;
  made.event = said.event;
  made.stamp = {{7, 1}, 1};
  made.group = said.group;
  made.generation = said.generation;
  made.subject = said.subject;
  made.adapter = said.adapter;
  made.duration_us = said.duration_us;
  made.text = said.text;
  return made;
}

// web: started on alpha (generation 3), taken over by beta (4) after alpha's silence; then an adapter
// swap on beta. Noise between.
inline std::vector<JournalEntry> journal() {
  using enum JournalKind;
  constexpr NodeId alpha = 0, beta = 1, gamma = 2;
  constexpr GroupIndex web = 0, db = 1;
  std::vector<JournalEntry> entries;
  for (const Said& said : {
           Said{-60'000'000, alpha, started, EventName::acquire_service_addr, no_node, web, 3, -1,
                "adds 10.77.1.100/24 to eth0 (public)"},
           Said{-59'999'000, alpha, done, EventName::acquire_service_addr, no_node, web, 3, 400,
                "10.77.1.100/24 answers on eth0 (public)"},
           Said{-59'990'000, alpha, done, EventName::resource_group_online, no_node, web, 3, -1, "all parts are up"},
           Said{-30'000'000, gamma, observed, EventName::late, gamma, no_index, 0, 40'000, "this node was late itself"},
           Said{183'000, beta, accused, EventName::node_down, alpha, no_index, 0, 183'000,
                "silent on every link: accused"},
           Said{183'100, gamma, observed, EventName::fail_standby, gamma, no_index, 0, -1, "unrelated"},
           Said{184'200, beta, decided, EventName::view_change, beta, no_index, 0, -1, "view installed"},
           Said{184'201, beta, decided, EventName::node_down, alpha, no_index, 0, -1, "expelled by vote"},
           Said{184'300, beta, waiting, EventName::acquire_service_addr, alpha, web, 4, -1,
                "the lease of alpha to be over"},
           Said{184'310, gamma, waiting, EventName::resource_group_blocked, alpha, db, 2, -1, "alpha to be fenced"},
           Said{220'700, beta, started, EventName::acquire_service_addr, no_node, web, 4, -1,
                "adds 10.77.1.100/24 to eth0 (public)"},
           Said{221'100, beta, done, EventName::acquire_service_addr, no_node, web, 4, 400,
                "10.77.1.100/24 answers on eth0 (public)"},
           Said{233'100, beta, done, EventName::start_server, no_node, web, 4, 12'000, "httpd runs"},
           Said{233'150, beta, done, EventName::resource_group_online, no_node, web, 4, -1, "all parts are up"},
           Said{9'000'000, beta, observed, EventName::fail_service, beta, no_index, 0, -1,
                "adapter is down or has no carrier", 0},
           Said{9'000'200, beta, started, EventName::swap_adapter, no_node, web, 4, -1,
                "10.77.1.100/24 moves from eth0 (public) to eth1 (private)"},
           Said{9'000'900, beta, done, EventName::swap_adapter, no_node, web, 4, 600,
                "10.77.1.100/24 answers on eth1 (private)"},
       })
    entries.push_back(entry(said));
  return entries;
}

inline std::vector<control::reply::Journal> journal_replies(const ClusterConfig& config) {
  std::vector<control::reply::Journal> replies;
  for (const JournalEntry& each : journal()) replies.push_back(control::journal_reply(config, each));
  return replies;
}

// View 7 takes the place of 6 when alpha falls silent, after a round that gamma refused; view 8 lets alpha in
// again; then gamma is late, and suspects beta for a moment. In no order.
inline std::vector<JournalEntry> views() {
  using enum JournalKind;
  constexpr NodeId alpha = 0, beta = 1, gamma = 2;
  const NodeSet survivors = NodeSet::from_bits(0b110);
  const NodeSet all = NodeSet::from_bits(0b111);
  std::vector<JournalEntry> entries;
  const auto say = [&entries](const Said& said, Epoch stamp, const ViewFacts& facts = {}) {
    entries.push_back(entry(said));
    entries.back().stamp = {stamp, 1};
    entries.back().view = facts;
  };
  const Epoch six{6, alpha}, seven{7, beta}, eight{8, beta};
  ViewFacts silent;
  silent.step = ViewStep::accused;
  silent.before = six;
  silent.heard = all;
  for (const std::uint32_t us : {183'000u, 191'000u, LinkSilence::never})
    silent.links.push({static_cast<LinkIndex>(silent.links.size()), 0, us});
  ViewFacts by_gamma = silent;
  by_gamma.links.pop_back();
  by_gamma.late_us = 40'000;
  by_gamma.hearing = NodeSet::of(beta);
  say({183'000, beta, accused, EventName::node_down, alpha, no_index, 0, 183'000, "silent on every link: accused"}, six,
      silent);
  say({189'000, gamma, accused, EventName::node_down, alpha, no_index, 0, 189'000, "silent on every link: accused"}, six,
      by_gamma);
  ViewFacts refused;
  refused.step = ViewStep::refused;
  refused.reason = NackReason::still_hear_suspect;
  refused.epoch = {6, beta};
  refused.before = six;
  refused.heard = NodeSet::of(alpha);
  say({183'600, beta, voted, EventName::node_down, gamma, no_index, 0, -1, "vote refused: it still hears the accused"},
      six, refused);
  ViewFacts round;
  round.step = ViewStep::given_up;
  round.epoch = {6, beta};
  round.before = six;
  round.members = survivors;
  round.promised = NodeSet::of(beta);
  round.refused = NodeSet::of(gamma);
  round.round = 1;
  round.promise_us = UINT32_MAX;
  round.accept_us = UINT32_MAX;
  say({183'700, beta, voted, EventName::view_change, no_node, no_index, 0, 500, "round given up: refused"}, six, round);
  round.step = ViewStep::committed;
  round.epoch = seven;
  round.promised = survivors;
  round.refused = {};
  round.accepted = survivors;
  round.round = 2;
  round.decide_us = 7'000;
  round.promise_us = 800;
  round.accept_us = 700;
  say({191'500, beta, voted, EventName::view_change, no_node, no_index, 0, 8'500, "the votes suffice: decided"}, six,
      round);
  ViewFacts installed;
  installed.step = ViewStep::installed;
  installed.epoch = seven;
  installed.before = six;
  installed.members = survivors;
  for (const NodeId node : {gamma, beta}) {
    installed.lease_us = node == beta ? 29'000 : 28'500;
    const std::int64_t at_us = node == beta ? 191'510 : 191'900;
    say({at_us, node, decided, EventName::view_change, beta, no_index, 0, -1, "view installed"}, seven, installed);
    say({at_us, node, decided, EventName::node_down, alpha, no_index, 0, -1, "expelled by vote"}, seven);
  }
  round.epoch = eight;
  round.before = seven;
  round.members = all;
  round.promised = all;
  round.accepted = all;
  round.round = 1;
  round.decide_us = 0;
  say({60'000'000, beta, voted, EventName::view_change, no_node, no_index, 0, 1'500, "the votes suffice: decided"}, seven,
      round);
  installed.epoch = eight;
  installed.members = all;
  installed.lease_us = 0;
  for (const NodeId node : {alpha, beta, gamma}) {
    installed.before = node == alpha ? six : seven;
    say({60'000'000 + 100 * node, node, decided, EventName::view_change, beta, no_index, 0, -1, "view installed"}, eight,
        installed);
    if (node != alpha)
      say({60'000'000 + 100 * node, node, decided, EventName::node_up, alpha, no_index, 0, -1, "admitted by vote"}, eight);
  }
  say({90'000'000, gamma, observed, EventName::late, gamma, no_index, 0, 200'000, "this node was late itself"}, eight);
  ViewFacts nothing = by_gamma;
  nothing.before = eight;
  nothing.late_us = 200'000;
  nothing.hearing = NodeSet::of(alpha);
  say({90'180'000, gamma, accused, EventName::node_down, beta, no_index, 0, 180'000, "silent on every link: accused"},
      eight, nothing);
  return entries;
}

inline std::vector<control::reply::Journal> view_replies(const ClusterConfig& config) {
  std::vector<control::reply::Journal> replies;
  for (const JournalEntry& each : views()) replies.push_back(control::journal_reply(config, each));
  return replies;
}

// gamma could not be asked.
inline std::vector<control::reply::Told> told(const ClusterConfig& config) {
  return {{config.nodes[0].name, true, 1, wall_ns},
          {config.nodes[1].name, true, 9, wall_ns},
          {config.nodes[2].name, false, 8, wall_ns + 90'180'000'000}};
}

}  // namespace vigil::sample
