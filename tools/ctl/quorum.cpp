// The counting first, then a sentence for each question.
#include "tools/ctl/quorum.hpp"

#include <algorithm>
#include <bitset>

#include "runtime/base/view.hpp"
#include "tools/ctl/entry_order.hpp"
#include "tools/ctl/table.hpp"
#include "tools/ctl/words.hpp"

namespace vigil::ctl {

namespace {

using control::reply::Node;

constexpr std::size_t most_votes = limits::max_nodes * 255;

// Can some of these voters have exactly half of the votes?
bool splits_evenly(const QuorumRule& rule) {
  const int total = rule.votes_of(rule.voters);
  if (total % 2 != 0) return false;
  std::bitset<most_votes + 1> sums;
  sums.set(0);
  for (NodeId node : rule.voters) sums |= sums << rule.votes_of(NodeSet::of(node));
  return sums.test(static_cast<std::size_t>(total) / 2);
}

// The view by whose rules this node counts; before there is one, everybody is in it.
View view_of(const ClusterPicture& picture) {
  const QuorumStatus& counted = picture.quorum.counted;
  View view;
  view.rule = counted.rule;
  view.also = counted.also;
  view.members = counted.members;
  if (view.members.empty())
    for (const Node& node : picture.nodes) view.members.add(node.id);
  return view;
}

bool in_view(const ClusterPicture& picture) {
  return picture.cluster.role == NodeRole::member || picture.cluster.role == NodeRole::no_quorum;
}

std::string votes_text(int votes) { return std::to_string(votes) + (votes == 1 ? " vote" : " votes"); }

std::string of_votes(const QuorumRule& rule) {
  return std::to_string(rule.needed) + " of " + votes_text(rule.votes_of(rule.voters));
}

// "alpha", "alpha or beta", "alpha, beta or gamma".
std::string any_of(const ClusterPicture& picture, NodeSet nodes) {
  std::string text = joined(picture.names_of(nodes));
  if (const std::size_t at = text.rfind(" and "); at != std::string::npos) text.replace(at, 5, " or ");
  return text;
}

std::string policy_text(const control::reply::Quorum& quorum) {
  switch (quorum.policy) {
    case QuorumPolicy::majority:
      return "majority: more than half of all configured nodes, whoever is in";
    case QuorumPolicy::weighted:
      return "weighted: more than half of all configured votes, whoever is in";
    case QuorumPolicy::last_man_standing:
      return "last man standing: more than half of the votes of those who are in, counted anew after each change";
  }
  return "unknown";
}

std::string rule_text(const ClusterPicture& picture) {
  const QuorumStatus& counted = picture.quorum.counted;
  std::string text = of_votes(counted.rule) + " of " + joined(picture.names_of(counted.rule.voters));
  if (counted.rule.kind == QuorumKind::overridden) text += ", on the operator's word";
  if (counted.also.exists())
    text += "; and, while the rule changes, also " + of_votes(counted.also) + " of " +
            joined(picture.names_of(counted.also.voters));
  if (!(counted.rule == counted.configured)) text += " (configured: " + of_votes(counted.configured) + ")";
  return text;
}

std::string node_note(const ClusterPicture& picture, const Node& node, const QuorumFacts& facts) {
  std::vector<std::string> notes;
  if (node.self) notes.push_back("this node");
  if (picture.quorum.arbiters.has(node.id)) notes.push_back("arbiter: votes, and runs nothing");
  if (picture.quorum.counted.vouched.has(node.id)) notes.push_back("down on the operator's word");
  if (!node.heard)
    notes.push_back("not heard");
  else if (!node.member && !node.self)
    notes.push_back("heard, not in the cluster");
  if (facts.stops_without.has(node.id)) notes.push_back("the cluster stops without it");
  std::string text;
  for (const std::string& note : notes) text += (text.empty() ? "" : ", ") + note;
  return text;
}

std::string nodes_table(const ClusterPicture& picture, const QuorumFacts& facts, bool colours) {
  std::vector<std::vector<Cell>> rows;
  rows.push_back({Cell("NODE", Colour::dim), Cell("VOTES", Colour::dim, true), Cell("COUNTS", Colour::dim),
                  Cell("NOTE", Colour::dim)});
  for (const Node& node : picture.nodes) {
    const bool counts = facts.counting.has(node.id);
    const int votes = picture.quorum.counted.configured.votes_of(NodeSet::of(node.id));
    rows.push_back({node.name.str(), Cell(std::to_string(votes), Colour::plain, true),
                    counts ? Cell("yes", Colour::good) : Cell("no", votes > 0 ? Colour::warn : Colour::dim),
                    Cell(node_note(picture, node, facts), Colour::dim)});
  }
  return table(rows, colours);
}

// ---- sentences -----------------------------------------------------------------------------------

std::string standing_sentence(const ClusterPicture& picture, const QuorumFacts& facts) {
  const std::string self = picture.name_of(picture.cluster.self);
  const std::string votes = "it counts " + votes_text(facts.counted) + " (" + joined(picture.names_of(facts.counting)) +
                            ") and needs " + std::to_string(facts.needed);
  if (facts.by_tie_breaker && picture.cluster.quorate)
    return self + " has a quorum by the tie-breaker: " + votes + ", and exactly half is enough while " +
           picture.quorum.tie_breaker.str() + " can be read and is its own.";
  if (picture.cluster.quorate) return self + " has a quorum and may serve: " + votes + ".";
  if (picture.cluster.role == NodeRole::waiting)
    return self + " does not vote yet and serves nothing: " + picture.cluster.role_text.str() + ".";
  return self + " has no quorum and serves nothing: " + votes + ".";
}

std::string lacking_sentence(const ClusterPicture& picture, const QuorumFacts& facts) {
  const QuorumStatus& counted = picture.quorum.counted;
  if (!counted.vouched.empty())
    return "On the operator's word " + joined(picture.names_of(counted.vouched)) +
           (counted.vouched.count() == 1 ? " counts" : " count") +
           " as down; a view that builds on it is being agreed.";
  if (!in_view(picture) && counted.start_needs_every_voter && !facts.start_lacks.empty())
    return "It is in no cluster yet. A start needs every node with a vote, and " +
           joined(picture.names_of(facts.start_lacks)) + (facts.start_lacks.count() == 1 ? " is" : " are") +
           " not heard.";
  if (facts.spare >= 0) return "Enough votes are heard, and yet: " + picture.cluster.role_text.str() + ".";
  std::string text = votes_text(-facts.spare) + (facts.spare == -1 ? " is" : " are") +
                     " lacking. Not heard: " + joined(picture.names_of(facts.silent & counted.rule.voters)) + ".";
  if (!facts.enough_with.empty())
    text += " It is enough to bring back " + any_of(picture, facts.enough_with) + ", or to mend the network to it.";
  return text;
}

std::string override_sentence(const ClusterPicture& picture, const QuorumFacts& facts) {
  return "If you know that " + joined(picture.names_of(facts.silent)) + (facts.silent.count() == 1 ? " is" : " are") +
         " down, and can keep " + (facts.silent.count() == 1 ? "it" : "them") + " down: vigil quorum override";
}

std::string loss_sentence(const ClusterPicture& picture, const QuorumFacts& facts) {
  std::string text;
  if (facts.by_tie_breaker)
    text = "No vote can be lost, and the tie-breaker neither.";
  else if (facts.spare == 0)
    text = "No vote can be lost.";
  else
    text = votes_text(facts.spare) + " more can be lost at one moment.";
  if (!facts.stops_without.empty())
    text += " The loss of " + any_of(picture, facts.stops_without) +
            " stops the cluster: nothing is served until enough votes are together again.";
  else
    text += " No single node's loss stops the cluster.";
  if (!facts.tie_without.empty())
    text += " The loss of " + any_of(picture, facts.tie_without) +
            " leaves exactly half, which goes on by the tie-breaker.";
  return text;
}

std::string shrinking_sentence(const ClusterPicture& picture, const QuorumFacts& facts) {
  if (picture.quorum.policy != QuorumPolicy::last_man_standing || facts.counting.count() < 2) return "";
  const bool breaker = !picture.quorum.tie_breaker.empty();
  if (facts.counting.count() == 2)
    return breaker ? "These are the last two: if one fails, the other goes on by the tie-breaker."
                   : "These are the last two: if one fails, the other cannot know that it did, and stops. One that is "
                     "stopped in good order (vigil node stop) leaves the other in service.";
  return std::string("After each loss the votes are counted anew, so nodes may fail one after another, down to ") +
         (breaker ? "one, the last by the tie-breaker." : "two.");
}

std::string tie_sentence(const ClusterPicture& picture, const QuorumFacts& facts) {
  if (!facts.can_tie) return "A tie cannot happen: " + votes_text(facts.total) + " do not split into two halves.";
  const std::string half = std::to_string(facts.total / 2);
  const std::string tie = "At a tie (" + half + " against " + votes_text(facts.total / 2) + ") ";
  if (picture.quorum.counted.rule.tie_breaker)
    return tie + "the half that wins the tie-breaker " + picture.quorum.tie_breaker.str() +
           " goes on, and the other one stops.";
  return tie +
         "neither half has a quorum: both stop serving until they hear each other, or until you decide for one of "
         "them with 'vigil quorum override'.";
}

std::string start_sentence(const ClusterPicture& picture) {
  const control::reply::Quorum& quorum = picture.quorum;
  const QuorumRule& configured = quorum.counted.configured;
  const std::string begin = "After a complete stop the cluster starts ";
  if (!quorum.counted.start_needs_every_voter) return begin + "when " + of_votes(configured) + " are there.";
  const std::string why = quorum.wait_for_all ? "(wait_for_all)" : "(fewer cannot know what the last ones decided)";
  return begin + "when every node with a vote is there " + why + ": " + joined(picture.names_of(configured.voters)) +
         "; or on your word (vigil quorum override).";
}

std::string when_text(const control::reply::Journal& change) {
  return time_text(change.entry.wall_ns) + "  " + change.node.str() + "  " +
         (change.entry.kind == JournalKind::observed ? change.subject.str() + " " : "") + change.entry.text.str();
}

}  // namespace

// ---- counting --------------------------------------------------------------------------------------

QuorumFacts quorum_facts(const ClusterPicture& picture) {
  const View view = view_of(picture);
  QuorumFacts facts;
  for (const Node& node : picture.nodes) (node.heard || node.self ? facts.present : facts.silent).add(node.id);
  facts.counting = facts.present & view.members & (view.rule.voters | view.also.voters);
  facts.total = view.rule.votes_of(view.rule.voters);
  facts.needed = view.rule.needed;
  facts.counted = view.rule.votes_of(facts.counting);
  facts.spare = facts.counted - facts.needed;
  if (view.also.exists()) facts.spare = std::min(facts.spare, view.also.votes_of(facts.counting) - view.also.needed);
  facts.by_tie_breaker = !view.is_quorum(facts.counting) && view.is_quorum_holding(facts.counting);
  for (NodeId node : facts.counting) {
    const NodeSet rest = facts.counting - NodeSet::of(node);
    if (!view.is_quorum_holding(rest))
      facts.stops_without.add(node);
    else if (!view.is_quorum(rest))
      facts.tie_without.add(node);
  }
  if (!view.is_quorum_holding(facts.counting)) {
    facts.stops_without = {};
    for (NodeId node : facts.silent& view.members)
      if (view.is_quorum(facts.counting | NodeSet::of(node))) facts.enough_with.add(node);
  }
  facts.can_tie = splits_evenly(view.rule);
  if (picture.quorum.counted.start_needs_every_voter)
    facts.start_lacks = picture.quorum.counted.configured.voters - facts.present - picture.quorum.counted.vouched;
  return facts;
}

std::vector<control::reply::Journal> rule_changes(const std::vector<control::reply::Journal>& journal) {
  std::vector<control::reply::Journal> ordered = journal;
  put_in_order(ordered);
  std::vector<control::reply::Journal> changes;
  for (const control::reply::Journal& said : ordered) {
    const JournalEntry& entry = said.entry;
    if (entry.event != EventName::quorum_rule) continue;
    const bool told = std::any_of(changes.begin(), changes.end(), [&](const control::reply::Journal& other) {
      return other.entry.kind == entry.kind && other.entry.subject == entry.subject &&
             other.entry.stamp.epoch == entry.stamp.epoch && other.entry.text == entry.text;
    });
    if (!told) changes.push_back(said);
  }
  return changes;
}

// ---- pages -----------------------------------------------------------------------------------------

std::vector<std::string> quorum_sentences(const ClusterPicture& picture) {
  const QuorumFacts facts = quorum_facts(picture);
  std::vector<std::string> sentences{standing_sentence(picture, facts)};
  if (picture.cluster.quorate) {
    sentences.push_back(loss_sentence(picture, facts));
    sentences.push_back(shrinking_sentence(picture, facts));
  } else {
    if (picture.cluster.role != NodeRole::waiting) sentences.push_back(lacking_sentence(picture, facts));
    if (!facts.silent.empty() && picture.quorum.counted.vouched.empty())
      sentences.push_back(override_sentence(picture, facts));
  }
  sentences.push_back(tie_sentence(picture, facts));
  sentences.push_back(start_sentence(picture));
  std::erase(sentences, std::string());
  return sentences;
}

std::string quorum_text(const ClusterPicture& picture, const std::vector<control::reply::Journal>& journal,
                        bool colours) {
  const QuorumFacts facts = quorum_facts(picture);
  std::vector<std::vector<Cell>> head;
  head.push_back({Cell("Cluster", Colour::dim), Cell(picture.cluster.name.str(), Colour::bold)});
  head.push_back({Cell("Policy", Colour::dim), policy_text(picture.quorum)});
  head.push_back({Cell("Rule", Colour::dim), rule_text(picture)});
  std::string out = table(head, colours) + '\n' + nodes_table(picture, facts, colours) + '\n';
  bool first = true;
  for (const std::string& sentence : quorum_sentences(picture)) {
    out += (first ? paint(sentence, picture.cluster.quorate ? Colour::good : Colour::bad, colours) : sentence) + '\n';
    first = false;
  }
  const auto changes = rule_changes(journal);
  constexpr std::size_t shown = 5;
  if (!changes.empty()) out += "\nWhat changed the rule\n";
  for (std::size_t i = changes.size() > shown ? changes.size() - shown : 0; i < changes.size(); ++i)
    out += "  " + when_text(changes[i]) + '\n';
  return out;
}

std::string override_warning(const ClusterPicture& picture) {
  const QuorumFacts facts = quorum_facts(picture);
  const std::string self = picture.name_of(picture.cluster.self);
  const std::string others = joined(picture.names_of(facts.silent));
  const bool one = facts.silent.count() == 1;
  const bool back = picture.quorum.policy == QuorumPolicy::last_man_standing;
  return "You vouch that " + others + (one ? " is" : " are") +
         " powered off, or otherwise cannot touch any disk, address\n" +
         "or application of this cluster, and will stay so until " + (one ? "it hears" : "each of them hears") + " " +
         self + " again: do not start\n" + (one ? "it" : "them") + " where " + self + " cannot be heard.\n" + self +
         " will start here what ran there. Whatever they decided without " + self + " is lost, and if you\n" +
         "are wrong, two nodes serve the same thing, and data may be lost.\n" +
         "From then on the votes of the nodes that are in count alone, and nobody else's" +
         (back ? ".\n" : "; the configured\nrule is in force again when a majority of it is back.\n");
}

}  // namespace vigil::ctl
