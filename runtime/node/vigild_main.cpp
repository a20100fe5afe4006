// vigild: one node of the cluster. Reads the configuration, starts the agent's launcher while it may
// still fork, builds the daemon, and turns real-time.
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <string>

#include "runtime/config/config.hpp"
#include "runtime/config/key_file.hpp"
#include "runtime/config/names.hpp"
#include "runtime/loop/realtime.hpp"
#include "runtime/node/arguments.hpp"
#include "runtime/node/daemon.hpp"
#include "runtime/node/full_machine.hpp"
#include "runtime/node/node_loop.hpp"
#include "runtime/node/start.hpp"

namespace {

using namespace vigil;

int fail(const std::string& message) {
  std::fprintf(stderr, "<3>vigild: %s\n", message.c_str());
  return 1;
}

Status start(Daemon& node, NodeLoop& loop, KeySet keys) {
  constexpr std::array signals = {SIGTERM, SIGINT, SIGHUP};
  if (const auto source = loop.ring().watch_signals(signals, node); !source) return source.error();
  if (const Status opened = node.open(std::move(keys)); !opened) return opened;
  if (const Status attached = node.attach(loop.ring(), loop.quiet()); !attached) return attached;
  loop.add(node);
  return {};
}

int run(const NodeArguments& arguments) {
  if (const Status prepared = prepare_process(); !prepared) return fail(prepared.error().message);
  const LoadedConfig loaded = load_config(arguments.config);
  std::fputs(loaded.report().c_str(), stderr);
  if (!loaded.ok()) return fail("the configuration is not valid; nothing was started ('vigil check-config' checks a file)");
  const ClusterConfig& config = *loaded.config;
  const std::string name = arguments.node.empty() ? host_name() : arguments.node;
  const NodeId self = find_node(config, name);
  if (self == no_node) return fail("no node '" + name + "' in " + arguments.config + hint(name, node_names(config)) + "; use --node");
  for (const auto& [path, mode] : {std::pair{arguments.state_dir, 0700}, std::pair{arguments.run_dir, 0755}})
    if (const Status made = make_directory(path, static_cast<mode_t>(mode)); !made) return fail(made.error().message);
  // Looked at now, for the error; loaded once the launcher is forked, so that it never has the keys.
  if (const Result<KeySet> keys = load_keys(config.key_file.str(), ::geteuid()); !keys) return fail(keys.error().message);
  if (const Status prepared = wire::prepare_cryptography(); !prepared) return fail(prepared.error().message);
  const Result<std::uint64_t> boot_id = boot_id_of(arguments.boot_id);
  if (!boot_id) return fail(boot_id.error().message);
  // From here on the process has threads: the launcher must be forked before.
  Result<agent::Launched> launched = agent::launch({arguments.agent, arguments.config, config.hash, name, arguments.state_dir});
  if (!launched) return fail(launched.error().message);
  Result<KeySet> keys = load_keys(config.key_file.str(), ::geteuid());
  if (!keys) return fail(keys.error().message);
  wire::KeyRing key_ring;
  if (const Status accepted = accept_keys(*keys, key_ring); !accepted) return fail(accepted.error().message);
  Log log;
  DaemonOptions options;
  options.self = self;
  options.boot_id = *boot_id;
  options.state_directory = arguments.state_dir;
  options.control_path = arguments.run_dir + "/control.sock";
  RingOptions quiet;
  quiet.buffers = 1024;
  Result<std::unique_ptr<NodeLoop>> made = NodeLoop::create({}, quiet);
  if (!made) return fail(made.error().message);
  std::unique_ptr<NodeLoop> loop = std::move(made).value();
  FullMachine machine(config, self, std::move(launched).value(), log);
  Daemon node(config, options, key_ring, machine, log);
  if (const Status ready = start(node, *loop, std::move(keys).value()); !ready) {
    log.write(LogLevel::error, ready.error().message);
    return 1;
  }
  if (!arguments.no_realtime) {
    RealtimeOptions realtime;
    realtime.priority = config.realtime_priority;
    realtime.cpu = config.cpu;
    for (const std::string& missing : enter_realtime(realtime).missing) log.write(LogLevel::warning, missing);
  }
  while (!node.ended()) {
    if (const Status turned = loop->turn(); !turned) {
      log.write(LogLevel::error, turned.error().message);
      break;
    }
  }
  node.detach();
  loop.reset();  // a write of the state file ends first
  return node.left() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  NodeArguments arguments;
  if (const std::optional<int> status = read_arguments(argc, argv, arguments)) return *status;
  return run(arguments);
}
