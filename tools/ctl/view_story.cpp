// How the journals of all nodes become view changes:
//
//   - What decides or installs a view names its epoch; so do "is in" and "is out", whose stamp is the view's.
//   - An accusation, a refusal and a round that was given up name the view that was in force: they belong to
//     the view that replaced that one. An accusation of a node that was then kept, long before, does not.
//   - Lateness, lost quorums and the like belong to the change that they are close to.
//   - What belongs to none becomes a change without an epoch: a suspicion that came to nothing.
//
// Epochs order the changes, whatever the clocks say; within one, the nodes' wall clocks do.
#include "tools/ctl/view_story.hpp"

#include <algorithm>
#include <map>

#include "tools/ctl/entry_order.hpp"

namespace vigil::ctl {

namespace {

// What happens this close to a change has to do with it.
constexpr std::int64_t close_ns = 5'000'000'000;

struct Draft {
  Epoch before;
  std::vector<Journal> entries;
  std::int64_t first_ns = INT64_MAX;
  std::int64_t last_ns = INT64_MIN;
  NodeSet left;

  void add(const Journal& journal) {
    entries.push_back(journal);
    first_ns = std::min(first_ns, journal.entry.wall_ns);
    last_ns = std::max(last_ns, journal.entry.wall_ns);
  }
  bool is_close(std::int64_t wall_ns) const { return wall_ns >= first_ns - close_ns && wall_ns <= last_ns + close_ns; }
};
using Drafts = std::map<Epoch, Draft>;

bool is_change_of_members(const JournalEntry& entry) {
  return entry.kind == JournalKind::decided && (entry.event == EventName::node_up || entry.event == EventName::node_down);
}

// "I was voted out": written with the stamp of the view that it was in.
bool is_own_expulsion(const JournalEntry& entry) {
  return is_change_of_members(entry) && entry.event == EventName::node_down && entry.subject == entry.node;
}

// The epoch that the entry names as decided; genesis: none.
Epoch decided_epoch(const JournalEntry& entry) {
  if (entry.view.step == ViewStep::committed || entry.view.step == ViewStep::installed) return entry.view.epoch;
  const bool new_rule = entry.kind == JournalKind::decided && entry.event == EventName::quorum_rule;
  const bool follows = new_rule || (is_change_of_members(entry) && !is_own_expulsion(entry));
  return follows ? entry.stamp.epoch : Epoch{};
}

Drafts draft(const std::vector<Journal>& entries, std::vector<Journal>& others) {
  Drafts drafts;
  for (const Journal& each : entries) {
    const Epoch epoch = decided_epoch(each.entry);
    if (epoch.is_genesis()) {
      others.push_back(each);
      continue;
    }
    Draft& change = drafts[epoch];
    change.add(each);
    if (is_change_of_members(each.entry) && each.entry.event == EventName::node_down) change.left.add(each.entry.subject);
    const Epoch before = each.entry.view.before;
    if (each.entry.view.step != ViewStep::none && before < epoch) change.before = std::max(change.before, before);
  }
  return drafts;
}

// The change that replaced the view which this entry saw in force.
Draft* successor(Drafts& drafts, const JournalEntry& entry) {
  const Epoch before = entry.view.step == ViewStep::none ? entry.stamp.epoch : entry.view.before;
  const bool needs_subject = entry.view.step == ViewStep::accused || entry.view.step == ViewStep::none;
  for (auto& [epoch, change] : drafts) {
    if (change.before != before || epoch < entry.view.epoch) continue;
    const bool concerns = !needs_subject || change.left.has(entry.subject);
    if (concerns || change.is_close(entry.wall_ns)) return &change;
  }
  return nullptr;
}

Draft* nearby(Drafts& drafts, const JournalEntry& entry) {
  Draft* nearest = nullptr;
  std::int64_t distance_ns = INT64_MAX;
  for (auto& [epoch, change] : drafts) {
    if (!change.is_close(entry.wall_ns)) continue;
    const std::int64_t away_ns = std::max(change.first_ns - entry.wall_ns, entry.wall_ns - change.last_ns);
    if (away_ns >= distance_ns) continue;
    nearest = &change;
    distance_ns = away_ns;
  }
  return nearest;
}

// What led to nothing, cut where nothing happened for a while.
std::vector<Draft> incidents(const std::vector<Journal>& rest) {
  std::vector<Draft> drafts;
  for (const Journal& each : rest) {
    if (drafts.empty() || each.entry.wall_ns > drafts.back().last_ns + close_ns) drafts.emplace_back();
    drafts.back().add(each);
  }
  return drafts;
}

class Teller {
 public:
  Teller(const ClusterPicture& picture, const Epoch& epoch, Draft& draft) : picture_(picture), draft_(draft) {
    told_.epoch = epoch;
    told_.before = draft.before;
  }

