// Placement and holders together, without the membership protocol: an all-knowing coordinator places,
// nodes carry out, a small world runs their addresses and applications, and breaks. Checked at every
// millisecond: no address is served twice (I1), nor an application whose state could suffer from it;
// and when the world is left in peace, every group comes online or says why not.
#include <array>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "runtime/base/random.hpp"
#include "runtime/core/group_holder.hpp"
#include "runtime/core/placement.hpp"
#include "tests/unit/core/cluster_text.hpp"
#include "tests/unit/cmocka.hpp"  // last: it defines fail() as a macro

using namespace vigil;
using namespace vigil::testing;

namespace {

constexpr std::size_t node_count = 4;
constexpr Duration tick = Duration::from_ms(1);
constexpr Duration lease_length = Duration::from_ms(150);
constexpr Duration detection = Duration::from_ms(100);  // accuses early: leases outlive expulsions

// One thing of a group on a node: what the world knows, whatever the holder believes.
struct Thing {
  bool up = false;
  Instant ends;         // of the work under way; never(): none
  bool working_up = false;
  std::uint32_t request = 0;
};

struct Node {
  std::vector<GroupHolder> holders;
  Incarnation incarnation;
  Record record;                 // newest that it knows committed
  bool connected = true;
  bool frozen = false;
  bool crashed = false;
  bool out = false;              // expelled, and has to come back clean
  Instant silent_since = Instant::never();
  Instant back_at = Instant::never();
  Instant lease_until;
  Instant lease_lost_since;
  Instant leases_over;           // of expelled nodes
  std::uint32_t next_request = 0;
  std::uint32_t next_report = 0;
  std::array<std::array<Thing, 2>, limits::max_groups> things{};  // [group][0 address, 1 application]
  std::array<bool, limits::max_adapters> adapter_ok{};

  bool stepping() const { return !frozen && !crashed && !out; }
  bool heard() const { return connected && !frozen && !crashed; }
};

struct Mail {
  Instant at;
  NodeId from = no_node;
  NodeId to = no_node;  // no_node: the coordinator
  Incarnation incarnation;
  Report report;
};

class World {
 public:
  explicit World(std::uint64_t seed) : random(seed) {
    for (const char* line :
         {"nodes a b c d", "network public", "network private backup=public", "adapter * public eth0",
          "adapter * public eth1 standby", "adapter * private eth2",
          "group ip nodes=a,b,c,d addresses=public", "group web nodes=b,c,a addresses=private app=none monitor",
          "group db nodes=c,d,a addresses=public app=elsewhere monitor fallback=no",
          "group ring nodes=d,c,b,a addresses=public app=disks policy=rotating"})
      if (!text.read(line)) bad_text(line);
    state = initial_state(config());
    view.rule.needed = 3;
    for (NodeId node = 0; node < node_count; ++node) {
      nodes[node].lease_until = now;
      nodes[node].lease_lost_since = now;
      nodes[node].adapter_ok.fill(true);
      begin_life(node);
      admit(node);
    }
    facts.networks_up.fill(3);
    commit();
  }

  // Lets one millisecond pass; false: an invariant broke, `broken` says which.
  bool step(bool peaceful) {
    now = now + tick;
    if (!peaceful && random.chance(0.6)) disturb();
    if (peaceful) make_peace();
    watch_members();
    deliver();
    for (NodeId node = 0; node < node_count; ++node) run_node(node);
    check();
    return broken.empty();
  }

  bool settled() const {
    for (std::size_t i = 0; i < config().groups.size(); ++i)
      if (state.groups[i].phase != GroupPhase::online) return false;
    return true;
  }

  std::string describe() const {
    std::string line;
    for (std::size_t i = 0; i < config().groups.size(); ++i) {
      const GroupState& group = state.groups[i];
      line += config().groups[i].name.str() + " " + text_of(group.phase) + " on " + text_of(config(), group.owner) +
              " (" + text_of(group.reason) + ", unproven " + text_of(config(), group.unproven) + "); ";
    }
    return line;
  }

  std::string broken;
  int takeovers = 0;

 private:
  const ClusterConfig& config() const { return text.config(); }

