// What one node promises and accepts: the acceptor of the agreement (DESIGN section 4), with the
// restarted voter's wait and the stored epoch ceiling.
//
// A vote is given only for a counter at or below a ceiling that is on stable storage; the ceiling is
// raised well ahead of use, so that no fsync lies between a suspicion and a takeover. A vote to leave a
// member out needs this voter's own evidence, or the candidate's over a while.
#pragma once

#include <optional>

#include "runtime/core/effect.hpp"
#include "runtime/core/lease.hpp"
#include "runtime/core/peers.hpp"
#include "runtime/core/status.hpp"

namespace vigil {

class Voter {
 public:
  Voter(const ClusterConfig& config, NodeId self, Incarnation incarnation, const StoredState& stored, Instant now);

  // The core calls this at every step: raises the ceiling ahead of need, reconsiders a held vote.
  void advance(const PeerTable& table, Effects& effects);
  Instant next_deadline() const;

  void on_prepare(const PeerTable& table, NodeId from, const Prepare& prepare, Effects& effects);
  void on_accept(Instant now, NodeId from, const Accept& accept, Effects& effects);
  void on_persisted(Instant now, const event::Persisted& persisted);
  // Nothing of an earlier life is served any more.
  void on_cleaned() { clean_ = true; }

  // A newer record that others hold (from their promises, or committed): known, not voted for.
  void learn(const Record& record, Effects& effects);
  // The committed view says who is acknowledged from now on, unless a newer vote says otherwise.
  void on_committed(const View& view);

  // Restart wait over, cleaned, storage good: its votes and acknowledgements count.
  bool ready(Instant now) const { return clean_ && now >= wait_until_ && persisted_ceiling_ > 0 && !storage_failed_; }
  bool clean() const { return clean_; }
  VoterPhase phase(Instant now) const {
    if (!clean_) return VoterPhase::unclean;
    if (storage_failed_) return VoterPhase::no_storage;
    if (!ready(now)) return VoterPhase::waiting;
    return held_ ? VoterPhase::holds_vote : VoterPhase::ready;
  }
  bool storage_failed() const { return storage_failed_; }
  Instant wait_until() const { return wait_until_; }
  std::uint64_t newest_counter() const { return promised_.counter > highest_seen_ ? promised_.counter : highest_seen_; }
  // An epoch above everything promised or seen, for a candidate; nullopt while the ceiling is too low.
  std::optional<Epoch> next_epoch();
  // The next epoch is above every one that nodes which are down may hold, though this one cannot have heard of it:
  // milliseconds since `years_begin` grow faster than ceilings do, by a thousand a start.
  void leap(std::int64_t wall_ns);
  static constexpr std::int64_t years_begin_ns = 1'577'836'800'000'000'000;  // 2020
  void saw_epoch(Epoch epoch) { if (epoch.counter > highest_seen_) highest_seen_ = epoch.counter; }

  const Record& accepted() const { return accepted_; }
  // What the newest record that is known to be on storage says of the keys: another start here knows as much.
  const KeyState& stored_keys() const { return stored_keys_; }
  Epoch promised() const { return promised_; }
  LeaseVoter& leases() { return leases_; }
  const LeaseVoter& leases() const { return leases_; }

 private:
  enum class Opinion : std::uint8_t { agree, hold, object };
  struct HeldVote {
    NodeId from = no_node;
    Prepare prepare;
    Instant since;
  };

  Opinion opinion_of(const PeerTable& table, NodeId from, const Prepare& prepare, Instant since, NodeSet& objected) const;
  Opinion opinion_of_one(const PeerTable& table, const Prepare& prepare, Instant since, NodeId node) const;
  void consider(const PeerTable& table, const HeldVote& vote, Effects& effects);
  void promise(Instant now, NodeId to, const Prepare& prepare, Effects& effects);
  void refuse(NodeId to, Epoch epoch, NackReason reason, NodeSet suspects_heard, Effects& effects) const;
  void raise_ceiling(std::uint64_t counter, Effects& effects);
  void persist(Effects& effects);

  const ClusterConfig& config_;
  NodeId self_;
  Incarnation incarnation_;
  Instant wait_until_;
  std::uint64_t forgotten_ = 0;           // the ceiling of earlier lives
  bool clean_ = false;
  bool storage_failed_ = false;
  Instant store_again_;                   // after a failure
  std::uint64_t persisted_ceiling_ = 0;   // on storage since this start; 0: nothing yet
  std::uint64_t requested_ceiling_ = 0;
  std::uint64_t wanted_counter_ = 0;      // somebody needs a vote this high
  std::uint64_t highest_seen_ = 0;
  std::uint64_t ceiling_token_ = 0;       // the Persist that carries requested_ceiling_
  std::uint64_t next_token_ = 1;
  KeyState stored_keys_;
  KeyState storing_keys_;                 // of the Persist that is waited for
  std::uint64_t keys_token_ = 0;          // of that one; 0: none is
  Duration longest_lease_stored_;
  Epoch promised_;
  Incarnation promised_life_;             // of its proposer, who may have started anew without a memory
  Record accepted_;
  bool accepted_in_this_life_ = false;
  std::optional<HeldVote> held_;
  LeaseVoter leases_;
};

}  // namespace vigil
