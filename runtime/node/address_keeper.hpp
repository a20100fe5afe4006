// Carries out what the core says about service addresses, and tells it of adapters: the lease gate, the
// addresses, their announcements, duplicate checks, and the interfaces they live on. Everything here
// is a netlink exchange of some ten microseconds; nothing waits for the network.
#pragma once

#include <optional>

#include "netif/monitor.hpp"
#include "netif/probe.hpp"
#include "netif/service_address.hpp"
#include "runtime/base/cluster.hpp"
#include "runtime/core/effect.hpp"
#include "runtime/loop/ring.hpp"
#include "runtime/node/log.hpp"

namespace vigil {

class AddressListener {
 public:
  virtual ~AddressListener() = default;
  virtual void on_address_event(const Event& event) = 0;
  // An interface of ours is new, or came up: its links may be opened again.
  virtual void on_adapter_back(AdapterIndex adapter) = 0;
};

class AddressKeeper : private RingHandler, private netif::MonitorListener {
 public:
  // Removes what a crashed daemon left, puts the gate in place. Before real time: it allocates.
  static Result<std::unique_ptr<AddressKeeper>> open(const ClusterConfig& config, NodeId self, Log& log,
                                                     AddressListener& listener);
  Status attach(Ring& ring);
  // Tells the adapters' states, once the core is there to hear them.
  void tell_adapters();

  void add(const effect::AddAddress& effect, Instant now);
  void remove(const effect::RemoveAddress& effect, Instant now);
  void renew(Instant until);
  // All addresses off, gates free: nothing is served by this node any more. False: something resists.
  bool release_everything();
  // A clean end of the daemon.
  void detach();

  // Once a second or so: some ways to get before the gate are not announced by the kernel. A few interfaces now, and
  // the others in step().
  void verify();
  void step(Instant now);
  Instant next_deadline() const;

 private:
  struct Held {
    bool used = false;
    bool probing = false;  // waits for the check before a first start
    effect::AddAddress effect;
    Instant begun;
  };

  AddressKeeper(const ClusterConfig& config, NodeId self, Log& log, AddressListener& listener)
      : config_(config), self_(self), log_(log), listener_(listener) {}
  Status set_up();
  const netif::InterfaceState* interface_of(AdapterIndex adapter) const;
  AdapterIndex adapter_of(std::string_view device) const;
  const IpAddress& address_of(netif::AddressSlot slot) const;
  void acquire(netif::AddressSlot slot, Instant now);
  void look(Instant now, Status found);
  void lose_everything(const Error& why);
  void handle(const netif::ProbeResults& results, Instant now);
  void tell_adapter(AdapterIndex adapter, bool usable);
  void refresh_macs();

  void on_ready(std::uint32_t tag, std::uint32_t events) override;
  void on_interface_appeared(const netif::InterfaceState& now) override;
  void on_interface_changed(const netif::InterfaceState& before, const netif::InterfaceState& now) override;
  void on_interface_gone(const netif::InterfaceState& last) override;
  void on_address_added(const netif::InterfaceAddress&) override {}
  void on_address_removed(const netif::InterfaceAddress& address) override;

  const ClusterConfig& config_;
  NodeId self_;
  Log& log_;
  AddressListener& listener_;
  std::unique_ptr<netif::ServiceAddresses> services_;
  std::optional<netif::Prober> prober_;
  std::optional<netif::Monitor> monitor_;
  bool listening_ = false;  // the core hears of adapters
  std::array<Held, limits::max_addresses> held_{};
  std::array<bool, limits::max_adapters> usable_{};
  Instant lease_until_;
  Instant next_look_ = Instant::never();  // at the gate, while interfaces are due
};

}  // namespace vigil
