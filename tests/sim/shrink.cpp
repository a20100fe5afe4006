// Delta debugging (Zeller and Hildebrandt 2002) over what a scenario is made of. Everything in a simulated world
// hangs together by its dice: a smaller one may miss the violation by a microsecond. So each is tried with a few
// throws of the world's dice before it is given up.
#include "tests/sim/shrink.hpp"

#include <algorithm>
#include <cstdio>
#include <memory>

namespace vigil::sim {

namespace {

class Shrinker {
 public:
  Shrinker(const Replay& found, const Violation& violation, unsigned max_runs)
      : what_(found), max_runs_(max_runs), kind_(violation.invariant), violation_(violation) {}

  Shrunk run() {
    read_schedule();
    const std::size_t of_faults = kept_.size();
    cut_the_tail();
    fewer_nodes();
    fewer_faults(quick_throws);
    simplify();
    fewer_groups();
    fewer_faults(patient_throws);
    return {what_.cuts, violation_, runs_, kept_.size(), of_faults};
  }

 private:
  static constexpr unsigned quick_throws = 3;
  static constexpr unsigned patient_throws = 8;

  void read_schedule() {
    make_scenario(what_.seed, what_.cuts, *scenario_);
    kept_.clear();
    for (const PlannedFault& fault : scenario_->faults) kept_.push_back(fault.number);
  }

  // Takes these cuts over when some throw of the dice still breaks the same invariant.
  bool holds(Cuts cuts, unsigned throws) {
    const std::uint64_t first = cuts.salt;
    for (unsigned i = 0; i < throws && runs_ < max_runs_; ++i) {
      Replay trial = what_;
      trial.cuts = cuts;
      trial.cuts.salt = i == 0 ? first : next_salt_++;
      RunResult result;
      ++runs_;
      replay(trial, TraceMode::hash_only, result);
      if (result.violation.invariant != kind_) continue;
      what_.cuts = trial.cuts;
      violation_ = result.violation;
      return true;
    }
    return false;
  }

  bool holds_with(Cuts::Numbers faults, unsigned throws) {
    Cuts cuts = what_.cuts;
    cuts.faults = faults;
    if (!holds(cuts, throws)) return false;
    kept_ = std::move(faults);
    return true;
  }

  // What was to strike after the violation had no part in it.
  void cut_the_tail() {
    if (violation_.at == 0) return;
    Cuts::Numbers before;
    for (const PlannedFault& fault : scenario_->faults)
      if (fault.at <= violation_.at) before.push_back(fault.number);
    holds_with(before, 1);
  }

  // Another number of nodes is another schedule altogether: worth a few throws, the smallest first.
  void fewer_nodes() {
    for (std::size_t nodes = 2; nodes < scenario_->nodes; ++nodes) {
      Cuts cuts;
      cuts.nodes = nodes;
      cuts.salt = what_.cuts.salt;
      if (!holds(cuts, patient_throws)) continue;
      read_schedule();
      return cut_the_tail();
    }
  }

  void fewer_faults(unsigned throws) {
    if (!kept_.empty() && holds_with({}, 1)) return;
    for (std::size_t chunk = std::max<std::size_t>(kept_.size() / 2, 1);;) {
      bool smaller = false;
      for (std::size_t at = 0; at < kept_.size();) {
        Cuts::Numbers rest = kept_;
        const auto begin = rest.begin() + static_cast<std::ptrdiff_t>(at);
        rest.erase(begin, begin + static_cast<std::ptrdiff_t>(std::min(chunk, rest.size() - at)));
        if (holds_with(rest, throws))
          smaller = true;
        else
          at += chunk;
      }
      if (runs_ >= max_runs_ || (chunk == 1 && !smaller)) return;
      if (!smaller) chunk /= 2;
      chunk = std::clamp<std::size_t>(chunk, 1, std::max<std::size_t>(kept_.size(), 1));
    }
  }

  void simplify() {
    for (bool Cuts::*const flag : {&Cuts::plain, &Cuts::calm, &Cuts::brief}) {
      Cuts cuts = what_.cuts;
      cuts.*flag = true;
      holds(cuts, patient_throws);
    }
  }

