// Decides who is in the cluster, and carries the replicated state with it. Does no I/O, reads no clock,
// allocates nothing.
//
// One record (view + cluster state) is agreed at a time. A view change is two rounds: Prepare/Promise
// from nodes that together hit every quorum of the old view, then Accept/Accepted by quorums of both
// views and by every node that joins. Later records of the same epoch need Accept/Accepted alone.
// runtime/DESIGN.md has the argument; the names of its rules stand at the code that keeps them.
#pragma once

#include <variant>

#include "runtime/base/random.hpp"
#include "runtime/core/authority.hpp"
#include "runtime/core/coordinator.hpp"
#include "runtime/core/desired_view.hpp"
#include "runtime/core/detector.hpp"
#include "runtime/core/effect.hpp"
#include "runtime/core/lease.hpp"
#include "runtime/core/node_core.hpp"
#include "runtime/core/tie_breaker.hpp"
#include "runtime/core/view_notes.hpp"
#include "runtime/core/voter.hpp"

namespace vigil {

// What membership may know of its surroundings, given anew at every call.
struct MembershipContext {
  Instant now;
  const PeerTable* table = nullptr;
  const Detector* detector = nullptr;
  NodeFacts facts;          // ready: refined by membership itself
  bool leaving = false;     // all stopped, goodbye said
};

class Membership {
 public:
  Membership(const ClusterConfig& config, const NodeOptions& options, Instant now);

  // Whatever is due: suspicions turned into candidacies, retries, commits learnt from heartbeats.
  void advance(const MembershipContext& context, Effects& effects);
  void on_message(const MembershipContext& context, NodeId from, Incarnation incarnation, const Message& message,
                  Effects& effects);
  Instant next_deadline() const;
  void on_tie_breaker(const MembershipContext& context, const event::TieBreakerDone& done, Effects& effects);
  // These are down for certain: on the operator's word, or fenced. False: one of them is heard, or this node has a
  // quorum and decides with it.
  bool vouch(const MembershipContext& context, NodeSet down, std::int64_t wall_ns);

  Voter& voter() { return voter_; }
  const Voter& voter() const { return voter_; }
  LeaseHolder& lease() { return lease_; }
  const LeaseHolder& lease() const { return lease_; }

  const Record& committed() const { return committed_; }
  bool member() const { return committed_.view.holds(self_, incarnation_); }
  bool leading() const { return leading_; }
  CandidacyPhase candidacy_phase() const {
    if (std::holds_alternative<Preparing>(candidacy_)) return CandidacyPhase::prepares;
    const auto* proposing = std::get_if<Proposing>(&candidacy_);
    if (proposing == nullptr) return leading_ ? CandidacyPhase::leads : CandidacyPhase::idle;
    return proposing->record.stamp.version == 1 ? CandidacyPhase::proposes_view : CandidacyPhase::proposes_state;
  }
  // When every lease of every node outside the view is over, on this node's clock.
  Instant all_leases_over() const { return all_leases_over_; }
  // This incarnation was voted out: it must start afresh.
  bool expelled() const { return expelled_; }
  void explain(const MembershipContext& context, NodeStatus& status) const;
  void explain_quorum(QuorumStatus& quorum) const;

 private:
  struct Idle {};
  struct Preparing {
    Epoch epoch;
    Record base;                // newest record among the promises
    DesiredView desired;
    NodeSet promised;
    NodeSet recovering;         // of these, restarted and without a vote in this life
    std::array<std::uint64_t, limits::max_nodes> forgotten{};  // as they promised
    NodeSet vouched;            // not members, and down for certain
    bool tie_breaker = false;   // won for this epoch
    std::array<Instant, limits::max_nodes> leases_over{};
    Instant started;
    Instant resend;
    std::uint32_t detect_us = 0;
    Instant suspected_at;
  };
  struct Proposing {
    Record record;
    NodeSet joining;            // must accept
    bool unanimous = false;     // everybody must accept
    bool tie_breaker = false;   // won for this epoch
    NodeSet accepted;
    std::array<Instant, limits::max_nodes> leases_over{};
    Instant started;
    Instant resend;
    Instant suspected_at;
  };

