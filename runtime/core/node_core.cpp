#include "runtime/core/node_core.hpp"

#include <algorithm>

#include "runtime/base/seeded_bugs.hpp"
#include "runtime/core/node_parts.hpp"
#include "runtime/core/quorum.hpp"

namespace vigil {

namespace {

std::size_t room_for_acks(const ClusterConfig& config) {
  std::size_t links = 0;
  for (const NodeConfig& node : config.nodes) links = std::max(links, node.links.size());
  return renewal_acks_that_fit(config.nodes.size(), links);
}

}  // namespace

NodeCore::NodeCore(const ClusterConfig& config, const NodeOptions& options, Instant now)
    : parts_(std::make_unique<Parts>(config, options, now)) {}
NodeCore::NodeCore(const NodeCore& other) : parts_(std::make_unique<Parts>(*other.parts_)) {}
NodeCore::~NodeCore() = default;

NodeCore::Parts::Parts(const ClusterConfig& cluster_config, const NodeOptions& node_options, Instant now)
    : config(cluster_config),
      self(node_options.self),
      incarnation(node_options.incarnation),
      detector(cluster_config, node_options.self),
      adapters(cluster_config, node_options.self),
      membership(cluster_config, node_options, now),
      scratch(effects_limit(cluster_config)),
      renewals(room_for_acks(cluster_config), cluster_config.nodes[node_options.self].links.size(),
               cluster_config.nodes.size(), node_options.self) {
  VIGIL_ASSERT(self < config.nodes.size());
  VIGIL_ASSERT(incarnation.known());
  table.self = self;
  table.now = now;
  for (Peer& peer : table.peers) peer.heard_since = Instant::never();
  // Answers to what an earlier life asked of the agent, or reported, must not fit anything of this one.
  next_request = static_cast<std::uint32_t>(incarnation.start_id % 0x4000'0000) + 1;
  next_report = next_request;
  holders.reserve(config.groups.size());
  for (std::size_t i = 0; i < config.groups.size(); ++i) holders.emplace_back(config, self, static_cast<GroupIndex>(i));
}

// ---- one step ------------------------------------------------------------------------------------

void NodeCore::step(Instant now, const Event& event, Effects& effects) {
  Parts& parts = *parts_;
  if (parts.over) return;
  parts.scratch.clear();
  parts.table.now = now;
  parts.dispatch(now, event);
  parts.advance(now);
  parts.deliver_own_messages(now, effects);
}

void NodeCore::hear(Instant now, const Event& event, Effects& effects) {
  Parts& parts = *parts_;
  if (parts.over) return;
  parts.scratch.clear();
  parts.table.now = now;
  parts.dispatch(now, event);
  for (const Effect& item : parts.scratch.items()) parts.emit(now, item, effects);
}

// Messages to ourselves are ordinary messages that arrive at once; everything else goes out, in order.
void NodeCore::Parts::deliver_own_messages(Instant now, Effects& out) {
  std::size_t next = 0;
  for (bool spoke = true; spoke;) {
    spoke = false;
    for (; next < scratch.items().size(); ++next) {
      const Effect& item = scratch.items()[next];
      const auto* send = std::get_if<effect::SendMessage>(&item);
      if (send == nullptr || send->to != self) {
        emit(now, item, out);
        continue;
      }
      spoke = true;
      const Message message = send->message;  // the vector may move under us
      on_message(now, {self, incarnation, message});
    }
    if (!spoke || over) continue;
    follow_record();
    follow_lease(now);
    advance_holders(now);
  }
}

void NodeCore::Parts::emit(Instant now, const Effect& item, Effects& out) {
  if (const auto* journal = std::get_if<effect::Journal>(&item)) {
    effect::Journal stamped = *journal;
    stamped.entry.sequence = next_journal++;
    stamped.entry.node = self;
    stamped.entry.boot_ns = now.ns;
    stamped.entry.stamp = membership.committed().stamp;
    out.push(stamped);
    return;
  }
  out.push(item);
}

void NodeCore::Parts::dispatch(Instant now, const Event& event) {
  if (const auto* heartbeat = std::get_if<event::HeartbeatReceived>(&event)) {
    on_heartbeat(now, *heartbeat);
  } else if (const auto* ack = std::get_if<event::AckReceived>(&event)) {
    on_ack(now, *ack);
  } else if (const auto* message = std::get_if<event::MessageReceived>(&event)) {
    on_message(now, *message);
  } else if (const auto* late = std::get_if<event::Late>(&event)) {
    detector.on_late(now, late->lateness);
    if (late->lateness >= config.timing.detection)
      note(JournalKind::observed, EventName::late, self, "this node was late itself: accuses nobody for it", late->lateness);
  } else if (const auto* adapter = std::get_if<event::AdapterChanged>(&event)) {
    adapters.set_usable(adapter->adapter, adapter->usable);
    membership_due = true;
  } else if (const auto* persisted = std::get_if<event::Persisted>(&event)) {
    membership.voter().on_persisted(now, *persisted);
  } else if (const auto* cleaned = std::get_if<event::Cleaned>(&event)) {
    if (cleaned->ok) membership.voter().on_cleaned();
  } else if (const auto* tie_breaker = std::get_if<event::TieBreakerDone>(&event)) {
    membership.on_tie_breaker(membership_context(now), *tie_breaker, scratch);
    membership_due = renewal_due = true;
  } else if (const auto* asked = std::get_if<event::OperatorAsked>(&event)) {
    on_operator(now, *asked);
  } else if (const auto* clock = std::get_if<event::WallClock>(&event)) {
    on_wall_clock(*clock);
  } else if (const auto* refused = std::get_if<event::NodeRefused>(&event)) {
    note(JournalKind::observed, EventName::node_refused, refused->node, refused->why.view());
    run_hooks(EventName::node_refused, refused->node, no_index, no_index);
  } else if (!std::holds_alternative<event::Tick>(event)) {
    holders_due = true;
    const HolderContext context = holder_context(now);
    if (const auto* done = std::get_if<event::AddressDone>(&event)) {
      if (done->group < holders.size()) holders[done->group].on_address_done(context, *done, scratch);
    } else if (const auto* conflict = std::get_if<event::AddressConflict>(&event)) {
      if (conflict->group < holders.size()) holders[conflict->group].on_address_conflict(context, *conflict, scratch);
    } else if (const auto* lost = std::get_if<event::AddressLost>(&event)) {
      if (lost->group < holders.size()) holders[lost->group].on_address_lost(context, *lost, scratch);
    } else if (const auto* agent = std::get_if<event::AgentDone>(&event)) {
      for (GroupHolder& holder : holders)
        if (holder.on_agent_done(context, *agent, scratch)) break;
    } else if (const auto* failed = std::get_if<event::ApplicationFailed>(&event)) {
      if (failed->group < holders.size()) holders[failed->group].on_application_failed(context, *failed, scratch);
    } else if (const auto* state = std::get_if<event::AgentState>(&event)) {
      agent_up = state->up;
      for (GroupHolder& holder : holders) holder.on_agent_state(context, state->up, scratch);
    }
  }
}

void NodeCore::Parts::on_message(Instant now, const event::MessageReceived& received) {
  const NodeId from = received.from;
  if (from >= config.nodes.size()) return;
  if (from != self) {
    // Only the incarnation whose heartbeats we hear speaks for a node.
    if (!table.peers[from].known || table.peers[from].latest.incarnation != received.incarnation) return;
    detector.on_sign_of_life(now, from);
  }
  if (const auto* reply = std::get_if<OperatorReply>(&received.message)) return on_operator_reply(*reply);
  if (const auto* ack = std::get_if<ReportAck>(&received.message)) {
    holders_due = true;
    for (GroupHolder& holder : holders) holder.on_report_ack(ack->serial);
    return;
  }
  if (const auto* report = std::get_if<Report>(&received.message)) {
    if (report->group >= holders.size()) return;
    holders_due = holders_due || report->kind == ReportKind::released;
    if (report->kind == ReportKind::released)
      holders[report->group].on_release(from, received.incarnation, report->generation);
  }
  membership.on_message(membership_context(now), from, received.incarnation, received.message, scratch);
}

void NodeCore::Parts::advance(Instant now) {
  detector.advance(now);
  refresh_table(now);
  if (membership_due || detector.version() != paths_seen || now >= adapters.next_deadline()) {
    paths_seen = detector.version();
    follow_adapters(adapters.advance(now, detector, table));
  }
  if (now >= flaps.next_change()) judge_flapping(now);
  advance_membership(now);
  follow_record();
  follow_lease(now);
  advance_operators(now);
  advance_holders(now);
  maybe_leave(now);
  if (!over) send_heartbeats(now);
}

void NodeCore::Parts::advance_membership(Instant now) {
  if (!membership_due && now < earlier(membership.next_deadline(), followers_due)) return;
  membership_due = false;
  judge_clocks();
  judge_followers(now);
  membership.advance(membership_context(now), scratch);
}

// Most steps are heartbeats, which change nothing for the groups.
void NodeCore::Parts::advance_holders(Instant now) {
  const HolderContext context = holder_context(now);
  HolderView view;
  view.stamp = context.record->stamp;
  view.member = context.member;
  view.has_lease = context.has_lease();
  view.lease_lost_too_long = !lease_lost_since.is_never() && now >= lease_lost_since + config.timing.quorum_grace();
  view.leases_over = now >= context.all_leases_over;
  view.agent_up = context.agent_up;
  for (std::size_t i = 0; i < context.adapter_ok.size(); ++i)
    if (context.adapter_ok[i]) view.adapters = static_cast<std::uint8_t>(view.adapters | 1u << i);
  view.all_leases_over = context.all_leases_over;
  view.lease_lost_since = context.lease_lost_since;
  if (!holders_due && now < holders_deadline && view == holders_saw) return;
  holders_due = false;
  holders_saw = view;
  holders_deadline = Instant::never();
  for (GroupHolder& holder : holders) {
    holder.advance(context, scratch);
    holders_deadline = earlier(holders_deadline, holder.next_deadline());
  }
}

MembershipContext NodeCore::Parts::membership_context(Instant now) {
  MembershipContext context;
  context.now = now;
  context.table = &table;
  context.detector = &detector;
  context.leaving = goodbye;
  for (std::size_t i = 0; i < config.nodes.size(); ++i) context.facts.networks_up[i] = table.peers[i].latest.networks_up;
  context.facts.networks_up[self] = adapters.networks_up();
  context.facts.heard = table.self_heard;
  for (NodeId node : table.self_heard & membership.committed().view.members)
    context.facts.heard = context.facts.heard | table.peers[node].latest.heard;
  return context;
}

HolderContext NodeCore::Parts::holder_context(Instant now) {
  HolderContext context;
  context.now = now;
  context.self = self;
  context.record = &membership.committed();
  context.lease_until = membership.lease().until();
  context.all_leases_over = membership.all_leases_over();
  context.lease_lost_since = lease_lost_since;
  for (std::size_t i = 0; i < config.nodes[self].adapters.size(); ++i)
    context.adapter_ok[i] = adapters.healthy(static_cast<AdapterIndex>(i));
  context.next_request = &next_request;
  context.next_report = &next_report;
  context.agent_up = agent_up;
  context.member = membership.member();
  return context;
}

// ---- what follows from a new record --------------------------------------------------------------

void NodeCore::Parts::follow_record() {
  const Record& record = membership.committed();
  // A stop that was agreed on outlasts a vote that leaves us out before we were through with it.
  if (membership.expelled() && (record.state.leaving | membership.voter().accepted().state.leaving).has(self))
    stop_wanted = true;
  if (membership.expelled() && !over && !goodbye && !stop_wanted) {
    over = true;
    note(JournalKind::decided, EventName::node_down, self, "this node was voted out: it stops everything and starts afresh");
    scratch.push(effect::StartAfresh{"voted out of the cluster"});
    return;
  }
  if (record.stamp == followed.stamp) return;
  const View before = followed.view;
  if (followed.stamp.epoch.counter != 0 && membership.leading()) note_keys(followed.state.keys, record.state.keys);
  followed = record;
  membership_due = true;
  renewal_due = true;
  if (record.view.epoch == before.epoch || !membership.member()) return;
  for (NodeId node : record.expelled)
    if (node != self) flaps.voted_out(table.now, node);
  for (NodeId node : before.members - record.view.members) {
    run_hooks(EventName::node_down, node, no_index, no_index);
    run_hooks(EventName::node_down_complete, node, no_index, no_index);
  }
  for (NodeId node : record.view.members)
    if (!before.holds(node, record.view.incarnations[node])) {
      run_hooks(EventName::node_up, node, no_index, no_index);
      run_hooks(EventName::node_up_complete, node, no_index, no_index);
    }
  run_hooks(EventName::view_change, record.view.coordinator, no_index, no_index);
  if (before.exists() && !(before.rule == record.view.rule))
    run_hooks(EventName::quorum_rule, record.view.coordinator, no_index, no_index);
}

void NodeCore::Parts::follow_adapters(std::uint8_t changed) {
  if (changed == 0) return;
  membership_due = true;
  const NodeConfig& own = config.nodes[self];
  std::uint8_t networks_told = 0;  // a network's failure is told once, not for each adapter on it
  for (std::size_t i = 0; i < own.adapters.size(); ++i) {
    if ((changed >> i & 1) == 0 || own.adapters[i].role == AdapterRole::serial) continue;
    const auto adapter = static_cast<AdapterIndex>(i);
    const bool service = own.adapters[i].role == AdapterRole::service;
    const AdapterVerdict verdict = adapters.report(adapter).verdict;
    EventName event = service ? EventName::join_service : EventName::join_standby;
    std::string_view text = "adapter works";
    if (verdict == AdapterVerdict::network_silent) {
      if ((networks_told >> own.adapters[i].network & 1) != 0) continue;
      networks_told = static_cast<std::uint8_t>(networks_told | 1u << own.adapters[i].network);
      event = EventName::network_down;
      text = "nobody gets through on this network, though its nodes are alive";
    } else if (verdict != AdapterVerdict::healthy) {
      event = service ? EventName::fail_service : EventName::fail_standby;
      text = verdict == AdapterVerdict::no_carrier ? "adapter is down or has no carrier"
                                                   : "others get through on this network, this adapter does not";
    }
    note(JournalKind::observed, event, self, text, {}, own.adapters[i].network, adapter);
    run_hooks(event, self, own.adapters[i].network, adapter);
  }
}

// Goodbye is said only when the cluster has agreed that we leave and nothing is here any more: after it, what
// we owned counts as proven stopped, so nothing may be given to us meanwhile.
void NodeCore::Parts::maybe_leave(Instant now) {
  const Record& record = membership.committed();
  const bool agreed = membership.member() && record.state.leaving.has(self);
  if (over || (!agreed && !stop_wanted && !goodbye)) return;
  bool idle = true;
  for (const GroupHolder& holder : holders) idle = idle && holder.idle();
  bool owns = false;
  if (membership.member())
    for (std::size_t i = 0; i < record.state.group_count; ++i) owns = owns || record.state.groups[i].owner == self;
  const bool alone = !membership.member() || (!lease_good(now) && quorum_lost_told);
  // The last to stay needs a rule without us, for which we still have to vote.
  const bool rule_to_come = config.quorum.policy == QuorumPolicy::last_man_standing &&
                            (record.joint() || rule_change_due(config, record, record.view.members - record.state.leaving));
  if (agreed && (idle || seeded_bug(Bug::goodbye_while_stopping)) && !owns && lease_good(now) && !goodbye &&
      !rule_to_come) {
    goodbye = true;
    goodbye_since = now;
  }
  // Where no view can do without us (others leave at the same time), nobody will ever leave us out.
  const bool said_long_ago = goodbye && now - goodbye_since > config.timing.detection * 10;
  if (idle && (membership.expelled() || alone || said_long_ago)) {
    over = true;
    note(JournalKind::done, EventName::node_down_complete, self,
         alone && membership.member() ? "stopped without a quorum: the others will have to find out" : "left in good order");
    scratch.push(effect::Left{});
  } else if (stop_wanted && !agreed && membership.member() && lease_good(now)) {
    ask_to_leave(now);
  }
}

// ---- journal and hooks -----------------------------------------------------------------------------

void NodeCore::Parts::note(JournalKind kind, EventName event, NodeId subject, std::string_view text, Duration took,
                           NetworkIndex network, AdapterIndex adapter) {
  JournalEntry entry;
  entry.kind = kind;
  entry.event = event;
  entry.subject = subject;
  entry.network = network;
  entry.adapter = adapter;
  entry.duration_us = took.ns > 0 ? took.us() : -1;
  entry.text = text;
  scratch.push(effect::Journal{entry});
}

void NodeCore::Parts::run_hooks(EventName event, NodeId subject, NetworkIndex network, AdapterIndex adapter) {
  std::array<bool, 5> stages{};
  for (const HookConfig& hook : config.hooks)
    if (hook.event == static_cast<std::uint8_t>(event)) stages[static_cast<std::size_t>(hook.stage)] = true;
  for (HookStage stage : {HookStage::pre, HookStage::command, HookStage::post, HookStage::notify}) {
    if (!stages[static_cast<std::size_t>(stage)]) continue;
    effect::RunAgent run;
    run.request = next_request++;
    run.verb = effect::AgentVerb::event;
    run.event = event;
    run.subject = subject;
    run.network = network;
    run.adapter = adapter;
    run.stage = stage;
    scratch.push(run);
  }
}

// ---- reading ---------------------------------------------------------------------------------------

Instant NodeCore::Parts::next_deadline() const {
  if (over) return Instant::never();
  Instant next = earlier(detector.next_deadline(), membership.next_deadline());
  next = earlier(next, earlier(adapters.next_deadline(), followers_due));
  next = earlier(next, flaps.next_change());
  for (std::size_t i = 0; i < config.nodes[self].links.size(); ++i) next = earlier(next, beats[i].next);
  next = earlier(next, holders_deadline);
  if (lease_lost_since.is_never() && membership.lease().until().ns > 0) next = earlier(next, membership.lease().until());
  if (!lease_lost_since.is_never() && !quorum_lost_told)
    next = earlier(next, lease_lost_since + config.timing.quorum_grace());
  for (const PendingOperator& pending : operators) next = earlier(next, earlier(pending.resend, pending.give_up));
  return next;
}

void NodeCore::Parts::describe(Instant now, NodeStatus& status) const {
  status.self = self;
  status.incarnation = incarnation;
  MembershipContext context;
  context.now = now;
  context.table = &table;
  context.detector = &detector;
  membership.explain(context, status);
  status.quorate = membership.member() && lease_good(now);
  status.lease_left = status.quorate ? membership.lease().until() - now : Duration{};
  status.lease_gaps = lease_gaps;
  status.late_count = detector.late_count();
  status.worst_lateness = detector.worst_lateness();
  status.peers.clear();
  for (std::size_t i = 0; i < config.nodes.size(); ++i) {
    const auto node = static_cast<NodeId>(i);
    if (node == self) continue;
    status.peers.resize(status.peers.size() + 1);
    PeerStatus& peer = status.peers.back();
    const Heartbeat& latest = table.peers[i].latest;
    peer.node = node;
    detector.describe(now, node, peer);
    peer.ready = latest.ready;
    peer.config_matches = !table.peers[i].known || latest.config_hash == config.hash;
    peer.incarnation = latest.incarnation;
    peer.networks_up = latest.networks_up;
    peer.lateness_ms = latest.lateness_ms;
  }
  for (std::size_t i = 0; i < config.nodes[self].adapters.size(); ++i) {
    status.adapters[i].usable = adapters.usable(static_cast<AdapterIndex>(i));
    status.adapters[i].healthy = adapters.healthy(static_cast<AdapterIndex>(i));
  }
  for (std::size_t i = 0; i < holders.size(); ++i) holders[i].describe(status.groups[i]);
  describe_clocks(status);
  describe_flapping(now, status);
}

void NodeCore::Parts::phases(Instant now, NodePhases& is) const {
  is.voter = membership.voter().phase(now);
  is.candidacy = membership.candidacy_phase();
  is.membership = over                  ? MembershipPhase::over
                  : goodbye             ? MembershipPhase::said_goodbye
                  : membership.member() ? MembershipPhase::member
                                        : MembershipPhase::outside;
  is.lease = !ever_quorate                   ? LeasePhase::never_had
             : lease_lost_since.is_never()   ? LeasePhase::runs
             : quorum_lost_told              ? LeasePhase::lost
                                             : LeasePhase::gap;
  for (std::size_t i = 0; i < config.nodes.size(); ++i) {
    const Peer& peer = table.peers[i];
    if (!peer.known)
      is.peer[i] = PeerPhase::unknown;
    else if (!peer.heard)
      is.peer[i] = PeerPhase::silent;
    else
      is.peer[i] = peer.latest.heard.has(self) ? PeerPhase::both_ways : PeerPhase::one_way_in;
  }
  for (std::size_t i = 0; i < holders.size(); ++i) is.holder[i] = holders[i].step_now();
}

Instant NodeCore::next_deadline() const { return parts_->next_deadline(); }
void NodeCore::describe(Instant now, NodeStatus& status) const { parts_->describe(now, status); }
void NodeCore::phases(Instant now, NodePhases& phases) const { parts_->phases(now, phases); }
const Record& NodeCore::committed() const { return parts_->membership.committed(); }
const Record& NodeCore::accepted() const { return parts_->membership.voter().accepted(); }
const KeyState& NodeCore::stored_keys() const { return parts_->membership.voter().stored_keys(); }
Epoch NodeCore::promised() const { return parts_->membership.voter().promised(); }
Instant NodeCore::lease_until() const { return parts_->membership.lease().until(); }
Incarnation NodeCore::incarnation() const { return parts_->incarnation; }

NodeSet NodeCore::not_ahead() const {
  NodeSet nodes;
  for (std::size_t i = 0; i < parts_->table.peers.size(); ++i)
    if (parts_->table.peers[i].known && parts_->table.peers[i].latest.committed <= committed().stamp)
      nodes.add(static_cast<NodeId>(i));
  return nodes;
}

}  // namespace vigil
