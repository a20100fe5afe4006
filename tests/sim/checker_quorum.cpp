// I2's other part: by whose votes a view came about, and by which rule they are counted. See checker.hpp.
#include <algorithm>

#include "tests/sim/checker.hpp"
#include "tests/sim/checker_text.hpp"
#include "tests/sim/votes.hpp"

namespace vigil::sim {

// ---- the tie-breaker ------------------------------------------------------------------------------

void Checker::tie_breaker_won(SimTime now, NodeId by, Epoch epoch) {
  if (epoch.proposer != by || won(epoch))
    fail(Invariant::agreement, now,
         text("node %d wins the tie-breaker for %llu.%d, which is not its to win", by + 1, counter(epoch),
              proposer(epoch)));
  won_.push_back(epoch);
}

bool Checker::won(Epoch epoch) const { return std::find(won_.begin(), won_.end(), epoch) != won_.end(); }

void Checker::tie_breaker_read(NodeId node, bool ok, std::int64_t asked_ns, Epoch held) {
  if (!ok || held.proposer >= max_sim_nodes) return;
  std::int64_t& newest = lives_[node].register_held_by[held.proposer];
  newest = std::max(newest, asked_ns);
}

// ---- successions ----------------------------------------------------------------------------------

NodeSet Checker::alive_in(const View& view) const {
  NodeSet alive;
  for (const NodeId member : view.members)
    if (lives_[member].alive && view.holds(member, machines_[member].daemon)) alive.add(member);
  return alive;
}

// The half that has the tie-breaker is as good as a quorum: what it was won for is one of its members' epochs.
bool Checker::quorum_survives(const View& view) const {
  const NodeSet alive = alive_in(view);
  const bool held = !won_.empty() && won_.back() >= view.epoch && view.members.has(won_.back().proposer);
  return decides(view, alive, held && alive.has(won_.back().proposer));
}

// The members of the old view that voted for this epoch, in the lives that the view knows.
NodeSet Checker::bound_in(const View& old, const Known& link) {
  NodeSet bound = acceptors_in(old, link);
  const Candidacy& own = candidacy(link.record.stamp.epoch);
  for (const NodeId member : old.members)
    if (old.holds(member, own.voted_in[member])) bound.add(member);
  return bound;
}

// Back from a record through what it replaces, proposals that were never committed included. Of an epoch whose first
// record was never seen yet, a single member proposed it all in one step, and built on what it had accepted before, or was
// told of with a promise.
const Checker::Known* Checker::replaced_by(Epoch after, const Known& link) const {
  const Record& record = link.record;
  const NodeId proposer = record.stamp.epoch.proposer;
  const bool unseen = record.stamp.version > 1 && find({record.stamp.epoch, 1}) == none;
  Epoch before = lives_[proposer].before.epoch;
  for (const Candidacy& own : candidacies_)
    if (own.epoch == record.stamp.epoch) before = std::max(before, own.base.epoch);
  const Epoch previous = record.joint() ? record.previous.epoch : unseen ? before : Epoch{};
  if (previous <= after || previous >= record.stamp.epoch) return nullptr;
  for (std::size_t i = 0; i < history_size_; ++i)
    if (history_[i].record.stamp.epoch == previous) return &history_[i];
  return nullptr;
}

// Somewhere on the way there is an epoch for which so many members of the old view voted that the others decide
// nothing without them: from then on the old view's decisions were complete, and known to its successor.
bool Checker::succeeded(const View& old, const Known& record) {
  for (const Known* link = &record; link != nullptr; link = replaced_by(old.epoch, *link)) {
    const NodeSet others = old.members - bound_in(old, *link);
    // They could still win the tie-breaker, unless it was won for this epoch, or they are not there any more.
    const bool may_win = !won(link->record.stamp.epoch);
    if (!decides(old, others, false) && !(may_win && decides(old, others & alive_in(old), true))) return true;
  }
  return false;
}

// … there is an epoch for which a quorum of the old view voted, those that are down on an operator's word included, or
// every voter.
bool Checker::decided(const View& old, const Known& record) {
  for (const Known* link = &record; link != nullptr; link = replaced_by(old.epoch, *link))
    if (every_voter(*link) || decides(old, bound_in(old, *link) | vouched_for(), won(link->record.stamp.epoch)))
      return true;
  return false;
}

bool Checker::every_voter(const Known& known) {
  const Record& record = known.record;
  const Candidacy& own = candidacy(record.stamp.epoch);
  NodeSet voted = vouched_for() | known.accepted_by;
  for (std::size_t i = 0; i < nodes_; ++i)
    if (own.voted_in[i].known()) voted.add(static_cast<NodeId>(i));
  return voted.includes(voters_of(file_of(record)));
}

// Where rules follow their members, or a tie-breaker stands in for votes, any part of the nodes may have gone on
// alone: nothing but its quorum, or every voter, ends a view.
bool Checker::counts_by_own_quorum(const Record& record, const View& view) const {
  const QuorumConfig& quorum = file_of(record).quorum;
  return quorum.policy == QuorumPolicy::last_man_standing || !quorum.tie_breaker.empty() ||
         view.rule.kind != QuorumKind::majority || !view.also.voters.empty();
}

// The newest committed of earlier epochs.
const Checker::Known* Checker::committed_before(Epoch epoch) const {
  const Known* newest = nullptr;
  for (std::size_t i = 0; i < history_size_; ++i) {
    const Known& other = history_[i];
    const bool older = other.committed && other.record.stamp.epoch < epoch;
    if (older && (newest == nullptr || newest->record.stamp < other.record.stamp)) newest = &other;
  }
  return newest;
}

void Checker::check_succession(SimTime now, NodeId node, const Known& known) {
  const Record& record = known.record;
  const auto complain = [&](const char* what) {
    fail(Invariant::agreement, now,
         text("node %d holds %llu.%d/%u committed, %s", node + 1, counter(record.stamp.epoch),
              proposer(record.stamp.epoch), record.stamp.version, what));
  };
  const Known* const before = committed_before(record.stamp.epoch);
  if (before == nullptr) {
    const QuorumConfig& quorum = file_of(record).quorum;
    const bool needed =
        quorum.wait_for_all || quorum.policy == QuorumPolicy::last_man_standing || !quorum.tie_breaker.empty();
    for (const Known* link = &known; needed && link != nullptr; link = replaced_by({}, *link))
      if (every_voter(*link)) return;
    if (needed) complain("the first view of all, without every voter");
    return;
  }
  const View& old = before->record.view;
  if (quorum_survives(old) && !succeeded(old, known)) {
    const std::string what =
        text("but a quorum of view %llu.%d lives that never voted for it", counter(old.epoch), proposer(old.epoch));
    return complain(what.c_str());
  }
  if (counts_by_own_quorum(record, old) && !decided(old, known))
    complain("but neither a quorum of the view before nor every voter has voted for it");
}

// ---- rules ----------------------------------------------------------------------------------------

// A rule counts configured votes, and all of them under a majority's; it changes in a view of the same members that
// counts by the old one too, and in no other way but at a start, with another file, or on an operator's word.
void Checker::check_rule(SimTime now, NodeId node, const Known& known) {
  const Record& record = known.record;
  const View& view = record.view;
  const View& before = record.previous;
  const ClusterConfig& config = file_of(record);
  const NodeSet voters = voters_of(config);
  const auto complain = [&](const char* what) {
    fail(Invariant::agreement, now,
         text("node %d holds %llu.%d/%u committed, whose rule of quorum %s", node + 1, counter(record.stamp.epoch),
              proposer(record.stamp.epoch), record.stamp.version, what));
  };
  const bool changing = !view.also.voters.empty();
  if (!counts_exactly(view.rule, config, view.rule.voters) ||
      (changing && !counts_exactly(view.also, config, view.also.voters)))
    return complain("counts other votes than the configuration's");
  const bool by_members = config.quorum.policy == QuorumPolicy::last_man_standing;
  if ((view.rule.kind == QuorumKind::last_man_standing) != by_members) return complain("is not the configured one");
  if (view.rule.kind == QuorumKind::majority && view.rule.voters != voters) return complain("leaves voters out");
  if (record.stamp.version != 1) return;
  const std::size_t base = find({before.epoch, 1});
  const bool begins = !before.exists() || base == none || vouched() || every_voter(known) ||
                      history_[base].record.state.config_hash != record.state.config_hash;
  const bool same = view.rule == before.rule && view.also == before.also;
  const bool first_step = changing && view.also == before.rule && before.also.voters.empty();
  const bool second_step = !changing && view.rule == before.rule && !before.also.voters.empty();
  if (begins || same) return;
  if (!first_step && !second_step) return complain("is more than a step from the one before");
  if (view.members != before.members) return complain("changes together with its members");
}

}  // namespace vigil::sim
