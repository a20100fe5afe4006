// The record in force: learning of commits, installing them, answering those who lag. See membership.hpp.
#include "runtime/core/membership.hpp"

#include "runtime/base/seeded_bugs.hpp"
#include "runtime/core/quorum.hpp"

namespace vigil {

namespace {

// Why half of the votes are not enough now.
const char* half_text(TieBreaker::Answer answer) {
  switch (answer) {
    case TieBreaker::Answer::lost: return "no quorum: half of the votes, and the tie-breaker is the others'";
    case TieBreaker::Answer::failed: return "no quorum: half of the votes, and the tie-breaker cannot be used";
    case TieBreaker::Answer::ours:
    case TieBreaker::Answer::stale: return "no quorum: half of the votes; about to go for the tie-breaker";
  }
  return "no quorum: half of the votes";
}

}  // namespace

Membership::Membership(const ClusterConfig& config, const NodeOptions& options, Instant now)
    : config_(config),
      self_(options.self),
      incarnation_(options.incarnation),
      voter_(config, options.self, options.incarnation, options.stored, now),
      lease_(options.self, config.timing.lease),
      coordinator_(config),
      notes_(config, options.self),
      random_(options.seed) {}

DesiredView Membership::desired(const MembershipContext& context, const Record& base) const {
  DesiredInput input;
  input.config = &config_;
  input.table = context.table;
  input.base = &base;
  input.self_incarnation = incarnation_;
  input.self_ready = voter_.ready(context.now);
  input.self_leaving = context.leaving;
  input.committed = committed_.stamp.epoch;
  return desired_view(input);
}

NodeFacts Membership::facts(const MembershipContext& context) const {
  NodeFacts facts = context.facts;
  facts.ready = committed_.view.members;
  return facts;
}

// ---- time --------------------------------------------------------------------------------------

void Membership::advance(const MembershipContext& context, Effects& effects) {
  voter_.advance(*context.table, effects);
  catch_up(context, effects);
  // Whoever learns of a record that leaves this life out, committed or not, gives it up: it loses only what
  // it serves, and a new life can be admitted.
  const Record& newest = voter_.accepted();
  const bool left_out = newest.view.incarnations[self_] == incarnation_ && !newest.view.members.has(self_);
  if (left_out || passes_by(newest.stamp, newest.view)) give_up();
  if (expelled_) return;
  const Stamp accepted = voter_.accepted().stamp;
  if (accepted <= committed_.stamp) {
    unfinished_since_ = Instant::never();
  } else if (unfinished_since_.is_never() || unfinished_ != accepted) {
    unfinished_since_ = context.now;
    unfinished_ = accepted;
  }
  notes_.silences(*context.table, *context.detector, committed_.view, effects);
  if (voter_.promised() <= voter_.accepted().stamp.epoch) {
    bound_since_ = Instant::never();
  } else if (bound_since_.is_never() || bound_ != voter_.promised()) {
    bound_since_ = context.now;
    bound_ = voter_.promised();
  }
  const Duration patience_spent = round_lasts();
  if (auto* preparing = std::get_if<Preparing>(&candidacy_)) {
    const bool patient = context.now - preparing->started <= patience_spent || tie_breaker_.busy(context.now);
    if (!patient || preparing->epoch < voter_.promised())
      abandon(context, pause_after_failure());
    else if (context.now >= preparing->resend)
      send_prepare(context, *preparing, effects);
  } else if (auto* proposing = std::get_if<Proposing>(&candidacy_)) {
    const bool view_change = proposing->record.stamp.version == 1;
    const Duration proposed_for = context.now - proposing->started;
    // A quorum is heard, and does not get what its coordinator proposes: another one shall.
    const bool out_of_reach = proposed_for > config_.timing.follow_limit() &&
                              committed_.view.is_quorum_holding(context.table->self_heard | NodeSet::of(self_));
    if ((view_change && proposed_for > patience_spent) || out_of_reach)
      abandon(context, pause_after_failure());
    else if (context.now >= proposing->resend)
      send_accept(context, *proposing, effects);
  }
  vouched_ = context.now < vouched_until_ ? vouched_ - context.table->self_heard : NodeSet{};
  watch_followers(context);
  consider_candidacy(context, effects);
  read_tie_breaker(context, effects);
  if (std::holds_alternative<Idle>(candidacy_)) notes_.round_over(context.now, effects);
  if (leading_ && std::holds_alternative<Idle>(candidacy_)) propose_state(context, effects);
}

// Two steps of a rule need not share a quorum, and a lease lives by the rule of the view that acknowledged it. So the
// next step waits until everybody acknowledges in this view, and leases of earlier ones are over.
void Membership::watch_followers(const MembershipContext& context) {
  bool all = member() && !committed_.view.epoch.is_genesis();
  for (NodeId node : committed_.view.members)
    all = all && (node == self_ || (context.table->peers[node].known &&
                                    context.table->peers[node].latest.committed.epoch == committed_.view.epoch));
  if (!all)
    all_follow_since_ = Instant::never();
  else if (all_follow_since_.is_never())
    all_follow_since_ = context.now;
  // A member that starts anew later does not bring them back.
  leases_follow_ = leases_follow_ || (all && context.now - all_follow_since_ >= outlast(config_.timing.lease));
}

// A view that lives by it renews its leases by reading it again and again, and only so.
void Membership::read_tie_breaker(const MembershipContext& context, Effects& effects) {
  if (!member() || !committed_.view.lives_by_tie_breaker()) {
    next_tie_breaker_read_ = Instant::never();
    return;
  }
  if (!next_tie_breaker_read_.is_never() && context.now < next_tie_breaker_read_) return;
  next_tie_breaker_read_ = context.now + config_.timing.interval;
  if (tie_breaker_.busy(context.now) || std::holds_alternative<Preparing>(candidacy_)) return;
  tie_breaker_.read(context.now, committed_.view.epoch, committed_.view.members, effects);
}

Instant Membership::next_deadline() const {
  Instant next = earlier(voter_.next_deadline(), next_tie_breaker_read_);
  if (!leases_follow_ && !all_follow_since_.is_never())
    next = earlier(next, all_follow_since_ + outlast(config_.timing.lease));
  if (const auto* preparing = std::get_if<Preparing>(&candidacy_)) next = earlier(next, preparing->resend);
  if (const auto* proposing = std::get_if<Proposing>(&candidacy_)) next = earlier(next, proposing->resend);
  return next;
}

// ---- learning of commits -----------------------------------------------------------------------

void Membership::note_leases(Instant now, const LeasesLeft& leases) {
  for (const LeaseLeft& lease : leases) {
    account_for(lease.node);
    if (!seeded_bug(Bug::skip_lease_wait)) all_leases_over_ = later(all_leases_over_, now + lease.left);
  }
}

// A proposal tells how long the leases of those it leaves out may last. Waiting for them is harmless if it
// fails; knowing them counts only once it is committed.
void Membership::hear_leases(Instant now, const Accept& accept) {
  if (accept.record.stamp.epoch < voter_.promised()) return;
  if (accept.record.stamp.epoch != told_epoch_) told_ = NodeSet{};
  told_epoch_ = accept.record.stamp.epoch;
  for (const LeaseLeft& lease : accept.leases) {
    told_.add(lease.node);
    if (!seeded_bug(Bug::skip_lease_wait)) all_leases_over_ = later(all_leases_over_, now + lease.left);
  }
}

// A node outside the view that may still serve something, and of whose lease nobody told us: it may
// have been acknowledged until this moment.
void Membership::account_for_unproven(Instant now) {
  NodeSet unproven = committed_.state.unfenced | committed_.expelled;
  for (std::size_t i = 0; i < committed_.state.group_count; ++i) unproven = unproven | committed_.state.groups[i].unproven;
  bool unknown = false;
  for (NodeId node : unproven - committed_.view.members) {
    unknown = unknown || accounted_[node] != committed_.view.incarnations[node] || !accounted_[node].known();
    account_for(node);
  }
  if (unknown && !seeded_bug(Bug::skip_lease_wait)) all_leases_over_ = later(all_leases_over_, now + outlast(config_.timing.lease));
}

// A view that follows from ours holds this life, or votes it out. One that knows nothing of it goes on from another past:
// what is served here is unknown there, and would be started beside us.
bool Membership::passes_by(const Stamp& stamp, const View& view) const {
  return member() && committed_.stamp.epoch < stamp.epoch && !view.holds(self_, incarnation_);
}

// It takes this life in as if it had been nowhere before.
bool Membership::goes_past_this_life(const Record& next) const {
  return next.joint() && passes_by(next.stamp, next.previous) && next.view.holds(self_, incarnation_);
}

// This life is over: it serves nothing from now on, and a new one can be admitted.
void Membership::give_up() {
  expelled_ = true;
  candidacy_ = Idle{};
  lease_.surrender();
}

void Membership::install(const MembershipContext& context, const Record& record, const LeasesLeft& leases,
                         Effects& effects) {
  if (record.stamp <= committed_.stamp && !seeded_bug(Bug::install_older_record)) return;
  if (goes_past_this_life(record)) return give_up();
  const Record& known = voter_.accepted();
  // Also when we never heard that we were: the view remembers in which life we were in.
  const bool was_member = member() || record.view.incarnations[self_] == incarnation_ ||
                          (known.stamp < record.stamp && known.view.holds(self_, incarnation_));
  const bool new_view = record.stamp.epoch != committed_.stamp.epoch;
  const View before = committed_.view;
  committed_ = record;
  voter_.learn(record, effects);
  voter_.on_committed(record.view);
  lease_.on_view(record.view);
  if (record.stamp.epoch == told_epoch_)
    for (NodeId node : told_) account_for(node);
  note_leases(context.now, leases);
  account_for_unproven(context.now);
  if (record.view.coordinator != self_ || record.stamp.epoch.proposer != self_) {
    leading_ = false;
    coordinator_.resign();
  }
  if (std::holds_alternative<Preparing>(candidacy_) && std::get<Preparing>(candidacy_).epoch < record.stamp.epoch)
    abandon(context, {});
  if (!member()) {
    if (was_member) give_up();
    return;
  }
  if (!new_view) return;
  lost_lead_ = false;
  vouched_ = {};
  all_follow_since_ = Instant::never();
  leases_follow_ = false;
  const Duration leases_last = all_leases_over_ > context.now ? all_leases_over_ - context.now : Duration{};
  notes_.installed(record, before, leases_last, effects);
}

// Heartbeats say what their senders know committed. What we hold under the same stamp is the same record;
// what we lack is fetched.
void Membership::catch_up(const MembershipContext& context, Effects& effects) {
  Stamp newest = committed_.stamp;
  NodeId holder = no_node;
  for (NodeId node : context.table->self_heard) {
    const Peer& peer = context.table->peers[node];
    if (!peer.known || peer.latest.committed <= newest) continue;
    newest = peer.latest.committed;
    holder = node;
  }
  if (holder == no_node) return;
  voter_.saw_epoch(newest.epoch);
  if (voter_.accepted().stamp == newest) {
    const Record record = voter_.accepted();
    install(context, record, {}, effects);
    return;
  }
  if (context.now < next_fetch_) return;
  next_fetch_ = context.now + config_.timing.retry();
  effects.push(effect::SendMessage{holder, Fetch{committed_.stamp}});
}

void Membership::on_commit(const MembershipContext& context, NodeId from, const Commit& commit, Effects& effects) {
  if (commit.stamp <= committed_.stamp) return;
  if (voter_.accepted().stamp == commit.stamp) {
    const Record record = voter_.accepted();
    install(context, record, commit.leases, effects);
  } else {
    effects.push(effect::SendMessage{from, Fetch{committed_.stamp}});
  }
}

void Membership::on_fetch(const MembershipContext& context, NodeId from, const Fetch& fetch, Effects& effects) {
  if (committed_.stamp <= fetch.have || committed_.stamp.epoch.is_genesis()) return;
  effects.push(effect::SendMessage{from, CommittedRecord{committed_, leases_left(context.now, committed_)}});
}

// ---- messages ----------------------------------------------------------------------------------

void Membership::on_message(const MembershipContext& context, NodeId from, Incarnation incarnation,
                            const Message& message, Effects& effects) {
  if (expelled_) return;
  if (const auto* prepare = std::get_if<Prepare>(&message)) {
    voter_.on_prepare(*context.table, from, *prepare, effects);
    // While a vote for another is held, a candidacy of our own would only outbid it.
    if (from != self_ && !voter_.next_deadline().is_never())
      not_before_ = later(not_before_, context.now + config_.timing.vote_hold() + config_.timing.candidacy_step());
  } else if (const auto* promise = std::get_if<Promise>(&message)) {
    on_promise(context, from, incarnation, *promise, effects);
  } else if (const auto* nack = std::get_if<Nack>(&message)) {
    on_nack(context, from, *nack, effects);
  } else if (const auto* accept = std::get_if<Accept>(&message)) {
    if (goes_past_this_life(accept->record)) return give_up();
    hear_leases(context.now, *accept);
    voter_.on_accept(context.now, from, *accept, effects);
  } else if (const auto* accepted = std::get_if<Accepted>(&message)) {
    on_accepted(context, from, incarnation, *accepted, effects);
  } else if (const auto* news = std::get_if<Commit>(&message)) {
    on_commit(context, from, *news, effects);
  } else if (const auto* fetch = std::get_if<Fetch>(&message)) {
    on_fetch(context, from, *fetch, effects);
  } else if (const auto* record = std::get_if<CommittedRecord>(&message)) {
    install(context, record->record, record->leases, effects);
  } else if (!committed_.view.holds(from, incarnation)) {
    return;  // reports and requests are for members
  } else if (const auto* report = std::get_if<Report>(&message)) {
    coordinator_.on_report(from, *report, facts(context), effects);
    if (leading_ && std::holds_alternative<Idle>(candidacy_)) propose_state(context, effects);
  } else if (const auto* key = std::get_if<KeyReport>(&message)) {
    coordinator_.on_key_report(from, *key);
    if (leading_ && std::holds_alternative<Idle>(candidacy_)) propose_state(context, effects);
  } else if (const auto* request = std::get_if<OperatorRequest>(&message)) {
    coordinator_.on_operator(from, *request, facts(context), effects);
    if (leading_ && std::holds_alternative<Idle>(candidacy_)) propose_state(context, effects);
  }
}

void Membership::explain_quorum(QuorumStatus& quorum) const {
  // Who is out goes on from the newest that it has accepted.
  const bool from_accepted = !member() && committed_.stamp < voter_.accepted().stamp;
  const View& view = from_accepted ? voter_.accepted().view : committed_.view;
  quorum.configured = configured_rule(config_);
  quorum.rule = view.exists() ? view.rule : quorum.configured;
  quorum.also = view.also;
  quorum.members = view.members;
  quorum.vouched = vouched_;
  quorum.start_needs_every_voter = starts_with_every_voter(config_) || decides_by_own_quorum(config_, view);
}

void Membership::explain(const MembershipContext& context, NodeStatus& status) const {
  status.committed = committed_;
  const View& known = voter_.accepted().view;
  const QuorumRule rule = known.exists() ? known.rule : configured_rule(config_);
  const NodeSet present = context.table->self_heard | NodeSet::of(self_);
  const bool enough = rule.is_quorum_holding(present);
  explain_quorum(status.quorum);
  if (voter_.storage_failed()) {
    status.role = NodeRole::waiting;
    status.role_text = "its state cannot be stored: free or repair the disk of the state directory";
  } else if (!voter_.clean()) {
    status.role = NodeRole::waiting;
    status.role_text = "stopping what an earlier life left behind";
  } else if (!voter_.ready(context.now)) {
    status.role = NodeRole::waiting;
    status.role_text = "restarted: waits until leases acknowledged earlier are over";
  } else if (!member()) {
    status.role = NodeRole::joining;
    bool living = false;
    for (NodeId node : context.table->self_heard) living = living || context.table->peers[node].latest.quorate;
    const bool lacks_voters = status.quorum.start_needs_every_voter && !living &&
                              !(present | vouched_).includes(status.quorum.configured.voters);
    status.role_text = lacks_voters ? "a start needs every node with a vote, and not all are heard; see 'vigil quorum'"
                       : enough     ? "waits to be admitted"
                                    : "hears too few nodes for a quorum";
  } else if (context.now >= lease_.until()) {
    status.role = NodeRole::no_quorum;
    const QuorumRule& own = committed_.view.rule;
    const bool needs_tie_breaker = enough && !own.is_quorum(context.table->self_heard | NodeSet::of(self_));
    status.role_text = needs_tie_breaker ? half_text(tie_breaker_.last())
                       : enough
                           ? "too few of those that it hears acknowledge its lease: they started anew, or do not hear it; see 'vigil links'"
                           : "no quorum: serves nothing until a majority is heard again";
  } else {
    status.role = NodeRole::member;
    status.role_text = leading_ ? "member, coordinator" : "member";
  }
}

}  // namespace vigil
