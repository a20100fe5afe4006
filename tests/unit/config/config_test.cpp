// Good files give the configuration they describe, bad ones exactly the line that says why.
#include "runtime/config/config.hpp"

#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "runtime/base/event_name.hpp"
#include "runtime/config/derive.hpp"
#include "runtime/config/names.hpp"
#include "tests/unit/cmocka.hpp"

namespace {

using namespace vigil;

// Lines are counted from 1; every bad case replaces one piece of this.
const std::string good = R"(version = 1
[cluster]
name = "demo"
profile = "lan"
key_file = "/etc/vigil/cluster.key"

[[network]]
name = "public"
heartbeat = ["ethernet", "udp"]
backup = "private"
[[network]]
name = "private"
[[network]]
name = "line"
kind = "serial"

[[node]]
name = "alpha"
id = 1
  [[node.adapter]]
  network = "public"
  device = "eth0"
  address = "10.77.1.1/24"
  [[node.adapter]]
  network = "private"
  device = "eth1"
  [[node.adapter]]
  network = "line"
  device = "/dev/ttyS0"
  peer = "beta"
  baud = 9600

[[node]]
name = "beta"
id = 2
  [[node.adapter]]
  network = "public"
  device = "eth0"
  address = "10.77.1.2/24"
  [[node.adapter]]
  network = "line"
  device = "/dev/ttyS0"
  peer = "alpha"
  baud = 9600

[[node]]
name = "gamma"
id = 3
  [[node.adapter]]
  network = "public"
  device = "eth0"
  address = "10.77.1.3/24"

[[group]]
name = "web"
nodes = ["alpha", "beta"]
fallback = false
  [[group.address]]
  address = "10.99.1.100/24"
  network = "public"
  [group.application]
  name = "httpd"
  start = "start it"
  stop = "stop it"
  start_timeout = "1.5s"
  state = "none"

[[hook]]
event = "node_down"
command = "tell"
)";

struct Case {
  std::string found;
  std::string replacement;
  std::string report;  // the whole of it
};

std::string with(const std::string& found, const std::string& replacement) {
  std::string text = good;
  const std::size_t at = text.find(found);
  if (at == std::string::npos) return "the test's own text does not contain: " + found;
  return text.replace(at, found.size(), replacement);
}

