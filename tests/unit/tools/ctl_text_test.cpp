// The wording of what people read, held word for word: the overview, the links, the story of a takeover.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>

#include "tests/unit/tools/sample.hpp"
#include "tools/ctl/health.hpp"
#include "tools/ctl/sentence.hpp"
#include "tools/ctl/status_text.hpp"
#include "tools/ctl/story.hpp"
#include "tools/ctl/table.hpp"
#include "tools/ctl/view_text.hpp"
#include "tools/ctl/words.hpp"

// Last: its macros clash with the standard library.
// clang-format off
#include "tests/unit/cmocka.hpp"
// clang-format on

namespace {

using namespace vigil;
using namespace vigil::ctl;

control::ClusterPicture the_picture() { return sample::picture(*sample::config(), *sample::status()); }

std::string why(const control::ClusterPicture& picture, const char* group, std::size_t last) {
  const auto takeovers = takeovers_of(picture, *picture.group(group), sample::journal_replies(*sample::config()), last);
  return why_text(picture, *picture.group(group), takeovers, false);
}

void status_reads_like_this(void**) {
  const std::string text = status_text(the_picture(), false);
  assert_string_equal(text.c_str(), R"txt(Cluster        demo
Timing         lan: heartbeat 30.0 ms, detection 190.0 ms, lease 160.0 ms
Configuration  0123456789abcdef
View           epoch 7 by beta, coordinator beta, 2 of 3 nodes in, 2 votes needed
This node      beta, member, lease 142.0 ms left

NODE   STATE  LINKS  LATE  GROUPS  NOTE
alpha  out      0/3        -       expelled, not seen clean since, last heard 12.0 s ago
beta   in            2 ms  web     this node, coordinator
gamma  in       1/2  1 ms  db

GROUP  STATE    NODE   TAKEOVER  BECAUSE                                 PARTS
web    online   beta   233.0 ms  alpha failed                            10.77.1.100/24 on eth0, httpd
db     blocked  gamma         -  alpha is not proven to have stopped it  postgres

! db is blocked: alpha may still run it and is not fenced; if you know that it is powered off, say so with: vigil fence confirm alpha
! alpha is not heard on any link
! the ethernet link eth1 is one-way: gamma is heard here but does not hear us
)txt");
}

void links_read_like_this(void**) {
  const std::string text = links_text(the_picture(), false);
  assert_string_equal(text.c_str(), R"txt(Links as beta hears them

PEER   LINK      DEVICE      NETWORK  STATE       HEARD AGO  ROUND TRIP  JITTER  RECEIVED        LOST  TWICE  SWAPPED  FLAPS
alpha  ethernet  eth0        public   down           12.0 s      0.4 ms  0.1 ms       997  3 (0.30 %)      0        0      0
alpha  ethernet  eth1        private  down           12.0 s      0.4 ms  0.1 ms       997  3 (0.30 %)      0        0      0
alpha  serial    /dev/ttyS0  line-ab  down           12.0 s      0.4 ms  0.1 ms       997  3 (0.30 %)      0        0      0
gamma  ethernet  eth0        public   up            12.0 ms      0.4 ms  0.1 ms       997  3 (0.30 %)      0        0      0
gamma  ethernet  eth1        private  one_way_in    13.0 ms      0.4 ms  0.1 ms       997  3 (0.30 %)      0        0      0

ADAPTER     NETWORK  ROLE     STATE  BOOT ADDRESS
eth0        public   service  ok     10.77.1.2/24
eth1        private  service  ok     10.78.1.2/24
/dev/ttyS0  line-ab  serial   ok     -
)txt");
}

void a_takeover_is_told_like_this(void**) {
  const std::string text = why(the_picture(), "web", 1);
  assert_string_equal(text.c_str(), R"txt(web: from alpha to beta, because alpha failed (2026-10-26 07:33:20.000)
    0.0 ms  alpha  last sign of life
  183.0 ms  beta   suspects alpha: silent on every link for 183.0 ms
  184.2 ms  beta   a new view is in force, led by beta
  184.2 ms  beta   the cluster goes on without alpha: expelled by vote
  184.3 ms  beta   waits: the lease of alpha to be over
  220.7 ms  beta   adds 10.77.1.100/24 to eth0 (public)
  221.1 ms  beta   10.77.1.100/24 answers on eth0 (public) (0.4 ms)
  233.1 ms  beta   httpd runs (12.0 ms)
  233.2 ms  beta   all parts are up
  Budget: detect 183.0 + agree 1.2 + fence (lease) 36.4 + storage 0.0 + address 0.4 + application 12.0 = 233.0 ms

Since then, on the same node (2026-10-26 07:33:29.000)
  0.0 ms  beta  sees the failure of service adapter eth0: adapter is down or has no carrier
  0.2 ms  beta  10.77.1.100/24 moves from eth0 (public) to eth1 (private)
  0.9 ms  beta  10.77.1.100/24 answers on eth1 (private) (0.6 ms)
)txt");
}

void a_blocked_takeover_says_what_would_help(void**) {
  const std::string text = why(the_picture(), "db", 1);
  assert_string_equal(
      text.c_str(),
      R"txt(db: from alpha to gamma, because alpha is not proven to have stopped it (2026-10-26 07:33:20.000)
    0.0 ms  alpha  last sign of life
  183.0 ms  beta   suspects alpha: silent on every link for 183.0 ms
  184.2 ms  beta   a new view is in force, led by beta
  184.2 ms  beta   the cluster goes on without alpha: expelled by vote
  184.3 ms  gamma  waits: alpha to be fenced
  Not running: alpha may still run it and is not fenced; if you know that it is powered off, say so with: vigil fence confirm alpha
)txt");
}

void earlier_takeovers_are_told_too(void**) {
  const std::string text = why(the_picture(), "web", 5);
  const std::string first = "web: to alpha (2026-10-26 07:32:20.000)\n   0.0 ms  alpha  adds 10.77.1.100/24 to eth0";
  assert_int_equal(text.find(first), 0);
  const bool both = text.find("web: from alpha to beta, because alpha failed") != std::string::npos;
  assert_true(both);
}

void a_lost_journal_is_admitted(void**) {
  const auto picture = the_picture();
  const auto takeovers = takeovers_of(picture, *picture.group("web"), {}, 1);
  const std::string text = why_text(picture, *picture.group("web"), takeovers, false);
  assert_string_equal(text.c_str(),
                      "web: from alpha to beta, because alpha failed (2026-10-26 07:33:20.000)\n"
                      "  The journal of this node no longer has its entries.\n"
                      "  Budget: detect 183.0 + agree 1.2 + fence (lease) 36.4 + storage 0.0 + address 0.4 + "
                      "application 12.0 = 233.0 ms\n");
}

std::string membership(std::vector<control::reply::Journal> entries, const ViewStoryOptions& options = {}) {
  const auto picture = the_picture();
  return views_text(picture, view_changes_of(picture, std::move(entries), options), sample::told(*sample::config()), false);
}

void view_changes_are_told_like_this(void**) {
  const std::string text = membership(sample::view_replies(*sample::config()));
  assert_string_equal(text.c_str(), R"txt(View 7 by beta, after view 6 by alpha (2026-10-26 07:33:20.000)
  alpha is out: expelled by vote
  members: beta and gamma; led by beta
    0.0 ms  alpha  last sign of life
  183.0 ms  beta   suspects alpha: silent on every link for 183.0 ms
                     last heartbeats: eth0 (ethernet, public) 183.0 ms before, eth1 (ethernet, private) 191.0 ms before and /dev/ttyS0 (serial, line-ab) none of this life
                     beta itself was not late in that time
  183.6 ms  beta   is refused the vote of gamma: it still hears the accused
                     gamma hears alpha
  183.7 ms  beta   gives up its round 1 for view 6 by beta after 0.5 ms
                     promised: beta; refused: gamma; no answer: nobody
  189.0 ms  gamma  suspects alpha: silent on every link for 189.0 ms
                     last heartbeats: eth0 (ethernet, public) 183.0 ms before and eth1 (ethernet, private) 191.0 ms before
                     still heard, by their last word, by beta
                     gamma itself was late by 40.0 ms in that time
  190.0 ms  beta   asks beta and gamma to promise it view 7 by beta, in its round 2
  190.8 ms  beta   has promises of a quorum, and proposes the view
  191.5 ms  beta   the view is decided
                     promised: beta and gamma; no answer: nobody
                     accepted: beta and gamma
  191.5 ms  beta   has it in force; leases of those left out are over in 29.0 ms
  191.9 ms  gamma  has it in force; leases of those left out are over in 28.5 ms
  Steps: silence 183.0 + suspicion to Prepare 7.0 + promises 0.8 + acceptance 0.7 + in force everywhere 0.4 ms; leases over 29.0 ms after the decision

View 8 by beta, after view 7 by beta (2026-10-26 07:34:20.000)
  alpha is in: admitted by vote
  members: alpha, beta and gamma; led by beta
   0.0 ms  alpha  has it in force
  -1.5 ms  beta   asks alpha, beta and gamma to promise it view 8 by beta
  -0.7 ms  beta   has promises of a quorum, and proposes the view
   0.0 ms  beta   the view is decided
                    promised: alpha, beta and gamma; no answer: nobody
                    accepted: alpha, beta and gamma
   0.1 ms  beta   has it in force
   0.2 ms  gamma  has it in force
  Steps: need to Prepare 0.0 + promises 0.8 + acceptance 0.7 + in force everywhere 0.2 ms

No new view (2026-10-26 07:34:50.000)
    0.0 ms  gamma  its own loop woke up late; it accuses nobody for that (200.0 ms)
  180.0 ms  gamma  suspects beta: silent on every link for 180.0 ms
                     last heartbeats: eth0 (ethernet, public) 183.0 ms before and eth1 (ethernet, private) 191.0 ms before
                     still heard, by their last word, by alpha
                     gamma itself was late by 200.0 ms in that time

! gamma could not be asked: what it wrote is known here up to 2026-10-26 07:34:50.180, perhaps with gaps
)txt");
}

// However the entries come, and how often: the same story.
void order_and_copies_do_not_matter(void**) {
  const auto replies = sample::view_replies(*sample::config());
  const std::string text = membership(replies);
  auto backwards = replies;
  std::reverse(backwards.begin(), backwards.end());
  assert_string_equal(membership(backwards).c_str(), text.c_str());
  backwards.insert(backwards.end(), replies.begin(), replies.end());
  assert_string_equal(membership(backwards).c_str(), text.c_str());
}

// A clock an hour ahead moves what its node says, and never the order of the views.
void epochs_order_the_views_whatever_the_clocks_say(void**) {
  auto replies = sample::view_replies(*sample::config());
  for (auto& each : replies)
    if (each.entry.view.epoch.counter == 7 || each.entry.stamp.epoch.counter == 7)
      each.entry.wall_ns += 3'600'000'000'000;
  const auto changes = view_changes_of(the_picture(), replies, {});
  std::vector<std::uint64_t> epochs;
  for (const ViewChange& change : changes)
    if (!change.epoch.is_genesis()) epochs.push_back(change.epoch.counter);
  assert_int_equal(epochs.size(), 2);
  assert_int_equal(epochs[0], 7);
  assert_int_equal(epochs[1], 8);
}

void view_changes_are_cut_by_number_and_time(void**) {
  const auto replies = sample::view_replies(*sample::config());
  assert_int_equal(view_changes_of(the_picture(), replies, {}).size(), 3);
  const auto last = view_changes_of(the_picture(), replies, {1, 0});
  assert_int_equal(last.size(), 1);
  assert_true(last[0].epoch.is_genesis());
  const auto since = view_changes_of(the_picture(), replies, {SIZE_MAX, sample::wall_ns + 50'000'000'000});
  assert_int_equal(since.size(), 2);
  assert_int_equal(since[0].epoch.counter, 8);
  assert_int_equal(membership({}).find("No view change is known in that time.\n"), 0);
}

// What is left of a change when its coordinator's word is lost.
void a_change_without_its_votes_is_told_too(void**) {
  auto replies = sample::view_replies(*sample::config());
  std::erase_if(replies, [](const auto& each) { return each.entry.node == 1; });
  const auto changes = view_changes_of(the_picture(), replies, {1, 0});
  const std::string text = membership(replies);
  assert_non_null(std::strstr(text.c_str(), "View 7 by beta, after view 6 by alpha"));
  assert_non_null(std::strstr(text.c_str(), "alpha is out: expelled by vote"));
  assert_non_null(std::strstr(text.c_str(), "Its coordinator's word on the votes is not known here."));
}

// Who was voted out says so late, maybe when the next view is there: it belongs to the one that left it out.
void an_expulsion_is_told_with_its_view(void**) {
  auto replies = sample::view_replies(*sample::config());
  JournalEntry entry = sample::entry({59'999'000, 0, JournalKind::decided, EventName::node_down, 0, no_index, 0, -1,
                                      "this node was voted out: it stops everything and starts afresh"});
  entry.stamp = {{6, 0}, 4};
  replies.push_back(control::journal_reply(*sample::config(), entry));
  const auto changes = view_changes_of(the_picture(), replies, {});
  assert_int_equal(changes.size(), 3);
  assert_int_equal(changes[0].left.size(), 1);
  assert_string_equal(changes[0].left[0].why.c_str(), "expelled by vote");
  const bool last_of_its_view = changes[0].entries.back().entry.sequence == entry.sequence;
  assert_true(last_of_its_view);
  assert_int_equal(changes[1].left.size(), 0);
}

// A move that the operator asked for right after a view change has nothing to do with it.
void a_move_is_not_told_with_the_view_change_before_it(void**) {
  using enum JournalKind;
  auto replies = sample::journal_replies(*sample::config());
  const auto add = [&replies](const sample::Said& said, std::uint32_t version) {
    JournalEntry entry = sample::entry(said);
    entry.stamp.version = version;
    replies.push_back(control::journal_reply(*sample::config(), entry));
  };
  add({20'000'000, 1, decided, EventName::view_change, 1, no_index, 0, -1, "view installed"}, 1);
  add({20'000'001, 1, decided, EventName::node_up, 0, no_index, 0, -1, "admitted by vote"}, 1);
  add({21'000'000, 1, started, EventName::resource_group_offline, no_node, 0, 5, -1, "web goes to alpha: the operator moved it"}, 7);
  add({21'500'000, 0, done, EventName::resource_group_online, no_node, 0, 5, -1, "all parts are up"}, 7);
  const auto picture = the_picture();
  const auto takeovers = takeovers_of(picture, *picture.group("web"), replies, 9);
  const auto& move = takeovers.back();
  assert_int_equal(move.generation, 5);
  assert_int_equal(move.entries.size(), 2);
  assert_string_equal(move.from.c_str(), "beta");
}

void times_are_understood(void**) {
  constexpr std::int64_t now = sample::wall_ns;
  constexpr std::int64_t s = 1'000'000'000;
  struct Row {
    const char* text;
    std::optional<std::int64_t> expected;
  };
  const Row rows[] = {{"90s", now - 90 * s},
                      {"10min", now - 600 * s},
                      {"6h", now - 6 * 3600 * s},
                      {"3d", now - 3 * 86'400 * s},
                      {"0s", now},
                      {"2026-10-26T07:33:20", now},
                      {"2026-10-26 07:33", now - 20 * s},
                      {"2026-10-26", now - (7 * 3600 + 33 * 60 + 20) * s},
                      {"", std::nullopt},
                      {"-3d", std::nullopt},
                      {"3", std::nullopt},
                      {"3 days", std::nullopt},
                      {"2026-10-26T07:33:20Z", std::nullopt},
                      {"2026-13-26", std::nullopt},
                      {"yesterday", std::nullopt},
                      {"99999999d", std::nullopt}};
  for (const Row& row : rows) {
    const auto time = time_of(row.text, now);
    if (time != row.expected) print_error("time_of(\"%s\")\n", row.text);
    assert_true(time == row.expected);
  }
}

void a_group_that_never_ran_has_no_story(void**) {
  auto status = sample::status();
  status->committed.state.groups[0] = GroupState{};
  status->committed.state.groups[0].wanted = false;
  const auto picture = sample::picture(*sample::config(), *status);
  const std::string text = why_text(picture, *picture.group("web"), {}, false);
  assert_string_equal(text.c_str(),
                      "web has never run since this cluster started, and is not wanted: start it with: vigil group "
                      "online web.\n");
}

void colour_adds_nothing_but_colour(void**) {
  const auto picture = the_picture();
  const std::string plain = status_text(picture, false);
  const std::string coloured = status_text(picture, true);
  std::string stripped;
  for (std::size_t i = 0; i < coloured.size(); ++i) {
    if (coloured[i] == '\x1b') {
      i = coloured.find('m', i);
      continue;
    }
    stripped += coloured[i];
  }
  assert_true(coloured != plain);
  assert_string_equal(stripped.c_str(), plain.c_str());
}

void a_healthy_cluster_has_no_problems(void**) {
  auto status = sample::status();
  status->committed.view.members.add(0);
  status->committed.state.unfenced = NodeSet();
  status->committed.state.groups[1].phase = GroupPhase::online;
  status->committed.state.groups[1].unproven = NodeSet();
  status->peers[0].heard = true;
  status->peers[0].networks_up = 3;
  for (auto& link : status->peers[0].links) link.state = LinkState::up;
  for (auto& link : status->peers[1].links) link.state = LinkState::up;
  const auto picture = sample::picture(*sample::config(), *status);
  assert_int_equal(problems_of(picture).size(), 0);
  const std::string text = status_text(picture, false);
  assert_true(text.ends_with("\nAll is well.\n"));
}

void problems_name_the_way_out(void**) {
  struct Case {
    void (*change)(NodeStatus&);
    const char* problem;
  };
  const Case cases[] = {
      {[](NodeStatus& s) { s.role = NodeRole::waiting, s.role_text = "the longest lease is not over"; },
       "beta (this node) is not in the cluster yet: the longest lease is not over"},
      {[](NodeStatus& s) { s.role = NodeRole::no_quorum; }, "beta (this node) has lost the quorum and serves nothing"},
      {[](NodeStatus& s) { s.quorate = false; }, "beta (this node) has no lease: too few members acknowledge it"},
      {[](NodeStatus& s) {
         s.committed.state.groups[0].phase = GroupPhase::error;
         s.committed.state.groups[0].failed_on = NodeSet::from_bits(0b111);
       },
       "web is error: it failed on alpha, beta and gamma; mend the cause, then: vigil group clear web"},
      {[](NodeStatus& s) {
         s.committed.state.groups[0].phase = GroupPhase::acquiring;
         s.committed.state.groups[0].unproven = NodeSet::of(0);
       },
       "web is acquiring: beta waits for the proof that alpha no longer serves it"},
      {[](NodeStatus& s) {
         s.committed.state.groups[0].phase = GroupPhase::offline;
         s.committed.state.groups[0].reason = GroupReason::no_candidate;
       },
       "web is offline: no node in the cluster may run it; bring back one of alpha, beta and gamma"},
      {[](NodeStatus& s) { s.peers[1].suspected = true; }, "gamma is silent on every link, and is suspected"},
      {[](NodeStatus& s) { s.peers[1].config_matches = false; },
       "gamma runs another configuration than this node; make the files equal and restart one"},
      {[](NodeStatus& s) { s.adapters[0].usable = false; }, "adapter eth0 (network public) is down or has no carrier"},
      {[](NodeStatus& s) { s.adapters[1].healthy = false; },
       "adapter eth1 (network private) is up, but nobody is heard on it"},
  };
  for (const Case& each : cases) {
    auto status = sample::status();
    each.change(*status);
    bool found = false;
    for (const std::string& problem : problems_of(sample::picture(*sample::config(), *status)))
      found = found || problem == each.problem;
    if (!found) print_error("missing: %s\n", each.problem);
    assert_true(found);
  }
}

void durations_and_lists_read_well(void**) {
  struct Case {
    std::int64_t us;
    const char* text;
  };
  const Case cases[] = {{0, "0.0 ms"},           {400, "0.4 ms"},        {999'900, "999.9 ms"},
                        {12'340'000, "12.3 s"},  {240'000'000, "4 min"}, {10'800'000'000, "3 h"},
                        {259'200'000'000, "3 d"}};
  for (const Case& each : cases) {
    const std::string text = duration_text(Duration::from_us(each.us));
    assert_string_equal(text.c_str(), each.text);
  }
  const std::string lists =
      joined({}) + "; " + joined({"a"}) + "; " + joined({"a", "b"}) + "; " + joined({"a", "b", "c"});
  assert_string_equal(lists.c_str(), "nobody; a; a and b; a, b and c");
}

void columns_align_whatever_the_letters(void**) {
  const std::string text = table(
      {{"a", Cell("1", Colour::plain, true), "x"}, {"\xc3\xa4\xc3\xb6", Cell("23", Colour::plain, true), ""}}, false);
  assert_string_equal(text.c_str(), "a    1  x\n\xc3\xa4\xc3\xb6  23\n");
}

}  // namespace

int main() {
  setenv("TZ", "UTC", 1);
  tzset();
  const CMUnitTest tests[] = {
      cmocka_unit_test(status_reads_like_this),
      cmocka_unit_test(links_read_like_this),
      cmocka_unit_test(a_takeover_is_told_like_this),
      cmocka_unit_test(a_blocked_takeover_says_what_would_help),
      cmocka_unit_test(earlier_takeovers_are_told_too),
      cmocka_unit_test(a_lost_journal_is_admitted),
      cmocka_unit_test(view_changes_are_told_like_this),
      cmocka_unit_test(order_and_copies_do_not_matter),
      cmocka_unit_test(epochs_order_the_views_whatever_the_clocks_say),
      cmocka_unit_test(view_changes_are_cut_by_number_and_time),
      cmocka_unit_test(a_change_without_its_votes_is_told_too),
      cmocka_unit_test(an_expulsion_is_told_with_its_view),
      cmocka_unit_test(a_move_is_not_told_with_the_view_change_before_it),
      cmocka_unit_test(times_are_understood),
      cmocka_unit_test(a_group_that_never_ran_has_no_story),
      cmocka_unit_test(colour_adds_nothing_but_colour),
      cmocka_unit_test(a_healthy_cluster_has_no_problems),
      cmocka_unit_test(problems_name_the_way_out),
      cmocka_unit_test(durations_and_lists_read_well),
      cmocka_unit_test(columns_align_whatever_the_letters),
  };
  return cmocka_run_group_tests_name("tools/ctl_text", tests, nullptr, nullptr);
}
