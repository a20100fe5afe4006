// Draws a scenario from a seed.
#include "tests/sim/scenario.hpp"

#include <algorithm>
#include <string>

#include "runtime/base/event_name.hpp"

namespace vigil::sim {

const char* to_string(Fault fault) {
  static constexpr const char* names[] = {
      "pause",      "pause_midway", "daemon_crash", "machine_crash", "power_failure", "cut_path",    "isolate",
      "partition",  "flap",         "weather",      "adapter",       "address",       "application", "agent",
      "slow_disk",  "full_disk",    "lost_state",   "clock_rate",    "stopped_clock", "slow_node",   "slow_effects",
      "corruption", "narrow",       "other_file",   "ambush",        "operator",      "tie_breaker", "rotate_key",
      "wall_clock", "new_file",     "survivors"};
  static_assert(std::size(names) == fault_kinds);
  return names[static_cast<std::size_t>(fault)];
}

namespace {

void make_networks(Random& random, std::size_t nodes, ClusterConfig& config) {
  const std::size_t segments = random.chance(55) ? 2 : 1;
  for (std::size_t i = 0; i < segments; ++i) {
    NetworkConfig network;
    network.name = i == 0 ? "public" : "private";
    network.heartbeat_udp = random.chance(12);
    network.udp_port = network.heartbeat_udp ? 7410 : 0;
    config.networks.push(network);
  }
  if (segments == 2 && random.chance(60)) config.networks[0].backup = 1;
  if (nodes > 4 || !random.chance(25)) return;
  // A ring of serial lines; two nodes share one line.
  const std::size_t lines = nodes == 2 ? 1 : nodes;
  for (std::size_t i = 0; i < lines; ++i) {
    NetworkConfig network;
    network.name.assign("line-" + std::to_string(i));
    network.kind = NetworkKind::serial;
    network.heartbeat_raw = false;
    config.networks.push(network);
  }
}

IpAddress boot_address(std::size_t network, std::size_t node) {
  IpAddress address;
  address.family = 4;
  address.prefix = 24;
  address.bytes = {10, static_cast<std::uint8_t>(77 + network), 1, static_cast<std::uint8_t>(node + 1)};
  return address;
}

void add_adapter(NodeConfig& node, std::size_t network, const NetworkConfig& on, AdapterRole role) {
  AdapterConfig adapter;
  adapter.network = static_cast<NetworkIndex>(network);
  adapter.role = role;
  adapter.device.assign("eth" + std::to_string(node.adapters.size()));
  adapter.address = boot_address(network * 4 + (role == AdapterRole::standby ? 2 : 0), node.id);
  const auto index = static_cast<AdapterIndex>(node.adapters.size());
  node.adapters.push(adapter);
  if (on.heartbeat_raw) node.links.push({LinkKind::ethernet, index, true});
  if (on.heartbeat_udp) node.links.push({LinkKind::udp, index, true});
}

void add_serial_lines(NodeConfig& node, std::size_t nodes, const ClusterConfig& config) {
  std::size_t line = 0;
  for (std::size_t i = 0; i < config.networks.size(); ++i) {
    if (config.networks[i].kind != NetworkKind::serial) continue;
    const std::size_t left = line++;
    const std::size_t right = (left + 1) % nodes;
    if (node.id != left && node.id != right) continue;
    AdapterConfig adapter;
    adapter.network = static_cast<NetworkIndex>(i);
    adapter.role = AdapterRole::serial;
    adapter.device.assign("/dev/ttyS" + std::to_string(left));
    adapter.peer = static_cast<NodeId>(node.id == left ? right : left);
    adapter.baud = 115200;
    node.links.push({LinkKind::serial, static_cast<AdapterIndex>(node.adapters.size()), false});
    node.adapters.push(adapter);
  }
}

void make_nodes(Random& random, std::size_t nodes, ClusterConfig& config) {
  const bool standby = random.chance(20);
  for (std::size_t id = 0; id < nodes; ++id) {
    NodeConfig node;
    node.id = static_cast<NodeId>(id);
    node.name.assign("node-" + std::to_string(id + 1));
    for (std::size_t i = 0; i < config.networks.size(); ++i) {
      if (config.networks[i].kind != NetworkKind::ethernet) continue;
      add_adapter(node, i, config.networks[i], AdapterRole::service);
      if (standby && i == 0) add_adapter(node, i, config.networks[i], AdapterRole::standby);
    }
    add_serial_lines(node, nodes, config);
    config.nodes.push(node);
  }
}

void make_application(Random& random, const Timing& timing, ApplicationConfig& application) {
  application.present = true;
  application.name = "app";
  application.start = "start";
  application.stop = "stop";
  application.monitor = "monitor";
  application.start_timeout = timing.interval * 12;
  application.stop_timeout = timing.interval * 12;
  application.monitor_timeout = timing.interval * 3;
  application.monitor_interval = timing.interval * random.between(1, 4);
  application.restarts = static_cast<std::uint8_t>(random.below(3));
  application.restart_window = timing.interval * 40;
  application.state = static_cast<ApplicationState>(random.below(3));
}

// By which rule the cluster decides. Half of the seeds have the majority's, and every node a vote.
void make_rules(Random& random, ClusterConfig& config) {
  QuorumConfig& quorum = config.quorum;
  const std::uint64_t dice = random.below(100);
  const bool arbiter = random.chance(15) && config.nodes.size() > 2;
  const std::size_t arbiter_at = random.below(config.nodes.size());
  if (arbiter) config.nodes[arbiter_at].arbiter = true;
  quorum.wait_for_all = random.chance(8);
  if (dice < 50) return;
  if (dice >= 75) quorum.policy = QuorumPolicy::last_man_standing;
  if ((dice >= 60 && dice < 75) || dice >= 90) quorum.tie_breaker = "register";
  if (dice < 60 || random.chance(30)) {
    if (quorum.policy == QuorumPolicy::majority) quorum.policy = QuorumPolicy::weighted;
    for (NodeConfig& node : config.nodes)
      node.votes = static_cast<std::uint8_t>(node.arbiter || random.chance(60) ? 1 : random.below(4));
  }
  int votes = 0;
  for (const NodeConfig& node : config.nodes) votes += node.votes;
  NodeConfig& heavy = config.nodes[random.below(config.nodes.size())];
  // Without a vote there is no cluster, and what is odd never splits evenly.
  const bool odd = votes % 2 != 0 && !quorum.tie_breaker.empty();
  if (votes != 0 && !odd) return;
  ++heavy.votes;
  if (quorum.policy == QuorumPolicy::majority) quorum.policy = QuorumPolicy::weighted;
}

// Another version of the file may have another rule too; votes are the same in both.
void make_next_rules(Random& random, Scenario& scenario) {
  scenario.next_quorum = scenario.config.quorum;
  QuorumConfig& next = scenario.next_quorum;
  if (!random.chance(35)) return;
  const bool by_members = next.policy == QuorumPolicy::last_man_standing;
  next.policy = by_members ? QuorumPolicy::weighted : QuorumPolicy::last_man_standing;
  next.wait_for_all = random.chance(20);
}

void make_groups(Random& random, std::size_t nodes, ClusterConfig& config) {
  const std::size_t groups = 1 + random.below(random.chance(80) ? 3 : max_drawn_groups);
  const std::size_t segments = config.networks.size() > 1 && config.networks[1].kind == NetworkKind::ethernet ? 2 : 1;
  for (std::size_t i = 0; i < groups; ++i) {
    GroupConfig group;
    group.name.assign("group-" + std::to_string(i));
    group.policy = random.chance(75) ? GroupPolicy::cascading : GroupPolicy::rotating;
    group.fallback = random.chance(50);
    group.autostart = random.chance(90);
    group.priority = static_cast<std::uint8_t>(50 + random.below(100));
    std::array<NodeId, max_sim_nodes> order{};
    std::size_t able = 0;
    for (std::size_t id = 0; id < nodes; ++id)
      if (!config.nodes[id].arbiter) order[able++] = static_cast<NodeId>(id);
    for (std::size_t id = able; id > 1; --id) std::swap(order[id - 1], order[random.below(id)]);
    const std::size_t candidates = random.chance(70) ? able : 2 + random.below(able - 1);
    for (std::size_t id = 0; id < candidates; ++id) group.nodes.push(order[id]);
    const std::size_t addresses = random.chance(8) ? 0 : 1 + random.below(max_sim_addresses);
    for (std::size_t a = 0; a < addresses; ++a) {
      AddressConfig address;
      address.network = static_cast<NetworkIndex>(random.below(segments));
      address.address = boot_address(address.network * std::size_t{4}, 99 + i * max_sim_addresses + a);
      group.addresses.push(address);
    }
    if (addresses == 0 || random.chance(55)) make_application(random, config.timing, group.application);
    config.groups.push(group);
  }
}

// What a group waits for before its addresses come, and before its application starts.
void make_hooks(Random& random, const Timing& timing, ClusterConfig& config) {
  if (!random.chance(25)) return;
  for (const EventName event : {EventName::acquire_service_addr, EventName::start_server}) {
    if (!random.chance(70)) continue;
    HookConfig hook;
    hook.event = static_cast<std::uint8_t>(event);
    hook.stage = HookStage::pre;
    hook.command = "hook";
    hook.timeout = timing.interval * 12;
    config.hooks.push(hook);
  }
}

void make_faults(Random& random, Scenario& scenario) {
  if (random.chance(4)) return;  // a quiet life
  // One seed in four has one or two kinds alone, hitting often.
  const bool focused = random.chance(25);
  for (std::size_t i = 0; i < fault_kinds; ++i)
    if (!focused && random.chance(45)) scenario.weight[i] = static_cast<std::uint16_t>(1 + random.below(8));
  for (int i = 0; i < 2; ++i)
    scenario.weight[random.below(fault_kinds)] = static_cast<std::uint16_t>(4 + random.below(8));
  const auto power = static_cast<std::size_t>(Fault::power_failure);
  scenario.weight[power] = std::min<std::uint16_t>(scenario.weight[power], 1);
  // A node without its state file waits for the longest lease there is: many intervals, thousands of a quick profile.
  const bool quick = scenario.config.profile == Profile::fast || scenario.config.profile == Profile::realtime;
  if (!random.chance(quick ? 3 : 25)) scenario.weight[static_cast<std::size_t>(Fault::lost_state)] = 0;
  if (!scenario.has_tie_breaker()) scenario.weight[static_cast<std::size_t>(Fault::tie_breaker)] = 0;
  auto& new_file = scenario.weight[static_cast<std::size_t>(Fault::new_file)];
  new_file = random.chance(30) ? std::min<std::uint16_t>(new_file, 2) : std::uint16_t{0};
  auto& survivors = scenario.weight[static_cast<std::size_t>(Fault::survivors)];
  survivors = random.chance(40) ? std::min<std::uint16_t>(survivors, 2) : std::uint16_t{0};
  scenario.rotates = scenario.weight[static_cast<std::size_t>(Fault::rotate_key)] != 0;
  scenario.tells_time = scenario.weight[static_cast<std::size_t>(Fault::wall_clock)] != 0;
  for (const std::uint16_t weight : scenario.weight)
    scenario.weight_sum = static_cast<std::uint16_t>(scenario.weight_sum + weight);
}

// Faults come in bursts: one often follows hard upon another.
void plan_faults(Random& random, Scenario& scenario) {
  scenario.faults.clear();
  if (scenario.weight_sum == 0) return;
  const SimTime end = scenario.settled_ns + scenario.chaos_ns;
  for (SimTime at = scenario.settled_ns; at < end;) {
    std::uint64_t ticket = random.below(scenario.weight_sum);
    std::size_t kind = 0;
    while (ticket >= scenario.weight[kind]) ticket -= scenario.weight[kind++];
    const auto number = static_cast<std::uint32_t>(scenario.faults.size());
    scenario.faults.push_back({at, static_cast<Fault>(kind), random.next(), number});
    const SimTime gap = random.chance(30) ? scenario.gap_ns / 16 : scenario.gap_ns;
    at += 1 + static_cast<SimTime>(random.below(static_cast<std::uint64_t>(gap * 2)));
  }
}

void make_world(Random& random, Scenario& scenario) {
  const std::int64_t interval = scenario.interval_ns();
  scenario.ethernet.delay_ns = interval * random.between(2, 30) / 1000;
  scenario.ethernet.jitter_ns = scenario.ethernet.delay_ns * random.between(0, 2);
  if (random.chance(30)) scenario.ethernet.loss_percent = static_cast<double>(random.between(1, 20)) / 10.0;
  if (random.chance(30)) scenario.ethernet.duplicate_percent = static_cast<double>(random.between(1, 50)) / 10.0;
  scenario.serial = scenario.ethernet;
  scenario.serial.delay_ns = interval * random.between(10, 60) / 100;
  // The bound itself is ten per cent; a hair less, so that a rounded nanosecond is no fault.
  const std::int64_t bound_ppm = drift_percent * 10'000 - 50;
  scenario.drift_ppm = random.chance(35) ? bound_ppm : random.chance(50) ? 0 : random.between(0, bound_ppm);
  scenario.stored_lease_known = !random.chance(4);
  scenario.settled_ns = interval * random.between(4, 40);
  scenario.chaos_ns = interval * random.between(20, 110);
  scenario.gap_ns = interval * random.between(2, 22);
  scenario.disk_ns = interval * random.between(1, 25) / 100;
  scenario.script_ns = interval * random.between(5, 200) / 100;
  scenario.address_ns = interval * random.between(1, 20) / 1000;
  scenario.register_ns = interval * random.between(1, 60) / 100;
  if (random.chance(3)) scenario.absent = static_cast<NodeId>(random.below(scenario.nodes));
}

}  // namespace

SimTime Scenario::restart_wait_ns() const {
  const bool known = stored_lease_known && weight[static_cast<std::size_t>(Fault::lost_state)] == 0;
  return outlast(known ? config.timing.lease : longest_lease).ns;
}

SimTime Scenario::convergence_bound_ns() const {
  // A restarted voter's wait, candidacies that collide, an admission, a fallback, and each group's
  // script timing out on every node: generous, since only a cluster that hangs is to be caught.
  const Timing& timing = config.timing;
  const Duration scripts = timing.interval * static_cast<std::int64_t>(50 * nodes);
  // Retries that are spaced in seconds, whatever the profile: a conflict, a failed stop.
  const Duration retries = Duration::from_s(12);
  const Duration agreement = timing.detection * 20 + outlast(timing.lease) * 4 + timing.lateness_cap();
  // A rule that follows its members takes two views more, each of which waits for the leases of the one before; an
  // answer of the tie-breaker that is lost is waited for.
  const Duration rules = (timing.detection * 4 + outlast(timing.lease) * 2) * 2;
  const Duration answers = has_tie_breaker() ? Duration::from_s(4) : Duration{};
  // A node that missed a rotation is given the file, and starts once more; clocks are told every ten seconds.
  const SimTime once_more = rotates ? restart_wait_ns() + Duration::from_s(3).ns : 0;
  const Duration greetings = tells_time ? Duration::from_s(10) : Duration{};
  return once_more + greetings.ns + restart_wait_ns() * 2 + (retries + agreement + rules + answers + scripts).ns;
}

void make_scenario(std::uint64_t seed, std::size_t forced_nodes, Scenario& scenario) {
  scenario = Scenario{};
  // Not the seed itself, nor a multiple of it: what splitmix64 draws from one state it draws from the state before, a
  // step later, and neighbouring seeds would share most of their faults.
  Random random(Random(seed ^ 0x5eed).next());
  scenario.seed = seed;
  const std::size_t drawn = random.chance(55) ? 3 : 2 + random.below(max_drawn_nodes - 1);
  scenario.nodes = forced_nodes != 0 ? forced_nodes : drawn;
  const std::uint64_t dice = random.below(100);
  ClusterConfig& config = scenario.config;
  config.profile = dice < 55 ? Profile::lan : dice < 85 ? Profile::fast : dice < 93 ? Profile::realtime : Profile::wan;
  config.timing = timing_of(config.profile);
  config.name = "sim";
  config.cluster_id = 7;
  config.hash = 0xc0ffee;
  make_networks(random, scenario.nodes, config);
  make_nodes(random, scenario.nodes, config);
  make_rules(random, config);
  make_groups(random, scenario.nodes, config);
  make_hooks(random, config.timing, config);
  make_world(random, scenario);
  make_faults(random, scenario);
  plan_faults(random, scenario);
  scenario.exam = random.chance(40);
  scenario.mixed = random.chance(10);
  make_next_rules(random, scenario);
  if (random.chance(10)) {
    const auto group = static_cast<GroupIndex>(random.below(config.groups.size()));
    if (config.groups[group].application.present && config.groups.size() > 1) scenario.cursed_group = group;
  }
}

namespace {

void make_trial_groups(std::size_t nodes, ClusterConfig& config) {
  for (std::size_t i = 0; i < std::min(nodes, max_sim_groups); ++i) {
    GroupConfig group;
    group.name.assign("group-" + std::to_string(i));
    group.fallback = i % 2 == 0;
    for (std::size_t n = 0; n < nodes; ++n) group.nodes.push(static_cast<NodeId>((i + n) % nodes));
    AddressConfig address;
    address.network = static_cast<NetworkIndex>(i % 2);
    address.address = boot_address(address.network * std::size_t{4}, 99 + i);
    group.addresses.push(address);
    config.groups.push(group);
  }
}

}  // namespace

void make_trial(std::uint64_t seed, std::size_t nodes, Scenario& scenario) {
  scenario = Scenario{};
  scenario.seed = seed;
  scenario.nodes = nodes;
  scenario.trial = true;
  ClusterConfig& config = scenario.config;
  config.name = "trial";
  config.cluster_id = 7;
  config.hash = 0xc0ffee;
  for (const char* const name : {"public", "private"}) {
    NetworkConfig network;
    network.name = name;
    config.networks.push(network);
  }
  for (std::size_t id = 0; id < nodes; ++id) {
    NodeConfig node;
    node.id = static_cast<NodeId>(id);
    node.name.assign("node-" + std::to_string(id + 1));
    for (std::size_t i = 0; i < config.networks.size(); ++i)
      add_adapter(node, i, config.networks[i], AdapterRole::service);
    config.nodes.push(node);
  }
  make_trial_groups(nodes, config);
  scenario.ethernet = {50'000, 250'000, 0.02, 0, 0};
  scenario.drift_ppm = 100;
  // What sealing and sending, receiving and opening a frame took on a slow virtual machine (tools/bench).
  scenario.send_frame_ns = 5'000;
  scenario.receive_frame_ns = 4'000;
  scenario.disk_ns = 1'000'000;
  scenario.script_ns = 5'000'000;
  scenario.address_ns = 200'000;
}

}  // namespace vigil::sim
