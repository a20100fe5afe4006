// The last question of a run, put to a cluster that is whole again: the owner of a group loses its power,
// nothing else goes wrong, and the group must be served by another node within the bound that follows from
// the timers. A group whose scripts hang for ever may be about meanwhile; it must cost the others nothing (I7).
#include <algorithm>

#include "tests/sim/votes.hpp"
#include "tests/sim/world.hpp"

namespace vigil::sim {

namespace {

// What a core waits for an answer of the tie-breaker (TieBreaker::answer_time), on the slowest clock.
constexpr SimTime answer_ns = Duration::from_s(2).ns * 100 / (100 - drift_percent);

}  // namespace

// From the loss of power to service elsewhere, derived as DESIGN section 4 does, on the slowest clock:
//   silence and lease   run side by side from the last heartbeat, which is at most an interval old
//   the vote            a held vote, the ranks before the one that leads, four messages and some lost ones
//   the work            addresses in one go, then the start of the application, and the hooks before each
SimTime Scenario::takeover_bound_ns() const {
  const Timing& timing = config.timing;
  const Duration silence = longer(timing.detection, outlast(timing.lease)) + timing.interval;
  const Duration ranks = timing.candidacy_step() * static_cast<std::int64_t>(nodes);
  const Duration vote = timing.vote_hold() + ranks + timing.candidacy_step() * 4 + timing.retry() * 8;
  const SimTime on_the_way = (std::max(ethernet.delay_ns + ethernet.jitter_ns, serial.delay_ns)) * 8;
  const auto scripts = static_cast<SimTime>(1 + config.hooks.size());
  const SimTime work = about_at_most(address_ns) * 2 + about_at_most(script_ns) * scripts;
  const SimTime slowest = (silence + vote).ns * 100 / (100 - drift_percent);
  return (slowest + on_the_way + work) / 100 * takeover_percent;
}

// What half of the votes take longer: the head start of the coordinator's half, and the register: to win it, and to
// read it on, as the view lives by it; and, in a young view, a lease by an earlier reading.
SimTime World::tie_break_ns() const {
  const Timing& timing = scenario_.config.timing;
  const Duration wait = timing.tie_head_start() + timing.interval + outlast(timing.lease);
  return wait.ns * 100 / (100 - drift_percent) + about_at_most(scenario_.register_ns) * 6;
}

// Without a fence, or an operator's word, only these can be taken over.
bool World::can_be_taken_over(std::size_t group, const Record& record) const {
  const GroupConfig& config = scenario_.config.groups[group];
  const GroupState& state = record.state.groups[group];
  if (group == scenario_.cursed_group || state.owner >= scenario_.nodes) return false;
  const ApplicationConfig& application = config.application;
  if (application.present && application.state != ApplicationState::none) return false;
  if (application.present && about_at_most(scenario_.script_ns) >= application.start_timeout.ns) return false;
  for (const NodeId node : config.nodes)
    if (node != state.owner && record.view.members.has(node) && !state.failed_on.has(node) &&
        !(record.state.standby | record.state.leaving).has(node))
      return true;
  return false;
}

bool World::a_disk_failed_lately() {
  for (const Host& host : hosts_) {
    if (!host.core) continue;
    NodeStatus status;
    host.core->describe(machines_[host.id].clock.at(now_), status);
    if (status.role == NodeRole::waiting) return true;
    for (const std::uint32_t slot : host.writes)
      if (!writes_[slot].ok) return true;
  }
  return false;
}

// False: there is nothing to ask.
bool World::begin_exam() {
  const Record* record = checker_.newest_committed();
  if (!scenario_.exam || record == nullptr) return false;
  for (std::size_t g = 0; g < scenario_.config.groups.size(); ++g) {
    if (!can_be_taken_over(g, *record)) continue;
    const NodeId owner = record->state.groups[g].owner;
    const NodeSet left = record->view.members - NodeSet::of(owner) - record->state.leaving;
    if (!decides(record->view, left, true)) continue;
    exam_owner_ = owner;
    exam_groups_ = 0;
    for (std::size_t other = g; other < scenario_.config.groups.size(); ++other)
      if (record->state.groups[other].owner == owner && can_be_taken_over(other, *record)) exam_groups_ |= 1u << other;
    exam_began_ = now_;
    // A node on whose lease nobody could speak, because an operator vouched for it, is waited for as long as any
    // lease there is; holders wait for the leases of all expelled nodes together.
    exam_bound_ = scenario_.takeover_bound_ns();
    // A use of the tie-breaker whose answer was lost before is waited for.
    for (const Host& host : hosts_)
      if (host.register_asked) exam_bound_ = std::max(exam_bound_, scenario_.takeover_bound_ns() + answer_ns);
    if (!decides(record->view, left, false)) exam_bound_ += tie_break_ns() / 100 * scenario_.takeover_percent;
    if (checker_.vouched()) exam_bound_ += outlast(longest_lease).ns * 100 / (100 - drift_percent);
    // Nothing else goes wrong: no disk that was to fail its next write.
    for (Host& host : hosts_) host.mischief.write_fails = false;
    // A voter whose disk failed a write votes again when it has written anew: it tries every second.
    if (a_disk_failed_lately()) exam_bound_ += Duration::from_s(1).ns * 100 / (100 - drift_percent);
    machine_crash(hosts_[owner], exam_bound_ * 4);
    at(now_ + scenario_.interval_ns(), What::grade, no_node);
    return true;
  }
  return false;
}

void World::grade() {
  const Record& record = *checker_.newest_committed();
  std::string why;
  bool served = true;
  for (std::size_t g = 0; served && g < scenario_.config.groups.size(); ++g) {
    if ((exam_groups_ >> g & 1) == 0) continue;
    served = record.state.groups[g].owner != exam_owner_ && group_serves(g, record.state.groups[g], why);
    if (!served && why.empty()) why = "group " + std::to_string(g) + " still belongs to the node that failed";
  }
  const SimTime taken = now_ - exam_began_;
  if (served) {
    exam_taken_ = taken;
    done_ = true;
    trace_.line(now_, no_node, "taken over %.3f ms after node %d lost its power", static_cast<double>(taken) / 1e6,
                exam_owner_ + 1);
    return;
  }
  if (taken > exam_bound_)
    return checker_.fail(scenario_.cursed_group != no_index ? Invariant::isolation : Invariant::convergence, now_,
                         why + ", " + std::to_string(taken / 1'000'000) + " ms after its owner, node " +
                             std::to_string(exam_owner_ + 1) + ", lost its power");
  at(now_ + scenario_.interval_ns() / 2, What::grade, no_node);
}

}  // namespace vigil::sim
