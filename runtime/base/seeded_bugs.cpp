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
  const char* what;
};

constexpr BugText texts[] = {
    {"none", "no bug"},
    {"commit_without_old_quorum", "a new view commits with its own quorum, without the old view's"},
    {"skip_lease_wait", "takeover does not wait for the expelled owner's lease to run out"},
    {"renew_from_own_clock_at_ack", "the lease starts when the acknowledgement arrives, not when the renewal left"},
    {"vote_twice_in_epoch", "a voter promises one epoch counter to several candidates"},
    {"restarted_voter_votes_at_once", "a restarted voter neither waits nor honours what it stored"},
    {"ignore_release_proof", "a live owner's release is taken for granted"},
    {"ack_after_expel_vote", "a voter goes on acknowledging a node that it voted to expel"},
    {"forget_accepted_on_promise", "a promise does not carry the newest accepted record"},
    {"late_accuser_not_held_back", "a stalled node accuses on the strength of its own lateness"},
    {"lease_survives_quorum_loss", "acknowledgements of less than a quorum renew the lease"},
};
static_assert(sizeof texts / sizeof texts[0] == static_cast<unsigned>(Bug::count_));

const BugText& text_of(Bug bug) {
  VIGIL_ASSERT(bug < Bug::count_);
  return texts[static_cast<unsigned>(bug)];
}

}  // namespace

void set_seeded_bug(Bug bug) { seeded_bugs_detail::active = bug; }
const char* to_string(Bug bug) { return text_of(bug).name; }
const char* describe(Bug bug) { return text_of(bug).what; }

}  // namespace vigil

#endif
