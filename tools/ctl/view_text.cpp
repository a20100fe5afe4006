#include "tools/ctl/view_text.hpp"

#include "tools/ctl/sentence.hpp"
#include "tools/ctl/table.hpp"
#include "tools/ctl/words.hpp"

namespace vigil::ctl {

namespace {

using Rows = std::vector<std::vector<Cell>>;

std::string us_text(std::int64_t us) { return duration_text(Duration::from_us(us)); }

std::string names(const ClusterPicture& picture, NodeSet nodes) { return joined(picture.names_of(nodes)); }

class Lines {
 public:
  explicit Lines(std::int64_t zero_ns) : zero_ns_(zero_ns) {}
  void say(std::int64_t wall_ns, const std::string& who, const std::string& what, Colour colour = Colour::plain) {
    const std::string at = ms_text(static_cast<double>(wall_ns - zero_ns_) / 1e6);
    rows_.push_back({Cell("  " + at + " ms", Colour::dim, true), Cell(who), Cell(what, colour)});
  }
  // What belongs to the line above.
  void add(const std::string& what) { rows_.push_back({Cell(""), Cell(""), Cell("  " + what, Colour::dim)}); }
  std::string text(bool colours) const { return table(rows_, colours); }

 private:
  std::int64_t zero_ns_;
  Rows rows_;
};

std::string link_text(const LinkSilence& silence, const control::reply::LinkName& link) {
  const std::string when =
      silence.silent_us == LinkSilence::never ? "none of this life" : us_text(silence.silent_us) + " before";
  return link.device.str() + " (" + std::string(word(link.kind)) + ", " + link.network.str() + ") " + when;
}

void add_evidence(Lines& lines, const ClusterPicture& picture, const Journal& journal) {
  const ViewFacts& facts = journal.entry.view;
  std::vector<std::string> links;
  for (std::size_t i = 0; i < facts.links.size() && i < journal.links.size(); ++i)
    links.push_back(link_text(facts.links[i], journal.links[i]));
  if (!links.empty()) lines.add("last heartbeats: " + joined(links));
  if (facts.why == Accusation::one_way) {
    lines.add(journal.subject.str() + " is heard by " + names(picture, facts.hearing) + ", and hears " +
              names(picture, facts.heard));
  } else if (facts.why == Accusation::silent && !facts.hearing.empty()) {
    lines.add("still heard, by their last word, by " + names(picture, facts.hearing));
  }
  lines.add(facts.late_us == 0 ? journal.node.str() + " itself was not late in that time"
                               : journal.node.str() + " itself was late by " + us_text(facts.late_us) + " in that time");
}

void add_votes(Lines& lines, const ClusterPicture& picture, const Journal& journal, const ViewChange& change) {
  const ViewFacts& facts = journal.entry.view;
  const NodeSet silent = facts.members - facts.promised - facts.refused;
  std::string votes = "promised: " + names(picture, facts.promised);
  if (!facts.refused.empty()) {
    votes += "; refused: " + names(picture, facts.refused);
    for (const Vote& vote : change.votes)
      if (vote.answer == VoteAnswer::refused && vote.reason) votes += " (" + because(*vote.reason) + ")";
  }
  lines.add(votes + "; no answer: " + names(picture, silent));
  if (facts.step == ViewStep::committed) lines.add("accepted: " + names(picture, facts.accepted));
}

// The rounds' own clocks tell when each step was, before the entry that was written at their end.
void tell_decision(Lines& lines, const ClusterPicture& picture, const Journal& journal, const ViewChange& change) {
  const JournalEntry& entry = journal.entry;
  const std::int64_t proposed_ns = entry.wall_ns - std::int64_t{entry.view.accept_us} * 1000;
  const std::int64_t asked_ns = proposed_ns - std::int64_t{entry.view.promise_us} * 1000;
  const std::string turn = entry.view.round > 1 ? ", in its round " + std::to_string(entry.view.round) : "";
  lines.say(asked_ns, journal.node.str(),
            "asks " + names(picture, entry.view.members) + " to promise it " +
                view_name(picture, entry.view.epoch) + turn);
  lines.say(proposed_ns, journal.node.str(), "has promises of a quorum, and proposes the view");
  lines.say(entry.wall_ns, journal.node.str(), "the view is decided", Colour::good);
  add_votes(lines, picture, journal, change);
}

void tell_entry(Lines& lines, const ClusterPicture& picture, const Journal& journal, const ViewChange& change) {
  const JournalEntry& entry = journal.entry;
  const std::string who = journal.node.str();
  switch (entry.view.step) {
    case ViewStep::accused:
      lines.say(entry.wall_ns, who, sentence(journal), Colour::bad);
      return add_evidence(lines, picture, journal);
    case ViewStep::refused:
      lines.say(entry.wall_ns, who, "is refused the vote of " + journal.subject.str() + ": " + because(entry.view.reason),
                Colour::warn);
      if (!entry.view.heard.empty()) lines.add(journal.subject.str() + " hears " + names(picture, entry.view.heard));
      return;
    case ViewStep::given_up:
      lines.say(entry.wall_ns, who, "gives up its round " + std::to_string(entry.view.round) + " for " +
                                        view_name(picture, entry.view.epoch) + " after " +
                                        us_text(entry.duration_us < 0 ? 0 : entry.duration_us),
                Colour::warn);
      return add_votes(lines, picture, journal, change);
    case ViewStep::committed:
      return tell_decision(lines, picture, journal, change);
    case ViewStep::installed:
      lines.say(entry.wall_ns, who, "has it in force" +
                                        (entry.view.lease_us == 0 ? std::string()
                                                                  : "; leases of those left out are over in " +
                                                                        us_text(entry.view.lease_us)),
                Colour::good);
      return;
    case ViewStep::none:
      break;
  }
  // Who came and who went is in the heading.
  const bool moved = entry.kind == JournalKind::decided &&
                     (entry.event == EventName::node_up || entry.event == EventName::node_down);
  const bool own_expulsion = entry.subject == entry.node && entry.event == EventName::node_down;
  if (!moved || own_expulsion) lines.say(entry.wall_ns, who, sentence(journal));
}

std::string heading(const ClusterPicture& picture, const ViewChange& change, bool colours) {
  if (change.epoch.is_genesis())
    return paint("No new view", Colour::bold, colours) + " (" + time_text(change.zero_wall_ns) + ")\n";
  std::string what = view_name(picture, change.epoch);
  what[0] = 'V';
  std::string out = paint(what, Colour::bold, colours);
  out += change.before.is_genesis() ? ", the first one known" : ", after " + view_name(picture, change.before);
  out += " (" + time_text(change.zero_wall_ns) + ")\n";
  for (const Arrival& node : change.left) out += "  " + node.node + " is out: " + node.why + '\n';
  for (const Arrival& node : change.joined) out += "  " + node.node + " is in: " + node.why + '\n';
  if (!change.members.empty()) out += "  members: " + joined(change.members) + "; led by " + change.coordinator + '\n';
  return out;
}

std::string steps_text(const ViewChange& change, bool colours) {
  if (change.epoch.is_genesis()) return {};
  if (!change.steps) return "  Its coordinator's word on the votes is not known here.\n";
  const ViewSteps& steps = *change.steps;
  const auto part = [](const char* name, std::int64_t us) {
    return std::string(name) + " " + ms_text(static_cast<double>(us) / 1000.0);
  };
  const char* first = change.zero_is_last_sign ? "suspicion to Prepare" : "need to Prepare";
  std::string out = "  " + paint("Steps: ", Colour::bold, colours);
  if (change.zero_is_last_sign) {
    const std::int64_t agreed_us = steps.decide_us + steps.promise_us + steps.accept_us;
    const std::int64_t silent_us = (change.decided_wall_ns - change.zero_wall_ns) / 1000 - agreed_us;
    out += part("silence", silent_us < 0 ? 0 : silent_us) + " + ";
  }
  out += part(first, steps.decide_us) + " + " + part("promises", steps.promise_us) + " + " +
         part("acceptance", steps.accept_us);
  const std::int64_t installed_us = (change.installed_wall_ns - change.decided_wall_ns) / 1000;
  if (change.installed_wall_ns != 0) out += " + " + part("in force everywhere", installed_us < 0 ? 0 : installed_us);
  out += " ms";
  if (change.leases_over_wall_ns)
    out += "; leases over " + ms_text(static_cast<double>(*change.leases_over_wall_ns - change.decided_wall_ns) / 1e6) +
           " ms after the decision";
  return out + '\n';
}

std::string not_asked(const std::vector<control::reply::Told>& nodes, bool colours) {
  std::string out;
  for (const auto& node : nodes) {
    if (node.reached) continue;
    out += paint("! ", Colour::warn, colours) + node.node.str() + " could not be asked: ";
    out += node.entries == 0
               ? "nothing that it wrote is known here\n"
               : "what it wrote is known here up to " + time_text(node.newest_wall_ns) + ", perhaps with gaps\n";
  }
  return out;
}

}  // namespace

std::string view_name(const ClusterPicture& picture, const Epoch& epoch) {
  return "view " + std::to_string(epoch.counter) + " by " + picture.name_of(epoch.proposer);
}

std::string because(NackReason reason) {
  switch (reason) {
    case NackReason::epoch_too_low:
      return "it is bound to a higher epoch";
    case NackReason::still_hear_suspect:
      return "it still hears the accused";
    case NackReason::not_ready:
      return "it is not ready to vote";
    case NackReason::not_in_proposal:
      return "this life of it was not asked for";
    case NackReason::stale_base:
      return "it holds a newer record";
  }
  return "for a reason that this release does not know";
}

std::string views_text(const ClusterPicture& picture, const std::vector<ViewChange>& changes,
                       const std::vector<control::reply::Told>& nodes, bool colours) {
  std::string out = changes.empty() ? "No view change is known in that time.\n" : "";
  for (const ViewChange& change : changes) {
    if (&change != &changes.front()) out += '\n';
    out += heading(picture, change, colours);
    Lines lines(change.zero_wall_ns);
    if (change.zero_is_last_sign)
      lines.say(change.zero_wall_ns, change.last_sign_of, "last sign of life", Colour::bad);
    for (const Journal& each : change.entries) tell_entry(lines, picture, each, change);
    out += lines.text(colours) + steps_text(change, colours);
  }
  const std::string missing = not_asked(nodes, colours);
  return missing.empty() ? out : out + '\n' + missing;
}

}  // namespace vigil::ctl
