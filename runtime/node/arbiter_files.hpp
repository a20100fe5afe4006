// The files of vigil-arbiter: which clusters they tell of, what keeps one of them out, and what is to be done when
// they are read again. One file never spoils another: what is wrong with it is said, and the rest goes on. Reads
// files and waits for disks; the decision alone (plan_clusters) is pure.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "runtime/base/cluster.hpp"

namespace vigil {

// A cluster that this machine is the arbiter of.
struct ArbiterFile {
  std::string path;
  std::unique_ptr<const ClusterConfig> config;  // key_file: the one beside the file, where there is one
  NodeId self = no_node;
};

// One that runs, or has to be treated so. `identity`: of the file's content (identity_of).
struct RunningCluster {
  std::string path;
  std::string name;
  std::uint64_t identity = 0;
  bool leaving = false;
};

struct FoundFiles {
  std::vector<std::string> paths;
  std::vector<std::string> unreadable;  // files and directories of which it is not known what they say
  std::vector<std::string> problems;    // a line each
};

struct ArbiterReading {
  std::vector<ArbiterFile> clusters;
  std::vector<std::string> unreadable;  // as above, and the files that are wrong
  std::vector<std::string> problems;
  std::vector<std::string> warnings;
};

struct ClusterPlan {
  std::vector<std::size_t> start;  // of ArbiterReading::clusters
  std::vector<std::string> leave;  // names: gone, or to be started again as they are written now
  std::vector<std::string> kept;   // names: what their file says now is not known, so they go on as they are
};

inline constexpr std::size_t max_arbiter_clusters = 64;

// Each argument is a file, or a directory with files *.toml, in the order of their names.
FoundFiles find_cluster_files(std::span<const std::string> arguments);

// Reads them; what runs has the right of way over a new file that collides with it. `host`: chooses, where a
// cluster has several arbiters.
ArbiterReading read_cluster_files(const FoundFiles& found, std::span<const RunningCluster> running,
                                  const std::string& host);

// Of all that an arbiter takes from its file: another value, and it has to start anew.
std::uint64_t identity_of(const ArbiterFile& file);

ClusterPlan plan_clusters(const ArbiterReading& reading, std::span<const RunningCluster> running);

}  // namespace vigil
