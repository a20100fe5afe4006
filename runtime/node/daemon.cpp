#include "runtime/node/daemon.hpp"

#include <signal.h>
#include <sodium.h>

#include <algorithm>
#include <array>

#include "runtime/agent/journal_file.hpp"
#include "runtime/loop/clock.hpp"
#include "runtime/node/probes.hpp"

namespace vigil {

namespace {

constexpr Duration housekeeping = Duration::from_s(1);
constexpr Duration clean_retry = Duration::from_s(5);
// Wall clocks are told this often, and at once when this node's own was set by more than a second.
constexpr Duration greeting = Duration::from_s(10);
constexpr Duration clock_step = Duration::from_s(1);
// Silence of the other machine of our id, which is asked once a second, after which it is gone.
constexpr Duration other_gone = Duration::from_s(5);
constexpr unsigned life_shift = 40;
constexpr unsigned shares_at_a_time = 16;
// … each of them to everybody: as many messages among many as among few.
constexpr unsigned share_messages_at_a_time = 256;
// Everybody has installed the view by then, and told so.
constexpr Duration merge_after_view = Duration::from_s(1);
constexpr std::uint64_t own_operator_id = std::uint64_t{1} << 63;  // asked by the daemon itself

// What fits a journal's line; the log's and the status's have more room (wire::explain).
std::string_view brief(const Refusal& refusal, NodeId self) {
  switch (refusal.cause) {
    case wire::Drop::wrong_version:
    case wire::Drop::wrong_protocol:
      return "another protocol version: upgrade the older release";
    case wire::Drop::unknown_key:
    case wire::Drop::wrong_tag:
      return "another cluster key, or one not rotated everywhere: compare key_file";
    case wire::Drop::duplicate_node_name:
      return "goes by a name that has another id here: make cluster.toml the same";
    case wire::Drop::duplicate_node_id:
      if (refusal.sender != self) return "two machines use this id: stop one, or give it its own id";
      return refusal.yield ? "another machine had this id first: stays out until that one is gone"
                           : "a second machine uses this id, and is kept out: stop it";
    case wire::Drop::wrong_name:
      return "its id has another name here: make cluster.toml the same";
    default:
      return "its id is not in cluster.toml here: make the files the same";
  }
}

std::uint64_t random_id() {
  std::uint64_t value = 0;
  while (value == 0) randombytes_buf(&value, sizeof value);
  return value;
}

}  // namespace

Daemon::Daemon(const ClusterConfig& config, const DaemonOptions& options, wire::KeyRing& key_ring, Machine& machine,
               Log& log)
    : config_(config),
      options_(options),
      log_(log),
      incarnation_{options.boot_id, random_id()},
      lateness_(config.timing.interval),
      run_(random_id()),
      merge_(config, *this),
      key_ring_(key_ring),
      transport_(config, options.self, incarnation_, key_ring, log, *this),
      machine_(machine),
      effects_(std::make_unique<Effects>(effects_limit(config))),
      waiting_limit_(64 + 16 * config.groups.size()) {
  waiting_.reserve(waiting_limit_);
}

Daemon::~Daemon() = default;

Status Daemon::open(KeySet keys) {
  keys_ = std::make_unique<KeyKeeper>(config_.key_file.str(), std::move(keys), key_ring_, log_, static_cast<KeyListener&>(*this));
  Result<std::unique_ptr<StateFile>> state =
      StateFile::open(options_.state_directory + "/state", {config_.cluster_id, options_.self});
  if (!state) return state.error();
  state_ = std::move(state).value();
  if (state_->other_slot_damaged()) log_.write(LogLevel::warning, "the state file has one torn slot; the other one is good");
  load_journal();
  if (const Status opened = machine_.open(*this); !opened) return opened;
  Result<std::unique_ptr<ControlServer>> control =
      ControlServer::open(options_.control_path, config_, journal_, log_, *this);
  if (!control) return control.error();
  control_ = std::move(control).value();
  return {};
}

Status Daemon::attach(Ring& ring, Ring& quiet) {
  state_->attach(ring, *this);
  if (const Status attached = machine_.attach(ring); !attached) return attached;
  if (const Status attached = control_->attach(ring); !attached) return attached;
  if (const Status attached = keys_->attach(ring); !attached) return attached;
  start_core();
  tell_time(boottime_now());
  if (const Status opened = transport_.open(ring, &quiet); !opened) return opened;
  next_housekeeping_ = boottime_now() + housekeeping;
  log_.write(LogLevel::notice, "node ", config_.nodes[options_.self].name.view(), " of cluster ", config_.name.view());
  return {};
}

void Daemon::detach() {
  share_entries(UINT32_MAX);
  machine_.detach();
  core_.reset();
  transport_.close();
  keys_->detach();
  control_->detach();
}

// What earlier runs of this node wrote, so that `vigil why` survives a restart.
void Daemon::load_journal() {
  auto read = agent::read_journal(options_.state_directory, {});
  if (!read) {
    log_.write(LogLevel::warning, read.error().message);
    return;
  }
  // In the order of their writing, not of their coming here.
  auto& entries = read->entries;
  std::stable_sort(entries.begin(), entries.end(),
                   [](const JournalEntry& a, const JournalEntry& b) { return a.wall_ns < b.wall_ns; });
  const std::size_t from = entries.size() > Journal::capacity ? entries.size() - Journal::capacity : 0;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (i >= from) (void)journal_.add(entries[i]);
    if (about_membership(entries[i])) (void)views_.add(entries[i]);
  }
  next_share_ = journal_.end();
}

