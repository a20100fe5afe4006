// Which clusters an arbiter serves: what its files and directories tell, what is wrong with one of them and leaves
// the others alone, and what a second reading changes for clusters that run.
#include "runtime/node/arbiter_files.hpp"

#include <sodium.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>

#include "tests/unit/node/fixture.hpp"
// Last: cmocka's macros (fail, …) bite the standard library.
#include "tests/unit/cmocka.hpp"

using namespace vigil;
using namespace vigil::test;

namespace {

struct Sketch {
  std::string cluster = "one";
  std::string heartbeat = "ethernet";
  std::string key = "/etc/vigil/cluster.key";
  std::string more_cluster{};  // lines of [cluster] and its tables
  std::string more_network{};
  std::string of_beta{};  // lines of [[node]]
  std::string of_gamma = "arbiter = true\n";
};

std::string file_of(const Sketch& sketch) {
  std::string text = "version = 1\n[cluster]\nname = \"" + sketch.cluster + "\"\nkey_file = \"" + sketch.key + "\"\n" +
                     sketch.more_cluster + "[[network]]\nname = \"net\"\nheartbeat = [\"" + sketch.heartbeat + "\"]\n" +
                     sketch.more_network;
  const std::array<std::string, 3> names = {"alpha", "beta", "gamma"};
  for (std::size_t i = 0; i < names.size(); ++i) {
    text += "[[node]]\nname = \"" + names[i] + "\"\nid = " + std::to_string(i + 1) + "\n";
    if (i == 1) text += sketch.of_beta;
    if (i == 2) text += sketch.of_gamma;
    text += "[[node.adapter]]\nnetwork = \"net\"\ndevice = \"eth0\"\naddress = \"10.0.0." + std::to_string(i + 1) +
            "/24\"\n";
  }
  return text +
         "[[group]]\nname = \"web\"\nnodes = [\"alpha\"]\n[[group.address]]\naddress = \"10.0.1.1/24\"\nnetwork = "
         "\"net\"\n";
}

// A directory of files, read as an arbiter on the host "here" reads it.
struct Files {
  Directory directory;
  std::vector<RunningCluster> running;

  std::string path(const std::string& name) const { return directory / name; }
  void write(const std::string& name, const Sketch& sketch) const { put(path(name), file_of(sketch)); }
  ArbiterReading read() const {
    const std::vector<std::string> arguments = {directory.path()};
    return read_cluster_files(find_cluster_files(arguments), running, "here");
  }
  // All that is read runs from now on.
  void run_all() {
    running.clear();
    for (const ArbiterFile& file : read().clusters)
      running.push_back({file.path, file.config->name.str(), identity_of(file), false});
  }
  ClusterPlan plan() const { return plan_clusters(read(), running); }
};

std::string names_of(const ArbiterReading& reading) {
  std::string text;
  for (const ArbiterFile& file : reading.clusters) text += (text.empty() ? "" : " ") + file.config->name.str();
  return text;
}

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += (text.empty() ? "" : " ") + line;
  return text;
}

std::string text_of(const ClusterPlan& plan) {
  return "start " + std::to_string(plan.start.size()) + ", leave [" + joined(plan.leave) + "], kept [" +
         joined(plan.kept) + "]";
}

void a_directory_is_read_by_name(void**) {
  Files files;
  files.write("b.toml", {.cluster = "two"});
  files.write("a.toml", {.cluster = "one"});
  files.write(".hidden.toml", {.cluster = "hidden"});
  files.write("a.toml.orig", {.cluster = "backup"});
  put(files.path("notes.txt"), "not a cluster");
  const ArbiterReading reading = files.read();
  assert_string_equal(names_of(reading).c_str(), "one two");
  assert_true(reading.problems.empty());
  assert_int_equal(reading.clusters[0].self, 2);
}

struct Refusal {
  Sketch sketch;
  const char* because;  // a part of the line
};

