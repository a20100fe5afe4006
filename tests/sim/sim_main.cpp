// vigil-sim: the command line of the simulator.
//
//   vigil-sim --seeds N [--first K] [--nodes N] [--bug NAME] [--jobs J]   runs many seeds
//   vigil-sim --seed S [--trace]                                          runs one, twice, and compares
//   vigil-sim --list-bugs | --prove-checker | --self-test
//
// Exit status: 0 all is well; 1 a violation, a bug that was not found, or runs that differ; 2 wrong use.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "tests/sim/runner.hpp"
#include "tests/sim/self_test.hpp"

namespace vigil::sim {
namespace {

struct Options {
  RunPlan plan;
  std::uint64_t seed = 0;
  bool one_seed = false;
  bool trace = false;
  bool list_bugs = false;
  bool prove_checker = false;
  bool self_test = false;
};

[[noreturn]] void usage(const char* complaint) {
  std::fprintf(stderr,
               "vigil-sim: %s\n"
               "usage: vigil-sim --seeds N [--first K] [--nodes 2..8] [--bug NAME] [--jobs J] [--keep-going]\n"
               "       vigil-sim --seed S [--trace] [--nodes 2..8] [--bug NAME]\n"
               "       vigil-sim --list-bugs | --prove-checker [--seeds N] | --self-test\n",
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
      options.trace = true;
    else if (option == "--list-bugs")
      options.list_bugs = true;
    else if (option == "--prove-checker")
      options.prove_checker = true;
    else if (option == "--self-test")
      options.self_test = true;
    else
      usage("unknown option");
  }
  if (options.plan.nodes != 0 && (options.plan.nodes < 2 || options.plan.nodes > max_sim_nodes))
    usage("--nodes takes 2 to 8");
  return options;
}

void print_replay_command(std::uint64_t seed, const RunPlan& plan) {
  std::printf("replay: vigil-sim --seed %llu --trace", static_cast<unsigned long long>(seed));
  if (plan.nodes != 0) std::printf(" --nodes %zu", plan.nodes);
  if (plan.bug != Bug::none) std::printf(" --bug %s", to_string(plan.bug));
  std::printf("\n");
}

void print_finding(const Finding& finding) {
  std::printf("VIOLATION seed %llu: %s, at %.3f ms: %s\n", static_cast<unsigned long long>(finding.seed),
              to_string(finding.invariant), static_cast<double>(finding.at) / 1e6, finding.text);
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
    print_finding(finding);
    print_replay_command(finding.seed, options.plan);
  }
  const Finding& first = summary.findings.front();
  std::printf("\nthe end of seed %llu:\n", static_cast<unsigned long long>(first.seed));
  RunResult result;
  replay(first.seed, options.plan.nodes, options.plan.bug, TraceMode::keep_tail, result);
  print_finding(first);
  print_replay_command(first.seed, options.plan);
  return 1;
}

int run_one(const Options& options) {
  RunResult result;
  RunResult again;
  const TraceMode mode = options.trace ? TraceMode::print : TraceMode::hash_only;
  replay(options.seed, options.plan.nodes, options.plan.bug, mode, result);
  replay(options.seed, options.plan.nodes, options.plan.bug, TraceMode::hash_only, again);
  std::printf("seed %llu: trace hash %016llx\n", static_cast<unsigned long long>(options.seed),
              static_cast<unsigned long long>(result.trace_hash));
  if (result.trace_hash != again.trace_hash) {
    std::printf("NOT DETERMINISTIC: a second run gave %016llx\n", static_cast<unsigned long long>(again.trace_hash));
    return 1;
  }
  if (result.violation.invariant == Invariant::none) return 0;
  std::printf("VIOLATION %s, at %.3f ms: %s\n", to_string(result.violation.invariant),
              static_cast<double>(result.violation.at) / 1e6, result.violation.text.c_str());
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
    replay(finding.seed, nodes, Bug::none, TraceMode::hash_only, without);
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
  if (options.prove_checker) return prove_checker(options);
  if (options.one_seed) return run_one(options);
  return run_many(options);
}

}  // namespace
}  // namespace vigil::sim

int main(int argc, char** argv) { return vigil::sim::run(argc, argv); }
