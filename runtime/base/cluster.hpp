// The configuration as plain bounded data: what cluster.toml says, checked, with names resolved to
// indexes. config/ produces it; cores, drivers and the agent read it; nobody changes it.
#pragma once

#include <array>
#include <cstdint>

#include "runtime/base/bounded.hpp"
#include "runtime/base/ids.hpp"
#include "runtime/base/limits.hpp"
#include "runtime/base/timing.hpp"

namespace vigil {

using Name = BoundedString<limits::name_length>;
using Path = BoundedString<limits::path_length>;
using Command = BoundedString<limits::command_length>;

// An IPv4 or IPv6 address with its prefix length. bytes in network order; IPv4 uses the first four.
struct IpAddress {
  std::uint8_t family = 0;  // 0 none, 4, 6
  std::uint8_t prefix = 0;  // bits
  std::array<std::uint8_t, 16> bytes{};

  bool operator==(const IpAddress&) const = default;
};

enum class NetworkKind : std::uint8_t { ethernet, serial };

struct NetworkConfig {
  Name name;
  NetworkKind kind = NetworkKind::ethernet;
  bool heartbeat_raw = true;    // raw Ethernet heartbeats on its adapters
  bool heartbeat_udp = false;   // UDP heartbeats between its adapters' boot addresses
  std::uint16_t udp_port = 0;
  NetworkIndex backup = no_index;  // where its service addresses go when it fails on a node
};

enum class AdapterRole : std::uint8_t { service, standby, serial };

struct AdapterConfig {
  NetworkIndex network = no_index;
  AdapterRole role = AdapterRole::service;
  Path device;        // interface name, or a tty's path for serial
  IpAddress address;  // boot address (UDP heartbeats bind to it); family 0: none
  NodeId peer = no_node;       // serial: who is at the other end
  std::uint32_t baud = 0;      // serial
};

enum class LinkKind : std::uint8_t { ethernet, udp, serial };

// One heartbeat path of a node: a driver on an adapter. Links are numbered per node, in the order
// of its adapters, raw before UDP.
struct LinkConfig {
  LinkKind kind = LinkKind::ethernet;
  AdapterIndex adapter = 0;
  bool carries_lease = true;  // false: too slow, evidence only
};

struct NodeConfig {
  NodeId id = no_node;
  Name name;
  std::uint8_t votes = 1;
  bool arbiter = false;        // votes, and runs no group
  BoundedVector<AdapterConfig, limits::max_adapters> adapters;
  BoundedVector<LinkConfig, limits::max_links> links;
};

enum class GroupPolicy : std::uint8_t { cascading, rotating };
// What must be proven stopped before the application may start elsewhere (DESIGN section 4).
enum class ApplicationState : std::uint8_t { none, disks, elsewhere };

struct ApplicationConfig {
  bool present = false;
  Name name;
  Command start;
  Command stop;
  Command monitor;  // empty: not monitored
  Duration start_timeout = Duration::from_s(60);
  Duration stop_timeout = Duration::from_s(60);
  Duration monitor_timeout = Duration::from_s(10);
  Duration monitor_interval = Duration::from_s(10);
  std::uint8_t restarts = 3;  // local restarts within restart_window before it moves
  Duration restart_window = Duration::from_s(300);
  ApplicationState state = ApplicationState::elsewhere;
};

struct AddressConfig {
  IpAddress address;
  NetworkIndex network = no_index;
};

struct GroupConfig {
  Name name;
  GroupPolicy policy = GroupPolicy::cascading;
  bool fallback = true;   // cascading only: return to a higher-priority node when it is back
  bool autostart = true;  // online without the operator's word
  std::uint8_t priority = 100;  // higher first when several groups compete for a node
  BoundedVector<NodeId, limits::max_nodes> nodes;  // by priority, best first
  BoundedVector<AddressConfig, limits::max_group_addresses> addresses;
  ApplicationConfig application;
};

enum class HookStage : std::uint8_t { pre, command, post, notify, recovery };

struct HookConfig {
  std::uint8_t event = 0;  // EventName, runtime/base/event_name.hpp
  HookStage stage = HookStage::post;
  Command command;
  Duration timeout = Duration::from_s(30);
};

enum class QuorumPolicy : std::uint8_t { majority, weighted, last_man_standing };

struct QuorumConfig {
  QuorumPolicy policy = QuorumPolicy::majority;
  bool wait_for_all = false;   // a cold start needs every voter
  Path tie_breaker;            // of an even split: a file on storage that all share; empty: none
};

struct ClusterConfig {
  Name name;
  std::uint32_t cluster_id = 0;   // derived from the name; in every frame
  std::uint64_t hash = 0;         // of the canonical configuration, compared between nodes
  std::uint32_t version = 1;      // the file's own `version`
  Profile profile = Profile::lan;
  Timing timing = timing_of(Profile::lan);
  QuorumConfig quorum;
  Path key_file;
  int realtime_priority = 50;
  int cpu = -1;  // -1: not pinned
  BoundedVector<NetworkConfig, limits::max_networks> networks;
  BoundedVector<NodeConfig, limits::max_nodes> nodes;  // index == id
  BoundedVector<GroupConfig, limits::max_groups> groups;
  BoundedVector<HookConfig, limits::max_hooks> hooks;
};

}  // namespace vigil
