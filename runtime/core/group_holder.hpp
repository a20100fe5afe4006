// Carries out, on one node, what the committed record says about one resource group: waits for the
// proofs, opens gates, adds addresses, starts and watches the application, or takes all of it down
// and reports the release. Decides nothing about ownership. One holder per group; holders never wait
// for each other (I7).
//
//   Idle ─ owner ─> AwaitProof ─ proofs, lease ─> (AwaitHook) ─> AddAddresses ─> (AwaitHook) ─>
//     StartApplication ─> Serve <─> RestartApplication
//   any of these ─ not the owner, lease lost, failed ─> StopApplication ─> RemoveAddresses ─> Idle
//                                                       (stop failed: StopFailed, tried again)
//
// Must never take a step of an acquisition without the proof of every node that may still serve the
// group (missing_proof()), nor report a release before everything was confirmed stopped.
#pragma once

#include <array>
#include <optional>
#include <variant>

#include "runtime/base/cluster.hpp"
#include "runtime/base/message.hpp"
#include "runtime/core/effect.hpp"
#include "runtime/core/group_addresses.hpp"
#include "runtime/core/group_events.hpp"
#include "runtime/core/holder_context.hpp"
#include "runtime/core/report_outbox.hpp"
#include "runtime/core/status.hpp"

namespace vigil {

class GroupHolder {
 public:
  // `config` must outlive the holder. Nothing of the group may run on this node yet (it was cleaned).
  GroupHolder(const ClusterConfig& config, NodeId self, GroupIndex group);

  // Looks at the record, the lease, the proofs and the adapters, and takes the next steps that are due.
  void advance(const HolderContext& context, Effects& effects);
  Instant next_deadline() const { return deadline_; }

  void on_address_done(const HolderContext& context, const event::AddressDone& done, Effects& effects);
  void on_address_conflict(const HolderContext& context, const event::AddressConflict& conflict, Effects& effects);
  void on_address_lost(const HolderContext& context, const event::AddressLost& lost, Effects& effects);
  // Returns false when the request was not this holder's (any more).
  bool on_agent_done(const HolderContext& context, const event::AgentDone& done, Effects& effects);
  void on_application_failed(const HolderContext& context, const event::ApplicationFailed& failed, Effects& effects);
  void on_agent_state(const HolderContext& context, bool up, Effects& effects);
  // Another node's release of this group (Report::released), a proof for that generation.
  void on_release(NodeId from, Incarnation incarnation, std::uint32_t generation);
  // The coordinator has taken the report into a record.
  void on_report_ack(std::uint32_t serial);

  bool wants_lease() const;  // holds an address, or is about to
  bool idle() const;         // nothing of this group is or may be up on this node
  std::uint8_t step_now() const { return static_cast<std::uint8_t>(state_.index()); }
  void describe(LocalGroupStatus& status) const;

 private:
  // ---- states: what is being done, and only what that needs
  struct Idle {};
  enum class Missing : std::uint8_t { none, unblocking, release, expelled_lease, fence, own_lease };
  struct AwaitProof {
    Missing told = Missing::none;  // what the journal says it waits for
  };
  // An outstanding piece of the agent's work; request 0: not asked for yet (the agent is down).
  struct Work {
    std::uint32_t request = 0;
    Instant since;
    Instant deadline;  // the agent keeps the time-outs; past this it is given up
  };
  struct AwaitHook {
    EventName event = EventName::none;  // acquire_service_addr or start_server
    Work work;
  };
  struct AddAddresses {
    Instant since;
  };
  struct StartApplication {
    Work work;
    bool again = false;    // a restart: the group was serving already
    bool counted = false;  // it uses up one of the configured restarts
  };
  struct Serve {};
  struct RestartApplication {  // stops what may be left, then starts again
    Work work;
    bool again = false;
    bool counted = false;
  };
  struct StopApplication {
    Work work;
    GroupAddresses::Want addresses = GroupAddresses::Want::down;
  };
  struct RemoveAddresses {};
  struct StopFailed {
    Instant retry_at;
  };
  using State = std::variant<Idle, AwaitProof, AwaitHook, AddAddresses, StartApplication, Serve, RestartApplication,
                             StopApplication, RemoveAddresses, StopFailed>;

