// The parts of one node's core and how they are wired: what NodeCore hides. node_core.cpp routes events
// and time; heart.cpp sends heartbeats, answers them and keeps the lease; admission.cpp compares wall clocks
// and tells how the rotation of the key goes on;
// operator_desk.cpp forwards what operators ask for.
#pragma once

#include <optional>
#include <vector>

#include "runtime/core/adapter_health.hpp"
#include "runtime/core/clock_watch.hpp"
#include "runtime/core/detector.hpp"
#include "runtime/core/flap_guard.hpp"
#include "runtime/core/group_holder.hpp"
#include "runtime/core/membership.hpp"
#include "runtime/core/node_core.hpp"
#include "runtime/core/peers.hpp"
#include "runtime/core/renewal_acks.hpp"

namespace vigil {

// An operator's command on its way to the coordinator and back.
struct PendingOperator {
  std::uint64_t id = 0;
  OperatorCommand command;
  Instant resend;
  Instant give_up;
};

struct NodeCore::Parts {
  Parts(const ClusterConfig& cluster_config, const NodeOptions& node_options, Instant now);

  // node_core.cpp
  void dispatch(Instant now, const Event& event);
  void on_message(Instant now, const event::MessageReceived& received);
  void advance(Instant now);
  void advance_membership(Instant now);
  void advance_holders(Instant now);
  void deliver_own_messages(Instant now, Effects& out);
  void emit(Instant now, const Effect& item, Effects& out);
  void follow_record();
  void follow_adapters(std::uint8_t changed);
  void maybe_leave(Instant now);
  MembershipContext membership_context(Instant now);
  HolderContext holder_context(Instant now);
  Instant next_deadline() const;
  void describe(Instant now, NodeStatus& status) const;
  void phases(Instant now, NodePhases& phases) const;

  // heart.cpp
  void on_heartbeat(Instant now, const event::HeartbeatReceived& received);
  void record_renewal(Instant now, NodeId from, const Heartbeat& heartbeat);
  void follow_acks(Instant now, NodeId from, const Heartbeat& heartbeat);
  void on_ack(Instant now, const event::AckReceived& received);
  void refresh_table(Instant now);
  void send_heartbeats(Instant now);
  Heartbeat compose_heartbeat(Instant now, LinkIndex link);
  RenewalAcks acks_to_tell(Instant now, LinkIndex link);
  void follow_lease(Instant now);

  // admission.cpp
  void on_wall_clock(const event::WallClock& heard);
  void judge_clocks();
  void judge_flapping(Instant now);
  void judge_followers(Instant now);
  void describe_flapping(Instant now, NodeStatus& status) const;
  NodeSet reference_clocks() const;
  void describe_clocks(NodeStatus& status) const;

  void note_keys(const KeyState& before, const KeyState& after);

  // operator_desk.cpp
  void on_operator(Instant now, const event::OperatorAsked& asked);
  const char* objection_to_override(NodeSet down, NodeSet named) const;
  void on_vouched(Instant now, const event::OperatorAsked& asked);
  void ask_to_leave(Instant now);
  void on_operator_reply(const OperatorReply& reply);
  void advance_operators(Instant now);

  // Journal line, and the hooks that are configured for the event.
  void note(JournalKind kind, EventName event, NodeId subject, std::string_view text, Duration took = {},
            NetworkIndex network = no_index, AdapterIndex adapter = no_index);
  void run_hooks(EventName event, NodeId subject, NetworkIndex network, AdapterIndex adapter);
  bool lease_good(Instant now) const { return now < membership.lease().until(); }

  const ClusterConfig& config;
  NodeId self;
  Incarnation incarnation;
  Detector detector;
  AdapterHealth adapters;
  PeerTable table;
  FlapGuard flaps;
  Membership membership;
  std::vector<GroupHolder> holders;
  Effects scratch;                       // of the step under way
  Record followed;                       // newest record that follow_record has seen
  RenewalBook renewals;                  // of others, as recorded by this node

  struct Beat {
    Instant next;
    std::uint32_t sequence = 0;
  };
  std::array<Beat, limits::max_links> beats{};
  Instant lease_told;                    // the end last handed to the gates
  Instant lease_lost_since = Instant::never();
  bool quorum_lost_told = false;
  std::uint64_t lease_gaps = 0;
  bool ever_quorate = false;

  // When a peer's heartbeat on this link was last answered for its round trip.
  std::array<std::array<Instant, limits::max_links>, limits::max_nodes> measured{};

  // Since when a member shows one and the same record, older than ours.
  struct Following {
    Stamp shown;
    Instant since = Instant::never();
  };
  std::array<Following, limits::max_nodes> following{};
  Instant followers_due = Instant::never();

  bool membership_due = true;            // evidence changed: decide anew in this step
  std::uint64_t paths_seen = 0;          // Detector::version() that AdapterHealth has judged
  bool renewal_due = true;               // acknowledgements or the view changed: the lease may reach further

  // All that moves a holder besides its own events and deadlines. The same picture leaves it as it is.
  struct HolderView {
    Stamp stamp;
    bool member = false;
    bool has_lease = false;
    bool lease_lost_too_long = false;
    bool leases_over = false;            // of all expelled nodes
    bool agent_up = false;
    std::uint8_t adapters = 0;           // bit i: adapter i is healthy
    Instant all_leases_over;
    Instant lease_lost_since;
    bool operator==(const HolderView&) const = default;
  };
  HolderView holders_saw;
  bool holders_due = true;               // one of them was told something
  Instant holders_deadline = Instant::never();
  bool agent_up = true;
  bool stop_wanted = false;              // operator: leave in good order
  bool goodbye = false;                  // all stopped, say so in heartbeats
  Instant goodbye_since;
  bool over = false;                     // StartAfresh or Left was emitted
  std::uint32_t next_request = 1;
  std::uint32_t next_report = 1;
  std::uint64_t next_journal = 1;
  ClockWatch clocks;
  NodeSet mismatch_told;                 // peers whose configuration differs, already told
  BoundedVector<PendingOperator, 16> operators;
};

}  // namespace vigil
