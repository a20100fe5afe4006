// Depth-first search over the stage's choices. A state that was seen before with as many choices left is not gone
// through again: states are compared by the digest of everything that each core was ever told and when, which
// decides what it holds, and of what is under way. So orders of events that differ only in what happened to
// different nodes count once.
#include "tests/sim/exhaustive.hpp"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <unordered_map>

#include "tests/sim/stage.hpp"

namespace vigil::sim {

namespace {

constexpr unsigned deepest = 32;

struct Root {
  std::string_view key;  // for the command line
  const char* name;
  int deeper;  // than the plan says: where little can be chosen, more choices fit into the time
  void (*set)(Stage& stage);
};

void set_settled(Stage& stage) {
  stage.settle();
  stage.allow(1, 0);
}
void set_takeover(Stage& stage) {
  stage.settle();
  stage.allow(2, 0);
  stage.take({Move::crash, 1, 0});
  stage.take({Move::start, 1, 0});
  stage.wake();
}
void set_moved(Stage& stage) {
  stage.settle();
  stage.allow(1, 1);
  stage.take({Move::order, 0, 0});
}
void set_cold_start(Stage& stage) {
  stage.wake();
  stage.allow(1, 0);
}
void set_return(Stage& stage) {
  stage.settle();
  stage.crash_and_expel(2);
  stage.take({Move::start, 2, 0});
  stage.take({Move::clean, 2, 0});
  stage.wake();
  // Its stored ceiling refuses the first epoch, the candidate asks for a higher one, and the third raises its own.
  stage.deliver_all();
  stage.wake();
  stage.take({Move::deliver, 1, 0});
  stage.take({Move::next});
  stage.allow(1, 0);
}

constexpr Root roots[] = {
    {"settled", "three members, one serves; one fault", 1, set_settled},
    {"takeover", "its daemon has died and is back, its gate still open; one fault more", 0, set_takeover},
    {"cold", "a cold start; one fault", -1, set_cold_start},
    {"moved", "an operator has moved the group; one fault", 0, set_moved},
    {"return", "an expelled node about to be admitted again; one fault", 0, set_return},
};
constexpr std::size_t root_count = std::size(roots);

// One root's search as its parent sees it, whatever becomes of the child.
struct Search {
  std::atomic<std::uint64_t> states;
  std::atomic<std::uint64_t> choices;
  std::atomic<Invariant> violated;
  std::atomic<bool> done;
  double seconds;
  std::array<Choice, deepest> way;  // to where it is, and to the violation once there is one
  std::atomic<unsigned> length;
};

class Explorer {
 public:
  explicit Explorer(Search& search) : search_(search) {}

  // True: a violation lies within `depth` choices, and search_.way leads to it.
  bool run(const Stage& from, unsigned depth) {
    seen_.clear();
    return visit(from, depth, 0);
  }

 private:
  bool visit(const Stage& stage, unsigned left, unsigned length) {
    search_.length.store(length, std::memory_order_relaxed);
    search_.violated.store(stage.violation().invariant, std::memory_order_relaxed);
    if (stage.violated()) return true;
    const auto [place, fresh] = seen_.try_emplace(stage.digest(), static_cast<std::uint8_t>(left));
    if (fresh) search_.states.fetch_add(1, std::memory_order_relaxed);
    if (!fresh && place->second >= left) return false;
    place->second = static_cast<std::uint8_t>(left);
    if (left == 0) return false;
    std::vector<Choice> choices;
    stage.choices(choices);
    for (const Choice& choice : choices) {
      Stage next = stage;
      search_.way[length] = choice;
      search_.length.store(length + 1, std::memory_order_relaxed);
      search_.choices.fetch_add(1, std::memory_order_relaxed);
      next.take(choice);
      if (visit(next, left - 1, length + 1)) return true;
    }
    return false;
  }