  void begin_life(NodeId id) {
    Node& node = nodes[id];
    node.holders.clear();
    for (std::size_t i = 0; i < config().groups.size(); ++i)
      node.holders.emplace_back(config(), id, static_cast<GroupIndex>(i));
    node.incarnation = {std::uint64_t{id} + 1, ++lives};
    node.things.fill({});
    node.out = node.crashed = false;
  }

  void admit(NodeId id) {
    view.members.add(id);
    view.incarnations[id] = nodes[id].incarnation;
    facts.ready.add(id);
    nodes[id].record.view = view;
    apply_view_change(config(), {}, {}, NodeSet::of(id), state);
  }

  // The coordinator's next record, on its way to everybody.
  void commit() {
    place(config(), view, facts, state);
    if (state == committed.state && view == committed.view) return;
    committed.state = state;
    committed.view = view;
    ++committed.stamp.version;
    records.push_back({now + Duration::from_ms(random.between(0, 15)), committed});
  }

  bool may_lose_one() const {
    int well = 0;
    for (const Node& node : nodes) well += node.heard() && !node.out;
    return well > 3;
  }

  void disturb() {
    const auto id = static_cast<NodeId>(random.below(node_count));
    Node& node = nodes[id];
    const Duration a_while = Duration::from_ms(random.between(20, 1500));
    switch (random.below(9)) {
      case 0:
      case 1:
      case 2:
        if (!node.heard() || node.out || !may_lose_one()) return;
        node.silent_since = now;
        node.back_at = now + a_while;
        if (random.chance(33)) {
          node.crashed = true;
          node.things.fill({});
          node.back_at = now + detection * 2 + a_while;
        } else if (random.chance(50)) {
          node.frozen = true;
        } else {
          node.connected = false;
        }
        return;
      case 3:
        node.adapter_ok[random.below(3)] = random.chance(50);
        return;
      case 4:
        if (random.chance(50) && node.stepping()) fail_an_application(id);
        return;
      default:
        return speak(id);
    }
  }

  void fail_an_application(NodeId id) {
    const std::size_t group = random.below(config().groups.size());
    Thing& application = nodes[id].things[group][1];
    if (!application.up || !application.ends.is_never()) return;
    application.up = false;
    const std::uint32_t generation = nodes[id].record.state.groups[group].generation;
    nodes[id].holders[group].on_application_failed(context(id), {static_cast<GroupIndex>(group), generation}, effects);
    carry_out(id);
  }

  void speak(NodeId id) {
    OperatorCommand command;
    command.verb = static_cast<OperatorVerb>(random.below(8));
    command.group = static_cast<GroupIndex>(random.below(config().groups.size()));
    command.node = id;
    if (command.verb == OperatorVerb::node_stop) return;
    if (command.verb == OperatorVerb::group_offline && random.chance(70)) command.verb = OperatorVerb::group_online;
    if (command.verb == OperatorVerb::node_standby && random.chance(50)) command.verb = OperatorVerb::node_online;
    if (command.verb == OperatorVerb::confirm_down && !nodes[id].crashed) return;  // an honest operator
    BoundedString<127> answer;
    apply_operator(config(), view, command, facts, state, answer);
    commit();
  }

  void make_peace() {
    for (NodeId id = 0; id < node_count; ++id) {
      if (!nodes[id].back_at.is_never()) nodes[id].back_at = earlier(nodes[id].back_at, now);
      nodes[id].adapter_ok.fill(true);
    }
    ClusterState before = state;
    state.standby = {};
    for (std::size_t i = 0; i < config().groups.size(); ++i) {
      state.groups[i].wanted = true;
      state.groups[i].failed_on = {};
    }
    if (!(before == state)) commit();
  }

  // What the membership protocol would decide: expels the silent, admits the clean.
  void watch_members() {
    for (NodeId id = 0; id < node_count; ++id) {
      Node& node = nodes[id];
      std::uint8_t up = node.adapter_ok[0] || node.adapter_ok[1] ? 1 : 0;
      if (node.adapter_ok[2]) up = static_cast<std::uint8_t>(up | 2);
      facts.networks_up[id] = up;
      if (now >= node.back_at) come_back(id);
      if (view.members.has(id) && !node.silent_since.is_never() && now - node.silent_since >= detection) expel(id);
      // The expelled, once they hear of it, stop everything and come back in a new life.
      if (!view.members.has(id) && node.heard()) {
        begin_life(id);
        admit(id);
        commit();
        node.record = committed;  // it became a member by accepting this very record
      }
    }
    if (now.ns % Duration::from_ms(7).ns == 0) commit();  // facts changed, perhaps
  }

