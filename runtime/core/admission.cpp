// Who stays out because it comes and goes (flap_guard.hpp) or is out of reach of messages, who stays out, or is told, because of its wall clock
// (clock_watch.hpp), and what is told of the rotation of the
// key (key_rotation.hpp). See node_parts.hpp.
#include <cstdio>

#include "runtime/core/node_parts.hpp"

namespace vigil {

namespace {

// "its clock is 3600 s ahead of the cluster's: …"
BoundedString<95> clock_text(Duration ahead, bool member) {
  const bool behind = ahead < Duration{};
  const long long seconds = (behind ? Duration{} - ahead : ahead).ns / 1'000'000'000;
  char text[96];
  std::snprintf(text, sizeof text, "its clock is %lld s %s the others': %s", seconds, behind ? "behind" : "ahead of",
                member ? "set it right (it stays a member)" : "not admitted until it is set right");
  return text;
}

}  // namespace

void NodeCore::Parts::judge_flapping(Instant now) {
  const NodeSet held_out = flaps.held_out(now);
  if (held_out == table.held_out) return;
  membership_due = true;
  for (NodeId node : held_out - table.held_out) {
    char text[96];
    std::snprintf(text, sizeof text, "voted out %u times: held out for %lld s", flaps.times(node),
                  static_cast<long long>((flaps.until(node) - now).ns / 1'000'000'000 + 1));
    note(JournalKind::decided, EventName::node_refused, node, text);
    run_hooks(EventName::node_refused, node, no_index, no_index);
  }
  table.held_out = held_out;
}

// Small frames may pass where records do not: such a node is heard, follows nothing, and cannot be told to release what
// it owns. Whoever was late itself has old heartbeats before it, and judges later.
void NodeCore::Parts::judge_followers(Instant now) {
  const Record& record = membership.committed();
  const bool late = detector.late_recently(now);
  followers_due = Instant::never();
  NodeSet behind;
  for (NodeId node : record.view.members) {
    const Peer& peer = table.peers[node];
    Following& follower = following[node];
    const bool follows = node == self || !membership.member() || !peer.known || !peer.heard ||
                         peer.latest.committed >= record.stamp || !record.view.holds(node, peer.latest.incarnation);
    if (follows) {
      follower.since = Instant::never();
      continue;
    }
    if (late || follower.since.is_never() || follower.shown != peer.latest.committed)
      follower = {peer.latest.committed, now};
    const Instant due = follower.since + config.timing.follow_limit();
    if (now >= due)
      behind.add(node);
    else
      followers_due = earlier(followers_due, due);
  }
  for (NodeId node : behind - table.behind)
    note(JournalKind::observed, EventName::node_refused, node, "is heard, and gets no records: its links pass small frames only");
  table.behind = behind;
}

void NodeCore::Parts::describe_flapping(Instant now, NodeStatus& status) const {
  for (NodeId node : table.behind) {
    if (status.problems.full()) return;
    char line[256];
    std::snprintf(line, sizeof line, "%s is heard, and gets no records: its links pass small frames only",
                  config.nodes[node].name.c_str());
    status.problems.push(line);
  }
  for (NodeId node : table.held_out) {
    if (status.problems.full() || now >= flaps.until(node)) return;
    char line[256];
    std::snprintf(line, sizeof line, "%s comes and goes: voted out %u times, held out for another %lld s",
                  config.nodes[node].name.c_str(), flaps.times(node),
                  static_cast<long long>((flaps.until(node) - now).ns / 1'000'000'000 + 1));
    status.problems.push(line);
  }
}

void NodeCore::Parts::on_wall_clock(const event::WallClock& heard) {
  clocks.note(heard.node, heard.offset);
  membership_due = true;
}

// Those that serve already set the time, and for a member no others than members, since who was voted out may not know it
// yet; where nobody serves, the members that are left, so that a newcomer is held against them and not they against him;
// where there is no member, everybody that is there.
NodeSet NodeCore::Parts::reference_clocks() const {
  const View& view = membership.voter().accepted().view;
  NodeSet serving;
  NodeSet members;
  const bool is_member = view.holds(self, incarnation);
  if (lease_good(table.now) && membership.member()) serving.add(self);
  if (is_member) members.add(self);
  for (NodeId node : table.self_heard) {
    const Heartbeat& latest = table.peers[node].latest;
    const bool held = view.holds(node, latest.incarnation);
    if (latest.quorate && (held || !is_member)) serving.add(node);
    if (held) members.add(node);
  }
  // A node of an older release does not say what its clock shows: as the only reference it would let anybody in.
  if (serving.intersects(clocks.known())) return serving;
  return !members.intersects(clocks.known()) ? table.self_heard | NodeSet::of(self) : members;
}

void NodeCore::Parts::judge_clocks() {
  const NodeSet reference = reference_clocks();
  const NodeSet before = table.clock_apart;
  table.clock_apart = clocks.apart(table.self_heard | NodeSet::of(self), reference);
  for (NodeId node : table.clock_apart - before) {
    const bool member = membership.committed().view.members.has(node);
    note(JournalKind::observed, EventName::clock_apart, node, clock_text(clocks.ahead(node, reference), member).view());
    run_hooks(EventName::clock_apart, node, no_index, no_index);
  }
}

void NodeCore::Parts::describe_clocks(NodeStatus& status) const {
  const NodeSet reference = reference_clocks();
  for (NodeId node : table.clock_apart) {
    const bool member = membership.committed().view.members.has(node);
    const BoundedString<95> text = clock_text(clocks.ahead(node, reference), member);
    if (node == self && !membership.member()) status.role_text = text.view();
    if (status.problems.full()) return;
    char line[256];
    std::snprintf(line, sizeof line, "%s%s: %s", config.nodes[node].name.c_str(), node == self ? " (this node)" : "",
                  text.c_str());
    status.problems.push(line);
  }
}

// Told once in the cluster, by its coordinator.
void NodeCore::Parts::note_keys(const KeyState& before, const KeyState& after) {
  if (before.phase == after.phase && before.next == after.next) return;
  char text[96];
  switch (after.phase) {
    case KeyPhase::spreading:
      std::snprintf(text, sizeof text, "key %u follows key %u: every member fetches and stores it", after.next, after.active);
      break;
    case KeyPhase::switching:
      std::snprintf(text, sizeof text, "every member holds key %u: it is sent under from now on", after.next);
      break;
    case KeyPhase::settled:
      if (after.active == before.next)
        std::snprintf(text, sizeof text, "key %u is in force, key %u is refused from now on", after.active, before.active);
      else
        std::snprintf(text, sizeof text, "given up: nobody who holds key %u is left; key %u stays", before.next, after.active);
      break;
  }
  const bool given_up = after.phase == KeyPhase::settled && after.active != before.next;
  note(given_up ? JournalKind::failed : JournalKind::decided, EventName::key_rotation, self, text);
  run_hooks(EventName::key_rotation, self, no_index, no_index);
}

}  // namespace vigil
