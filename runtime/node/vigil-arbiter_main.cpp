// vigil-arbiter: one process with a vote in many clusters. Reads which they are from files, or checks these.
#include <net/if.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>
#include <vector>

#include "runtime/config/key_file.hpp"
#include "runtime/loop/realtime.hpp"
#include "runtime/node/arbiter.hpp"
#include "runtime/node/start.hpp"
#include "tools/client/control_protocol.hpp"

namespace {

using namespace vigil;

struct Arguments {
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

int fail(const std::string& message) {
  std::fprintf(stderr, "<3>vigil-arbiter: %s\n", message.c_str());
  return 1;
}

std::string host_of(const Arguments& arguments) { return arguments.host.empty() ? host_name() : arguments.host; }

// What stands in the way of one cluster, beyond its file; empty: nothing.
std::string obstacle(const ArbiterFile& file) {
  if (const Result<KeySet> keys = load_keys(file.config->key_file.str(), ::geteuid()); !keys)
    return keys.error().message;
  for (const AdapterConfig& adapter : file.config->nodes[file.self].adapters)
    if (adapter.role != AdapterRole::serial && ::if_nametoindex(adapter.device.c_str()) == 0)
      return "this machine has no interface " + adapter.device.str() + "; correct `device` of node '" +
             file.config->nodes[file.self].name.str() + "'";
  return {};
}

int check(const Arguments& arguments) {
  const ArbiterReading reading = read_cluster_files(find_cluster_files(arguments.files), {}, host_of(arguments));
  for (const std::string& line : reading.problems) std::fprintf(stderr, "%s\n", line.c_str());
  for (const std::string& line : reading.warnings) std::fprintf(stderr, "%s\n", line.c_str());
  bool good = reading.problems.empty();
  for (const ArbiterFile& file : reading.clusters) {
    const std::string why = obstacle(file);
    if (!why.empty()) {
      std::fprintf(stderr, "%s: %s\n", file.path.c_str(), why.c_str());
      good = false;
      continue;
    }
    const NodeConfig& own = file.config->nodes[file.self];
    std::printf("%s: cluster '%s' of %zu nodes, this is its arbiter '%s' with %zu links\n", file.path.c_str(),
                file.config->name.c_str(), file.config->nodes.size(), own.name.c_str(), own.links.size());
  }
  return good ? 0 : 1;
}

int run(const Arguments& arguments) {
  if (const Status prepared = prepare_process(); !prepared) return fail(prepared.error().message);
  if (arguments.check) return check(arguments);
  ArbiterOptions options;
  options.arguments = arguments.files;
  options.state_directory = arguments.state_dir;
  options.run_directory = arguments.run_dir;
  options.host = host_of(arguments);
  for (const auto& [path, mode] : {std::pair{arguments.state_dir, 0700}, std::pair{arguments.run_dir, 0755}})
    if (const Status made = make_directory(path, static_cast<mode_t>(mode)); !made) return fail(made.error().message);
  if (const Status prepared = wire::prepare_cryptography(); !prepared) return fail(prepared.error().message);
  const Result<std::uint64_t> boot_id = boot_id_of(arguments.boot_id);
  if (!boot_id) return fail(boot_id.error().message);
  options.boot_id = *boot_id;
  Log log("vigil-arbiter");
  Arbiter arbiter(std::move(options), log);
  if (const Status ready = arbiter.set_up(); !ready) {
    log.write(LogLevel::error, ready.error().message);
    return 1;
  }
  if (!arguments.no_realtime) {
    RealtimeOptions realtime;
    realtime.priority = arguments.priority;
    realtime.cpu = arguments.cpu;
    for (const std::string& missing : enter_realtime(realtime).missing) log.write(LogLevel::warning, missing);
  }
  return arbiter.run();
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "vigil-arbiter - a vote without resources, in as many clusters as there are files\n\n"
      "FILE is a cluster's cluster.toml in which a node with 'arbiter = true' has this machine's links, or a\n"
      "directory of such files (*.toml). A key in FILE.key (in place of .toml) goes before the one that it names.\n\n"
      "Exit status: 0 left all clusters; 1 could not start or go on, or --check found something; 2 usage.\n"
      "SIGHUP reads the files again: new ones start, vanished ones leave, changed ones start anew.\n"
      "SIGTERM leaves every cluster; a second one stops at once."};
  Arguments arguments;
  app.add_option("FILE", arguments.files, "files and directories")->capture_default_str();
  app.add_flag("--check", arguments.check, "only say what is wrong with the files, and which clusters they are of");
  app.add_option("--state-dir", arguments.state_dir, "what must survive a restart, a directory for each cluster")
      ->capture_default_str();
  app.add_option("--run-dir", arguments.run_dir, "where the control sockets are made, CLUSTER.sock")
      ->capture_default_str();
  app.add_option("--host", arguments.host,
                 "which arbiter this is where a cluster has several (default: the host name)");
  app.add_option("--boot-id", arguments.boot_id, "stands for the kernel's boot id where several nodes share a kernel");
  app.add_option("--priority", arguments.priority, "of SCHED_FIFO")->check(CLI::Range(1, 99))->capture_default_str();
  app.add_option("--cpu", arguments.cpu, "the processor to run on (-1: any)")
      ->check(CLI::Range(-1, 4095))
      ->capture_default_str();
  app.add_flag("--no-realtime", arguments.no_realtime, "stay in the normal scheduling class");
  app.set_version_flag("--version", std::string(vigil::control::release));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int status = app.exit(error);
    return status == 0 ? 0 : 2;
  }
  return run(arguments);
}
