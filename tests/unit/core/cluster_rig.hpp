// Some NodeCores on one table, for tests: virtual time, a network that does what it is told, a shell
// that answers everything well. Much smaller than the simulator and never random: a test says which
// node crashes, which messages are lost, how long it goes on. What came of it is text: records that
// were committed, gates that opened and closed, applications, journal lines.
//
// It watches some things by itself: an address that two nodes serve at one moment, an application with
// state that two nodes run, two records under one stamp are a line "VIOLATION", which no golden file has.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "runtime/core/node_core.hpp"
#include "tests/unit/core/cluster_text.hpp"

namespace vigil::testing {

inline const char* const message_texts[] = {
    "Prepare",         "Promise", "Nack",      "Accept",          "Accepted",      "Commit",      "Fetch",
    "CommittedRecord", "Report",  "ReportAck", "OperatorRequest", "OperatorReply", "JournalShare",
    "KeyReport",       "KeyAsk",  "KeyOffer",       "JournalAsk",    "JournalPage"};

class ClusterRig {
 public:
  static constexpr Duration delay = Duration::from_us(200);    // of every frame
  static constexpr Duration fsync = Duration::from_ms(2);      // of every Persist
  static constexpr Duration command = Duration::from_ms(5);    // of every start, stop and hook
  static constexpr Duration netlink = Duration::from_us(100);  // of every address change

  // One heartbeat link on each adapter. `config` is changed for that, and must outlive the rig.
  explicit ClusterRig(ClusterConfig& config) : config_(config), machines_(config.nodes.size()) {
    config.hash = 0xc0ffee;
    for (NodeConfig& node : config.nodes)
      for (std::size_t i = 0; i < node.adapters.size() && node.links.empty(); ++i)
        for (std::size_t a = 0; a < node.adapters.size(); ++a) {
          LinkConfig link;
          link.adapter = static_cast<AdapterIndex>(a);
          node.links.push(link);
        }
  }

  // ---- what a test does to it ----------------------------------------------------------------------

  void start(NodeId node, std::uint64_t other_hash = 0) {
    Machine& machine = machines_[node];
    if (machine.boots == 0 || other_hash != 0) {
      machine.config = std::make_unique<ClusterConfig>(config_);
      if (other_hash != 0) machine.config->hash = other_hash;
    }
    new_life(node);
  }
  // Power off: its addresses and applications are gone with it, what was not stored too.
  void crash(NodeId node) {
    Machine& machine = machines_[node];
    machine.core.reset();
    machine.held.clear();
    machine.frozen = false;
    machine.gates.clear();
    machine.applications = {};
    ++machine.life;
  }
  // The daemon dies and is started again at once; what it served goes on until its lease ends, or the new life has cleaned up.
  void restart_daemon(NodeId node, Duration cleaning) {
    Machine& machine = machines_[node];
    machine.held.clear();
    ++machine.life;
    const Instant lease_until = machine.lease_until;
    make_core(node, cleaning);
    machine.lease_until = lease_until;
  }
  void freeze(NodeId node) {
    machines_[node].frozen = true;
    machines_[node].frozen_at = now_;
  }
  // It learns at once how late it is, then gets what the kernel kept for it.
  void thaw(NodeId node) {
    Machine& machine = machines_[node];
    machine.frozen = false;
    step(node, event::Late{now_ - machine.frozen_at});
    std::vector<Event> held;
    held.swap(machine.held);
    for (const Event& event : held) step(node, event);
  }
  // Nodes of different parts hear nothing of each other; nodes not named are parts of their own.
  void part(const std::vector<NodeSet>& parts) { parts_ = parts; }
  void heal() { parts_.clear(); }
  // Messages of which this says true are lost; so are heartbeats and acks between such nodes.
  using Filter = std::function<bool(NodeId from, NodeId to, const Message& message)>;
  void lose(Filter filter) { filter_ = std::move(filter); }
  void lose_nothing() { filter_ = nullptr; }
  // Messages may be changed on the way.
  void tamper(std::function<void(NodeId from, NodeId to, Message& message)> change) { tamper_ = std::move(change); }
  void mute_adapter(NodeId node, AdapterIndex adapter, bool bad) { machines_[node].bad_adapter[adapter] = bad; }
  // Its disk was replaced.
  void lose_state(NodeId node) { machines_[node].stored = StoredState{}; }
  void set_wall_clocks(std::int64_t wall_ns) { wall_ns_ = wall_ns; }
  void fail_storage(bool fail) { storage_fails_ = fail; }
  void fail_tie_breaker(bool fail) { tie_breaker_reachable_ = !fail; }
  // It does what it is asked, and the answers are lost.
  void mute_tie_breaker(bool mute) { tie_breaker_answers_ = !mute; }
  void operate(NodeId at, OperatorCommand what) { step(at, event::OperatorAsked{++operator_id_, what, wall_ns_}); }
  void feed(NodeId node, const Event& event) { step(node, event); }

