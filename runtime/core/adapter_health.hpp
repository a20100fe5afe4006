// Decides whether each adapter of this node can serve: the kernel's word (up, carrier), and whether
// heartbeats pass through it in both directions while their senders are known to be alive by other
// paths. A dead peer never blames an adapter. Tells an adapter's failure from its network's.
#pragma once

#include <array>

#include "runtime/base/cluster.hpp"
#include "runtime/core/detector.hpp"
#include "runtime/core/peers.hpp"

namespace vigil {

enum class AdapterVerdict : std::uint8_t {
  healthy,
  no_carrier,     // the kernel says so
  deaf_or_mute,   // others get through on this network, this adapter does not
  network_silent, // nobody gets through on this network, though nodes on it are alive
};

struct AdapterHealthReport {
  AdapterVerdict verdict = AdapterVerdict::healthy;
  bool receives = false;
  bool is_received = false;
};

class AdapterHealth {
 public:
  AdapterHealth(const ClusterConfig& config, NodeId self);

  void set_usable(AdapterIndex adapter, bool usable);
  bool usable(AdapterIndex adapter) const { return usable_[adapter]; }
  // Looks at everything anew; returns the adapters (bit i) whose health changed.
  std::uint8_t advance(Instant now, const Detector& detector, const PeerTable& table);
  Instant next_deadline() const { return next_; }

  bool healthy(AdapterIndex adapter) const { return reports_[adapter].verdict == AdapterVerdict::healthy; }
  const AdapterHealthReport& report(AdapterIndex adapter) const { return reports_[adapter]; }
  // Bit n: some Ethernet adapter of ours on network n is healthy.
  std::uint8_t networks_up() const;

 private:
  AdapterHealthReport judge(AdapterIndex adapter, const Detector& detector, const PeerTable& table) const;
  bool has_witness(AdapterIndex adapter, const PeerTable& table) const;
  bool others_get_through(NetworkIndex network, const PeerTable& table) const;

  const ClusterConfig& config_;
  NodeId self_;
  std::array<bool, limits::max_adapters> usable_{};
  std::array<bool, limits::max_adapters> proven_{};  // worked both ways since it became usable
  std::array<AdapterHealthReport, limits::max_adapters> reports_{};
  std::array<Instant, limits::max_adapters> bad_since_{};  // never(): judged good
  Instant next_ = Instant::never();
};

}  // namespace vigil