  struct Release {  // the newest that a node sent
    Incarnation incarnation;
    std::uint32_t generation = 0;
  };

  // Each takes at most one transition; true when it took one.
  bool step(const HolderStep& step, Idle& state);
  bool step(const HolderStep& step, AwaitProof& state);
  bool step(const HolderStep& step, AwaitHook& state);
  bool step(const HolderStep& step, AddAddresses& state);
  bool step(const HolderStep& step, StartApplication& state);
  bool step(const HolderStep& step, Serve& state);
  bool step(const HolderStep& step, RestartApplication& state);
  bool step(const HolderStep& step, StopApplication& state);
  bool step(const HolderStep& step, RemoveAddresses& state);
  bool step(const HolderStep& step, StopFailed& state);

  const GroupConfig& group() const { return config_->groups[group_]; }
  const ApplicationConfig& application() const { return group().application; }
  const GroupState& recorded(const HolderContext& context) const { return context.record->state.groups[group_]; }
  bool is_owner(const HolderContext& context) const;
  bool has_failed(const HolderContext& context) const;
  bool may_hold(const HolderContext& context) const { return is_owner(context) && !has_failed(context); }
  bool lease_lost_too_long(const HolderContext& context) const;
  Missing missing_proof(const HolderContext& context, NodeId& whom);
  HolderStep step_of(const HolderContext& context, Effects& effects) const;

  void note_record(const HolderStep& step);
  void tell_waiting(const HolderStep& step, Missing missing, NodeId whom) const;
  bool must_let_go(const HolderStep& step);
  void let_go(const HolderStep& step, GroupAddresses::Want addresses);
  void give_up(const HolderStep& step, ReportKind kind);
  void enter_application(const HolderStep& step);
  void enter_start(const HolderStep& step, bool again, bool counted);
  void enter_serve(const HolderStep& step, bool again, bool counted);
  void enter_restart(const HolderStep& step, bool again, bool counted);
  bool may_restart(Instant now);
  void restart_or_fail(const HolderStep& step);
  void start_ended(const HolderStep& step, const StartApplication& state, const event::AgentDone& done);
  void stop_ended(const HolderStep& step, const event::AgentDone& done);
  void hook_ended(const HolderStep& step, const AwaitHook& state, const event::AgentDone& done);
  void work_ended(const HolderStep& step, const event::AgentDone& done);
  bool given_up(const HolderStep& step, const Work& work);
  bool lose_work();
  GroupAddresses::Want wanted_addresses() const;
  void drive_addresses(const HolderStep& step);
  std::optional<ReportKind> wanted_report(const HolderContext& context);
  void finish(const HolderStep& step);
  Work* outstanding();

  const ClusterConfig* config_;
  NodeId self_;
  GroupIndex group_;
  GroupEvents events_;
  GroupAddresses addresses_;
  ReportOutbox outbox_;
  State state_ = Idle{};

  // about the generation that the record shows
  std::uint32_t generation_ = 0;
  Instant seen_at_;
  Epoch seen_in_;                  // the epoch it was first seen in: the change that caused it
  bool by_failure_ = false;        // an expulsion caused it: detection and agreement are in its budget
  NodeSet proven_;                 // unproven nodes whose proof was held at some time
  std::uint32_t proven_generation_ = 0;  // the last one whose proofs were all held
  Budget budget_;

  std::array<Release, limits::max_nodes> releases_{};
  std::uint32_t failed_generation_ = 0;  // 0: none
  ReportKind failed_kind_ = ReportKind::start_failed;
  bool application_may_run_ = false;
  Instant letting_go_since_;
  std::uint32_t monitored_generation_ = 0;
  std::uint8_t stop_attempts_ = 0;
  BoundedVector<Instant, 256> restarts_;  // within the window
  Instant deadline_ = Instant::never();
};

}  // namespace vigil
