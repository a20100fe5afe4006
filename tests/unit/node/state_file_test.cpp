// The state file over a real ring and a real file: what was saved is there after a restart, whatever write
// was cut short; what cannot be trusted is refused, never guessed; a disk that is full is told.
#include "runtime/node/state_file.hpp"

#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <vector>

#include "tests/unit/node/fixture.hpp"
// Last: cmocka's macros (fail, …) bite the standard library.
#include "tests/unit/cmocka.hpp"

using namespace vigil;
using namespace vigil::test;

namespace {

constexpr wire::StoreOwner owner{0xc0ffee, 2};

StoredState state_of(std::uint64_t ceiling) {
  StoredState state;
  state.epoch_ceiling = ceiling;
  state.longest_acknowledged = Duration::from_ms(150);
  state.accepted.stamp = {{ceiling / 2, 1}, 3};
  state.accepted.view.epoch = {ceiling / 2, 1};
  state.accepted.view.coordinator = 1;
  state.accepted.view.members = NodeSet::from_bits(0b110);
  state.accepted.view.incarnations[1] = {5, 6};
  state.accepted.view.incarnations[2] = {7, 8};
  state.accepted.view.rule = {.voters = NodeSet::from_bits(0b111), .needed = 2, .votes = {}};
  return state;
}

struct Saved : StateFileListener {
  struct Answer {
    std::uint64_t token;
    bool ok;
  };
  std::vector<Answer> answers;
  void on_stored(std::uint64_t token, bool ok) override { answers.push_back({token, ok}); }
};

// One run of a daemon, as far as its state goes.
struct Run {
  explicit Run(const std::string& path, const wire::StoreOwner& who = owner) {
    Result<std::unique_ptr<Ring>> made = Ring::create();
    if (made) ring = std::move(made).value();
    Result<std::unique_ptr<StateFile>> opened = StateFile::open(path, who);
    if (opened)
      file = std::move(opened).value();
    else
      error = opened.error().message;
    if (file && ring) file->attach(*ring, saved);
  }
  // Saves and waits for the answer.
  bool save(std::uint64_t token, const StoredState& state) {
    const std::size_t before = saved.answers.size();
    file->save(token, state);
    return run_until(*ring, [&] { return saved.answers.size() > before && saved.answers.back().token >= token; }) &&
           saved.answers.back().ok;
  }

