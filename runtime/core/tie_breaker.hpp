// One use of the tie-breaker at a time: what was asked of the shell, and what its answer means. The tie-breaker
// itself holds one epoch, and lets nobody win who does not know of that epoch (effect::UseTieBreaker).
#pragma once

#include "runtime/base/seeded_bugs.hpp"
#include "runtime/core/effect.hpp"

namespace vigil {

class TieBreaker {
 public:
  // Under way, and not given up by the shell for so long that its answer must be lost.
  bool busy(Instant now) const { return asked_ && now - asked_at_ < answer_time; }

  // A round may go ahead of a reading, whose answer is stale then. `members`: of a view that lives by it. Nobody
  // else can win it without all of them, so that it is theirs whichever of their rounds it was won for.
  void win(Instant now, Epoch epoch, Epoch known, Effects& effects) {
    members_ = {};
    ask(now, true, epoch, known, effects);
  }
  void read(Instant now, Epoch epoch, NodeSet members, Effects& effects) {
    members_ = members;
    ask(now, false, epoch, Epoch{}, effects);
  }

  enum class Answer : std::uint8_t { stale, ours, lost, failed };
  // `ours`: at asked_at() or later it was held for epoch().
  Answer on_done(const event::TieBreakerDone& done) {
    if (!asked_ || done.request != request_) return Answer::stale;
    asked_ = false;
    const bool ours = done.held == epoch_ || members_.has(done.held.proposer) || seeded_bug(Bug::lost_tie_counts_as_won);
    last_ = !done.ok ? Answer::failed : ours ? Answer::ours : Answer::lost;
    return last_;
  }
  // What came of the newest use that was answered; stale: there was none.
  Answer last() const { return last_; }

  Epoch epoch() const { return epoch_; }
  Instant asked_at() const { return asked_at_; }
  bool winning() const { return winning_; }

 private:
  // The shell answers within a second; by then the answer has been lost with what should have given it.
  static constexpr Duration answer_time = Duration::from_s(2);

  void ask(Instant now, bool win, Epoch epoch, Epoch known, Effects& effects) {
    asked_ = true;
    winning_ = win;
    asked_at_ = now;
    epoch_ = epoch;
    effects.push(effect::UseTieBreaker{++request_, win, epoch, known});
  }

  Answer last_ = Answer::stale;
  bool asked_ = false;
  bool winning_ = false;
  std::uint32_t request_ = 0;
  Instant asked_at_;
  Epoch epoch_;
  NodeSet members_;
};

}  // namespace vigil