void Daemon::start_core() {
  ++life_;
  machine_.forget_tie_breaker();
  NodeOptions node;
  node.self = options_.self;
  node.incarnation = incarnation_;
  node.stored = state_->stored();
  node.seed = incarnation_.start_id;
  core_ = std::make_unique<NodeCore>(config_, node, boottime_now());
  settled_at_ = boottime_now() + longer(config_.timing.detection, housekeeping);
  transport_.set_standing(wire::Standing::newcomer);
  told_offset_ = Duration{};  // the new core must hear of it
  next_greeting_ = Instant{};
  machine_.tell_adapters();
  for (std::size_t i = 0; i < config_.nodes[options_.self].links.size(); ++i)
    if (config_.nodes[options_.self].links[i].kind == LinkKind::serial && transport_.usable(static_cast<LinkIndex>(i)))
      feed(event::AdapterChanged{config_.nodes[options_.self].links[i].adapter, true});
  feed(event::Tick{});
}

// ---- events and effects ----------------------------------------------------------------------------

void Daemon::feed(const Event& event) {
  if (!core_) return;
  if (stepping_) {
    if (waiting_.size() == waiting_limit_) {  // make room: what was processed is not needed
      waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(processed_));
      processed_ = 0;
    }
    VIGIL_ASSERT(waiting_.size() < waiting_limit_);
    waiting_.push_back(event);
    return;
  }
  process(event);
  while (processed_ < waiting_.size()) {
    const Event next = waiting_[processed_++];  // the vector may move under us
    process(next);
  }
  waiting_.clear();
  processed_ = 0;
  if (core_->committed().stamp != keys_followed_ || core_->stored_keys() != keys_stored_) follow_keys();
  if (afresh_wanted_) {
    afresh_wanted_ = false;
    start_afresh(afresh_why_.view());
  }
}

void Daemon::process(const Event& event) {
  stepping_ = true;
  effects_->clear();
  core_->step(boottime_now(), event, *effects_);
  for (const Effect& effect : effects_->items()) carry_out(effect);
  stepping_ = false;
}

// What a look brings, one after the other; conclude() draws the consequences of all of it.
void Daemon::hear(const Event& event) {
  VIGIL_ASSERT(!stepping_);
  heard_ = true;
  stepping_ = true;
  effects_->clear();
  core_->hear(boottime_now(), event, *effects_);
  for (const Effect& effect : effects_->items()) carry_out(effect);
  stepping_ = false;
}

