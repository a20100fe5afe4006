// Keeps the journal on disk: one JSON object a line (runtime/events/journal_json.hpp) in
// <state-dir>/journal.jsonl, of bounded size and age: when it is full, or its first entry a week old, it
// becomes journal.1.jsonl, replacing the one before. So at most 16 MiB are kept, and nothing is older than two
// weeks when something new is written; a week is kept, unless it brought more than 8 MiB (some 20,000 entries).
// A line that a crash or a full disk cut is closed off when writing goes on, and skipped when reading.
//
// The journal explains; nothing depends on it, so it is not synced to the disk line by line.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "runtime/agent/owned_fd.hpp"
#include "runtime/base/cluster.hpp"
#include "runtime/base/journal.hpp"
#include "runtime/base/result.hpp"

namespace vigil::agent {

inline constexpr const char* journal_name = "journal.jsonl";
inline constexpr const char* journal_old_name = "journal.1.jsonl";

class JournalFile {
 public:
  // max_bytes, max_age: of each of the two files.
  static Result<JournalFile> open(const std::string& directory, std::uint64_t max_bytes = 8 * 1024 * 1024,
                                  Duration max_age = Duration::from_s(7 * 86'400));

  // `config` gives names for people; null: none. May block on the disk.
  Status append(const JournalEntry& entry, const ClusterConfig* config);
  std::uint64_t size_bytes() const { return size_; }

 private:
  Status reopen();
  Status rotate();

  std::string directory_;
  std::uint64_t max_bytes_ = 0;
  Duration max_age_;
  std::uint64_t size_ = 0;
  std::int64_t oldest_wall_ns_ = 0;  // of the first entry; 0: there is none that can be read
  OwnedFd fd_;
};

// Appends from a thread of its own, so that a slow or hanging disk holds up nothing else. Entries that
// do not fit into the queue any more are counted, and told when writing works again.
class JournalWriter {
 public:
  static constexpr std::size_t queue_limit = 4096;

  // `config` must outlive the writer.
  JournalWriter(JournalFile file, const ClusterConfig& config);
  // Writes what is queued, waiting at most two seconds for the disk.
  ~JournalWriter();
  JournalWriter(const JournalWriter&) = delete;
  JournalWriter& operator=(const JournalWriter&) = delete;

  void append(const JournalEntry& entry);

 private:
  struct Shared {
    std::mutex mutex;
    std::condition_variable wake;
    std::condition_variable ended;
    std::deque<JournalEntry> queue;
    std::uint64_t dropped = 0;
    bool closing = false;
    bool closed = false;
  };
  static void write_all(const std::shared_ptr<Shared>& shared, JournalFile file, const ClusterConfig* config);

  std::shared_ptr<Shared> shared_;
  std::thread thread_;
};

struct JournalFilter {
  std::optional<GroupIndex> group;
  std::optional<NodeId> node;  // who wrote, or whom it is about
  std::optional<EventName> event;
  std::int64_t since_wall_ns = 0;
  std::size_t newest = 0;  // only this many, the newest; 0: all
};

struct JournalRead {
  std::vector<JournalEntry> entries;  // oldest first
  std::size_t skipped_lines = 0;      // cut, or not understood
};

// Reads both files below `directory`. No journal at all is an empty one.
Result<JournalRead> read_journal(const std::string& directory, const JournalFilter& filter);

}  // namespace vigil::agent
