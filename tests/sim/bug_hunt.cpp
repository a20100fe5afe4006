// See bug_hunt.hpp.
#include "tests/sim/bug_hunt.hpp"

#include <algorithm>
#include <cstdio>

#include "tests/sim/exhaustive.hpp"

namespace vigil::sim {

namespace {

// A change of the simulator shuffles all seeds: a rare bug that so falls beyond the usual number is still hunted, and
// the table says how far.
constexpr std::uint64_t patience = 5;

// The first finding that is the bug's doing, since its seed is clean without it; one of safety rather than
// one of convergence, which says less. Null: none.
const Finding* telling(const RunSummary& summary, std::size_t nodes) {
  const Finding* best = nullptr;
  for (const Finding& finding : summary.findings) {
    if (best != nullptr && finding.invariant == Invariant::convergence) continue;
    Replay what;
    what.seed = finding.seed;
    what.cuts.nodes = nodes;
    RunResult without;
    replay(what, TraceMode::hash_only, without);
    if (without.violation.invariant != Invariant::none) continue;
    if (finding.invariant != Invariant::convergence) return &finding;
    best = &finding;
  }
  return best;
}

// Those that take so many seeds that the one is looked at first which found it last; where a change of the simulator has
// shuffled the seeds, the hunt begins anew, and this table wants to be brought up to date.
struct Rare {
  Bug bug;
  std::uint64_t seed;
};
constexpr Rare rare[] = {
    {Bug::readmit_voted_out_life, 38878},
    {Bug::remainder_without_drift, 10367},
    {Bug::lease_by_reading_forgotten, 407296},
};
constexpr std::uint64_t patience_with_rare = 60;

// What the exhaustive search must see, from where and within how many choices.
struct Way {
  Bug bug;
  std::string_view from;
  unsigned depth;
  bool alone;  // random faults hardly ever have the one message late or lost that it takes
};
constexpr Way ways[] = {
    {Bug::skip_lease_wait, "takeover", 6, false},          {Bug::vote_twice_in_epoch, "cold", 4, false},
    {Bug::ignore_release_proof, "moved", 4, false},        {Bug::commit_without_joiners, "return", 6, true},
    {Bug::accept_without_remainders, "takeover", 6, true},
};

bool hunt_every_way(const RunPlan& wish, const Way& way) {
  const Bug bug = way.bug;
  ExhaustivePlan plan;
  plan.bug = bug;
  plan.from = way.from;
  plan.depth = way.depth;
  plan.jobs = wish.jobs;
  plan.quiet = true;
  const Exploration found = explore(plan);
  const bool seen = found.violated != Invariant::none;
  std::printf("| `%s` | %s | %s | %s | %s", to_string(bug), place_of(bug), describe(bug),
              seen ? to_string(found.violated) : "MISSED", seen ? "" : "every way |\n");
  if (seen)
    std::printf("every way: %u choices, %llu states |\n", found.length, static_cast<unsigned long long>(found.states));
  std::fflush(stdout);
  return seen;
}

bool found_among(RunPlan& plan, std::uint64_t first, std::uint64_t seeds, std::uint64_t counted_from) {
  plan.first = first;
  plan.seeds = seeds;
  const RunSummary summary = run_seeds(plan);
  const Finding* finding = telling(summary, plan.nodes);
  if (finding == nullptr) return false;
  std::printf("| `%s` | %s | %s | %s | %llu |\n", to_string(plan.bug), place_of(plan.bug), describe(plan.bug),
              to_string(finding->invariant), static_cast<unsigned long long>(finding->seed - counted_from + 1));
  std::fflush(stdout);
  return true;
}

bool hunt(const RunPlan& wish, Bug bug) {
  constexpr std::uint64_t batch = 50;
  RunPlan plan = wish;
  plan.bug = bug;
  plan.stop_after = 12;
  plan.progress = false;
  const Rare* known = std::find_if(std::begin(rare), std::end(rare), [bug](const Rare& one) { return one.bug == bug; });
  const bool is_rare = known != std::end(rare);
  if (is_rare && wish.first == 1 && found_among(plan, known->seed, 1, wish.first)) return true;
  const std::uint64_t most = wish.seeds * (is_rare ? patience_with_rare : patience);
  for (std::uint64_t tried = 0; tried < most; tried += batch)
    if (found_among(plan, wish.first + tried, std::min(batch, most - tried), wish.first)) return true;
  std::printf("| `%s` | %s | %s | MISSED | > %llu |\n", to_string(bug), place_of(bug), describe(bug),
              static_cast<unsigned long long>(most));
  std::fflush(stdout);
  return false;
}

}  // namespace

int prove_checker(const RunPlan& plan) {
  std::printf("| bug | place | what is wrong | found by | seeds |\n|---|---|---|---|---|\n");
  unsigned hunted = 0;
  unsigned missed = 0;
  for (unsigned i = 1; i < static_cast<unsigned>(Bug::count_); ++i) {
    const auto bug = static_cast<Bug>(i);
    if (plan.bug != Bug::none && plan.bug != bug) continue;
    ++hunted;
    const Way* way = std::find_if(std::begin(ways), std::end(ways), [bug](const Way& one) { return one.bug == bug; });
    const bool has_way = way != std::end(ways);
    if (!has_way || !way->alone) missed += hunt(plan, bug) ? 0 : 1;
    if (has_way) missed += hunt_every_way(plan, *way) ? 0 : 1;
  }
  std::printf("prove-checker: %u bugs, %u missed\n", hunted, missed);
  return missed == 0 ? 0 : 1;
}

}  // namespace vigil::sim
