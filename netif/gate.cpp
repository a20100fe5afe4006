#include "netif/gate.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <cerrno>

#include "netif/frames.hpp"

namespace vigil::netif {
namespace {

vigil_gate_key key_of(const IpAddress& address) {
  vigil_gate_key key{};
  key.family = address.family;
  std::copy_n(address.bytes.begin(), address_bytes(address), key.address);
  return key;
}

Error wrong_clock(const char* what) {
  return Error::of(std::string("trying out the lease gate: ") + what +
                   "; Vigil must not run in a time namespace, because the kernel's gate reads the host's boot-time "
                   "clock (see /proc/self/timens_offsets)");
}

}  // namespace

Result<std::unique_ptr<Gate>> Gate::create() {
  Result<GateProgram> program = GateProgram::load();
  if (!program) return program.error();
  std::unique_ptr<Gate> gate(new Gate(std::move(*program)));
  Status tried = gate->try_out();
  if (!tried) return tried.error();

  Result<GateFilters> filters = GateFilters::open(gate->program_);
  if (!filters) return filters.error();
  gate->filters_.emplace(std::move(*filters));
  // Subscribed before the first look, so that nothing changes unseen in between.
  static constexpr std::array<unsigned, 2> groups = {RTNLGRP_TC, RTNLGRP_LINK};
  Result<Descriptor> events = open_netlink_events(groups);
  if (!events) return events.error();
  gate->events_ = std::move(*events);
  Status verified = gate->verify();
  if (!verified) return verified.error();
  return gate;
}

// On no interface yet, so an address of class E stands in for a service address and troubles nobody.
Status Gate::try_out() {
  const MacAddress mac = {0x02, 0, 0, 0, 0, 1};
  const IpAddress gated = {.family = 4, .prefix = 32, .bytes = {240, 0, 0, 1}};
  const IpAddress other = {.family = 4, .prefix = 32, .bytes = {240, 0, 0, 2}};
  const Frame gated_frame = encode_gratuitous_arp(gated, mac, ArpForm::request);
  const Frame other_frame = encode_gratuitous_arp(other, mac, ArpForm::request);
  const vigil_gate_key key = key_of(gated);
  Status entered = program_.insert(key, {0, program_.entry(0).tenancy});
  if (!entered) return entered;

  store_lease(0, boot_now());
  Result<bool> expired = would_drop(gated_frame.span(), Direction::egress);
  if (!expired) return expired.error();
  if (!*expired) return wrong_clock("a packet passed although its lease was over");

  bool passed = false;
  for (int attempt = 0; attempt < 10 && !passed; ++attempt) {  // the hypervisor may take the CPU for long
    store_lease(0, boot_now() + Duration::from_ms(50));
    Result<bool> dropped = would_drop(gated_frame.span(), Direction::ingress);
    if (!dropped) return dropped.error();
    passed = !*dropped;
  }
  store_lease(0, Instant{0});
  if (!passed) return wrong_clock("a packet was dropped although its lease lasted");

  Result<bool> touched = would_drop(other_frame.span(), Direction::ingress);
  if (!touched) return touched.error();
  if (*touched) return Error::of("trying out the lease gate: it dropped a packet of another address");
  program_.drops(0) = {};
  return program_.erase(key);
}

void Gate::store_lease(AddressSlot slot, Instant until) {
  const auto until_ns = static_cast<std::uint64_t>(std::max<std::int64_t>(until.ns, 0));
  std::atomic_ref<__u64>(program_.entry(slot).lease_until_ns).store(until_ns, std::memory_order_release);
}

Status Gate::open(AddressSlot slot, const IpAddress& address, NodeId owner, Epoch epoch, Instant until) {
  VIGIL_ASSERT(slot < slots_.size());
  VIGIL_ASSERT(slots_[slot].state == State::free);
  VIGIL_ASSERT(address.family == 4 || address.family == 6);
  for (const Slot& used : slots_) VIGIL_ASSERT(used.state == State::free || !same_host(used.address, address));
  Status verified = verify();
  if (!verified) {
    Error error = verified.error();
    error.message = "opening the lease gate for " + text_of(address) + ": " + error.message;
    return error;
  }
  // The entry is complete, and closed, before the index leads to it; the lease comes last.
  vigil_gate_entry& entry = program_.entry(slot);
  VIGIL_ASSERT(entry.lease_until_ns == 0);
  entry.tenancy = ++tenancy_;
  entry.epoch_counter = epoch.counter;
  entry.epoch_proposer = epoch.proposer;
  entry.owner = owner;
  entry.key = key_of(address);
  program_.drops(slot) = {};
  Status entered = program_.insert(entry.key, {slot, entry.tenancy});
  if (!entered) return entered;
  slots_[slot] = {State::open, address};
  store_lease(slot, until);
  return {};
}

void Gate::renew(AddressSlot slot, Instant until) {
  VIGIL_ASSERT(slot < slots_.size());
  VIGIL_ASSERT(slots_[slot].state == State::open);
  store_lease(slot, until);
}

void Gate::renew_all(Instant until) {
  for (std::size_t slot = 0; slot < slots_.size(); ++slot)
    if (slots_[slot].state == State::open) store_lease(static_cast<AddressSlot>(slot), until);
}

void Gate::close(AddressSlot slot) {
  VIGIL_ASSERT(slot < slots_.size());
  VIGIL_ASSERT(slots_[slot].state != State::free);
  store_lease(slot, Instant{0});
  slots_[slot].state = State::closed;
}

Status Gate::remove(AddressSlot slot) {
  VIGIL_ASSERT(slot < slots_.size());
  VIGIL_ASSERT(slots_[slot].state == State::closed);
  Status erased = program_.erase(program_.entry(slot).key);
  if (erased) slots_[slot] = {};
  return erased;
}

Instant Gate::lease_until(AddressSlot slot) const {
  VIGIL_ASSERT(slot < slots_.size());
  return Instant{static_cast<std::int64_t>(program_.entry(slot).lease_until_ns)};
}

GateDrops Gate::drops(AddressSlot slot) const {
  VIGIL_ASSERT(slot < slots_.size());
  const auto& drops = program_.drops(slot);
  const auto read = [](const __u64& counter) { return *static_cast<const volatile __u64*>(&counter); };
  return {read(drops.ingress), read(drops.egress)};
}

Status Gate::read_events() {
  alignas(nlmsghdr) std::array<std::byte, 16384> buffer;
  for (;;) {
    const ssize_t got = ::recv(events_.get(), buffer.data(), buffer.size(), MSG_TRUNC);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return {};
    if (got < 0 && errno != ENOBUFS) return Error::from_errno("reading filter events from the kernel", errno);
    if (got < 0 || static_cast<std::size_t>(got) > buffer.size()) {
      filters_->note_lost_events();
      continue;
    }
    auto left = static_cast<std::uint32_t>(got);
    for (const auto* message = reinterpret_cast<const nlmsghdr*>(buffer.data()); NLMSG_OK(message, left);
         message = NLMSG_NEXT(message, left))
      filters_->note_event(*message);
  }
}

Status Gate::on_readable() {
  if (Status read = read_events(); !read) return read;
  return verify_due();
}

Status Gate::detach() {
  for (const Slot& slot : slots_) VIGIL_ASSERT(slot.state == State::free);
  return filters_->detach_all();
}

}  // namespace vigil::netif
