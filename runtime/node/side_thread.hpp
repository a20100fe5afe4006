// A thread beside the loop, for what may wait: writing lines, files, keys. It is made before the process turns
// real-time, or by a thread of the normal class. Signals are the loop's: one that a thread here let through would
// end the process instead of being read. Memory is locked in full, so the stack is as small as the work allows.
#pragma once

#include <pthread.h>

#include <cstddef>

namespace vigil {

class SideThread {
 public:
  static constexpr std::size_t small_stack = 128 * 1024;

  SideThread(std::size_t stack_bytes, void* (*work)(void*), void* argument);
  // Waits for the end of `work`: whoever owns the thread tells it first.
  ~SideThread();
  SideThread(const SideThread&) = delete;
  SideThread& operator=(const SideThread&) = delete;

 private:
  pthread_t thread_{};
};

// Wakes a thread or a loop that reads this eventfd.
void ring_bell(int eventfd);

}  // namespace vigil