void Daemon::carry_out(const Effect& effect) {
  if (const auto* heartbeat = std::get_if<effect::SendHeartbeat>(&effect)) {
    transport_.send_heartbeat(heartbeat->link, heartbeat->heartbeat);
    VIGIL_PROBE1(heartbeat_sent, heartbeat->link);
  } else if (const auto* ack = std::get_if<effect::SendAck>(&effect)) {
    transport_.send_ack(ack->to, ack->by, ack->ack);
  } else if (const auto* message = std::get_if<effect::SendMessage>(&effect)) {
    VIGIL_PROBE2(message_sent, message->to, message->message.index());
    transport_.send_message(message->to, message->message);
  } else if (const auto* lease = std::get_if<effect::RenewLease>(&effect)) {
    machine_.renew(lease->until);
    VIGIL_PROBE1(lease_renewed, lease->until.ns);
  } else if (const auto* add = std::get_if<effect::AddAddress>(&effect)) {
    VIGIL_PROBE2(address_add, add->group, add->address);
    machine_.add(*add, boottime_now());
    VIGIL_PROBE2(address_added, add->group, add->address);
  } else if (const auto* remove = std::get_if<effect::RemoveAddress>(&effect)) {
    machine_.remove(*remove, boottime_now());
    VIGIL_PROBE2(address_removed, remove->group, remove->address);
  } else if (const auto* run = std::get_if<effect::RunAgent>(&effect)) {
    machine_.run(*run, core_->committed().stamp, boottime_now(), realtime_ns());
  } else if (const auto* use = std::get_if<effect::UseTieBreaker>(&effect)) {
    machine_.use(*use);
  } else if (const auto* persist = std::get_if<effect::Persist>(&effect)) {
    state_->save(life_ << life_shift | persist->token, persist->state);
  } else if (const auto* entry = std::get_if<effect::Journal>(&effect)) {
    record(entry->entry);
  } else if (const auto* answer = std::get_if<effect::OperatorAnswer>(&effect)) {
    control_->answer(answer->id, answer->accepted, answer->text.view());
    if (answer->id >= own_operator_id) log_.write(LogLevel::notice, "stop: ", answer->text.view());
  } else if (const auto* afresh = std::get_if<effect::StartAfresh>(&effect)) {
    afresh_wanted_ = true;
    afresh_why_ = afresh->why.view();
  } else if (std::holds_alternative<effect::Left>(effect)) {
    end_ = End::left;
  }
}

// The life that ended may still serve: everything is silenced and taken down before the next one counts.
void Daemon::start_afresh(std::string_view why) {
  log_.write(LogLevel::warning, "starting afresh: ", why);
  if (!machine_.release_everything())
    log_.write(LogLevel::error, "a service address could not be removed; its gate stays closed");
  cleaned_ = false;
  incarnation_.start_id = random_id();
  transport_.renew(incarnation_);
  start_core();
  ask_clean();
}

void Daemon::ask_clean() {
  clean_again_ = Instant::never();
  machine_.clean();
}

// ---- the journal -----------------------------------------------------------------------------------

void Daemon::record(JournalEntry entry) {
  if (entry.wall_ns == 0) entry.wall_ns = realtime_ns();
  if (about_membership(entry) && !views_.add(entry)) return;  // a merge brought it
  if (!journal_.add(entry)) return;
  keep(entry);
  if (entry.node == options_.self) {
    log_entry(entry);
    // Not before what the step has to tell the others: they wait for votes, not for stories.
    const Instant now = boottime_now();
    share_at_ = earlier(share_at_, now + config_.timing.interval);
    if (entry.view.step == ViewStep::installed) merge_at_ = now + merge_after_view;
  }
  control_->on_journal();
}

void Daemon::keep(const JournalEntry& entry) {
  VIGIL_PROBE3(journal, static_cast<int>(entry.event), static_cast<int>(entry.kind), entry.duration_us);
  machine_.append(entry);
}

