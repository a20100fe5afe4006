// The lease gate: lets a service address be served only while its lease lasts, enforced by the kernel
// whether or not this process lives, runs, or is frozen.
//
// The order that makes it a proof:
//   acquire   open() (verifies the gate, enters the address, sets its lease), then add the address
//   serve     renew(): one 8-byte store into memory shared with the kernel program, no system call
//   release   close() (lease zero: silent from here on), then remove the address, then remove()
//   crash     nothing: each lease runs out by itself; the next start removes addresses, then old gates
//
// Times are CLOCK_BOOTTIME, here and in the kernel program; create() proves on a trial frame that both
// read the same clock. It decides no lease: renewals come from the quorum's acknowledgements. It must
// never renew what an earlier process opened, and cannot: it has only its own memory.
#pragma once

#include <memory>
#include <optional>

#include "netif/gate_filters.hpp"
#include "netif/gate_program.hpp"
#include "runtime/base/ids.hpp"

namespace vigil::netif {

// The caller's number of a service address, 0 … max_addresses-1 (group * max_group_addresses + index).
using AddressSlot = std::uint8_t;

struct GateDrops {
  std::uint64_t ingress = 0;
  std::uint64_t egress = 0;
};

class Gate {
 public:
  // Loads the program, tries it, and attaches it to every interface of this network namespace. Fails
  // when any of them cannot be gated. Stale gates must be gone (remove_stale_gates()).
  static Result<std::unique_ptr<Gate>> create();

  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;
  // The filters stay on their interfaces: what is open falls silent when its lease runs out.
  ~Gate() = default;

  // Verifies the gate everywhere, then gates `address` with a lease until `until`. The slot must be
  // free, and no other slot may hold the address. Nothing is open when this fails.
  Status open(AddressSlot slot, const IpAddress& address, NodeId owner, Epoch epoch, Instant until);

  // One store. The slot must be open and not closed.
  void renew(AddressSlot slot, Instant until);
  // renew() of every open slot.
  void renew_all(Instant until);

  // Ends the lease now; the slot cannot be renewed any more. Idempotent while the slot is in use.
  void close(AddressSlot slot);
  // Frees a closed slot: packets of its address are judged no more, so the address must be off every
  // interface before.
  Status remove(AddressSlot slot);

  bool is_open(AddressSlot slot) const { return slots_[slot].state == State::open; }
  bool is_free(AddressSlot slot) const { return slots_[slot].state == State::free; }
  Instant lease_until(AddressSlot slot) const;
  // Packets dropped since open().
  GateDrops drops(AddressSlot slot) const;

  // Is the gate still first on every interface? Attaches to interfaces that have appeared. On an error
  // the caller closes and releases what it serves: the lease proves nothing.
  Status verify() { return filters_->verify(); }
  Status attach(int ifindex) { return filters_->attach(ifindex); }

  // The same for what is open, a few interfaces a call (gate_filters.hpp): to be called once a second with
  // begin_sweep() before, and on as long as is_due().
  Status begin_sweep() { return filters_->begin_sweep(); }
  Status verify_due() { return filters_->verify_due(); }
  bool is_due() const { return filters_->is_due(); }

  // Readable when filters or interfaces changed; the loop then calls on_readable(), which looks at the first few of
  // those that did; at the others, verify_due() does.
  int event_fd() const { return events_.get(); }
  Status on_readable();

  // Would this Ethernet frame be dropped now?
  Result<bool> would_drop(std::span<const std::uint8_t> frame, Direction direction) const {
    return program_.would_drop(frame, direction);
  }

  // Clean shutdown: takes the filters away. Every slot must be free.
  Status detach();

 private:
  enum class State : std::uint8_t { free, open, closed };
  struct Slot {
    State state = State::free;
    IpAddress address;
  };
  explicit Gate(GateProgram program) : program_(std::move(program)) {}
  Status try_out();
  Status read_events();
  void store_lease(AddressSlot slot, Instant until);

  GateProgram program_;
  std::optional<GateFilters> filters_;  // always there after create(); refers to program_
  Descriptor events_;
  std::array<Slot, limits::max_addresses> slots_{};
  std::uint32_t tenancy_ = 0;
};

}  // namespace vigil::netif
