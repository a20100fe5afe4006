// Gathers each status record from the configuration and the node's own picture.
#include "tools/client/status_stream.hpp"

#include <algorithm>

namespace vigil::control {

namespace {

Name node_name(const ClusterConfig& config, NodeId node) {
  return node < config.nodes.size() ? config.nodes[node].name : Name();
}

Name network_name(const ClusterConfig& config, NetworkIndex network) {
  return network < config.networks.size() ? config.networks[network].name : Name();
}

const AdapterConfig* adapter_of(const ClusterConfig& config, NodeId node, AdapterIndex adapter) {
  if (node >= config.nodes.size() || adapter >= config.nodes[node].adapters.size()) return nullptr;
  return &config.nodes[node].adapters[adapter];
}

reply::Cluster cluster_record(const ClusterConfig& config, const NodeStatus& status) {
  const View& view = status.committed.view;
  reply::Cluster cluster;
  cluster.name = config.name;
  cluster.config_hash = config.hash;
  cluster.config_version = config.version;
  cluster.profile = config.profile;
  cluster.interval = config.timing.interval;
  cluster.detection = config.timing.detection;
  cluster.lease = config.timing.lease;
  for (const NetworkConfig& network : config.networks) cluster.networks.push(network.name);
  cluster.self = status.self;
  cluster.role = status.role;
  cluster.role_text = status.role_text;
  cluster.incarnation = status.incarnation;
  cluster.quorate = status.quorate;
  cluster.epoch = view.epoch;
  cluster.record_version = status.committed.stamp.version;
  cluster.coordinator = view.coordinator;
  cluster.members = view.members;
  cluster.voters = view.rule.voters;
  cluster.votes_needed = view.rule.needed;
  cluster.changing = status.committed.joint();
  cluster.lease_left = longer(status.lease_left, Duration{});
  cluster.lease_gaps = status.lease_gaps;
  cluster.late_count = status.late_count;
  cluster.worst_lateness = status.worst_lateness;
  return cluster;
}

reply::Link link_record(const ClusterConfig& config, NodeId self, const PeerLinkStatus& from) {
  reply::Link link;
  link.by = from.by;
  link.link = from.link;
  link.state = from.state;
  link.last_heard_ago = longer(from.last_heard_ago, Duration{});
  link.received = from.received;
  link.lost = from.lost;
  link.duplicated = from.duplicated;
  link.reordered = from.reordered;
  link.jitter_us = from.jitter_us;
  link.round_trip_us = from.round_trip_us;
  link.flaps = from.flaps;
  if (self < config.nodes.size() && from.by < config.nodes[self].links.size()) {
    const LinkConfig& mine = config.nodes[self].links[from.by];
    link.kind = mine.kind;
    if (const AdapterConfig* adapter = adapter_of(config, self, mine.adapter)) {
      link.device = adapter->device;
      link.network = network_name(config, adapter->network);
    }
  }
  return link;
}

// The networks on which this node itself can serve.
std::uint8_t own_networks_up(const ClusterConfig& config, const NodeStatus& status) {
  std::uint8_t up = 0;
  if (status.self >= config.nodes.size()) return up;
  const auto& adapters = config.nodes[status.self].adapters;
  for (std::size_t i = 0; i < adapters.size(); ++i)
    if (adapters[i].role != AdapterRole::serial && adapters[i].network < limits::max_networks &&
        status.adapters[i].usable && status.adapters[i].healthy)
      up = static_cast<std::uint8_t>(up | (1u << adapters[i].network));
  return up;
}

void describe_self(const ClusterConfig& config, const NodeStatus& status, reply::Node& node) {
  node.self = true;
  node.ready = status.role != NodeRole::waiting;
  node.heard = true;
  node.incarnation = status.incarnation;
  node.networks_up = own_networks_up(config, status);
  const std::int64_t lateness_ms = status.worst_lateness.ns / 1'000'000;
  node.lateness_ms = static_cast<std::uint16_t>(std::clamp<std::int64_t>(lateness_ms, 0, 0xffff));
}

reply::Node node_record(const ClusterConfig& config, const NodeStatus& status, NodeId id) {
  const Record& record = status.committed;
  reply::Node node;
  node.id = id;
  node.name = config.nodes[id].name;
  node.member = record.view.members.has(id);
  node.standby = record.state.standby.has(id);
  node.leaving = node.member && record.state.leaving.has(id);
  node.unfenced = record.state.unfenced.has(id);
  if (id == status.self) {
    describe_self(config, status, node);
    return node;
  }
  for (const PeerStatus& peer : status.peers) {
    if (peer.node != id) continue;
    node.ready = peer.ready;
    node.heard = peer.heard;
    node.suspected = peer.suspected;
    node.config_matches = peer.config_matches;
    node.incarnation = peer.incarnation;
    node.networks_up = peer.networks_up;
    node.lateness_ms = peer.lateness_ms;
    for (const PeerLinkStatus& link : peer.links) node.links.push(link_record(config, status.self, link));
    break;
  }
  return node;
}

reply::Adapter adapter_record(const ClusterConfig& config, const NodeStatus& status, AdapterIndex index) {
  const AdapterConfig& from = config.nodes[status.self].adapters[index];
  reply::Adapter adapter;
  adapter.index = index;
  adapter.role = from.role;
  adapter.network = network_name(config, from.network);
  adapter.device = from.device;
  adapter.address = from.address;
  adapter.usable = status.adapters[index].usable;
  adapter.healthy = status.adapters[index].healthy;
  return adapter;
}

reply::Group group_record(const ClusterConfig& config, const NodeStatus& status, GroupIndex index) {
  const GroupConfig& from = config.groups[index];
  const LocalGroupStatus& local = status.groups[index];
  reply::Group group;
  group.index = index;
  group.name = from.name;
  group.policy = from.policy;
  group.fallback = from.policy == GroupPolicy::cascading && from.fallback;
  group.priority = from.priority;
  group.nodes = from.nodes;
  group.state = status.committed.state.groups[index];
  group.step_text = local.step_text;
  for (std::size_t i = 0; i < from.addresses.size(); ++i) {
    reply::GroupAddress address;
    address.address = from.addresses[i].address;
    address.network = network_name(config, from.addresses[i].network);
    if (const AdapterConfig* adapter = adapter_of(config, status.self, local.adapter_of[i]);
        adapter != nullptr && local.adapter_of[i] != no_index)
      address.device = adapter->device;
    group.addresses.push(address);
  }
  group.has_application = from.application.present;
  group.application = from.application.name;
  return group;
}

reply::Quorum quorum_record(const ClusterConfig& config, const NodeStatus& status) {
  reply::Quorum quorum;
  quorum.policy = config.quorum.policy;
  quorum.wait_for_all = config.quorum.wait_for_all;
  quorum.tie_breaker = config.quorum.tie_breaker;
  for (const NodeConfig& node : config.nodes)
    if (node.arbiter) quorum.arbiters.add(node.id);
  quorum.counted = status.quorum;
  return quorum;
}

}  // namespace

bool StatusStream::next(std::span<std::byte> buffer, std::size_t& length) {
  // Each stage runs until its list is exhausted, then falls to the next; an empty list writes nothing.
  const auto at = static_cast<std::uint8_t>(index_);
  switch (stage_) {
    case Stage::cluster:
      length = encode(cluster_record(*config_, *status_), buffer);
      stage_ = Stage::nodes;
      return true;
    case Stage::nodes:
      if (index_ < config_->nodes.size()) {
        length = encode(node_record(*config_, *status_, at), buffer);
        ++index_;
        return true;
      }
      break;
    case Stage::adapters:
      if (status_->self < config_->nodes.size() && index_ < config_->nodes[status_->self].adapters.size()) {
        length = encode(adapter_record(*config_, *status_, at), buffer);
        ++index_;
        return true;
      }
      break;
    case Stage::groups:
      if (index_ < config_->groups.size()) {
        length = encode(group_record(*config_, *status_, at), buffer);
        ++index_;
        return true;
      }
      break;
    case Stage::problems:
      if (index_ < status_->problems.size()) {
        length = encode(reply::Problem{status_->problems[index_]}, buffer);
        ++index_;
        return true;
      }
      break;
    case Stage::keys:
      length = encode(reply::Keys{status_->committed.state.keys}, buffer);
      stage_ = Stage::quorum;
      return true;
    case Stage::quorum:
      length = encode(quorum_record(*config_, *status_), buffer);
      stage_ = Stage::end;
      return true;
    case Stage::end:
      length = encode(reply::End{}, buffer);
      stage_ = Stage::over;
      return true;
    case Stage::over:
      return false;
  }
  stage_ = static_cast<Stage>(static_cast<std::uint8_t>(stage_) + 1);
  index_ = 0;
  return next(buffer, length);  // at most one level a stage
}

bool NamesStream::next(std::span<std::byte> buffer, std::size_t& length) {
  using reply::NameItem;
  using reply::NameOf;
  std::size_t at = index_++;
  const auto write = [&](NameOf what, const Name& name) {
    length = encode(NameItem{what, name}, buffer);
    return true;
  };
  if (at == 0) return write(NameOf::cluster, config_->name);
  at -= 1;
  if (at < config_->nodes.size()) return write(NameOf::node, config_->nodes[at].name);
  at -= config_->nodes.size();
  if (at < config_->groups.size()) return write(NameOf::group, config_->groups[at].name);
  at -= config_->groups.size();
  if (at < config_->networks.size()) return write(NameOf::network, config_->networks[at].name);
  if (at > config_->networks.size()) return false;
  length = encode(reply::End{}, buffer);
  return true;
}

reply::Journal journal_reply(const ClusterConfig& config, const JournalEntry& entry) {
  reply::Journal journal;
  journal.entry = entry;
  journal.node = node_name(config, entry.node);
  journal.subject = node_name(config, entry.subject);
  if (entry.group < config.groups.size()) journal.group = config.groups[entry.group].name;
  journal.network = network_name(config, entry.network);
  if (const AdapterConfig* adapter = adapter_of(config, entry.node, entry.adapter)) journal.device = adapter->device;
  if (entry.view.links.empty() || entry.subject >= config.nodes.size()) return journal;
  const NodeConfig& accused = config.nodes[entry.subject];
  for (const LinkSilence& silence : entry.view.links) {
    reply::LinkName name;
    if (silence.link < accused.links.size()) {
      const LinkConfig& link = accused.links[silence.link];
      const AdapterConfig& adapter = accused.adapters[link.adapter];
      name = {link.kind, adapter.device, network_name(config, adapter.network)};
    }
    journal.links.push(name);
  }
  return journal;
}

bool journal_matches(const JournalEntry& entry, GroupIndex group, std::int64_t since_wall_ns) {
  if (entry.wall_ns < since_wall_ns) return false;
  return group == no_index || entry.group == no_index || entry.group == group;
}

}  // namespace vigil::control