const std::vector<Case> cases = {
    // spelling and types
    {"profile = \"lan\"", "profle = \"lan\"",
     "cluster.toml:4:1: unknown key 'profle' in [cluster]; did you mean 'profile'?\n"},
    {"profile = \"lan\"", "profile = \"lam\"",
     "cluster.toml:4:11: 'profile' in [cluster] is 'lam'; expected wan, lan, fast or realtime; did you mean 'lan'?\n"},
    {"profile = \"lan\"", "profile = 3",
     "cluster.toml:4:11: 'profile' in [cluster] is an integer; expected a string\n"},
    // a file's own words never leave their line, nor act on a terminal
    {"profile = \"lan\"", "profile = \"l\\na\\u001b[2Jm\"",
     "cluster.toml:4:11: 'profile' in [cluster] is 'l\\x0aa\\x1b[2Jm'; expected wan, lan, fast or realtime\n"},
    {"profile = \"lan\"", "profile = \"lan\"\n\"x\\ny\" = 1",
     "cluster.toml:5:1: unknown key 'x\\x0ay' in [cluster]; expected one of: name, profile, key_file, realtime_priority, cpu, quorum\n"},
    {"name = \"demo\"\n", "\n", "cluster.toml:2:1: [cluster] has no 'name'; expected a string\n"},
    {"\"/etc/vigil/cluster.key\"", "\"cluster.key\"",
     "cluster.toml:5:12: 'key_file' in [cluster] is 'cluster.key'; expected an absolute path\n"},
    {"profile = \"lan\"", "realtime_priority = 100",
     "cluster.toml:4:21: 'realtime_priority' in [cluster] is 100; expected 1 to 99\n"},
    {"version = 1", "version = 0", "cluster.toml:1:11: 'version' in the top level is 0; expected 1 to 4294967295\n"},
    {"[[hook]]", "[[hok]]", "cluster.toml:68:3: unknown key 'hok' in the top level; did you mean 'hook'?\n"},
    {"name = \"demo\"", "name = \"my demo\"",
     "cluster.toml:3:8: 'name' in [cluster] is 'my demo'; expected 1 to 31 letters, digits, '-', '_' or '.', beginning "
     "with a letter or a digit\n"},
    // networks
    {"\"udp\"]", "\"upd\"]",
     "cluster.toml:9:26: unknown heartbeat driver 'upd' for a network of kind \"ethernet\"; did you mean 'udp'?\n"},
    {"backup = \"private\"", "backup = \"privat\"",
     "cluster.toml:10:10: unknown network 'privat' in 'backup'; did you mean 'private'?\n"},
    {"backup = \"private\"", "backup = \"public\"",
     "cluster.toml:10:10: 'backup' of network 'public' is the network itself; expected another one\n"},
    {"backup = \"private\"", "backup = \"line\"",
     "cluster.toml:10:10: 'backup' joins 'public' and 'line', of which one is a serial line; expected two ethernet "
     "networks\n"},
    {"name = \"private\"", "name = \"private\"\nudp_port = 7000",
     "cluster.toml:13:12: 'udp_port' in [[network]] without udp heartbeats; expected \"udp\" in 'heartbeat'\n"},
    // nodes
    {"id = 3", "id = 2",
     "cluster.toml:48:6: 'id' of node 'gamma' is 2, which node 'beta' has at line 35; expected the ids 1 to 3, each "
     "once\n"},
    {"id = 3", "id = 4",
     "cluster.toml:48:6: 'id' of node 'gamma' is 4 in a file of 3 nodes; expected the ids 1 to 3, each once\n"},
    {"id = 3", "id = 65", "cluster.toml:48:6: 'id' in [[node]] is 65; expected 1 to 64\n"},
    {"name = \"gamma\"", "name = \"beta\"",
     "cluster.toml:47:8: second node named 'beta'; the first is at line 34; expected a name of its own\n"},
    {"address = \"10.77.1.3/24\"", "",
     "cluster.toml:49:3: adapter 'eth0' of node 'gamma' has no 'address'; expected one, because network 'public' has "
     "udp heartbeats\n"},
    {"\"10.77.1.3/24\"", "\"10.77.1.3\"",
     "cluster.toml:52:13: 'address' in [[node.adapter]]: '10.77.1.3' has no prefix length; expected an address such as "
     "10.0.0.1/24 or fd00::1/64\n"},
    {"\"10.77.1.3/24\"", "\"10.77.1.2/24\"",
     "cluster.toml:52:13: boot address 10.77.1.2 is used twice; the first is at line 39; expected an address of its "
     "own "
     "for each adapter\n"},
    {"\"10.77.1.3/24\"", "\"fd00::3/64\"",
     "cluster.toml:52:13: boot address fd00::3/64 is IPv6, but others on network 'public' are IPv4; expected one "
     "family "
     "for its udp heartbeats\n"},
    {"network = \"private\"", "network = \"pirvate\"",
     "cluster.toml:25:13: unknown network 'pirvate' of adapter 'eth1'; did you mean 'private'?\n"},
    {"device = \"eth1\"", "device = \"eth0\"",
     "cluster.toml:26:12: second adapter with device 'eth0' on node 'alpha'; the first is at line 22; expected each "
     "device once\n"},
    {"device = \"eth1\"", "device = \"/dev/eth1\"",
     "cluster.toml:26:12: 'device' is '/dev/eth1'; expected an interface name of at most 15 characters, such as "
     "eth0\n"},
    {"device = \"eth1\"", "device = \"eth1\"\n  role = \"reserve\"",
     "cluster.toml:27:10: 'role' in [[node.adapter]] is 'reserve'; expected service or standby\n"},
    // serial lines
    {"peer = \"beta\"", "peer = \"bete\"", "cluster.toml:30:10: unknown node 'bete' in 'peer'; did you mean 'beta'?\n"},
    {"peer = \"beta\"", "peer = \"gamma\"",
     "cluster.toml:30:10: 'peer' is 'gamma', but node 'gamma' has no adapter on the serial line 'line' with peer "
     "'alpha'; expected both ends\ncluster.toml:43:10: 'peer' is 'alpha', but node 'alpha' has no adapter on the "
     "serial "
     "line 'line' with peer 'beta'; expected both ends\n"},
    {"peer = \"beta\"\n  baud = 9600", "peer = \"beta\"\n  baud = 19200",
     "cluster.toml:27:3: the serial line 'line' runs at 19200 baud on 'alpha' and at 9600 on 'beta'; expected the same "
     "'baud' at both ends\n"},
    {"peer = \"beta\"", "peer = \"alpha\"",
     "cluster.toml:30:10: 'peer' of node 'alpha' is the node itself; expected the node at the other end of the "
     "line\n"},
    // groups
    {"[\"alpha\", \"beta\"]", "[\"alpha\", \"betta\"]",
     "cluster.toml:56:19: unknown node 'betta' in group 'web'; did you mean 'beta'?\n"},
    {"[\"alpha\", \"beta\"]", "[\"alpha\", \"alpha\"]",
     "cluster.toml:56:19: node 'alpha' is twice in group 'web'; expected each node once\n"},
    {"[\"alpha\", \"beta\"]", "[]",
     "cluster.toml:56:9: 'nodes' of group 'web' is empty; expected at least one node; expected one of: alpha, beta, "
     "gamma\n"},
    {"fallback = false", "policy = \"cascade\"",
     "cluster.toml:57:10: 'policy' in [[group]] is 'cascade'; expected cascading or rotating; did you mean "
     "'cascading'?\n"},
    {"fallback = false", "policy = \"rotating\"\nfallback = true",
     "cluster.toml:58:12: 'fallback' of the rotating group 'web' is true; expected policy = \"cascading\" for a group "
     "that returns\n"},
    {"\"10.99.1.100/24\"", "\"10.99.1.300/24\"",
     "cluster.toml:59:13: 'address' in [[group.address]]: '10.99.1.300/24' is no IPv4 or IPv6 address; expected one "
     "such as 10.0.0.1/24 or fd00::1/64\n"},
    {"\"10.99.1.100/24\"", "\"10.77.1.0/24\"",
     "cluster.toml:59:13: 'address' in [[group.address]]: '10.77.1.0/24' is the address of the subnet itself; expected "
     "the address of a host\n"},
    {"\"10.99.1.100/24\"", "\"10.99.1.100/33\"",
     "cluster.toml:59:13: 'address' in [[group.address]]: '10.99.1.100/33' has a bad prefix length; expected 1 to "
     "32\n"},
    {"\"10.99.1.100/24\"", "\"10.77.1.3/24\"",
     "cluster.toml:59:13: service address 10.77.1.3 is also the boot address of 'eth0' on node 'gamma'; expected an "
     "address of its own\n"},
    {"nodes = [\"alpha\", \"beta\"]\nfallback = false\n  [[group.address]]\n  address = \"10.99.1.100/24\"\n  network "
     "= "
     "\"public\"",
     "nodes = [\"alpha\", \"beta\"]\nfallback = false\n  [[group.address]]\n  address = \"10.99.1.100/24\"\n  network "
     "= "
     "\"private\"",
     "cluster.toml:60:13: node 'beta' of group 'web' cannot carry 10.99.1.100; expected it to have an adapter on "
     "network 'private' or on its backup\n"},
    {"start_timeout = \"1.5s\"", "start_timeout = \"1.5\"",
     "cluster.toml:65:19: 'start_timeout' in [group.application]: '1.5' is no duration; expected a number and a unit, "
     "such as 500ms, 2s or 1m\n"},
    {"start_timeout = \"1.5s\"", "start_timeout = \"1ms\"",
     "cluster.toml:65:19: 'start_timeout' in [group.application] is 1ms; expected 10ms to 24h\n"},
    {"  start = \"start it\"\n", "", "cluster.toml:61:3: [group.application] has no 'start'; expected a string\n"},
    {"\"node_down\"", "\"nodedown\"",
     "cluster.toml:69:9: unknown event 'nodedown' in [[hook]]; did you mean 'node_down'?\n"},
    {"command = \"tell\"", "command = \"\"",
     "cluster.toml:70:11: 'command' in [[hook]] is empty; expected 1 to 255 bytes\n"},
    {"[[hook]]\n", "[[group]]\nname = \"idle\"\nnodes = [\"alpha\"]\n[[hook]]\n",
     "cluster.toml:68:1: [[group]] has nothing to keep running; expected a [[group.address]] or a "
     "[group.application]\n"},
    // quorum
    {"key_file = \"/etc/vigil/cluster.key\"\n",
     "key_file = \"/etc/vigil/cluster.key\"\n[cluster.quorum]\npolicy = \"majorty\"\n",
     "cluster.toml:7:10: 'policy' in [cluster.quorum] is 'majorty'; expected majority, weighted or last_man_standing; did "
     "you mean 'majority'?\n"},
    {"key_file = \"/etc/vigil/cluster.key\"\n",
     "key_file = \"/etc/vigil/cluster.key\"\n[cluster.quorum]\npolcy = \"majority\"\n",
     "cluster.toml:7:1: unknown key 'polcy' in [cluster.quorum]; did you mean 'policy'?\n"},
    {"key_file = \"/etc/vigil/cluster.key\"\n",
     "key_file = \"/etc/vigil/cluster.key\"\n[cluster.quorum]\nwait_for_all = 1\n",
     "cluster.toml:7:16: 'wait_for_all' in [cluster.quorum] is an integer; expected a boolean\n"},
    {"key_file = \"/etc/vigil/cluster.key\"\n",
     "key_file = \"/etc/vigil/cluster.key\"\n[cluster.quorum]\ntie_breaker = \"shared/tie\"\n",
     "cluster.toml:7:15: 'tie_breaker' in [cluster.quorum] is 'shared/tie'; expected an absolute path\n"},
    {"key_file = \"/etc/vigil/cluster.key\"\n",
     "key_file = \"/etc/vigil/cluster.key\"\n[cluster.quorum]\ntie_breaker = \"\"\n",
     "cluster.toml:7:15: 'tie_breaker' in [cluster.quorum] is empty; expected 1 to 107 bytes\n"},
    {"id = 3\n", "id = 3\nvotes = 2\n",
     "cluster.toml:49:9: 'votes' in [[node]] under the quorum policy \"majority\", where each node has one; expected "
     "policy = \"weighted\" or \"last_man_standing\" in [cluster.quorum]\n"},
    {"id = 3\n", "id = 3\nvotes = 101\n", "cluster.toml:49:9: 'votes' in [[node]] is 101; expected 0 to 100\n"},
    {"id = 2\n", "id = 2\narbiter = true\n",
     "cluster.toml:57:19: node 'beta' of group 'web' is an arbiter, which votes and runs nothing; expected another "
     "node\n"},
    {"id = 2\n", "id = 2\narbiter = \"yes\"\n",
     "cluster.toml:36:11: 'arbiter' in [[node]] is a string; expected a boolean\n"},
};