const Refusal refusals[] = {
    {{.of_gamma = ""}, "no node has 'arbiter = true'"},
    {{.of_beta = "arbiter = true\n"}, "several nodes have 'arbiter = true' (beta, gamma), and none is called 'here'"},
    {{.more_cluster = "[cluster.quorum]\ntie_breaker = \"/shared/file\"\n"}, "tie_breaker"},
    {{.cluster = "good"}, "the cluster 'good' is served already by cluster 'good'"},
    {{.of_gamma = "arbitre = true\n"}, "x.toml:"},  // with its line
};

void one_bad_file_spoils_no_other(void**) {
  for (const Refusal& refusal : refusals) {
    Files files;
    files.write("a.toml", {.cluster = "good"});
    files.write("x.toml", refusal.sketch);
    const ArbiterReading reading = files.read();
    assert_string_equal(names_of(reading).c_str(), "good");
    assert_true(joined(reading.problems).find(refusal.because) != std::string::npos);
    assert_true(joined(reading.problems).find(files.path("x.toml")) != std::string::npos);
    assert_string_equal(joined(reading.unreadable).c_str(), files.path("x.toml").c_str());
  }
}

void two_clusters_may_share_an_interface_but_no_port(void**) {
  Files files;
  files.write("a.toml", {.cluster = "one", .heartbeat = "udp"});
  files.write("b.toml", {.cluster = "two", .heartbeat = "udp"});
  files.write("c.toml", {.cluster = "three", .heartbeat = "udp", .more_network = "udp_port = 7411\n"});
  files.write("d.toml", {.cluster = "four", .heartbeat = "ethernet"});
  const ArbiterReading reading = files.read();
  assert_string_equal(names_of(reading).c_str(), "one three four");
  assert_true(joined(reading.problems).find("UDP port 7410 of 10.0.0.3 is used already by cluster 'one'") !=
              std::string::npos);
}

void the_host_name_chooses_among_arbiters(void**) {
  Files files;
  files.write("a.toml", {.of_beta = "arbiter = true\n"});
  const std::vector<std::string> arguments = {files.path("a.toml")};
  const ArbiterReading reading = read_cluster_files(find_cluster_files(arguments), {}, "beta");
  assert_int_equal(reading.clusters.size(), 1);
  assert_int_equal(reading.clusters[0].self, 1);
}

void a_key_beside_the_file_goes_first(void**) {
  Files files;
  files.write("a.toml", {.cluster = "one"});
  files.write("b.toml", {.cluster = "two"});
  put(files.path("b.key"), "0");
  const ArbiterReading reading = files.read();
  assert_string_equal(reading.clusters[0].config->key_file.c_str(), "/etc/vigil/cluster.key");
  assert_string_equal(reading.clusters[1].config->key_file.c_str(), files.path("b.key").c_str());
}

// What a second reading decides.
void what_did_not_change_goes_on(void**) {
  Files files;
  files.write("a.toml", {.cluster = "one"});
  files.run_all();
  put(files.path("a.toml"), file_of({.cluster = "one"}) + "# a remark\n");
  assert_string_equal(text_of(files.plan()).c_str(), "start 0, leave [], kept []");
}

void new_files_start_and_vanished_ones_leave(void**) {
  Files files;
  files.write("a.toml", {.cluster = "one"});
  files.run_all();
  files.write("b.toml", {.cluster = "two"});
  assert_string_equal(text_of(files.plan()).c_str(), "start 1, leave [], kept []");
  files.run_all();
  ::unlink(files.path("a.toml").c_str());
  assert_string_equal(text_of(files.plan()).c_str(), "start 0, leave [one], kept []");
  files.running[0].leaving = true;  // asked once
  assert_string_equal(text_of(files.plan()).c_str(), "start 0, leave [], kept []");
}

