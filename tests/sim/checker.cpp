// The independent checker. See checker.hpp for what it holds the cores to.
#include "tests/sim/checker.hpp"

#include <algorithm>

#include "tests/sim/checker_text.hpp"
#include "tests/sim/votes.hpp"

namespace vigil::sim {

const char* to_string(Invariant invariant) {
  static constexpr const char* names[] = {"none",          "I1 one owner",    "I2 agreement",   "I3 proof",
                                          "I4 durability", "I6 accuser",      "I7 isolation",   "K keys",
                                          "C convergence", "W wire and disk", "core assertion", "determinism"};
  return names[static_cast<std::size_t>(invariant)];
}

namespace {

// What must be the same wherever a stamp is seen; how long things took is each node's own telling.
bool same_decision(const Record& a, const Record& b) {
  return a.stamp == b.stamp && a.view == b.view && a.previous == b.previous && a.expelled == b.expelled &&
         a.state == b.state;
}

}  // namespace

void Checker::reset(const ClusterConfig& config, const ClusterConfig& next, std::size_t nodes) {
  config_ = &config;
  next_ = &next;
  clocks_ = {};
  keys_ = {};
  sending_ = {};
  keys_followed_ = {};
  nodes_ = nodes;
  history_size_ = 0;
  candidacies_.clear();
  for (std::size_t i = 0; i < nodes; ++i) lives_[i] = {};
  accusations_ = {};
  questions_.clear();
  won_.clear();
  newest_ = none;
  committed_count_ = committed_views_ = 0;
  violation_ = {};
}

void Checker::fail(Invariant invariant, SimTime now, std::string what) {
  if (violated()) return;
  violation_ = {invariant, now, std::move(what)};
}

const Record* Checker::newest_committed() const { return newest_ == none ? nullptr : &history_[newest_].record; }

// ---- lives ----------------------------------------------------------------------------------------

void Checker::started(SimTime now, NodeId node, Stamp committed, Stamp accepted, bool other_file) {
  Life& life = lives_[node];
  const Epoch voted = std::max(life.promised, life.promised_before);
  const bool acknowledged_before = life.acknowledged || life.acknowledged_before;
  life = {};
  life.alive = true;
  life.other_file = other_file;
  life.started = machines_[node].clock.at(now);
  life.committed = committed;
  life.accepted = accepted;
  life.promised_before = voted;
  life.acknowledged_before = acknowledged_before;
  life.acknowledged_by.fill(std::numeric_limits<std::int64_t>::min());
  life.register_held_by.fill(std::numeric_limits<std::int64_t>::min());
}

void Checker::stopped(NodeId node) { lives_[node].alive = false; }

void Checker::forgot(NodeId node) {
  lives_[node].promised = lives_[node].promised_before = {};
  for (std::size_t i = 0; i < history_size_; ++i) history_[i].remembered_by.remove(node);
  if (newest_ == none || !history_[newest_].remembered_by.empty()) return;
  // What the last one decided alone is gone with its disk.
  newest_ = none;
  for (std::size_t i = 0; i < history_size_; ++i)
    if (history_[i].committed && !history_[i].remembered_by.empty() &&
        (newest_ == none || history_[newest_].record.stamp < history_[i].record.stamp))
      newest_ = i;
}

// ---- records --------------------------------------------------------------------------------------

std::size_t Checker::find(Stamp stamp) const {
  for (std::size_t i = history_size_; i > 0; --i)
    if (history_[i - 1].record.stamp == stamp) return i - 1;
  return none;
}

// The entry of this record's stamp; a second record under one stamp is a violation.
std::size_t Checker::know(SimTime now, const Record& record) {
  const std::size_t index = find(record.stamp);
  if (index != none) {
    if (!same_decision(history_[index].record, record))
      fail(Invariant::agreement, now,
           text("two different records carry stamp %llu.%d/%u", counter(record.stamp.epoch),
                proposer(record.stamp.epoch), record.stamp.version));
    return index;
  }
  for (std::size_t i = 0; i < history_size_; ++i) {
    const View& view = history_[i].record.view;
    if (view.epoch == record.view.epoch && !(view == record.view))
      fail(Invariant::agreement, now,
           text("two different views carry epoch %llu.%d", counter(view.epoch), proposer(view.epoch)));
  }
  if (history_size_ == history_.size()) history_.emplace_back();
  Known& known = history_[history_size_];
  known.record = record;
  known.accepted_by = known.remembered_by = {};
  known.accepted_in = {};
  known.committed = false;
  return history_size_++;
}

// A view that holds the node again ends an earlier vote against it.
void Checker::clear_votes_against_members(Life& life, const Record& record) {
  for (const NodeId member : record.view.members)
    if (record.stamp.epoch > life.voted_out_in[member] && record.view.holds(member, life.voted_out[member]))
      life.voted_out[member] = {};
}

// A core's newest known record changed. Knowing is not voting: only its own epochs' records, which a
// candidate accepts without a word, count as accepted here; all others with on_accepted().
void Checker::accepted(SimTime now, NodeId node, const Record& record) {
  Life& life = lives_[node];
  const std::size_t index = know(now, record);
  history_[index].remembered_by.add(node);
  if (record.stamp < life.accepted)
    fail(Invariant::agreement, now,
         text("node %d's accepted record went back to %llu.%d/%u", node + 1, counter(record.stamp.epoch),
              proposer(record.stamp.epoch), record.stamp.version));
  if (life.accepted.epoch < record.stamp.epoch) life.before = std::max({life.before, life.accepted, life.committed});
  // One step may accept, commit and go on to the next record of its own epoch.
  if (record.stamp.epoch.proposer == node)
    for (std::size_t i = 0; i <= index; ++i) {
      const Stamp stamp = history_[i].record.stamp;
      if (stamp.epoch == record.stamp.epoch && stamp > life.accepted && stamp <= record.stamp)
        count_acceptance(node, i);
    }
  life.accepted = record.stamp;
  clear_votes_against_members(life, record);
}

void Checker::count_acceptance(NodeId node, std::size_t index) {
  history_[index].accepted_by.add(node);
  history_[index].accepted_in[node] = machines_[node].daemon;
}

// A candidate accepted what it proposes, and may have gone on to later records in the same step.
void Checker::accepts_own(NodeId node, std::size_t index) {
  const Stamp stamp = history_[index].record.stamp;
  const Stamp newest = lives_[node].accepted;
  if (stamp.epoch.proposer == node && newest.epoch == stamp.epoch && newest >= stamp) count_acceptance(node, index);
}

void Checker::on_accepted(SimTime now, NodeId node, const Accepted& accepted) {
  waited(now, node, "accepted a record");
  vote(now, node, accepted.stamp.epoch, "accepted a record of");
  // One step may accept a record and then, alone a quorum, commit a view of its own.
  Life& life = lives_[node];
  if (accepted.stamp.epoch < life.accepted.epoch) life.before = std::max(life.before, accepted.stamp);
  const std::size_t index = find(accepted.stamp);
  if (index == none)
    fail(Invariant::agreement, now, text("node %d accepted a record that nobody proposed", node + 1));
  else
    count_acceptance(node, index);
}

void Checker::committed(SimTime now, NodeId node, const Record& record) {
  Life& life = lives_[node];
  const std::size_t index = know(now, record);
  history_[index].remembered_by.add(node);
  if (record.stamp < life.committed)
    fail(Invariant::agreement, now,
         text("node %d's committed record went back to %llu.%d/%u", node + 1, counter(record.stamp.epoch),
              proposer(record.stamp.epoch), record.stamp.version));
  if (life.committed.epoch != record.stamp.epoch) {
    life.committed_before = life.committed;
    life.went_on_ns = machines_[node].clock.at(now).ns;
  }
  life.committed = record.stamp;
  clear_votes_against_members(life, record);
  accepts_own(node, index);
  if (!history_[index].committed) first_commit(now, node, index);
}

NodeSet Checker::acceptors_in(const View& view, const Known& known) const {
  NodeSet set;
  for (const NodeId node : known.accepted_by)
    if (view.holds(node, known.accepted_in[node])) set.add(node);
  return set;
}

// A single member proposes and commits in one step, and the first record that is seen of its epoch is the second.
void Checker::first_commit(SimTime now, NodeId node, std::size_t index) {
  Known& known = history_[index];
  const Stamp stamp = known.record.stamp;
  check_rule(now, node, known);
  check_quorums(now, node, known);
  if (stamp.version == 1 || find({stamp.epoch, 1}) == none) check_succession(now, node, known);
  check_chain(now, node, known);
  check_expelled(now, known.record);
  check_files(now, known.record);
  check_clocks(now, known.record);
  known.committed = true;
  ++committed_count_;
  if (known.record.stamp.version == 1) ++committed_views_;
  if (newest_ == none || history_[newest_].record.stamp < known.record.stamp) newest_ = index;
  for (const NodeId member : known.record.view.members)
    if (known.record.view.holds(member, accusations_[member].of)) accusations_[member] = {};
}

// A record is committed once a quorum of its view and all who join have accepted it.
void Checker::check_quorums(SimTime now, NodeId node, const Known& known) {
  const Record& record = known.record;
  if (!decides(record.view, acceptors_in(record.view, known), won(record.stamp.epoch)))
    fail(Invariant::agreement, now,
         text("node %d holds %llu.%d/%u committed, but no quorum of its view has accepted it", node + 1,
              counter(record.stamp.epoch), proposer(record.stamp.epoch), record.stamp.version));
  // Whoever comes in must know what it is part of: a cold start counts on it.
  for (const NodeId member : record.view.members)
    if (record.stamp.version == 1 && !record.previous.holds(member, record.view.incarnations[member]) &&
        !acceptors_in(record.view, known).has(member))
      fail(Invariant::agreement, now,
           text("node %d holds %llu.%d/%u committed, but node %d, which joins, has not accepted it", node + 1,
                counter(record.stamp.epoch), proposer(record.stamp.epoch), record.stamp.version, member + 1));
}

// Every epoch builds on a record at least as new as all that earlier epochs have committed, unless no
// quorum of the view that committed it is left in the lives that accepted it.
void Checker::check_chain(SimTime now, NodeId node, const Known& known) {
  const Stamp stamp = known.record.stamp;
  const auto lost = [&](Stamp older, const Candidacy& newer) {
    fail(Invariant::durability, now,
         text("node %d: record %llu.%d/%u was committed, but epoch %llu.%d builds on %llu.%d/%u", node + 1,
              counter(older.epoch), proposer(older.epoch), older.version, counter(newer.epoch), proposer(newer.epoch),
              counter(newer.base.epoch), proposer(newer.base.epoch), newer.base.version));
  };
  const Candidacy own = candidacy(stamp.epoch);
  for (std::size_t i = 0; i < history_size_; ++i) {
    const Known& other = history_[i];
    if (!other.committed || !quorum_survives(other.record.view)) continue;
    if (other.record.stamp.epoch < stamp.epoch && own.proposed && own.base < other.record.stamp)
      lost(other.record.stamp, own);
    if (other.record.stamp.epoch > stamp.epoch) {
      const Candidacy later = candidacy(other.record.stamp.epoch);
      if (later.proposed && later.base < stamp) lost(stamp, later);
    }
  }
  if (newest_ != none && quorum_survives(history_[newest_].record.view) && history_[newest_].record.stamp < stamp)
    check_word(now, node, history_[newest_].record, known.record);
  for (std::size_t g = 0; newest_ != none && g < config_->groups.size(); ++g) {
    const Record& last = history_[newest_].record;
    if (quorum_survives(last.view) && last.stamp < stamp && last.state.config_hash == known.record.state.config_hash &&
        known.record.state.groups[g].generation < last.state.groups[g].generation)
      fail(Invariant::durability, now, text("node %d: the generation of group %zu went back", node + 1, g));
  }
}

// Nodes of different configuration files are never in one view.
void Checker::check_files(SimTime now, const Record& record) {
  NodeSet of_one;
  NodeSet of_other;
  for (const NodeId member : record.view.members)
    if (lives_[member].alive && record.view.holds(member, machines_[member].daemon))
      (lives_[member].other_file ? of_other : of_one).add(member);
  if (!of_one.empty() && !of_other.empty())
    fail(Invariant::agreement, now,
         text("view %llu.%d holds node %d and node %d, which run by different configuration files",
              counter(record.view.epoch), proposer(record.view.epoch), of_one.lowest() + 1, of_other.lowest() + 1));
}

// ---- accusations ----------------------------------------------------------------------------------

// Silent on every link, by any permitted clock, is what the accused must not have been for this long.
bool Checker::sound_throughout(SimTime now, NodeId node, NodeSet kept) const {
  const SimTime window = config_->timing.detection.ns * 4;
  const SimTime since = now - window;
  if (since < 0 || soundness_.node[node] > since) return false;
  for (const NodeId other : kept)
    if (other != node && soundness_.pair[node][other] > since) return false;
  return true;
}

bool Checker::slow_among(SimTime now, NodeSet nodes) const {
  for (const NodeId node : nodes)
    if (soundness_.slow_until[node] > now) return true;
  return false;
}

void Checker::accuse(SimTime now, NodeId accuser, NodeSet accused, NodeSet kept) {
  // Beyond its cap, a detector no longer knows its own lateness from silence; nor where each step takes long,
  // and what it hears is old. It may accuse wrongly then, but it must not be believed.
  const bool knows_itself =
      soundness_.frozen_ns[accuser] * 5 < config_->timing.lateness_cap().ns * 4 && soundness_.slow_until[accuser] < now;
  // Where a third node was frozen, those who heard it last disagree for a while about who is silent.
  bool others_sound = true;
  for (const NodeId other : kept)
    if (other != accuser && soundness_.node[other] > now - config_->timing.detection.ns * 4) others_sound = false;
  for (const NodeId node : accused) {
    Accusation& accusation = accusations_[node];
    const Incarnation daemon = machines_[node].daemon;
    if (!daemon.known()) continue;
    if (!(accusation.of == daemon)) accusation = {daemon, false, false};
    accusation.made = true;
    // Nodes that run by another file are left out for that, however well they are heard. And where a slow node is
    // to stay, pairs look broken that are not.
    const bool justified = lives_[node].other_file != lives_[accuser].other_file || slow_among(now, kept) ||
                           !sound_throughout(now, node, kept) || !readable(accuser, node);
    accusation.justified = accusation.justified || justified;
    if (!justified && knows_itself && others_sound)
      fail(Invariant::accuser, now,
           text("node %d accuses node %d, which runs, and is heard by all that are to stay", accuser + 1, node + 1));
  }
}

void Checker::check_expelled(SimTime now, const Record& record) {
  if (!record.joint()) return;
  for (const NodeId node : record.expelled) {
    const Accusation& accusation = accusations_[node];
    const Incarnation daemon = machines_[node].daemon;
    if (!record.previous.holds(node, daemon) || record.view.members.has(node)) continue;
    if (accusation.of == daemon && accusation.made && !accusation.justified)
      fail(Invariant::accuser, now,
           text("epoch %llu.%d expels node %d, which ran, and was heard by all that stay", counter(record.stamp.epoch),
                proposer(record.stamp.epoch), node + 1));
  }
}

// ---- votes and proofs -----------------------------------------------------------------------------

Checker::Candidacy& Checker::candidacy(Epoch epoch) {
  for (std::size_t i = candidacies_.size(); i > 0; --i)
    if (candidacies_[i - 1].epoch == epoch) return candidacies_[i - 1];
  candidacies_.push_back({});
  candidacies_.back().epoch = epoch;
  return candidacies_.back();
}

void Checker::vote(SimTime now, NodeId node, Epoch epoch, const char* how) {
  Life& life = lives_[node];
  const auto complain = [&](Epoch bound, const char* why) {
    fail(Invariant::agreement, now,
         text("node %d %s epoch %llu.%d, though %s %llu.%d", node + 1, how, counter(epoch), proposer(epoch), why,
              counter(bound), proposer(bound)));
  };
  if (epoch < life.promised) complain(life.promised, "it has promised");
  if (epoch <= life.promised_before && !life.promised_before.is_genesis())
    complain(life.promised_before, "an earlier life of it has promised");
  life.promised = std::max(life.promised, epoch);
  candidacy(epoch).voted_in[node] = machines_[node].daemon;
}

// A restarted voter keeps quiet until every lease that it may have acknowledged before is over.
void Checker::waited(SimTime now, NodeId node, const char* what) {
  const Life& life = lives_[node];
  if (!life.acknowledged_before) return;
  if (machines_[node].clock.at(now) < life.started + outlast(config_->timing.lease))
    fail(
        Invariant::proof, now,
        text("node %d %s so soon after its restart that a lease it acknowledged before may still run", node + 1, what));
}

void Checker::vote_out(NodeId node, const Candidacy& candidacy) {
  for (const NodeId out : candidacy.out) {
    lives_[node].voted_out[out] = candidacy.out_as[out];
    lives_[node].voted_out_in[out] = candidacy.epoch;
  }
}

void Checker::on_prepare(SimTime now, NodeId node, const Prepare& prepare) {
  waited(now, node, "stood as a candidate");
  Candidacy& own = candidacy(prepare.epoch);
  if (!(own.by == machines_[node].daemon)) {
    own = {};
    own.epoch = prepare.epoch;
    own.by = machines_[node].daemon;
  }
  const std::size_t base = find(prepare.base);
  for (const NodeId out : prepare.expel) {
    // To leave out a life that has ended is no accusation.
    const Incarnation daemon = machines_[out].daemon;
    if (base == none || !history_[base].record.view.holds(out, daemon)) continue;
    // Taken in anew in another life, it must itself accept before anything counts on that.
    if (prepare.members.has(out)) continue;
    own.out.add(out);
    own.out_as[out] = daemon;
  }
  accuse(now, node, own.out, prepare.members);
  // A candidate need not have voted for itself.
  if (lives_[node].promised == prepare.epoch) vote_out(node, own);
}

void Checker::promised(SimTime now, NodeId node, Epoch epoch) {
  vote(now, node, epoch, "promised");
  vote_out(node, candidacy(epoch));
}

void Checker::on_promise(SimTime now, NodeId node, const Promise& promise) {
  waited(now, node, "promised");
  vote(now, node, promise.epoch, "promised");
  vote_out(node, candidacy(promise.epoch));
}

void Checker::on_accept(SimTime now, NodeId node, const Accept& accept) {
  Candidacy& own = candidacy(accept.record.stamp.epoch);
  if (!own.proposed) {
    own.proposed = true;
    const Life& life = lives_[node];
    for (const Stamp known : {life.accepted, life.committed, life.before})
      if (known.epoch < accept.record.stamp.epoch) own.base = std::max(own.base, known);
  }
  const std::size_t index = know(now, accept.record);
  accepts_own(node, index);
  const NodeSet out = accept.record.expelled - accept.record.view.members;
  for (const NodeId accused : out)
    if (accept.record.joint() && accept.record.previous.holds(accused, machines_[accused].daemon))
      accuse(now, node, NodeSet::of(accused), accept.record.view.members);
}

void Checker::sending(SimTime now, NodeId node, const Message& message) {
  if (const auto* prepare = std::get_if<Prepare>(&message)) on_prepare(now, node, *prepare);
  if (const auto* promise = std::get_if<Promise>(&message)) on_promise(now, node, *promise);
  if (const auto* accept = std::get_if<Accept>(&message)) on_accept(now, node, *accept);
  if (const auto* answer = std::get_if<Accepted>(&message)) on_accepted(now, node, *answer);
}

void Checker::receiving(NodeId node, const Message& message) {
  const auto* promise = std::get_if<Promise>(&message);
  if (promise == nullptr || promise->epoch.proposer != node) return;
  Candidacy& own = candidacy(promise->epoch);
  if (!own.proposed) own.base = std::max(own.base, promise->accepted.stamp);
}

void Checker::acknowledging(SimTime now, NodeId voter, NodeId holder, Incarnation of, std::int64_t sent_ns) {
  waited(now, voter, "acknowledged a lease");
  Life& life = lives_[voter];
  life.acknowledged = true;
  if (of.known() && life.voted_out[holder] == of)
    fail(Invariant::proof, now,
         text("node %d acknowledged a lease of node %d after its vote to expel it in %llu.%d", voter + 1, holder + 1,
              counter(life.voted_out_in[holder]), proposer(life.voted_out_in[holder])));
  if (!(machines_[holder].daemon == of)) return;
  std::int64_t& newest = lives_[holder].acknowledged_by[voter];
  newest = std::max(newest, sent_ns);
}

// The newest moment by which nodes that decide in the holder's view have acknowledged it, the holder's own word
// included; of a holder without a view, a majority of all. Whatever epoch they were of: the most generous reading.
std::int64_t Checker::granted_since(NodeId holder, Stamp committed, std::int64_t own_ns) const {
  constexpr std::int64_t never = std::numeric_limits<std::int64_t>::min();
  std::array<std::int64_t, max_sim_nodes> newest = lives_[holder].acknowledged_by;
  newest[holder] = own_ns;
  const std::size_t index = find(committed);
  // Half of a view lives by the tie-breaker, while that is held by one of them.
  std::int64_t register_read = never;
  std::int64_t by_register = never;
  if (index != none)
    for (const NodeId member : history_[index].record.view.members)
      register_read = std::max(register_read, lives_[holder].register_held_by[member]);
  NodeSet together;
  for (std::size_t turn = 0; turn < nodes_; ++turn) {
    NodeId next = no_node;
    for (std::size_t i = 0; i < nodes_; ++i) {
      const auto node = static_cast<NodeId>(i);
      if (!together.has(node) && newest[i] != never && (next == no_node || newest[i] > newest[next])) next = node;
    }
    if (next == no_node) break;
    together.add(next);
    const bool enough = index == none ? static_cast<std::size_t>(together.count()) > nodes_ / 2
                                      : decides(history_[index].record.view, together, false);
    if (enough) return std::max(newest[next], by_register);
    if (index != none && decides(history_[index].record.view, together, true))
      by_register = std::max(by_register, std::min(newest[next], register_read));
  }
  return by_register;
}

void Checker::renewing(SimTime now, NodeId node, Instant until) {
  const std::int64_t own = machines_[node].clock.at(now).ns;
  if (until.ns <= own) return;  // opens nothing
  const Life& life = lives_[node];
  std::int64_t from = granted_since(node, life.committed, own);
  // A step that renews a lease and then goes on to another view is seen when it is over.
  if (!life.committed_before.epoch.is_genesis())
    from = std::max(from, granted_since(node, life.committed_before, life.went_on_ns));
  const bool never = from == std::numeric_limits<std::int64_t>::min();
  const std::int64_t most = never ? own : from + config_->timing.lease.ns;
  if (until.ns <= most) return;
  fail(Invariant::proof, now,
       text("node %d renews its lease further than a quorum has acknowledged, by %.3f ms%s", node + 1,
            static_cast<double>(until.ns - most) / 1e6, never ? ": none has" : ""));
}

// ---- takeover steps -------------------------------------------------------------------------------

// True when the newest view holds both, as they run now: then only the word of the one lets the other act.
bool Checker::both_members(NodeId a, NodeId b) const {
  if (newest_ == none || !lives_[a].alive || !lives_[b].alive) return false;
  const View& view = history_[newest_].record.view;
  return view.holds(a, machines_[a].daemon) && view.holds(b, machines_[b].daemon);
}

// An order from before the machine stood still, within the one lease that is excused.
bool Checker::excused_order(NodeId node, Instant until) const {
  const Machine& machine = machines_[node];
  return machine.exposed_until.ns > 0 && until <= machine.exposed_until;
}

void Checker::opening_gate(SimTime now, NodeId node, std::size_t group, std::size_t address, Instant until) {
  // An order that was late, and finds its lease over, opens nothing.
  if (until <= machines_[node].clock.at(now)) return;
  for (std::size_t i = 0; i < nodes_; ++i) {
    const auto other = static_cast<NodeId>(i);
    if (other == node) continue;
    const bool excused = machines_[i].excused(group, address) || excused_order(node, until);
    if (!excused && machines_[i].gate_open(group, address, now))
      fail(Invariant::proof, now,
           text("node %d opens its gate for address %zu of group %zu while the lease of node %d keeps its own open",
                node + 1, address, group, other + 1));
    else if (machines_[i].addresses[group][address].gate && both_members(node, other))
      fail(Invariant::proof, now,
           text("node %d opens its gate for address %zu of group %zu, which node %d, a live member, has not released",
                node + 1, address, group, other + 1));
  }
}

void Checker::starting_application(SimTime now, NodeId node, std::size_t group) {
  const bool only_address_matters = config_->groups[group].application.state == ApplicationState::none;
  for (std::size_t i = 0; i < nodes_; ++i) {
    const auto other = static_cast<NodeId>(i);
    if (other == node || !machines_[i].running[group]) continue;
    if (only_address_matters && !both_members(node, other)) continue;
    fail(only_address_matters ? Invariant::proof : Invariant::one_owner, now,
         text("node %d starts the application of group %zu, which still runs on node %d", node + 1, group, other + 1));
  }
}

void Checker::serving(SimTime now, NodeId node, std::size_t group, std::size_t address) {
  for (std::size_t i = 0; i < nodes_; ++i)
    if (i != node && machines_[i].serves(group, address, now) && !machines_[i].excused(group, address) &&
        !machines_[node].excused(group, address))
      fail(Invariant::one_owner, now,
           text("nodes %d and %zu both serve address %zu of group %zu", node + 1, i + 1, address, group));
}

}  // namespace vigil::sim
