#include "runtime/agent/program.hpp"

#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>

#include "runtime/agent/agent.hpp"
#include "runtime/agent/log.hpp"
#include "runtime/config/config.hpp"

namespace vigil::agent {

namespace {

constexpr int exit_cannot_run = 1;
constexpr int exit_usage = 2;

constexpr const char* usage =
    "usage: vigil-agent --config FILE --node NAME --state-dir DIR --fd N [options]\n"
    "\n"
    "Runs the hooks and applications of a node for vigild, which starts it through its launcher.\n"
    "It is of no use by hand.\n"
    "\n"
    "  --config FILE     cluster.toml, the one that vigild uses\n"
    "  --config-fd N     read the configuration from this descriptor; FILE only names it in messages\n"
    "  --node NAME       this node\n"
    "  --state-dir DIR   where the journal and the lock are kept\n"
    "  --fd N            socket to vigild (SOCK_SEQPACKET)\n"
    "  --runs-fd N       table of running commands, shared with the launcher\n"
    "  --session N       how many agents there were, this one included (default 1)\n"
    "  --help            this text\n"
    "\n"
    "Exit status: 0 ended in good order; 1 could not run; 2 wrong arguments or configuration;\n"
    "3 ended, but an application could not be stopped.\n";

struct Arguments {
  std::string config_path;
  std::string node;
  std::string state_directory;
  int socket = -1;
  int config_fd = -1;
  int runs_fd = -1;
  int session = 1;
};

bool read_number(const char* text, int& out) {
  const std::string_view view(text);
  const auto [end, error] = std::from_chars(view.data(), view.data() + view.size(), out);
  return error == std::errc() && end == view.data() + view.size() && out >= 0;
}

// The arguments, or the exit status to end with.
std::optional<int> read_arguments(int argc, char** argv, Arguments& arguments) {
  enum Option { config = 1, config_fd, node, state_dir, fd, runs_fd, session, help };
  static constexpr std::array<option, 9> options = {{{"config", required_argument, nullptr, config},
                                                     {"config-fd", required_argument, nullptr, config_fd},
                                                     {"node", required_argument, nullptr, node},
                                                     {"state-dir", required_argument, nullptr, state_dir},
                                                     {"fd", required_argument, nullptr, fd},
                                                     {"runs-fd", required_argument, nullptr, runs_fd},
                                                     {"session", required_argument, nullptr, session},
                                                     {"help", no_argument, nullptr, help},
                                                     {nullptr, 0, nullptr, 0}}};
  bool good = true;
  for (int which = 0; (which = ::getopt_long(argc, argv, "", options.data(), nullptr)) != -1;) {
    switch (which) {
      case config:
        arguments.config_path = optarg;
        break;
      case config_fd:
        good = good && read_number(optarg, arguments.config_fd);
        break;
      case node:
        arguments.node = optarg;
        break;
      case state_dir:
        arguments.state_directory = optarg;
        break;
      case fd:
        good = good && read_number(optarg, arguments.socket);
        break;
      case runs_fd:
        good = good && read_number(optarg, arguments.runs_fd);
        break;
      case session:
        good = good && read_number(optarg, arguments.session) && arguments.session > 0;
        break;
      case help:
        std::fputs(usage, stdout);
        return 0;
      default:
        good = false;
    }
  }
  good = good && optind == argc && !arguments.config_path.empty() && !arguments.node.empty() &&
         !arguments.state_directory.empty() && arguments.socket >= 0;
  if (good) return std::nullopt;
  std::fputs(usage, stderr);
  return exit_usage;
}

Result<std::string> read_all(int fd, const std::string& name) {
  std::string text;
  std::array<char, 65536> buffer{};
  for (off_t at = 0;;) {
    const ssize_t got = ::pread(fd, buffer.data(), buffer.size(), at);
    if (got < 0) return Error::from_errno("reading the configuration " + name, errno);
    if (got == 0) return text;
    text.append(buffer.data(), static_cast<std::size_t>(got));
    at += got;
  }
}

Result<std::unique_ptr<const ClusterConfig>> read_config(const Arguments& arguments) {
  LoadedConfig loaded;
  if (arguments.config_fd >= 0) {
    const OwnedFd fd(arguments.config_fd);
    const Result<std::string> text = read_all(fd.get(), arguments.config_path);
    if (!text) return text.error();
    loaded = parse_config(*text, arguments.config_path);
  } else {
    loaded = load_config(arguments.config_path);
  }
  if (!loaded.ok()) return Error::of("the configuration cannot be used:\n" + loaded.report());
  return std::move(loaded.config);
}

Result<NodeId> find_node(const ClusterConfig& config, const std::string& name) {
  std::string known;
  for (std::size_t i = 0; i < config.nodes.size(); ++i) {
    if (config.nodes[i].name == name) return static_cast<NodeId>(i);
    if (!config.nodes[i].name.empty()) known += " " + config.nodes[i].name.str();
  }
  return Error::of("the configuration has no node '" + name + "'; it has:" + known);
}

// Descriptors that came by inheritance must not go on to commands; nor may a stray number be used.
Status own(int fd, const char* option) {
  if (::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
    return Error::from_errno(std::string("using the descriptor of --") + option + " " + std::to_string(fd), errno);
  return {};
}

Status check_socket(int fd) {
  int type = 0;
  socklen_t length = sizeof(type);
  if (::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == SOCK_SEQPACKET) return {};
  return Error::of("--fd " + std::to_string(fd) + " is not vigild's socket; vigil-agent is started by vigild");
}

Result<OwnedFd> listen_for_signals() {
  sigset_t mask;
  sigemptyset(&mask);
  for (const int number : {SIGTERM, SIGINT}) sigaddset(&mask, number);
  ::sigprocmask(SIG_BLOCK, &mask, nullptr);
  for (const int number : {SIGPIPE, SIGHUP}) ::signal(number, SIG_IGN);
  OwnedFd fd(::signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd.valid()) return Error::from_errno("listening for signals (signalfd)", errno);
  return fd;
}

Result<int> serve(const Arguments& arguments, const ClusterConfig& config, NodeId self) {
  if (::mkdir(arguments.state_directory.c_str(), 0750) != 0 && errno != EEXIST)
    return Error::from_errno("making the state directory " + arguments.state_directory, errno);
  Result<RunTable> table =
      arguments.runs_fd >= 0 ? RunTable::attach(OwnedFd(arguments.runs_fd)) : RunTable::create_in_memory();
  if (!table) return table.error();
  Result<OwnedFd> signals = listen_for_signals();
  if (!signals) return signals.error();
  Reactor reactor;
  if (Status opened = reactor.open(); !opened) return opened.error();
  const auto session = static_cast<std::uint32_t>(arguments.session);
  Runner runner(reactor, *table, session);
  if (Status opened = runner.open(); !opened) return opened.error();
  Agent agent(reactor, runner, config, AgentOptions{self, session, arguments.state_directory},
              OwnedFd(arguments.socket));
  const auto watch = reactor.watch(signals->get(), EPOLLIN, [&](std::uint32_t) {
    signalfd_siginfo info{};
    while (::read(signals->get(), &info, sizeof(info)) > 0) agent.shut_down("told to end by a signal");
  });
  if (!watch) return watch.error();
  if (Status opened = agent.open(); !opened) return opened.error();
  reactor.run();
  reactor.unwatch(*watch);
  return agent.exit_status();
}

}  // namespace

int run_program(int argc, char** argv) {
  Arguments arguments;
  if (const auto status = read_arguments(argc, argv, arguments)) return *status;
  const auto fail = [](const Error& error, int status) {
    log_line(error.message);
    return status;
  };
  if (Status owned = own(arguments.socket, "fd"); !owned) return fail(owned.error(), exit_usage);
  if (Status is_socket = check_socket(arguments.socket); !is_socket) return fail(is_socket.error(), exit_usage);
  if (arguments.runs_fd >= 0)
    if (Status owned = own(arguments.runs_fd, "runs-fd"); !owned) return fail(owned.error(), exit_usage);
  if (arguments.config_fd >= 0)
    if (Status owned = own(arguments.config_fd, "config-fd"); !owned) return fail(owned.error(), exit_usage);
  const auto config = read_config(arguments);
  if (!config) return fail(config.error(), exit_usage);
  const Result<NodeId> self = find_node(**config, arguments.node);
  if (!self) return fail(self.error(), exit_usage);
  const Result<int> status = serve(arguments, **config, *self);
  return status ? *status : fail(status.error(), exit_cannot_run);
}

}  // namespace vigil::agent