void a_changed_file_starts_its_cluster_alone_anew(void**) {
  for (const Sketch& change : {Sketch{.cluster = "one", .more_cluster = "profile = \"wan\"\n"},
                               Sketch{.cluster = "one", .key = "/etc/vigil/other.key"},
                               Sketch{.cluster = "one", .of_beta = "arbiter = true\n", .of_gamma = ""}}) {
    Files files;
    files.write("a.toml", {.cluster = "one"});
    files.write("b.toml", {.cluster = "two"});
    files.run_all();
    files.write("a.toml", change);
    assert_string_equal(text_of(files.plan()).c_str(), "start 0, leave [one], kept []");
    std::erase_if(files.running, [](const RunningCluster& cluster) { return cluster.name == "one"; });
    assert_string_equal(text_of(files.plan()).c_str(), "start 1, leave [], kept []");
  }
}

void a_cluster_outlives_a_file_that_went_bad(void**) {
  Files files;
  files.write("a.toml", {.cluster = "one"});
  files.write("b.toml", {.cluster = "two"});
  files.run_all();
  put(files.path("a.toml"), "version = ");
  assert_string_equal(text_of(files.plan()).c_str(), "start 0, leave [], kept [one]");
}

void clusters_outlive_a_directory_that_cannot_be_read(void**) {
  Files files;
  files.write("a.toml", {.cluster = "one"});
  files.run_all();
  // A directory of the files' names that is none, as when a file system is not there for a moment.
  const FoundFiles nothing{{}, {files.directory.path()}, {}};
  const ClusterPlan plan = plan_clusters(read_cluster_files(nothing, files.running, "here"), files.running);
  assert_string_equal(text_of(plan).c_str(), "start 0, leave [], kept [one]");
}

void a_newcomer_does_not_push_out_what_runs(void**) {
  Files files;
  files.write("b.toml", {.cluster = "one", .heartbeat = "udp"});
  files.run_all();
  files.write("a.toml", {.cluster = "one"});                       // its name, and before it in the directory
  files.write("aa.toml", {.cluster = "two", .heartbeat = "udp"});  // its port
  assert_string_equal(text_of(files.plan()).c_str(), "start 0, leave [], kept []");
  assert_int_equal(files.read().problems.size(), 2);
}

void a_cluster_that_is_renamed_is_another_one(void**) {
  Files files;
  files.write("a.toml", {.cluster = "one"});
  files.run_all();
  files.write("a.toml", {.cluster = "two"});
  assert_string_equal(text_of(files.plan()).c_str(), "start 1, leave [one], kept []");
}

void a_file_that_is_not_there_is_told(void**) {
  Directory directory;
  const std::vector<std::string> arguments = {directory / "no.toml"};
  const FoundFiles found = find_cluster_files(arguments);
  assert_true(found.paths.empty() && found.unreadable.empty());
  assert_true(joined(found.problems).find("no.toml") != std::string::npos);
}

}  // namespace

int main() {
  if (sodium_init() < 0) return 1;
  const CMUnitTest tests[] = {
      cmocka_unit_test(a_directory_is_read_by_name),
      cmocka_unit_test(one_bad_file_spoils_no_other),
      cmocka_unit_test(two_clusters_may_share_an_interface_but_no_port),
      cmocka_unit_test(the_host_name_chooses_among_arbiters),
      cmocka_unit_test(a_key_beside_the_file_goes_first),
      cmocka_unit_test(what_did_not_change_goes_on),
      cmocka_unit_test(new_files_start_and_vanished_ones_leave),
      cmocka_unit_test(a_changed_file_starts_its_cluster_alone_anew),
      cmocka_unit_test(a_cluster_outlives_a_file_that_went_bad),
      cmocka_unit_test(clusters_outlive_a_directory_that_cannot_be_read),
      cmocka_unit_test(a_newcomer_does_not_push_out_what_runs),
      cmocka_unit_test(a_cluster_that_is_renamed_is_another_one),
      cmocka_unit_test(a_file_that_is_not_there_is_told),
  };
  return cmocka_run_group_tests_name("arbiter files", tests, nullptr, nullptr);
}
