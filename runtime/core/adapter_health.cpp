#include "runtime/core/adapter_health.hpp"

namespace vigil {

namespace {

// A peer counts as a witness while it was heard, by whatever path, this recently.
Duration witness_freshness(const Timing& timing) { return timing.interval * 3; }
// A verdict from silence must last this long: links of one dying node fall silent a little apart.
Duration silence_confirmation(const Timing& timing) { return timing.interval; }

// The links of `node` that leave by adapters on `network`, as bits.
std::uint8_t links_on(const NodeConfig& node, NetworkIndex network) {
  std::uint8_t bits = 0;
  for (std::size_t i = 0; i < node.links.size(); ++i)
    if (node.adapters[node.links[i].adapter].network == network) bits = static_cast<std::uint8_t>(bits | 1u << i);
  return bits;
}

std::uint8_t links_of(const NodeConfig& node, AdapterIndex adapter) {
  std::uint8_t bits = 0;
  for (std::size_t i = 0; i < node.links.size(); ++i)
    if (node.links[i].adapter == adapter) bits = static_cast<std::uint8_t>(bits | 1u << i);
  return bits;
}

}  // namespace

AdapterHealth::AdapterHealth(const ClusterConfig& config, NodeId self) : config_(config), self_(self) {
  bad_since_.fill(Instant::never());
  for (AdapterHealthReport& report : reports_) report.verdict = AdapterVerdict::no_carrier;
}

void AdapterHealth::set_usable(AdapterIndex adapter, bool usable) {
  if (adapter >= limits::max_adapters) return;
  if (usable_[adapter] != usable) proven_[adapter] = false;
  usable_[adapter] = usable;
}

// Somebody on this adapter's network who was heard a moment ago by any path.
bool AdapterHealth::has_witness(AdapterIndex adapter, const PeerTable& table) const {
  const NetworkIndex network = config_.nodes[self_].adapters[adapter].network;
  for (std::size_t i = 0; i < config_.nodes.size(); ++i) {
    if (i == self_ || !table.peers[i].heard) continue;
    if (table.now - table.peers[i].last_sign > witness_freshness(config_.timing)) continue;
    if (links_on(config_.nodes[i], network) == 0) continue;
    return true;
  }
  return false;
}

// Two other nodes hear each other on this network, or one of them hears another adapter of ours there.
bool AdapterHealth::others_get_through(NetworkIndex network, const PeerTable& table) const {
  for (std::size_t a = 0; a < config_.nodes.size(); ++a) {
    if (a == self_ || !table.peers[a].heard) continue;
    for (std::size_t b = 0; b < config_.nodes.size(); ++b) {
      if (b == a || (b != self_ && !table.peers[b].heard)) continue;
      if ((table.peers[a].latest.heard_links[b] & links_on(config_.nodes[b], network)) != 0) return true;
    }
  }
  return false;
}

AdapterHealthReport AdapterHealth::judge(AdapterIndex adapter, const Detector& detector, const PeerTable& table) const {
  AdapterHealthReport report;
  if (!usable_[adapter]) {
    report.verdict = AdapterVerdict::no_carrier;
    return report;
  }
  const NodeConfig& own = config_.nodes[self_];
  const std::uint8_t mine = links_of(own, adapter);
  for (std::size_t node = 0; node < config_.nodes.size(); ++node) {
    if (node == self_ || !table.peers[node].heard) continue;
    report.is_received = report.is_received || (table.peers[node].latest.heard_links[self_] & mine) != 0;
    for (std::size_t by = 0; by < own.links.size(); ++by) {
      if ((mine >> by & 1) == 0) continue;
      for (std::size_t link = 0; link < config_.nodes[node].links.size(); ++link)
        report.receives = report.receives ||
            detector.path(static_cast<NodeId>(node), static_cast<LinkIndex>(by), static_cast<LinkIndex>(link)).hearing;
    }
  }
  if ((report.receives && report.is_received) || mine == 0 || !has_witness(adapter, table))
    report.verdict = AdapterVerdict::healthy;
  else
    report.verdict = others_get_through(own.adapters[adapter].network, table) ? AdapterVerdict::deaf_or_mute
                                                                              : AdapterVerdict::network_silent;
  return report;
}

std::uint8_t AdapterHealth::advance(Instant now, const Detector& detector, const PeerTable& table) {
  std::uint8_t changed = 0;
  next_ = Instant::never();
  const NodeConfig& own = config_.nodes[self_];
  for (std::size_t i = 0; i < own.adapters.size(); ++i) {
    AdapterHealthReport judged = judge(static_cast<AdapterIndex>(i), detector, table);
    proven_[i] = proven_[i] || (judged.receives && judged.is_received);
    const bool silent = judged.verdict == AdapterVerdict::deaf_or_mute || judged.verdict == AdapterVerdict::network_silent;
    if (!silent) {
      bad_since_[i] = Instant::never();
    } else {
      if (bad_since_[i].is_never()) bad_since_[i] = now;
      // At the start of a path one lost heartbeat is no failure.
      const Duration confirmation = proven_[i] ? silence_confirmation(config_.timing) : config_.timing.detection;
      const Instant confirmed = bad_since_[i] + confirmation;
      if (now < confirmed && reports_[i].verdict == AdapterVerdict::healthy) {
        judged.verdict = AdapterVerdict::healthy;
        next_ = earlier(next_, confirmed);
      }
    }
    if ((judged.verdict == AdapterVerdict::healthy) != healthy(static_cast<AdapterIndex>(i)))
      changed = static_cast<std::uint8_t>(changed | 1u << i);
    reports_[i] = judged;
  }
  return changed;
}

std::uint8_t AdapterHealth::networks_up() const {
  std::uint8_t bits = 0;
  const NodeConfig& own = config_.nodes[self_];
  for (std::size_t i = 0; i < own.adapters.size(); ++i)
    if (own.adapters[i].role != AdapterRole::serial && healthy(static_cast<AdapterIndex>(i)))
      bits = static_cast<std::uint8_t>(bits | 1u << own.adapters[i].network);
  return bits;
}

}  // namespace vigil