  // candidacy.cpp: becoming coordinator of a new epoch, and having records accepted
  void consider_candidacy(const MembershipContext& context, Effects& effects);
  bool change_needed(const MembershipContext& context, const DesiredView& desired) const;
  bool could_be_decided(const MembershipContext& context, const DesiredView& desired) const;
  bool change_of_rule_due(const Record& base, const DesiredView& desired) const;
  Duration patience(const MembershipContext& context, const DesiredView& desired);
  bool another_is_at_it(const MembershipContext& context) const;
  Duration pause_after_failure();
  Duration round_lasts() const { return config_.timing.round_among(config_.nodes.size()); }
  void begin_prepare(const MembershipContext& context, const DesiredView& desired, Effects& effects);
  void send_prepare(const MembershipContext& context, Preparing& preparing, Effects& effects);
  void on_promise(const MembershipContext& context, NodeId from, Incarnation incarnation, const Promise& promise,
                  Effects& effects);
  void on_nack(const MembershipContext& context, NodeId from, const Nack& nack, Effects& effects);
  Ballot ballot_of(const Preparing& preparing) const;
  bool in_doubt(const Record& record) const;
  void wait_for_leases_by_reading(const MembershipContext& context, const Record& base, Proposing& proposing) const;
  void note_vain_win(const event::TieBreakerDone& done);
  void go_on_with_promises(const MembershipContext& context, Preparing& preparing, Effects& effects);
  void propose_view(const MembershipContext& context, Authority authority, Effects& effects);
  void set_rule(const Preparing& preparing, Authority authority, View& next) const;
  void set_state(const MembershipContext& context, const Preparing& preparing, Authority authority, Record& record) const;
  void propose_state(const MembershipContext& context, Effects& effects);
  void send_accept(const MembershipContext& context, Proposing& proposing, Effects& effects);
  void on_accepted(const MembershipContext& context, NodeId from, Incarnation incarnation, const Accepted& accepted,
                   Effects& effects);
  bool is_committed(const Proposing& proposing) const;
  void commit(const MembershipContext& context, Effects& effects);
  void abandon(const MembershipContext& context, Duration pause);

  // membership.cpp: the record in force
  bool passes_by(const Stamp& stamp, const View& view) const;
  bool goes_past_this_life(const Record& next) const;
  void give_up();
  void install(const MembershipContext& context, const Record& record, const LeasesLeft& leases, Effects& effects);
  void watch_followers(const MembershipContext& context);
  void read_tie_breaker(const MembershipContext& context, Effects& effects);
  void note_leases(Instant now, const LeasesLeft& leases);
  void account_for(NodeId node) { accounted_[node] = committed_.view.incarnations[node]; }
  void hear_leases(Instant now, const Accept& accept);
  void account_for_unproven(Instant now);
  void catch_up(const MembershipContext& context, Effects& effects);
  void on_commit(const MembershipContext& context, NodeId from, const Commit& commit, Effects& effects);
  void on_fetch(const MembershipContext& context, NodeId from, const Fetch& fetch, Effects& effects);
  LeasesLeft leases_left(Instant now, const Record& record) const;
  DesiredView desired(const MembershipContext& context, const Record& base) const;
  NodeFacts facts(const MembershipContext& context) const;

  const ClusterConfig& config_;
  NodeId self_;
  Incarnation incarnation_;
  Voter voter_;
  LeaseHolder lease_;
  Coordinator coordinator_;
  ViewNotes notes_;
  Random random_;
  Record committed_;
  bool leading_ = false;
  std::uint32_t agree_us_ = 0;      // of the epoch that we lead
  std::array<Instant, limits::max_nodes> lead_leases_over_{};  // of nodes outside its view, as its promises told
  bool lost_lead_ = false;          // a higher promise stands in our way: a new epoch is needed
  bool expelled_ = false;
  std::variant<Idle, Preparing, Proposing> candidacy_;
  Instant need_since_ = Instant::never();
  NodeSet need_expelled_;
  Instant not_before_;              // no candidacy of ours before this
  Instant unfinished_since_ = Instant::never();  // a record was accepted and not heard of as committed
  Stamp unfinished_;                             // which
  Instant bound_since_ = Instant::never();       // an epoch was promised and nothing accepted in it
  Epoch bound_;                                  // which
  TieBreaker tie_breaker_;
  Instant next_tie_breaker_read_ = Instant::never();
  Epoch first_win_;                              // for which this life went for it; genesis: never
  Epoch proposed_;                               // newest in which this life proposed a view
  Epoch won_in_vain_;                            // ours, seen in the tie-breaker, and nothing proposed in it
  NodeSet vouched_;                              // until they are heard, a view was agreed on it, or this moment
  Instant vouched_until_;
  Instant all_follow_since_ = Instant::never();  // every member shows this view's epoch committed
  bool leases_follow_ = false;                   // and for so long that no lease of another epoch lasts
  int rank_ = 0;                                 // our place among those who could lead, when last looked at
  Instant next_fetch_;
  Instant all_leases_over_;
  Epoch told_epoch_;                // whose proposal told us leases
  NodeSet told_;                    // of which nodes
  // Nodes outside the view whose lease end is in all_leases_over_, in the life that was voted out.
  std::array<Incarnation, limits::max_nodes> accounted_{};
};

}  // namespace vigil
