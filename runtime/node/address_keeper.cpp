#include "runtime/node/address_keeper.hpp"

#include <sys/epoll.h>

#include "runtime/loop/clock.hpp"

namespace vigil {

namespace {

enum Tag : std::uint32_t { monitor_tag = 1, gate_tag, arp_tag, neighbour_tag };

netif::AddressSlot slot_of(GroupIndex group, std::uint8_t address) {
  return static_cast<netif::AddressSlot>(group * limits::max_group_addresses + address);
}
// Between two looks at the gate; a whole sweep stays well below the second after which the next one begins.
constexpr Duration look_interval = Duration::from_ms(2);
static_assert(look_interval.ns * static_cast<std::int64_t>(netif::GateFilters::turns_a_sweep) <= 600'000'000);

GroupIndex group_of(std::size_t slot) { return static_cast<GroupIndex>(slot / limits::max_group_addresses); }
std::uint8_t index_of(std::size_t slot) { return static_cast<std::uint8_t>(slot % limits::max_group_addresses); }

}  // namespace

Result<std::unique_ptr<AddressKeeper>> AddressKeeper::open(const ClusterConfig& config, NodeId self, Log& log,
                                                           AddressListener& listener) {
  std::unique_ptr<AddressKeeper> keeper(new AddressKeeper(config, self, log, listener));
  if (const Status status = keeper->set_up(); !status) return status.error();
  return keeper;
}

Status AddressKeeper::set_up() {
  std::vector<IpAddress> configured;
  for (const GroupConfig& group : config_.groups)
    for (const AddressConfig& address : group.addresses) configured.push_back(address.address);
  Result<netif::CleanStart> cleaned = netif::clean_start(configured);
  if (!cleaned) return cleaned.error();
  for (const netif::PresentAddress& stale : cleaned->addresses)
    log_.write(LogLevel::warning, "removed a service address that an earlier run left behind: ", netif::text_of(stale.address));
  if (cleaned->gates > 0) log_.write(LogLevel::notice, "removed the lease gates of an earlier run");
  Result<std::unique_ptr<netif::ServiceAddresses>> services = netif::ServiceAddresses::open();
  if (!services) return services.error();
  services_ = std::move(services).value();
  Result<netif::Prober> prober = netif::Prober::open();
  if (!prober) return prober.error();
  prober_.emplace(std::move(prober).value());
  Result<netif::Monitor> monitor = netif::Monitor::open(*this);
  if (!monitor) return monitor.error();
  monitor_.emplace(std::move(monitor).value());
  refresh_macs();
  return {};
}

Status AddressKeeper::attach(Ring& ring) {
  const std::pair<int, std::uint32_t> sources[] = {{monitor_->fd(), monitor_tag},
                                                   {services_->gate().event_fd(), gate_tag},
                                                   {prober_->arp_fd(), arp_tag},
                                                   {prober_->neighbour_fd(), neighbour_tag}};
  for (const auto& [fd, tag] : sources)
    if (const auto source = ring.watch(fd, EPOLLIN, *this, tag); !source) return source.error();
  return {};
}

// ---- interfaces ------------------------------------------------------------------------------------

const netif::InterfaceState* AddressKeeper::interface_of(AdapterIndex adapter) const {
  const NodeConfig& own = config_.nodes[self_];
  if (adapter >= own.adapters.size()) return nullptr;
  return monitor_->by_name(own.adapters[adapter].device.view());
}

AdapterIndex AddressKeeper::adapter_of(std::string_view device) const {
  const NodeConfig& own = config_.nodes[self_];
  for (std::size_t i = 0; i < own.adapters.size(); ++i)
    if (own.adapters[i].role != AdapterRole::serial && own.adapters[i].device == device)
      return static_cast<AdapterIndex>(i);
  return no_index;
}

void AddressKeeper::tell_adapter(AdapterIndex adapter, bool usable) {
  if (usable_[adapter] == usable) return;
  usable_[adapter] = usable;
  if (listening_) listener_.on_address_event(event::AdapterChanged{adapter, usable});
}

void AddressKeeper::tell_adapters() {
  listening_ = true;
  for (std::size_t i = 0; i < config_.nodes[self_].adapters.size(); ++i)
    if (usable_[i]) listener_.on_address_event(event::AdapterChanged{static_cast<AdapterIndex>(i), true});
}

void AddressKeeper::refresh_macs() {
  netif::OwnMacs macs;
  for (std::size_t i = 0; i < config_.nodes[self_].adapters.size(); ++i)
    if (const netif::InterfaceState* interface = interface_of(static_cast<AdapterIndex>(i))) macs.push(interface->mac);
  prober_->set_own_macs(macs);
}

void AddressKeeper::on_interface_appeared(const netif::InterfaceState& now) {
  const AdapterIndex adapter = adapter_of(now.name.view());
  if (adapter == no_index) return;
  if (const Status prepared = netif::prepare_interface(now.name); !prepared)
    log_.write(LogLevel::warning, prepared.error().message);
  if (monitor_) {  // not the first reading: it came back
    if (const Status attached = services_->gate().attach(now.ifindex); !attached)
      log_.write(LogLevel::error, attached.error().message);
    refresh_macs();
    listener_.on_adapter_back(adapter);
  }
  tell_adapter(adapter, now.is_usable());
}

void AddressKeeper::on_interface_changed(const netif::InterfaceState& before, const netif::InterfaceState& now) {
  const AdapterIndex adapter = adapter_of(now.name.view());
  if (adapter == no_index) return;
  if (before.mac != now.mac) refresh_macs();
  if (!before.is_up() && now.is_up()) listener_.on_adapter_back(adapter);
  tell_adapter(adapter, now.is_usable());
}

void AddressKeeper::on_interface_gone(const netif::InterfaceState& last) {
  if (const AdapterIndex adapter = adapter_of(last.name.view()); adapter != no_index) tell_adapter(adapter, false);
}

void AddressKeeper::on_address_removed(const netif::InterfaceAddress& address) {
  for (std::size_t i = 0; i < held_.size(); ++i) {
    const auto slot = static_cast<netif::AddressSlot>(i);
    if (!held_[i].used || held_[i].probing || !services_->holds(slot)) continue;
    if (services_->ifindex_of(slot) != address.ifindex || !netif::same_host(address_of(slot), address.address)) continue;
    // The news may be of an earlier removal of ours: only its absence counts.
    const Result<std::vector<netif::PresentAddress>> present = services_->addresses().list();
    bool there = false;
    if (present)
      for (const netif::PresentAddress& one : *present)
        there = there || (one.ifindex == address.ifindex && netif::same_host(one.address, address.address));
    if (there) continue;
    log_.write(LogLevel::warning, "somebody removed the service address ", netif::text_of(address.address));
    if (services_->release(slot)) held_[i] = Held{};
    listener_.on_address_event(event::AddressLost{group_of(i), index_of(i)});
  }
}

// ---- addresses -------------------------------------------------------------------------------------

const IpAddress& AddressKeeper::address_of(netif::AddressSlot slot) const {
  return config_.groups[group_of(slot)].addresses[index_of(slot)].address;
}

void AddressKeeper::add(const effect::AddAddress& effect, Instant now) {
  const netif::AddressSlot slot = slot_of(effect.group, effect.address);
  held_[slot] = Held{true, effect.probe_first, effect, now};
  lease_until_ = later(lease_until_, effect.lease_until);
  const netif::InterfaceState* interface = interface_of(effect.adapter);
  if (!effect.probe_first || interface == nullptr) return acquire(slot, now);
  const Status asked = prober_->start(address_of(slot), interface->ifindex, interface->mac,
                                      netif::ProbePurpose::before_use, {}, now);
  if (asked) return;
  held_[slot].probing = false;
  acquire(slot, now);
}

void AddressKeeper::acquire(netif::AddressSlot slot, Instant now) {
  Held& held = held_[slot];
  held.probing = false;
  const effect::AddAddress& effect = held.effect;
  const netif::InterfaceState* interface = interface_of(effect.adapter);
  if (services_->holds(slot)) (void)services_->release(slot).ok();
  Result<netif::AcquireTiming> acquired = Error::of("its interface does not exist");
  if (interface != nullptr)
    acquired = services_->acquire({slot, address_of(slot), interface->ifindex, interface->mac, self_, effect.epoch,
                                   lease_until_});
  const Instant end = boottime_now();
  if (!acquired) {
    log_.write(LogLevel::error, "service address ", netif::text_of(address_of(slot)), ": ", acquired.error().message);
    held = Held{};
    listener_.on_address_event(event::AddressDone{effect.group, effect.address, true, false, end - now});
    return;
  }
  listener_.on_address_event(event::AddressDone{effect.group, effect.address, true, true, end - now});
  if (!effect.probe_first)
    (void)prober_->start(address_of(slot), interface->ifindex, interface->mac, netif::ProbePurpose::after_takeover, {}, end).ok();
}

void AddressKeeper::remove(const effect::RemoveAddress& effect, Instant now) {
  const netif::AddressSlot slot = slot_of(effect.group, effect.address);
  prober_->stop(address_of(slot));
  const Result<netif::ReleaseTiming> released = services_->release(slot);
  if (!released)
    log_.write(LogLevel::error, "service address ", netif::text_of(address_of(slot)), ": ", released.error().message);
  else
    held_[slot] = Held{};
  listener_.on_address_event(
      event::AddressDone{effect.group, effect.address, false, released.ok(), boottime_now() - now});
}

void AddressKeeper::renew(Instant until) {
  lease_until_ = later(lease_until_, until);
  services_->renew(until);
}

bool AddressKeeper::release_everything() {
  services_->silence_all();
  bool all = true;
  for (std::size_t i = 0; i < held_.size(); ++i) {
    if (!held_[i].used) continue;
    const auto slot = static_cast<netif::AddressSlot>(i);
    prober_->stop(address_of(slot));
    const bool released = services_->release(slot).ok();
    if (released) held_[i] = Held{};
    all = all && released;
  }
  lease_until_ = Instant{};
  return all;
}

void AddressKeeper::detach() {
  if (!release_everything()) return;
  if (const Status detached = services_->gate().detach(); !detached)
    log_.write(LogLevel::warning, detached.error().message);
}

// The gate proves nothing any more: whatever it guarded must go.
void AddressKeeper::lose_everything(const Error& why) {
  log_.write(LogLevel::error, "the lease gate cannot be relied upon, service addresses are removed: ", why.message);
  for (std::size_t i = 0; i < held_.size(); ++i) {
    if (!held_[i].used || held_[i].probing) continue;
    const auto slot = static_cast<netif::AddressSlot>(i);
    services_->silence(slot);
    if (services_->release(slot)) held_[i] = Held{};
    listener_.on_address_event(event::AddressLost{group_of(i), index_of(i)});
  }
}

// ---- the loop --------------------------------------------------------------------------------------

void AddressKeeper::handle(const netif::ProbeResults& results, Instant now) {
  for (const netif::ProbeResult& result : results) {
    for (std::size_t i = 0; i < held_.size(); ++i) {
      const auto slot = static_cast<netif::AddressSlot>(i);
      if (!held_[i].used || !netif::same_host(address_of(slot), result.address)) continue;
      const effect::AddAddress effect = held_[i].effect;
      if (result.outcome == netif::ProbeOutcome::conflict) {
        log_.write(LogLevel::error, "somebody else answers for the service address ", netif::text_of(result.address),
                   ": ", netif::text_of(result.other));
        if (held_[i].probing) {
          const Duration took = now - held_[i].begun;
          held_[i] = Held{};
          listener_.on_address_event(event::AddressDone{effect.group, effect.address, true, false, took});
        }
        listener_.on_address_event(event::AddressConflict{effect.group, effect.address});
      } else if (held_[i].probing) {
        acquire(slot, held_[i].begun);
      }
    }
  }
}

void AddressKeeper::on_ready(std::uint32_t tag, std::uint32_t) {
  netif::ProbeResults results;
  switch (tag) {
    case monitor_tag:
      if (const Status read = monitor_->on_readable(); !read) log_.write(LogLevel::error, read.error().message);
      return;
    case gate_tag:
      return look(boottime_now(), services_->gate().on_readable());
    default:
      prober_->on_readable(results);
      handle(results, boottime_now());
  }
}

void AddressKeeper::verify() {
  bool any = false;
  for (const Held& held : held_) any = any || held.used;
  if (!any) return;
  const Status begun = services_->gate().begin_sweep();
  look(boottime_now(), begun ? services_->gate().verify_due() : begun);
}

// What came of a look at some interfaces; the others follow soon, so that heartbeats are sent between.
void AddressKeeper::look(Instant now, Status found) {
  if (!found) lose_everything(found.error());
  next_look_ = services_->gate().is_due() ? now + look_interval : Instant::never();
}

void AddressKeeper::step(Instant now) {
  if (now >= next_look_) look(now, services_->gate().verify_due());
  services_->announcer().step(now);
  netif::ProbeResults results;
  prober_->step(now, results);
  handle(results, now);
}

Instant AddressKeeper::next_deadline() const {
  return earlier(next_look_, earlier(services_->announcer().next_deadline(), prober_->next_deadline()));
}

}  // namespace vigil
