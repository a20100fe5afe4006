// How a takeover is cut out of the journal:
//
//   - Entries about the group carry its generation, which grows with every change of owner. The entry
//     "done resource_group_online" of a generation ends that takeover; what comes after it in the same
//     generation belongs to the cause of the next.
//   - Entries about no group tell of nodes, links and views. Those within `cause_horizon` before the
//     takeover's first own entry are its cause, if they are about the old owner, by it, or about the view;
//     these last only where the change of owner was decided with the view, and not by a later record.
//   - An application's earlier failures count further back, since restarts are spread over minutes.
//
// Wall clocks of nodes differ; entries of one node keep their order, those of several are merged by
// wall clock, and the reader is told who wrote each.
#include "tools/ctl/story.hpp"

#include <algorithm>
#include <map>

#include "tools/ctl/entry_order.hpp"

namespace vigil::ctl {

namespace {

constexpr std::int64_t cause_horizon_ns = 5'000'000'000;
constexpr std::int64_t failures_horizon_ns = 300'000'000'000;
constexpr std::int64_t incident_gap_ns = 5'000'000'000;
// Of an epoch: the view's record, and the one without the doubt that follows at once.
constexpr std::uint32_t last_record_of_view_change = 2;

bool ends_takeover(const JournalEntry& entry) {
  return entry.kind == JournalKind::done && entry.event == EventName::resource_group_online;
}

// What only a new owner starts.
bool begins_taking(EventName event) {
  return event == EventName::resource_group_online || event == EventName::acquire_service_addr ||
         event == EventName::start_server;
}

bool is_application_event(EventName event) {
  return event == EventName::server_down || event == EventName::server_restart || event == EventName::start_server ||
         event == EventName::stop_server;
}

// What the entries of one generation of the group say about it.
struct Span {
  std::int64_t first_ns = 0;
  std::int64_t online_ns = -1;  // -1: never came up in this generation
  NodeId owner = no_node;       // who brought it up, or at least began to
  bool by_view_change = true;   // decided together with the view that was in force when it began
};

std::map<std::uint32_t, Span> spans_of(const std::vector<Journal>& entries, GroupIndex group) {
  std::map<std::uint32_t, Span> spans;
  for (const Journal& each : entries) {
    const JournalEntry& entry = each.entry;
    if (entry.group != group || entry.generation == 0) continue;
    const bool is_new = spans.find(entry.generation) == spans.end();
    Span& span = spans[entry.generation];
    if (is_new) span.first_ns = entry.wall_ns;
    if (is_new) span.by_view_change = entry.stamp.version <= last_record_of_view_change;
    if (span.online_ns >= 0) continue;
    if (ends_takeover(entry)) {
      span.online_ns = entry.wall_ns;
      span.owner = entry.node;
    } else if (entry.kind == JournalKind::started && begins_taking(entry.event)) {
      span.owner = entry.node;
    }
  }
  return spans;
}

// A cluster-wide entry that explains why the group left `from`, or why it went to `to`. A move that a later
// record of the view decided has another cause than the view, however recent that is.
bool is_cause(const JournalEntry& entry, NodeId from, NodeId to, bool by_view_change) {
  if (about_membership(entry) && !by_view_change)
    return from != no_node && entry.subject == from && entry.event == EventName::node_down;
  if (entry.event == EventName::view_change) return true;
  if (from != no_node && (entry.subject == from || entry.node == from)) return true;
  if (to != no_node && entry.subject == to && entry.event == EventName::node_up) return true;
  return entry.subject == no_node && (entry.kind == JournalKind::voted || entry.kind == JournalKind::decided);
}

GroupReason reason_from(const std::vector<Journal>& entries, NodeId from) {
  GroupReason reason = GroupReason::none;
  for (const Journal& each : entries) {
    const JournalEntry& entry = each.entry;
    if (entry.event == EventName::rg_fallback) return GroupReason::fallback;
    if (entry.event == EventName::node_down && entry.subject == from && from != no_node)
      reason = entry.kind == JournalKind::accused || reason == GroupReason::node_failed ? GroupReason::node_failed
                                                                                        : GroupReason::node_left;
    if (reason != GroupReason::none) continue;
    if (entry.event == EventName::server_down) reason = GroupReason::application_failed;
    if (entry.event == EventName::network_down) reason = GroupReason::network_failed;
  }
  return reason;
}

// What a node writes about itself that concerns what it serves.
bool is_about_serving(EventName event) {
  switch (event) {
    case EventName::network_up:
    case EventName::network_down:
    case EventName::network_one_way:
    case EventName::fail_service:
    case EventName::join_service:
    case EventName::fail_standby:
    case EventName::join_standby:
    case EventName::quorum_lost:
    case EventName::quorum_regained:
    case EventName::lease_gap:
      return true;
    default:
      return false;
  }
}

std::uint32_t measured_us(const JournalEntry& entry) {
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(entry.duration_us, 0, UINT32_MAX));
}

// The budget of an earlier takeover, whose owner's own sum is no longer in the cluster state.
Budget budget_from(const Takeover& takeover, NodeId from, NodeId to, GroupIndex group) {
  Budget budget;
  std::int64_t waiting_since_ns = -1;
  std::int64_t accused_ns = -1;
  std::int64_t decided_ns = -1;
  for (const Journal& each : takeover.entries) {
    const JournalEntry& entry = each.entry;
    const std::uint32_t took_us = measured_us(entry);
    if (entry.kind == JournalKind::accused && entry.subject == from) {
      budget.detect_us = std::max(budget.detect_us, took_us);
      if (accused_ns < 0) accused_ns = entry.wall_ns;
    }
    if (entry.kind == JournalKind::decided && entry.group == no_index && decided_ns < 0) decided_ns = entry.wall_ns;
    if (entry.node != to || entry.group != group) continue;
    if (entry.kind == JournalKind::waiting) {
      if (waiting_since_ns < 0) waiting_since_ns = entry.wall_ns;
    } else if (waiting_since_ns >= 0 && budget.fence_us == 0) {
      const std::int64_t waited_us = (entry.wall_ns - waiting_since_ns) / 1000 - took_us;
      budget.fence_us = static_cast<std::uint32_t>(std::clamp<std::int64_t>(waited_us, 0, UINT32_MAX));
    }
    if (entry.kind != JournalKind::done) continue;
    if (entry.event == EventName::acquire_service_addr) budget.address_us = std::max(budget.address_us, took_us);
    if (entry.event == EventName::start_server) budget.application_us = std::max(budget.application_us, took_us);
  }
  if (accused_ns >= 0 && decided_ns > accused_ns)
    budget.agree_us = static_cast<std::uint32_t>(std::min<std::int64_t>((decided_ns - accused_ns) / 1000, UINT32_MAX));
  return budget;
}

// The moment from which the reader counts.
void set_zero(Takeover& takeover, NodeId from) {
  if (takeover.entries.empty()) return;
  takeover.zero_wall_ns = takeover.entries.front().entry.wall_ns;
  for (const Journal& each : takeover.entries) {
    const JournalEntry& entry = each.entry;
    if (entry.kind != JournalKind::accused || entry.subject != from || entry.duration_us < 0) continue;
    const std::int64_t last_sign_ns = entry.wall_ns - entry.duration_us * 1000;
    if (last_sign_ns > takeover.zero_wall_ns) continue;
    takeover.zero_wall_ns = last_sign_ns;
    takeover.zero_is_last_sign = true;
  }
}

std::string name_in(const ClusterPicture& picture, NodeId node) {
  return node == no_node ? std::string() : picture.name_of(node);
}

class Teller {
 public:
  Teller(const ClusterPicture& picture, const control::reply::Group& group, const std::vector<Journal>& entries)
      : picture_(picture), group_(group), entries_(entries), spans_(spans_of(entries, group.index)) {
    // The state knows of the newest takeover even where no journal has it any more.
    const GroupState& state = group.state;
    if (state.generation > 0 && spans_.find(state.generation) == spans_.end()) {
      Span span;
      span.first_ns = state.last_wall_ns;
      span.owner = state.owner;
      spans_[state.generation] = span;
    }
  }

