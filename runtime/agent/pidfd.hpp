// pidfd_open(2) and pidfd_send_signal(2). (glibc 2.36 declares them without C linkage.)
#pragma once

#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include "runtime/agent/owned_fd.hpp"

namespace vigil::agent {

// Invalid, with errno set, when there is no such process. Closes on exec.
inline OwnedFd open_pidfd(pid_t pid) { return OwnedFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))); }

inline bool signal_pidfd(const OwnedFd& process, int signal_number) {
  return ::syscall(SYS_pidfd_send_signal, process.get(), signal_number, nullptr, 0) == 0;
}

}  // namespace vigil::agent
