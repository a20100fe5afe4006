// Brings the entries about membership that other nodes have to this one: when an operator asks, and a moment
// after a view was installed, since what was written while nodes did not hear each other reached nobody. Asks
// every peer that is heard, page by page, one page under way at a time, from where the last time ended. Keeps
// no entries, sends nothing by itself, and never holds up anything but the answer.
#pragma once

#include <array>

#include "runtime/base/cluster.hpp"
#include "runtime/base/message.hpp"
#include "runtime/base/time.hpp"
#include "runtime/node/journal.hpp"

namespace vigil {

class MergeListener {
 public:
  virtual ~MergeListener() = default;
  virtual void send_ask(NodeId to, const JournalAsk& ask) = 0;
  virtual void on_merged_entry(const JournalEntry& entry) = 0;
  // Everybody has answered or was given up: `reached` have told all that they have.
  virtual void on_merged(NodeSet reached) = 0;
};

class JournalMerge {
 public:
  JournalMerge(const ClusterConfig& config, MergeListener& listener);

  // Asks each of `peers` for what it wrote itself, and for what it knows of `missing`, who cannot be asked. A
  // merge that is under way goes on, and asks those of `peers` that it has not asked.
  void begin(Instant now, NodeSet peers, NodeSet missing);
  void on_page(Instant now, NodeId from, const JournalPage& page);
  void advance(Instant now);
  Instant next_deadline() const;
  bool running() const { return running_; }

 private:
  struct Asked {
    std::uint64_t run = 0;       // of its vigild, whose positions these are
    std::uint64_t position = 0;  // where it goes on
    NodeSet writers;             // of all entries before that
    Instant resend;
    int tries = 0;
  };
  void ask(Instant now, NodeId node);
  void maybe_end();

  MergeListener& listener_;
  Duration retry_;
  std::array<Asked, limits::max_nodes> asked_{};
  NodeSet waiting_;  // their answer is not complete
  NodeSet reached_;
  NodeSet given_up_;
  bool running_ = false;
};

// The answer to `ask` from the entries of `journal`, whose positions belong to `run`.
JournalPage journal_page(const Journal& journal, std::uint64_t run, const JournalAsk& ask);

}  // namespace vigil