  std::vector<Takeover> tell(std::size_t last) const {
    std::vector<Takeover> takeovers;
    std::size_t skip = spans_.size() > last ? spans_.size() - last : 0;
    for (auto at = spans_.begin(); at != spans_.end(); ++at) {
      if (skip > 0) {
        --skip;
        continue;
      }
      takeovers.push_back(takeover(at));
    }
    return takeovers;
  }

 private:
  using At = std::map<std::uint32_t, Span>::const_iterator;

  // Who had the group before this generation, and until when that takeover lasted.
  NodeId previous_owner(At at, std::int64_t& over_ns) const {
    over_ns = INT64_MIN;
    for (At before = at; before != spans_.begin();) {
      --before;
      over_ns = std::max(over_ns, before->second.online_ns >= 0 ? before->second.online_ns : INT64_MIN);
      if (before->second.online_ns >= 0) return before->second.owner;
    }
    return at->first == group_.state.generation ? group_.state.previous : no_node;
  }

  bool belongs(const JournalEntry& entry, At at, NodeId from, NodeId to, std::int64_t over_ns) const {
    const Span& span = at->second;
    const At after = std::next(at);
    if (entry.group == group_.index && entry.generation == at->first)
      return span.online_ns < 0 || entry.wall_ns <= span.online_ns;
    if (entry.wall_ns <= over_ns) return false;
    if (span.online_ns >= 0 && entry.wall_ns > span.online_ns) return false;
    if (after != spans_.end() && entry.wall_ns >= after->second.first_ns) return false;
    if (entry.group == group_.index)
      return entry.generation < at->first &&
             entry.wall_ns >=
                 span.first_ns - (is_application_event(entry.event) ? failures_horizon_ns : cause_horizon_ns);
    return entry.group == no_index && entry.wall_ns >= span.first_ns - cause_horizon_ns &&
           is_cause(entry, from, to, span.by_view_change);
  }

