// What happens on the stage. See stage.hpp.
#include "tests/sim/stage.hpp"

#include <algorithm>

namespace vigil::sim {

namespace {

// The slowest clock that is permitted serves a lease longest, the fastest waits for it least.
constexpr std::int64_t bound_ppm = drift_percent * 10'000 - 50;
constexpr std::array<std::int64_t, stage_nodes> drift_ppm = {-bound_ppm, bound_ppm, 0};
constexpr SimTime wake_up_ns = 10'000;

constexpr std::uint64_t mix(std::uint64_t hash, std::uint64_t value) {
  std::uint64_t z = (hash ^ value) * 0x9fb21c651e98df25ULL;
  z ^= z >> 32;
  return z * 0xd6e8feb86659fd93ULL ^ (z >> 29);
}

std::uint64_t digest_of(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char c : text) hash = mix(hash, static_cast<unsigned char>(c));
  return hash;
}

// What a node is told that is not a letter or a frame.
enum Told : std::uint64_t { told_tick = 1, told_written, told_kernel, told_life, told_late, told_operator };

}  // namespace

void Stage::make_config(ClusterConfig& config) {
  config = ClusterConfig{};
  config.name = "stage";
  config.cluster_id = 7;
  config.hash = 0xc0ffee;
  NetworkConfig network;
  network.name = "public";
  config.networks.push(network);
  for (std::size_t i = 0; i < stage_nodes; ++i) {
    NodeConfig node;
    node.id = static_cast<NodeId>(i);
    node.name.assign("node-" + std::to_string(i + 1));
    AdapterConfig adapter;
    adapter.network = 0;
    adapter.device = "eth0";
    adapter.address.family = 4;
    adapter.address.prefix = 24;
    adapter.address.bytes = {10, 77, 1, static_cast<std::uint8_t>(i + 1)};
    node.adapters.push(adapter);
    node.links.push({LinkKind::ethernet, 0, true});
    config.nodes.push(node);
  }
  GroupConfig group;
  group.name = "group-0";
  group.fallback = false;
  // The first node leads: who serves, and who is to take over, are the two others.
  for (const NodeId node : std::array<NodeId, stage_nodes>{1, 2, 0}) group.nodes.push(node);
  AddressConfig address;
  address.network = 0;
  address.address = config.nodes[0].adapters[0].address;
  address.address.bytes[3] = 99;
  group.addresses.push(address);
  config.groups.push(group);
}

