// Becoming coordinator of a new epoch, and having records accepted. See membership.hpp.
#include <algorithm>

#include "runtime/base/seeded_bugs.hpp"
#include "runtime/core/key_rotation.hpp"
#include "runtime/core/membership.hpp"
#include "runtime/core/quorum.hpp"

namespace vigil {

namespace {

// For how long the operator's word stands in for votes: what was true may change.
constexpr Duration word_lasts = Duration::from_s(60);

// Position among those who could lead: the coordinator first, then by id.
int rank_of(NodeId self, NodeId coordinator, NodeSet candidates) {
  if (self == coordinator) return 0;
  int rank = candidates.has(coordinator) ? 1 : 0;
  for (NodeId node : candidates)
    if (node < self && node != coordinator) ++rank;
  return rank;
}

}  // namespace

// ---- whether and when --------------------------------------------------------------------------

// If everybody who should be in promised, and the tie-breaker were ours?
bool Membership::could_be_decided(const MembershipContext& context, const DesiredView& desired) const {
  const Record& base = voter_.accepted();
  if (!base.view.holds(self_, incarnation_)) {
    if (!desired.members.has(self_) || !voter_.ready(context.now)) return false;
    for (NodeId node : context.table->self_heard)
      if (context.table->peers[node].latest.quorate) return false;  // a living view will admit us
  }
  if (!decides_by_own_quorum(config_, base.view) && !starts_with_every_voter(config_))
    return configured_rule(config_).is_quorum(desired.members) ||
           (desired.members | vouched_).includes(configured_rule(config_).voters);
  Ballot ballot{&base, in_doubt(base), desired.members, desired.joining, vouched_, true, &desired.incarnations};
  return authority_of(config_, ballot) != Authority::none;
}

// The rule follows the members once everybody may know that the view is decided.
bool Membership::change_of_rule_due(const Record& base, const DesiredView& desired) const {
  return committed_.stamp == base.stamp && !desired.changes(base.view) && leases_follow_ &&
         rule_change_due(config_, base, base.view.members - base.state.leaving);
}

bool Membership::change_needed(const MembershipContext& context, const DesiredView& desired) const {
  const Record& base = voter_.accepted();
  if (!could_be_decided(context, desired)) return false;
  if (!base.view.holds(self_, incarnation_)) return true;
  if (!desired.kept.has(self_)) return false;
  const bool unfinished = !unfinished_since_.is_never() &&
                          context.now - unfinished_since_ > round_lasts();
  // A promise that came to nothing binds its giver all the same: a new epoch must lift it.
  const bool bound = !bound_since_.is_never() && context.now - bound_since_ > round_lasts();
  return desired.changes(base.view) || lost_lead_ || unfinished || bound || change_of_rule_due(base, desired);
}

// How long after the need arose this node steps forward.
Duration Membership::patience(const MembershipContext& context, const DesiredView& desired) {
  const Record& base = voter_.accepted();
  const bool member = base.view.holds(self_, incarnation_);
  const NodeSet candidates = member ? desired.kept : desired.members;
  rank_ = rank_of(self_, base.view.coordinator, candidates);
  Duration wait = config_.timing.candidacy_step() * rank_;
  // A member that we still hear is left out only for a broken pair that lasts.
  if (desired.expelled.intersects(context.table->self_heard)) {
    bool only_restarted = true;
    for (NodeId node : desired.expelled & context.table->self_heard)
      only_restarted = only_restarted && !base.view.holds(node, context.table->peers[node].latest.incarnation);
    if (!only_restarted) wait = wait + config_.timing.vote_hold();
    // Who was just late hears the dead a little longer than others do, and would blame the others for it.
    if (!only_restarted && context.detector->late_recently(context.now)) wait = wait + config_.timing.detection;
  }
  if (member && !base.view.is_quorum(desired.kept)) {
    // Of two halves that race for the tie-breaker, the coordinator's is to win it: it may suspect an interval later,
    // and takes a step to collect its promises.
    if (!desired.kept.has(base.view.coordinator)) wait = wait + config_.timing.tie_head_start();
    // But not if it could only win it and serve nobody.
    bool of_use = false;
    for (NodeId node : desired.kept) of_use = of_use || context.facts.networks_up[node] != 0;
    if (!of_use) wait = wait + config_.timing.detection;
  }
  // At a cold start wait for more nodes, as long as they may still come in one go.
  if (!member && desired.members.count() < static_cast<int>(config_.nodes.size()))
    wait = wait + config_.timing.detection + config_.timing.admission();
  return wait;
}

// We promised a candidate an epoch a moment ago, and it lives: two at a time would only outbid each other.
bool Membership::another_is_at_it(const MembershipContext& context) const {
  const Epoch promised = voter_.promised();
  if (bound_since_.is_never() || bound_ != promised || promised.proposer == self_) return false;
  if (promised.proposer >= config_.nodes.size() || !context.table->peers[promised.proposer].heard) return false;
  return context.now - bound_since_ < round_lasts();
}

// A round that came to nothing is tried again by rank, as the first one was.
Duration Membership::pause_after_failure() {
  const Duration step = config_.timing.candidacy_step();
  return step * (1 + rank_) + Duration::from_ns(random_.between(0, step.ns));
}

void Membership::consider_candidacy(const MembershipContext& context, Effects& effects) {
  const DesiredView wanted = desired(context, voter_.accepted());
  if (!change_needed(context, wanted)) {
    need_since_ = Instant::never();
    return;
  }
  if (need_since_.is_never() || !need_expelled_.includes(wanted.expelled)) {
    // A new suspect: the waiting starts anew, so that the lowest rank again goes first.
    need_since_ = context.now;
    need_expelled_ = wanted.expelled;
  }
  if (const auto* preparing = std::get_if<Preparing>(&candidacy_)) {
    if (wanted.members.includes(preparing->desired.members)) return;
    abandon(context, {});
  } else if (const auto* proposing = std::get_if<Proposing>(&candidacy_)) {
    const bool view_change = proposing->record.stamp.version == 1 && !is_committed(*proposing);
    if (wanted.members.includes(proposing->record.view.members) && (view_change || wanted.expelled.empty())) return;
    abandon(context, {});
  }
  if (context.now < later(not_before_, need_since_ + patience(context, wanted)) || another_is_at_it(context)) return;
  begin_prepare(context, wanted, effects);
}

// A record that was proposed may have been accepted somewhere: its stamp is used up, and with it the epoch.
void Membership::abandon(const MembershipContext& context, Duration pause) {
  if (std::holds_alternative<Proposing>(candidacy_) && !seeded_bug(Bug::stamp_used_twice)) {
    lost_lead_ = lost_lead_ || leading_;
    leading_ = false;
    coordinator_.resign();
  }
  candidacy_ = Idle{};
  not_before_ = context.now + pause;
}

// ---- first round -------------------------------------------------------------------------------

void Membership::begin_prepare(const MembershipContext& context, const DesiredView& wanted, Effects& effects) {
  const std::optional<Epoch> epoch = voter_.next_epoch();
  if (!epoch) return;  // the ceiling is being raised
  leading_ = false;
  coordinator_.resign();
  Preparing preparing;
  preparing.epoch = *epoch;
  preparing.base = voter_.accepted();
  preparing.desired = wanted;
  preparing.vouched = vouched_ - wanted.members;
  preparing.started = context.now;
  preparing.suspected_at = context.now;
  Duration silence{};
  for (NodeId node : wanted.expelled) {
    const Instant last = context.detector->last_sign(node);
    if (last.ns <= 0 || !context.detector->suspected(node)) continue;
    const Instant since = context.detector->suspected_since(node);
    silence = longer(silence, since - last);
    preparing.suspected_at = earlier(preparing.suspected_at, since);
  }
  preparing.detect_us = static_cast<std::uint32_t>(silence.us());
  voter_.saw_epoch(*epoch);
  notes_.round_begins(*context.table, *context.detector, preparing.base.view, *epoch, wanted,
                      silence.ns > 0 ? preparing.suspected_at : need_since_, effects);
  candidacy_ = preparing;
  send_prepare(context, std::get<Preparing>(candidacy_), effects);
}

void Membership::send_prepare(const MembershipContext& context, Preparing& preparing, Effects& effects) {
  Prepare prepare;
  prepare.epoch = preparing.epoch;
  prepare.base = preparing.base.stamp;
  prepare.members = preparing.desired.members;
  prepare.incarnations = preparing.desired.incarnations;
  prepare.expel = preparing.desired.expelled;
  prepare.candidate_heard = context.table->self_heard;
  for (NodeId node : prepare.members)
    if (!preparing.promised.has(node)) effects.push(effect::SendMessage{node, prepare});
  preparing.resend = context.now + config_.timing.retry_among(config_.nodes.size());
}

bool Membership::in_doubt(const Record& record) const {
  return record.joint() && committed_.stamp.epoch != record.stamp.epoch;
}

Ballot Membership::ballot_of(const Preparing& preparing) const {
  return {&preparing.base,      in_doubt(preparing.base), preparing.promised,          preparing.recovering,
          preparing.vouched,    preparing.tie_breaker,    &preparing.desired.incarnations, &preparing.forgotten};
}

// Proposes as soon as the promises suffice; goes for the tie-breaker when nobody is left to ask and half is all.
void Membership::go_on_with_promises(const MembershipContext& context, Preparing& preparing, Effects& effects) {
  // Who joins must accept, so its refusal had better come now than when the record is in doubt.
  if (!preparing.promised.includes(preparing.desired.joining)) return;
  preparing.vouched = preparing.vouched - context.table->self_heard;
  Ballot ballot = ballot_of(preparing);
  const Authority authority = authority_of(config_, ballot);
  if (authority != Authority::none) return propose_view(context, authority, effects);
  if (!preparing.promised.includes(preparing.desired.members)) return;
  if (tie_breaker_.busy(context.now) && tie_breaker_.winning()) return;
  ballot.tie_breaker = true;
  if (authority_of(config_, ballot) == Authority::none) return;
  if (first_win_.is_genesis()) first_win_ = preparing.epoch;
  const Epoch known = seeded_bug(Bug::win_over_unknown_epoch) ? preparing.epoch : std::max(preparing.base.stamp.epoch, won_in_vain_);
  tie_breaker_.win(context.now, preparing.epoch, known, effects);
}

// It was won after all, when the answer had been given up: this life alone could have used that epoch, and has not.
void Membership::note_vain_win(const event::TieBreakerDone& done) {
  const Epoch held = done.held;
  if (done.ok && held.proposer == self_ && !first_win_.is_genesis() && first_win_ <= held && proposed_ < held)
    won_in_vain_ = held;
}

void Membership::on_tie_breaker(const MembershipContext& context, const event::TieBreakerDone& done, Effects& effects) {
  const TieBreaker::Answer answer = tie_breaker_.on_done(done);
  if (answer == TieBreaker::Answer::ours) lease_.on_tie_breaker(tie_breaker_.epoch(), tie_breaker_.asked_at());
  voter_.saw_epoch(done.held);
  auto* preparing = std::get_if<Preparing>(&candidacy_);
  if (preparing == nullptr || answer == TieBreaker::Answer::stale) return;
  // The answer to a round that was given up: this one has waited for its turn.
  if (!tie_breaker_.winning() || preparing->epoch != tie_breaker_.epoch())
    return go_on_with_promises(context, *preparing, effects);
  // Won by one that has given its vote to this round since, in the same life: whatever it began with it is known.
  const NodeSet yielding = same_incarnations(preparing->base.view, preparing->promised, preparing->desired.incarnations);
  if (answer == TieBreaker::Answer::lost && done.held < preparing->epoch && yielding.has(done.held.proposer))
    return tie_breaker_.win(context.now, preparing->epoch, std::max(preparing->base.stamp.epoch, done.held), effects);
  notes_.tie_breaker(answer, effects);
  note_vain_win(done);
  if (answer != TieBreaker::Answer::ours) return abandon(context, config_.timing.detection);
  preparing->tie_breaker = true;
  go_on_with_promises(context, *preparing, effects);
}

bool Membership::vouch(const MembershipContext& context, NodeSet down, std::int64_t wall_ns) {
  if (down.intersects(context.table->self_heard) || down.has(self_) || context.now < lease_.until()) return false;
  vouched_ = vouched_ | down;
  voter_.leap(wall_ns);
  vouched_until_ = context.now + word_lasts;
  return true;
}

void Membership::on_promise(const MembershipContext& context, NodeId from, Incarnation incarnation,
                            const Promise& promise, Effects& effects) {
  notes_.promised(promise.epoch, from);
  auto* preparing = std::get_if<Preparing>(&candidacy_);
  if (preparing == nullptr || preparing->epoch != promise.epoch) return;
  if (!preparing->desired.members.has(from) || preparing->desired.incarnations[from] != incarnation) return;
  preparing->promised.add(from);
  if (promise.recovering || seeded_bug(Bug::cold_start_with_survivors)) preparing->recovering.add(from);
  preparing->forgotten[from] = promise.forgotten;
  for (const LeaseLeft& lease : promise.leases)
    if (from == self_ || !seeded_bug(Bug::own_remainder_alone))
      preparing->leases_over[lease.node] = later(preparing->leases_over[lease.node], context.now + lease.left);
  if (preparing->base.stamp < promise.accepted.stamp && !seeded_bug(Bug::candidate_keeps_own_base)) {
    preparing->base = promise.accepted;
    voter_.learn(promise.accepted, effects);
    // This life ends here: nothing more is proposed in its name, which those of the other past would only have to vote out.
    if (passes_by(promise.accepted.stamp, promise.accepted.view)) return give_up();
    // A newer record than ours: does the same view still follow from it?
    const DesiredView anew = desired(context, promise.accepted);
    if (anew.members != preparing->desired.members) return abandon(context, config_.timing.retry());
    preparing->desired = anew;
  }
  go_on_with_promises(context, *preparing, effects);
}

void Membership::on_nack(const MembershipContext& context, NodeId from, const Nack& nack, Effects& effects) {
  voter_.saw_epoch(nack.promised);
  notes_.refused(from, nack, effects);
  const bool preparing = std::holds_alternative<Preparing>(candidacy_) &&
                         std::get<Preparing>(candidacy_).epoch == nack.epoch;
  const bool proposing = std::holds_alternative<Proposing>(candidacy_) &&
                         std::get<Proposing>(candidacy_).record.stamp.epoch == nack.epoch;
  if (!preparing && !proposing) return;
  const auto jitter = [&](Duration step) {
    return Duration::from_ns(random_.between(step.ns / 2, step.ns + step.ns / 2));
  };
  if (nack.reason == NackReason::epoch_too_low) {
    return abandon(context, jitter(config_.timing.retry()));
  }
  if (nack.reason == NackReason::still_hear_suspect && preparing) {
    return abandon(context, jitter(config_.timing.candidacy_step()));
  }
}

// ---- second round ------------------------------------------------------------------------------

// A change of members leaves the rule as it is, and a change of the rule the members: one thing at a time.
void Membership::set_rule(const Preparing& preparing, Authority authority, View& next) const {
  const Record& base = preparing.base;
  const bool by_members = config_.quorum.policy == QuorumPolicy::last_man_standing;
  const QuorumKind of_members = by_members ? QuorumKind::last_man_standing : QuorumKind::overridden;
  if (!preparing.vouched.empty()) {
    next.rule = rule_of(config_, of_members, next.members);
  } else if (authority == Authority::cold_start || base.state.config_hash != config_.hash) {
    next.rule = by_members ? rule_of(config_, of_members, next.members) : configured_rule(config_);
  } else if (change_of_rule_due(base, preparing.desired)) {
    change_rule(config_, base.view, base.view.members - base.state.leaving, next);
  } else {
    next.rule = base.view.rule;
    next.also = base.view.also;
  }
}

void Membership::set_state(const MembershipContext& context, const Preparing& preparing, Authority authority,
                           Record& record) const {
  const Record& base = preparing.base;
  const DesiredView& wanted = preparing.desired;
  record.state = base.state;
  if (base.state.config_hash != config_.hash) {
    // Another configuration: its groups are others, even where they have the same place.
    record.state = state_of_new_configuration(config_, base.state, base.view.members, wanted.members);
  } else {
    apply_view_change(config_, wanted.expelled, wanted.left, wanted.joining, record.state);
  }
  if (authority == Authority::cold_start && base.view.exists()) {
    // Also of whom this record knows nothing: where a disk was lost, it may have served by another.
    NodeSet absent;
    for (const NodeConfig& node : config_.nodes) absent.add(node.id);
    distrust_absent(config_, absent - wanted.members, record.state);
  }
  let_join(base.view.members, wanted.kept, wanted.joining, record.state.keys);
  for (NodeId node : preparing.vouched) count_as_down(config_, node, record.state);
  NodeFacts known = facts(context);
  known.ready = wanted.members;
  place(config_, record.view, known, record.state);
}

// Who lived by the tie-breaker before it took us in may have read it until it was won: no voter here has acknowledged that
// lease, nor that of one whom a record in doubt leaves out. It is over where all have followed the view for as long as a
// lease lasts.
void Membership::wait_for_leases_by_reading(const MembershipContext& context, const Record& base, Proposing& proposing) const {
  if (!proposing.tie_breaker || (leases_follow_ && committed_.stamp.epoch == base.stamp.epoch)) return;
  if (seeded_bug(Bug::lease_by_reading_forgotten)) return;
  for (NodeId node : proposing.record.expelled)
    proposing.leases_over[node] = later(proposing.leases_over[node], context.now + outlast(config_.timing.lease));
}

void Membership::propose_view(const MembershipContext& context, Authority authority, Effects& effects) {
  const Preparing preparing = std::get<Preparing>(candidacy_);
  VIGIL_ASSERT(authority != Authority::none);
  const Record& base = preparing.base;
  const DesiredView& wanted = preparing.desired;
  Proposing proposing;
  Record& record = proposing.record;
  proposed_ = preparing.epoch;
  record.stamp = {preparing.epoch, 1};
  record.view.epoch = preparing.epoch;
  record.view.coordinator = self_;
  record.view.members = wanted.members;
  record.view.incarnations = base.view.incarnations;
  for (NodeId node : wanted.members) record.view.incarnations[node] = wanted.incarnations[node];
  set_rule(preparing, authority, record.view);
  record.previous = base.view;
  record.expelled = wanted.expelled;
  if (in_doubt(base)) record.expelled = record.expelled | (base.expelled - wanted.members);
  record.detect_us = preparing.detect_us;
  set_state(context, preparing, authority, record);
  proposing.joining = wanted.joining;
  proposing.unanimous = authority != Authority::strict && !seeded_bug(Bug::commit_without_old_quorum);
  proposing.tie_breaker = preparing.tie_breaker;
  proposing.leases_over = preparing.leases_over;
  // Whom they acknowledged last, those who are down cannot tell.
  if (!preparing.vouched.empty())
    for (NodeId node : record.expelled | (base.view.members - wanted.members))
      proposing.leases_over[node] = later(proposing.leases_over[node], context.now + outlast(longest_lease));
  wait_for_leases_by_reading(context, base, proposing);
  proposing.started = context.now;
  proposing.suspected_at = preparing.suspected_at;
  candidacy_ = proposing;
  notes_.proposed(context.now);
  send_accept(context, std::get<Proposing>(candidacy_), effects);
}

void Membership::propose_state(const MembershipContext& context, Effects& effects) {
  ClusterState state;
  if (!coordinator_.next_state(facts(context), state)) return;
  Proposing proposing;
  proposing.record = committed_;
  proposing.record.stamp.version += 1;
  proposing.record.previous = View{};
  proposing.record.agree_us = agree_us_;
  // Nobody can win the tie-breaker from a view that lives by it, without a vote of each of its members.
  proposing.tie_breaker = committed_.view.lives_by_tie_breaker();
  proposing.leases_over = lead_leases_over_;
  proposing.record.state = state;
  proposing.started = context.now;
  candidacy_ = proposing;
  send_accept(context, std::get<Proposing>(candidacy_), effects);
}

LeasesLeft Membership::leases_left(Instant now, const Record& record) const {
  LeasesLeft left;
  for (NodeId node : record.expelled)
    left.push({node, all_leases_over_ > now ? all_leases_over_ - now : Duration{}});
  return left;
}

void Membership::send_accept(const MembershipContext& context, Proposing& proposing, Effects& effects) {
  Accept accept;
  accept.record = proposing.record;
  for (std::size_t i = 0; i < config_.nodes.size(); ++i) {
    const auto node = static_cast<NodeId>(i);
    if (proposing.record.view.members.has(node)) continue;
    const bool running = proposing.leases_over[node] > context.now;
    if (running || proposing.record.expelled.has(node))
      accept.leases.push({node, running && !seeded_bug(Bug::accept_without_remainders) ? proposing.leases_over[node] - context.now : Duration{}});
  }
  for (NodeId node : proposing.record.view.members)
    if (!proposing.accepted.has(node)) effects.push(effect::SendMessage{node, accept});
  proposing.resend = context.now + config_.timing.retry_among(config_.nodes.size());
}

bool Membership::is_committed(const Proposing& proposing) const {
  const Record& record = proposing.record;
  if (!proposing.accepted.includes(proposing.joining) && !seeded_bug(Bug::commit_without_joiners)) return false;
  const auto is_quorum = [&](const View& view, NodeSet nodes) {
    return proposing.tie_breaker ? view.is_quorum_holding(nodes) : view.is_quorum(nodes);
  };
  if (!is_quorum(record.view, proposing.accepted)) return false;
  if (proposing.unanimous) return proposing.accepted.includes(record.view.members);
  if (!record.joint() || seeded_bug(Bug::commit_without_old_quorum)) return true;
  return is_quorum(record.previous, same_incarnations(record.previous, proposing.accepted, record.view.incarnations));
}

void Membership::on_accepted(const MembershipContext& context, NodeId from, Incarnation incarnation,
                             const Accepted& accepted, Effects& effects) {
  auto* proposing = std::get_if<Proposing>(&candidacy_);
  if (proposing == nullptr || proposing->record.stamp != accepted.stamp) return;
  if (!proposing->record.view.holds(from, incarnation)) return;
  proposing->accepted.add(from);
  notes_.accepted(accepted.stamp, from);
  if (is_committed(*proposing)) commit(context, effects);
}

void Membership::commit(const MembershipContext& context, Effects& effects) {
  Proposing proposing = std::get<Proposing>(candidacy_);
  const bool new_view = proposing.record.stamp.version == 1;
  candidacy_ = Idle{};
  leading_ = true;
  lost_lead_ = false;
  LeasesLeft leases;
  for (std::size_t i = 0; i < config_.nodes.size(); ++i) {
    const auto node = static_cast<NodeId>(i);
    const bool running = proposing.leases_over[node] > context.now;
    if (!proposing.record.view.members.has(node) && (running || proposing.record.expelled.has(node)))
      leases.push({node, running ? proposing.leases_over[node] - context.now : Duration{}});
  }
  const Commit news{proposing.record.stamp, leases};
  for (NodeId node : proposing.record.view.members)
    if (node != self_) effects.push(effect::SendMessage{node, news});
  // Known only now; later records of this epoch carry it.
  if (new_view) agree_us_ = static_cast<std::uint32_t>((context.now - proposing.suspected_at).us());
  lead_leases_over_ = proposing.leases_over;
  coordinator_.set_agreement(agree_us_);
  notes_.committed(context.now, proposing.record, effects);
  install(context, proposing.record, leases, effects);
  // Won for this view, and answered. A reading that is under way when a later record is committed says nothing yet.
  const bool won = new_view || seeded_bug(Bug::reading_counts_unanswered);
  if (won && proposing.tie_breaker && tie_breaker_.epoch() == proposing.record.stamp.epoch)
    lease_.on_tie_breaker(tie_breaker_.epoch(), tie_breaker_.asked_at());
  coordinator_.on_committed(committed_, effects);
  propose_state(context, effects);
}

}  // namespace vigil