  void come_back(NodeId id) {
    Node& node = nodes[id];
    node.back_at = Instant::never();
    node.silent_since = Instant::never();
    node.frozen = false;
    node.connected = true;
    if (!node.crashed) return;
    node.crashed = false;  // its holders are gone: watch_members() gives it a new life
    if (view.members.has(id)) expel(id);
  }

  void expel(NodeId id) {
    view.members.remove(id);
    view.incarnations[id] = {};
    facts.ready.remove(id);
    apply_view_change(config(), NodeSet::of(id), {}, {}, state);
    ++view.epoch.counter;
    for (Node& node : nodes) node.leases_over = later(node.leases_over, now + lease_length);
    ++takeovers;
    commit();
  }

  void deliver() {
    while (!records.empty() && records.front().first <= now) {
      for (NodeId id = 0; id < node_count; ++id)
        if (nodes[id].heard() && records.front().second.view.holds(id, nodes[id].incarnation) &&
            nodes[id].record.stamp < records.front().second.stamp)
          nodes[id].record = records.front().second;
      records.pop_front();
    }
    for (NodeId id = 0; id < node_count; ++id)  // whoever was away is told in the end
      if (nodes[id].heard() && records.empty() && view.members.has(id)) nodes[id].record = committed;
    for (std::size_t i = 0; i < mail.size();) {
      if (mail[i].at > now) {
        ++i;
        continue;
      }
      const Mail letter = mail[i];
      mail.erase(mail.begin() + static_cast<std::ptrdiff_t>(i));
      if (nodes[letter.from].incarnation == letter.incarnation && view.members.has(letter.from)) open(letter);
    }
  }

  void open(const Mail& letter) {
    if (letter.to == no_node) {
      apply_report(config(), letter.from, letter.report, facts, state);
      commit();
      if (random.chance(80)) nodes[letter.from].holders[letter.report.group].on_report_ack(letter.report.serial);
    } else if (nodes[letter.to].stepping()) {
      nodes[letter.to].holders[letter.report.group].on_release(letter.from, letter.incarnation, letter.report.generation);
    }
  }

  HolderContext context(NodeId id) {
    Node& node = nodes[id];
    HolderContext context;
    context.now = now;
    context.self = id;
    context.record = &node.record;
    context.lease_until = node.lease_until;
    context.all_leases_over = node.leases_over;
    context.lease_lost_since = node.lease_lost_since;
    context.adapter_ok = node.adapter_ok;
    context.next_request = &node.next_request;
    context.next_report = &node.next_report;
    return context;
  }

  void run_node(NodeId id) {
    Node& node = nodes[id];
    if (node.crashed) return;
    if (node.heard() && view.members.has(id)) node.lease_until = now + lease_length;
    const bool has_lease = now < node.lease_until;
    if (has_lease) node.lease_lost_since = Instant::never();
    if (!has_lease && node.lease_lost_since.is_never()) node.lease_lost_since = node.lease_until;
    if (!node.stepping()) return;  // frozen: nothing of user space moves, not even scripts
    finish_work(id);
    for (GroupHolder& holder : node.holders) {
      holder.advance(context(id), effects);
      carry_out(id);
    }
  }

  void finish_work(NodeId id) {
    for (std::size_t group = 0; group < config().groups.size(); ++group)
      for (std::size_t kind = 0; kind < 2; ++kind) {
        Thing& thing = nodes[id].things[group][kind];
        if (thing.ends.is_never() || now < thing.ends || thing.ends == Instant{0}) continue;
        thing.ends = Instant::never();
        const bool ok = random.chance(93);
        // In doubt it counts as up: a failed start may have left something, a failed stop surely has.
        thing.up = thing.working_up || !ok;
        if (kind == 0 && thing.working_up && !ok) thing.up = false;
        GroupHolder& holder = nodes[id].holders[group];
        const auto index = static_cast<GroupIndex>(group);
        if (kind == 0)
          holder.on_address_done(context(id), {index, 0, thing.working_up, ok, tick}, effects);
        else
          holder.on_agent_done(context(id), {thing.request, ok ? event::AgentOutcome::ok : event::AgentOutcome::failed, 1, tick},
                               effects);
        carry_out(id);
      }
  }

