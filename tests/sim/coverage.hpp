// Which states of the cores' machines were left for which, and which messages met a core in which state: what
// a run has tried at all. It watches from outside, after each step. coverage.cpp says which of them a large
// run must reach; one that it never reaches is a blind spot of the simulator, or a branch without use.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "runtime/base/message.hpp"
#include "runtime/core/effect.hpp"
#include "runtime/core/status.hpp"

namespace vigil::sim {

enum class Watched : std::uint8_t {
  voter,
  candidacy,
  membership,
  lease,
  peer,
  holder,
  group,
  rule,
  tie_breaker,
  count_
};

class Coverage {
 public:
  static constexpr std::size_t machines = static_cast<std::size_t>(Watched::count_);
  static constexpr std::size_t states = 10;  // of the machine that has most
  static constexpr std::size_t kinds = std::variant_size_v<Message>;
  static constexpr std::size_t first_message_cell = machines * states * states;
  // A message is told by what the receiver's voter, candidacy and membership were at.
  static constexpr std::size_t message_machines = 3;
  static constexpr std::size_t cells = first_message_cell + message_machines * kinds * states;
  using Counts = std::array<std::uint64_t, cells>;

  // A core's picture after a step, and before it.
  void stepped(const NodePhases& before, const NodePhases& after, std::size_t nodes, std::size_t groups);
  void group_moved(GroupPhase from, GroupPhase to) {
    transition(Watched::group, static_cast<std::size_t>(from), static_cast<std::size_t>(to));
  }
  void message(const Message& message, const NodePhases& receiver);
  // By what rule a node's committed view counts, and the one before; what a use of the tie-breaker came to.
  void view_changed(const View& before, const View& after);
  void tie_breaker_used(const effect::UseTieBreaker& use, bool ok, Epoch held, const View& view);

  // Adds to `into`, and starts from nothing.
  template <typename Into>
  void hand_over(Into& into) {
    for (std::size_t i = 0; i < cells; ++i)
      if (counts_[i] != 0) into[i] += counts_[i];
    counts_.fill(0);
  }

 private:
  void transition(Watched machine, std::size_t from, std::size_t to) {
    if (from != to) ++counts_[(static_cast<std::size_t>(machine) * states + from) * states + to];
  }

  Counts counts_{};
};

struct CoverageReport {
  std::size_t wanted = 0;
  std::size_t reached = 0;
  std::vector<std::string> missing;     // wanted, and never seen
  std::vector<std::string> unexpected;  // seen, and not in the table
  std::string table;                    // all counts, for people
};
CoverageReport judge(const Coverage::Counts& counts);

// The runs of a size from which on a missing transition is a failure.
inline constexpr std::uint64_t seeds_that_cover = 10'000;

}  // namespace vigil::sim
