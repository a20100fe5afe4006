// Says when the cluster did what it must never do. It watches from outside: what the cores send, which
// records they hold, and what the machines' kernels serve; it knows real time, which no core does. It
// shares no logic with the cores and decides nothing for them; only the first violation counts.
//
//   I1  two machines serve one address at one moment, or run one application where that is forbidden
//   I2  two records under one stamp; two views in one epoch; a commit without the quorums it needs; a
//       stamp or a vote that goes back; nodes of different configuration files in one view
//   I3  a takeover step, a renewal or an acknowledgement ahead of the proof it depends on
//   I4  a committed record that a later epoch did not build upon; an operator's word that was accepted and is
//       in no committed record, or that a later record has lost
//   I6  a sound node expelled: its accusers were the ones that stalled
//   I7  a group is not taken over within its bound, because another one's recovery is stuck
//   C   faults are over, and the cluster is not whole again within its bound
//   W   a damaged frame passes, a frame comes out of the codec other than it went in, a state file lies
#pragma once

#include <array>
#include <string>
#include <vector>

#include "runtime/base/cluster.hpp"
#include "runtime/base/message.hpp"
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
  void reset(const ClusterConfig& config, std::size_t nodes);

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
  bool vouched() const;

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
    std::array<Incarnation, max_sim_nodes> accepted_in{};
    bool committed = false;
  };
  // One epoch's candidacy.
  struct Candidacy {
    Epoch epoch;
    Stamp base;  // newest record known to the candidate before it proposed
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
    Stamp accepted;
    Stamp before;               // newest record accepted or committed in an epoch before that of `accepted`
    Epoch promised;             // newest vote of this life
    Epoch promised_before;      // … of earlier lives
    bool acknowledged = false;  // a lease, in this life
    bool acknowledged_before = false;
    std::array<Incarnation, max_sim_nodes> voted_out{};
    std::array<Epoch, max_sim_nodes> voted_out_in{};
    std::array<std::int64_t, max_sim_nodes> acknowledged_by{};  // newest renewal each voter acknowledged; own clock
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
  Candidacy& candidacy(Epoch epoch);
  void vote_out(NodeId node, const Candidacy& candidacy);
  void vote(SimTime now, NodeId node, Epoch epoch, const char* how);
  void waited(SimTime now, NodeId node, const char* what);
  void accuse(SimTime now, NodeId accuser, NodeSet accused, NodeSet kept);
  bool sound_throughout(SimTime now, NodeId node, NodeSet kept) const;
  bool slow_among(SimTime now, NodeSet nodes) const;
  std::int64_t granted_since(NodeId holder, std::int64_t own_ns) const;
  void first_commit(SimTime now, NodeId node, std::size_t index);
  void check_quorums(SimTime now, NodeId node, const Known& known);
  bool succeeded(const View& old, const Known& record);
  void check_chain(SimTime now, NodeId node, const Known& known);
  void check_expelled(SimTime now, const Record& record);
  void check_word(SimTime now, NodeId node, const Record& before, const Record& record);
  bool was_asked(OperatorVerb verb, GroupIndex group, NodeId of) const;
  bool was_decided(const Question& question) const;
  void check_files(SimTime now, const Record& record);
  bool excused_order(NodeId node, Instant until) const;
  NodeSet acceptors_in(const View& view, const Known& known) const;
  bool quorum_survives(const View& view) const;
  bool both_members(NodeId a, NodeId b) const;
  void clear_votes_against_members(Life& life, const Record& record);

  void on_prepare(SimTime now, NodeId node, const Prepare& prepare);
  void on_promise(SimTime now, NodeId node, const Promise& promise);
  void on_accept(SimTime now, NodeId node, const Accept& accept);
  void on_accepted(SimTime now, NodeId node, const Accepted& accepted);

  const Machines& machines_;
  const Soundness& soundness_;
  const ClusterConfig* config_ = nullptr;
  std::size_t nodes_ = 0;
  std::vector<Known> history_;
  std::size_t history_size_ = 0;  // the vector keeps its elements from run to run
  std::vector<Candidacy> candidacies_;
  std::array<Life, max_sim_nodes> lives_{};
  std::array<Accusation, max_sim_nodes> accusations_{};
  std::vector<Question> questions_;
  std::size_t newest_ = none;  // newest committed
  std::size_t committed_count_ = 0;
  std::size_t committed_views_ = 0;
  Violation violation_;
};

}  // namespace vigil::sim
