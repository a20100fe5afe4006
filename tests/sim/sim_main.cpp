// vigil-sim: the command line of the simulator.
//
//   vigil-sim --seeds N [--first K] [--nodes N] [--bug NAME] [--jobs J]   runs many seeds; from 10,000 on, with
//                                                                         what they must have reached
//   vigil-sim --seed S [--trace | --story | --shrink] [--cut WHAT]        runs one, twice, and compares
//   vigil-sim --exhaustive [--depth N] [--from WHERE] [--bug NAME]        goes every way of three nodes
//   vigil-sim --scale 4,8,16,32,64 [--seeds N] [--jobs J]                 what clusters of these sizes cost: trials
//   vigil-sim --list-bugs | --prove-checker | --prove-shrinker | --self-test
//
// Exit status: 0 all is well; 1 a violation, a bug that was not found, or runs that differ; 2 wrong use.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "tests/sim/bug_hunt.hpp"
#include "tests/sim/exhaustive.hpp"
#include "tests/sim/runner.hpp"
#include "tests/sim/scale.hpp"
#include "tests/sim/self_test.hpp"
#include "tests/sim/shrink.hpp"

namespace vigil::sim {
namespace {

struct Options {
  RunPlan plan;
  std::uint64_t seed = 0;
  bool one_seed = false;
  TraceMode mode = TraceMode::hash_only;
  Cuts cuts;
  bool shrink = false;
  bool list_bugs = false;
  bool prove_checker = false;
  bool self_test = false;
  bool coverage = false;
  bool prove_shrinker = false;
  bool exhaustive = false;
  ExhaustivePlan ways;
  ScalePlan scale;
};

[[noreturn]] void usage(const char* complaint) {
  std::fprintf(
      stderr,
      "vigil-sim: %s\n"
      "usage: vigil-sim --seeds N [--first K] [--nodes 2..64] [--bug NAME] [--jobs J] [--keep-going] [--coverage]\n"
      "       vigil-sim --seed S [--trace | --story | --shrink] [--cut WHAT] [--nodes 2..64] [--bug NAME]\n"
      "       vigil-sim --exhaustive [--depth N] [--from settled|takeover|cold|moved|return] [--bug NAME] [--jobs J]\n"
      "       vigil-sim --scale N,N,... [--seeds N] [--first K] [--jobs J] | --scale N --seed S --trace\n"
      "       vigil-sim --list-bugs | --prove-checker [--bug NAME] [--seeds N] | --prove-shrinker | --self-test\n",
      complaint);
  std::exit(2);
}

std::uint64_t number(const char* text) {
  char* end = nullptr;
  const std::uint64_t value = std::strtoull(text, &end, 10);
  if (text[0] < '0' || text[0] > '9' || *end != '\0') usage("a number is expected after an option that takes one");
  return value;
}

Bug bug_named(std::string_view name) {
  for (unsigned i = 0; i < static_cast<unsigned>(Bug::count_); ++i)
    if (name == to_string(static_cast<Bug>(i))) return static_cast<Bug>(i);
  usage("no such bug; --list-bugs names them");
}

Cuts cuts_of(const char* text) {
  const auto cuts = parse_cuts(text);
  if (!cuts) usage("--cut takes what a replay command says, such as nodes=3,plain,groups=0,faults=4+17,salt=2");
  return *cuts;
}

std::vector<std::size_t> sizes_of(const char* text) {
  std::vector<std::size_t> sizes;
  for (std::string_view rest = text; !rest.empty();) {
    const std::size_t end = std::min(rest.find(','), rest.size());
    sizes.push_back(number(std::string(rest.substr(0, end)).c_str()));
    if (sizes.back() < 4 || sizes.back() > max_sim_nodes) usage("--scale takes sizes from 4 to 64");
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return sizes;
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view option = argv[i];
    const auto value = [&] { return i + 1 < argc ? argv[++i] : (usage("a value is missing"), nullptr); };
    if (option == "--seeds")
      options.plan.seeds = options.scale.seeds = number(value());
    else if (option == "--first")
      options.plan.first = number(value());
    else if (option == "--seed")
      options.seed = number(value()), options.one_seed = true;
    else if (option == "--nodes")
      options.plan.nodes = number(value());
    else if (option == "--jobs")
      options.plan.jobs = number(value());
    else if (option == "--bug")
      options.plan.bug = bug_named(value());
    else if (option == "--keep-going")
      options.plan.stop_after = 64;
    else if (option == "--trace")
      options.mode = TraceMode::print;
    else if (option == "--story")
      options.mode = TraceMode::story;
    else if (option == "--shrink")
      options.shrink = true;
    else if (option == "--cut")
      options.cuts = cuts_of(value());
    else if (option == "--list-bugs")
      options.list_bugs = true;
    else if (option == "--prove-checker")
      options.prove_checker = true;
    else if (option == "--coverage")
      options.coverage = true;
    else if (option == "--self-test")
      options.self_test = true;
    else if (option == "--prove-shrinker")
      options.prove_shrinker = true;
    else if (option == "--scale")
      options.scale.sizes = sizes_of(value());
    else if (option == "--exhaustive")
      options.exhaustive = true;
    else if (option == "--from" && i + 1 < argc && is_starting_point(argv[i + 1]))
      options.ways.from = argv[++i];
    else if (option == "--depth")
      options.ways.depth = static_cast<unsigned>(number(value()));
    else
      usage("unknown option");
  }
  if (options.plan.nodes != 0 && (options.plan.nodes < 2 || options.plan.nodes > max_sim_nodes))
    usage("--nodes takes 2 to 64");
  return options;
}

Replay replay_of(std::uint64_t seed, const RunPlan& plan) {
  Replay what;
  what.seed = seed;
  what.cuts.nodes = plan.nodes;
  what.bug = plan.bug;
  return what;
}

// A transition that a large run never reached fails it. A smaller one only says how far it came.
bool tell_coverage(const Options& options, const RunSummary& summary) {
  const CoverageReport report = judge(summary.coverage);
  if (options.coverage) std::printf("%s", report.table.c_str());
  std::printf("coverage: %zu of %zu transitions and meetings\n", report.reached, report.wanted);
  for (const std::string& name : report.unexpected)
    std::printf("  never seen before, and to be looked at (coverage.cpp): %s\n", name.c_str());
  const bool whole = summary.seeds >= seeds_that_cover && options.plan.nodes == 0 && options.plan.bug == Bug::none;
  if (!whole && !options.coverage) return true;
  for (const std::string& name : report.missing) std::printf("  never reached: %s\n", name.c_str());
  return !whole || report.missing.empty();
}

int run_many(const Options& options) {
  const RunSummary summary = run_seeds(options.plan);
  const auto seeds = static_cast<double>(summary.seeds);
  std::printf(
      "%llu seeds in %.1f s: %.0f/s, %.0f/s a core, %.2f simulated node-hours a second (%.1f in all, %.1f h of "
      "clusters), "
      "%.0f ns a step, %llu commits, hash %016llx, %zu violations\n",
      static_cast<unsigned long long>(summary.seeds), summary.seconds, seeds / summary.seconds,
      seeds / summary.cpu_seconds, summary.node_hours / summary.seconds, summary.node_hours, summary.hours,
      summary.cpu_seconds * 1e9 / static_cast<double>(summary.steps + 1),
      static_cast<unsigned long long>(summary.commits), static_cast<unsigned long long>(summary.hash),
      summary.findings.size());
  std::printf("slowest convergence: %.0f %% of its bound; slowest of %llu clean takeovers: %.0f %% of its bound\n",
              summary.slowest_convergence * 100, static_cast<unsigned long long>(summary.takeovers),
              summary.slowest_takeover * 100);
  const bool covered = tell_coverage(options, summary);
  if (summary.findings.empty()) return covered ? 0 : 1;
  for (const Finding& finding : summary.findings) {
    print_violation(finding.seed, {finding.invariant, finding.at, finding.text});
    print_replay_command(replay_of(finding.seed, options.plan), "--trace");
  }
  const Finding& first = summary.findings.front();
  if (first.invariant != Invariant::determinism)
    tell_shrunk(replay_of(first.seed, options.plan), {first.invariant, first.at, first.text});
  return 1;
}

int run_one(const Options& options) {
  Replay what = replay_of(options.seed, options.plan);
  what.cuts = options.cuts;
  if (what.cuts.nodes == 0) what.cuts.nodes = options.plan.nodes;
  RunResult result;
  RunResult again;
  replay(what, options.mode, result);
  replay(what, TraceMode::hash_only, again);
  std::printf("seed %llu: trace hash %016llx\n", static_cast<unsigned long long>(what.seed),
              static_cast<unsigned long long>(result.trace_hash));
  if (result.trace_hash != again.trace_hash) {
    std::printf("NOT DETERMINISTIC: a second run gave %016llx\n", static_cast<unsigned long long>(again.trace_hash));
    return 1;
  }
  if (result.violation.invariant == Invariant::none) return 0;
  print_violation(what.seed, result.violation);
  if (options.shrink) tell_shrunk(what, result.violation);
  return 1;
}

int list_bugs() {
  for (unsigned i = 1; i < static_cast<unsigned>(Bug::count_); ++i)
    std::printf("%-30s %-13s %s\n", to_string(static_cast<Bug>(i)), place_of(static_cast<Bug>(i)),
                describe(static_cast<Bug>(i)));
  return 0;
}

int go_every_way(const Options& options) {
  ExhaustivePlan plan = options.ways;
  plan.bug = options.plan.bug;
  plan.jobs = options.plan.jobs;
  return explore(plan).violated == Invariant::none ? 0 : 1;
}

int scale(const Options& options) {
  ScalePlan plan = options.scale;
  plan.first = options.one_seed ? options.seed : options.plan.first;
  plan.jobs = options.plan.jobs;
  if (options.one_seed) return play_trial(plan.sizes.front(), plan.first, options.mode);
  return measure_scale(plan);
}

int run(int argc, char** argv) {
  const Options options = parse(argc, argv);
  if (options.list_bugs) return list_bugs();
  if (options.self_test) return self_test();
  if (options.exhaustive) return go_every_way(options);
  if (!options.scale.sizes.empty()) return scale(options);
  if (options.prove_shrinker) return prove_shrinker();
  if (options.prove_checker) return prove_checker(options.plan);
  if (options.one_seed) return run_one(options);
  return run_many(options);
}

}  // namespace
}  // namespace vigil::sim

int main(int argc, char** argv) { return vigil::sim::run(argc, argv); }
