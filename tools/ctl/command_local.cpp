// The commands that need no cluster, or little of it: check-config, key, version, completion.
#include <cstdio>

#include "runtime/config/config.hpp"
#include "runtime/config/key_file.hpp"
#include "tools/client/client.hpp"
#include "tools/ctl/commands.hpp"
#include "tools/ctl/exit_code.hpp"
#include "tools/ctl/words.hpp"

namespace vigil::ctl {

int run_check_config(const std::string& path) {
  const LoadedConfig loaded = load_config(path);
  const std::string report = loaded.report();
  std::fputs(report.c_str(), stderr);
  if (!loaded.ok()) return exit_failed;
  const ClusterConfig& config = *loaded.config;
  std::printf("%s: ok: cluster %s, %zu nodes, %zu networks, %zu groups, %zu hooks, profile %s, hash %s\n", path.c_str(),
              config.name.c_str(), config.nodes.size(), config.networks.size(), config.groups.size(),
              config.hooks.size(), std::string(word(config.profile)).c_str(), hex_text(config.hash).c_str());
  if (!config.quorum.tie_breaker.empty())
    std::printf("an even split is decided by %s: every node must reach it, and it is made once with truncate -s 8192\n",
                config.quorum.tie_breaker.c_str());
  return exit_ok;
}

int run_key_generate(const std::string& path) {
  const Status made = generate_key(path);
  if (!made) {
    complain(made.error().message);
    return exit_failed;
  }
  std::printf("%s: made; copy it to every node of the cluster, readable by root alone, and show it to nobody\n",
              path.c_str());
  return exit_ok;
}

int run_version(const std::string& socket, bool json) {
  const std::string own(control::release);
  std::string daemon;
  unsigned wire = 0;
  if (Result<control::Client> client = control::Client::connect(socket)) {
    if (const Result<control::reply::Version> version = client->version()) {
      daemon = version->release.str();
      wire = version->wire_version;
    }
  }
  if (json) {
    const std::string running = daemon.empty() ? "null" : '"' + daemon + '"';
    const std::string frames = daemon.empty() ? "null" : std::to_string(wire);
    std::printf("{\"schema\": 1, \"vigil\": \"%s\", \"control_version\": %u, \"vigild\": %s, \"wire_version\": %s}\n",
                own.c_str(), control::protocol_version, running.c_str(), frames.c_str());
    return exit_ok;
  }
  std::printf("vigil %s (control protocol %u)\n", own.c_str(), control::protocol_version);
  if (daemon.empty())
    std::printf("vigild: not reached on %s\n", socket.c_str());
  else
    std::printf("vigild %s (wire protocol %u)\n", daemon.c_str(), wire);
  return exit_ok;
}

int run_names(const std::string& socket, NamesOf what) {
  Result<control::Client> client = control::Client::connect(socket);
  if (!client) return gave_up(client.error());
  const Result<control::NameList> names = client->names();
  if (!names) return gave_up(names.error());
  for (const std::string& name : what == NamesOf::nodes ? names->nodes : names->groups)
    std::printf("%s\n", name.c_str());
  return exit_ok;
}

int run_completion_bash() {
  static constexpr const char script[] = R"BASH(# bash completion for vigil: source <(vigil completion bash)
_vigil() {
  local word=${COMP_WORDS[COMP_CWORD]} i words=() socket=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    case ${COMP_WORDS[i]} in
      --socket) socket=(--socket "${COMP_WORDS[i + 1]}"); ((i++)) ;;
      -*) ;;
      *) words+=("${COMP_WORDS[i]}") ;;
    esac
  done
  local commands='status quorum why move group node fence events links check-config key version completion'
  local offer=''
  _vigil_names() { vigil "${socket[@]}" completion "$1" 2>/dev/null; }
  case "${words[*]}" in
    '') offer="$commands --socket --help --version" ;;
    status) offer='--json --watch --exit-code --help' ;;
    links) offer='--json --help' ;;
    quorum) offer='override --json --help' ;;
    'quorum override') offer='--yes --no-wait --timeout --help' ;;
    events) offer='--follow --json --last --group --help' ;;
    why) offer="$(_vigil_names groups) --membership --json --last --since --help" ;;
    move) offer="$(_vigil_names groups) --no-wait --timeout --help" ;;
    move\ *) [[ ${#words[@]} == 2 ]] && offer="$(_vigil_names nodes)"; offer+=' --no-wait --timeout' ;;
    group) offer='online offline clear --help' ;;
    group\ *) [[ ${#words[@]} == 2 ]] && offer="$(_vigil_names groups)"; offer+=' --no-wait --timeout' ;;
    node) offer='standby online stop --help' ;;
    node\ *) [[ ${#words[@]} == 2 ]] && offer="$(_vigil_names nodes)"; offer+=' --no-wait --timeout' ;;
    fence) offer='confirm --help' ;;
    'fence confirm') offer="$(_vigil_names nodes) --yes --help" ;;
    key) offer='generate rotate --help' ;;
    'key rotate') offer='--from-file --no-wait --timeout --help' ;;
    completion) offer='bash --help' ;;
    check-config | 'key generate') compopt -o default; COMPREPLY=(); return ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$offer" -- "$word")
}
complete -F _vigil vigil
)BASH";
  std::fputs(script, stdout);
  return exit_ok;
}

}  // namespace vigil::ctl