  // Runs until the clock has gone on by this much.
  void run(Duration duration) {
    const Instant end = now_ + duration;
    int turns = 0;  // at one moment
    for (;;) {
      Instant next = end;
      if (!queue_.empty()) next = earlier(next, queue_.begin()->first);
      for (const Machine& machine : machines_) {
        if (machine.core && !machine.frozen) next = earlier(next, machine.core->next_deadline());
        for (const auto& [id, gate] : machine.gates)
          if (gate.speaks) next = earlier(next, machine.lease_until);
      }
      turns = next > now_ ? 0 : turns + 1;
      if (turns > 10'000) bad_text("a core whose deadline does not pass");
      now_ = later(now_, next);
      watch_leases();
      if (now_ >= end && (queue_.empty() || queue_.begin()->first > end) && !anybody_due()) return;
      turn();
    }
  }
  // Runs until `condition` holds, looking each millisecond; false: not within `limit`.
  bool run_until(const std::function<bool()>& condition, Duration limit = Duration::from_s(20)) {
    const Instant end = now_ + limit;
    while (!condition() && now_ < end) run(Duration::from_ms(1));
    return condition();
  }

  // ---- what a test sees of it -----------------------------------------------------------------------

  Instant now() const { return now_; }
  const ClusterConfig& config() const { return config_; }
  bool up(NodeId node) const { return machines_[node].core != nullptr; }
  NodeCore& core(NodeId node) { return *machines_[node].core; }
  const StoredState& stored(NodeId node) const { return machines_[node].stored; }
  bool member(NodeId node) { return up(node) && core(node).committed().view.holds(node, core(node).incarnation()); }
  bool quorate(NodeId node) { return member(node) && now_ < core(node).lease_until(); }
  bool serves(NodeId node, GroupIndex group = 0) const {
    const auto found = machines_[node].gates.find({group, 0});
    return found != machines_[node].gates.end() && now_ < machines_[node].lease_until;
  }
  bool runs_application(NodeId node, GroupIndex group = 0) const { return machines_[node].applications.has(group); }
  // All of these nodes are in one view of exactly these, with a lease.
  bool settled(NodeSet nodes) {
    for (const NodeId node : nodes)
      if (!quorate(node) || core(node).committed().view.members != nodes ||
          core(node).committed().stamp != core(nodes.lowest()).committed().stamp)
        return false;
    return true;
  }
  NodeStatus status(NodeId node) {
    NodeStatus status;
    core(node).describe(now_, status);
    return status;
  }
  int violations() const { return violations_; }
  // Everybody's journals, in the order of their writing.
  const std::vector<JournalEntry>& journal() const { return journal_; }
  int count_lines(const std::string& part) const {
    int found = 0;
    for (const Line& line : lines_) found += line.text.find(part) != std::string::npos;
    return found;
  }
  // Forgets the lines so far, and returns them; one line for all nodes that said the same.
  std::vector<std::string> take() {
    std::vector<std::string> lines;
    for (const Line& line : lines_) lines.push_back(text_of(config_, line.nodes) + ": " + line.text);
    lines_.clear();
    return lines;
  }

 private:
  struct Gate {
    bool speaks = false;
  };
  struct Machine {
    std::unique_ptr<ClusterConfig> config;
    std::unique_ptr<NodeCore> core;
    std::uint64_t boots = 0;
    std::uint64_t starts = 0;
    std::uint64_t life = 0;  // what was meant for an earlier one does not arrive
    StoredState stored;
    bool frozen = false;
    Instant frozen_at;
    std::vector<Event> held;
    Instant lease_until;
    std::map<std::pair<GroupIndex, std::uint8_t>, Gate> gates;
    NodeSet applications;  // of groups, rather
    std::array<bool, limits::max_adapters> bad_adapter{};
    Stamp told;  // newest commit that there is a line about
  };
  struct Coming {
    NodeId to = no_node;
    std::uint64_t life = 0;
    Event event;
    std::function<void()> first;  // before the event
  };
  struct Line {
    NodeSet nodes;
    std::string text;
  };

  void say(NodeId node, const std::string& text) {
    for (Line& line : lines_)
      if (line.text == text) {
        line.nodes.add(node);
        return;
      }
    lines_.push_back({NodeSet::of(node), text});
  }

  void new_life(NodeId node) {
    Machine& machine = machines_[node];
    crash(node);
    ++machine.boots;
    make_core(node);
  }
  void make_core(NodeId node, Duration cleaning = command) {
    Machine& machine = machines_[node];
    ++machine.starts;
    NodeOptions options;
    options.self = node;
    options.incarnation = {100 * std::uint64_t{node} + machine.boots,
                           1000 * (std::uint64_t{node} + 1) + machine.starts};
    options.stored = machine.stored;
    options.seed = options.incarnation.start_id;
    machine.core = std::make_unique<NodeCore>(*machine.config, options, now_);
    machine.told = {};
    machine.lease_until = {};
    for (std::size_t i = 0; i < config_.nodes[node].adapters.size(); ++i)
      step(node, event::AdapterChanged{static_cast<AdapterIndex>(i), true});
    step(node, event::AgentState{true});
    later_event(node, cleaning, event::Cleaned{true}, [this, node] {
      machines_[node].gates.clear();
      machines_[node].applications = {};
    });
  }

  void later_event(NodeId to, Duration after, const Event& event, std::function<void()> first = nullptr) {
    queue_.emplace(now_ + after, Coming{to, machines_[to].life, event, std::move(first)});
  }

  bool anybody_due() const {
    for (const Machine& machine : machines_)
      if (machine.core && !machine.frozen && machine.core->next_deadline() <= now_) return true;
    return false;
  }

  // What is due now, once.
  void turn() {
    while (!queue_.empty() && queue_.begin()->first <= now_) {
      const Coming coming = queue_.begin()->second;
      queue_.erase(queue_.begin());
      Machine& machine = machines_[coming.to];
      if (coming.life != machine.life || !machine.core) continue;
      if (coming.first) coming.first();
      if (machine.frozen)
        machine.held.push_back(coming.event);
      else
        step(coming.to, coming.event);
    }
    for (std::size_t i = 0; i < machines_.size(); ++i) {
      const Machine& machine = machines_[i];
      if (machine.core && !machine.frozen && machine.core->next_deadline() <= now_)
        step(static_cast<NodeId>(i), event::Tick{});
    }
  }

  void step(NodeId node, const Event& event) {
    Machine& machine = machines_[node];
    if (!machine.core) return;
    // Large, so kept; a step within a step (a new life) needs its own.
    if (depth_ == effects_.size()) effects_.push_back(std::make_unique<Effects>());
    Effects& effects = *effects_[depth_++];
    effects.clear();
    machine.core->step(now_, event, effects);
    tell_commit(node);
    const std::uint64_t life = machine.life;
    for (std::size_t i = 0; i < effects.items().size() && machine.life == life; ++i)
      carry_out(node, effects.items()[i]);
    --depth_;
    watch_leases();
  }

  void tell_commit(NodeId node) {
    Machine& machine = machines_[node];
    const Record& record = machine.core->committed();
    if (record.stamp == machine.told) return;
    machine.told = record.stamp;
    const auto [known, first] = records_.try_emplace(record.stamp, record);
    if (!first && !(known->second == record)) {
      ++violations_;
      say(node, "VIOLATION: another record under this stamp is committed elsewhere");
    }
    std::string line = "record " + view_text(record.stamp.epoch) + "/" + std::to_string(record.stamp.version) + " of " +
                       text_of(config_, record.view.members);
    for (std::size_t i = 0; i < config_.groups.size(); ++i) {
      const GroupState& group = record.state.groups[i];
      line += ", " + config_.groups[i].name.str() + " " + text_of(group.phase);
      if (group.owner != no_node) line += " on " + text_of(config_, group.owner);
      if (!group.unproven.empty()) line += " after " + text_of(config_, group.unproven);
    }
    say(node, line);
  }

  // Views are numbered as they were committed: how many epochs came to nothing is not a test's matter.
  std::string view_text(const Epoch& epoch) {
    std::size_t number = 0;
    while (number < epochs_.size() && epochs_[number] != epoch) ++number;
    if (number == epochs_.size()) epochs_.push_back(epoch);
    return std::to_string(number + 1) + "." + text_of(config_, epoch.proposer);
  }

  // ---- the network ----------------------------------------------------------------------------------

  bool apart(NodeId a, NodeId b) const {
    if (parts_.empty()) return false;
    for (const NodeSet& part : parts_)
      if (part.has(a) && part.has(b)) return false;
    return true;
  }
  bool passes(NodeId from, NodeId to) const { return !apart(from, to) && machines_[to].core != nullptr; }

  void send_heartbeat(NodeId from, const effect::SendHeartbeat& send) {
    const AdapterIndex adapter = config_.nodes[from].links[send.link].adapter;
    if (machines_[from].bad_adapter[adapter]) return;
    const NetworkIndex network = config_.nodes[from].adapters[adapter].network;
    for (std::size_t i = 0; i < machines_.size(); ++i) {
      const auto to = static_cast<NodeId>(i);
      if (to == from || !passes(from, to)) continue;
      for (std::size_t by = 0; by < config_.nodes[to].links.size(); ++by) {
        const AdapterIndex theirs = config_.nodes[to].links[by].adapter;
        if (config_.nodes[to].adapters[theirs].network != network || machines_[to].bad_adapter[theirs]) continue;
        later_event(to, delay, event::HeartbeatReceived{from, static_cast<LinkIndex>(by), send.heartbeat});
      }
    }
  }
  void send_ack(NodeId from, const effect::SendAck& send) {
    const AdapterIndex adapter = config_.nodes[from].links[send.by].adapter;
    const AdapterIndex theirs = config_.nodes[send.to].links[send.ack.link].adapter;
    if (machines_[from].bad_adapter[adapter] || machines_[send.to].bad_adapter[theirs]) return;
    if (!passes(from, send.to)) return;
    later_event(send.to, delay, event::AckReceived{from, send.ack.link, machines_[from].core->incarnation(), send.ack});
  }
  void send_message(NodeId from, const effect::SendMessage& send) {
    if (!passes(from, send.to) || (filter_ && filter_(from, send.to, send.message))) return;
    Message message = send.message;
    if (tamper_) tamper_(from, send.to, message);
    later_event(send.to, delay, event::MessageReceived{from, machines_[from].core->incarnation(), message});
  }

  // ---- the shell ------------------------------------------------------------------------------------

  void carry_out(NodeId node, const Effect& effect) {
    Machine& machine = machines_[node];
    if (const auto* heartbeat = std::get_if<effect::SendHeartbeat>(&effect)) {
      send_heartbeat(node, *heartbeat);
    } else if (const auto* ack = std::get_if<effect::SendAck>(&effect)) {
      send_ack(node, *ack);
    } else if (const auto* message = std::get_if<effect::SendMessage>(&effect)) {
      send_message(node, *message);
    } else if (const auto* persist = std::get_if<effect::Persist>(&effect)) {
      const StoredState state = persist->state;
      const bool ok = !storage_fails_;
      later_event(node, fsync, event::Persisted{persist->token, ok}, [this, node, state, ok] {
        if (ok) machines_[node].stored = state;
      });
    } else if (const auto* lease = std::get_if<effect::RenewLease>(&effect)) {
      machine.lease_until = lease->until;
    } else if (const auto* add = std::get_if<effect::AddAddress>(&effect)) {
      machine.gates[{add->group, add->address}] = {};
      later_event(node, netlink, event::AddressDone{add->group, add->address, true, true, netlink});
    } else if (const auto* remove = std::get_if<effect::RemoveAddress>(&effect)) {
      if (machine.gates.erase({remove->group, remove->address}) != 0)
        say(node, "takes away " + address_text(remove->group, remove->address));
      later_event(node, netlink, event::AddressDone{remove->group, remove->address, false, true, netlink});
    } else if (const auto* run = std::get_if<effect::RunAgent>(&effect)) {
      run_agent(node, *run);
    } else if (const auto* use = std::get_if<effect::UseTieBreaker>(&effect)) {
      use_tie_breaker(node, *use);
    } else if (const auto* journal = std::get_if<effect::Journal>(&effect)) {
      journal_.push_back(journal->entry);
      tell_journal(node, journal->entry);
    } else if (const auto* answer = std::get_if<effect::OperatorAnswer>(&effect)) {
      say(node, std::string("answers ") + (answer->accepted ? "yes: " : "no: ") + answer->text.str());
    } else if (const auto* afresh = std::get_if<effect::StartAfresh>(&effect)) {
      say(node, "starts afresh: " + afresh->why.str());
      crash(node);
      make_core(node);
    } else if (std::holds_alternative<effect::Left>(effect)) {
      say(node, "left");
      crash(node);
    }
  }

  // One register that all share; it is used at the moment of asking.
  void use_tie_breaker(NodeId node, const effect::UseTieBreaker& use) {
    if (use.win && tie_breaker_reachable_ && tie_breaker_ <= use.known) tie_breaker_ = use.epoch;
    later_event(node, command, event::TieBreakerDone{use.request, tie_breaker_reachable_ && tie_breaker_answers_, tie_breaker_});
  }

  void run_agent(NodeId node, const effect::RunAgent& run) {
    Machine& machine = machines_[node];
    if (run.verb == effect::AgentVerb::start) machine.applications.add(run.group);
    if (run.verb == effect::AgentVerb::stop) machine.applications.remove(run.group);
    if (run.verb == effect::AgentVerb::start) watch_application(run.group);
    if (run.verb != effect::AgentVerb::start && run.verb != effect::AgentVerb::stop &&
        run.verb != effect::AgentVerb::clean && !run.wait)
      return;
    later_event(node, command, event::AgentDone{run.request, event::AgentOutcome::ok, 0, command});
  }

  void tell_journal(NodeId node, const JournalEntry& entry) {
    static const char* const kinds[] = {"observed", "accused", "voted",  "decided",
                                        "started",  "done",    "failed", "waiting"};
    std::string line =
        std::string(kinds[static_cast<std::size_t>(entry.kind)]) + " " + std::string(to_string(entry.event));
    if (entry.subject != no_node) line += " " + text_of(config_, entry.subject);
    // What was measured, beside what the wait will be, is not the golden text's matter.
    std::string text = entry.text.str();
    if (const auto wait = text.find(", in "); wait != std::string::npos) text.resize(wait);
    say(node, line + ": " + text);
  }

  std::string address_text(GroupIndex group, std::uint8_t address) const {
    return to_text_of(config_.groups[group].addresses[address].address);
  }
  static std::string to_text_of(const IpAddress& address) {
    std::string text;
    for (int i = 0; i < 4; ++i)
      text += (i == 0 ? "" : ".") + std::to_string(address.bytes[static_cast<std::size_t>(i)]);
    return text;
  }

  // The kernel's gates, by the lease alone.
  void watch_leases() {
    for (std::size_t i = 0; i < machines_.size(); ++i)
      for (auto& [id, gate] : machines_[i].gates) {
        const bool speaks = now_ < machines_[i].lease_until;
        if (speaks == gate.speaks) continue;
        gate.speaks = speaks;
        say(static_cast<NodeId>(i),
            (speaks ? "gate opens for " : "gate closes for ") + address_text(id.first, id.second));
        if (!speaks) continue;
        for (std::size_t other = 0; other < machines_.size(); ++other) {
          const auto found = machines_[other].gates.find(id);
          if (other == i || found == machines_[other].gates.end() || now_ >= machines_[other].lease_until) continue;
          ++violations_;
          say(static_cast<NodeId>(i), "VIOLATION: " + text_of(config_, static_cast<NodeId>(other)) + " serves it too");
        }
      }
  }
  void watch_application(GroupIndex group) {
    if (config_.groups[group].application.state == ApplicationState::none) return;
    NodeSet running;
    for (std::size_t i = 0; i < machines_.size(); ++i)
      if (machines_[i].applications.has(group)) running.add(static_cast<NodeId>(i));
    if (running.count() < 2) return;
    ++violations_;
    say(running.lowest(), "VIOLATION: the application runs on " + text_of(config_, running));
  }

  ClusterConfig& config_;
  std::vector<Machine> machines_;
  std::multimap<Instant, Coming> queue_;
  std::vector<NodeSet> parts_;
  Filter filter_;
  std::function<void(NodeId, NodeId, Message&)> tamper_;
  std::vector<std::unique_ptr<Effects>> effects_;  // of steps under way
  std::size_t depth_ = 0;
  std::vector<JournalEntry> journal_;
  std::vector<Line> lines_;
  std::vector<Epoch> epochs_;        // that had a committed record, in the order of its commit
  std::map<Stamp, Record> records_;  // every one that was committed
  Instant now_{1'000'000'000};
  bool storage_fails_ = false;
  bool tie_breaker_reachable_ = true;
  bool tie_breaker_answers_ = true;
  Epoch tie_breaker_;
  std::uint64_t operator_id_ = 0;
  std::int64_t wall_ns_ = 1'700'000'000'000'000'000;  // CLOCK_REALTIME
  int violations_ = 0;
};

// Kinds of messages by name: lose({"Promise"}, from, to); no_node: whoever.
inline ClusterRig::Filter losing(std::vector<std::string> kinds, NodeId from = no_node, NodeId to = no_node) {
  return [kinds, from, to](NodeId sender, NodeId receiver, const Message& message) {
    if ((from != no_node && from != sender) || (to != no_node && to != receiver)) return false;
    for (const std::string& kind : kinds)
      if (kind == message_texts[message.index()]) return true;
    return false;
  };
}

}  // namespace vigil::testing