  Search& search_;
  std::unordered_map<std::uint64_t, std::uint8_t> seen_;  // digest: choices that were left
};

bool goes_from(const ExhaustivePlan& plan, const Root& root) { return plan.from.empty() || plan.from == root.key; }

unsigned depth_of(const Root& root, const ExhaustivePlan& plan) {
  const int depth = static_cast<int>(std::min(plan.depth, deepest)) + (plan.from.empty() ? root.deeper : 0);
  return static_cast<unsigned>(std::clamp(depth, 1, static_cast<int>(deepest)));
}

// The whole depth first; where that finds something, the shallowest depth that does.
void search_root(const Root& root, unsigned depth, Search& search) {
  const auto begin = std::chrono::steady_clock::now();
  ClusterConfig config;
  Stage::make_config(config);
  Stage stage(config);
  root.set(stage);
  Explorer explorer(search);
  if (explorer.run(stage, depth))
    for (unsigned shallow = 0; !explorer.run(stage, shallow); ++shallow) continue;
  search.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  search.done.store(true);
}

template <typename Work>
pid_t fork_child(Bug bug, const Work& work) {
  std::fflush(stdout);
  const pid_t pid = fork();
  if (pid < 0) {
    std::perror("vigil-sim: cannot fork a search");
    std::exit(2);
  }
  if (pid != 0) return pid;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  set_seeded_bug(bug);
  work();
  std::fflush(stdout);
  _exit(0);
}

// Goes the found way once more, and tells it.
void narrate(const Root& root, const Search& search) {
  ClusterConfig config;
  Stage::make_config(config);
  Stage stage(config);
  root.set(stage);
  Trace trace;
  trace.reset(TraceMode::print);
  stage.narrate(&trace);
  std::printf("from: %s\n", root.name);
  for (unsigned i = 0; i < search.length.load(); ++i) {
    std::printf("%2u. %s\n", i + 1, stage.describe(search.way[i]).c_str());
    std::fflush(stdout);  // the next choice may end in a core's assertion
    stage.take(search.way[i]);
  }
  std::printf("VIOLATION %s: %s\n", to_string(stage.violation().invariant), stage.violation().text.c_str());
}

struct Searches {
  explicit Searches() {
    void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
      std::perror("vigil-sim: cannot map the memory that the searches share");
      std::exit(2);
    }
    each = new (memory) Search[root_count]{};
  }
  ~Searches() { munmap(each, bytes); }
  Searches(const Searches&) = delete;
  Searches& operator=(const Searches&) = delete;

  static constexpr std::size_t bytes = sizeof(Search) * root_count;
  Search* each;
};

// A root whose child died, by a core's assertion, has a violation too: where its way ends.
void run_searches(const ExhaustivePlan& plan, Searches& searches) {
  std::array<pid_t, root_count> children{};
  std::size_t running = 0;
  const auto reap = [&] {
    int status = 0;
    const pid_t pid = waitpid(-1, &status, 0);
    const auto at = std::find(children.begin(), children.end(), pid);
    if (pid <= 0 || at == children.end()) return;
    Search& search = searches.each[at - children.begin()];
    if (!search.done.load()) search.violated.store(Invariant::assertion);
    --running;
  };
  for (std::size_t i = 0; i < root_count; ++i) {
    if (!goes_from(plan, roots[i])) continue;
    if (running >= std::max<std::size_t>(plan.jobs, 1)) reap();
    children[i] = fork_child(plan.bug, [&] { search_root(roots[i], depth_of(roots[i], plan), searches.each[i]); });
    ++running;
  }
  while (running > 0) reap();
}

void tell_way(const ExhaustivePlan& plan, std::size_t root, const Search& search) {
  int status = 0;
  waitpid(fork_child(plan.bug, [&] { narrate(roots[root], search); }), &status, 0);
  if (WIFSIGNALED(status)) std::printf("VIOLATION %s: this choice ends the core\n", to_string(Invariant::assertion));
}

void tell(const ExhaustivePlan& plan, const Searches& searches, const Exploration& sum, std::size_t guilty) {
  for (std::size_t i = 0; i < root_count; ++i) {
    const Search& search = searches.each[i];
    if (!goes_from(plan, roots[i])) continue;
    std::printf("%s: %llu states by %llu choices, depth %u, %.1f s%s\n", roots[i].name,
                static_cast<unsigned long long>(search.states.load()),
                static_cast<unsigned long long>(search.choices.load()), depth_of(roots[i], plan), search.seconds,
                search.violated.load() != Invariant::none ? ", VIOLATED" : "");
  }
  if (guilty < root_count) tell_way(plan, guilty, searches.each[guilty]);
  std::printf("exhaustive: %llu states, %s\n", static_cast<unsigned long long>(sum.states),
              guilty < root_count ? "VIOLATED" : "no violation");
  std::fflush(stdout);
}

}  // namespace

bool is_starting_point(std::string_view key) {
  return std::any_of(std::begin(roots), std::end(roots), [key](const Root& root) { return root.key == key; });
}

Exploration explore(const ExhaustivePlan& plan) {
  Searches searches;
  run_searches(plan, searches);
  Exploration sum;
  std::size_t guilty = root_count;
  for (std::size_t i = 0; i < root_count; ++i) {
    const Search& search = searches.each[i];
    sum.states += search.states.load();
    if (search.violated.load() == Invariant::none) continue;
    if (guilty < root_count && sum.length <= search.length.load()) continue;
    guilty = i;
    sum.violated = search.violated.load();
    sum.length = search.length.load();
  }
  if (!plan.quiet) tell(plan, searches, sum, guilty);
  return sum;
}

}  // namespace vigil::sim
