// Forked workers, one shared page of numbers.
#include "tests/sim/runner.hpp"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <memory>

namespace vigil::sim {

namespace {

constexpr std::size_t max_jobs = 16;
constexpr std::size_t max_findings = 64;

// Lives in memory that parent and workers share; atomics alone, since a worker may die anywhere.
struct Shared {
  std::atomic<std::uint64_t> next;
  std::atomic<std::uint64_t> done;
  std::atomic<std::uint64_t> steps;
  std::atomic<std::uint64_t> commits;
  std::atomic<std::uint64_t> node_ms;
  std::atomic<std::uint64_t> hash;
  std::atomic<std::uint64_t> found;
  std::atomic<std::uint64_t> sim_ms;
  std::atomic<std::uint64_t> takeovers;
  std::atomic<std::uint64_t> slowest_convergence;  // thousandths of its bound
  std::atomic<std::uint64_t> slowest_takeover;
  std::array<std::atomic<std::uint64_t>, Coverage::cells> coverage;
  std::array<std::atomic<std::uint64_t>, max_jobs> current;  // the seed that a worker is at
  std::array<Finding, max_findings> findings;
};

Shared* map_shared() {
  void* memory = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    std::perror("vigil-sim: cannot map the memory that its workers share");
    std::exit(2);
  }
  return new (memory) Shared{};
}

void raise_to(std::atomic<std::uint64_t>& highest, double part) {
  const auto value = static_cast<std::uint64_t>(part * 1000);
  std::uint64_t seen = highest.load();
  while (seen < value && !highest.compare_exchange_weak(seen, value)) {
  }
}

void count(Shared& shared, World& world, const RunResult& result) {
  shared.sim_ms.fetch_add(static_cast<std::uint64_t>(result.simulated_ns / 1'000'000));
  raise_to(shared.slowest_convergence, result.converged_part);
  raise_to(shared.slowest_takeover, result.takeover_part);
  if (result.takeover_part > 0) shared.takeovers.fetch_add(1);
  world.coverage().hand_over(shared.coverage);
}

void report(Shared& shared, std::uint64_t seed, Invariant invariant, SimTime at, const char* text) {
  const std::uint64_t index = shared.found.fetch_add(1);
  if (index >= max_findings) return;
  Finding& finding = shared.findings[index];
  finding.seed = seed;
  finding.invariant = invariant;
  finding.at = at;
  std::snprintf(finding.text, sizeof finding.text, "%s", text);
}

[[noreturn]] void work(const RunPlan& plan, Shared& shared, std::size_t job) {
  set_seeded_bug(plan.bug);
  // The parent prints what there is to say about a seed that dies.
  if (std::freopen("/dev/null", "w", stderr) == nullptr) _exit(2);
  auto world = std::make_unique<World>();
  auto scenario = std::make_unique<Scenario>();
  for (;;) {
    const std::uint64_t index = shared.next.fetch_add(1);
    if (index >= plan.seeds || shared.found.load() >= plan.stop_after) _exit(0);
    const std::uint64_t seed = plan.first + index;
    shared.current[job].store(seed);
    make_scenario(seed, plan.nodes, *scenario);
    const RunResult result = world->run(*scenario, TraceMode::hash_only);
    shared.steps.fetch_add(result.steps);
    shared.commits.fetch_add(result.commits);
    count(shared, *world, result);
    shared.node_ms.fetch_add(static_cast<std::uint64_t>(result.simulated_ns / 1'000'000) * scenario->nodes);
    shared.hash.fetch_add(result.trace_hash * (seed * 2 + 1));
    if (result.violation.invariant != Invariant::none)
      report(shared, seed, result.violation.invariant, result.violation.at, result.violation.text.c_str());
    // Now and then, the promise that a seed can be replayed is put to the test.
    if (seed % 64 == 0 && world->run(*scenario, TraceMode::hash_only).trace_hash != result.trace_hash)
      report(shared, seed, Invariant::determinism, 0, "two runs of this seed differ");
    shared.done.fetch_add(1);
    shared.current[job].store(0);
  }
}

pid_t start_worker(const RunPlan& plan, Shared& shared, std::size_t job) {
  std::fflush(stdout);
  const pid_t pid = fork();
  if (pid == 0) work(plan, shared, job);
  if (pid < 0) {
    std::perror("vigil-sim: cannot fork a worker");
    std::exit(2);
  }
  return pid;
}

void tell_progress(const RunPlan& plan, const Shared& shared, double seconds) {
  const auto done = static_cast<double>(shared.done.load());
  const double hours = static_cast<double>(shared.node_ms.load()) / 3.6e6;
  std::printf("%10.0f of %llu seeds, %6.0f/s, %.2f simulated node-hours a second, %llu violations\n", done,
              static_cast<unsigned long long>(plan.seeds), done / seconds, hours / seconds,
              static_cast<unsigned long long>(shared.found.load()));
  std::fflush(stdout);
}

void bury(const RunPlan& plan, Shared& shared, std::vector<pid_t>& workers, pid_t pid, int status) {
  const auto at = std::find(workers.begin(), workers.end(), pid);
  if (at == workers.end()) return;
  const auto job = static_cast<std::size_t>(at - workers.begin());
  *at = 0;
  if (!WIFSIGNALED(status)) return;
  const std::uint64_t seed = shared.current[job].load();
  char text[96];
  std::snprintf(text, sizeof text, "the run died of signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
  report(shared, seed, Invariant::assertion, 0, text);
  shared.done.fetch_add(1);
  if (shared.found.load() < plan.stop_after) *at = start_worker(plan, shared, job);
}

}  // namespace

namespace {

double cpu_seconds_of_children() {
  rusage used{};
  getrusage(RUSAGE_CHILDREN, &used);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

}  // namespace

RunSummary run_seeds(const RunPlan& plan) {
  using Clock = std::chrono::steady_clock;
  Shared& shared = *map_shared();
  const std::size_t jobs = std::clamp<std::size_t>(plan.jobs, 1, max_jobs);
  std::vector<pid_t> workers(jobs, 0);
  const double cpu_before = cpu_seconds_of_children();
  const Clock::time_point begin = Clock::now();
  const auto elapsed = [&] { return std::chrono::duration<double>(Clock::now() - begin).count(); };
  for (std::size_t job = 0; job < jobs; ++job) workers[job] = start_worker(plan, shared, job);
  double next_progress = 5;
  while (std::any_of(workers.begin(), workers.end(), [](pid_t pid) { return pid != 0; })) {
    int status = 0;
    const pid_t pid = waitpid(-1, &status, plan.progress ? WNOHANG : 0);
    if (pid > 0)
      bury(plan, shared, workers, pid, status);
    else if (pid == 0)
      usleep(20'000);
    if (plan.progress && elapsed() > next_progress) {
      tell_progress(plan, shared, elapsed());
      next_progress = elapsed() + 5;
    }
  }
  RunSummary summary;
  summary.seeds = shared.done.load();
  summary.steps = shared.steps.load();
  summary.commits = shared.commits.load();
  summary.hours = static_cast<double>(shared.sim_ms.load()) / 3.6e6;
  summary.takeovers = shared.takeovers.load();
  summary.slowest_convergence = static_cast<double>(shared.slowest_convergence.load()) / 1000;
  summary.slowest_takeover = static_cast<double>(shared.slowest_takeover.load()) / 1000;
  for (std::size_t i = 0; i < Coverage::cells; ++i) summary.coverage[i] = shared.coverage[i].load();
  summary.node_hours = static_cast<double>(shared.node_ms.load()) / 3.6e6;
  summary.seconds = elapsed();
  summary.cpu_seconds = cpu_seconds_of_children() - cpu_before;
  summary.hash = shared.hash.load();
  const std::size_t found = std::min<std::size_t>(shared.found.load(), max_findings);
  summary.findings.assign(shared.findings.begin(), shared.findings.begin() + static_cast<std::ptrdiff_t>(found));
  std::sort(summary.findings.begin(), summary.findings.end(),
            [](const Finding& a, const Finding& b) { return a.seed < b.seed; });
  munmap(&shared, sizeof shared);
  return summary;
}

namespace {

const Trace* dying_trace = nullptr;

// The run is lost; what it leaves behind is its trace.
void print_and_die(int signal) {
  if (dying_trace != nullptr) dying_trace->print_tail();
  std::fflush(stdout);
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

// What the child tells its parent.
struct Answer {
  char text[320] = {};
  Invariant invariant = Invariant::none;
  SimTime at = 0;
  std::uint64_t hash = 0;
};

}  // namespace

std::uint64_t replay(const Replay& what, TraceMode mode, RunResult& result) {
  void* memory = mmap(nullptr, sizeof(Answer), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return 0;
  Answer& answer = *new (memory) Answer{};
  std::fflush(stdout);
  const pid_t pid = fork();
  if (pid == 0) {
    set_seeded_bug(what.bug);
    if (mode == TraceMode::hash_only && std::freopen("/dev/null", "w", stderr) == nullptr) _exit(2);
    auto world = std::make_unique<World>();
    auto scenario = std::make_unique<Scenario>();
    make_scenario(what.seed, what.cuts, *scenario);
    dying_trace = &world->trace();
    for (const int signal : {SIGABRT, SIGSEGV, SIGFPE, SIGBUS}) std::signal(signal, print_and_die);
    const RunResult run = world->run(*scenario, mode);
    if (mode != TraceMode::hash_only) world->trace().print_tail();
    answer.invariant = run.violation.invariant;
    answer.at = run.violation.at;
    answer.hash = run.trace_hash;
    std::snprintf(answer.text, sizeof answer.text, "%s", run.violation.text.c_str());
    std::fflush(stdout);
    _exit(0);
  }
  int status = 0;
  if (pid > 0) waitpid(pid, &status, 0);
  result.violation = {answer.invariant, answer.at, answer.text};
  result.trace_hash = answer.hash;
  if (pid < 0 || WIFSIGNALED(status)) {
    result.violation = {Invariant::assertion, 0, "the run died of a signal"};
    result.trace_hash = 0;
  }
  munmap(memory, sizeof(Answer));
  return result.trace_hash;
}

void print_violation(std::uint64_t seed, const Violation& violation) {
  std::printf("VIOLATION seed %llu: %s, at %.3f ms: %s\n", static_cast<unsigned long long>(seed),
              to_string(violation.invariant), static_cast<double>(violation.at) / 1e6, violation.text.c_str());
}

void print_replay_command(const Replay& what, const char* how) {
  std::printf("replay: vigil-sim --seed %llu %s", static_cast<unsigned long long>(what.seed), how);
  if (what.cuts != Cuts{}) std::printf(" --cut %s", to_text(what.cuts).c_str());
  if (what.bug != Bug::none) std::printf(" --bug %s", to_string(what.bug));
  std::printf("\n");
}

}  // namespace vigil::sim
