// vigil-arbiter: one process with a vote in many clusters. Reads which they are from files, or checks these.
#include <net/if.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <vector>

#include "runtime/config/key_file.hpp"
#include "runtime/loop/realtime.hpp"
#include "runtime/node/arbiter.hpp"
#include "runtime/node/arguments.hpp"
#include "runtime/node/start.hpp"

namespace {

using namespace vigil;

int fail(const std::string& message) {
  std::fprintf(stderr, "<3>vigil-arbiter: %s\n", message.c_str());
  return 1;
}

std::string host_of(const ArbiterArguments& arguments) { return arguments.host.empty() ? host_name() : arguments.host; }

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

int check(const ArbiterArguments& arguments) {
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

int run(const ArbiterArguments& arguments) {
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
  ArbiterArguments arguments;
  if (const std::optional<int> status = read_arguments(argc, argv, arguments)) return *status;
  return run(arguments);
}
