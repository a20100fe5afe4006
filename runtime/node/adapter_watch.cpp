#include "runtime/node/adapter_watch.hpp"

#include <sys/epoll.h>

namespace vigil {

Result<std::unique_ptr<AdapterWatch>> AdapterWatch::open(const ClusterConfig& config, NodeId self, Log& log,
                                                         AdapterWatchListener& listener) {
  std::unique_ptr<AdapterWatch> watch(new AdapterWatch(config, self, log, listener));
  Result<netif::Monitor> monitor = netif::Monitor::open(*watch);
  if (!monitor) return monitor.error();
  watch->monitor_.emplace(std::move(monitor).value());
  return watch;
}

Status AdapterWatch::attach(Ring& ring) { return source_.hold(ring, ring.watch(monitor_->fd(), EPOLLIN, *this)); }

void AdapterWatch::detach() { source_.drop(); }

const netif::InterfaceState* AdapterWatch::interface_of(AdapterIndex adapter) const {
  const NodeConfig& own = config_.nodes[self_];
  if (adapter >= own.adapters.size()) return nullptr;
  return monitor_->by_name(own.adapters[adapter].device.view());
}

AdapterIndex AdapterWatch::adapter_of(std::string_view device) const {
  const NodeConfig& own = config_.nodes[self_];
  for (std::size_t i = 0; i < own.adapters.size(); ++i)
    if (own.adapters[i].role != AdapterRole::serial && own.adapters[i].device == device)
      return static_cast<AdapterIndex>(i);
  return no_index;
}

void AdapterWatch::tell_adapter(AdapterIndex adapter, bool usable) {
  if (usable_[adapter] == usable) return;
  usable_[adapter] = usable;
  if (listening_) listener_.on_adapter_usable(adapter, usable);
}

void AdapterWatch::tell_adapters() {
  listening_ = true;
  for (std::size_t i = 0; i < config_.nodes[self_].adapters.size(); ++i)
    if (usable_[i]) listener_.on_adapter_usable(static_cast<AdapterIndex>(i), true);
}

void AdapterWatch::on_interface_appeared(const netif::InterfaceState& now) {
  const AdapterIndex adapter = adapter_of(now.name.view());
  if (adapter == no_index) return;
  const bool again = monitor_.has_value();  // not the first reading
  listener_.on_interface_found(now, again);
  if (again) listener_.on_adapter_back(adapter);
  tell_adapter(adapter, now.is_usable());
}

void AdapterWatch::on_interface_changed(const netif::InterfaceState& before, const netif::InterfaceState& now) {
  const AdapterIndex adapter = adapter_of(now.name.view());
  if (adapter == no_index) return;
  if (before.mac != now.mac) listener_.on_mac_changed();
  if (!before.is_up() && now.is_up()) listener_.on_adapter_back(adapter);
  tell_adapter(adapter, now.is_usable());
}

void AdapterWatch::on_interface_gone(const netif::InterfaceState& last) {
  if (const AdapterIndex adapter = adapter_of(last.name.view()); adapter != no_index) tell_adapter(adapter, false);
}

void AdapterWatch::on_ready(std::uint32_t, std::uint32_t) {
  if (const Status read = monitor_->on_readable(); !read) log_.write(LogLevel::error, read.error().message);
}

}  // namespace vigil
