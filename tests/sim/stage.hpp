// Three real cores on a stage where every step is somebody's choice: which message arrives next, whether time
// passes before it does, who is cut off, frozen or killed. A state is a value: it can be copied, taken further in
// one way, and put back. exhaustive.cpp goes all ways.
//
// What is not a choice happens at once: heartbeats and their acknowledgements arrive when they are sent, in the
// order of the nodes, unless a node is cut off; addresses come and go without delay. A message that is never
// delivered is a lost one: since every state on the way is judged, losing it needs no step of its own.
#pragma once

#include <array>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "runtime/core/node_core.hpp"
#include "tests/sim/checker.hpp"
#include "tests/sim/clock.hpp"
#include "tests/sim/trace.hpp"

namespace vigil::sim {

inline constexpr std::size_t stage_nodes = 3;

enum class Move : std::uint8_t {
  deliver,  // one message under way
  next,     // time passes until somebody says or does something new
  wait,     // a whole lease and more passes, whatever is said meanwhile
  cut,      // all links of a node, both ways
  heal,
  freeze,
  thaw,
  crash,       // the daemon dies; what its kernel holds stays. Writes that had not ended are on the disk …
  crash_torn,  // … or are not
  start,
  clean,  // it closes the gates that its earlier life left open
  order,  // an operator moves the group
};

struct Choice {
  Move move = Move::next;
  NodeId node = no_node;   // no_node: the letter's, or all
  std::size_t letter = 0;  // index among those under way
};

// A protocol message under way.
struct Letter {
  NodeId from = no_node;
  NodeId to = no_node;
  Incarnation incarnation;  // the sender's
  std::uint32_t start = 0;  // the sender's how-manieth life
  std::shared_ptr<const Message> message;
  std::uint64_t wording = 0;   // digest of what it says: a repetition of what is still under way is not sent again
  std::uint64_t identity = 0;  // of this very letter, the same in every order of events that leads to it
};

struct Write {
  std::uint64_t token = 0;
  std::shared_ptr<const StoredState> state;
};

// One node. Cores are shared between states that have not stepped them apart.
struct Actor {
  NodeClock clock;
  std::shared_ptr<NodeCore> core;  // null: no daemon
  Incarnation incarnation;
  std::uint32_t start = 0;
  std::shared_ptr<const StoredState> stored;
  std::vector<Write> writes;  // not ended
  std::array<std::uint32_t, stage_nodes> newest_start{};
  bool cut = false;
  bool frozen = false;
  SimTime since = 0;    // … has been so
  bool dirty = false;   // started, and not yet clean
  bool gate = false;    // of the group's address, which is there whenever the gate is
  Instant lease_until;  // of the gate, on the own clock
  Stamp committed;      // as last judged
  Stamp accepted;
  Epoch voted;                 // newest, in any life …
  std::uint32_t voted_in = 0;  // … in this one
  std::uint64_t history = 0;   // digest of all that it was ever told, and when: equal histories, equal cores

  bool running() const { return core != nullptr && !frozen; }
};

// One record that was ever proposed, and who has accepted it in which life.
struct Proposal {
  std::shared_ptr<const Record> record;
  std::array<Incarnation, stage_nodes> accepted_in{};
  bool committed = false;
};

class Stage {
 public:
  // The configuration must outlive it.
  explicit Stage(const ClusterConfig& config);
  static void make_config(ClusterConfig& config);

  // What may be chosen now. Faults only as far as they are allowed.
  void choices(std::vector<Choice>& out) const;
  void take(const Choice& choice);
  std::string describe(const Choice& choice) const;

  // Everything goes well until the group is served, all are members, and nothing is left to say.
  void settle();
  // All goes well until somebody seeks a new epoch: its Prepares are under way.
  void wake();
  void deliver_all();
  void allow(unsigned faults, unsigned orders) {
    faults_left_ = faults;
    orders_left_ = orders;
  }
  void crash_and_expel(NodeId node);

  std::uint64_t digest() const;
  const Violation& violation() const { return violation_; }
  bool violated() const { return violation_.invariant != Invariant::none; }
  void narrate(Trace* trace) { trace_ = trace; }

 private:
  // What happens within one moment: heartbeats and their answers, answers of kernel and operator.
  struct Prompt {
    NodeId to = no_node;
    NodeId from = no_node;
    std::uint32_t start = 0;
    Event event;
    std::uint64_t identity = 0;
  };

  void step(NodeId node, const Event& event, std::uint64_t identity);
  void carry_out(NodeId node, const std::vector<Effect>& effects);
  void carry_out_one(NodeId node, const Effect& effect, std::uint64_t identity);
  void send_letter(NodeId node, const effect::SendMessage& send, std::uint64_t identity);
  void tell_soon(NodeId node, Event event, std::uint64_t identity);
  void run_prompts();
  bool hears(NodeId from, NodeId to) const;
  bool at_rest() const;
  bool seeks_epoch() const;
  bool believed(NodeId node, NodeId from, std::uint32_t start);
  void deliver(std::size_t letter);
  void end_writes();
  void pass(SimTime until, bool stop_at_news);
  void start_daemon(NodeId node);
  void end_daemon(NodeId node, bool writes_kept);
  void thaw(NodeId node);
  Instant clock(NodeId node) const { return actors_[node].clock.at(now_); }

  // The judge
  void open_gate(NodeId node, Instant until);
  void observe(NodeId node);
  void judge_vote(NodeId node, Epoch epoch);
  Proposal& proposal(const Record& record);
  void judge_commit(NodeId node, const Record& record);
  void fail(Invariant invariant, std::string text);

  const ClusterConfig* config_;
  std::shared_ptr<Effects> effects_;  // of the step under way: empty between steps, so that all states share one
  SimTime now_ = 0;
  std::array<Actor, stage_nodes> actors_;
  std::vector<Letter> letters_;
  std::deque<Prompt> prompts_;
  std::vector<Proposal> proposals_;
  unsigned faults_left_ = 0;
  unsigned orders_left_ = 0;
  bool news_ = false;
  std::uint64_t next_question_ = 1;
  Violation violation_;
  Trace* trace_ = nullptr;
};

}  // namespace vigil::sim
