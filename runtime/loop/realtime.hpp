// Turns the calling thread real-time: SCHED_FIFO, memory locked and touched beforehand, one processor
// if asked. Each right that cannot be had costs punctuality, never safety; so nothing here is fatal, and
// what is missing comes back as text for the caller to say once.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace vigil {

struct RealtimeOptions {
  int priority = 50;                         // SCHED_FIFO 1…99; 0: stay in the normal class
  int cpu = -1;                              // -1: not pinned
  std::size_t stack_bytes = 256 * 1024;      // touched below the caller's frame
  std::size_t heap_bytes = 2 * 1024 * 1024;  // touched and kept by malloc
};

struct RealtimeReport {
  bool fifo = false;
  bool locked = false;
  bool pinned = false;
  // One line for each thing that could not be had: what was tried, why it failed, what to do.
  std::vector<std::string> missing;
};

// Call once, from the thread that will run the loop, after everything that must not inherit it was
// forked and started. SCHED_RESET_ON_FORK keeps later children, and the kernel's workers that write
// the state file for us, in the normal class.
RealtimeReport enter_realtime(const RealtimeOptions& options);

}  // namespace vigil