// Tells the others, a few at a time, what this node wrote since it last did.
void Daemon::share_entries(unsigned most) {
  if (next_share_ < journal_.first()) next_share_ = journal_.first();
  for (; next_share_ < journal_.end() && most > 0; ++next_share_) {
    const JournalEntry& entry = journal_.at(next_share_);
    if (entry.node != options_.self) continue;
    --most;
    if (entry.view.step == ViewStep::none) {
      transport_.send_to_all(JournalShare{entry});
      continue;
    }
    JournalPage page;
    page.entries.push(entry);
    transport_.send_to_all(page);
  }
}

void Daemon::advance_journal(Instant now) {
  if (now >= share_at_) {
    const auto nodes = static_cast<unsigned>(config_.nodes.size());
    share_entries(std::clamp(share_messages_at_a_time / nodes, 1U, shares_at_a_time));
    share_at_ = next_share_ < journal_.end() ? now + config_.timing.interval : Instant::never();
  }
  if (now >= merge_at_) merge_views();
  merge_.advance(now);
}

void Daemon::merge_views() {
  merge_at_ = Instant::never();
  const auto status = std::make_unique<NodeStatus>();
  core_->describe(boottime_now(), *status);
  NodeSet heard;
  NodeSet missing;
  for (const PeerStatus& peer : status->peers) (peer.heard ? heard : missing).add(peer.node);
  merge_.begin(boottime_now(), heard, missing);
}

void Daemon::send_ask(NodeId to, const JournalAsk& ask) { transport_.send_message(to, ask); }

// Others may keep older entries than we do: these are not to push out what is newer here.
void Daemon::on_merged_entry(const JournalEntry& entry) {
  const bool full = views_.first() > 0;
  if (!about_membership(entry) || (full && entry.wall_ns < views_.at(views_.first()).wall_ns)) return;
  if (views_.add(entry)) keep(entry);
}

void Daemon::on_merged(NodeSet reached) { control_->on_views(reached | NodeSet::of(options_.self)); }

void Daemon::log_entry(const JournalEntry& entry) {
  const std::string_view group = entry.group < config_.groups.size() ? config_.groups[entry.group].name.view()
                                 : entry.subject < config_.nodes.size() ? config_.nodes[entry.subject].name.view()
                                                                        : std::string_view{};
  const bool about_admission = entry.event == EventName::node_refused || entry.event == EventName::clock_apart ||
                               entry.event == EventName::config_mismatch;
  const LogLevel level =
      entry.kind == JournalKind::failed || about_admission ? LogLevel::warning : LogLevel::info;
  log_.write(level, to_string(entry.event), " ", group, ": ", entry.text.view());
}

// ---- time ------------------------------------------------------------------------------------------

Instant Daemon::next_deadline() const {
  Instant next = earlier(core_->next_deadline(), machine_.next_deadline());
  next = earlier(next, next_housekeeping_);
  next = earlier(next, earlier(share_at_, merge_at_));
  next = earlier(next, merge_.next_deadline());
  return earlier(next, clean_again_);
}

void Daemon::on_timer(Instant now) {
  if (now >= core_->next_deadline()) feed(event::Tick{});
  machine_.step(now);
  if (now >= clean_again_) ask_clean();
  advance_journal(now);
  if (now < next_housekeeping_) return;
  next_housekeeping_ = now + housekeeping;
  keep_house(now);
}

void Daemon::keep_house(Instant now) {
  transport_.retry();
  machine_.keep_house(now);
  transport_.expire_refusals(now);
  follow_keys();
  keys_->follow_frames(key_context(), core_->not_ahead(), transport_.session());
  const bool serving = now < core_->lease_until();
  transport_.set_standing(serving             ? wire::Standing::serving
                          : now < settled_at_ ? wire::Standing::newcomer
                                              : wire::Standing::settled);
  tell_time(now);
  if (!transport_.muted() || now - own_id_taken_ < other_gone) return;
  transport_.mute(false);
  start_afresh("the other machine that used this node's id is gone");
}

void Daemon::tell_time(Instant now) {
  const Duration offset = Duration::from_ns(realtime_ns() - now.ns);
  const bool stepped = offset - told_offset_ > clock_step || told_offset_ - offset > clock_step;
  transport_.set_wall_offset(offset);
  if (!stepped && now < next_greeting_) return;
  told_offset_ = offset;
  next_greeting_ = now + greeting;
  feed(event::WallClock{options_.self, offset});
  transport_.greet(now);
}

