// Writes the story of each view change into the journal: whom this node accuses and on what evidence, how
// the voters answered its own rounds, how long each step took. Membership tells it what happens; it decides
// nothing, and nothing depends on it. What repeats itself is told once, so that a cluster that does not come
// to rest fills no journal.
#pragma once

#include "runtime/core/desired_view.hpp"
#include "runtime/core/detector.hpp"
#include "runtime/core/effect.hpp"
#include "runtime/core/peers.hpp"
#include "runtime/core/tie_breaker.hpp"

namespace vigil {

class ViewNotes {
 public:
  ViewNotes(const ClusterConfig& config, NodeId self) : config_(config), self_(self) {}

  // At every step: members of `view` that fell silent, with the evidence of this very moment.
  void silences(const PeerTable& table, const Detector& detector, const View& view, Effects& effects);

  // A round of this node: it asks `desired.members` for the epoch; the need for it arose at `since`.
  void round_begins(const PeerTable& table, const Detector& detector, const View& base, Epoch epoch,
                    const DesiredView& desired, Instant since, Effects& effects);
  void promised(Epoch epoch, NodeId from);
  void refused(NodeId from, const Nack& nack, Effects& effects);
  // Half of the votes were all that could be had.
  void tie_breaker(TieBreaker::Answer answer, Effects& effects);
  void proposed(Instant now);
  void accepted(const Stamp& stamp, NodeId from);
  // The record of the round is committed, and is not installed yet.
  void committed(Instant now, const Record& record, Effects& effects);
  // No round of this node is under way: one that was came to nothing.
  void round_over(Instant now, Effects& effects);

  // `record` is in force in place of `before`; `leases`: until those of nodes left out are over.
  void installed(const Record& record, const View& before, Duration leases, Effects& effects);

 private:
  struct Round {
    Epoch epoch;
    Epoch before;
    NodeSet asked;
    NodeSet promised;
    NodeSet refused;
    NodeSet accepted;
    Instant since;
    Instant begun;
    Instant proposed = Instant::never();
  };
  static constexpr std::size_t nack_reasons = 16;  // more than there are
  static constexpr std::uint32_t rounds_told_limit = 4;

  void accuse(const PeerTable& table, const Detector& detector, const View& view, NodeId node, Accusation why,
              Effects& effects);
  Accusation accusation_of(const PeerTable& table, const Detector& detector, const View& base, NodeId node) const;
  ViewFacts facts_of_round(Instant now, ViewStep step) const;
  bool is_open(Epoch epoch) const { return !round_.epoch.is_genesis() && round_.epoch == epoch; }

  const ClusterConfig& config_;
  NodeId self_;
  Round round_;                 // epoch genesis: none
  std::uint32_t rounds_ = 0;    // since the view in force was installed
  std::uint32_t given_up_ = 0;  // of these, and told
  NodeSet accused_told_;        // once for each silence
  TieBreaker::Answer tie_breaker_told_ = TieBreaker::Answer::stale;  // stale: none since the view in force
  std::array<NodeSet, nack_reasons> refusals_told_{};
};

}  // namespace vigil