  ViewChange tell() {
    put_in_order(draft_.entries);
    told_.zero_wall_ns = draft_.first_ns;
    for (const Journal& each : draft_.entries) {
      const JournalEntry& entry = each.entry;
      if (entry.view.step == ViewStep::accused) accused(each);
      if (entry.view.step == ViewStep::refused) refusals_[entry.subject] = entry.view.reason;
      if (entry.view.step == ViewStep::given_up || entry.view.step == ViewStep::committed) round(entry);
      if (entry.view.step == ViewStep::installed) installed(entry);
      if (entry.view.step == ViewStep::none && !decided_epoch(entry).is_genesis()) moved(each);
    }
    told_.entries = std::move(draft_.entries);
    return std::move(told_);
  }

 private:
  void accused(const Journal& journal) {
    const JournalEntry& entry = journal.entry;
    if (!draft_.left.has(entry.subject) || entry.duration_us < 0) return;
    const std::int64_t last_sign_ns = entry.wall_ns - entry.duration_us * 1000;
    if (last_sign_ns > told_.zero_wall_ns) return;
    told_.zero_wall_ns = last_sign_ns;
    told_.zero_is_last_sign = true;
    told_.last_sign_of = journal.subject.str();
  }

  void round(const JournalEntry& entry) {
    const ViewFacts& facts = entry.view;
    told_.rounds = std::max(told_.rounds, facts.round);
    told_.votes.clear();
    for (const NodeId node : facts.members) {
      Vote vote{picture_.name_of(node), VoteAnswer::none, std::nullopt, facts.accepted.has(node)};
      if (facts.promised.has(node)) vote.answer = VoteAnswer::promised;
      if (facts.refused.has(node)) vote.answer = VoteAnswer::refused;
      if (const auto why = refusals_.find(node); vote.answer == VoteAnswer::refused && why != refusals_.end())
        vote.reason = why->second;
      told_.votes.push_back(vote);
    }
    if (facts.step != ViewStep::committed) return;
    told_.decided_wall_ns = entry.wall_ns;
    told_.steps = ViewSteps{facts.decide_us, facts.promise_us, facts.accept_us};
  }

  void installed(const JournalEntry& entry) {
    told_.coordinator = picture_.name_of(entry.subject);
    told_.members = picture_.names_of(entry.view.members);
    told_.installed_wall_ns = std::max(told_.installed_wall_ns, entry.wall_ns);
    if (entry.view.lease_us == 0) return;
    const std::int64_t over_ns = entry.wall_ns + std::int64_t{entry.view.lease_us} * 1000;
    told_.leases_over_wall_ns = std::max(told_.leases_over_wall_ns.value_or(over_ns), over_ns);
  }

  // A node that joins sees everybody come: what the others say counts.
  void moved(const Journal& journal) {
    auto& list = journal.entry.event == EventName::node_up ? told_.joined : told_.left;
    NodeSet& known = journal.entry.event == EventName::node_up ? joined_ : left_;
    if (journal.entry.event == EventName::node_up && !saw_before(journal.entry)) return;
    if (known.has(journal.entry.subject)) return;
    known.add(journal.entry.subject);
    list.push_back({journal.subject.str(), journal.entry.text.str()});
  }

  // Did the writer know the view before as well as anybody? After a cold start nobody did.
  bool saw_before(const JournalEntry& entry) const {
    Epoch newest;
    Epoch its;
    for (const Journal& each : draft_.entries) {
      if (each.entry.view.step != ViewStep::installed) continue;
      newest = std::max(newest, each.entry.view.before);
      if (each.entry.node == entry.node) its = each.entry.view.before;
    }
    return its == newest;
  }

  const ClusterPicture& picture_;
  Draft& draft_;
  ViewChange told_;
  std::map<NodeId, NackReason> refusals_;
  NodeSet joined_;
  NodeSet left_;
};

std::int64_t end_ns(const ViewChange& change) {
  return change.entries.empty() ? change.zero_wall_ns : change.entries.back().entry.wall_ns;
}

}  // namespace

std::vector<ViewChange> view_changes_of(const ClusterPicture& picture, std::vector<Journal> entries,
                                        const ViewStoryOptions& options) {
  put_in_order(entries);
  std::vector<Journal> others;
  std::vector<Journal> rest;
  Drafts drafts = draft(entries, others);
  for (const Journal& each : others) {
    const bool names_its_view = each.entry.view.step != ViewStep::none || is_own_expulsion(each.entry);
    Draft* change = names_its_view ? successor(drafts, each.entry) : nearby(drafts, each.entry);
    if (change != nullptr)
      change->add(each);
    else
      rest.push_back(each);
  }
  std::vector<ViewChange> told;
  std::vector<Draft> loose = incidents(rest);
  std::size_t next = 0;
  for (auto& [epoch, change] : drafts) {
    for (; next < loose.size() && loose[next].first_ns < change.first_ns; ++next)
      told.push_back(Teller(picture, Epoch{}, loose[next]).tell());
    told.push_back(Teller(picture, epoch, change).tell());
  }
  for (; next < loose.size(); ++next) told.push_back(Teller(picture, Epoch{}, loose[next]).tell());
  std::erase_if(told, [&](const ViewChange& change) { return end_ns(change) < options.since_wall_ns; });
  if (told.size() > options.last) told.erase(told.begin(), told.end() - static_cast<std::ptrdiff_t>(options.last));
  return told;
}

}  // namespace vigil::ctl
