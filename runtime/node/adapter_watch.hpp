// Tells which of this node's adapters can be used, as the kernel announces it: a table of the configured ones
// over netif's monitor of all interfaces.
#pragma once

#include <optional>

#include "netif/monitor.hpp"
#include "runtime/base/cluster.hpp"
#include "runtime/loop/registration.hpp"
#include "runtime/node/log.hpp"

namespace vigil {

class AdapterWatchListener {
 public:
  virtual ~AdapterWatchListener() = default;
  virtual void on_adapter_usable(AdapterIndex adapter, bool usable) = 0;
  // An interface of ours is new, or came up: its links may be opened again.
  virtual void on_adapter_back(AdapterIndex adapter) = 0;
  // An interface of ours: as it was found at first, or `again`.
  virtual void on_interface_found(const netif::InterfaceState&, bool /*again*/) {}
  virtual void on_mac_changed() {}
  // From any interface.
  virtual void on_address_removed(const netif::InterfaceAddress&) {}
};

class AdapterWatch : private RingHandler, private netif::MonitorListener {
 public:
  // Reads what is there: on_interface_found() is called from here.
  static Result<std::unique_ptr<AdapterWatch>> open(const ClusterConfig& config, NodeId self, Log& log,
                                                    AdapterWatchListener& listener);
  Status attach(Ring& ring);
  void detach();
  // Tells the adapters' states, once somebody is there to hear them.
  void tell_adapters();
  // Null: there is none now.
  const netif::InterfaceState* interface_of(AdapterIndex adapter) const;

 private:
  AdapterWatch(const ClusterConfig& config, NodeId self, Log& log, AdapterWatchListener& listener)
      : config_(config), self_(self), log_(log), listener_(listener) {}
  AdapterIndex adapter_of(std::string_view device) const;
  void tell_adapter(AdapterIndex adapter, bool usable);

  void on_ready(std::uint32_t tag, std::uint32_t events) override;
  void on_interface_appeared(const netif::InterfaceState& now) override;
  void on_interface_changed(const netif::InterfaceState& before, const netif::InterfaceState& now) override;
  void on_interface_gone(const netif::InterfaceState& last) override;
  void on_address_added(const netif::InterfaceAddress&) override {}
  void on_address_removed(const netif::InterfaceAddress& address) override { listener_.on_address_removed(address); }

  const ClusterConfig& config_;
  NodeId self_;
  Log& log_;
  AdapterWatchListener& listener_;
  std::optional<netif::Monitor> monitor_;
  Registration source_;
  bool listening_ = false;  // somebody hears of adapters
  std::array<bool, limits::max_adapters> usable_{};
};

}  // namespace vigil