  void fewer_groups() {
    Cuts::Numbers all;
    make_scenario(what_.seed, what_.cuts, *scenario_);
    for (std::uint32_t i = 0; i < scenario_->config.groups.size(); ++i) all.push_back(i);
    for (const std::uint32_t group : all) {
      if (all.size() == 1) return;
      Cuts cuts = what_.cuts;
      cuts.groups = Cuts::Numbers{group};
      if (holds(cuts, quick_throws)) return;
    }
  }

  Replay what_;
  unsigned max_runs_;
  Invariant kind_;
  Violation violation_;
  unsigned runs_ = 0;
  std::uint64_t next_salt_ = 1;
  Cuts::Numbers kept_;  // faults
  std::unique_ptr<Scenario> scenario_ = std::make_unique<Scenario>();
};

}  // namespace

Shrunk shrink(const Replay& found, const Violation& violation, unsigned max_runs) {
  return Shrinker(found, violation, max_runs).run();
}

void tell_shrunk(const Replay& found, const Violation& violation) {
  const Shrunk small = shrink(found, violation);
  Replay what = found;
  what.cuts = small.cuts;
  auto scenario = std::make_unique<Scenario>();
  make_scenario(what.seed, what.cuts, *scenario);
  std::printf("\nseed %llu, shrunk in %u runs to %zu of %zu faults:\n%s\n", static_cast<unsigned long long>(what.seed),
              small.runs, small.faults, small.of_faults, describe(*scenario).c_str());
  RunResult result;
  replay(what, TraceMode::story, result);
  print_violation(what.seed, small.violation);
  print_replay_command(what, "--story");
}

// ---- does it work? --------------------------------------------------------------------------------

namespace {

struct Proof {
  Bug bug;
  std::size_t most_faults;  // that the bug needs to show
};
// Each shows in one story with a failure or two; the rest of a seed's schedule is noise.
constexpr Proof proofs[] = {
    {Bug::skip_lease_wait, 3}, {Bug::ignore_release_proof, 2}, {Bug::forget_accepted_on_promise, 6}};

bool prove_one(const Proof& proof) {
  RunPlan plan;
  plan.bug = proof.bug;
  plan.stop_after = 1;
  plan.progress = false;
  plan.jobs = 1;  // so that the same seed is found first each time
  const RunSummary summary = run_seeds(plan);
  if (summary.findings.empty()) {
    std::printf("WRONG  %-28s breaks nothing in %llu seeds\n", to_string(proof.bug),
                static_cast<unsigned long long>(summary.seeds));
    return false;
  }
  const Finding& finding = summary.findings.front();
  Replay what{finding.seed, {}, proof.bug};
  const Shrunk small = shrink(what, {finding.invariant, finding.at, finding.text});
  what.cuts = small.cuts;
  // What a replay command says must come to the same end, and the bug must be to blame for it.
  what.cuts = parse_cuts(to_text(small.cuts)).value_or(Cuts{});
  RunResult again;
  replay(what, TraceMode::hash_only, again);
  Replay sound = what;
  sound.bug = Bug::none;
  RunResult without;
  replay(sound, TraceMode::hash_only, without);
  const bool right = small.faults <= proof.most_faults && small.runs <= default_shrink_runs &&
                     again.violation.invariant == finding.invariant && again.violation.at == small.violation.at &&
                     without.violation.invariant == Invariant::none;
  std::printf(
      "%s %-28s seed %llu: %zu of %zu faults left, at most %zu expected, %u runs; %s, without the bug %s (%s)\n",
      right ? "ok    " : "WRONG ", to_string(proof.bug), static_cast<unsigned long long>(finding.seed), small.faults,
      small.of_faults, proof.most_faults, small.runs, to_string(again.violation.invariant),
      to_string(without.violation.invariant), to_text(what.cuts).c_str());
  std::fflush(stdout);
  return right;
}

}  // namespace

int prove_shrinker() {
  int wrong = 0;
  for (const Proof& proof : proofs) wrong += prove_one(proof) ? 0 : 1;
  std::printf("prove-shrinker: %zu bugs, %d not shrunk as they should\n", std::size(proofs), wrong);
  return wrong == 0 ? 0 : 1;
}

}  // namespace vigil::sim
