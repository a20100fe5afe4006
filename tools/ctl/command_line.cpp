// The grammar of the command line, and nothing else: parses, and calls the command.
#include "tools/ctl/command_line.hpp"

#include <CLI/CLI.hpp>
#include <functional>
#include <string>

#include "tools/client/control_protocol.hpp"
#include "tools/ctl/commands.hpp"
#include "tools/ctl/exit_code.hpp"

namespace vigil::ctl {

namespace {

constexpr const char* exit_codes_text =
    "Exit status:\n"
    "  0  done\n"
    "  1  refused, or it did not work\n"
    "  2  the command line makes no sense\n"
    "  3  no answer from the vigild on this node\n"
    "  4  status --exit-code: something is not as it should be\n"
    "  5  accepted, but not done within --timeout; it goes on\n"
    "\n"
    "Every command works from any node of the cluster. Looking needs group vigil, commanding needs root.";

// Where the parser puts what was given; lives as long as the command runs.
struct Arguments {
  std::string socket = std::string(control::default_socket_path);
  StatusOptions status;
  LinksOptions links;
  QuorumOptions quorum;
  WhyOptions why;
  EventsOptions events;
  OperateOptions operate;
  RotateOptions rotate;
  std::string file;
  bool version_json = false;
  std::function<int()> run;
};

void add_waiting(CLI::App& command, OperateOptions& options) {
  command.add_flag("--wait,!--no-wait", options.wait, "wait until it is done, with progress (the default)");
  command.add_option("--timeout", options.timeout_s, "seconds to wait")
      ->check(CLI::Range(0.0, 86'400.0))
      ->capture_default_str();
}

void add_looking(CLI::App& app, Arguments& given) {
  CLI::App* command = app.add_subcommand("status", "the cluster as this node sees it");
  command->add_flag("--json", given.status.json, "as JSON, with everything");
  command->add_flag("--exit-code", given.status.exit_code, "exit with 4 when something is not as it should be");
  command->add_option("--watch", given.status.watch_s, "repaint every SECONDS (1)")
      ->expected(0, 1)
      ->default_str("1")
      ->type_name("SECONDS")
      ->check(CLI::Range(0.05, 3600.0));
  command->callback([&] { given.run = [&] { return run_status(given.socket, given.status); }; });

  command = app.add_subcommand("why", "why a group is where it is, or how the membership came about: what was seen, decided and done, with its times");
  CLI::Option* group = command->add_option("group", given.why.group, "the resource group")->type_name("GROUP");
  CLI::Option* membership = command->add_flag(
      "--membership", given.why.membership,
      "every view change instead: who accused whom on what evidence, how each voted, what each step took");
  membership->excludes(group);
  command->add_flag("--json", given.why.json, "as JSON");
  command->add_option("--last", given.why.last, "this many takeovers (1), or view changes (10)")
      ->check(CLI::Range(1, 10000));
  command
      ->add_option("--since", given.why.since,
                   "view changes since then: 90s, 10min, 6h, 3d ago, or a local time: 2026-11-22 or 2026-11-22T10:00[:00]")
      ->needs(membership)
      ->type_name("TIME");
  command->callback([&given] {
    if (given.why.group.empty() && !given.why.membership) throw CLI::RequiredError("GROUP or --membership");
    given.run = [&given] { return run_why(given.socket, given.why); };
  });

  command = app.add_subcommand("events", "the journal of all nodes");
  command->add_flag("-f,--follow", given.events.follow, "go on with what happens from now on");
  command->add_flag("--json", given.events.json, "one JSON object a line");
  command
      ->add_option("--last", given.events.last, "this many of the newest entries first; 0: all, or none with --follow")
      ->capture_default_str();
  command->add_option("--group", given.events.group, "only this group, and what concerns the whole cluster");
  command->callback([&] { given.run = [&] { return run_events(given.socket, given.events); }; });

  command = app.add_subcommand("links", "every heartbeat path as this node hears it, with its statistics");
  command->add_flag("--json", given.links.json, "as JSON");
  command->callback([&] { given.run = [&] { return run_links(given.socket, given.links); }; });
}

// Looks by itself, and commands with its subcommand.
void add_quorum(CLI::App& app, Arguments& given) {
  CLI::App* command = app.add_subcommand("quorum", "who counts, what is needed, what could be lost next, and why there is none");
  command->add_flag("--json", given.quorum.json, "as JSON");
  CLI::App* override_command = command->add_subcommand(
      "override", "go on without a quorum: vouch that every node that is not heard here is down, and stays down");
  override_command->add_flag("--yes", given.operate.yes, "do not ask; I know what I vouch for");
  add_waiting(*override_command, given.operate);
  command->callback([&given, override_command] {
    if (override_command->parsed()) {
      given.operate.verb = OperatorVerb::quorum_override;
      given.run = [&given] { return run_operate(given.socket, given.operate); };
    } else {
      given.run = [&given] { return run_quorum(given.socket, given.quorum); };
    }
  });
}

// One command that is a verb on a group, a node, or both.
void add_verb(CLI::App& app, Arguments& given, OperatorVerb verb, const char* name, const char* help) {
  CLI::App* command = app.add_subcommand(name, help);
  const bool group = verb == OperatorVerb::move_group || verb == OperatorVerb::group_online ||
                     verb == OperatorVerb::group_offline || verb == OperatorVerb::group_clear;
  if (group) command->add_option("group", given.operate.group, "the resource group")->required()->type_name("GROUP");
  if (!group || verb == OperatorVerb::move_group)
    command->add_option("node", given.operate.node, "the node")->required()->type_name("NODE");
  if (verb == OperatorVerb::confirm_down)
    command->add_flag("--yes", given.operate.yes, "do not ask; I know what I vouch for");
  else if (verb != OperatorVerb::group_clear)
    add_waiting(*command, given.operate);
  command->callback([&given, verb] {
    given.operate.verb = verb;
    given.run = [&given] { return run_operate(given.socket, given.operate); };
  });
}

void add_commanding(CLI::App& app, Arguments& given) {
  add_verb(app, given, OperatorVerb::move_group, "move", "move a group to a node, and keep it there");

  CLI::App* group = app.add_subcommand("group", "start, stop or forgive a group");
  add_verb(*group, given, OperatorVerb::group_online, "online", "run it");
  add_verb(*group, given, OperatorVerb::group_offline, "offline", "stop it, and leave it stopped");
  add_verb(*group, given, OperatorVerb::group_clear, "clear", "forget where it failed, so that it may run there again");

  CLI::App* node = app.add_subcommand("node", "take a node out of service or back");
  add_verb(*node, given, OperatorVerb::node_standby, "standby", "move its groups away; it stays in the cluster");
  add_verb(*node, given, OperatorVerb::node_online, "online", "let it run groups again");
  add_verb(*node, given, OperatorVerb::node_stop, "stop", "move its groups away, and stop its vigild");

  CLI::App* fence = app.add_subcommand("fence", "what only you can know");
  add_verb(*fence, given, OperatorVerb::confirm_down, "confirm",
           "vouch that a node is down, so that what it may still hold is started elsewhere");
}

void add_local(CLI::App& app, Arguments& given) {
  CLI::App* command = app.add_subcommand("check-config", "check a configuration file, without vigild");
  command->add_option("file", given.file, "cluster.toml")->required()->type_name("FILE");
  command->callback([&] { given.run = [&] { return run_check_config(given.file); }; });

  CLI::App* key = app.add_subcommand("key", "the cluster's shared key");
  command = key->add_subcommand("generate", "make a new key, mode 0600; never replaces a file");
  command->add_option("file", given.file, "where to")->required()->type_name("FILE");
  command->callback([&] { given.run = [&] { return run_key_generate(given.file); }; });

  command = key->add_subcommand("rotate", "give every member a new key, without losing a heartbeat");
  command->add_option("--from-file", given.rotate.from_file, "the new key, as 'vigil key generate' makes it")->type_name("FILE");
  command->add_flag("!--no-wait", given.rotate.wait, "return once the rotation has begun");
  command->add_option("--timeout", given.rotate.timeout_s, "how long to wait for its end, seconds")->capture_default_str();
  command->callback([&] { given.run = [&] { return run_key_rotate(given.socket, given.rotate); }; });

  command = app.add_subcommand("version", "the releases of vigil and of the running vigild");
  command->add_flag("--json", given.version_json, "as JSON");
  command->callback([&] { given.run = [&] { return run_version(given.socket, given.version_json); }; });

  CLI::App* completion = app.add_subcommand("completion", "completion for shells");
  completion->add_subcommand("bash", "source <(vigil completion bash)")->callback([&] {
    given.run = run_completion_bash;
  });
  completion->add_subcommand("nodes", "the nodes' names, for the script")->callback([&] {
    given.run = [&] { return run_names(given.socket, NamesOf::nodes); };
  });
  completion->add_subcommand("groups", "the groups' names, for the script")->callback([&] {
    given.run = [&] { return run_names(given.socket, NamesOf::groups); };
  });
}

int parse_and_run(int argc, char** argv) {
  CLI::App app("vigil: look at a Vigil cluster, and command it", "vigil");
  Arguments given;
  app.fallthrough();
  app.footer(exit_codes_text);
  app.set_version_flag("--version", "vigil " + std::string(control::release));
  app.add_option("--socket", given.socket, "the control socket of vigild")
      ->envname("VIGIL_SOCKET")
      ->capture_default_str()
      ->type_name("PATH");
  add_looking(app, given);
  add_quorum(app, given);
  add_commanding(app, given);
  add_local(app, given);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? exit_ok : exit_usage;
  }
  if (given.run) return given.run();
  std::string words = "vigil";
  for (const CLI::App* at : app.get_subcommands()) words += " " + at->get_name();
  complain("what is to be done? see: " + words + " --help");
  return exit_usage;
}

}  // namespace

int run_command_line(int argc, char** argv) {
  try {
    return parse_and_run(argc, argv);
  } catch (const std::exception& error) {
    complain(error.what());
    return exit_failed;
  }
}

}  // namespace vigil::ctl