void Daemon::on_wake(const WakeUp& wake) {
  const Duration late = lateness_.observe(wake.slept_from, wake.deadline, wake.woke);
  // Only noted: nothing is judged before everything that waits is heard.
  if (late * 2 >= config_.timing.interval) hear(event::Late{late});
}

void Daemon::conclude() {
  transport_.look();
  if (!heard_) return;
  heard_ = false;
  feed(event::Tick{});
}

void Daemon::on_signal(std::uint32_t, const SignalNews& news) {
  if (news.number == SIGHUP) {
    log_.write(LogLevel::notice, "the configuration is not reread yet; restart vigild on one node after the other");
    return;
  }
  ask_to_stop();
}

void Daemon::ask_to_stop() {
  if (++stops_asked_ > 1) {
    log_.write(LogLevel::warning, "asked to stop again: stopping at once, without takeover");
    end_ = End::left;
    return;
  }
  log_.write(LogLevel::notice, "asked to stop: groups move away first; ask again to stop at once");
  feed(event::OperatorAsked{own_operator_id, {OperatorVerb::node_stop, no_index, options_.self}, realtime_ns()});
}

// ---- what the parts tell ---------------------------------------------------------------------------

void Daemon::on_heartbeat(NodeId from, LinkIndex by, const Heartbeat& heartbeat, Instant arrived) {
  VIGIL_PROBE2(heartbeat_received, from, by);
  hear(event::HeartbeatReceived{from, by, heartbeat, arrived});
}

void Daemon::on_ack(NodeId from, LinkIndex by, const Incarnation& incarnation, const HeartbeatAck& ack,
                    Instant arrived) {
  hear(event::AckReceived{from, by, incarnation, ack, arrived});
}

void Daemon::on_message(NodeId from, const Incarnation& incarnation, const Message& message) {
  if (const auto* share = std::get_if<JournalShare>(&message)) {
    if (share->entry.node == from) record(share->entry);
    return;
  }
  if (const auto* ask = std::get_if<KeyAsk>(&message)) {
    if (core_->committed().view.holds(from, incarnation)) keys_->on_ask(from, *ask, key_context());
    return;
  }
  if (const auto* offer = std::get_if<KeyOffer>(&message)) {
    keys_->on_offer(*offer, key_context());
    return;
  }
  if (const auto* ask = std::get_if<JournalAsk>(&message)) {
    transport_.send_message(from, journal_page(views_, run_, *ask));
    return;
  }
  if (const auto* page = std::get_if<JournalPage>(&message)) {
    const bool unasked = page->run == 0;
    for (const JournalEntry& entry : page->entries)
      if (unasked && entry.node == from) record(entry);
    if (!unasked) merge_.on_page(boottime_now(), from, *page);
    return;
  }
  feed(event::MessageReceived{from, incarnation, message});
}

void Daemon::on_hello(NodeId from, Instant received, const wire::Hello& hello) {
  if (hello.wall_ns > 0) feed(event::WallClock{from, Duration::from_ns(hello.wall_ns - received.ns)});
}

void Daemon::on_refused(const Refusal& refusal) {
  const bool known = refusal.sender < config_.nodes.size();
  std::string text(brief(refusal, options_.self));
  text += " (" + refusal.whence.str();
  if (!known) text += ", id " + std::to_string(refusal.sender + 1);
  feed(event::NodeRefused{known ? refusal.sender : no_node, std::string_view(text + ")")});
}

void Daemon::on_own_id_taken(bool yield) {
  if (!yield) return;
  own_id_taken_ = boottime_now();
  transport_.mute(true);
}

void Daemon::on_line_state(AdapterIndex adapter, bool usable) { feed(event::AdapterChanged{adapter, usable}); }
void Daemon::on_address_event(const Event& event) { feed(event); }
void Daemon::on_adapter_back(AdapterIndex adapter) { transport_.reopen(adapter); }
void Daemon::on_agent_event(const Event& event) { feed(event); }

