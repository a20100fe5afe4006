// What happened in a run: always as a hash, which two runs of one seed must agree on bit by bit; as
// readable lines only when asked for, because formatting costs more than simulating.
#pragma once

#include <cstdint>
#include <deque>
#include <set>
#include <string>

#include "runtime/base/message.hpp"
#include "tests/sim/clock.hpp"

namespace vigil::sim {

enum class TraceMode : std::uint8_t {
  hash_only,
  keep_tail,  // of all lines
  print,      // all
  story,      // its beginning printed, its end kept: without the journal, and without repeated messages
};

class Trace {
 public:
  static constexpr std::size_t tail_lines = 400;
  static constexpr std::size_t story_lines = 150;  // printed at once; a story that is longer has …
  static constexpr std::size_t story_end_lines = 20;  // … these at its end

  void reset(TraceMode mode) {
    mode_ = mode;
    hash_ = 0xcbf29ce484222325ULL;
    tail_.clear();
    said_.clear();
    told_ = 0;
  }
  void mix(std::uint64_t value) { hash_ = (hash_ ^ value) * 0x9fb21c651e98df25ULL ^ (hash_ >> 29); }
  std::uint64_t hash() const { return hash_; }

  // Ask before formatting a line.
  bool wanted() const { return mode_ != TraceMode::hash_only; }
  // node no_node: the world's own.
  [[gnu::format(printf, 4, 5)]] void line(SimTime now, NodeId node, const char* format, ...);
  void journal(SimTime now, NodeId node, const JournalEntry& entry);
  void message(SimTime now, NodeId node, NodeId to, const Message& message);
  const std::deque<std::string>& tail() const { return tail_; }
  void print_tail() const;

 private:
  TraceMode mode_ = TraceMode::hash_only;
  std::uint64_t hash_ = 0;
  std::deque<std::string> tail_;
  std::set<std::string> said_;
  std::size_t told_ = 0;  // lines
};

// One line about a message or a record.
std::string describe(const Message& message);
std::string describe(const Record& record, std::size_t groups);

}  // namespace vigil::sim
