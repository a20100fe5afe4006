// Which commands run right now, in memory shared by the launcher and the agent of the moment: when an
// agent dies, the launcher finds here what it has to kill, for nobody is left to time it out. Commands
// that have ended, and applications that stayed in the background, are not in it.
#pragma once

#include <sys/types.h>

#include <array>
#include <atomic>
#include <cstdint>

#include "runtime/agent/owned_fd.hpp"
#include "runtime/base/result.hpp"

namespace vigil::agent {

class RunTable {
 public:
  static constexpr std::size_t capacity = 512;  // commands at one moment
  struct Slot {
    std::atomic<std::int32_t> leader{0};   // 0: free; written by the new process itself, before exec
    std::atomic<std::uint32_t> number{0};  // second half of the run's mark
  };
  using Slots = std::array<Slot, capacity>;

  RunTable() = default;
  RunTable(RunTable&& other) noexcept;
  RunTable& operator=(RunTable&& other) noexcept;
  ~RunTable();

  // A new one, all free. fd() can be inherited (it closes on exec until that is changed).
  static Result<RunTable> create();
  // The one behind an inherited descriptor.
  static Result<RunTable> attach(OwnedFd fd);

  int fd() const { return fd_.get(); }
  Slots& slots() { return *slots_; }
  // A slot nobody uses, reserved for `number`; null when all are taken.
  Slot* reserve(std::uint32_t number);
  static void release(Slot& slot);

 private:
  OwnedFd fd_;
  Slots* slots_ = nullptr;
};

static_assert(std::atomic<std::int32_t>::is_always_lock_free && std::atomic<std::uint32_t>::is_always_lock_free);

}  // namespace vigil::agent