std::string report_of(const std::string& text) { return parse_config(text, "/etc/vigil/cluster.toml").report(); }

void the_good_file_is_accepted(void**) {
  const LoadedConfig loaded = parse_config(good, "cluster.toml");
  assert_string_equal(loaded.report().c_str(), "");
  assert_true(loaded.ok());
  const ClusterConfig& config = *loaded.config;
  assert_int_equal(config.nodes.size(), 3);
  const NodeConfig& alpha = config.nodes[0];
  assert_int_equal(alpha.links.size(), 4);  // raw and UDP on public, raw on private, the line
  const LinkKind kinds[] = {LinkKind::ethernet, LinkKind::udp, LinkKind::ethernet, LinkKind::serial};
  const AdapterIndex adapters[] = {0, 0, 1, 2};
  for (std::size_t i = 0; i < 4; ++i) {
    assert_true(alpha.links[i].kind == kinds[i]);
    assert_int_equal(alpha.links[i].adapter, adapters[i]);
    assert_true(alpha.links[i].carries_lease == (i != 3));  // 9600 baud is too slow for `lan`
  }
  assert_int_equal(alpha.adapters[2].peer, 1);
  assert_int_equal(config.networks[0].backup, 1);
  assert_int_equal(config.networks[0].udp_port, 7410);
  assert_false(config.groups[0].fallback);
  assert_int_equal(config.groups[0].application.start_timeout.ns, 1'500'000'000);
  assert_int_equal(config.hooks[0].event, static_cast<int>(EventName::node_down));
  assert_true(config.cluster_id == cluster_id_of("demo") && config.cluster_id != cluster_id_of("demp"));
}

void each_error_is_told_exactly(void**) {
  for (const Case& bad : cases) {
    const std::string report = report_of(with(bad.found, bad.replacement));
    assert_string_equal(report.c_str(), bad.report.c_str());
    assert_false(parse_config(with(bad.found, bad.replacement), "cluster.toml").ok());
  }
}

// One table in front of the networks; `of_node`: a line for each node, in the order of the file.
std::string with_quorum(const std::string& lines, const std::vector<std::string>& of_node) {
  std::string text = with("\n[[network]]", "\n[cluster.quorum]\n" + lines + "[[network]]");
  for (std::size_t i = 0; i < of_node.size(); ++i) {
    const std::string id = "id = " + std::to_string(i + 1) + "\n";
    text.insert(text.find(id) + id.size(), of_node[i]);
  }
  return text;
}

void every_rule_of_the_quorum_can_be_chosen(void**) {
  LoadedConfig loaded = parse_config(
      with_quorum("policy = \"weighted\"\nwait_for_all = true\n", {"votes = 3\n", "votes = 0\n", "arbiter = true\n"}),
      "cluster.toml");
  assert_string_equal(loaded.report().c_str(), "");
  const ClusterConfig& weighted = *loaded.config;
  assert_true(weighted.quorum.policy == QuorumPolicy::weighted && weighted.quorum.wait_for_all);
  assert_true(weighted.quorum.tie_breaker.empty());
  assert_int_equal(weighted.nodes[0].votes, 3);
  assert_int_equal(weighted.nodes[1].votes, 0);
  assert_int_equal(weighted.nodes[2].votes, 1);
  assert_true(weighted.nodes[2].arbiter && !weighted.nodes[0].arbiter);
  const std::uint64_t hash = weighted.hash;
  loaded = parse_config(with_quorum("policy = \"last_man_standing\"\ntie_breaker = \"/shared/tie\"\n", {}), "cluster.toml");
  assert_string_equal(loaded.report().c_str(), "");
  assert_true(loaded.config->quorum.policy == QuorumPolicy::last_man_standing);
  assert_string_equal(loaded.config->quorum.tie_breaker.c_str(), "/shared/tie");
  // To name the default is to say nothing; every other choice is another configuration.
  const std::uint64_t plain = parse_config(good, "cluster.toml").config->hash;
  assert_true(parse_config(with_quorum("policy = \"majority\"\n", {}), "cluster.toml").config->hash == plain);
  assert_true(hash != plain && loaded.config->hash != plain && loaded.config->hash != hash);
}

void votes_that_make_no_quorum_are_told(void**) {
  const std::string none = "votes = 0\n";
  std::string report = parse_config(with_quorum("policy = \"weighted\"\n", {none, none, none}), "cluster.toml").report();
  assert_string_equal(report.c_str(), "cluster.toml:22:9: no node has a vote; expected one at least\n");
  // Three votes have no half.
  const LoadedConfig odd = parse_config(with_quorum("tie_breaker = \"/shared/tie\"\n", {}), "cluster.toml");
  assert_true(odd.ok());
  report = odd.report();
  assert_string_equal(report.c_str(),
                      "cluster.toml:8:15: warning: a tie-breaker, but 3 votes never split evenly: it will not be used\n");
}

void all_errors_are_told_in_the_order_of_the_file(void**) {
  std::string text = with("profile = \"lan\"", "profle = \"lan\"");
  text.replace(text.find("\"node_down\""), 11, "\"nodedown\"");
  text.replace(text.find("\"ethernet\", \"udp\""), 17, "\"ethernet\", \"tcp\"");
  assert_string_equal(
      report_of(text).c_str(),
      "cluster.toml:4:1: unknown key 'profle' in [cluster]; did you mean 'profile'?\n"
      "cluster.toml:9:26: unknown heartbeat driver 'tcp' for a network of kind \"ethernet\"; expected one of: "
      "ethernet, udp\n"
      "cluster.toml:69:9: unknown event 'nodedown' in [[hook]]; did you mean 'node_down'?\n");
}

void syntax_errors_have_their_place(void**) {
  const LoadedConfig loaded = parse_config("version = 1\n[cluster\nname = 1\n", "cluster.toml");
  assert_false(loaded.ok());
  assert_int_equal(loaded.diagnostics.size(), 1);
  assert_int_equal(loaded.diagnostics[0].line, 2);
  // This one trips an assertion inside the TOML library.
  assert_string_equal(report_of("version = 1\n[cluster]\n[&hook]\n").substr(0, 34).c_str(),
                      "cluster.toml:3:1: not valid TOML: ");
  // This one has a line feed in a key, which the library repeats as it is.
  const std::string twice = report_of("[\"a\\nb\"]\n[\"a\\nb\"]\n");
  assert_non_null(strstr(twice.c_str(), "cluster.toml:2:1: not valid TOML: "));
  assert_int_equal(twice.find('\n'), twice.size() - 1);
}

void limits_are_errors_not_crashes(void**) {
  std::string nodes;
  for (int i = 1; i <= 80; ++i)
    nodes += "[[node]]\nname = \"n" + std::to_string(i) + "\"\nid = 1\n[[node.adapter]]\nnetwork=\"a\"\ndevice=\"e\"\n";
  std::string report = report_of("[cluster]\nname=\"x\"\nkey_file=\"/k\"\n[[network]]\nname=\"a\"\n" + nodes);
  assert_non_null(strstr(report.c_str(), "more than 64 nodes; expected at most 64"));
  std::string groups = good;
  for (int i = 0; i < 40; ++i) groups += "[[group]]\nname = \"g" + std::to_string(i) + "\"\nnodes = [\"alpha\"]\n";
  report = report_of(groups);
  assert_non_null(strstr(report.c_str(), "more than 32 groups; expected at most 32"));
  std::string adapters;
  for (int i = 0; i < 9; ++i)
    adapters += "  [[node.adapter]]\n  network = \"private\"\n  device = \"x" + std::to_string(i) + "\"\n";
  report = report_of(with("id = 3\n", "id = 3\n" + adapters));
  assert_non_null(strstr(report.c_str(), "more than 8 adapters on one node"));
  adapters.clear();
  for (int i = 0; i < 4; ++i)
    adapters += "  [[node.adapter]]\n  network = \"public\"\n  device = \"x" + std::to_string(i) +
                "\"\n  address = \"10.77.1.5" + std::to_string(i) + "/24\"\n";
  report = report_of(with("id = 3\n", "id = 3\n" + adapters));
  assert_non_null(strstr(report.c_str(), "has 10 heartbeat links"));
  report = report_of(with("start = \"start it\"", "start = \"" + std::string(256, 'x') + "\""));
  assert_non_null(strstr(report.c_str(), "'start' in [group.application] has 256 bytes; expected at most 255"));
  report = report_of(std::string(300'000, '#'));
  assert_non_null(strstr(report.c_str(), "the file is too large"));
  std::string deep = "x";
  for (int i = 0; i < 400; ++i) deep += ".x";
  report = report_of(deep + " = 1\n");
  assert_non_null(strstr(report.c_str(), "nested more than 32 levels deep"));
}

void weak_configurations_are_warned_of(void**) {
  const struct {
    const char* found;
    const char* replacement;
    const char* warning;
  } weak[] = {
      {"state = \"none\"", "",
       "cluster.toml:61:3: warning: application 'httpd' has state = \"elsewhere\", and no fence device"},
      {"state = \"none\"", "state = \"disks\"",
       "cluster.toml:66:11: warning: application 'httpd' has state = \"disks\", but its group has no disks"},
      {"\"10.99.1.100/24\"", "\"10.77.1.100/24\"",
       "cluster.toml:59:13: warning: service address 10.77.1.100/24 shares its subnet with boot addresses"},
      {"nodes = [\"alpha\", \"beta\"]", "nodes = [\"beta\", \"gamma\"]",
       "cluster.toml:59:13: warning: service address 10.99.1.100/24 lies on no subnet"},
  };
  for (const auto& one : weak) {
    const LoadedConfig loaded = parse_config(with(one.found, one.replacement), "cluster.toml");
    assert_true(loaded.ok());
    assert_non_null(strstr(loaded.report().c_str(), one.warning));
  }
  const LoadedConfig two = parse_config(
      "[cluster]\nname=\"two\"\nkey_file=\"/k\"\n[[network]]\nname=\"a\"\n"
      "[[node]]\nname=\"x\"\nid=1\n[[node.adapter]]\nnetwork=\"a\"\ndevice=\"eth0\"\n"
      "[[node]]\nname=\"y\"\nid=2\n[[node.adapter]]\nnetwork=\"a\"\ndevice=\"eth0\"\n",
      "cluster.toml");
  assert_true(two.ok());
  assert_non_null(strstr(two.report().c_str(), "two nodes: after the failure of one"));
  assert_non_null(strstr(two.report().c_str(), "only one network carries heartbeats"));
  const LoadedConfig with_tie_breaker = parse_config(
      "[cluster]\nname=\"two\"\nkey_file=\"/k\"\n[cluster.quorum]\ntie_breaker=\"/shared/tie\"\n[[network]]\nname=\"a\"\n"
      "[[node]]\nname=\"x\"\nid=1\n[[node.adapter]]\nnetwork=\"a\"\ndevice=\"eth0\"\n"
      "[[node]]\nname=\"y\"\nid=2\n[[node.adapter]]\nnetwork=\"a\"\ndevice=\"eth0\"\n",
      "cluster.toml");
  assert_true(with_tie_breaker.ok());
  assert_null(strstr(with_tie_breaker.report().c_str(), "two nodes"));
}

void the_hash_follows_the_meaning_alone(void**) {
  const auto hash = [](const std::string& text) {
    const LoadedConfig loaded = parse_config(text, "cluster.toml");
    return loaded.ok() ? loaded.config->hash : 0;
  };
  const std::uint64_t original = hash(good);
  assert_true(original != 0);
  const struct {
    const char* found;
    const char* replacement;
  } same[] = {{"[cluster]\n", "# words\n\n[cluster]\n"},
              {"name = \"demo\"\nprofile = \"lan\"", "profile  =  'lan'\nname = \"demo\""},
              {"profile = \"lan\"\n", ""},  // the default
              {"\"1.5s\"", "\"1500ms\""},
              {"/etc/vigil/cluster.key", "/root/other.key"}},
    other[] = {{"profile = \"lan\"", "profile = \"fast\""},
               {"\"demo\"", "\"demo2\""},
               {"10.99.1.100/24", "10.99.1.101/24"},
               {"[\"alpha\", \"beta\"]", "[\"beta\", \"alpha\"]"},
               {"start it", "start  it"},
               {"version = 1", "version = 2"},
               {"baud = 9600\n\n[[node]]\nname = \"beta\"", "baud = 9600\n\n[[node]]\nname = \"bete\""}};
  for (const auto& one : same) assert_true(hash(with(one.found, one.replacement)) == original);
  std::set<std::uint64_t> seen = {original};
  for (std::size_t i = 0; i + 1 < sizeof(other) / sizeof(other[0]); ++i)
    assert_true(seen.insert(hash(with(other[i].found, other[i].replacement))).second);
  // The order of the [[node]] tables is no matter: their ids order them.
  std::string moved = good;
  const std::size_t start = moved.find("[[node]]\nname = \"gamma\"");
  const std::size_t end = moved.find("[[group]]");
  const std::string gamma = moved.substr(start, end - start);
  moved.erase(start, end - start);
  moved.insert(moved.find("[[node]]"), gamma);
  assert_true(hash(moved) == original);
}

void every_example_loads_without_a_finding(void**) {
  int examples = 0;
  for (const auto& entry : std::filesystem::directory_iterator("runtime/config/examples")) {
    const LoadedConfig loaded = load_config(entry.path().string());
    assert_string_equal(loaded.report().c_str(), "");
    assert_true(loaded.ok());
    ++examples;
  }
  assert_int_equal(examples, 7);
}

void a_missing_file_is_one_error(void**) {
  const LoadedConfig loaded = load_config("/nonexistent/cluster.toml");
  assert_string_equal(loaded.report().c_str(),
                      "/nonexistent/cluster.toml: cannot read the configuration: No such file or directory; expected a "
                      "readable file, the same on every node\n");
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(the_good_file_is_accepted),
      cmocka_unit_test(each_error_is_told_exactly),
      cmocka_unit_test(every_rule_of_the_quorum_can_be_chosen),
      cmocka_unit_test(votes_that_make_no_quorum_are_told),
      cmocka_unit_test(all_errors_are_told_in_the_order_of_the_file),
      cmocka_unit_test(syntax_errors_have_their_place),
      cmocka_unit_test(limits_are_errors_not_crashes),
      cmocka_unit_test(weak_configurations_are_warned_of),
      cmocka_unit_test(the_hash_follows_the_meaning_alone),
      cmocka_unit_test(every_example_loads_without_a_finding),
      cmocka_unit_test(a_missing_file_is_one_error),
  };
  return cmocka_run_group_tests_name("config/config", tests, nullptr, nullptr);
}
