#include "runtime/node/arbiter_files.hpp"

#include <dirent.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

#include "runtime/base/result.hpp"
#include "runtime/config/config.hpp"
#include "runtime/config/names.hpp"

namespace vigil {

namespace {

constexpr std::string_view suffix = ".toml";

bool ends_with_toml(std::string_view name) { return name.size() > suffix.size() && name.ends_with(suffix); }

bool has(const std::vector<std::string>& list, const std::string& one) {
  return std::find(list.begin(), list.end(), one) != list.end();
}

void list_directory(const std::string& directory, FoundFiles& found) {
  DIR* opened = ::opendir(directory.c_str());
  if (opened == nullptr) {
    found.unreadable.push_back(directory);
    found.problems.push_back(Error::from_errno("read the directory " + directory, errno).message);
    return;
  }
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(opened))
    if (entry->d_name[0] != '.' && ends_with_toml(entry->d_name)) names.emplace_back(entry->d_name);
  ::closedir(opened);
  std::sort(names.begin(), names.end());
  for (const std::string& name : names) found.paths.push_back(directory + (directory.ends_with('/') ? "" : "/") + name);
}

// The arbiter that this machine is; an error says why there is none.
Result<NodeId> own_node(const ClusterConfig& config, const std::string& host) {
  std::vector<std::string> arbiters;
  NodeId last = no_node;
  for (const NodeConfig& node : config.nodes) {
    if (!node.arbiter) continue;
    arbiters.push_back(node.name.str());
    last = node.id;
    if (node.name.view() == host) return node.id;
  }
  if (arbiters.size() == 1) return last;
  if (arbiters.empty()) return Error::of("no node has 'arbiter = true'; expected one, with the links of this machine");
  std::string names;
  for (const std::string& name : arbiters) names += (names.empty() ? "" : ", ") + name;
  return Error::of("several nodes have 'arbiter = true' (" + names + "), and none is called '" + host +
                   "' as this machine is");
}

// A key file beside cluster.toml goes before the one that it names: two clusters may well name the same.
std::string key_beside(const std::string& path) {
  const std::string key = (ends_with_toml(path) ? path.substr(0, path.size() - suffix.size()) : path) + ".key";
  return ::access(key.c_str(), F_OK) == 0 ? key : "";
}

// What two clusters on one machine cannot both have; empty: nothing.
std::string collision(const ArbiterFile& one, const ArbiterFile& other) {
  const std::string its = " by cluster '" + other.config->name.str() + "' (" + other.path + ")";
  if (one.config->name == other.config->name)
    return "the cluster '" + one.config->name.str() + "' is served already" + its;
  if (one.config->cluster_id == other.config->cluster_id)
    return "the name '" + one.config->name.str() + "' gives the id that is used already" + its + "; rename one of them";
  const NodeConfig& own = one.config->nodes[one.self];
  const NodeConfig& theirs = other.config->nodes[other.self];
  for (const LinkConfig& link : own.links) {
    const AdapterConfig& adapter = own.adapters[link.adapter];
    const std::uint16_t port = one.config->networks[adapter.network].udp_port;
    for (const LinkConfig& taken : theirs.links) {
      const AdapterConfig& at = theirs.adapters[taken.adapter];
      if (link.kind != taken.kind) continue;
      if (link.kind == LinkKind::serial && adapter.device == at.device)
        return "the line " + adapter.device.str() + " is used already" + its;
      if (link.kind == LinkKind::udp && same_host(adapter.address, at.address) &&
          port == other.config->networks[at.network].udp_port)
        return "UDP port " + std::to_string(port) + " of " + format_host(adapter.address) + " is used already" + its +
               "; give one of the two networks another 'udp_port'";
    }
  }
  return {};
}

Result<ArbiterFile> read_one(const std::string& path, const std::string& host, ArbiterReading& reading) {
  LoadedConfig loaded = load_config(path);
  for (Diagnostic& diagnostic : loaded.diagnostics) {
    diagnostic.file = path;  // several may have the same name
    if (loaded.ok())
      reading.warnings.push_back(to_string(diagnostic));
    else
      reading.problems.push_back(to_string(diagnostic));
  }
  if (!loaded.ok()) return Error::of("");
  const Result<NodeId> self = own_node(*loaded.config, host);
  if (!self) return self.error();
  if (!loaded.config->quorum.tie_breaker.empty())
    return Error::of(
        "the cluster has a tie_breaker, which a vigil-arbiter cannot reach; run vigild as the arbiter of this one");
  auto config = std::make_unique<ClusterConfig>(*loaded.config);
  if (const std::string key = key_beside(path); !key.empty()) config->key_file = std::string_view(key);
  return ArbiterFile{path, std::move(config), *self};
}

bool is_running(std::span<const RunningCluster> running, const std::string& path) {
  return std::any_of(running.begin(), running.end(), [&](const RunningCluster& one) { return one.path == path; });
}

// Its file, or the directory of its file.
bool is_unknown(const std::vector<std::string>& unreadable, const std::string& path) {
  return std::any_of(unreadable.begin(), unreadable.end(), [&](const std::string& one) {
    return one == path || path.starts_with(one.ends_with('/') ? one : one + "/");
  });
}

}  // namespace