  void work(Thing& thing, bool up, std::int64_t longest_ms) {
    if (up) thing.up = true;  // from its very beginning, as a sceptic would count
    thing.working_up = up;
    thing.ends = now + Duration::from_ms(random.between(1, longest_ms));
  }

  void carry_out(NodeId id) {
    for (const Effect& effect : effects.items()) {
      if (const auto* add = std::get_if<effect::AddAddress>(&effect)) {
        if (add->lease_until <= now) broken = "an address is added without a lease";
        work(nodes[id].things[add->group][0], true, 3);
      } else if (const auto* remove = std::get_if<effect::RemoveAddress>(&effect)) {
        work(nodes[id].things[remove->group][0], false, 3);
      } else if (const auto* run = std::get_if<effect::RunAgent>(&effect)) {
        if (run->verb != effect::AgentVerb::start && run->verb != effect::AgentVerb::stop) continue;
        Thing& application = nodes[id].things[run->group][1];
        application.request = run->request;
        work(application, run->verb == effect::AgentVerb::start, 60);
      } else if (const auto* send = std::get_if<effect::SendMessage>(&effect)) {
        post(id, *send);
      }
    }
    effects.clear();
  }

  void post(NodeId id, const effect::SendMessage& send) {
    const auto* report = std::get_if<Report>(&send.message);
    if (report == nullptr || !nodes[id].heard()) return;
    const int copies = random.chance(30) ? 0 : random.chance(10) ? 2 : 1;
    for (int i = 0; i < copies; ++i)
      mail.push_back({now + Duration::from_ms(random.between(0, random.chance(10) ? 900 : 40)), id,
                      send.to == node_count ? no_node : send.to, nodes[id].incarnation, *report});
  }

  void check() {
    for (std::size_t group = 0; group < config().groups.size(); ++group) {
      int serving = 0;
      int running = 0;
      const ApplicationConfig& application = config().groups[group].application;
      for (NodeId id = 0; id < node_count; ++id) {
        serving += nodes[id].things[group][0].up && now < nodes[id].lease_until;
        // With state = none an expelled node may run its copy on: nobody can reach it.
        const bool counts = application.state != ApplicationState::none || view.members.has(id);
        running += nodes[id].things[group][1].up && counts;
      }
      const std::string name = config().groups[group].name.str();
      if (serving > 1 && broken.empty()) broken = "two nodes serve the address of " + name;
      if (running > 1 && broken.empty()) broken = "two nodes run the application of " + name;
      if (!broken.empty()) broken += " at " + std::to_string(now.ns / 1'000'000) + " ms: " + describe();
      if (!broken.empty()) return;
    }
  }

  ClusterText text;
  Random random;
  Instant now{1'000'000'000};
  std::uint64_t lives = 0;
  std::array<Node, node_count> nodes;
  View view;
  NodeFacts facts;
  ClusterState state;
  Record committed;
  std::deque<std::pair<Instant, Record>> records;
  std::vector<Mail> mail;
  Effects effects;  // of the step under way

 public:
  void aim_reports_at_the_coordinator() { view.coordinator = static_cast<NodeId>(node_count); }
};

void no_history_serves_twice_and_peace_brings_all_online(void**) {
  std::string broken;
  int takeovers = 0;
  for (std::uint64_t seed = 1; seed <= 60 && broken.empty(); ++seed) {
    auto world = std::make_unique<World>(seed);
    world->aim_reports_at_the_coordinator();
    const std::string where = "seed " + std::to_string(seed) + ": ";
    for (int ms = 0; ms < 4'000 && broken.empty(); ++ms)
      if (!world->step(false)) broken = where + world->broken;
    for (int ms = 0; ms < 400'000 && broken.empty() && !world->settled(); ++ms)
      if (!world->step(true)) broken = where + world->broken;
    if (broken.empty() && !world->settled()) broken = where + "not all online in peace: " + world->describe();
    takeovers += world->takeovers;
  }
  assert_string_equal(broken.c_str(), "");
  assert_true(takeovers > 60);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(no_history_serves_twice_and_peace_brings_all_online)};
  return cmocka_run_group_tests_name("core/group_takeover", tests, nullptr, nullptr);
}
