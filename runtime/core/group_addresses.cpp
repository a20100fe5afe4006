#include "runtime/core/group_addresses.hpp"

namespace vigil {

namespace {

// After a duplicate was found: 1 s, 2 s, 4 s … between two probes, at most about a minute.
constexpr Duration conflict_pause(std::uint8_t conflicts) {
  return Duration::from_s(std::int64_t{1} << (conflicts < 6 ? conflicts - 1 : 6));
}
// Removals that fail in a row until the group counts as stuck here; they go on being tried.
constexpr std::uint8_t stuck_after = 3;

// fail_service and join_service are the adapter's events as well: the node runs their hooks, once, when
// the adapter's health changes; here they only name what the address does.
constexpr bool has_hooks(EventName event) {
  return event != EventName::fail_service && event != EventName::join_service;
}

constexpr std::uint8_t bit_of(AdapterIndex adapter) { return static_cast<std::uint8_t>(1U << adapter); }

}  // namespace

GroupAddresses::GroupAddresses(const ClusterConfig& config, NodeId self, GroupIndex group_index)
    : config_(&config), self_(self), group_(group_index) {
  good_since_.fill(Instant::never());
}

// ---- choosing an adapter -----------------------------------------------------------------------------

void GroupAddresses::note_adapters(const HolderContext& context) {
  for (std::size_t i = 0; i < good_.size(); ++i) {
    if (context.adapter_ok[i] && !good_[i]) good_since_[i] = context.now;
    if (!context.adapter_ok[i]) good_since_[i] = Instant::never();
    good_[i] = context.adapter_ok[i];
  }
}

bool GroupAddresses::can_serve(const HolderContext& context, const Slot& slot, AdapterIndex adapter,
                               NetworkIndex network) const {
  const AdapterConfig& config = adapter_config(adapter);
  return config.network == network && config.role != AdapterRole::serial && context.adapter_ok[adapter] &&
         (slot.tried & bit_of(adapter)) == 0;
}

// An adapter counts as settled when it has been good for four times what admits a node.
Instant GroupAddresses::settles_at(AdapterIndex adapter) const {
  return good_since_[adapter] + config_->timing.admission() * 4;
}

// The first usable adapter on the network, service role before standby; no_index: none.
AdapterIndex GroupAddresses::best_on(const HolderContext& context, const Slot& slot, NetworkIndex network,
                                     bool settled) const {
  if (network == no_index) return no_index;
  const std::size_t count = config_->nodes[self_].adapters.size();
  for (const AdapterRole role : {AdapterRole::service, AdapterRole::standby})
    for (std::size_t i = 0; i < count; ++i) {
      const auto adapter = static_cast<AdapterIndex>(i);
      if (adapter_config(adapter).role == role && can_serve(context, slot, adapter, network) &&
          (!settled || settles_at(adapter) <= context.now))
        return adapter;
    }
  return no_index;
}

AdapterIndex GroupAddresses::choose(const HolderContext& context, std::size_t address) const {
  const Slot& slot = slots_[address];
  const NetworkIndex own = group().addresses[address].network;
  const NetworkIndex backup = config_->networks[own].backup;
  if (slot.step == Step::present && can_serve(context, slot, slot.adapter, adapter_config(slot.adapter).network)) {
    const bool at_home = adapter_config(slot.adapter).network == own;
    const AdapterIndex home = at_home ? no_index : best_on(context, slot, own, true);
    return home != no_index ? home : slot.adapter;
  }
  const AdapterIndex home = best_on(context, slot, own, false);
  return home != no_index ? home : best_on(context, slot, backup, false);
}

EventName GroupAddresses::move_event(std::size_t address, AdapterIndex from, AdapterIndex to) const {
  const NetworkIndex network = adapter_config(to).network;
  if (adapter_config(from).network == network) return EventName::swap_adapter;
  return network == group().addresses[address].network ? EventName::join_service : EventName::fail_service;
}

// ---- steps -------------------------------------------------------------------------------------------

void GroupAddresses::wake_at(Instant when, Instant now) {
  if (when > now) deadline_ = earlier(deadline_, when);
}

void GroupAddresses::advance(const HolderStep& step, Want want, bool probe) {
  const Instant now = step.context.now;
  note_adapters(step.context);
  for (std::size_t i = 0; i < size(); ++i) {
    Slot& slot = slots_[i];
    switch (slot.step) {
      case Step::absent:
        advance_absent(step, i, want, probe);
        break;
      case Step::adding:
        if (want == Want::down) remove(step, i);
        break;
      case Step::present:
        advance_present(step, i, want);
        break;
      case Step::removing:
        if (!slot.asked && now >= slot.retry_at) remove(step, i);
        break;
    }
  }
  deadline_ = Instant::never();
  for (std::size_t i = 0; i < size(); ++i) {
    const Slot& slot = slots_[i];
    if (slot.step == Step::removing && !slot.asked) wake_at(slot.retry_at, now);
    if (slot.step == Step::absent && want == Want::up) wake_at(slot.retry_at, now);
    if (slot.step == Step::present && want == Want::up &&
        adapter_config(slot.adapter).network != group().addresses[i].network)
      for (std::size_t a = 0; a < config_->nodes[self_].adapters.size(); ++a)
        if (adapter_config(static_cast<AdapterIndex>(a)).network == group().addresses[i].network && good_[a])
          wake_at(settles_at(static_cast<AdapterIndex>(a)), now);
  }
}

void GroupAddresses::advance_absent(const HolderStep& step, std::size_t address, Want want, bool probe) {
  Slot& slot = slots_[address];
  if (want == Want::down) slot = Slot{};
  if (want != Want::up || step.context.now < slot.retry_at) return;
  slot.add_failed = false;  // the pause is over: every adapter deserves another try
  const AdapterIndex target = choose(step.context, address);
  if (target == no_index) {
    miss_adapter(step, address);
    slot.tried = 0;
    return;
  }
  slot.no_adapter = false;
  if (step.context.has_lease()) add(step, address, target, probe || slot.conflict);
}

void GroupAddresses::advance_present(const HolderStep& step, std::size_t address, Want want) {
  Slot& slot = slots_[address];
  if (want == Want::down) {
    step.events.tell(step, JournalKind::started, EventName::release_service_addr,
                     {.network = adapter_config(slot.adapter).network, .adapter = slot.adapter},
                     "closes the gate of %s and removes it from %s",
                     to_text(group().addresses[address].address).c_str(), step.events.device(slot.adapter));
    remove(step, address);
    step.events.begin(step, EventName::release_service_addr, {.adapter = slot.adapter});
    return;
  }
  if (want == Want::keep) return;
  const AdapterIndex target = choose(step.context, address);
  if (target == no_index) {
    miss_adapter(step, address);
    return;
  }
  slot.no_adapter = false;
  if (target != slot.adapter && step.context.has_lease()) move(step, address, target);
}

void GroupAddresses::miss_adapter(const HolderStep& step, std::size_t address) {
  Slot& slot = slots_[address];
  if (slot.no_adapter) return;
  slot.no_adapter = true;
  const NetworkIndex own = group().addresses[address].network;
  const NetworkIndex backup = config_->networks[own].backup;
  step.events.tell(step, JournalKind::failed, EventName::fail_service, {.network = own},
                   "%s has no working adapter on %s%s%s", to_text(group().addresses[address].address).c_str(),
                   step.events.network_name(own), backup == no_index ? ", which has no backup network" : " or ",
                   backup == no_index ? "" : step.events.network_name(backup));
}

void GroupAddresses::move(const HolderStep& step, std::size_t address, AdapterIndex target) {
  Slot& slot = slots_[address];
  const EventName event = move_event(address, slot.adapter, target);
  const EventAbout about{.network = adapter_config(target).network, .adapter = target};
  step.events.tell(step, JournalKind::started, event, about, "%s moves from %s (%s) to %s (%s)",
                   to_text(group().addresses[address].address).c_str(), step.events.device(slot.adapter),
                   step.events.network_name(adapter_config(slot.adapter).network), step.events.device(target),
                   step.events.network_name(about.network));
  slot.moved_from = slot.adapter;
  remove(step, address);
  if (has_hooks(event)) step.events.begin(step, event, about);
}

void GroupAddresses::add(const HolderStep& step, std::size_t address, AdapterIndex adapter, bool probe) {
  VIGIL_ASSERT(step.context.has_lease());
  Slot& slot = slots_[address];
  slot.step = Step::adding;
  slot.adapter = adapter;
  if (slot.moved_from == no_index) slot.since = step.context.now;
  step.effects.push(effect::AddAddress{group_, static_cast<std::uint8_t>(address), adapter,
                                       step.context.record->view.epoch, step.context.lease_until, probe});
  if (slot.moved_from != no_index) return;
  const EventAbout about{.network = adapter_config(adapter).network, .adapter = adapter};
  step.events.tell(step, JournalKind::started, EventName::acquire_service_addr, about, "adds %s to %s (%s)%s",
                   to_text(group().addresses[address].address).c_str(), step.events.device(adapter),
                   step.events.network_name(about.network), probe ? ", after a check for duplicates" : "");
}

void GroupAddresses::remove(const HolderStep& step, std::size_t address) {
  Slot& slot = slots_[address];
  if (slot.step != Step::removing) slot.since = step.context.now;
  slot.step = Step::removing;
  slot.asked = true;
  step.effects.push(effect::RemoveAddress{group_, static_cast<std::uint8_t>(address), slot.adapter});
}

// ---- what came of it ---------------------------------------------------------------------------------

void GroupAddresses::on_done(const HolderStep& step, const event::AddressDone& done) {
  if (done.address >= size()) return;
  const Slot& slot = slots_[done.address];
  // An answer to an addition that was called off meanwhile says nothing about the removal under way.
  if (done.added && slot.step == Step::adding)
    added(step, done.address, done);
  else if (!done.added && slot.step == Step::removing && slot.asked)
    removed(step, done.address, done);
}

void GroupAddresses::added(const HolderStep& step, std::size_t address, const event::AddressDone& done) {
  Slot& slot = slots_[address];
  const AdapterIndex from = slot.moved_from;
  const EventName event =
      from == no_index ? EventName::acquire_service_addr : move_event(address, from, slot.adapter);
  EventAbout about{.network = adapter_config(slot.adapter).network, .adapter = slot.adapter};
  about.took_us = from == no_index ? done.took.us() : (step.context.now - slot.since).us();
  const BoundedString<63> text = to_text(group().addresses[address].address);
  if (done.ok) {
    slot.step = Step::present;
    slot.moved_from = no_index;
    slot.tried = 0;
    slot.no_adapter = slot.add_failed = slot.conflict = false;
    step.events.tell(step, JournalKind::done, event, about, "%s answers on %s (%s)", text.c_str(),
                     step.events.device(slot.adapter), step.events.network_name(about.network));
    if (has_hooks(event)) step.events.end(step, event, true, about);
    return;
  }
  slot.tried = static_cast<std::uint8_t>(slot.tried | bit_of(slot.adapter));
  good_since_[slot.adapter] = step.context.now;  // not settled for this address
  step.events.tell(step, JournalKind::failed, event, about, "%s could not be added to %s (%s)", text.c_str(),
                   step.events.device(slot.adapter), step.events.network_name(about.network));
  remove(step, address);  // whatever part of it was done
  if (has_hooks(event)) step.events.end(step, event, false, about);
  if (choose(step.context, address) != no_index) return;  // another adapter is next
  slot.tried = 0;
  slot.add_failed = choose(step.context, address) != no_index;  // false: the adapters went bad meanwhile
  if (slot.add_failed) slot.retry_at = step.context.now + config_->timing.retry() * 10;
}

void GroupAddresses::removed(const HolderStep& step, std::size_t address, const event::AddressDone& done) {
  Slot& slot = slots_[address];
  slot.asked = false;
  EventAbout about{.network = adapter_config(slot.adapter).network, .adapter = slot.adapter};
  about.took_us = (step.context.now - slot.since).us();
  const BoundedString<63> text = to_text(group().addresses[address].address);
  if (!done.ok) {
    if (slot.remove_failures < 10) ++slot.remove_failures;
    slot.retry_at = step.context.now + config_->timing.retry() * slot.remove_failures;
    step.events.tell(step, JournalKind::failed, EventName::release_service_addr, about,
                     "%s could not be removed from %s; its gate stays closed", text.c_str(),
                     step.events.device(slot.adapter));
    return;
  }
  slot.step = Step::absent;
  slot.remove_failures = 0;
  if (!slot.conflict && !slot.add_failed) slot.retry_at = step.context.now;
  if (slot.moved_from != no_index || slot.tried != 0 || slot.add_failed) return;  // a move goes on; a failed addition was told
  step.events.tell(step, JournalKind::done, EventName::release_service_addr, about, "%s is off %s", text.c_str(),
                   step.events.device(slot.adapter));
  step.events.end(step, EventName::release_service_addr, true, about);
}

void GroupAddresses::on_conflict(const HolderStep& step, const event::AddressConflict& conflict) {
  if (conflict.address >= size()) return;
  Slot& slot = slots_[conflict.address];
  if (slot.step != Step::adding && slot.step != Step::present) return;
  if (slot.conflicts < 0xff) ++slot.conflicts;
  slot.conflict = true;
  slot.moved_from = no_index;
  slot.retry_at = step.context.now + conflict_pause(slot.conflicts);
  remove(step, conflict.address);
  const EventAbout about{.network = adapter_config(slot.adapter).network, .adapter = slot.adapter};
  step.events.tell(step, JournalKind::failed, EventName::duplicate_address, about,
                   "%s is answered for by another machine on %s; gate closed, next try in %d s",
                   to_text(group().addresses[conflict.address].address).c_str(),
                   step.events.network_name(about.network),
                   static_cast<int>(conflict_pause(slot.conflicts).ms() / 1000));
  step.events.run_hooks(step, EventName::duplicate_address, HookStage::notify, about);
}

void GroupAddresses::on_lost(const HolderStep& step, const event::AddressLost& lost) {
  if (lost.address >= size() || slots_[lost.address].step != Step::present) return;
  const Slot& slot = slots_[lost.address];
  step.events.tell(step, JournalKind::failed, EventName::acquire_service_addr,
                   {.network = adapter_config(slot.adapter).network, .adapter = slot.adapter},
                   "somebody removed %s or its gate from %s; it is put back",
                   to_text(group().addresses[lost.address].address).c_str(), step.events.device(slot.adapter));
  remove(step, lost.address);
}

// ---- readings ----------------------------------------------------------------------------------------

bool GroupAddresses::all_serving() const {
  for (std::size_t i = 0; i < size(); ++i)
    if (slots_[i].step != Step::present || !good_[slots_[i].adapter]) return false;
  return true;
}

bool GroupAddresses::all_gone() const {
  for (std::size_t i = 0; i < size(); ++i)
    if (slots_[i].step != Step::absent) return false;
  return true;
}

bool GroupAddresses::network_lost() const {
  for (std::size_t i = 0; i < size(); ++i)
    if (slots_[i].no_adapter) return true;
  return false;
}

bool GroupAddresses::add_failed() const {
  for (std::size_t i = 0; i < size(); ++i)
    if (slots_[i].add_failed) return true;
  return false;
}

bool GroupAddresses::in_conflict() const {
  for (std::size_t i = 0; i < size(); ++i)
    if (slots_[i].conflict) return true;
  return false;
}

bool GroupAddresses::stuck() const {
  for (std::size_t i = 0; i < size(); ++i)
    if (slots_[i].step == Step::removing && slots_[i].remove_failures >= stuck_after) return true;
  return false;
}

AdapterIndex GroupAddresses::adapter_of(std::size_t address) const {
  if (address >= size() || slots_[address].step == Step::absent) return no_index;
  return slots_[address].adapter;
}

}  // namespace vigil