FoundFiles find_cluster_files(std::span<const std::string> arguments) {
  FoundFiles found;
  for (const std::string& argument : arguments) {
    struct stat facts {};
    if (::stat(argument.c_str(), &facts) != 0) {
      if (errno != ENOENT) found.unreadable.push_back(argument);
      found.problems.push_back(Error::from_errno("look at " + argument, errno).message);
    } else if (S_ISDIR(facts.st_mode)) {
      list_directory(argument, found);
    } else if (!has(found.paths, argument)) {
      found.paths.push_back(argument);
    }
  }
  return found;
}

ArbiterReading read_cluster_files(const FoundFiles& found, std::span<const RunningCluster> running,
                                  const std::string& host) {
  ArbiterReading reading;
  reading.unreadable = found.unreadable;
  reading.problems = found.problems;
  std::vector<std::string> paths = found.paths;
  std::stable_partition(paths.begin(), paths.end(), [&](const std::string& path) { return is_running(running, path); });
  for (const std::string& path : paths) {
    Result<ArbiterFile> file = read_one(path, host, reading);
    std::string why = file ? "" : file.error().message;
    for (std::size_t i = 0; file && why.empty() && i < reading.clusters.size(); ++i)
      why = collision(*file, reading.clusters[i]);
    if (file && why.empty() && reading.clusters.size() == max_arbiter_clusters)
      why =
          "this process serves " + std::to_string(max_arbiter_clusters) + " clusters already; start another one for it";
    if (file && why.empty()) {
      reading.clusters.push_back(std::move(file).value());
      continue;
    }
    reading.unreadable.push_back(path);
    if (!why.empty()) reading.problems.push_back(path + ": " + why);
  }
  return reading;
}

std::uint64_t identity_of(const ArbiterFile& file) {
  const std::string text =
      std::to_string(file.config->hash) + "/" + std::to_string(file.self) + "/" + file.config->key_file.str();
  std::array<unsigned char, crypto_generichash_BYTES_MIN> digest{};
  crypto_generichash(digest.data(), digest.size(), reinterpret_cast<const unsigned char*>(text.data()), text.size(),
                     nullptr, 0);
  std::uint64_t identity = 0;
  std::memcpy(&identity, digest.data(), sizeof identity);
  return identity;
}

ClusterPlan plan_clusters(const ArbiterReading& reading, std::span<const RunningCluster> running) {
  ClusterPlan plan;
  for (std::size_t i = 0; i < reading.clusters.size(); ++i) {
    const std::string name = reading.clusters[i].config->name.str();
    const auto same =
        std::find_if(running.begin(), running.end(), [&](const RunningCluster& one) { return one.name == name; });
    if (same == running.end())
      plan.start.push_back(i);
    else if (!same->leaving && same->identity != identity_of(reading.clusters[i]))
      plan.leave.push_back(name);
  }
  for (const RunningCluster& one : running) {
    if (one.leaving) continue;
    const bool told = std::any_of(reading.clusters.begin(), reading.clusters.end(),
                                  [&](const ArbiterFile& file) { return file.config->name.view() == one.name; });
    if (told) continue;
    (is_unknown(reading.unreadable, one.path) ? plan.kept : plan.leave).push_back(one.name);
  }
  return plan;
}

}  // namespace vigil
