// Says when the cluster did what it must never do. It watches from outside: what the cores send, which
// records they hold, and what the machines' kernels serve; it knows real time, which no core does. It
// shares no logic with the cores and decides nothing for them; only the first violation counts.
//
//   I1  two machines serve one address at one moment, or run one application where that is forbidden
//   I2  two records under one stamp; two views in one epoch; a commit without the quorums it needs; a
//       stamp or a vote that goes back; nodes of different configuration files in one view; a rule of quorum that
//       the configuration does not have, or that changes by more than a step; a start beside voters that it needs
//   I3  a takeover step, a renewal or an acknowledgement ahead of the proof it depends on
//   I4  a committed record that a later epoch did not build upon; an operator's word that was accepted and is
//       in no committed record, or that a later record has lost
//   K   two members of which one does not accept the other's frames, because of a rotation of the key
//   I6  a sound node expelled: its accusers were the ones that stalled; one taken in whose wall clock is far off
//   I7  a group is not taken over within its bound, because another one's recovery is stuck
//   C   faults are over, and the cluster is not whole again within its bound
//   W   a damaged frame passes, a frame comes out of the codec other than it went in, a state file lies
#pragma once

#include <array>
#include <string>
#include <vector>

#include "runtime/base/cluster.hpp"
#include "runtime/base/message.hpp"
#include "tests/sim/keys.hpp"
#include "tests/sim/machine.hpp"

namespace vigil::sim {

enum class Invariant : std::uint8_t {
  none,
  one_owner,
  agreement,
  proof,
  durability,
  accuser,
  isolation,
  keys,
  convergence,
  wire,
  assertion,
  determinism
};
const char* to_string(Invariant invariant);

struct Violation {
  Invariant invariant = Invariant::none;
  SimTime at = 0;
  std::string text;
};

class Checker {
 public:
  Checker(const Machines& machines, const Soundness& soundness) : machines_(machines), soundness_(soundness) {}
  // `next`: the same cluster by another version of its file.
  void reset(const ClusterConfig& config, const ClusterConfig& next, std::size_t nodes);

  // A daemon's life begins with the records it stored before (stamp zero: none), and ends.
  void started(SimTime now, NodeId node, Stamp committed, Stamp accepted, bool other_file = false);
  void stopped(NodeId node);
  // Its state file is gone: it cannot keep what its earlier lives promised.
  void forgot(NodeId node);

  // What a core holds after a step, whenever it has changed.
  void promised(SimTime now, NodeId node, Epoch epoch);
  void accepted(SimTime now, NodeId node, const Record& record);
  void committed(SimTime now, NodeId node, const Record& record);

  // A message leaves (each retransmission too), or reaches a core.
  void sending(SimTime now, NodeId node, const Message& message);
  void receiving(NodeId node, const Message& message);
  // An acknowledgement of a lease leaves for `holder`, whose heartbeat left at `sent_ns` on its clock.
  void acknowledging(SimTime now, NodeId voter, NodeId holder, Incarnation of, std::int64_t sent_ns);
  // The gates of `node` are about to be opened until `until`, on its own clock.
  void renewing(SimTime now, NodeId node, Instant until);

  // Before a gate opens for an address, new or after a lapse; before a start script runs.
  void opening_gate(SimTime now, NodeId node, std::size_t group, std::size_t address, Instant until);
  void starting_application(SimTime now, NodeId node, std::size_t group);
  // After an address or its lease has come into force.
  void serving(SimTime now, NodeId node, std::size_t group, std::size_t address);

  // An operator's command reaches a core, and is answered there. Questions are numbered from one.
  void asked(const OperatorCommand& command);
  std::uint64_t questions() const { return questions_.size(); }
  void answered(SimTime now, NodeId node, std::uint64_t question, bool accepted);
  // Somebody vouched that a node is down.
  bool vouched() const { return !vouched_for().empty(); }

  // The tie-breaker's register now holds `epoch`; and a daemon hears what a use of it, asked at `asked_ns` on its
  // clock, has found.
  void tie_breaker_won(SimTime now, NodeId by, Epoch epoch);
  void tie_breaker_read(NodeId node, bool ok, std::int64_t asked_ns, Epoch held);

  // The keys that a daemon accepts frames under, and the one that it sends under.
  void keys_changed(SimTime now, NodeId node, const SimKeys& keys, std::uint8_t sending);
  // A node's wall clock is this far off: from its start on, or set in the midst of its life.
  void clock_set(NodeId node, std::int64_t error_ns, bool in_this_life = true);

  void fail(Invariant invariant, SimTime now, std::string text);
  bool violated() const { return violation_.invariant != Invariant::none; }
  const Violation& violation() const { return violation_; }

  // What has been agreed so far, for the world's own questions.
  const Record* newest_committed() const;
  std::size_t committed_count() const { return committed_count_; }
  std::size_t committed_views() const { return committed_views_; }

