// cluster.toml as read, names not yet resolved: every value beside the position it came from, so that
// the checks between tables can still point at the place to mend. Lives only while a file is loaded.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "runtime/base/cluster.hpp"
#include "runtime/base/event_name.hpp"
#include "runtime/config/table_reader.hpp"

namespace vigil {

struct DraftNetwork {
  Position at;
  Located<std::string> name;
  NetworkKind kind = NetworkKind::ethernet;
  bool raw = false;
  bool udp = false;
  std::uint16_t udp_port = 0;
  Located<std::string> backup;
};

struct DraftAdapter {
  Position at;
  Located<std::string> network;
  Located<std::string> device;
  Located<IpAddress> address;
  Located<AdapterRole> role;
  Located<std::string> peer;
  Located<std::int64_t> baud;
};

struct DraftNode {
  Position at;
  Located<std::string> name;
  Located<std::int64_t> id;
  Located<std::int64_t> votes;
  bool arbiter = false;
  std::vector<DraftAdapter> adapters;
};

struct DraftAddress {
  Located<IpAddress> address;
  Located<std::string> network;
};

struct DraftGroup {
  Position at;
  Located<std::string> name;
  std::vector<Located<std::string>> nodes;
  Position nodes_at;
  Located<GroupPolicy> policy;
  Located<bool> fallback;
  bool autostart = true;
  std::uint8_t priority = 100;
  std::vector<DraftAddress> addresses;
  ApplicationConfig application;
  Position application_at;
  Position state_at;
};

struct Draft {
  std::uint32_t version = 1;
  std::string name;
  Profile profile = Profile::lan;
  Located<QuorumPolicy> quorum_policy;
  Located<std::string> tie_breaker;
  bool wait_for_all = false;
  std::string key_file;
  int realtime_priority = 50;
  int cpu = -1;
  std::vector<DraftNetwork> networks;
  std::vector<DraftNode> nodes;
  std::vector<DraftGroup> groups;
  std::vector<HookConfig> hooks;
};

// Reads every table of the file, with the checks that need no other table.
Draft read_draft(const Value& root, Diagnostics& diagnostics);

// The checks between tables, names to indexes, and everything that is derived: link lists, cluster id,
// hash. `config` is complete only when no error was reported.
void resolve(const Draft& draft, ClusterConfig& config, Diagnostics& diagnostics);

// Resolution of the groups; config has its networks and nodes already.
void resolve_groups(const Draft& draft, ClusterConfig& config, Diagnostics& diagnostics);

// Advice about a configuration that is valid but weaker than it looks.
void warn(const Draft& draft, const ClusterConfig& config, Diagnostics& diagnostics);

}  // namespace vigil
