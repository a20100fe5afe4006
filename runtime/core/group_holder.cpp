#include "runtime/core/group_holder.hpp"

#include <cstdio>

#include "runtime/base/seeded_bugs.hpp"

namespace vigil {

namespace {

// The agent keeps every time-out, and kills what exceeds it; this much later its answer is given up.
constexpr Duration agent_margin = Duration::from_s(5);
// Between two attempts of a stop that failed, doubled up to a minute.
constexpr Duration stop_pause(std::uint8_t attempts) {
  return Duration::from_s(attempts < 4 ? std::int64_t{5} << attempts : 60);
}

std::uint32_t in_us(Duration duration) {
  const std::int64_t us = duration.us();
  return us < 0 ? 0 : us > 0xffff'ffffLL ? 0xffff'ffffU : static_cast<std::uint32_t>(us);
}

BoundedString<63> to_text(const event::AgentDone& done) {
  char line[64];
  switch (done.outcome) {
    case event::AgentOutcome::ok:
      return {"done"};
    case event::AgentOutcome::failed:
      std::snprintf(line, sizeof line, "it ended with exit status %d", done.exit_status);
      return {line};
    case event::AgentOutcome::timed_out:
      std::snprintf(line, sizeof line, "its time ran out after %.1f s", done.took.ms() / 1000);
      return {line};
    case event::AgentOutcome::killed:
      break;
  }
  return {"it was killed by a signal"};
}

}  // namespace

GroupHolder::GroupHolder(const ClusterConfig& config, NodeId self, GroupIndex group_index)
    : config_(&config),
      self_(self),
      group_(group_index),
      events_(config, self, group_index),
      addresses_(config, self, group_index),
      outbox_(config, group_index) {}

HolderStep GroupHolder::step_of(const HolderContext& context, Effects& effects) const {
  return HolderStep{context, events_, effects, generation_};
}

// ---- what the record and the proofs say --------------------------------------------------------------

bool GroupHolder::is_owner(const HolderContext& context) const {
  return context.member && context.record->view.members.has(self_) && recorded(context).owner == self_;
}

bool GroupHolder::has_failed(const HolderContext&) const {
  return failed_generation_ != 0 && failed_generation_ == generation_;
}

bool GroupHolder::lease_lost_too_long(const HolderContext& context) const {
  return !context.has_lease() && !context.lease_lost_since.is_never() &&
         context.now >= context.lease_lost_since + config_->timing.quorum_grace();
}

// The proof before takeover (DESIGN section 4). A proof once held stays good for its generation: a node
// that stopped serving can only begin again as the owner of a later one, or in a later life.
GroupHolder::Missing GroupHolder::missing_proof(const HolderContext& context, NodeId& whom) {
  const GroupState& group_state = recorded(context);
  const View& view = context.record->view;
  const bool fence_needed = application().present && application().state != ApplicationState::none;
  if (proven_generation_ == generation_) return Missing::none;
  for (const NodeId node : group_state.unproven) {
    whom = node;
    if (node == self_ || proven_.has(node)) continue;
    if (view.members.has(node)) {
      const bool released =
          (releases_[node].generation == generation_ || seeded_bug(Bug::stale_release_counts)) && view.holds(node, releases_[node].incarnation);
      if (!released && !seeded_bug(Bug::ignore_release_proof)) {
        if (group_state.phase == GroupPhase::blocked) return Missing::unblocking;
        return Missing::release;
      }
    } else {
      if (fence_needed) return Missing::fence;
      if (context.now < context.all_leases_over && !seeded_bug(Bug::skip_lease_wait)) return Missing::expelled_lease;
    }
    proven_.add(node);
  }
  if (group_state.phase == GroupPhase::blocked) return Missing::unblocking;
  proven_generation_ = generation_;
  return Missing::none;
}

void GroupHolder::note_record(const HolderStep& step) {
  const Record& record = *step.context.record;
  const GroupState& group_state = recorded(step.context);
  if (group_state.generation != generation_) {
    generation_ = group_state.generation;
    seen_at_ = step.context.now;
    seen_in_ = record.view.epoch;
    by_failure_ = group_state.reason == GroupReason::node_failed || group_state.reason == GroupReason::unfenced;
    if (!seeded_bug(Bug::proof_outlives_generation)) proven_ = {};
    budget_ = {};
    if (is_owner(step.context))
      events_.tell(step_of(step.context, step.effects), JournalKind::started, EventName::resource_group_online,
                   {.subject = group_state.previous}, "%s comes to %s: %s", events_.group_name(),
                   events_.node_name(self_), vigil::to_text(group_state.reason));
  }
  if (by_failure_ && record.view.epoch == seen_in_) {  // agreement is known from an epoch's second record on
    budget_.detect_us = record.detect_us;
    budget_.agree_us = record.agree_us;
  }
}

void GroupHolder::tell_waiting(const HolderStep& step, Missing missing, NodeId whom) const {
  const char* node = events_.node_name(whom);
  const EventAbout about{.subject = whom};
  const auto waiting = JournalKind::waiting;
  switch (missing) {
    case Missing::none:
      return;
    case Missing::release:
      events_.tell(step, waiting, EventName::resource_group_online, about, "waits until %s has stopped it", node);
      return;
    case Missing::expelled_lease:
      if (step.context.all_leases_over.is_never())
        events_.tell(step, waiting, EventName::resource_group_online, about,
                     "waits until the lease of %s is over, which is not known yet", node);
      else
        events_.tell(step, waiting, EventName::resource_group_online, about,
                     "waits until the lease of %s is over, in %.1f ms", node,
                     (step.context.all_leases_over - step.context.now).ms());
      return;
    case Missing::own_lease:
      events_.tell(step, waiting, EventName::resource_group_online, {}, "waits for a lease of its own");
      return;
    case Missing::unblocking:
    case Missing::fence:
      if (recorded(step.context).reason == GroupReason::stop_failed)
        events_.tell(step, waiting, EventName::resource_group_blocked, about,
                     "%s could not stop it, and may still run it", node);
      else
        events_.tell(step, waiting, EventName::resource_group_blocked, about,
                     "%s may still run it; is it surely down? then: vigil fence confirm %s", node, node);
  }
}

// ---- advancing ---------------------------------------------------------------------------------------

void GroupHolder::advance(const HolderContext& context, Effects& effects) {
  VIGIL_ASSERT(context.record != nullptr);
  note_record(step_of(context, effects));
  const HolderStep now = step_of(context, effects);
  // Each pass takes one transition; no chain without an event between is longer than the states are many.
  constexpr std::size_t longest_chain = 2 * std::variant_size_v<State>;
  for (std::size_t passes = 0;; ++passes) {
    VIGIL_ASSERT(passes < longest_chain);
    drive_addresses(now);
    if (!std::visit([&](auto& state) { return step(now, state); }, state_)) break;
  }
  finish(now);
}

GroupAddresses::Want GroupHolder::wanted_addresses() const {
  using Want = GroupAddresses::Want;
  if (const auto* stop = std::get_if<StopApplication>(&state_)) return stop->addresses;
  if (const auto* hook = std::get_if<AwaitHook>(&state_))
    return hook->event == EventName::acquire_service_addr ? Want::keep : Want::up;
  const bool up = std::holds_alternative<AddAddresses>(state_) || std::holds_alternative<StartApplication>(state_) ||
                  std::holds_alternative<Serve>(state_) || std::holds_alternative<RestartApplication>(state_);
  return up ? Want::up : Want::down;
}

void GroupHolder::drive_addresses(const HolderStep& step) {
  const GroupState& group_state = recorded(step.context);
  const bool probe = std::holds_alternative<AddAddresses>(state_) && group_state.phase != GroupPhase::online &&
                     group_state.reason == GroupReason::first_start;
  addresses_.advance(step, wanted_addresses(), probe);
}

bool GroupHolder::step(const HolderStep& step, Idle&) {
  if (!may_hold(step.context)) return false;
  if (proven_generation_ == generation_) seen_at_ = step.context.now;  // it comes back here: measured anew
  state_ = AwaitProof{};
  return true;
}

bool GroupHolder::step(const HolderStep& step, AwaitProof& state) {
  if (!may_hold(step.context)) {
    state_ = Idle{};
    return true;
  }
  NodeId whom = no_node;
  Missing missing = missing_proof(step.context, whom);
  if (missing == Missing::none && !step.context.has_lease()) missing = Missing::own_lease;
  if (missing != Missing::none) {
    if (missing != state.told) tell_waiting(step, missing, whom);
    state.told = missing;
    return false;
  }
  budget_.fence_us = in_us(step.context.now - seen_at_);
  const EventName event = EventName::acquire_service_addr;
  if (addresses_.size() > 0 && events_.has_hook(event, HookStage::pre))
    state_ = AwaitHook{event, {0, step.context.now, step.context.now + events_.hook_time(event, HookStage::pre) + agent_margin}};
  else
    state_ = AddAddresses{step.context.now};
  return true;
}

bool GroupHolder::step(const HolderStep& step, AwaitHook& state) {
  if (must_let_go(step)) return true;
  if (given_up(step, state.work)) return true;
  if (state.work.request == 0 && step.context.agent_up)
    state.work.request = events_.ask_hooks(step, state.event, HookStage::pre);
  return false;
}

bool GroupHolder::step(const HolderStep& step, AddAddresses& state) {
  if (must_let_go(step)) return true;
  if (addresses_.add_failed()) {
    give_up(step, ReportKind::start_failed);
    return true;
  }
  if (!addresses_.all_serving()) return false;
  budget_.address_us = in_us(step.context.now - state.since);
  enter_application(step);
  return true;
}

bool GroupHolder::step(const HolderStep& step, StartApplication& state) {
  if (must_let_go(step)) return true;
  if (given_up(step, state.work)) return true;
  if (state.work.request != 0 || !step.context.agent_up || !step.context.has_lease()) return false;
  application_may_run_ = true;
  state.work.request = events_.run_agent(step, effect::AgentVerb::start);
  state.work.deadline = step.context.now + application().start_timeout + agent_margin;
  events_.tell(step, JournalKind::started, EventName::start_server, {}, "starts %s", application().name.c_str());
  if (state.again) events_.run_hooks(step, EventName::start_server, HookStage::pre, {});
  events_.run_hooks(step, EventName::start_server, HookStage::command, {});
  return false;
}

bool GroupHolder::step(const HolderStep& step, Serve&) { return must_let_go(step); }

bool GroupHolder::step(const HolderStep& step, RestartApplication& state) {
  if (must_let_go(step)) return true;
  if (given_up(step, state.work)) return true;
  if (state.work.request != 0 || !step.context.agent_up) return false;
  state.work.request = events_.run_agent(step, effect::AgentVerb::stop);
  state.work.deadline = step.context.now + application().stop_timeout + agent_margin;
  return false;
}

bool GroupHolder::step(const HolderStep& step, StopApplication& state) {
  if (given_up(step, state.work)) return true;
  if (state.work.request != 0 || !step.context.agent_up) return false;
  state.work.request = events_.run_agent(step, effect::AgentVerb::stop);
  state.work.deadline = step.context.now + application().stop_timeout + agent_margin;
  return false;
}

bool GroupHolder::step(const HolderStep& step, RemoveAddresses&) {
  if (!addresses_.all_gone()) return false;
  if (application_may_run_) {
    state_ = StopFailed{step.context.now + stop_pause(stop_attempts_)};
    if (stop_attempts_ < 0xff) ++stop_attempts_;
    return true;
  }
  state_ = Idle{};
  restarts_.clear();
  events_.tell(step, JournalKind::done, EventName::resource_group_offline,
               {.took_us = (step.context.now - letting_go_since_).us()}, "%s is off %s", events_.group_name(),
               events_.node_name(self_));
  events_.end(step, EventName::resource_group_offline, true, {});
  return true;
}

bool GroupHolder::step(const HolderStep& step, StopFailed& state) {
  if (may_hold(step.context)) {  // it cannot begin anew here before it has stopped: elsewhere, then
    failed_generation_ = generation_;
    failed_kind_ = ReportKind::start_failed;
  }
  if (step.context.now < state.retry_at) return false;
  const Instant now = step.context.now;
  state_ = StopApplication{{0, now, now + application().stop_timeout + agent_margin}, GroupAddresses::Want::down};
  events_.tell(step, JournalKind::started, EventName::stop_server, {}, "tries again to stop %s",
               application().name.c_str());
  return true;
}

// ---- letting go --------------------------------------------------------------------------------------

bool GroupHolder::must_let_go(const HolderStep& step) {
  using Want = GroupAddresses::Want;
  const GroupState& group_state = recorded(step.context);
  if (!is_owner(step.context)) {
    if (group_state.owner == no_node || group_state.owner == self_)
      events_.tell(step, JournalKind::started, EventName::resource_group_offline, {}, "%s leaves %s: %s",
                   events_.group_name(), events_.node_name(self_), vigil::to_text(group_state.reason));
    else
      events_.tell(step, JournalKind::started, EventName::resource_group_offline, {.subject = group_state.owner},
                   "%s goes to %s: %s", events_.group_name(), events_.node_name(group_state.owner),
                   vigil::to_text(group_state.reason));
    let_go(step, std::holds_alternative<Serve>(state_) ? Want::keep : Want::down);
    return true;
  }
  if (!lease_lost_too_long(step.context)) return false;
  events_.tell(step, JournalKind::started, EventName::resource_group_offline, {},
               "no lease for %.1f ms: everything stops until it is back",
               (step.context.now - step.context.lease_lost_since).ms());
  let_go(step, Want::down);
  return true;
}

// The application stops before its addresses go, so that nobody meets a closed door while it still
// could answer; when there is no service worth keeping, the gates close first of all.
void GroupHolder::let_go(const HolderStep& step, GroupAddresses::Want addresses) {
  letting_go_since_ = step.context.now;
  if (addresses == GroupAddresses::Want::down || !application_may_run_)
    addresses_.advance(step, GroupAddresses::Want::down, false);
  events_.begin(step, EventName::resource_group_offline, {});
  if (!application_may_run_) {
    state_ = RemoveAddresses{};
    return;
  }
  if (!application().monitor.empty()) events_.run_agent(step, effect::AgentVerb::monitor_off);
  const Instant now = step.context.now;
  Work work{0, now, now + application().stop_timeout + agent_margin};
  // A restart's stop may be under way already: its answer will do.
  if (const auto* restart = std::get_if<RestartApplication>(&state_); restart != nullptr && restart->work.request != 0)
    work = restart->work;
  state_ = StopApplication{work, addresses};
  events_.tell(step, JournalKind::started, EventName::stop_server, {}, "stops %s", application().name.c_str());
  events_.begin(step, EventName::stop_server, {});
}

void GroupHolder::give_up(const HolderStep& step, ReportKind kind) {
  failed_generation_ = generation_;
  failed_kind_ = kind;
  events_.tell(step, JournalKind::failed, EventName::resource_group_online, {}, "%s fails on %s: %s",
               events_.group_name(), events_.node_name(self_),
               kind == ReportKind::start_failed ? "it could not be started" : "its application keeps failing");
  events_.end(step, EventName::resource_group_online, false, {});
  let_go(step, GroupAddresses::Want::down);
}

// ---- the application ---------------------------------------------------------------------------------

void GroupHolder::enter_application(const HolderStep& step) {
  const EventName event = EventName::start_server;
  if (!application().present)
    enter_serve(step, false, false);
  else if (events_.has_hook(event, HookStage::pre))
    state_ = AwaitHook{event, {0, step.context.now, step.context.now + events_.hook_time(event, HookStage::pre) + agent_margin}};
  else
    enter_start(step, false, false);
}

void GroupHolder::enter_start(const HolderStep& step, bool again, bool counted) {
  const Instant now = step.context.now;
  state_ = StartApplication{{0, now, now + application().start_timeout + agent_margin}, again, counted};
}

void GroupHolder::enter_serve(const HolderStep& step, bool again, bool counted) {
  state_ = Serve{};
  if (application().present && !application().monitor.empty()) {
    events_.run_agent(step, effect::AgentVerb::monitor_on);
    monitored_generation_ = generation_;
  }
  if (counted) outbox_.notice(step.context, ReportKind::restarted);
  if (again) {
    events_.tell(step, JournalKind::done, EventName::server_restart, {}, "%s runs again, restarted %zu of %u times",
                 application().name.c_str(), restarts_.size(), application().restarts);
    events_.end(step, EventName::server_restart, true, {});
    return;
  }
  events_.tell(step, JournalKind::done, EventName::resource_group_online,
               {.took_us = (step.context.now - seen_at_).us()}, "%s is up on %s", events_.group_name(),
               events_.node_name(self_));
  events_.end(step, EventName::resource_group_online, true, {});
}

void GroupHolder::enter_restart(const HolderStep& step, bool again, bool counted) {
  const Instant now = step.context.now;
  state_ = RestartApplication{{0, now, now + application().stop_timeout + agent_margin}, again, counted};
  events_.tell(step, JournalKind::started, EventName::server_restart, {}, "stops what is left of %s and starts it again",
               application().name.c_str());
  if (!application().monitor.empty()) events_.run_agent(step, effect::AgentVerb::monitor_off);
  events_.begin(step, EventName::server_restart, {});
}

bool GroupHolder::may_restart(Instant now) {
  while (!restarts_.empty() && restarts_[0] + application().restart_window <= now) restarts_.erase(0);
  if (restarts_.size() >= application().restarts) return false;
  restarts_.push(now);
  return true;
}

void GroupHolder::restart_or_fail(const HolderStep& step) {
  if (may_restart(step.context.now)) {
    enter_restart(step, true, true);
    return;
  }
  events_.tell(step, JournalKind::failed, EventName::server_restart, {}, "%s has used up its %u restarts within %.0f s",
               application().name.c_str(), application().restarts, application().restart_window.ms() / 1000);
  events_.end(step, EventName::server_restart, false, {});
  give_up(step, ReportKind::application_failed);
}

// ---- what came of the agent's work -------------------------------------------------------------------

GroupHolder::Work* GroupHolder::outstanding() {
  if (auto* hook = std::get_if<AwaitHook>(&state_)) return &hook->work;
  if (auto* start = std::get_if<StartApplication>(&state_)) return &start->work;
  if (auto* restart = std::get_if<RestartApplication>(&state_)) return &restart->work;
  if (auto* stop = std::get_if<StopApplication>(&state_)) return &stop->work;
  return nullptr;
}

bool GroupHolder::given_up(const HolderStep& step, const Work& work) {
  if (step.context.now < work.deadline) return false;
  event::AgentDone done;
  done.request = work.request;
  done.outcome = event::AgentOutcome::timed_out;
  done.took = step.context.now - work.since;
  work_ended(step, done);
  return true;
}

void GroupHolder::work_ended(const HolderStep& step, const event::AgentDone& done) {
  if (const auto* hook = std::get_if<AwaitHook>(&state_))
    hook_ended(step, AwaitHook{*hook}, done);
  else if (const auto* start = std::get_if<StartApplication>(&state_))
    start_ended(step, StartApplication{*start}, done);
  else
    stop_ended(step, done);
}

// A hook may hold up the step before which it was configured, but cannot forbid it.
void GroupHolder::hook_ended(const HolderStep& step, const AwaitHook& state, const event::AgentDone& done) {
  if (done.outcome != event::AgentOutcome::ok)
    events_.tell(step, JournalKind::failed,
                 done.outcome == event::AgentOutcome::timed_out ? EventName::config_too_long : EventName::event_error,
                 {.took_us = done.took.us()}, "the pre hook before the %s failed: %s",
                 state.event == EventName::start_server ? "start" : "addresses", to_text(done).c_str());
  if (state.event == EventName::acquire_service_addr)
    state_ = AddAddresses{state.work.since};
  else
    enter_start(step, false, false);
}

void GroupHolder::start_ended(const HolderStep& step, const StartApplication& state, const event::AgentDone& done) {
  const bool ok = done.outcome == event::AgentOutcome::ok;
  const EventAbout about{.took_us = done.took.us()};
  if (ok) {
    if (!state.again) budget_.application_us = in_us(step.context.now - state.work.since);
    events_.tell(step, JournalKind::done, EventName::start_server, about, "%s runs", application().name.c_str());
  } else {
    events_.tell(step, JournalKind::failed, EventName::start_server, about, "%s could not be started: %s",
                 application().name.c_str(), to_text(done).c_str());
  }
  events_.end(step, EventName::start_server, ok, about);
  if (ok)
    enter_serve(step, state.again, state.counted);
  else if (state.again)
    restart_or_fail(step);
  else
    give_up(step, ReportKind::start_failed);
}

void GroupHolder::stop_ended(const HolderStep& step, const event::AgentDone& done) {
  const bool ok = done.outcome == event::AgentOutcome::ok;
  const EventAbout about{.took_us = done.took.us()};
  if (ok) {
    application_may_run_ = false;
    stop_attempts_ = 0;
    events_.tell(step, JournalKind::done, EventName::stop_server, about, "%s is stopped", application().name.c_str());
  } else {
    events_.tell(step, JournalKind::failed, EventName::stop_server, about, "%s could not be stopped: %s",
                 application().name.c_str(), to_text(done).c_str());
  }
  events_.end(step, EventName::stop_server, ok, about);
  if (const auto* restart = std::get_if<RestartApplication>(&state_)) {
    const RestartApplication was = *restart;
    if (ok)
      enter_start(step, was.again, was.counted);
    else {
      std::get<RestartApplication>(state_).work = Work{};  // it was answered: the next stop is a new one
      give_up(step, was.again ? ReportKind::application_failed : ReportKind::start_failed);
    }
    return;
  }
  state_ = RemoveAddresses{};
}

bool GroupHolder::on_agent_done(const HolderContext& context, const event::AgentDone& done, Effects& effects) {
  const Work* work = outstanding();
  if (work == nullptr || work->request == 0 || work->request != done.request) return false;
  work_ended(step_of(context, effects), done);
  advance(context, effects);
  return true;
}

void GroupHolder::on_application_failed(const HolderContext& context, const event::ApplicationFailed& failed,
                                        Effects& effects) {
  if (std::holds_alternative<Serve>(state_) && failed.generation == monitored_generation_) {
    const HolderStep now = step_of(context, effects);
    events_.tell(now, JournalKind::observed, EventName::server_down, {}, "%s does not run any more",
                 application().name.c_str());
    events_.begin(now, EventName::server_down, {});
    events_.end(now, EventName::server_down, true, {});
    restart_or_fail(now);
  }
  advance(context, effects);
}

// Work under way was lost with the agent that did it: true when there was some.
bool GroupHolder::lose_work() {
  Work* work = outstanding();
  if (work == nullptr || work->request == 0) return false;
  work->request = 0;
  return true;
}

void GroupHolder::on_agent_state(const HolderContext& context, bool up, Effects& effects) {
  const bool lost = lose_work();
  const HolderStep now = step_of(context, effects);
  if (const auto* start = std::get_if<StartApplication>(&state_); start != nullptr && lost) {
    // Half a start may be left of it: stopped first, then started again. The application did not fail.
    const StartApplication was = *start;
    enter_restart(now, was.again, was.counted);
  }
  if (up && std::holds_alternative<Serve>(state_) && application().present && !application().monitor.empty()) {
    events_.run_agent(now, effect::AgentVerb::monitor_on);
    monitored_generation_ = generation_;
  }
  advance(context, effects);
}

// ---- addresses, releases, reports --------------------------------------------------------------------

void GroupHolder::on_address_done(const HolderContext& context, const event::AddressDone& done, Effects& effects) {
  addresses_.on_done(step_of(context, effects), done);
  advance(context, effects);
}

void GroupHolder::on_address_conflict(const HolderContext& context, const event::AddressConflict& conflict,
                                      Effects& effects) {
  addresses_.on_conflict(step_of(context, effects), conflict);
  advance(context, effects);
}

void GroupHolder::on_address_lost(const HolderContext& context, const event::AddressLost& lost, Effects& effects) {
  addresses_.on_lost(step_of(context, effects), lost);
  advance(context, effects);
}

void GroupHolder::on_release(NodeId from, Incarnation incarnation, std::uint32_t generation) {
  if (from >= limits::max_nodes) return;
  Release& release = releases_[from];
  if (release.incarnation == incarnation && generation < release.generation) return;  // an old one, late
  release = Release{incarnation, generation};
}

void GroupHolder::on_report_ack(std::uint32_t serial) {
  outbox_.on_ack(serial);
  deadline_ = earlier(deadline_, outbox_.next_deadline());
}

// The state report that the record does not show yet.
std::optional<ReportKind> GroupHolder::wanted_report(const HolderContext& context) {
  const GroupState& group_state = recorded(context);
  if (!is_owner(context)) {
    if (!group_state.unproven.has(self_) || !context.member || !context.record->view.members.has(self_))
      return std::nullopt;
    if (std::holds_alternative<Idle>(state_) ||
        (seeded_bug(Bug::release_before_stopped) && std::holds_alternative<StopApplication>(state_)))
      return ReportKind::released;
    const bool stuck = std::holds_alternative<StopFailed>(state_) || addresses_.stuck();
    if (stuck && group_state.reason != GroupReason::stop_failed) return ReportKind::stop_failed;
    return std::nullopt;
  }
  if (has_failed(context))
    return group_state.failed_on.has(self_) ? std::nullopt : std::optional<ReportKind>(failed_kind_);
  if (wanted_addresses() != GroupAddresses::Want::up) return std::nullopt;
  const auto shows = [&](GroupReason reason) {
    return group_state.phase == GroupPhase::acquiring && group_state.reason == reason;
  };
  if (addresses_.network_lost() || addresses_.add_failed())
    return shows(GroupReason::network_failed) ? std::nullopt : std::optional(ReportKind::network_lost);
  if (addresses_.in_conflict())
    return shows(GroupReason::address_conflict) ? std::nullopt : std::optional(ReportKind::conflict);
  NodeId whom = no_node;
  const bool up = std::holds_alternative<Serve>(state_) && addresses_.all_serving();
  if (up && group_state.phase != GroupPhase::online && missing_proof(context, whom) == Missing::none)
    return ReportKind::acquired;
  return std::nullopt;
}

void GroupHolder::finish(const HolderStep& step) {
  const HolderContext& context = step.context;
  const std::optional<ReportKind> wanted = wanted_report(context);
  const NodeId also_to = wanted == ReportKind::released ? recorded(context).owner : no_node;
  outbox_.advance(context, wanted, budget_, also_to, step.effects);

  deadline_ = earlier(addresses_.next_deadline(), outbox_.next_deadline());
  const auto wake_at = [&](Instant when) {
    if (when > context.now) deadline_ = earlier(deadline_, when);
  };
  if (const Work* work = outstanding()) wake_at(work->deadline);
  if (const auto* stop_failed = std::get_if<StopFailed>(&state_)) wake_at(stop_failed->retry_at);
  if (const auto* waiting = std::get_if<AwaitProof>(&state_); waiting && waiting->told == Missing::expelled_lease)
    wake_at(context.all_leases_over);
  if (wanted_addresses() == GroupAddresses::Want::up && !context.lease_lost_since.is_never())
    wake_at(context.lease_lost_since + config_->timing.quorum_grace());
}

// ---- readings ----------------------------------------------------------------------------------------

bool GroupHolder::wants_lease() const {
  return std::holds_alternative<AwaitProof>(state_) || wanted_addresses() != GroupAddresses::Want::down ||
         !addresses_.all_gone();
}

bool GroupHolder::idle() const {
  return (std::holds_alternative<Idle>(state_) || std::holds_alternative<AwaitProof>(state_)) &&
         addresses_.all_gone() && !application_may_run_;
}

void GroupHolder::describe(LocalGroupStatus& status) const {
  static constexpr std::array<const char*, std::variant_size_v<State>> names = {
      "idle",     "waits for proofs",       "waits for a hook", "adds addresses",       "starts the application",
      "serves",   "restarts the application", "stops the application", "removes addresses", "could not stop the application"};
  status.step = step_now();
  status.step_text.assign(names[state_.index()]);
  for (std::size_t i = 0; i < limits::max_group_addresses; ++i) status.adapter_of[i] = addresses_.adapter_of(i);
}

}  // namespace vigil
