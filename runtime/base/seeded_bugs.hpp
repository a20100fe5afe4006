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
  accept_below_promise,           // a voter accepts a record of an epoch older than the one it has promised
  later_promise_readmits,         // a later promise acknowledges again whom an earlier one left out
  commit_undoes_vote,             // a commit of an older epoch acknowledges again whom a newer vote left out
  no_restart_wait,                // a restarted voter does not wait for the leases that it acknowledged before
  reuse_epochs_after_restart,     // a restarted voter does not honour its stored ceiling
  admitted_before_clean,          // a restarted node is admitted before what it left running is stopped
  candidate_keeps_own_base,       // a candidate does not adopt the newest record among its promises
  cold_start_with_survivors,      // voters that remember a record count as restarted ones
  other_life_counts_as_survivor,  // a restarted member counts for the life that the old view knew
  commit_without_joiners,         // a view commits before those who join have accepted it
  stamp_used_twice,               // an abandoned proposal leaves its stamp to the next one
  own_remainder_alone,            // the candidate's own word on a lease counts, not the longest
  accept_without_remainders,      // Accept says that no lease is left of those it leaves out
  install_older_record,           // a committed record that comes late is installed over a newer one
  readmit_voted_out_life,         // a life that was voted out is admitted again
  record_ack_once,                // an acknowledgement is not recorded while an earlier one still counts
  remainder_without_drift,        // a voter reckons a lease's end without the drift of clocks
  release_before_stopped,         // a holder reports the release while its application still stops
  stale_release_counts,           // a release of an earlier ownership proves the present one stopped
  proof_outlives_generation,      // a proof is kept from one ownership to the next
  old_owner_not_unproven,         // the owner that a group leaves is not made to prove that it stopped
  expelled_counts_as_stopped,     // an expelled owner counts as stopped
  draft_of_earlier_lead,          // a new lead goes on with the draft of an earlier one
  goodbye_while_stopping,         // a node says goodbye before all that it runs is stopped
  rule_changes_in_one_step,       // a new rule of quorum does not count by the old one first
  start_without_every_voter,      // a start that needs every voter makes do with a majority
  lost_tie_counts_as_won,         // who loses the tie-breaker goes on as if it were won
  win_over_unknown_epoch,         // the tie-breaker is won from an epoch that the candidate does not know
  reading_counts_unanswered,      // a reading of the tie-breaker renews the lease before its answer
  sends_before_all_hold,          // the next key is sent under before every member holds it
  settles_before_all_send,        // the old key is refused before every member sends under the next
  joins_while_switching,          // who joins while the next key is sent under need not hold it
  wrong_clock_admitted,           // a node whose wall clock is far off is admitted
  wrong_clock_expelled,           // a member whose wall clock is far off is voted out
  lease_by_reading_forgotten,     // a lease that lived by readings of the tie-breaker is not waited for
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
const char* place_of(Bug bug);
const char* describe(Bug bug);

#else

constexpr bool seeded_bug(Bug) { return false; }

#endif

}  // namespace vigil
