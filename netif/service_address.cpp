#include "netif/service_address.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>

namespace vigil::netif {

Result<CleanStart> clean_start(std::span<const IpAddress> configured) {
  const Instant begun = boot_now();
  CleanStart result;
  Result<Addresses> addresses = Addresses::open();
  if (!addresses) return addresses.error();
  Result<std::vector<PresentAddress>> removed = addresses->remove_stale(configured);
  if (!removed) return removed.error();
  result.addresses = std::move(*removed);
  Result<int> gates = remove_stale_gates();
  if (!gates) return gates.error();
  result.gates = *gates;
  result.took = boot_now() - begun;
  return result;
}

ServiceAddresses::ServiceAddresses(std::unique_ptr<Gate> gate, Addresses addresses, Announcer announcer)
    : gate_(std::move(gate)), addresses_(std::move(addresses)), announcer_(std::move(announcer)) {}

Result<std::unique_ptr<ServiceAddresses>> ServiceAddresses::open() {
  Result<Addresses> addresses = Addresses::open();
  if (!addresses) return addresses.error();
  Result<Announcer> announcer = Announcer::open();
  if (!announcer) return announcer.error();
  Result<std::unique_ptr<Gate>> gate = Gate::create();
  if (!gate) return gate.error();
  return std::unique_ptr<ServiceAddresses>(
      new ServiceAddresses(std::move(*gate), std::move(*addresses), std::move(*announcer)));
}

// Adds the address of `slot` and announces it; its gate is open.
Status ServiceAddresses::put(AddressSlot slot, int ifindex, const MacAddress& mac, Instant begun,
                             AcquireTiming& timing) {
  Place& place = places_[slot];
  Result<AddressChange> added = addresses_.add(place.address, ifindex);
  if (!added) return added.error();
  place.ifindex = ifindex;
  const Instant there = boot_now();
  const bool router = place.address.family == 6 && forwards_ipv6(ifindex);
  const Status announced = announcer_.start(place.address, ifindex, mac, router, there);
  timing.address = there - begun;
  timing.announce = boot_now() - there;
  timing.announce_code = announced ? 0 : announced.error().code;
  return {};
}

Result<AcquireTiming> ServiceAddresses::acquire(const AcquireRequest& request) {
  AcquireTiming timing;
  const Instant begun = boot_now();
  Status opened = gate_->open(request.slot, request.address, request.owner, request.epoch, request.until);
  if (!opened) return opened.error();
  const Instant gated = boot_now();
  timing.gate = gated - begun;
  places_[request.slot] = {request.address, request.ifindex};
  Status there = put(request.slot, request.ifindex, request.mac, gated, timing);
  if (there) return timing;
  gate_->close(request.slot);
  Status freed = gate_->remove(request.slot);
  places_[request.slot] = {};
  return freed ? there.error() : freed.error();
}

Result<AcquireTiming> ServiceAddresses::move(AddressSlot slot, int ifindex, const MacAddress& mac) {
  VIGIL_ASSERT(gate_->is_open(slot));
  AcquireTiming timing;
  const Instant begun = boot_now();
  Status verified = gate_->verify();
  if (!verified) return verified.error();
  const Instant gated = boot_now();
  timing.gate = gated - begun;
  const Place& place = places_[slot];
  announcer_.stop(place.address);
  Result<AddressChange> removed = addresses_.remove(place.address, place.ifindex);
  if (!removed) return removed.error();
  Status there = put(slot, ifindex, mac, gated, timing);
  if (!there) return there.error();
  return timing;
}

Result<ReleaseTiming> ServiceAddresses::release(AddressSlot slot) {
  ReleaseTiming timing;
  if (gate_->is_free(slot)) return timing;
  const Instant begun = boot_now();
  gate_->close(slot);
  const Instant silent = boot_now();
  timing.gate = silent - begun;
  announcer_.stop(places_[slot].address);
  Result<AddressChange> removed = addresses_.remove(places_[slot].address, places_[slot].ifindex);
  if (!removed) return removed.error();
  timing.address = boot_now() - silent;
  Status freed = gate_->remove(slot);
  if (!freed) return freed.error();
  places_[slot] = {};
  return timing;
}

void ServiceAddresses::silence(AddressSlot slot) {
  if (gate_->is_open(slot)) gate_->close(slot);
}

void ServiceAddresses::silence_all() {
  for (std::size_t slot = 0; slot < places_.size(); ++slot) silence(static_cast<AddressSlot>(slot));
}

bool forwards_ipv6(int ifindex) {
  char name[IF_NAMESIZE];
  if (::if_indextoname(static_cast<unsigned>(ifindex), name) == nullptr) return false;
  char path[96];
  std::snprintf(path, sizeof path, "/proc/sys/net/ipv6/conf/%s/forwarding", name);
  const Descriptor file(::open(path, O_RDONLY | O_CLOEXEC));
  char value = '0';
  return file && ::read(file.get(), &value, 1) == 1 && value == '1';
}

}  // namespace vigil::netif
