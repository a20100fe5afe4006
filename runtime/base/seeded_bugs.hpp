// Names the faults that the simulator can switch on inside the cores, to prove that its checker would
// see them. Each switch reads `if (seeded_bug(Bug::x))` at the very place where a developer could err.
//
// Only the simulator's build defines VIGIL_SEEDED_BUGS. Everywhere else seeded_bug() is a constant
// false, so that no switch, and no state behind it, is left in a program that serves anything.
#pragma once

#include <cstdint>

namespace vigil {

enum class Bug : std::uint8_t {
  none,
  commit_without_old_quorum,      // a new view commits with its own quorum, without the old view's
  skip_lease_wait,                // takeover does not wait for the expelled owner's lease to run out
  renew_from_own_clock_at_ack,    // the lease starts when the acknowledgement arrives, not when the renewal left
  vote_twice_in_epoch,            // a voter promises one epoch counter to several candidates
  restarted_voter_votes_at_once,  // a restarted voter neither waits nor honours what it stored
  ignore_release_proof,           // a live owner's release is taken for granted
  ack_after_expel_vote,           // a voter goes on acknowledging a node that it voted to expel
  forget_accepted_on_promise,     // a promise does not carry the newest accepted record
  late_accuser_not_held_back,     // a stalled node accuses on the strength of its own lateness
  lease_survives_quorum_loss,     // acknowledgements of less than a quorum renew the lease
  count_,
};

#if defined(VIGIL_SEEDED_BUGS) && VIGIL_SEEDED_BUGS

namespace seeded_bugs_detail {
extern Bug active;
}

inline bool seeded_bug(Bug bug) { return seeded_bugs_detail::active == bug; }

// Bug::none switches all off. For the simulator's single thread alone.
void set_seeded_bug(Bug bug);
const char* to_string(Bug bug);
const char* describe(Bug bug);

#else

constexpr bool seeded_bug(Bug) { return false; }

#endif

}  // namespace vigil
