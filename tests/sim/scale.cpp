// Trials in forked workers, and the table of what they cost. See scale.hpp.
#include "tests/sim/scale.hpp"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#include "tests/sim/world.hpp"

namespace vigil::sim {

namespace {

constexpr SimTime view_limit_ns = 1'000'000'000;
// What is the same for every size (headers, empty fields) makes a small cluster look dear, never a large one.
// A heartbeat names whom it hears and acknowledges, up to limits::frame_bytes: some bytes more from 16 nodes to 64.
constexpr double linear_tolerance = 1.1;

struct Outcome {
  bool finished = false;
  Invariant invariant = Invariant::none;
  SimTime at = 0;
  char text[240] = {};
  TrialFigures figures{};
};

struct Shared {
  std::atomic<std::size_t> next;
};

Outcome play(World& world, Scenario& scenario, std::size_t nodes, std::uint64_t seed, TraceMode mode) {
  make_trial(seed, nodes, scenario);
  const RunResult result = world.run(scenario, mode);
  Outcome outcome;
  outcome.finished = true;
  outcome.invariant = result.violation.invariant;
  outcome.at = result.violation.at;
  std::snprintf(outcome.text, sizeof outcome.text, "%s", result.violation.text.c_str());
  outcome.figures = result.trial;
  return outcome;
}

// A core's failed assertion ends one worker: the trial that it was at stays unfinished.
std::vector<Outcome> play_all(const ScalePlan& plan) {
  const std::size_t trials = plan.sizes.size() * plan.seeds;
  const std::size_t bytes = sizeof(Shared) + trials * sizeof(Outcome);
  void* const memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    std::perror("vigil-sim: cannot map the memory that its workers share");
    std::exit(2);
  }
  auto* const shared = new (memory) Shared{};
  auto* const outcomes = reinterpret_cast<Outcome*>(static_cast<char*>(memory) + sizeof(Shared));
  std::fflush(stdout);
  for (std::size_t job = 0; job < std::max<std::size_t>(plan.jobs, 1); ++job) {
    if (fork() != 0) continue;
    auto world = std::make_unique<World>();
    auto scenario = std::make_unique<Scenario>();
    for (std::size_t i = shared->next++; i < trials; i = shared->next++)
      outcomes[i] =
          play(*world, *scenario, plan.sizes[i / plan.seeds], plan.first + i % plan.seeds, TraceMode::hash_only);
    _exit(0);
  }
  while (wait(nullptr) > 0) {
  }
  std::vector<Outcome> all(outcomes, outcomes + trials);
  munmap(memory, bytes);
  return all;
}

double milliseconds(SimTime time) { return static_cast<double>(time) / 1e6; }

SimTime rank(std::vector<SimTime> times, std::size_t percent) {
  std::sort(times.begin(), times.end());
  return times[std::min(times.size() - 1, times.size() * percent / 100)];
}

// A second, for a view that leaves somebody out. Who comes back harms nobody meanwhile.
bool is_limited(TrialStep step) {
  return step == TrialStep::member_dies || step == TrialStep::coordinator_dies || step == TrialStep::five_die ||
         step == TrialStep::partition;
}

// Per node and second, of one trial's quiet step.
struct Traffic {
  double frames_sent = 0;
  double bytes_sent = 0;
  double frames_received = 0;
  double bytes_received = 0;
};

Traffic traffic_of(const Outcome& outcome, std::size_t nodes) {
  const StepFigures& quiet = outcome.figures[static_cast<std::size_t>(TrialStep::quiet)];
  const double node_seconds = milliseconds(quiet.lasted) / 1000 * static_cast<double>(nodes);
  return {static_cast<double>(quiet.sent.frames) / node_seconds, static_cast<double>(quiet.sent.bytes) / node_seconds,
          static_cast<double>(quiet.received.frames) / node_seconds,
          static_cast<double>(quiet.received.bytes) / node_seconds};
}

bool grows_linearly(const ScalePlan& plan, const std::vector<Traffic>& traffic) {
  bool linear = true;
  for (std::size_t i = 1; i < traffic.size(); ++i) {
    // What a node hears comes from its peers: one fewer than there are nodes.
    const double times =
        static_cast<double>(plan.sizes[i] - 1) / static_cast<double>(plan.sizes[i - 1] - 1) * linear_tolerance;
    for (const auto part :
         {&Traffic::frames_sent, &Traffic::bytes_sent, &Traffic::frames_received, &Traffic::bytes_received})
      if (traffic[i].*part > traffic[i - 1].*part * times) linear = false;
  }
  std::printf("%s\n", linear ? "traffic per node grows at most linearly with the nodes"
                             : "FAIL: traffic per node grows faster than the nodes");
  return linear;
}

bool tell_traffic(const ScalePlan& plan, const std::vector<Outcome>& outcomes) {
  std::printf("in quiet, per node and second:\n%6s %14s %14s %16s %16s\n", "nodes", "frames sent", "bytes sent",
              "frames received", "bytes received");
  std::vector<Traffic> traffic;
  for (std::size_t i = 0; i < plan.sizes.size(); ++i) {
    const Outcome& one = outcomes[i * plan.seeds];
    traffic.push_back(traffic_of(one, plan.sizes[i]));
    const Traffic& is = traffic.back();
    std::printf("%6zu %14.0f %14.0f %16.0f %16.0f\n", plan.sizes[i], is.frames_sent, is.bytes_sent, is.frames_received,
                is.bytes_received);
  }
  return grows_linearly(plan, traffic);
}

bool tell_step(const ScalePlan& plan, std::size_t size, const Outcome* outcomes, TrialStep step) {
  std::vector<SimTime> took;
  StepFigures sum;
  for (std::size_t i = 0; i < plan.seeds; ++i) {
    const StepFigures& one = outcomes[i].figures[static_cast<std::size_t>(step)];
    if (!one.done) continue;
    took.push_back(one.took);
    sum.messages += one.messages;
    sum.given_up += one.given_up;
    sum.views += one.views;
    sum.busiest = std::max(sum.busiest, one.busiest);
    sum.sent += one.sent;
  }
  if (took.empty()) return false;
  const auto mean = [&](auto total) { return static_cast<double>(total) / static_cast<double>(took.size()); };
  const SimTime worst = rank(took, 100);
  const bool kept = !is_limited(step) || worst < view_limit_ns;
  std::printf("%6zu  %-20s %8.1f %8.1f %8.1f %10.0f %10.0f %12zu %7.1f %8.1f%s\n", size, to_string(step),
              milliseconds(rank(took, 50)), milliseconds(rank(took, 99)), milliseconds(worst), mean(sum.messages),
              mean(sum.sent.frames), sum.busiest, mean(sum.views), mean(sum.given_up),
              kept ? "" : "  FAIL: over a second");
  return kept;
}

bool tell_violations(const ScalePlan& plan, const std::vector<Outcome>& outcomes) {
  bool sound = true;
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    const Outcome& one = outcomes[i];
    if (one.finished && one.invariant == Invariant::none) continue;
    sound = false;
    const std::size_t size = plan.sizes[i / plan.seeds];
    const auto seed = static_cast<unsigned long long>(plan.first + i % plan.seeds);
    if (one.finished)
      std::printf("VIOLATION, %zu nodes, seed %llu: %s, at %.3f ms: %s\n", size, seed, to_string(one.invariant),
                  milliseconds(one.at), one.text);
    else
      std::printf("VIOLATION, %zu nodes, seed %llu: the run died\n", size, seed);
    std::printf("replay: vigil-sim --scale %zu --seed %llu --trace\n", size, seed);
  }
  return sound;
}

}  // namespace

