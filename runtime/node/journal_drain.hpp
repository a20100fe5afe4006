// Writes a node's journal file where there is no vigil-agent to do it: the loop hands entries over, a thread
// writes them, and a disk that is slow, full or gone costs entries and nothing else.
#pragma once

#include <atomic>
#include <string>

#include "runtime/agent/journal_file.hpp"
#include "runtime/base/cluster.hpp"
#include "runtime/loop/fd.hpp"
#include "runtime/node/handover.hpp"
#include "runtime/node/side_thread.hpp"

namespace vigil {

class JournalDrain {
 public:
  // `name` begins its lines on standard error. `config` must outlive it.
  static Result<std::unique_ptr<JournalDrain>> open(const std::string& directory, std::string_view name,
                                                    const ClusterConfig& config);
  ~JournalDrain();  // writes what is left
  JournalDrain(const JournalDrain&) = delete;
  JournalDrain& operator=(const JournalDrain&) = delete;

  void append(const JournalEntry& entry);

 private:
  static constexpr std::size_t capacity = 256;
  // Room for a line of JSON.
  static constexpr std::size_t stack_bytes = 256 * 1024;

  JournalDrain(agent::JournalFile file, std::string_view name, const ClusterConfig& config);
  static void* run(void* drain);
  void write_all();
  void say(const std::string& text) const;

  agent::JournalFile file_;
  std::string name_;
  const ClusterConfig& config_;
  bool failing_ = false;  // the thread's
  Handover<JournalEntry, capacity> entries_;
  std::atomic<bool> stopping_{false};
  Fd wake_;            // eventfd
  SideThread thread_;  // last: it ends first
};

}  // namespace vigil
