// Which commands run right now, in memory shared by the launcher and the agent of the moment: when an
// agent dies, the launcher finds here what it has to kill, for nobody is left to time it out. Commands
// that have ended, and applications that stayed in the background, are not in it.
//
// The memory is that of a file in the state directory, so that it outlives both: when launcher and agent are
// killed together, the next agent finds it there (leftover_runs.hpp). Its name has a number drawn for this
// life, which is in the mark of every command of it. Both hold a lock on the file for as long as they live.
#pragma once

#include <sys/types.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

#include "runtime/agent/owned_fd.hpp"
#include "runtime/base/result.hpp"

namespace vigil::agent {

class RunTable {
 public:
  static constexpr std::size_t capacity = 512;  // commands at one moment
  static constexpr std::string_view file_prefix = "runs.";
  struct Slot {
    std::atomic<std::int32_t> leader{0};    // 0: free; written by the new process itself, before exec
    std::atomic<std::uint32_t> session{0};  // of the agent that runs it
    std::atomic<std::uint32_t> number{0};   // within that
  };
  using Slots = std::array<Slot, capacity>;

  RunTable() = default;
  RunTable(RunTable&& other) noexcept;
  RunTable& operator=(RunTable&& other) noexcept;
  ~RunTable();

  // A new one, all free, in a file of this directory, which is made when it is missing. fd() can be inherited
  // (it closes on exec until that is changed).
  static Result<RunTable> create(const std::string& directory);
  // One that nothing outlives.
  static Result<RunTable> create_in_memory();
  // The one behind an inherited descriptor, or of an earlier life.
  static Result<RunTable> attach(OwnedFd fd);

  int fd() const { return fd_.get(); }
  Slots& slots() { return shared_->slots; }
  // What marks a run in the environment of its processes: nobody else's, ever.
  std::string mark_of(std::uint32_t session, std::uint32_t number) const;
  std::string mark_of(const Slot& slot) const { return mark_of(slot.session.load(), slot.number.load()); }
  // A slot nobody uses, reserved for this run; null when all are taken.
  Slot* reserve(std::uint32_t session, std::uint32_t number);
  static void release(Slot& slot);
  // Takes the file away: nothing runs any more. Only whoever created it knows its name.
  void remove_file();

 private:
  struct Shared {
    std::uint64_t life = 0;
    Slots slots;
  };

  OwnedFd fd_;
  Shared* shared_ = nullptr;
  std::string path_;
};

static_assert(std::atomic<std::int32_t>::is_always_lock_free && std::atomic<std::uint32_t>::is_always_lock_free);

}  // namespace vigil::agent
