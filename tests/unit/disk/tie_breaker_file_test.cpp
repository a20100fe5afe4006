// The tie-breaker in a file: what wins and what does not, races of processes for it, and that whatever cannot be
// trusted (torn, foreign, missing, not a file) is an error and never "free".
#include "disk/tie_breaker_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <fstream>
#include <vector>

#include "disk/tie_breaker_record.hpp"
#include "tests/unit/agent/fixture.hpp"
// Last: cmocka's macros (fail, …) bite the standard library.
#include "tests/unit/cmocka.hpp"

using namespace vigil;
using namespace vigil::disk;
using test::content;
using test::Directory;

namespace {

constexpr std::uint32_t cluster = 7;
constexpr Instant no_deadline = Instant::never();
constexpr std::size_t slot = tie_breaker_slot_bytes;

struct Fixture {
  Fixture() : path(directory / "tie") { write(""); }
  void write(const std::string& bytes) { std::ofstream(path, std::ios::trunc | std::ios::binary) << bytes; }
  TieBreakerFile file(std::uint32_t of = cluster) const { return TieBreakerFile(path, of); }
  // What it is won for afterwards, as text; or "error".
  std::string win(Epoch epoch, Epoch known) { return text(file().win(epoch, known, no_deadline)); }
  std::string read() { return text(file().read()); }
  static std::string text(const Result<Epoch>& held) {
    if (!held) return "error";
    return held->is_genesis() ? "free" : std::to_string(held->counter) + "." + std::to_string(held->proposer);
  }
  Directory directory;
  std::string path;
};

void whoever_knows_of_the_winner_may_win(void**) {
  Fixture f;
  assert_string_equal(f.read().c_str(), "free");
  assert_string_equal(f.win({5, 0}, {1, 0}).c_str(), "5.0");
  assert_string_equal(f.read().c_str(), "5.0");
  assert_string_equal(f.win({5, 1}, {1, 0}).c_str(), "5.0");  // the same counter, another proposer
  assert_string_equal(f.win({9, 1}, {4, 0}).c_str(), "5.0");  // does not know of the winner
  assert_string_equal(f.win({5, 0}, {1, 0}).c_str(), "5.0");  // already his
  assert_string_equal(f.win({9, 1}, {5, 0}).c_str(), "9.1");
  assert_string_equal(f.win({12, 0}, {8, 0}).c_str(), "9.1");
  assert_string_equal(f.win({12, 0}, {10, 1}).c_str(), "12.0");
  assert_string_equal(f.read().c_str(), "12.0");
  assert_int_equal(content(f.path).size(), tie_breaker_bytes);
}

void nothing_is_written_after_the_deadline(void**) {
  Fixture f;
  const Result<Epoch> late = f.file().win({5, 0}, {1, 0}, Instant{1});
  assert_false(late.ok());
  assert_string_equal(f.read().c_str(), "free");
}

void one_of_two_processes_wins(void**) {
  for (unsigned round = 0; round < 40; ++round) {
    Fixture f;
    if (round % 2 == 1) (void)f.win({3, 2}, {1, 0});
    int gate[2];
    assert_int_equal(::pipe(gate), 0);
    std::vector<pid_t> children;
    for (std::uint8_t node = 0; node < 2; ++node) {
      const pid_t child = ::fork();
      if (child == 0) {
        ::close(gate[1]);
        char byte = 0;
        (void)!::read(gate[0], &byte, 1);  // until all are there
        const Epoch own{5, node};
        const Result<Epoch> held = f.file().win(own, {4, 0}, no_deadline);
        const int won = held ? *held == own : 2;
        ::_exit(won);
      }
      children.push_back(child);
    }
    ::close(gate[0]);
    ::close(gate[1]);
    int winners = 0;
    int winner = -1;
    for (std::size_t i = 0; i < children.size(); ++i) {
      int status = 0;
      ::waitpid(children[i], &status, 0);
      assert_true(WIFEXITED(status) && WEXITSTATUS(status) <= 1);
      if (WEXITSTATUS(status) != 1) continue;
      ++winners;
      winner = static_cast<int>(i);
    }
    assert_int_equal(winners, 1);
    assert_string_equal(f.read().c_str(), ("5." + std::to_string(winner)).c_str());
  }
}

// A win cut short at any point: what was held before is still held, or the new one is; never nothing.
void a_torn_write_is_not_taken_for_an_empty_one(void**) {
  Fixture f;
  (void)f.win({5, 0}, {1, 0});
  const std::string before = content(f.path);
  (void)f.win({9, 1}, {5, 0});
  const std::string after = content(f.path);
  for (const std::size_t cut : {1, 20, 30, 60, 63, 64, 512, 4095, 4096, 4097, 4120, 4150, 8192}) {
    f.write(after.substr(0, cut) + before.substr(cut));
    const std::string held = f.read();
    assert_string_equal(held.c_str(), cut < 63 ? "5.0" : "9.1");
    // And it goes on from there.
    assert_string_equal(f.win({11, 0}, {10, 0}).c_str(), "11.0");
    assert_string_equal(f.read().c_str(), "11.0");
  }
}

void one_lost_copy_changes_nothing(void**) {
  for (const std::size_t lost : {std::size_t{0}, slot}) {
    Fixture f;
    (void)f.win({5, 0}, {1, 0});
    (void)f.win({9, 1}, {5, 0});
    std::string bytes = content(f.path);
    bytes.replace(lost, 100, 100, '\x5a');
    f.write(bytes);
    assert_string_equal(f.read().c_str(), "9.1");
    assert_string_equal(f.win({12, 0}, {5, 0}).c_str(), "9.1");
    // The damaged copy is written first: the good one must outlive a win cut short.
    assert_string_equal(f.win({12, 0}, {9, 1}).c_str(), "12.0");
    bytes = content(f.path);
    assert_memory_equal(bytes.data(), bytes.data() + slot, slot);
  }
}

void what_cannot_be_trusted_is_an_error(void**) {
  Fixture f;
  (void)f.win({5, 0}, {1, 0});
  const std::string good = content(f.path);
  const auto refused = [&f] { return f.read() == "error" && f.win({90, 1}, {80, 1}) == "error"; };

  std::string bytes = good;
  bytes[10] ^= 1;
  bytes[slot + 10] ^= 1;
  f.write(bytes);
  assert_true(refused());  // both copies damaged
  f.write("a letter to a friend\n");
  assert_true(refused());
  assert_string_equal(content(f.path).c_str(), "a letter to a friend\n");
  f.write(good + "x");
  assert_true(refused());  // too long
  f.write(good);
  assert_false(f.file(8).read().ok());  // another cluster's
  assert_false(f.file(8).win({90, 1}, {80, 1}, no_deadline).ok());
  assert_true(content(f.path) == good);

  // Two copies of one generation that differ: its locks did not hold.
  Fixture other;
  (void)other.win({6, 1}, {1, 0});
  f.write(good.substr(0, slot) + content(other.path).substr(slot));
  assert_true(refused());

  // Missing: below a mount that is gone each half would make its own.
  ::unlink(f.path.c_str());
  assert_true(refused());
  assert_int_equal(::access(f.path.c_str(), F_OK), -1);
  ::mkdir(f.path.c_str(), 0700);
  assert_true(refused());
}

void errors_say_what_to_do(void**) {
  Fixture f;
  ::unlink(f.path.c_str());
  const Result<Epoch> missing = f.file().read();
  assert_non_null(strstr(missing.error().message.c_str(), "truncate -s 8192"));
  assert_non_null(strstr(missing.error().message.c_str(), f.path.c_str()));
}

// Somebody stands still in the middle of a win, and holds the lock.
void a_reader_waits_for_no_lock(void**) {
  Fixture f;
  (void)f.win({5, 0}, {1, 0});
  const int fd = ::open(f.path.c_str(), O_RDWR | O_CLOEXEC);
  struct flock whole{};
  whole.l_type = F_WRLCK;
  assert_int_equal(::fcntl(fd, F_OFD_SETLK, &whole), 0);
  assert_string_equal(f.read().c_str(), "5.0");
  ::close(fd);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(whoever_knows_of_the_winner_may_win),
      cmocka_unit_test(nothing_is_written_after_the_deadline),
      cmocka_unit_test(one_of_two_processes_wins),
      cmocka_unit_test(a_torn_write_is_not_taken_for_an_empty_one),
      cmocka_unit_test(one_lost_copy_changes_nothing),
      cmocka_unit_test(what_cannot_be_trusted_is_an_error),
      cmocka_unit_test(errors_say_what_to_do),
      cmocka_unit_test(a_reader_waits_for_no_lock),
  };
  return cmocka_run_group_tests_name("disk/tie_breaker_file", tests, nullptr, nullptr);
}