void Daemon::on_agent_ready() {
  feed(event::AgentState{true});
  if (!cleaned_) ask_clean();
}

void Daemon::on_agent_cleaned(bool ok) {
  if (!ok) {
    log_.write(LogLevel::error, "an application of an earlier run could not be stopped; this node stays out; trying again in 5 s");
    clean_again_ = boottime_now() + clean_retry;
    return;
  }
  if (!machine_.release_everything()) {
    clean_again_ = boottime_now() + clean_retry;
    return;
  }
  cleaned_ = true;
  feed(event::Cleaned{true});
}

void Daemon::on_hook_problem(EventName problem, EventName event, GroupIndex group, std::string_view text) {
  JournalEntry entry;
  entry.sequence = own_operator_id | ++own_journal_;
  entry.node = options_.self;
  entry.boot_ns = boottime_now().ns;
  entry.kind = JournalKind::failed;
  entry.event = problem;
  entry.group = group;
  entry.stamp = core_->committed().stamp;
  entry.text = std::string_view(std::string(to_string(event)) + ": " + std::string(text));
  record(entry);
}

void Daemon::on_launcher_gone() {
  log_.write(LogLevel::error, "the launcher of vigil-agent is gone, and applications cannot be run without it; stopping");
  end_ = End::failed;
}

void Daemon::on_stored(std::uint64_t token, bool ok) {
  if (!ok) log_.write(LogLevel::error, "the state file cannot be written: is the disk full? this node does not vote");
  if (token >> life_shift != life_) return;
  feed(event::Persisted{token & ((std::uint64_t{1} << life_shift) - 1), ok});
}

void Daemon::describe(NodeStatus& status) {
  core_->describe(boottime_now(), status);
  if (transport_.muted()) {
    status.role = NodeRole::waiting;
    status.role_text = "another machine runs under this node's id, and was first: stays out until that one is gone";
  }
  keys_->describe(config_, key_context(), status);
  if (!machine_.tie_breaker_trouble().empty() && !status.problems.full())
    status.problems.push(std::string_view("the tie-breaker cannot be used: " + std::string(machine_.tie_breaker_trouble())));
  transport_.refusals().each([&](const Refusal& refusal) {
    if (!status.problems.full()) status.problems.push(std::string_view(transport_.describe(refusal)));
  });
}

// ---- keys ------------------------------------------------------------------------------------------

KeyContext Daemon::key_context() const {
  KeyContext context;
  context.now = boottime_now();
  context.self = options_.self;
  context.committed = &core_->committed();
  context.stored = core_->stored_keys();
  context.in_view = context.committed->view.holds(options_.self, core_->incarnation());
  context.member = context.in_view && context.now < core_->lease_until();
  return context;
}

void Daemon::follow_keys() {
  keys_followed_ = core_->committed().stamp;
  keys_stored_ = core_->stored_keys();
  keys_->follow(key_context());
}

void Daemon::on_rotate(std::uint64_t id, std::span<const std::uint8_t> given) {
  keys_->rotate(id, given, key_context());
}

void Daemon::send_of_keys(NodeId to, const Message& message) {
  if (to == options_.self)
    feed(event::MessageReceived{options_.self, core_->incarnation(), message});
  else
    transport_.send_message(to, message);
}

void Daemon::on_rotation_answer(std::uint64_t operation, bool accepted, std::string_view text) {
  std::string whole(text);
  const NodeSet members = core_->committed().view.members;
  std::string away;
  for (std::size_t i = 0; i < config_.nodes.size(); ++i)
    if (!members.has(static_cast<NodeId>(i))) away += " " + config_.nodes[i].name.str();
  if (accepted && !away.empty()) whole += "; not in the cluster, to be given the key file by hand:" + away;
  log_.write(LogLevel::notice, "key rotation: ", whole);
  control_->answer(operation, accepted, whole);
}

void Daemon::on_keys_changed() { follow_keys(); }

void Daemon::on_operator(std::uint64_t id, const OperatorCommand& command) {
  feed(event::OperatorAsked{id, command, realtime_ns()});
}

}  // namespace vigil
