// vigil-sim: the command line of the simulator.
//
//   vigil-sim --seeds N [--first K] [--nodes N] [--bug NAME] [--jobs J]   runs many seeds
//   vigil-sim --seed S [--trace | --story | --shrink] [--cut WHAT]        runs one, twice, and compares
//   vigil-sim --list-bugs | --prove-checker | --prove-shrinker | --self-test
//
// Exit status: 0 all is well; 1 a violation, a bug that was not found, or runs that differ; 2 wrong use.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "tests/sim/runner.hpp"
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
  bool prove_shrinker = false;
};

[[noreturn]] void usage(const char* complaint) {
  std::fprintf(stderr,
               "vigil-sim: %s\n"
               "usage: vigil-sim --seeds N [--first K] [--nodes 2..8] [--bug NAME] [--jobs J] [--keep-going]\n"
               "       vigil-sim --seed S [--trace | --story | --shrink] [--cut WHAT] [--nodes 2..8] [--bug NAME]\n"
               "       vigil-sim --list-bugs | --prove-checker [--seeds N] | --prove-shrinker | --self-test\n",
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

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view option = argv[i];
    const auto value = [&] { return i + 1 < argc ? argv[++i] : (usage("a value is missing"), nullptr); };
    if (option == "--seeds")
      options.plan.seeds = number(value());
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
    else if (option == "--self-test")
      options.self_test = true;
    else if (option == "--prove-shrinker")
      options.prove_shrinker = true;
    else
      usage("unknown option");
  }
  if (options.plan.nodes != 0 && (options.plan.nodes < 2 || options.plan.nodes > max_sim_nodes))
    usage("--nodes takes 2 to 8");
  return options;
}

Replay replay_of(std::uint64_t seed, const RunPlan& plan) {
  Replay what;
  what.seed = seed;
  what.cuts.nodes = plan.nodes;
  what.bug = plan.bug;
  return what;
}

int run_many(const Options& options) {
  const RunSummary summary = run_seeds(options.plan);
  std::printf(
      "%llu seeds in %.1f s: %.0f/s, %.2f simulated node-hours a second (%.1f in all), %.0f ns a step, "
      "%llu commits, hash %016llx, %zu violations\n",
      static_cast<unsigned long long>(summary.seeds), summary.seconds,
      static_cast<double>(summary.seeds) / summary.seconds, summary.node_hours / summary.seconds, summary.node_hours,
      summary.seconds * static_cast<double>(options.plan.jobs) * 1e9 / static_cast<double>(summary.steps + 1),
      static_cast<unsigned long long>(summary.commits), static_cast<unsigned long long>(summary.hash),
      summary.findings.size());
  if (summary.findings.empty()) return 0;
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
    std::printf("%-32s %s\n", to_string(static_cast<Bug>(i)), describe(static_cast<Bug>(i)));
  return 0;
}

// The first finding that is the bug's doing, since its seed is clean without it; one of safety rather than
// one of convergence, which says less. Null: none.
const Finding* telling(const RunSummary& summary, std::size_t nodes) {
  const Finding* best = nullptr;
  for (const Finding& finding : summary.findings) {
    if (best != nullptr && finding.invariant == Invariant::convergence) continue;
    RunResult without;
    Replay what;
    what.seed = finding.seed;
    what.cuts.nodes = nodes;
    replay(what, TraceMode::hash_only, without);
    if (without.violation.invariant != Invariant::none) continue;
    if (finding.invariant != Invariant::convergence) return &finding;
    best = &finding;
  }
  return best;
}

bool prove_one(const Options& options, Bug bug) {
  constexpr std::uint64_t batch = 50;
  RunPlan plan = options.plan;
  plan.bug = bug;
  plan.stop_after = 12;
  plan.progress = false;
  for (std::uint64_t tried = 0; tried < options.plan.seeds; tried += batch) {
    plan.first = options.plan.first + tried;
    plan.seeds = std::min(batch, options.plan.seeds - tried);
    const RunSummary summary = run_seeds(plan);
    const Finding* finding = telling(summary, plan.nodes);
    if (finding == nullptr) continue;
    std::printf("found  %-30s within %llu seeds, by %s (seed %llu): %s\n", to_string(bug),
                static_cast<unsigned long long>(finding->seed - options.plan.first + 1), to_string(finding->invariant),
                static_cast<unsigned long long>(finding->seed), finding->text);
    std::fflush(stdout);
    return true;
  }
  std::printf("MISSED %-30s not found in %llu seeds\n", to_string(bug),
              static_cast<unsigned long long>(options.plan.seeds));
  return false;
}

int prove_checker(const Options& options) {
  int missed = 0;
  for (unsigned i = 1; i < static_cast<unsigned>(Bug::count_); ++i)
    missed += prove_one(options, static_cast<Bug>(i)) ? 0 : 1;
  std::printf("prove-checker: %u bugs, %d missed\n", static_cast<unsigned>(Bug::count_) - 1, missed);
  return missed == 0 ? 0 : 1;
}

int run(int argc, char** argv) {
  const Options options = parse(argc, argv);
  if (options.list_bugs) return list_bugs();
  if (options.self_test) return self_test();
  if (options.prove_shrinker) return prove_shrinker();
  if (options.prove_checker) return prove_checker(options);
  if (options.one_seed) return run_one(options);
  return run_many(options);
}

}  // namespace
}  // namespace vigil::sim

int main(int argc, char** argv) { return vigil::sim::run(argc, argv); }
