// The switch behind seeded_bug(), and the bugs' names. Empty outside the simulator's build.
#include "runtime/base/seeded_bugs.hpp"

#if defined(VIGIL_SEEDED_BUGS) && VIGIL_SEEDED_BUGS

#include "runtime/base/assert.hpp"

namespace vigil {

namespace seeded_bugs_detail {
Bug active = Bug::none;
}

namespace {

struct BugText {
  const char* name;
  const char* place;  // in the core
  const char* what;
};

constexpr BugText texts[] = {
    {"none", "-", "no bug"},
    {"commit_without_old_quorum", "candidacy", "a new view commits with its own quorum, without the old view's"},
    {"skip_lease_wait", "membership", "takeover does not wait for the expelled owner's lease to run out"},
    {"renew_from_own_clock_at_ack", "lease", "the lease starts when the acknowledgement arrives, not when the renewal left"},
    {"vote_twice_in_epoch", "voter", "a voter promises one epoch counter to several candidates"},
    {"restarted_voter_votes_at_once", "voter", "a restarted voter neither waits nor honours what it stored"},
    {"ignore_release_proof", "group holder", "a live owner's release is taken for granted"},
    {"ack_after_expel_vote", "lease", "a voter goes on acknowledging a node that it voted to expel"},
    {"forget_accepted_on_promise", "voter", "a promise does not carry the newest accepted record"},
    {"late_accuser_not_held_back", "detector", "a stalled node accuses on the strength of its own lateness"},
    {"lease_survives_quorum_loss", "lease", "acknowledgements of less than a quorum renew the lease"},
    {"accept_below_promise", "voter", "a voter accepts a record of an epoch older than the one it has promised"},
    {"later_promise_readmits", "voter", "a later promise acknowledges again whom an earlier one left out"},
    {"commit_undoes_vote", "voter", "a commit of an older epoch acknowledges again whom a newer vote left out"},
    {"no_restart_wait", "voter", "a restarted voter does not wait for the leases that it acknowledged before"},
    {"reuse_epochs_after_restart", "voter", "a restarted voter does not honour its stored ceiling"},
    {"admitted_before_clean", "voter", "a restarted node is admitted before what it left running is stopped"},
    {"candidate_keeps_own_base", "candidacy", "a candidate does not adopt the newest record among its promises"},
    {"cold_start_with_survivors", "candidacy", "voters that remember a record count as restarted ones"},
    {"other_life_counts_as_survivor", "candidacy", "a restarted member counts for the life that the old view knew"},
    {"commit_without_joiners", "candidacy", "a view commits before those who join have accepted it"},
    {"stamp_used_twice", "candidacy", "an abandoned proposal leaves its stamp to the next one"},
    {"own_remainder_alone", "candidacy", "the candidate's own word on a lease counts, not the longest"},
    {"accept_without_remainders", "candidacy", "Accept says that no lease is left of those it leaves out"},
    {"install_older_record", "membership", "a committed record that comes late is installed over a newer one"},
    {"readmit_voted_out_life", "desired view", "a life that was voted out is admitted again"},
    {"record_ack_once", "lease", "an acknowledgement is not recorded while an earlier one still counts"},
    {"remainder_without_drift", "lease", "a voter reckons a lease's end without the drift of clocks"},
    {"release_before_stopped", "group holder", "a holder reports the release while its application still stops"},
    {"stale_release_counts", "group holder", "a release of an earlier ownership proves the present one stopped"},
    {"proof_outlives_generation", "group holder", "a proof is kept from one ownership to the next"},
    {"old_owner_not_unproven", "placement", "the owner that a group leaves is not made to prove that it stopped"},
    {"expelled_counts_as_stopped", "placement", "an expelled owner counts as stopped"},
    {"draft_of_earlier_lead", "coordinator", "a new lead goes on with the draft of an earlier one"},
    {"goodbye_while_stopping", "node core", "a node says goodbye before all that it runs is stopped"},
    {"rule_changes_in_one_step", "quorum", "a new rule of quorum does not count by the old one first"},
    {"start_without_every_voter", "authority", "a start that needs every voter makes do with a majority"},
    {"lost_tie_counts_as_won", "tie-breaker", "who loses the tie-breaker goes on as if it were won"},
    {"win_over_unknown_epoch", "candidacy", "the tie-breaker is won from an epoch that the candidate does not know"},
    {"reading_counts_unanswered", "candidacy", "a reading of the tie-breaker renews the lease before its answer"},
    {"sends_before_all_hold", "key rotation", "the next key is sent under before every member holds it"},
    {"settles_before_all_send", "key rotation", "the old key is refused before every member sends under the next"},
    {"joins_while_switching", "key rotation", "who joins while the next key is sent under need not hold it"},
    {"wrong_clock_admitted", "desired view", "a node whose wall clock is far off is admitted"},
    {"wrong_clock_expelled", "desired view", "a member whose wall clock is far off is voted out"},
    {"lease_by_reading_forgotten", "candidacy", "a lease that lived by readings of the tie-breaker is not waited for"},
};
static_assert(sizeof texts / sizeof texts[0] == static_cast<unsigned>(Bug::count_));

const BugText& text_of(Bug bug) {
  VIGIL_ASSERT(bug < Bug::count_);
  return texts[static_cast<unsigned>(bug)];
}

}  // namespace

void set_seeded_bug(Bug bug) { seeded_bugs_detail::active = bug; }
const char* to_string(Bug bug) { return text_of(bug).name; }
const char* place_of(Bug bug) { return text_of(bug).place; }
const char* describe(Bug bug) { return text_of(bug).what; }

}  // namespace vigil

#endif