  std::unique_ptr<Ring> ring;
  Saved saved;
  std::unique_ptr<StateFile> file;
  std::string error;
};

// What is on the disk while a run still holds the file: read from a copy, beside it there may be no room.
std::uint64_t ceiling_on_disk(const std::string& path) {
  Directory aside;
  put(aside / "state", content(path));
  const Run run(aside / "state");
  return run.file ? run.file->stored().epoch_ceiling : 0;
}

void a_first_start_has_nothing(void**) {
  Directory directory;
  Run run(directory / "state");
  assert_true(run.file != nullptr);
  assert_int_equal(run.file->stored().epoch_ceiling, 0);
  assert_true(run.file->stored().accepted.stamp == Stamp{});
  assert_int_equal(run.file->stored().longest_acknowledged.ns, 0);
  assert_false(run.file->other_slot_damaged());
}

void what_was_saved_is_there_after_a_restart(void**) {
  Directory directory;
  for (std::uint64_t round = 1; round <= 7; ++round) {
    Run run(directory / "state");
    assert_true(run.file != nullptr);
    if (round > 1) {
      assert_int_equal(run.file->stored().epoch_ceiling, (round - 1) * 1'000);
      assert_true(run.file->stored().accepted == state_of((round - 1) * 1'000).accepted);
      assert_true(run.file->stored().longest_acknowledged == Duration::from_ms(150));
    }
    assert_true(run.save(round, state_of(round * 1'000)));
    assert_int_equal(run.saved.answers.size(), 1);
  }
  assert_int_equal(content(directory / "state").size(), wire::store_bytes);
}

void only_its_owner_may_read_it(void**) {
  Directory directory;
  { assert_true(Run(directory / "state").save(1, state_of(10))); }
  const auto mode = std::filesystem::status(directory / "state").permissions();
  assert_true((mode & (std::filesystem::perms::group_all | std::filesystem::perms::others_all)) ==
              std::filesystem::perms::none);
}

void states_that_come_during_a_write_replace_each_other(void**) {
  Directory directory;
  {
    Run run(directory / "state");
    for (std::uint64_t token = 1; token <= 50; ++token) run.file->save(token, state_of(token * 10));
    assert_true(
        run_until(*run.ring, [&] { return !run.saved.answers.empty() && run.saved.answers.back().token == 50; }));
    assert_true(run.saved.answers.size() < 50);  // not every one was written
    std::uint64_t last = 0;
    for (const Saved::Answer& answer : run.saved.answers) {
      assert_true(answer.ok);
      assert_true(answer.token > last);  // in order: a later one covers the earlier
      last = answer.token;
    }
  }
  assert_int_equal(Run(directory / "state").file->stored().epoch_ceiling, 500);
}

// Two good generations; then one slot is damaged at each of many places.
void a_torn_write_leaves_the_state_before(void**) {
  Directory directory;
  {
    Run run(directory / "state");
    assert_true(run.save(1, state_of(1'000)));  // slot 1
    assert_true(run.save(2, state_of(2'000)));  // slot 0
    assert_true(run.save(3, state_of(3'000)));  // slot 1
  }
  const std::string good = content(directory / "state");
  const std::size_t whole = good.find_last_not_of('\0') + 1 - wire::slot_bytes;  // of the third write
  for (std::size_t cut = 0; cut < whole; cut += cut + 30 < whole ? 7 : 1) {
    // The third write stopped after `cut` bytes: the rest of its slot is what was there before.
    std::string torn = good;
    for (std::size_t i = wire::slot_bytes + cut; i < wire::store_bytes; ++i) torn[i] = static_cast<char>(0x5a);
    put(directory / "torn", torn);
    Run run(directory / "torn");
    assert_true(run.file != nullptr);
    assert_true(run.file->other_slot_damaged());
    assert_int_equal(run.file->stored().epoch_ceiling, 2'000);
    // And the next write goes where the damage is.
    if (cut % 10 != 0) continue;
    assert_true(run.save(4, state_of(4'000)));
    run.file.reset();
    Run after(directory / "torn");
    if (!after.file) print_error("%s\n", after.error.c_str());
    assert_true(after.file != nullptr);
    assert_int_equal(after.file->stored().epoch_ceiling, 4'000);
    assert_false(after.file->other_slot_damaged());
  }
}

void what_cannot_be_trusted_is_refused(void**) {
  Directory directory;
  {
    Run run(directory / "state");
    assert_true(run.save(1, state_of(1'000)));
    assert_true(run.save(2, state_of(2'000)));
  }
  const std::string good = content(directory / "state");
  struct Row {
    const char* what;
    std::string bytes;
    wire::StoreOwner who;
    const char* says;
  };
  std::string both = good;
  both[100] = static_cast<char>(both[100] ^ 1);
  both[wire::slot_bytes + 100] = static_cast<char>(both[wire::slot_bytes + 100] ^ 1);
  const Row rows[] = {
      {"both slots damaged", both, owner, "neither of its two slots"},
      {"another node's", good, {owner.cluster_id, 1}, "another node or cluster"},
      {"another cluster's", good, {owner.cluster_id + 1, owner.node}, "another node or cluster"},
      {"cut", good.substr(0, 9'000), owner, "bytes"},
      {"too long", good + "x", owner, "bytes"},
      {"something else", std::string(wire::store_bytes, 'x'), owner, "neither of its two slots"},
  };
  for (const Row& row : rows) {
    put(directory / "bad", row.bytes);
    Run run(directory / "bad", row.who);
    if (run.file) print_error("taken: %s\n", row.what);
    assert_true(run.file == nullptr);
    assert_non_null(std::strstr(run.error.c_str(), row.says));
    assert_non_null(std::strstr(run.error.c_str(), (directory / "bad").c_str()));  // on what
    assert_true(content(directory / "bad") == row.bytes);  // left as it was, for a person to look at
  }
}

void one_life_at_a_time(void**) {
  Directory directory;
  {
    Run first(directory / "state");
    assert_true(first.file != nullptr);
    const Run second(directory / "state");
    assert_true(second.file == nullptr);
    assert_true(second.error.find("another process") != std::string::npos);
  }
  const Run next(directory / "state");
  assert_true(next.file != nullptr);
}

void a_directory_that_is_not_there_is_told(void**) {
  Run run("/nonexistent/vigil/state");
  assert_true(run.file == nullptr);
  assert_non_null(std::strstr(run.error.c_str(), "/nonexistent/vigil/state"));
}

// The size limit of files stands for the full disk, where no file system may be mounted.
void a_write_that_fails_is_told_and_the_state_before_stays(void**) {
  Directory directory;
  {
    Run run(directory / "state");
    assert_true(run.save(1, state_of(1'000)));  // slot 1: the file has its full length
    assert_true(run.save(2, state_of(2'000)));
  }
  ::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  Run run(directory / "state");
  assert_true(run.file != nullptr);
  rlimit tight = before;
  tight.rlim_cur = 4'096;
  ::setrlimit(RLIMIT_FSIZE, &tight);
  const bool third = run.save(3, state_of(3'000));
  ::setrlimit(RLIMIT_FSIZE, &before);
  const std::uint64_t kept = ceiling_on_disk(directory / "state");
  assert_false(third);
  assert_int_equal(run.saved.answers.back().token, 3);
  assert_int_equal(kept, 2'000);
  // There is room again: the same slot is tried once more.
  assert_true(run.save(4, state_of(4'000)));
  assert_int_equal(ceiling_on_disk(directory / "state"), 4'000);
}

// A real full disk: a file system of a few pages, mounted in a mount namespace of its own.
int on_a_tiny_disk(const std::string& path) {
  if (::unshare(CLONE_NEWNS) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return 77;
  if (::mount("tmpfs", path.c_str(), "tmpfs", 0, "size=32k,nr_inodes=16") != 0) return 77;
  Run run(path + "/state");
  if (!run.file || !run.save(1, state_of(1'000)) || !run.save(2, state_of(2'000))) return 1;
  // Somebody fills what is left; the two slots are there already, and writing goes on.
  {
    std::ofstream filler(path + "/filler", std::ios::binary);
    filler << std::string(64 * 1024, 'f');
  }
  if (!run.save(3, state_of(3'000))) return 2;
  if (ceiling_on_disk(path + "/state") != 3'000) return 3;
  // Full from the start: no room for a state file at all.
  Run late(path + "/other");
  if (!late.file) return late.error.empty() ? 4 : 0;  // told at once …
  if (late.save(1, state_of(1'000))) return 5;        // … or with the first write
  return late.saved.answers.empty() || late.saved.answers.back().ok ? 6 : 0;
}

void a_full_disk_is_told(void**) {
  Directory directory;
  const pid_t child = ::fork();
  if (child == 0) ::_exit(::geteuid() == 0 ? on_a_tiny_disk(directory.path()) : 77);
  int status = 0;
  ::waitpid(child, &status, 0);
  assert_true(WIFEXITED(status));
  if (WEXITSTATUS(status) == 77) {
    print_message("skipped: needs root and a mount namespace\n");
    skip();
  }
  assert_int_equal(WEXITSTATUS(status), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(a_first_start_has_nothing),
      cmocka_unit_test(what_was_saved_is_there_after_a_restart),
      cmocka_unit_test(only_its_owner_may_read_it),
      cmocka_unit_test(states_that_come_during_a_write_replace_each_other),
      cmocka_unit_test(a_torn_write_leaves_the_state_before),
      cmocka_unit_test(what_cannot_be_trusted_is_refused),
      cmocka_unit_test(one_life_at_a_time),
      cmocka_unit_test(a_directory_that_is_not_there_is_told),
      cmocka_unit_test(a_write_that_fails_is_told_and_the_state_before_stays),
      cmocka_unit_test(a_full_disk_is_told),
  };
  return cmocka_run_group_tests_name("node/state_file", tests, nullptr, nullptr);
}