 private:
  // One stamp, everything known of it.
  struct Known {
    Record record;
    NodeSet accepted_by;
    NodeSet remembered_by;  // who have held it, and their state files ever since
    std::array<Incarnation, max_sim_nodes> accepted_in{};
    bool committed = false;
  };
  // One epoch's candidacy.
  struct Candidacy {
    Epoch epoch;
    Incarnation by;  // the life that asks for it: one that lost its memory may name an epoch of an earlier life
    Stamp base;      // newest record known to the candidate before it proposed
    bool proposed = false;
    NodeSet out;  // running nodes that its Prepare leaves out of a view that held them …
    std::array<Incarnation, max_sim_nodes> out_as{};    // … in these lives
    std::array<Incarnation, max_sim_nodes> voted_in{};  // the life in which each node voted for it
  };
  // What one daemon has done in its present life, and what its node did in all lives.
  struct Life {
    bool alive = false;
    bool other_file = false;  // runs by another configuration than the rest
    Instant started;
    Stamp committed;
    Stamp committed_before;  // and when it went on from that, by its own clock: what it was granted then still counts
    std::int64_t went_on_ns = 0;
    Stamp accepted;
    Stamp before;               // newest record accepted or committed in an epoch before that of `accepted`
    Epoch promised;             // newest vote of this life
    Epoch promised_before;      // … of earlier lives
    bool acknowledged = false;  // a lease, in this life
    bool acknowledged_before = false;
    std::array<Incarnation, max_sim_nodes> voted_out{};
    std::array<Epoch, max_sim_nodes> voted_out_in{};
    std::array<std::int64_t, max_sim_nodes> acknowledged_by{};   // newest renewal each voter acknowledged; own clock
    std::array<std::int64_t, max_sim_nodes> register_held_by{};  // newest asking that found it won by each; own clock
  };
  struct Accusation {
    Incarnation of;
    bool made = false;
    bool justified = false;
  };

  struct Question {
    OperatorCommand command;
    Stamp newest;  // committed when it was asked
  };

  static constexpr std::size_t none = static_cast<std::size_t>(-1);

  std::size_t find(Stamp stamp) const;
  std::size_t know(SimTime now, const Record& record);
  void count_acceptance(NodeId node, std::size_t index);
  void accepts_own(NodeId node, std::size_t index);
  Candidacy& candidacy(Epoch epoch);
  void vote_out(NodeId node, const Candidacy& candidacy);
  void vote(SimTime now, NodeId node, Epoch epoch, const char* how);
  void waited(SimTime now, NodeId node, const char* what);
  void accuse(SimTime now, NodeId accuser, NodeSet accused, NodeSet kept);
  bool sound_throughout(SimTime now, NodeId node, NodeSet kept) const;
  bool slow_among(SimTime now, NodeSet nodes) const;
  std::int64_t granted_since(NodeId holder, Stamp committed, std::int64_t own_ns) const;
  void first_commit(SimTime now, NodeId node, std::size_t index);
  void check_quorums(SimTime now, NodeId node, const Known& known);

  // checker_quorum.cpp: by whose votes
  bool succeeded(const View& old, const Known& record);
  bool decided(const View& old, const Known& record);
  NodeSet bound_in(const View& old, const Known& link);
  const Known* replaced_by(Epoch after, const Known& link) const;
  void check_rule(SimTime now, NodeId node, const Known& known);
  void check_succession(SimTime now, NodeId node, const Known& known);
  const Known* committed_before(Epoch epoch) const;
  bool every_voter(const Known& known);
  const ClusterConfig& file_of(const Record& record) const {
    return record.state.config_hash == next_->hash ? *next_ : *config_;
  }
  bool won(Epoch epoch) const;
  bool counts_by_own_quorum(const Record& record, const View& view) const;

  // checker_keys.cpp
  bool in_newest_view(NodeId node) const;
  void check_pair(SimTime now, NodeId a, NodeId b);
  bool readable(NodeId receiver, NodeId sender) const;
  void check_clocks(SimTime now, const Record& record);
  NodeSet alive_in(const View& view) const;
  bool quorum_survives(const View& view) const;
  NodeSet vouched_for() const;
  void check_chain(SimTime now, NodeId node, const Known& known);
  void check_expelled(SimTime now, const Record& record);
  void check_word(SimTime now, NodeId node, const Record& before, const Record& record);
  bool was_asked(OperatorVerb verb, GroupIndex group, NodeId of) const;
  bool was_decided(const Question& question) const;
  void check_files(SimTime now, const Record& record);
  bool excused_order(NodeId node, Instant until) const;
  NodeSet acceptors_in(const View& view, const Known& known) const;
  bool both_members(NodeId a, NodeId b) const;
  void clear_votes_against_members(Life& life, const Record& record);

  void on_prepare(SimTime now, NodeId node, const Prepare& prepare);
  void on_promise(SimTime now, NodeId node, const Promise& promise);
  void on_accept(SimTime now, NodeId node, const Accept& accept);
  void on_accepted(SimTime now, NodeId node, const Accepted& accepted);

  const Machines& machines_;
  const Soundness& soundness_;
  const ClusterConfig* config_ = nullptr;
  const ClusterConfig* next_ = nullptr;
  std::size_t nodes_ = 0;
  std::vector<Known> history_;
  std::size_t history_size_ = 0;  // the vector keeps its elements from run to run
  std::vector<Candidacy> candidacies_;
  std::array<Life, max_sim_nodes> lives_{};
  std::array<Accusation, max_sim_nodes> accusations_{};
  std::vector<Question> questions_;
  struct Clock {
    std::int64_t error_ns = 0;
    bool known = false;
    bool set_in_this_life = false;
  };
  std::array<Clock, max_sim_nodes> clocks_{};
  std::array<SimKeys, max_sim_nodes> keys_{};
  std::array<std::uint8_t, max_sim_nodes> sending_{};
  std::array<Epoch, max_sim_nodes> keys_followed_{};  // the newest view that each node's keys follow
  std::vector<Epoch> won_;                            // by the tie-breaker, the last one in force
  std::size_t newest_ = none;                         // newest committed that anybody can know of
  std::size_t committed_count_ = 0;
  std::size_t committed_views_ = 0;
  Violation violation_;
};

}  // namespace vigil::sim
