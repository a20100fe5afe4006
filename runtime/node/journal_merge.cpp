#include "runtime/node/journal_merge.hpp"

namespace vigil {

namespace {

constexpr int tries_limit = 4;

}  // namespace

// The other's answer takes a round trip, which the detection time outlasts on any link fit for a cluster.
JournalMerge::JournalMerge(const ClusterConfig& config, MergeListener& listener)
    : listener_(listener), retry_(longer(config.timing.detection / 2, Duration::from_ms(50))) {}

void JournalMerge::begin(Instant now, NodeSet peers, NodeSet missing) {
  if (!running_) {
    reached_ = {};
    given_up_ = {};
    waiting_ = {};
  }
  running_ = true;
  const NodeSet more = peers - waiting_ - reached_ - given_up_;
  waiting_ = waiting_ | more;
  for (const NodeId node : more) {
    Asked& asked = asked_[node];
    const NodeSet writers = missing | NodeSet::of(node);
    if (!asked.writers.includes(writers)) asked.position = 0;
    asked.writers = writers;
    asked.tries = 0;
    ask(now, node);
  }
  maybe_end();
}

void JournalMerge::ask(Instant now, NodeId node) {
  Asked& asked = asked_[node];
  ++asked.tries;
  asked.resend = now + retry_;
  listener_.send_ask(node, {asked.run, asked.position, asked.writers});
}

void JournalMerge::on_page(Instant now, NodeId from, const JournalPage& page) {
  if (!waiting_.has(from)) return;
  Asked& asked = asked_[from];
  // A page of another run than we asked is its beginning; one of a position that we are past is a copy.
  const bool fits = page.run == asked.run ? page.position == asked.position : page.position == 0;
  if (!fits || page.run == 0 || (page.next <= page.position && !page.last)) return;
  for (const JournalEntry& entry : page.entries) listener_.on_merged_entry(entry);
  asked.run = page.run;
  asked.position = page.next;
  asked.tries = 0;
  if (!page.last) return ask(now, from);
  waiting_.remove(from);
  reached_.add(from);
  maybe_end();
}

void JournalMerge::advance(Instant now) {
  if (!running_) return;
  for (const NodeId node : waiting_) {
    if (now < asked_[node].resend) continue;
    if (asked_[node].tries < tries_limit) {
      ask(now, node);
    } else {
      waiting_.remove(node);
      given_up_.add(node);
    }
  }
  maybe_end();
}

void JournalMerge::maybe_end() {
  if (!running_ || !waiting_.empty()) return;
  running_ = false;
  listener_.on_merged(reached_);
}

Instant JournalMerge::next_deadline() const {
  Instant next = Instant::never();
  for (const NodeId node : waiting_) next = earlier(next, asked_[node].resend);
  return next;
}

JournalPage journal_page(const Journal& journal, std::uint64_t run, const JournalAsk& ask) {
  JournalPage page;
  page.run = run;
  page.position = ask.run == run ? ask.position : 0;
  std::uint64_t at = page.position > journal.first() ? page.position : journal.first();
  for (; at < journal.end() && !page.entries.full(); ++at)
    if (ask.writers.has(journal.at(at).node)) page.entries.push(journal.at(at));
  page.next = at > page.position ? at : page.position;
  page.last = at >= journal.end();
  return page;
}

}  // namespace vigil
