#include "runtime/config/derive.hpp"

#include <sodium.h>

#include <array>
#include <string>
#include <vector>

namespace vigil {

namespace {

// Canonical bytes: integers big endian and eight wide, text behind its length. No two different
// configurations give the same bytes.
class Canonical {
 public:
  void number(std::uint64_t value) {
    for (int shift = 56; shift >= 0; shift -= 8) bytes_.push_back(static_cast<unsigned char>(value >> shift));
  }
  void flag(bool value) { number(value ? 1 : 0); }
  void duration(Duration value) { number(static_cast<std::uint64_t>(value.ns)); }
  void text(std::string_view value) {
    number(value.size());
    bytes_.insert(bytes_.end(), value.begin(), value.end());
  }
  void address(const IpAddress& value) {
    number(value.family);
    number(value.prefix);
    bytes_.insert(bytes_.end(), value.bytes.begin(), value.bytes.end());
  }
  const std::vector<unsigned char>& bytes() const { return bytes_; }

 private:
  std::vector<unsigned char> bytes_;
};

template <typename E>
std::uint64_t code(E value) {
  return static_cast<std::uint64_t>(value);
}

// Written only where it is not the default: files without it keep their hash from release to release.
void write_quorum(const ClusterConfig& config, Canonical& out) {
  const QuorumConfig& quorum = config.quorum;
  if (quorum.policy != QuorumPolicy::majority || quorum.wait_for_all || !quorum.tie_breaker.empty()) {
    out.text("quorum");
    out.number(code(quorum.policy));
    out.flag(quorum.wait_for_all);
    out.text(quorum.tie_breaker.view());
  }
  for (const NodeConfig& node : config.nodes) {
    if (node.votes == 1 && !node.arbiter) continue;
    out.text("votes");
    out.number(node.id);
    out.number(node.votes);
    out.flag(node.arbiter);
  }
}

void write_networks_and_nodes(const ClusterConfig& config, Canonical& out) {
  out.number(config.networks.size());
  for (const NetworkConfig& network : config.networks) {
    out.text(network.name.view());
    out.number(code(network.kind));
    out.flag(network.heartbeat_raw);
    out.flag(network.heartbeat_udp);
    out.number(network.udp_port);
    out.number(network.backup);
  }
  out.number(config.nodes.size());
  for (const NodeConfig& node : config.nodes) {
    out.number(node.id);
    out.text(node.name.view());
    out.number(node.adapters.size());
    for (const AdapterConfig& adapter : node.adapters) {
      out.number(adapter.network);
      out.number(code(adapter.role));
      out.text(adapter.device.view());
      out.address(adapter.address);
      out.number(adapter.peer);
      out.number(adapter.baud);
    }
  }
}

void write_application(const ApplicationConfig& application, Canonical& out) {
  out.flag(application.present);
  out.text(application.name.view());
  out.text(application.start.view());
  out.text(application.stop.view());
  out.text(application.monitor.view());
  out.duration(application.start_timeout);
  out.duration(application.stop_timeout);
  out.duration(application.monitor_timeout);
  out.duration(application.monitor_interval);
  out.number(application.restarts);
  out.duration(application.restart_window);
  out.number(code(application.state));
}

void write_groups_and_hooks(const ClusterConfig& config, Canonical& out) {
  out.number(config.groups.size());
  for (const GroupConfig& group : config.groups) {
    out.text(group.name.view());
    out.number(code(group.policy));
    out.flag(group.fallback);
    out.flag(group.autostart);
    out.number(group.priority);
    out.number(group.nodes.size());
    for (const NodeId node : group.nodes) out.number(node);
    out.number(group.addresses.size());
    for (const AddressConfig& address : group.addresses) {
      out.address(address.address);
      out.number(address.network);
    }
    write_application(group.application, out);
  }
  out.number(config.hooks.size());
  for (const HookConfig& hook : config.hooks) {
    out.number(hook.event);
    out.number(code(hook.stage));
    out.text(hook.command.view());
    out.duration(hook.timeout);
  }
}

std::uint64_t first_bytes_of_hash(const unsigned char* data, std::size_t size, int count) {
  std::array<unsigned char, crypto_generichash_BYTES> digest{};
  const int failed = crypto_generichash(digest.data(), digest.size(), data, size, nullptr, 0);
  VIGIL_ASSERT(failed == 0);
  std::uint64_t value = 0;
  for (int i = 0; i < count; ++i) value = value << 8 | digest[static_cast<std::size_t>(i)];
  return value;
}

}  // namespace

std::size_t count_links(const ClusterConfig& config, const NodeConfig& node) {
  std::size_t count = 0;
  for (const AdapterConfig& adapter : node.adapters) {
    if (adapter.network == no_index) continue;
    const NetworkConfig& network = config.networks[adapter.network];
    if (network.kind == NetworkKind::serial)
      ++count;
    else
      count += (network.heartbeat_raw ? 1U : 0U) + (network.heartbeat_udp ? 1U : 0U);
  }
  return count;
}

bool has_link_on(const ClusterConfig& config, const NodeConfig& node, NetworkIndex index) {
  const NetworkConfig& network = config.networks[index];
  if (network.kind == NetworkKind::ethernet && !network.heartbeat_raw && !network.heartbeat_udp) return false;
  for (const AdapterConfig& adapter : node.adapters)
    if (adapter.network == index) return true;
  return false;
}

void derive_links(ClusterConfig& config) {
  for (NodeConfig& node : config.nodes) {
    node.links.clear();
    for (std::size_t i = 0; i < node.adapters.size(); ++i) {
      const AdapterConfig& adapter = node.adapters[i];
      const NetworkConfig& network = config.networks[adapter.network];
      const auto index = static_cast<AdapterIndex>(i);
      if (network.kind == NetworkKind::serial) {
        node.links.push({LinkKind::serial, index, serial_carries_lease(adapter.baud, config.timing.interval)});
        continue;
      }
      if (network.heartbeat_raw) node.links.push({LinkKind::ethernet, index, true});
      if (network.heartbeat_udp) node.links.push({LinkKind::udp, index, true});
    }
  }
}

bool serial_carries_lease(std::uint32_t baud, Duration interval) {
  constexpr std::int64_t frame_bits = static_cast<std::int64_t>(limits::frame_bytes) * 10;
  return Duration::from_s(frame_bits) <= interval * static_cast<std::int64_t>(baud);
}

std::uint32_t cluster_id_of(std::string_view name) {
  const auto* data = reinterpret_cast<const unsigned char*>(name.data());
  const auto id = static_cast<std::uint32_t>(first_bytes_of_hash(data, name.size(), 4));
  return id == 0 ? 1 : id;
}

std::uint64_t hash_of(const ClusterConfig& config) {
  Canonical out;
  out.text("vigil configuration 1");
  out.text(config.name.view());
  out.number(config.version);
  out.number(code(config.profile));
  write_quorum(config, out);
  write_networks_and_nodes(config, out);
  write_groups_and_hooks(config, out);
  return first_bytes_of_hash(out.bytes().data(), out.bytes().size(), 8);
}

}  // namespace vigil
