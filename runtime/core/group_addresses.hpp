// Keeps one group's service addresses on the best adapters of this node, or takes them off, each by
// itself and all at once. Decides the adapter: one of the address's own network (service role first,
// then standby: swap_adapter), else one of that network's backup network; comes back from the backup
// network when its own has been good for a while, but stays where it is within one network.
//
// Must never add an address without a running lease, nor count one as gone before its removal was
// confirmed. An address is removed from one adapter before it is added on another: its gate entry is
// one, and a node that answers on two adapters confuses its neighbours.
#pragma once

#include <array>

#include "runtime/base/cluster.hpp"
#include "runtime/core/event.hpp"
#include "runtime/core/group_events.hpp"

namespace vigil {

class GroupAddresses {
 public:
  enum class Want : std::uint8_t {
    down,  // take them off
    keep,  // leave them as they are (the application is being stopped before them)
    up,
  };

  GroupAddresses(const ClusterConfig& config, NodeId self, GroupIndex group);

  // Takes the steps that are due. `probe`: check for duplicates before adding (a first start).
  void advance(const HolderStep& step, Want want, bool probe);
  void on_done(const HolderStep& step, const event::AddressDone& done);
  void on_conflict(const HolderStep& step, const event::AddressConflict& conflict);
  void on_lost(const HolderStep& step, const event::AddressLost& lost);

  bool all_serving() const;  // each is on an adapter that is good
  bool all_gone() const;     // each is confirmed off
  bool network_lost() const; // one has no good adapter to go to
  bool add_failed() const;   // one could not be added on any good adapter
  bool in_conflict() const;
  bool stuck() const;        // one could not be removed in several attempts
  AdapterIndex adapter_of(std::size_t address) const;  // no_index: nowhere
  std::size_t size() const { return group().addresses.size(); }
  Instant next_deadline() const { return deadline_; }

 private:
  enum class Step : std::uint8_t { absent, adding, present, removing };
  struct Slot {
    Step step = Step::absent;
    AdapterIndex adapter = no_index;     // not absent: where
    AdapterIndex moved_from = no_index;  // set while it moves between adapters
    std::uint8_t tried = 0;              // bit: adding failed on that adapter since it last worked
    bool asked = false;                  // removing: the effect's answer is still to come
    bool no_adapter = false;
    bool add_failed = false;
    bool conflict = false;
    std::uint8_t conflicts = 0;          // in a row, for the pause
    std::uint8_t remove_failures = 0;    // in a row
    Instant retry_at;                    // absent or removing: not before
    Instant since;                       // beginning of the step; of a move: of its removal
  };

  const GroupConfig& group() const { return config_->groups[group_]; }
  const AdapterConfig& adapter_config(AdapterIndex adapter) const { return config_->nodes[self_].adapters[adapter]; }
  bool can_serve(const HolderContext& context, const Slot& slot, AdapterIndex adapter, NetworkIndex network) const;
  AdapterIndex best_on(const HolderContext& context, const Slot& slot, NetworkIndex network, bool settled) const;
  AdapterIndex choose(const HolderContext& context, std::size_t address) const;
  void note_adapters(const HolderContext& context);
  void advance_absent(const HolderStep& step, std::size_t address, Want want, bool probe);
  void advance_present(const HolderStep& step, std::size_t address, Want want);
  void add(const HolderStep& step, std::size_t address, AdapterIndex adapter, bool probe);
  void remove(const HolderStep& step, std::size_t address);
  void move(const HolderStep& step, std::size_t address, AdapterIndex target);
  void added(const HolderStep& step, std::size_t address, const event::AddressDone& done);
  void removed(const HolderStep& step, std::size_t address, const event::AddressDone& done);
  void miss_adapter(const HolderStep& step, std::size_t address);
  EventName move_event(std::size_t address, AdapterIndex from, AdapterIndex to) const;
  void wake_at(Instant when, Instant now);
  Instant settles_at(AdapterIndex adapter) const;

  const ClusterConfig* config_;
  NodeId self_;
  GroupIndex group_;
  std::array<Slot, limits::max_group_addresses> slots_{};
  std::array<Instant, limits::max_adapters> good_since_{};  // never(): not good
  std::array<bool, limits::max_adapters> good_{};
  Instant deadline_ = Instant::never();
};

}  // namespace vigil
