#include "runtime/core/view_notes.hpp"

#include <cstdio>

#include "runtime/core/quorum.hpp"

namespace vigil {

namespace {

std::uint32_t us_between(Instant from, Instant to) {
  if (to <= from) return 0;
  const std::int64_t us = (to - from).us();
  return us < UINT32_MAX ? static_cast<std::uint32_t>(us) : UINT32_MAX - 1;
}

void push(Effects& effects, JournalKind kind, EventName event, NodeId subject, Duration took, std::string_view text,
          const ViewFacts& facts) {
  JournalEntry entry;
  entry.kind = kind;
  entry.event = event;
  entry.subject = subject;
  entry.duration_us = took.ns > 0 ? took.us() : -1;
  entry.text = text;
  entry.view = facts;
  effects.push(effect::Journal{entry});
}

const char* text_of(Accusation why) {
  switch (why) {
    case Accusation::silent: return "silent on every link: accused";
    case Accusation::one_way: return "some members and it do not hear each other";
    case Accusation::restarted: return "answers in a new life: the one that was a member is over";
    case Accusation::never_heard: return "not heard since this node started";
    case Accusation::other_configuration: return "uses another configuration now";
  }
  return "accused";
}

const char* text_of(NackReason reason) {
  switch (reason) {
    case NackReason::epoch_too_low: return "vote refused: it is bound to a higher epoch";
    case NackReason::still_hear_suspect: return "vote refused: it still hears the accused";
    case NackReason::not_ready: return "vote refused: it is not ready to vote";
    case NackReason::not_in_proposal: return "vote refused: this life of it was not asked for";
    case NackReason::stale_base: return "vote refused: it holds a newer record";
  }
  return "vote refused";
}

// The newest heartbeat from each link of the accused, by whichever own link it came.
void add_links(const ClusterConfig& config, const PeerTable& table, const Detector& detector, NodeId node,
               ViewFacts& facts) {
  for (std::size_t link = 0; link < config.nodes[node].links.size(); ++link) {
    LinkSilence silence{static_cast<LinkIndex>(link), 0, LinkSilence::never};
    for (std::size_t by = 0; by < config.nodes[table.self].links.size(); ++by) {
      const PathStats& path = detector.path(node, static_cast<LinkIndex>(by), silence.link);
      if (path.received == 0) continue;
      const std::uint32_t silent_us = us_between(path.last_frame, table.now);
      if (silent_us >= silence.silent_us) continue;
      silence.by = static_cast<LinkIndex>(by);
      silence.silent_us = silent_us;
    }
    facts.links.push(silence);
  }
}

// Told when votes are counted otherwise than before, and when this node enters under a rule that is not the
// configuration's.
bool rule_is_news(const View& view, const View& before, const QuorumRule& configured) {
  return !(view.rule == (before.exists() ? before.rule : configured));
}

BoundedString<95> rule_text(const View& view, const View& before, const QuorumRule& configured) {
  const char* why = view.rule == configured                     ? "as configured"
                    : view.rule.kind == QuorumKind::overridden ? "on the operator's word"
                                                               : "last man standing";
  char text[96];
  const int length = std::snprintf(text, sizeof text, "%s: %d of %d votes needed from now on", why, view.rule.needed,
                             view.rule.votes_of(view.rule.voters));
  if (before.exists() && length > 0)
    std::snprintf(text + length, sizeof text - static_cast<std::size_t>(length), ", before %d of %d",
                            before.rule.needed, before.rule.votes_of(before.rule.voters));
  return BoundedString<95>(std::string_view(text));
}

}  // namespace

// ---- accusations ---------------------------------------------------------------------------------

void ViewNotes::accuse(const PeerTable& table, const Detector& detector, const View& view, NodeId node,
                       Accusation why, Effects& effects) {
  accused_told_.add(node);
  ViewFacts facts;
  facts.step = ViewStep::accused;
  facts.why = why;
  facts.before = view.epoch;
  facts.late_us = us_between(Instant{}, Instant{} + detector.late_since_sign(node));
  for (NodeId member : view.members)
    if (member != node && table.hears(member, node)) facts.hearing.add(member);
  facts.heard = table.peers[node].latest.heard;
  add_links(config_, table, detector, node, facts);
  const Duration silence = why == Accusation::silent ? table.now - detector.last_sign(node) : Duration{};
  push(effects, JournalKind::accused, EventName::node_down, node, silence, text_of(why), facts);
}

void ViewNotes::silences(const PeerTable& table, const Detector& detector, const View& view, Effects& effects) {
  accused_told_ = accused_told_ - table.self_heard;
  if (!view.members.has(self_)) return;
  for (NodeId node : view.members) {
    if (node == self_ || accused_told_.has(node)) continue;
    // Who said goodbye is left out without an accusation.
    if (!detector.suspected(node) || table.peers[node].latest.leaving) continue;
    accuse(table, detector, view, node, Accusation::silent, effects);
  }
}

Accusation ViewNotes::accusation_of(const PeerTable& table, const Detector& detector, const View& base,
                                    NodeId node) const {
  if (detector.suspected(node)) return Accusation::silent;
  const Peer& peer = table.peers[node];
  if (!peer.known || !peer.heard) return Accusation::never_heard;
  if (!base.holds(node, peer.latest.incarnation)) return Accusation::restarted;
  return peer.latest.config_hash == config_.hash ? Accusation::one_way : Accusation::other_configuration;
}

// ---- rounds --------------------------------------------------------------------------------------

void ViewNotes::round_begins(const PeerTable& table, const Detector& detector, const View& base, Epoch epoch,
                             const DesiredView& desired, Instant since, Effects& effects) {
  round_over(table.now, effects);
  for (NodeId node : desired.expelled)
    if (node != self_ && !accused_told_.has(node))
      accuse(table, detector, base, node, accusation_of(table, detector, base, node), effects);
  ++rounds_;
  round_ = Round{};
  round_.epoch = epoch;
  round_.before = base.epoch;
  round_.asked = desired.members;
  round_.since = earlier(since, table.now);
  round_.begun = table.now;
}

void ViewNotes::promised(Epoch epoch, NodeId from) {
  if (!is_open(epoch) || !round_.asked.has(from)) return;
  round_.promised.add(from);
  round_.refused.remove(from);
}

void ViewNotes::refused(NodeId from, const Nack& nack, Effects& effects) {
  if (!is_open(nack.epoch) || !round_.asked.has(from)) return;
  if (!round_.promised.has(from)) round_.refused.add(from);
  const auto reason = static_cast<std::size_t>(nack.reason);
  if (reason >= nack_reasons || refusals_told_[reason].has(from)) return;
  refusals_told_[reason].add(from);
  ViewFacts facts;
  facts.step = ViewStep::refused;
  facts.reason = nack.reason;
  facts.epoch = nack.epoch;
  facts.before = round_.before;
  facts.heard = nack.suspects_heard;
  push(effects, JournalKind::voted, EventName::node_down, from, {}, text_of(nack.reason), facts);
}

void ViewNotes::tie_breaker(TieBreaker::Answer answer, Effects& effects) {
  if (answer == tie_breaker_told_) return;
  tie_breaker_told_ = answer;
  const bool ours = answer == TieBreaker::Answer::ours;
  const char* const text = ours                                   ? "half of the votes, and the tie-breaker is won"
                           : answer == TieBreaker::Answer::failed ? "half of the votes, and the tie-breaker cannot be reached"
                                                                  : "half of the votes, and the tie-breaker is the others'";
  push(effects, ours ? JournalKind::done : JournalKind::failed, EventName::view_change, self_, {}, text, {});
}

void ViewNotes::proposed(Instant now) { round_.proposed = now; }

void ViewNotes::accepted(const Stamp& stamp, NodeId from) {
  if (stamp.version == 1 && is_open(stamp.epoch)) round_.accepted.add(from);
}

ViewFacts ViewNotes::facts_of_round(Instant now, ViewStep step) const {
  const bool decided = step == ViewStep::committed;
  ViewFacts facts;
  facts.step = step;
  facts.epoch = round_.epoch;
  facts.before = round_.before;
  facts.members = round_.asked;
  facts.promised = round_.promised;
  facts.refused = round_.refused;
  facts.accepted = round_.accepted;
  facts.round = rounds_;
  facts.decide_us = us_between(round_.since, round_.begun);
  facts.promise_us = round_.proposed.is_never() ? UINT32_MAX : us_between(round_.begun, round_.proposed);
  facts.accept_us = decided ? us_between(round_.proposed, now) : UINT32_MAX;
  return facts;
}

void ViewNotes::committed(Instant now, const Record& record, Effects& effects) {
  if (record.stamp.version != 1 || !is_open(record.stamp.epoch)) return;
  push(effects, JournalKind::voted, EventName::view_change, no_node, now - round_.since, "the votes suffice: decided",
       facts_of_round(now, ViewStep::committed));
  round_ = Round{};
}

void ViewNotes::round_over(Instant now, Effects& effects) {
  if (round_.epoch.is_genesis()) return;
  if (given_up_ < rounds_told_limit) {
    ++given_up_;
    const char* text = !round_.refused.empty()         ? "round given up: refused"
                       : round_.proposed.is_never() ? "round given up: too few answers"
                                                    : "round given up: proposed, and not accepted by all it needs";
    push(effects, JournalKind::voted, EventName::view_change, no_node, now - round_.begun, text,
         facts_of_round(now, ViewStep::given_up));
  }
  round_ = Round{};
}

// ---- what came of them ---------------------------------------------------------------------------

void ViewNotes::installed(const Record& record, const View& before, Duration leases, Effects& effects) {
  rounds_ = 0;
  given_up_ = 0;
  refusals_told_ = {};
  tie_breaker_told_ = TieBreaker::Answer::stale;
  const View& view = record.view;
  ViewFacts facts;
  facts.step = ViewStep::installed;
  facts.epoch = view.epoch;
  facts.before = before.epoch;
  facts.members = view.members;
  facts.lease_us = us_between(Instant{}, Instant{} + leases);
  push(effects, JournalKind::decided, EventName::view_change, view.coordinator, {}, "view installed", facts);
  const QuorumRule configured = configured_rule(config_);
  if (rule_is_news(view, before, configured))
    push(effects, JournalKind::decided, EventName::quorum_rule, view.coordinator, {}, rule_text(view, before, configured).view(), {});
  for (NodeId node : before.members - view.members)
    push(effects, JournalKind::decided, EventName::node_down, node, {},
         record.expelled.has(node) ? "expelled by vote" : "left in good order", {});
  // A node that joins sees everybody come. At a start all do, and one may say it for all.
  if (!before.holds(self_, view.incarnations[self_]) && view.coordinator != self_) return;
  for (NodeId node : view.members)
    if (!before.holds(node, view.incarnations[node]))
      push(effects, JournalKind::decided, EventName::node_up, node, {},
           before.members.has(node) ? "admitted by vote in its new life" : "admitted by vote", {});
}

}  // namespace vigil