  std::vector<Incident> incidents_after(const Span& span, std::uint32_t generation) const {
    std::vector<Incident> incidents;
    std::int64_t newest_ns = 0;
    for (const Journal& each : entries_) {
      const JournalEntry& entry = each.entry;
      if (span.online_ns < 0 || entry.wall_ns <= span.online_ns) continue;
      const bool own = entry.group == group_.index && entry.generation == generation;
      const bool of_node = entry.group == no_index && entry.node == span.owner && is_about_serving(entry.event);
      if (!own && !of_node) continue;
      if (incidents.empty() || entry.wall_ns - newest_ns > incident_gap_ns) incidents.push_back({entry.wall_ns, {}});
      incidents.back().entries.push_back(each);
      newest_ns = entry.wall_ns;
    }
    return incidents;
  }

  Takeover takeover(At at) const {
    const bool newest = at->first == group_.state.generation;
    std::int64_t over_ns = 0;
    const NodeId from = previous_owner(at, over_ns);
    const NodeId to = at->second.owner != no_node ? at->second.owner : newest ? group_.state.owner : no_node;
    Takeover told;
    told.generation = at->first;
    told.from = name_in(picture_, from);
    told.to = name_in(picture_, to);
    for (const Journal& each : entries_)
      if (belongs(each.entry, at, from, to, over_ns)) told.entries.push_back(each);
    told.zero_wall_ns = at->second.first_ns;
    set_zero(told, from);
    told.reason = newest ? group_.state.reason : reason_from(told.entries, from);
    if (newest) {
      told.phase = group_.state.phase;
      told.incidents = incidents_after(at->second, at->first);
    }
    if (at->second.online_ns >= 0 && !newest) told.phase = GroupPhase::online;
    if (told.phase != GroupPhase::online) return told;
    told.budget = newest ? group_.state.last : budget_from(told, from, to, group_.index);
    return told;
  }

  const ClusterPicture& picture_;
  const control::reply::Group& group_;
  const std::vector<Journal>& entries_;
  std::map<std::uint32_t, Span> spans_;
};

}  // namespace

std::int64_t total_us(const Budget& budget) {
  return std::int64_t{budget.detect_us} + budget.agree_us + budget.fence_us + budget.storage_us + budget.address_us +
         budget.application_us;
}

std::vector<Takeover> takeovers_of(const ClusterPicture& picture, const control::reply::Group& group,
                                   std::vector<Journal> entries, std::size_t last) {
  put_in_order(entries);
  return Teller(picture, group, entries).tell(last);
}

}  // namespace vigil::ctl
