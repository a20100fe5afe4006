// CLI11 takes long to compile: here alone for both.
#include "runtime/node/arguments.hpp"

#include <CLI/CLI.hpp>

#include "tools/client/control_protocol.hpp"

namespace vigil {

namespace {

std::optional<int> parse(CLI::App& app, int argc, char** argv) {
  app.set_version_flag("--version", std::string(control::release));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  return std::nullopt;
}

}  // namespace

std::optional<int> read_arguments(int argc, char** argv, NodeArguments& arguments) {
  CLI::App app{"vigild - one node of a Vigil cluster\n\n"
               "Exit status: 0 left in good order; 1 could not start or go on; 2 usage.\n"
               "SIGTERM moves this node's groups away and leaves; a second one stops at once."};
  app.add_option("--config", arguments.config, "the cluster's configuration, the same on every node")->capture_default_str();
  app.add_option("--node", arguments.node, "which of its nodes this is (default: the host name)");
  app.add_option("--state-dir", arguments.state_dir, "what must survive a restart")->capture_default_str();
  app.add_option("--run-dir", arguments.run_dir, "where the control socket is made")->capture_default_str();
  app.add_option("--boot-id", arguments.boot_id, "stands for the kernel's boot id where several nodes share a kernel");
  app.add_option("--agent", arguments.agent, "vigil-agent's path (default: beside vigild)");
  app.add_flag("--no-realtime", arguments.no_realtime, "stay in the normal scheduling class");
  app.add_flag("--foreground", arguments.foreground, "stay in the foreground (always so; accepted for clarity)");
  return parse(app, argc, argv);
}

std::optional<int> read_arguments(int argc, char** argv, ArbiterArguments& arguments) {
  CLI::App app{
      "vigil-arbiter - a vote without resources, in as many clusters as there are files\n\n"
      "FILE is a cluster's cluster.toml in which a node with 'arbiter = true' has this machine's links, or a\n"
      "directory of such files (*.toml). A key in FILE.key (in place of .toml) goes before the one that it names.\n\n"
      "Exit status: 0 left all clusters; 1 could not start or go on, or --check found something; 2 usage.\n"
      "SIGHUP reads the files again: new ones start, vanished ones leave, changed ones start anew.\n"
      "SIGTERM leaves every cluster; a second one stops at once."};
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
  return parse(app, argc, argv);
}

}  // namespace vigil
