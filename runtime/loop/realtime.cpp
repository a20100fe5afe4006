#include "runtime/loop/realtime.hpp"

#include <alloca.h>
#include <errno.h>
#include <malloc.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdlib>

#include "runtime/base/result.hpp"

namespace vigil {

namespace {

void note(RealtimeReport& report, const std::string& tried, int code, const std::string& advice) {
  report.missing.push_back(Error::from_errno(tried, code).message + "; " + advice);
}

// Raises the soft and, where allowed, the hard limit; a failure shows later in what needed it.
void raise_limit(__rlimit_resource_t resource, rlim_t wanted) {
  rlimit limit{};
  if (::getrlimit(resource, &limit) != 0) return;
  rlimit raised{wanted, wanted};
  if (::setrlimit(resource, &raised) == 0) return;
  raised = {limit.rlim_max, limit.rlim_max};
  ::setrlimit(resource, &raised);
}

// Freed memory stays in the (locked, touched) heap, and large blocks come from it too, so that malloc
// asks the kernel for nothing as long as `bytes` suffice.
void keep_heap(std::size_t bytes, RealtimeReport& report) {
  ::mallopt(M_TRIM_THRESHOLD, -1);
  ::mallopt(M_MMAP_MAX, 0);
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  auto* block = static_cast<volatile char*>(std::malloc(bytes));
  if (block == nullptr) {
    note(report, "cannot set " + std::to_string(bytes) + " bytes of heap aside", ENOMEM, "add memory");
    return;
  }
  for (std::size_t i = 0; i < bytes; i += page) block[i] = 0;
  std::free(const_cast<char*>(block));
}

[[gnu::noinline]] void touch_stack(std::size_t bytes) {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  auto* block = static_cast<volatile char*>(alloca(bytes));
  for (std::size_t i = 0; i < bytes; i += page) block[i] = 0;
}

void lock_memory(RealtimeReport& report) {
  raise_limit(RLIMIT_MEMLOCK, RLIM_INFINITY);
  if (::mlockall(MCL_CURRENT | MCL_FUTURE) == 0) {
    report.locked = true;
    return;
  }
  note(report, "cannot lock memory (mlockall)", errno,
       "page faults may delay heartbeats; give CAP_IPC_LOCK or LimitMEMLOCK=infinity");
}

void pin(int cpu, RealtimeReport& report) {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (cpu < CPU_SETSIZE) CPU_SET(static_cast<std::size_t>(cpu), &set);
  if (::sched_setaffinity(0, sizeof set, &set) == 0) {
    report.pinned = true;
    return;
  }
  note(report, "cannot run on processor " + std::to_string(cpu) + " alone", errno,
       "any processor is used; check `cpu` in the configuration and the cpuset of this service");
}

void turn_fifo(int priority, RealtimeReport& report) {
  raise_limit(RLIMIT_RTPRIO, static_cast<rlim_t>(priority));
  raise_limit(RLIMIT_RTTIME, RLIM_INFINITY);
  sched_param parameter{};
  parameter.sched_priority = priority;
  if (::sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &parameter) == 0) {
    report.fifo = true;
    return;
  }
  // With CONFIG_RT_GROUP_SCHED even root is refused in a control group that has no real-time budget.
  const int code = errno;
  note(report, "cannot get SCHED_FIFO priority " + std::to_string(priority), code,
       "wake-ups may be late under load; give CAP_SYS_NICE or LimitRTPRIO, and where the kernel has "
       "RT_GROUP_SCHED set cpu.rt_runtime_us of this control group above 0");
}

}  // namespace

RealtimeReport enter_realtime(const RealtimeOptions& options) {
  RealtimeReport report;
  // Huge pages appear by compaction and zeroing at moments that nobody chose.
  ::prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
  // Timers of a normal thread may be late by 50 µs on purpose. FIFO threads have no slack; this is for
  // the case that FIFO is refused.
  ::prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
  keep_heap(options.heap_bytes, report);
  lock_memory(report);
  touch_stack(options.stack_bytes);
  if (options.cpu >= 0) pin(options.cpu, report);
  if (options.priority > 0) turn_fifo(options.priority, report);
  return report;
}

}  // namespace vigil
