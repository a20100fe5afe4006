// The daemon's log lines: in order, with their level, cut where they are too long; and the writer is never
// held up, not even by a standard error that nobody reads.
#include "runtime/node/log.hpp"

#include <poll.h>

#include <chrono>

#include "tests/unit/node/fixture.hpp"
// Last: cmocka's macros (fail, …) bite the standard library.
#include "tests/unit/cmocka.hpp"

using namespace vigil;
using namespace vigil::test;

namespace {

void lines_come_out_in_order(void**) {
  Directory directory;
  CapturedError captured(directory / "log");
  {
    Log log;
    log.write(LogLevel::error, "one");
    log.write(LogLevel::info, "two ", std::string("and "), "a half");
    log.write(LogLevel::notice, "");
  }  // what is left is written
  captured.give_back();
  assert_string_equal(captured.text().c_str(), "<3>vigild: one\n<6>vigild: two and a half\n<5>vigild: \n");
}

void long_lines_are_cut(void**) {
  Directory directory;
  CapturedError captured(directory / "log");
  {
    Log log;
    log.write(LogLevel::warning, std::string(200, 'a'), std::string(200, 'b'));
  }
  captured.give_back();
  assert_string_equal(captured.text().c_str(),
                      ("<4>vigild: " + std::string(200, 'a') + std::string(100, 'b') + "\n").c_str());
}

void all_lines_of_a_burst_that_fits(void**) {
  Directory directory;
  CapturedError captured(directory / "log");
  {
    Log log;
    for (int i = 0; i < 500; ++i) log.write(LogLevel::info, "line ", std::to_string(i));
  }
  captured.give_back();
  std::istringstream lines(captured.text());
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count)
    assert_string_equal(line.c_str(), ("<6>vigild: line " + std::to_string(count)).c_str());
  assert_int_equal(count, 500);
}

// Standard error is a pipe that is full: the log's thread waits, the loop does not; what did not fit is said.
void a_reader_that_stands_still_holds_up_nobody(void**) {
  int pipe_ends[2];
  assert_int_equal(::pipe2(pipe_ends, O_CLOEXEC), 0);
  ::fcntl(pipe_ends[1], F_SETPIPE_SZ, 4096);
  const int kept = ::dup(STDERR_FILENO);
  ::dup2(pipe_ends[1], STDERR_FILENO);
  ::close(pipe_ends[1]);
  double worst_ms = 0;
  std::string all;
  {
    Log log;
    for (int i = 0; i < 5'000; ++i) {
      const auto before = std::chrono::steady_clock::now();
      log.write(LogLevel::info, "a line that takes its room in the pipe, number ", std::to_string(i));
      const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - before;
      worst_ms = took.count() > worst_ms ? took.count() : worst_ms;
    }
    // Now it is read: everything that was kept comes, and the number of what was not.
    char buffer[4096];
    for (;;) {
      pollfd waiting{pipe_ends[0], POLLIN, 0};
      if (::poll(&waiting, 1, 500) <= 0) break;
      const ssize_t size = ::read(pipe_ends[0], buffer, sizeof buffer);
      if (size <= 0) break;
      all.append(buffer, static_cast<std::size_t>(size));
    }
    ::dup2(kept, STDERR_FILENO);
    ::close(kept);
  }
  ::close(pipe_ends[0]);
  assert_true(worst_ms < 100);  // a blocked writer would have waited for ever
  std::istringstream lines(all);
  int kept_lines = 0;
  long lost = 0;
  for (std::string line; std::getline(lines, line);) {
    kept_lines += line.rfind("<6>vigild: a line", 0) == 0;
    if (line.find(" log lines were lost") != std::string::npos) lost += std::strtol(line.c_str() + 11, nullptr, 10);
  }
  assert_true(lost > 0);
  assert_int_equal(kept_lines + lost, 5'000);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(lines_come_out_in_order),
      cmocka_unit_test(long_lines_are_cut),
      cmocka_unit_test(all_lines_of_a_burst_that_fits),
      cmocka_unit_test(a_reader_that_stands_still_holds_up_nobody),
  };
  return cmocka_run_group_tests_name("node/log", tests, nullptr, nullptr);
}
