#include "runtime/core/voter.hpp"

#include <algorithm>

#include "runtime/base/seeded_bugs.hpp"
#include "runtime/core/desired_view.hpp"

namespace vigil {

namespace {

// One raise of the ceiling serves this many epochs; the next is asked for when half are used.
constexpr std::uint64_t ceiling_step = 1000;
// A full disk is emptied sooner or later.
constexpr Duration storage_retry = Duration::from_s(1);

}  // namespace

Voter::Voter(const ClusterConfig& config, NodeId self, Incarnation incarnation, const StoredState& stored, Instant now)
    : config_(config), self_(self), incarnation_(incarnation), accepted_(stored.accepted) {
  // An earlier life may have acknowledged a lease just before it ended.
  const Duration acknowledged = stored.longest_acknowledged.ns == 0 ? longest_lease : stored.longest_acknowledged;
  wait_until_ = now + outlast(longer(acknowledged, config.timing.lease));
  longest_lease_stored_ = longer(acknowledged, config.timing.lease);
  stored_keys_ = accepted_.state.keys;
  forgotten_ = stored.epoch_ceiling;
  promised_ = {stored.epoch_ceiling, no_node};
  highest_seen_ = stored.epoch_ceiling;
  wanted_counter_ = stored.epoch_ceiling + 1;
  if (seeded_bug(Bug::no_restart_wait)) wait_until_ = now;
  if (seeded_bug(Bug::reuse_epochs_after_restart)) promised_ = {}, highest_seen_ = 0;
  if (seeded_bug(Bug::admitted_before_clean)) clean_ = true;
  if (seeded_bug(Bug::restarted_voter_votes_at_once)) {
    wait_until_ = now;
    promised_ = {};
    accepted_ = Record{};
  }
}

void Voter::persist(Effects& effects) {
  StoredState state;
  state.epoch_ceiling = requested_ceiling_;
  state.accepted = accepted_;
  state.longest_acknowledged = longest_lease_stored_;
  if (keys_token_ == 0) {
    storing_keys_ = accepted_.state.keys;
    keys_token_ = next_token_;
  }
  effects.push(effect::Persist{next_token_++, state});
}

void Voter::raise_ceiling(std::uint64_t counter, Effects& effects) {
  if (counter > wanted_counter_) wanted_counter_ = counter;
  if (wanted_counter_ + ceiling_step / 2 <= requested_ceiling_) return;
  requested_ceiling_ = wanted_counter_ + ceiling_step;
  ceiling_token_ = next_token_;
  persist(effects);
}

void Voter::on_persisted(Instant now, const event::Persisted& persisted) {
  if (!persisted.ok) {
    storage_failed_ = true;
    store_again_ = now + storage_retry;
    return;
  }
  // Writes complete in order: a later token covers an earlier one.
  if (persisted.token >= ceiling_token_) persisted_ceiling_ = requested_ceiling_;
  const bool newest = persisted.token + 1 == next_token_;
  if (newest || (keys_token_ != 0 && persisted.token >= keys_token_)) {
    stored_keys_ = newest ? accepted_.state.keys : storing_keys_;
    storing_keys_ = accepted_.state.keys;
    keys_token_ = newest ? 0 : next_token_ - 1;
  }
  storage_failed_ = false;
}

std::optional<Epoch> Voter::next_epoch() {
  const std::uint64_t counter = newest_counter() + 1;
  if (counter > wanted_counter_) wanted_counter_ = counter;
  if (counter > persisted_ceiling_) return std::nullopt;
  return Epoch{counter, self_};
}

void Voter::leap(std::int64_t wall_ns) {
  constexpr std::uint64_t where_no_clock_helps = 1'000'000;
  highest_seen_ = newest_counter() + where_no_clock_helps;
  if (wall_ns > years_begin_ns)
    highest_seen_ = std::max(highest_seen_, static_cast<std::uint64_t>((wall_ns - years_begin_ns) / 1'000'000));
  wanted_counter_ = std::max(wanted_counter_, highest_seen_ + 1);
}

void Voter::advance(const PeerTable& table, Effects& effects) {
  if (table.now >= wait_until_) longest_lease_stored_ = config_.timing.lease;
  raise_ceiling(promised_.counter, effects);
  if (storage_failed_ && table.now >= store_again_) {
    store_again_ = table.now + storage_retry;
    ceiling_token_ = next_token_;
    persist(effects);
  }
  if (!held_) return;
  const HeldVote vote = *held_;
  if (vote.prepare.epoch <= promised_ || table.now - vote.since > config_.timing.round_among(config_.nodes.size())) {
    held_.reset();
    return;
  }
  consider(table, vote, effects);
}

Instant Voter::next_deadline() const {
  return held_ ? held_->since + config_.timing.vote_hold() : Instant::never();
}

void Voter::refuse(NodeId to, Epoch epoch, NackReason reason, NodeSet suspects_heard, Effects& effects) const {
  effects.push(effect::SendMessage{to, Nack{epoch, promised_, reason, suspects_heard}});
}

void Voter::on_prepare(const PeerTable& table, NodeId from, const Prepare& prepare, Effects& effects) {
  saw_epoch(prepare.epoch);
  raise_ceiling(prepare.epoch.counter, effects);
  if (!ready(table.now)) return refuse(from, prepare.epoch, NackReason::not_ready, {}, effects);
  if (prepare.epoch.proposer != from) return;
  if (table.behind.has(from)) return;  // its rounds come to nothing, and each would outbid those of the others
  if (!prepare.members.has(self_) || prepare.incarnations[self_] != incarnation_)
    return refuse(from, prepare.epoch, NackReason::not_in_proposal, {}, effects);
  if (prepare.epoch == promised_ && prepare.incarnations[from] == promised_life_)
    return promise(table.now, from, prepare, effects);
  if (prepare.epoch <= promised_ && !(seeded_bug(Bug::vote_twice_in_epoch) && prepare.epoch.counter == promised_.counter))
    return refuse(from, prepare.epoch, NackReason::epoch_too_low, {}, effects);
  if (prepare.epoch.counter > persisted_ceiling_) return;  // asked for; the candidate repeats itself
  // The hold is for evidence to show, whoever asks: another candidate's turn does not begin it anew.
  const bool same = held_ && held_->prepare.members == prepare.members;
  HeldVote vote{from, prepare, same ? held_->since : table.now};
  consider(table, vote, effects);
}

void Voter::consider(const PeerTable& table, const HeldVote& vote, Effects& effects) {
  NodeSet objected;
  const Opinion opinion = opinion_of(table, vote.from, vote.prepare, vote.since, objected);
  if (opinion == Opinion::hold) {
    held_ = vote;
    return;
  }
  if (opinion == Opinion::object) {
    if (held_ && held_->from == vote.from) held_.reset();
    return refuse(vote.from, vote.prepare.epoch, NackReason::still_hear_suspect, objected, effects);
  }
  held_.reset();
  promise(table.now, vote.from, vote.prepare, effects);
}

// May this member of the known view be left out, as far as we can tell?
Voter::Opinion Voter::opinion_of_one(const PeerTable& table, const Prepare& prepare, Instant since,
                                     NodeId node) const {
  const Peer& peer = table.peers[node];
  const View& view = accepted_.view;
  if (!peer.known || !peer.heard) return Opinion::agree;
  if (!view.holds(node, peer.latest.incarnation) || peer.latest.leaving) return Opinion::agree;
  if (table.now - peer.last_sign > config_.timing.detection / 2) return Opinion::agree;
  const NodeSet connected = largest_connected(table, prepare.members | NodeSet::of(node), view.coordinator);
  if (connected.has(node)) return Opinion::object;
  return table.now - since >= config_.timing.vote_hold() ? Opinion::agree : Opinion::hold;
}

Voter::Opinion Voter::opinion_of(const PeerTable& table, NodeId from, const Prepare& prepare, Instant since,
                                 NodeSet& objected) const {
  Opinion worst = Opinion::agree;
  if (from == self_) return worst;  // the candidate has made up its mind
  // Who builds on a newer record than ours answers for those whom it leaves out anew: the rest was judged before.
  const bool newer = accepted_.stamp < prepare.base;
  for (NodeId node : newer ? prepare.expel & accepted_.view.members : accepted_.view.members) {
    if (node == self_ || node == from) continue;
    if (prepare.members.has(node) && accepted_.view.holds(node, prepare.incarnations[node])) continue;
    const Opinion one = opinion_of_one(table, prepare, since, node);
    if (one == Opinion::object) objected.add(node);
    if (one > worst) worst = one;
  }
  return worst;
}

void Voter::promise(Instant now, NodeId to, const Prepare& prepare, Effects& effects) {
  if (prepare.epoch > promised_) {
    promised_ = prepare.epoch;
    promised_life_ = prepare.incarnations[to];
  }
  // From here on, nodes that the proposal leaves out are not acknowledged any more.
  leases_.leave_out(prepare.members);
  if (seeded_bug(Bug::later_promise_readmits)) leases_.keep_only(prepare.members);
  Promise answer;
  answer.epoch = prepare.epoch;
  answer.recovering = !accepted_in_this_life_;
  answer.forgotten = forgotten_;
  // What the candidate holds already, or holds something newer than, tells it nothing.
  if (prepare.base < accepted_.stamp && !seeded_bug(Bug::forget_accepted_on_promise)) answer.accepted = accepted_;
  leases_.leases_left(now, prepare.members, answer.leases);
  effects.push(effect::SendMessage{to, answer});
}

void Voter::on_accept(Instant now, NodeId from, const Accept& accept, Effects& effects) {
  const Record& record = accept.record;
  saw_epoch(record.stamp.epoch);
  raise_ceiling(record.stamp.epoch.counter, effects);
  if (!ready(now) || !record.view.holds(self_, incarnation_)) return;
  if (record.stamp.epoch.proposer != from) return;
  const Incarnation& proposer_life = record.view.incarnations[from];
  const bool used_by_another_life = record.stamp.epoch == promised_ && proposer_life != promised_life_;
  const bool too_low = record.stamp.epoch < promised_ && !seeded_bug(Bug::accept_below_promise);
  if (too_low || used_by_another_life)
    return refuse(from, record.stamp.epoch, NackReason::epoch_too_low, {}, effects);
  if (record.stamp.epoch.counter > persisted_ceiling_) return;
  promised_ = record.stamp.epoch;
  promised_life_ = proposer_life;
  if (accepted_.stamp < record.stamp) {
    accepted_ = record;
    leases_.keep_only(record.view.members);
    persist(effects);
  }
  if (accepted_.stamp != record.stamp) return;  // an old version, overtaken
  accepted_in_this_life_ = true;
  effects.push(effect::SendMessage{from, Accepted{record.stamp}});
}

void Voter::learn(const Record& record, Effects& effects) {
  saw_epoch(record.stamp.epoch);
  if (record.stamp <= accepted_.stamp) return;
  accepted_ = record;
  persist(effects);
}

void Voter::on_committed(const View& view) {
  saw_epoch(view.epoch);
  if (view.epoch >= promised_ || seeded_bug(Bug::commit_undoes_vote)) leases_.keep_only(view.members);
}

}  // namespace vigil
