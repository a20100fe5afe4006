// The command lines of the two daemons: vigild's and vigil-arbiter's.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace vigil {

struct NodeArguments {
  std::string config = "/etc/vigil/cluster.toml";
  std::string node;
  std::string state_dir = "/var/lib/vigil";
  std::string run_dir = "/run/vigil";
  std::string boot_id;
  std::string agent;
  bool no_realtime = false;
  bool foreground = false;  // always so; accepted for clarity
};

struct ArbiterArguments {
  std::vector<std::string> files = {"/etc/vigil/arbiter.d"};
  std::string state_dir = "/var/lib/vigil-arbiter";
  std::string run_dir = "/run/vigil-arbiter";
  std::string host;
  std::string boot_id;
  int priority = 50;
  int cpu = -1;
  bool check = false;
  bool no_realtime = false;
};

// Fills in what the command line says. The exit status where the process is to end at once: 0 after --help and
// --version, 2 after a wrong usage, which was told on standard error.
std::optional<int> read_arguments(int argc, char** argv, NodeArguments& arguments);
std::optional<int> read_arguments(int argc, char** argv, ArbiterArguments& arguments);

}  // namespace vigil
