#include "runtime/loop/realtime.hpp"

#include <malloc.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>

#include "tests/unit/cmocka.hpp"

using namespace vigil;

namespace {

// Becoming real-time cannot be undone: each case runs in a child. Returns its exit status.
int in_child(const std::function<bool()>& check) {
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(check() ? 0 : 1);
  int status = -1;
  ::waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

long locked_kib() {
  std::FILE* file = std::fopen("/proc/self/status", "r");
  char line[256];
  long kib = -1;
  while (file != nullptr && std::fgets(line, sizeof line, file) != nullptr)
    if (std::strncmp(line, "VmLck:", 6) == 0) kib = std::atol(line + 6);
  if (file != nullptr) std::fclose(file);
  return kib;
}

bool mentions(const RealtimeReport& report, const char* word) {
  for (const std::string& line : report.missing)
    if (line.find(word) != std::string::npos) return true;
  return false;
}

// What the report says is what the kernel says, with whatever rights this test runs.
void the_report_is_true(void**) {
  const int status = in_child([] {
    const RealtimeReport report = enter_realtime({.priority = 7, .cpu = 0});
    sched_param parameter{};
    ::sched_getparam(0, &parameter);
    const bool fifo = ::sched_getscheduler(0) == (SCHED_FIFO | SCHED_RESET_ON_FORK) && parameter.sched_priority == 7;
    cpu_set_t set;
    ::sched_getaffinity(0, sizeof set, &set);
    const bool pinned = CPU_COUNT(&set) == 1 && CPU_ISSET(0, &set);
    return report.fifo == fifo && report.pinned == pinned && report.locked == (locked_kib() > 0) &&
           report.missing.size() == static_cast<std::size_t>(!fifo + !pinned + !report.locked);
  });
  assert_int_equal(status, 0);
}

void children_are_not_real_time(void**) {
  const int status = in_child([] {
    enter_realtime({.priority = 7});
    return in_child([] { return ::sched_getscheduler(0) == SCHED_OTHER; }) == 0;
  });
  assert_int_equal(status, 0);
}

void priority_zero_asks_for_nothing(void**) {
  const int status = in_child([] {
    const RealtimeReport report = enter_realtime({.priority = 0});
    return !report.fifo && !report.pinned && ::sched_getscheduler(0) == SCHED_OTHER && !mentions(report, "FIFO");
  });
  assert_int_equal(status, 0);
}

// After the start neither the stack nor the heap costs a page fault.
void touched_memory_faults_no_more(void**) {
  const int status = in_child([] {
    const RealtimeReport report = enter_realtime({.priority = 0, .stack_bytes = 128 * 1024});
    if (!report.locked) return true;  // refused: nothing to prove
    rusage before{};
    ::getrusage(RUSAGE_SELF, &before);
    for (int i = 0; i < 50; ++i) {
      auto* block = static_cast<volatile char*>(std::malloc(1024 * 1024));
      for (std::size_t at = 0; at < 1024 * 1024; at += 4096) block[at] = 1;
      std::free(const_cast<char*>(block));
    }
    rusage after{};
    ::getrusage(RUSAGE_SELF, &after);
    return after.ru_minflt - before.ru_minflt <= 2;
  });
  assert_int_equal(status, 0);
}

void missing_rights_are_told_and_survived(void**) {
  const int status = in_child([] {
    const rlimit none{0, 0};
    ::setrlimit(RLIMIT_RTPRIO, &none);
    ::setrlimit(RLIMIT_MEMLOCK, &none);
    if (::geteuid() == 0 && ::setuid(65534) != 0) return false;
    const RealtimeReport report = enter_realtime({.priority = 50, .cpu = 1023});
    return !report.fifo && !report.locked && !report.pinned && report.missing.size() == 3 &&
           mentions(report, "SCHED_FIFO priority 50") && mentions(report, "mlockall") && mentions(report, "1023");
  });
  assert_int_equal(status, 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(the_report_is_true),
      cmocka_unit_test(children_are_not_real_time),
      cmocka_unit_test(priority_zero_asks_for_nothing),
      cmocka_unit_test(touched_memory_faults_no_more),
      cmocka_unit_test(missing_rights_are_told_and_survived),
  };
  return cmocka_run_group_tests_name("loop/realtime", tests, nullptr, nullptr);
}
