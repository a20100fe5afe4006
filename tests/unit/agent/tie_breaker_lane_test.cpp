// The tie-breaker's lane: every use is answered, once, in time, whatever the tie-breaker does; the process that
// does the work is replaced when it hangs or dies.
#include "runtime/agent/tie_breaker_lane.hpp"

#include <signal.h>

#include <chrono>
#include <thread>

#include "tests/unit/agent/fixture.hpp"
// Last: cmocka's macros (fail, …) bite the standard library.
#include "tests/unit/cmocka.hpp"

using namespace vigil;
using namespace vigil::agent;
using test::Bench;
using test::Directory;

namespace {

constexpr Duration limit = Duration::from_ms(200);

// Reads give epoch 5.1; what a win does is said by its epoch's counter. Its process tells its id in a file.
struct Scripted : disk::TieBreaker {
  enum : std::uint64_t { hangs = 100, dies = 101, fails = 102 };
  explicit Scripted(std::string file) : pid_file(std::move(file)) {}
  Result<Epoch> read() override {
    std::ofstream(pid_file) << ::getpid();
    return Epoch{5, 1};
  }
  Result<Epoch> win(const Epoch& epoch, const Epoch& known, Instant deadline) override {
    if (deadline <= Reactor::now()) return Error::of("too late");
    if (epoch.counter == hangs) std::this_thread::sleep_for(std::chrono::hours(1));
    if (epoch.counter == dies) ::_exit(1);
    if (epoch.counter == fails) return Error::of("the disk is gone");
    return known < epoch ? epoch : known;
  }
  std::string pid_file;
};

struct LaneBench : Bench {
  LaneBench() : lane(std::make_unique<TieBreakerLane>(reactor, std::make_unique<Scripted>(directory / "pid"), limit)) {}
  void ask(bool win, std::uint64_t counter = 0) {
    lane->ask({win, {counter, 0}, {}}, [this](const TieBreakerLane::Outcome& outcome) {
      said += outcome.ok ? std::to_string(outcome.held.counter) + " " : "no(" + outcome.text.str() + ") ";
    });
  }
  bool says(const std::string& expected) {
    const bool right = until([&] { return said.size() >= expected.size(); }) && said == expected;
    if (!right) print_message("said: %s\n", said.c_str());
    said.clear();
    return right;
  }
  pid_t worker() const { return test::pid_in(directory / "pid"); }
  Directory directory;
  std::unique_ptr<TieBreakerLane> lane;
  std::string said;
};

const char* const late = "no(the tie-breaker did not answer within 200 ms) ";
const char* const died = "no(the tie-breaker's worker died) ";

void uses_are_answered_in_order(void**) {
  LaneBench bench;
  assert_true(bench.good);
  bench.ask(false);
  bench.ask(true, 7);
  bench.ask(true, Scripted::fails);
  bench.ask(false);
  assert_true(bench.says("5 7 no(the disk is gone) 5 "));
}

void a_hanging_use_fails_in_time_and_the_next_one_works(void**) {
  LaneBench bench;
  bench.ask(false);
  assert_true(bench.says("5 "));
  const pid_t first = bench.worker();
  const Instant began = Reactor::now();
  bench.ask(true, Scripted::hangs);
  bench.ask(false);  // behind it: answered with it
  assert_true(bench.says(std::string(late) + late));
  const Duration took = Reactor::now() - began;
  assert_true(took >= limit && took < limit * 5);
  assert_true(bench.until([&] { return !test::lives(first); }));
  assert_true(bench.until([&] {
    bench.said.clear();
    bench.ask(false);
    return bench.until([&] { return !bench.said.empty(); }) && bench.said == "5 ";
  }));
  assert_true(bench.worker() != first);
}

void a_worker_that_dies_answers_at_once(void**) {
  LaneBench bench;
  bench.ask(true, Scripted::dies);
  const Instant began = Reactor::now();
  assert_true(bench.says(died));
  assert_true(Reactor::now() - began < limit);
  bench.ask(false);
  assert_true(bench.says("5 "));
}

void a_flood_is_refused_and_everything_answered(void**) {
  LaneBench bench;
  bench.ask(true, Scripted::hangs);
  int answers = 0;
  for (int i = 0; i < 100; ++i) bench.lane->ask({}, [&](const TieBreakerLane::Outcome& o) { answers += o.ok ? 1000 : 1; });
  assert_true(bench.until([&] { return answers == 100; }));
  assert_true(bench.says(late));
}

void the_worker_ends_with_its_lane(void**) {
  LaneBench bench;
  bench.ask(false);
  assert_true(bench.says("5 "));
  const pid_t worker = bench.worker();
  assert_true(test::lives(worker));
  bench.lane.reset();
  assert_true(bench.until([&] { return !test::lives(worker); }));
}

void without_a_tie_breaker_nothing_can_be_won(void**) {
  LaneBench bench;
  bench.lane = std::make_unique<TieBreakerLane>(bench.reactor, nullptr, limit);
  bench.ask(true, 7);
  assert_true(bench.says("no(the configuration has no tie-breaker) "));
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(uses_are_answered_in_order),
      cmocka_unit_test(a_hanging_use_fails_in_time_and_the_next_one_works),
      cmocka_unit_test(a_worker_that_dies_answers_at_once),
      cmocka_unit_test(a_flood_is_refused_and_everything_answered),
      cmocka_unit_test(the_worker_ends_with_its_lane),
      cmocka_unit_test(without_a_tie_breaker_nothing_can_be_won),
  };
  return cmocka_run_group_tests_name("agent/tie_breaker_lane", tests, nullptr, nullptr);
}