int measure_scale(const ScalePlan& plan) {
  const std::vector<Outcome> outcomes = play_all(plan);
  const bool linear = tell_traffic(plan, outcomes);
  std::printf(
      "each change, %llu trials a size: milliseconds beyond detection, or beyond the wait of those who return\n",
      static_cast<unsigned long long>(plan.seeds));
  std::printf("%6s  %-20s %8s %8s %8s %10s %10s %12s %7s %8s\n", "nodes", "", "p50", "p99", "max", "messages", "frames",
              "busiest node", "views", "given up");
  bool kept = true;
  for (std::size_t step = 0; step < trial_steps; ++step)
    for (std::size_t i = 0; i < plan.sizes.size(); ++i)
      if (step != static_cast<std::size_t>(TrialStep::quiet))
        kept = tell_step(plan, plan.sizes[i], &outcomes[i * plan.seeds], static_cast<TrialStep>(step)) && kept;
  const bool sound = tell_violations(plan, outcomes);
  return linear && kept && sound ? 0 : 1;
}

int play_trial(std::size_t nodes, std::uint64_t seed, TraceMode mode) {
  auto world = std::make_unique<World>();
  auto scenario = std::make_unique<Scenario>();
  const Outcome outcome = play(*world, *scenario, nodes, seed, mode);
  if (outcome.invariant == Invariant::none) return 0;
  std::printf("VIOLATION %s, at %.3f ms: %s\n", to_string(outcome.invariant), milliseconds(outcome.at), outcome.text);
  return 1;
}

}  // namespace vigil::sim
