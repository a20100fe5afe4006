#include "runtime/config/draft.hpp"

#include <array>
#include <utility>

#include "runtime/config/names.hpp"

namespace vigil {

namespace {

using std::pair;
using std::string_view;

constexpr std::array<pair<string_view, Profile>, 4> profiles = {
    {{"wan", Profile::wan}, {"lan", Profile::lan}, {"fast", Profile::fast}, {"realtime", Profile::realtime}}};
constexpr std::array<pair<string_view, NetworkKind>, 2> network_kinds = {
    {{"ethernet", NetworkKind::ethernet}, {"serial", NetworkKind::serial}}};
constexpr std::array<pair<string_view, AdapterRole>, 2> adapter_roles = {
    {{"service", AdapterRole::service}, {"standby", AdapterRole::standby}}};
constexpr std::array<pair<string_view, GroupPolicy>, 2> policies = {
    {{"cascading", GroupPolicy::cascading}, {"rotating", GroupPolicy::rotating}}};
constexpr std::array<pair<string_view, QuorumPolicy>, 3> quorum_policies = {
    {{"majority", QuorumPolicy::majority},
     {"weighted", QuorumPolicy::weighted},
     {"last_man_standing", QuorumPolicy::last_man_standing}}};
constexpr std::array<pair<string_view, ApplicationState>, 3> states = {
    {{"none", ApplicationState::none}, {"disks", ApplicationState::disks}, {"elsewhere", ApplicationState::elsewhere}}};
constexpr std::array<pair<string_view, HookStage>, 5> stages = {{{"pre", HookStage::pre},
                                                                 {"command", HookStage::command},
                                                                 {"post", HookStage::post},
                                                                 {"notify", HookStage::notify},
                                                                 {"recovery", HookStage::recovery}}};

constexpr std::uint16_t default_udp_port = 7410;
constexpr Duration shortest_timeout = Duration::from_ms(10);
constexpr Duration longest_timeout = Duration::from_s(24 * 3600);

// True when one more item of this kind fits; else reports once, at the first that does not.
bool fits(std::size_t count, std::size_t limit, string_view what, const Value& table, Diagnostics& diagnostics) {
  if (count == limit)
    diagnostics.error(table.at, "more than " + std::to_string(limit) + " " + std::string(what) + "; expected at most " +
                                    std::to_string(limit));
  return count < limit;
}

void read_quorum(const Value& table, Draft& draft, Diagnostics& diagnostics) {
  TableReader reader(table, "[cluster.quorum]", diagnostics);
  draft.quorum_policy = reader.choice("policy", Need::optional, quorum_policies);
  draft.wait_for_all = reader.boolean("wait_for_all").value;
  draft.tie_breaker = reader.text("tie_breaker", Need::optional, limits::path_length);
  if (draft.tie_breaker.present && draft.tie_breaker.value.front() != '/') {
    diagnostics.error(draft.tie_breaker.at, "'tie_breaker' in [cluster.quorum] is '" + draft.tie_breaker.value +
                                                "'; expected an absolute path");
    draft.tie_breaker = {};
  }
  reader.finish();
}

void read_cluster(const Value* table, Position root, Draft& draft, Diagnostics& diagnostics) {
  if (table == nullptr) {
    diagnostics.error(root, "the file has no [cluster]; expected a table with at least 'name'");
    return;
  }
  TableReader reader(*table, "[cluster]", diagnostics);
  draft.name = reader.name("name", Need::required).value;
  if (const auto profile = reader.choice("profile", Need::optional, profiles); profile.present)
    draft.profile = profile.value;
  const auto key_file = reader.text("key_file", Need::required, limits::path_length);
  if (key_file.present && key_file.value.front() != '/')
    diagnostics.error(key_file.at, "'key_file' in [cluster] is '" + key_file.value + "'; expected an absolute path");
  draft.key_file = key_file.value;
  if (const auto priority = reader.integer("realtime_priority", Need::optional, 1, 99); priority.present)
    draft.realtime_priority = static_cast<int>(priority.value);
  if (const auto cpu = reader.integer("cpu", Need::optional, 0, 1023); cpu.present)
    draft.cpu = static_cast<int>(cpu.value);
  if (const Value* quorum = reader.table("quorum"); quorum != nullptr) read_quorum(*quorum, draft, diagnostics);
  reader.finish();
}

void read_heartbeat(TableReader& reader, DraftNetwork& network, Diagnostics& diagnostics) {
  Position at;
  const auto drivers = reader.texts("heartbeat", Need::optional, at);
  if (at == Position{}) {
    network.raw = network.kind == NetworkKind::ethernet;
    return;
  }
  const std::vector<std::string> valid = network.kind == NetworkKind::serial
                                             ? std::vector<std::string>{"serial"}
                                             : std::vector<std::string>{"ethernet", "udp"};
  for (const auto& driver : drivers) {
    if (driver.value == "ethernet" && network.kind == NetworkKind::ethernet)
      network.raw = true;
    else if (driver.value == "udp" && network.kind == NetworkKind::ethernet)
      network.udp = true;
    else if (driver.value != "serial" || network.kind != NetworkKind::serial)
      diagnostics.error(driver.at, "unknown heartbeat driver '" + driver.value.substr(0, 64) +
                                       "' for a network of kind \"" +
                                       (network.kind == NetworkKind::serial ? "serial" : "ethernet") + "\"" +
                                       hint(driver.value, valid));
  }
  if (network.kind == NetworkKind::serial && drivers.empty())
    diagnostics.error(at, "'heartbeat' in [[network]] is empty; expected [\"serial\"]: a serial line has no other use");
}

void read_network(const Value& table, Draft& draft, Diagnostics& diagnostics) {
  TableReader reader(table, "[[network]]", diagnostics);
  DraftNetwork network;
  network.at = table.at;
  network.name = reader.name("name", Need::required);
  if (const auto kind = reader.choice("kind", Need::optional, network_kinds); kind.present) network.kind = kind.value;
  read_heartbeat(reader, network, diagnostics);
  const auto port = reader.integer("udp_port", Need::optional, 1, 65535);
  if (network.udp) network.udp_port = port.present ? static_cast<std::uint16_t>(port.value) : default_udp_port;
  if (port.present && !network.udp)
    diagnostics.error(port.at, "'udp_port' in [[network]] without udp heartbeats; expected \"udp\" in 'heartbeat'");
  network.backup = reader.text("backup", Need::optional, limits::name_length);
  reader.finish();
  draft.networks.push_back(std::move(network));
}

DraftAdapter read_adapter(const Value& table, Diagnostics& diagnostics) {
  TableReader reader(table, "[[node.adapter]]", diagnostics);
  DraftAdapter adapter;
  adapter.at = table.at;
  adapter.network = reader.text("network", Need::required, limits::name_length);
  adapter.device = reader.text("device", Need::required, limits::path_length);
  adapter.address = reader.address("address", Need::optional);
  adapter.role = reader.choice("role", Need::optional, adapter_roles);
  adapter.peer = reader.text("peer", Need::optional, limits::name_length);
  adapter.baud = reader.integer("baud", Need::optional, 1200, 4'000'000);
  reader.finish();
  return adapter;
}

void read_node(const Value& table, Draft& draft, Diagnostics& diagnostics) {
  TableReader reader(table, "[[node]]", diagnostics);
  DraftNode node;
  node.at = table.at;
  node.name = reader.name("name", Need::required);
  node.id = reader.integer("id", Need::required, 1, static_cast<std::int64_t>(limits::max_nodes));
  node.votes = reader.integer("votes", Need::optional, 0, 100);
  node.arbiter = reader.boolean("arbiter").value;
  for (const Value* adapter : reader.tables("adapter")) {
    if (!fits(node.adapters.size(), limits::max_adapters, "adapters on one node", *adapter, diagnostics)) break;
    node.adapters.push_back(read_adapter(*adapter, diagnostics));
  }
  reader.finish();
  draft.nodes.push_back(std::move(node));
}

// Stays with the default of ApplicationConfig where the file is silent.
void read_duration(TableReader& reader, string_view key, Duration& target) {
  if (const auto duration = reader.duration(key, shortest_timeout, longest_timeout); duration.present)
    target = duration.value;
}

void read_application(const Value& table, DraftGroup& group, Diagnostics& diagnostics) {
  TableReader reader(table, "[group.application]", diagnostics);
  ApplicationConfig& application = group.application;
  group.application_at = table.at;
  group.state_at = table.at;
  application.present = true;
  application.name = Name(reader.name("name", Need::required).value);
  application.start = Command(reader.text("start", Need::required, limits::command_length).value);
  application.stop = Command(reader.text("stop", Need::required, limits::command_length).value);
  application.monitor = Command(reader.text("monitor", Need::optional, limits::command_length).value);
  read_duration(reader, "start_timeout", application.start_timeout);
  read_duration(reader, "stop_timeout", application.stop_timeout);
  read_duration(reader, "monitor_timeout", application.monitor_timeout);
  read_duration(reader, "monitor_interval", application.monitor_interval);
  read_duration(reader, "restart_window", application.restart_window);
  if (const auto restarts = reader.integer("restarts", Need::optional, 0, 255); restarts.present)
    application.restarts = static_cast<std::uint8_t>(restarts.value);
  if (const auto state = reader.choice("state", Need::optional, states); state.present) {
    application.state = state.value;
    group.state_at = state.at;
  }
  reader.finish();
}

void read_group(const Value& table, Draft& draft, Diagnostics& diagnostics) {
  TableReader reader(table, "[[group]]", diagnostics);
  DraftGroup group;
  group.at = table.at;
  group.name = reader.name("name", Need::required);
  group.nodes_at = table.at;
  group.nodes = reader.texts("nodes", Need::required, group.nodes_at);
  group.policy = reader.choice("policy", Need::optional, policies);
  group.fallback = reader.boolean("fallback");
  if (const auto autostart = reader.boolean("autostart"); autostart.present) group.autostart = autostart.value;
  if (const auto priority = reader.integer("priority", Need::optional, 0, 255); priority.present)
    group.priority = static_cast<std::uint8_t>(priority.value);
  for (const Value* item : reader.tables("address")) {
    if (!fits(group.addresses.size(), limits::max_group_addresses, "addresses in one group", *item, diagnostics)) break;
    TableReader address(*item, "[[group.address]]", diagnostics);
    group.addresses.push_back(
        {address.address("address", Need::required), address.text("network", Need::required, limits::name_length)});
    address.finish();
  }
  const Value* application = reader.table("application");
  if (application != nullptr) read_application(*application, group, diagnostics);
  reader.finish();
  if (application == nullptr && group.addresses.empty())
    diagnostics.error(table.at,
                      "[[group]] has nothing to keep running; expected a [[group.address]] or a [group.application]");
  draft.groups.push_back(std::move(group));
}

void read_hook(const Value& table, Draft& draft, Diagnostics& diagnostics) {
  TableReader reader(table, "[[hook]]", diagnostics);
  HookConfig hook;
  const auto event = reader.text("event", Need::required, limits::name_length);
  if (event.present) {
    if (const auto name = event_from_string(event.value))
      hook.event = static_cast<std::uint8_t>(*name);
    else
      diagnostics.error(event.at, "unknown event '" + event.value + "' in [[hook]]" + hint(event.value, event_names()));
  }
  if (const auto stage = reader.choice("stage", Need::optional, stages); stage.present) hook.stage = stage.value;
  hook.command = Command(reader.text("command", Need::required, limits::command_length).value);
  read_duration(reader, "timeout", hook.timeout);
  reader.finish();
  draft.hooks.push_back(hook);
}

}  // namespace

Draft read_draft(const Value& root, Diagnostics& diagnostics) {
  Draft draft;
  TableReader reader(root, "the top level", diagnostics);
  if (const auto version = reader.integer("version", Need::optional, 1, UINT32_MAX); version.present)
    draft.version = static_cast<std::uint32_t>(version.value);
  read_cluster(reader.table("cluster"), root.at, draft, diagnostics);
  for (const Value* table : reader.tables("network")) {
    if (!fits(draft.networks.size(), limits::max_networks, "networks", *table, diagnostics)) break;
    read_network(*table, draft, diagnostics);
  }
  for (const Value* table : reader.tables("node")) {
    if (!fits(draft.nodes.size(), limits::max_nodes, "nodes", *table, diagnostics)) break;
    read_node(*table, draft, diagnostics);
  }
  for (const Value* table : reader.tables("group")) {
    if (!fits(draft.groups.size(), limits::max_groups, "groups", *table, diagnostics)) break;
    read_group(*table, draft, diagnostics);
  }
  for (const Value* table : reader.tables("hook")) {
    if (!fits(draft.hooks.size(), limits::max_hooks, "hooks", *table, diagnostics)) break;
    read_hook(*table, draft, diagnostics);
  }
  reader.finish();
  if (draft.networks.empty()) diagnostics.error(root.at, "the file has no network; expected at least one [[network]]");
  if (draft.nodes.empty()) diagnostics.error(root.at, "the file has no node; expected at least one [[node]]");
  return draft;
}

}  // namespace vigil