Stage::Stage(const ClusterConfig& config)
    : config_(&config), effects_(std::make_shared<Effects>(effects_limit(config))) {
  StoredState before;
  before.longest_acknowledged = config.timing.lease;
  const auto stored = std::make_shared<const StoredState>(before);
  for (std::size_t i = 0; i < stage_nodes; ++i) {
    actors_[i].clock.set(0, Instant{1'000'000'000 * static_cast<std::int64_t>(i + 1)}, drift_ppm[i]);
    actors_[i].stored = stored;
    actors_[i].history = i + 1;
  }
  for (NodeId node = 0; node < stage_nodes; ++node) {
    start_daemon(node);
    actors_[node].dirty = false;
    step(node, event::Cleaned{true}, told_life);
    run_prompts();
  }
}

// ---- steps ----------------------------------------------------------------------------------------

void Stage::step(NodeId node, const Event& event, std::uint64_t identity) {
  Actor& actor = actors_[node];
  const Instant now = clock(node);
  actor.history = mix(mix(actor.history, identity), static_cast<std::uint64_t>(now.ns));
  if (actor.core.use_count() > 1) actor.core = std::make_shared<NodeCore>(*actor.core);
  effects_->clear();
  actor.core->step(now, event, *effects_);
  observe(node);
  carry_out(node, effects_->items());
}

void Stage::carry_out(NodeId node, const std::vector<Effect>& effects) {
  const std::uint32_t life = actors_[node].start;
  for (std::size_t i = 0; i < effects.size(); ++i) {
    carry_out_one(node, effects[i], mix(actors_[node].history, i));
    if (actors_[node].start != life) return;  // it started afresh
  }
}

void Stage::carry_out_one(NodeId node, const Effect& effect, std::uint64_t identity) {
  Actor& actor = actors_[node];
  if (const auto* heartbeat = std::get_if<effect::SendHeartbeat>(&effect)) {
    event::HeartbeatReceived received{node, 0, heartbeat->heartbeat};
    received.heartbeat.link = heartbeat->link;
    received.heartbeat.sent_ns = clock(node).ns;
    for (NodeId to = 0; to < stage_nodes; ++to)
      if (hears(node, to)) prompts_.push_back({to, node, actor.start, received, identity});
  } else if (const auto* ack = std::get_if<effect::SendAck>(&effect)) {
    if (hears(node, ack->to))
      prompts_.push_back(
          {ack->to, node, actor.start, event::AckReceived{node, 0, actor.incarnation, ack->ack}, identity});
  } else if (const auto* send = std::get_if<effect::SendMessage>(&effect)) {
    send_letter(node, *send, identity);
  } else if (const auto* write = std::get_if<effect::Persist>(&effect)) {
    actor.writes.push_back({write->token, std::make_shared<const StoredState>(write->state)});
  } else if (const auto* renewal = std::get_if<effect::RenewLease>(&effect)) {
    if (actor.gate) open_gate(node, renewal->until);
  } else if (const auto* add = std::get_if<effect::AddAddress>(&effect)) {
    open_gate(node, add->lease_until);
    tell_soon(node, event::AddressDone{add->group, add->address, true, true, Duration{}}, mix(told_kernel, 1));
  } else if (const auto* remove = std::get_if<effect::RemoveAddress>(&effect)) {
    actor.gate = false;
    tell_soon(node, event::AddressDone{remove->group, remove->address, false, true, Duration{}}, mix(told_kernel, 2));
  } else if (std::holds_alternative<effect::StartAfresh>(effect)) {
    if (trace_ != nullptr) trace_->line(now_, node, "starts afresh, its gate closed");
    actor.gate = false;
    end_daemon(node, true);
    start_daemon(node);
    actor.dirty = false;
    tell_soon(node, event::Cleaned{true}, told_life);
  }
}

void Stage::send_letter(NodeId node, const effect::SendMessage& send, std::uint64_t identity) {
  const Actor& actor = actors_[node];
  if (const auto* promise = std::get_if<Promise>(&send.message)) judge_vote(node, promise->epoch);
  if (const auto* accept = std::get_if<Accept>(&send.message)) proposal(accept->record);
  if (const auto* accepted = std::get_if<Accepted>(&send.message)) {
    judge_vote(node, accepted->stamp.epoch);
    for (Proposal& known : proposals_)
      if (known.record->stamp == accepted->stamp) known.accepted_in[node] = actor.incarnation;
  }
  if (!hears(node, send.to)) return;
  const std::uint64_t wording = digest_of(sim::describe(send.message));
  for (const Letter& other : letters_)
    if (other.from == node && other.to == send.to && other.start == actor.start && other.wording == wording) return;
  letters_.push_back({node, send.to, actor.incarnation, actor.start, std::make_shared<const Message>(send.message),
                      wording, identity});
  news_ = true;
}

void Stage::tell_soon(NodeId node, Event event, std::uint64_t identity) {
  prompts_.push_back({node, node, actors_[node].start, std::move(event), identity});
}

void Stage::run_prompts() {
  while (!prompts_.empty() && !violated()) {
    const Prompt prompt = std::move(prompts_.front());
    prompts_.pop_front();
    const bool own = prompt.from == prompt.to;
    if (!actors_[prompt.to].running() || (own && prompt.start != actors_[prompt.to].start)) continue;
    if (!own && !believed(prompt.to, prompt.from, prompt.start)) continue;
    step(prompt.to, prompt.event, prompt.identity);
  }
}

// A frame sent now gets there.
bool Stage::hears(NodeId from, NodeId to) const {
  return from != to && to < stage_nodes && !actors_[from].cut && !actors_[to].cut;
}

// The wire believes nobody but the newest life of a peer.
bool Stage::believed(NodeId node, NodeId from, std::uint32_t start) {
  std::uint32_t& newest = actors_[node].newest_start[from];
  if (start < newest) return false;
  newest = start;
  return true;
}

void Stage::deliver(std::size_t index) {
  const Letter letter = letters_[index];
  letters_.erase(letters_.begin() + static_cast<std::ptrdiff_t>(index));
  if (!believed(letter.to, letter.from, letter.start)) return;
  step(letter.to, event::MessageReceived{letter.from, letter.incarnation, *letter.message}, letter.identity);
}

void Stage::end_writes() {
  for (NodeId node = 0; node < stage_nodes; ++node) {
    Actor& actor = actors_[node];
    while (actor.running() && !actor.writes.empty()) {
      const Write write = actor.writes.front();
      actor.writes.erase(actor.writes.begin());
      actor.stored = write.state;
      step(node, event::Persisted{write.token, true}, mix(told_written, write.token));
    }
  }
  run_prompts();
}

// ---- time -----------------------------------------------------------------------------------------

void Stage::pass(SimTime until, bool stop_at_news) {
  news_ = false;
  end_writes();
  while (!violated() && !(stop_at_news && news_)) {
    SimTime due = until;
    NodeId who = no_node;
    for (NodeId node = 0; node < stage_nodes; ++node) {
      const Actor& actor = actors_[node];
      if (!actor.running()) continue;
      const SimTime when = actor.clock.when(actor.core->next_deadline(), now_);
      if (when >= due || when == sim_never) continue;
      due = when;
      who = node;
    }
    now_ = due;
    if (who == no_node) return;
    now_ += wake_up_ns;
    step(who, event::Tick{}, told_tick);
    run_prompts();
    end_writes();
  }
}

void Stage::settle() {
  const SimTime patience = now_ + config_->timing.detection.ns * 60;
  while (now_ < patience) {
    deliver_all();
    bool whole = actors_[0].gate || actors_[1].gate || actors_[2].gate;
    for (const Actor& actor : actors_)
      whole = whole && (actor.core == nullptr || (actor.committed == actors_[1].committed &&
                                                  actor.core->committed().state.groups[0].phase == GroupPhase::online));
    if (whole && letters_.empty()) return pass(now_ + config_->timing.interval.ns * 2, false);
    pass(now_ + config_->timing.interval.ns, true);
  }
  fail(Invariant::convergence, "the stage could not be set: nobody serves the group");
}

void Stage::deliver_all() {
  while (!letters_.empty() && !violated()) {
    deliver(0);
    run_prompts();
  }
}

bool Stage::seeks_epoch() const {
  return std::any_of(letters_.begin(), letters_.end(),
                     [](const Letter& letter) { return std::holds_alternative<Prepare>(*letter.message); });
}

void Stage::wake() {
  const SimTime patience = now_ + config_->timing.detection.ns * 60;
  while (!violated() && !seeks_epoch()) {
    if (now_ > patience) return fail(Invariant::convergence, "the stage could not be set: nobody seeks an epoch");
    if (letters_.empty()) {
      pass(now_ + config_->timing.interval.ns, true);
    } else {
      deliver(0);
      run_prompts();
    }
  }
}

void Stage::crash_and_expel(NodeId node) {
  end_daemon(node, true);
  actors_[node].gate = false;
  wake();
  settle();
}

// ---- lives ----------------------------------------------------------------------------------------

void Stage::start_daemon(NodeId node) {
  Actor& actor = actors_[node];
  ++actor.start;
  actor.incarnation = {node + 1u, actor.start};
  actor.newest_start.fill(0);
  actor.dirty = true;
  NodeOptions options;
  options.self = node;
  options.incarnation = actor.incarnation;
  options.stored = *actor.stored;
  options.seed = node + 1;
  actor.core = std::make_shared<NodeCore>(*config_, options, clock(node));
  actor.committed = actor.core->committed().stamp;
  actor.accepted = actor.core->accepted().stamp;
  actor.history = mix(mix(actor.history, told_life), actor.start);
  tell_soon(node, event::AdapterChanged{0, true}, told_kernel);
}

void Stage::end_daemon(NodeId node, bool writes_kept) {
  Actor& actor = actors_[node];
  if (writes_kept && !actor.writes.empty()) actor.stored = actor.writes.back().state;
  actor.history = mix(mix(actor.history, told_life), writes_kept ? 1 : 2);
  actor.writes.clear();
  actor.core.reset();
  actor.frozen = false;
}

void Stage::thaw(NodeId node) {
  actors_[node].frozen = false;
  const Duration lateness = clock(node) - actors_[node].core->next_deadline();
  if (lateness.ns > 0) step(node, event::Late{lateness}, told_late);
}

// ---- choices --------------------------------------------------------------------------------------

// Nobody has anything to say, nothing is amiss, and nothing will be: time changes nothing but the time.
bool Stage::at_rest() const {
  if (!letters_.empty()) return false;
  bool served = false;
  for (NodeId node = 0; node < stage_nodes; ++node) {
    const Actor& actor = actors_[node];
    if (!actor.running() || actor.cut || actor.dirty || !actor.writes.empty()) return false;
    const Record& record = actor.core->committed();
    if (record.stamp != actors_[0].committed || record.view.members.count() != stage_nodes) return false;
    if (record.state.groups[0].phase != GroupPhase::online) return false;
    served = served || (actor.gate && record.state.groups[0].owner == node);
  }
  return served;
}

void Stage::choices(std::vector<Choice>& out) const {
  out.clear();
  for (std::size_t i = 0; i < letters_.size(); ++i)
    if (actors_[letters_[i].to].running()) out.push_back({Move::deliver, letters_[i].to, i});
  if (!at_rest()) {
    out.push_back({Move::next});
    out.push_back({Move::wait});
  }
  if (orders_left_ > 0) out.push_back({Move::order, 0});
  for (NodeId node = 0; node < stage_nodes; ++node) {
    const Actor& actor = actors_[node];
    if (actor.core == nullptr) out.push_back({Move::start, node});
    if (actor.running() && actor.dirty) out.push_back({Move::clean, node});
    if (actor.cut && actor.since < now_) out.push_back({Move::heal, node});
    if (actor.frozen && actor.since < now_) out.push_back({Move::thaw, node});
    if (faults_left_ == 0 || !actor.running()) continue;
    if (!actor.cut) out.push_back({Move::cut, node});
    out.push_back({Move::freeze, node});
    out.push_back({Move::crash, node});
    if (!actor.writes.empty()) out.push_back({Move::crash_torn, node});
  }
}

void Stage::take(const Choice& choice) {
  const SimTime lease = outlast(config_->timing.lease).ns;
  switch (choice.move) {
    case Move::deliver:
      deliver(choice.letter);
      break;
    case Move::next:
      pass(now_ + lease * 2, true);
      break;
    case Move::wait:
      pass(now_ + lease * (100 + 2 * drift_percent) / 100, false);
      break;
    case Move::cut:
      --faults_left_;
      actors_[choice.node].cut = true;
      actors_[choice.node].since = now_;
      break;
    case Move::heal:
      actors_[choice.node].cut = false;
      break;
    case Move::freeze:
      --faults_left_;
      actors_[choice.node].frozen = true;
      actors_[choice.node].since = now_;
      break;
    case Move::thaw:
      thaw(choice.node);
      break;
    case Move::crash:
    case Move::crash_torn:
      --faults_left_;
      end_daemon(choice.node, choice.move == Move::crash);
      break;
    case Move::start:
      start_daemon(choice.node);
      break;
    case Move::clean:
      actors_[choice.node].dirty = false;
      actors_[choice.node].gate = false;
      step(choice.node, event::Cleaned{true}, told_life);
      break;
    case Move::order:
      --orders_left_;
      if (actors_[0].running())
        step(0, event::OperatorAsked{next_question_++, {OperatorVerb::move_group, 0, 2}}, told_operator);
      break;
  }
  run_prompts();
}

std::string Stage::describe(const Choice& choice) const {
  static constexpr const char* names[] = {"receives",
                                          "time passes until something is said or done",
                                          "a lease's time and more passes",
                                          "is cut off",
                                          "is connected again",
                                          "freezes",
                                          "thaws",
                                          "is killed",
                                          "is killed, its last writes lost",
                                          "starts again",
                                          "has closed the gates of its earlier life",
                                          "is asked to move the group to node 3"};
  static_assert(std::size(names) == static_cast<std::size_t>(Move::order) + 1);
  std::string text = names[static_cast<std::size_t>(choice.move)];
  if (choice.node != no_node) text = "node " + std::to_string(choice.node + 1) + " " + text;
  if (choice.move != Move::deliver) return text;
  const Letter& letter = letters_[choice.letter];
  return text + " from " + std::to_string(letter.from + 1) + ": " + sim::describe(*letter.message);
}

std::uint64_t Stage::digest() const {
  std::uint64_t hash = mix(static_cast<std::uint64_t>(now_), faults_left_ * 16 + orders_left_);
  for (const Actor& actor : actors_) {
    const std::uint64_t flags = (actor.cut ? 1u : 0u) + (actor.frozen ? 2u : 0u) + (actor.core ? 4u : 0u) +
                                (actor.since < now_ ? 8u : 0u) + (actor.dirty ? 16u : 0u);
    hash = mix(mix(hash, actor.history), flags);
  }
  std::uint64_t under_way = 0;  // a sum: in whatever order
  for (const Letter& letter : letters_) under_way += mix(letter.identity, letter.to);
  return mix(hash, under_way);
}

// ---- the judge ------------------------------------------------------------------------------------

void Stage::fail(Invariant invariant, std::string text) {
  if (!violated()) violation_ = {invariant, now_, std::move(text)};
}

// I1, I3: an address is served by one at a time.
void Stage::open_gate(NodeId node, Instant until) {
  Actor& actor = actors_[node];
  const bool was_open = actor.gate && actor.lease_until > clock(node);
  actor.gate = true;
  actor.lease_until = until;
  if (until <= clock(node)) return;
  if (!was_open) news_ = true;
  if (!was_open && trace_ != nullptr) trace_->line(now_, node, "serves the address");
  for (NodeId other = 0; other < stage_nodes; ++other)
    if (other != node && actors_[other].gate && actors_[other].lease_until > clock(other))
      fail(Invariant::one_owner,
           "nodes " + std::to_string(node + 1) + " and " + std::to_string(other + 1) + " both serve the address");
}

// I2: one vote an epoch, and none that goes back, whatever life it is given in.
void Stage::judge_vote(NodeId node, Epoch epoch) {
  Actor& actor = actors_[node];
  const bool another_life = actor.voted_in != actor.start;
  if (epoch < actor.voted || (another_life && epoch == actor.voted))
    fail(Invariant::agreement, "node " + std::to_string(node + 1) + " votes in epoch " + std::to_string(epoch.counter) +
                                   "." + std::to_string(epoch.proposer + 1) + ", though it has voted in " +
                                   std::to_string(actor.voted.counter) + "." +
                                   std::to_string(actor.voted.proposer + 1));
  actor.voted = std::max(actor.voted, epoch);
  actor.voted_in = actor.start;
}

Proposal& Stage::proposal(const Record& record) {
  const auto name = [&] {
    return std::to_string(record.stamp.epoch.counter) + "." + std::to_string(record.stamp.epoch.proposer + 1) + "/" +
           std::to_string(record.stamp.version);
  };
  for (Proposal& known : proposals_) {
    const Record& other = *known.record;
    if (other.view.epoch == record.view.epoch && !(other.view == record.view))
      fail(Invariant::agreement, "two different views carry the epoch of " + name());
    if (other.stamp != record.stamp) continue;
    if (!(other.state == record.state)) fail(Invariant::agreement, "two different records carry stamp " + name());
    return known;
  }
  proposals_.push_back({std::make_shared<const Record>(record), {}, false});
  return proposals_.back();
}

void Stage::observe(NodeId node) {
  Actor& actor = actors_[node];
  const Record& accepted = actor.core->accepted();
  if (accepted.stamp != actor.accepted) {
    actor.accepted = accepted.stamp;
    proposal(accepted);
    // A candidate accepts its own records without a word.
    if (accepted.stamp.epoch.proposer == node)
      for (Proposal& known : proposals_)
        if (known.record->stamp.epoch == accepted.stamp.epoch && known.record->stamp <= accepted.stamp)
          known.accepted_in[node] = actor.incarnation;
  }
  const Record& committed = actor.core->committed();
  if (committed.stamp == actor.committed) return;
  news_ = true;
  if (committed.stamp < actor.committed)
    fail(Invariant::agreement, "the committed record of node " + std::to_string(node + 1) + " went back");
  actor.committed = committed.stamp;
  if (trace_ != nullptr) trace_->line(now_, node, "holds committed %s", sim::describe(committed, 1).c_str());
  judge_commit(node, committed);
}

// I2: a quorum of its view, and all who join, have accepted what counts as committed. I4: what was decided is not
// undone.
void Stage::judge_commit(NodeId node, const Record& record) {
  Proposal& known = proposal(record);
  if (known.committed) return;
  known.committed = true;
  NodeSet acceptors;
  for (NodeId voter = 0; voter < stage_nodes; ++voter)
    if (record.view.holds(voter, known.accepted_in[voter])) acceptors.add(voter);
  if (!record.view.is_quorum(acceptors))
    fail(Invariant::agreement,
         "node " + std::to_string(node + 1) + " holds a record committed that no quorum of its view has accepted");
  for (const NodeId member : record.view.members)
    if (record.stamp.version == 1 && !record.previous.holds(member, record.view.incarnations[member]) &&
        !acceptors.has(member))
      fail(Invariant::agreement, "node " + std::to_string(node + 1) + " holds a view committed that node " +
                                     std::to_string(member + 1) + ", which joins, has not accepted");
  for (const Proposal& other : proposals_) {
    if (!other.committed) continue;
    const std::uint32_t generation = other.record->state.groups[0].generation;
    const bool older = other.record->stamp < record.stamp;
    if (older ? generation > record.state.groups[0].generation : generation < record.state.groups[0].generation)
      fail(Invariant::durability, "a committed decision about the group was undone by a later epoch");
  }
}

}  // namespace vigil::sim
