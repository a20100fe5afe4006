#include "runtime/node/side_thread.hpp"

#include <signal.h>
#include <unistd.h>

#include <cstdint>

#include "runtime/base/assert.hpp"

namespace vigil {

SideThread::SideThread(std::size_t stack_bytes, void* (*work)(void*), void* argument) {
  pthread_attr_t attributes;
  VIGIL_ASSERT(::pthread_attr_init(&attributes) == 0);
  VIGIL_ASSERT(::pthread_attr_setstacksize(&attributes, stack_bytes) == 0);
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  VIGIL_ASSERT(::pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
  VIGIL_ASSERT(::pthread_create(&thread_, &attributes, work, argument) == 0);
  VIGIL_ASSERT(::pthread_sigmask(SIG_SETMASK, &before, nullptr) == 0);
  ::pthread_attr_destroy(&attributes);
}

SideThread::~SideThread() { ::pthread_join(thread_, nullptr); }

void ring_bell(int eventfd) {
  const std::uint64_t one = 1;
  (void)!::write(eventfd, &one, sizeof one);
}

}  // namespace vigil
