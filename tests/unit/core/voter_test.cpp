// What one node promises and accepts. Voter 1 of five, all in the view of epoch (1, 0); node 0 mostly asks.
#include "runtime/core/voter.hpp"

#include "tests/unit/core/peers_fixture.hpp"
// Last: cmocka's macros (fail, …) bite the standard library.
#include "tests/unit/cmocka.hpp"

using namespace vigil;
using namespace vigil::testing;

namespace {

constexpr Timing lan = timing_of(Profile::lan);
constexpr NodeId self = 1;

struct Fixture {
  explicit Fixture(StoredState stored = {}) : config(cluster_of(5)), peers(*config, self) {
    if (stored.accepted.stamp == Stamp{}) stored.accepted = record_of(*config, nodes({0, 1, 2, 3, 4}));
    voter = std::make_unique<Voter>(*config, self, life_of(self), stored, peers.table.now);
  }
  // Over the restart wait, clean, and with a ceiling stored.
  Fixture& ready() {
    voter->on_cleaned();
    wait(outlast(longest_lease));
    advance();
    store();
    effects.clear();
    return *this;
  }
  void wait(Duration duration) {
    const Instant before = peers.table.now;
    peers.table.now = before + duration;
    for (NodeId node = 0; node < 5; ++node)
      if (peers.table.peers[node].last_sign == before) peers.table.peers[node].last_sign = peers.table.now;
  }
  void advance() { voter->advance(peers.table, effects); }
  // Ends all writes asked for and not yet ended.
  void store(bool ok = true) {
    for (const effect::Persist& write : those<effect::Persist>(effects))
      voter->on_persisted(peers.table.now, {write.token, ok});
    effects.clear();
  }
  Prepare ask(Epoch epoch, NodeSet members = nodes({0, 1, 2, 3, 4})) const {
    Prepare prepare;
    prepare.epoch = epoch;
    prepare.members = members;
    for (const NodeId node : members) prepare.incarnations[node] = peers.table.peers[node].latest.incarnation;
    prepare.incarnations[self] = life_of(self);
    prepare.expel = nodes({0, 1, 2, 3, 4}) - members;
    prepare.candidate_heard = members - NodeSet::of(epoch.proposer);
    return prepare;
  }
  void hear(const Prepare& prepare) { voter->on_prepare(peers.table, prepare.epoch.proposer, prepare, effects); }
  void hear_accept(const Record& record) {
    voter->on_accept(peers.table.now, record.stamp.epoch.proposer, {record, {}}, effects);
  }
  // 'P' promised, 'N' refused, '-' nothing said.
  char said() const {
    if (!sent<Promise>(effects).empty()) return 'P';
    return sent<Nack>(effects).empty() ? '-' : 'N';
  }
  char answer(const Prepare& prepare) {
    effects.clear();
    hear(prepare);
    return said();
  }
  NackReason reason() const { return sent<Nack>(effects).at(0).reason; }

  std::unique_ptr<ClusterConfig> config;
  Peers peers;
  std::unique_ptr<Voter> voter;
  Effects effects;
};

// What the candidate lacks travels with the promise, and nothing else does: a record among many nodes is dozens of frames.
void a_promise_carries_what_the_candidate_lacks(void**) {
  struct Row {
    Stamp base;  // the candidate's
    Stamp carried;
  };
  const Stamp own{{1, 0}, 2};
  const Row rows[] = {{{}, own}, {{{1, 0}, 1}, own}, {own, {}}, {{{1, 0}, 3}, {}}, {{{2, 3}, 1}, {}}};
  for (const Row& row : rows) {
    Fixture f;
    f.ready();
    Prepare prepare = f.ask({5, 0});
    prepare.base = row.base;
    assert_int_equal(f.answer(prepare), 'P');
    assert_true(sent<Promise>(f.effects)[0].accepted.stamp == row.carried);
  }
}

// ---- before it may vote ----------------------------------------------------------------------------

void a_restarted_voter_waits(void**) {
  struct Row {
    Duration longest_acknowledged;
    Duration waits;
  };
  const Row rows[] = {
      {{}, outlast(longest_lease)},  // unknown: whatever anybody may have
      {Duration::from_ms(170), outlast(Duration::from_ms(170))},
      {Duration::from_ms(9), outlast(lan.lease)},  // at least its own profile's
      {Duration::from_s(2), outlast(Duration::from_s(2))},
  };
  for (const Row& row : rows) {
    StoredState stored;
    stored.longest_acknowledged = row.longest_acknowledged;
    Fixture f(stored);
    f.voter->on_cleaned();
    f.advance();
    f.store();
    f.wait(row.waits - Duration::from_ns(1));
    assert_false(f.voter->ready(f.peers.table.now));
    assert_int_equal(f.answer(f.ask({5, 0})), 'N');
    assert_int_equal(f.reason(), NackReason::not_ready);
    f.wait(Duration::from_ns(1));
    assert_true(f.voter->ready(f.peers.table.now));
    assert_int_equal(f.answer(f.ask({5, 0})), 'P');
  }
}

void each_condition_of_readiness_counts(void**) {
  for (int missing = 0; missing < 4; ++missing) {
    Fixture f;
    if (missing != 0) f.voter->on_cleaned();
    if (missing != 1) f.wait(outlast(longest_lease));
    f.advance();
    if (missing != 2) f.store(missing != 3);
    assert_false(f.voter->ready(f.peers.table.now));
    assert_int_equal(f.answer(f.ask({5, 0})), 'N');
    assert_int_equal(f.reason(), NackReason::not_ready);
    f.effects.clear();
    f.hear_accept(record_of(*f.config, nodes({0, 1, 2}), {5, 0}, 1));
    assert_true(sent<Accepted>(f.effects).empty());
    assert_true(f.voter->accepted().stamp == Stamp({{1, 0}, 2}));
  }
}

// ---- the ceiling -----------------------------------------------------------------------------------

void the_ceiling_is_stored_ahead(void**) {
  StoredState stored;
  stored.epoch_ceiling = 2'000;
  Fixture f(stored);
  f.advance();
  const std::vector<effect::Persist> first = those<effect::Persist>(f.effects);
  assert_int_equal(first.size(), 1);
  assert_int_equal(first[0].state.epoch_ceiling, 3'001);
  assert_true(first[0].state.accepted.stamp == f.voter->accepted().stamp);
  assert_true(first[0].state.longest_acknowledged >= lan.lease);
  f.advance();
  f.advance();
  assert_int_equal(those<effect::Persist>(f.effects).size(), 1);  // once is enough
}

void no_vote_above_what_is_stored(void**) {
  Fixture f;
  f.ready();  // the ceiling is 1,001
  assert_int_equal(f.answer(f.ask({1'001, 0})), 'P');
  assert_int_equal(those<effect::Persist>(f.effects).size(), 1);  // half is used up: more, ahead of need
  assert_int_equal(f.answer(f.ask({1'002, 0})), '-');             // it will be asked again
  assert_true(f.voter->promised() == Epoch({1'001, 0}));
  f.hear_accept(record_of(*f.config, nodes({0, 1, 2, 3, 4}), {1'003, 0}, 1));
  assert_true(sent<Accepted>(f.effects).empty());
  f.voter->on_persisted(f.peers.table.now, {2, true});
  assert_int_equal(f.answer(f.ask({1'002, 0})), 'P');
}

void half_the_ceiling_is_kept_in_reserve(void**) {
  Fixture f;
  f.ready();
  assert_int_equal(f.answer(f.ask({501, 0})), 'P');
  assert_true(those<effect::Persist>(f.effects).empty());
  assert_int_equal(f.answer(f.ask({502, 0})), 'P');  // by the old ceiling, at once
  assert_int_equal(those<effect::Persist>(f.effects).size(), 1);
  assert_int_equal(those<effect::Persist>(f.effects)[0].state.epoch_ceiling, 1'502);
}

void nothing_at_or_below_an_earlier_lifes_ceiling(void**) {
  StoredState stored;
  stored.epoch_ceiling = 40;
  Fixture f(stored);
  f.ready();
  for (const std::uint64_t counter : {1u, 39u, 40u}) {
    const char said = f.answer(f.ask({counter, 0}));
    // Of the counter 40 itself some proposer's epochs sort below "nobody's", which is the highest.
    assert_int_equal(said, 'N');
    assert_int_equal(f.reason(), NackReason::epoch_too_low);
    assert_int_equal(sent<Nack>(f.effects)[0].promised.counter, 40);
  }
  assert_int_equal(f.answer(f.ask({41, 0})), 'P');
  const auto own = f.voter->next_epoch();
  assert_true(own.has_value());
  assert_true(*own == Epoch({42, self}));
}

void a_candidate_has_no_epoch_above_the_ceiling_either(void**) {
  Fixture f;
  assert_false(f.voter->next_epoch().has_value());
  f.ready();
  f.voter->saw_epoch({1'500, 3});
  assert_false(f.voter->next_epoch().has_value());
  f.advance();  // wanted: asked for
  f.store();
  const auto own = f.voter->next_epoch();
  assert_true(own.has_value());
  assert_true(*own == Epoch({1'501, self}));
}

void failed_storage_silences_the_vote_until_it_works(void**) {
  Fixture f;
  f.ready();
  assert_int_equal(f.answer(f.ask({600, 0})), 'P');
  f.store(false);
  assert_true(f.voter->storage_failed());
  assert_int_equal(f.answer(f.ask({601, 0})), 'N');
  assert_int_equal(f.reason(), NackReason::not_ready);
  // It tries again by itself: nobody else will make it.
  f.effects.clear();
  for (int i = 0; i < 100 && those<effect::Persist>(f.effects).empty(); ++i) {
    f.wait(Duration::from_ms(100));
    f.advance();
  }
  assert_int_equal(those<effect::Persist>(f.effects).size(), 1);
  f.store(true);
  assert_false(f.voter->storage_failed());
  assert_int_equal(f.answer(f.ask({601, 0})), 'P');
}

void a_first_write_that_fails_is_tried_again_too(void**) {
  Fixture f;
  f.voter->on_cleaned();
  f.wait(outlast(longest_lease));
  f.advance();
  f.store(false);
  for (int i = 0; i < 100 && those<effect::Persist>(f.effects).empty(); ++i) {
    f.wait(Duration::from_ms(100));
    f.advance();
  }
  assert_int_equal(those<effect::Persist>(f.effects).size(), 1);
  f.store(true);
  assert_true(f.voter->ready(f.peers.table.now));
}

// What the keys' keeper may act on is what another start here would know, whichever writes fail.
void the_keys_that_count_are_those_on_the_disk(void**) {
  Fixture f;
  f.ready();
  Record record = record_of(*f.config, nodes({0, 1, 2, 3, 4}), {4, 0}, 1);
  const auto learn = [&](KeyPhase phase) {
    ++record.stamp.version;
    record.state.keys.phase = phase;
    f.effects.clear();
    f.voter->learn(record, f.effects);
    return those<effect::Persist>(f.effects).at(0).token;
  };
  const auto written = [&](std::uint64_t token, bool ok) {
    f.voter->on_persisted(f.peers.table.now, {token, ok});
    return f.voter->stored_keys().phase;
  };
  const std::uint64_t spreads = learn(KeyPhase::spreading);
  const std::uint64_t switches = learn(KeyPhase::switching);
  assert_true(f.voter->stored_keys().phase == KeyPhase::settled);
  assert_true(written(spreads, true) == KeyPhase::spreading);
  assert_true(written(switches, true) == KeyPhase::switching);
  // The first of two fails, and the second has it all; nothing is written after it.
  const std::uint64_t failing = learn(KeyPhase::settled);
  const std::uint64_t covering = learn(KeyPhase::spreading);
  assert_true(written(failing, false) == KeyPhase::switching);
  assert_true(written(covering, true) == KeyPhase::spreading);
  assert_false(f.voter->storage_failed());
}

// ---- one vote per epoch ----------------------------------------------------------------------------

// Node 0 lost its memory, and names an epoch that its earlier life was promised: it would use its stamps again.
void an_epoch_is_of_one_life_of_its_proposer(void**) {
  for (const bool by_record : {false, true}) {
    Fixture f;
    f.ready();
    if (by_record)
      f.hear_accept(record_of(*f.config, nodes({0, 1, 2}), {5, 0}, 1));
    else
      f.hear(f.ask({5, 0}));
    f.peers.restarted(0);
    assert_int_equal(f.answer(f.ask({5, 0})), 'N');
    assert_int_equal(f.reason(), NackReason::epoch_too_low);
    Record other = record_of(*f.config, nodes({0, 1, 2}), {5, 0}, 1);
    other.view.incarnations[0] = life_of(0, 2);
    f.effects.clear();
    f.hear_accept(other);
    assert_true(sent<Accepted>(f.effects).empty());
    assert_int_equal(sent<Nack>(f.effects).size(), 1);
    assert_int_equal(f.answer(f.ask({6, 0})), 'P');
  }
}

void one_vote_per_epoch(void**) {
  struct Row {
    Epoch epoch;
    char says;
  };
  // One after the other, to one voter.
  const Row rows[] = {
      {{5, 2}, 'P'}, {{5, 2}, 'P'},  // the same again: the answer was lost
      {{5, 0}, 'N'},                 // another candidate's of that counter, which sorts below
      {{4, 4}, 'N'}, {{5, 3}, 'P'},  // another epoch, above
      {{5, 2}, 'N'},                 // … and the earlier one is no longer given
      {{9, 0}, 'P'},
  };
  Fixture f;
  f.ready();
  Epoch promised;
  for (const Row& row : rows) {
    assert_int_equal(f.answer(f.ask(row.epoch)), row.says);
    if (row.says == 'P') promised = row.epoch;
    assert_true(f.voter->promised() == promised);
    if (row.says == 'N') {
      assert_int_equal(f.reason(), NackReason::epoch_too_low);
      assert_true(sent<Nack>(f.effects)[0].promised == promised);
      assert_true(sent<Nack>(f.effects)[0].epoch == row.epoch);
    }
  }
}

void who_may_ask(void**) {
  Fixture f;
  f.ready();
  f.voter->on_prepare(f.peers.table, 2, f.ask({5, 0}), f.effects);  // in another's name
  assert_int_equal(f.said(), '-');
  assert_int_equal(f.answer(f.ask({5, 0}, nodes({0, 2, 3}))), 'N');  // without us
  assert_int_equal(f.reason(), NackReason::not_in_proposal);
  Prepare old_life = f.ask({5, 0});
  old_life.incarnations[self] = life_of(self, 9);
  assert_int_equal(f.answer(old_life), 'N');
  assert_int_equal(f.reason(), NackReason::not_in_proposal);
  assert_true(f.voter->promised().is_genesis());
}

// ---- what a promise says ---------------------------------------------------------------------------

void a_promise_tells_the_newest_record_and_the_leases(void**) {
  Fixture f;
  f.ready();
  Record newer = record_of(*f.config, nodes({0, 1, 2, 3, 4}), {3, 0}, 7);
  f.hear_accept(newer);
  assert_int_equal(sent<Accepted>(f.effects, 0).size(), 1);
  assert_true(f.voter->leases().acknowledge(f.peers.table.now, 3, lan.lease));
  assert_true(f.voter->leases().acknowledge(f.peers.table.now, 2, lan.lease));
  f.wait(Duration::from_ms(40));
  f.peers.silent(3, Duration::from_ms(180));
  assert_int_equal(f.answer(f.ask({5, 0}, nodes({0, 1, 2, 4}))), 'P');
  const Promise promise = sent<Promise>(f.effects, 0).at(0);
  assert_true(promise.epoch == Epoch({5, 0}));
  assert_true(promise.accepted == newer);
  assert_false(promise.recovering);
  assert_int_equal(promise.leases.size(), 1);
  assert_int_equal(promise.leases[0].node, 3);
  assert_true(promise.leases[0].left == outlast(lan.lease) - Duration::from_ms(40));
  // From here on, no acknowledgement for the one left out …
  assert_false(f.voter->leases().acknowledge(f.peers.table.now, 3, lan.lease));
  assert_true(f.voter->leases().acknowledge(f.peers.table.now, 2, lan.lease));
  // … whatever is promised later.
  f.peers.table.peers[3].heard = true;
  f.peers.table.peers[3].last_sign = f.peers.table.now;
  assert_int_equal(f.answer(f.ask({6, 0})), 'P');
  assert_false(f.voter->leases().acknowledge(f.peers.table.now, 3, lan.lease));
  // … until a record that has it in is accepted.
  f.hear_accept(record_of(*f.config, nodes({0, 1, 2, 3, 4}), {6, 0}, 1));
  assert_true(f.voter->leases().acknowledge(f.peers.table.now, 3, lan.lease));
}

void a_restarted_voter_says_so_until_it_accepts(void**) {
  StoredState stored;
  stored.epoch_ceiling = 4;
  Fixture f(stored);
  f.ready();
  assert_int_equal(f.answer(f.ask({5, 0})), 'P');
  assert_true(sent<Promise>(f.effects)[0].recovering);
  assert_true(sent<Promise>(f.effects)[0].accepted.stamp == Stamp({{1, 0}, 2}));  // what was stored
  assert_int_equal(sent<Promise>(f.effects)[0].forgotten, 4);
  // Learning from others is not accepting.
  f.voter->learn(record_of(*f.config, nodes({0, 1, 2}), {4, 0}, 3), f.effects);
  assert_int_equal(f.answer(f.ask({6, 0}, nodes({0, 1, 2}))), 'P');
  assert_true(sent<Promise>(f.effects)[0].recovering);
  assert_true(sent<Promise>(f.effects)[0].accepted.stamp == Stamp({{4, 0}, 3}));
  f.hear_accept(record_of(*f.config, nodes({0, 1, 2}), {6, 0}, 1));
  assert_int_equal(f.answer(f.ask({7, 0}, nodes({0, 1, 2}))), 'P');
  assert_false(sent<Promise>(f.effects)[0].recovering);
}

void a_committed_view_says_who_is_acknowledged(void**) {
  Fixture f;
  f.ready();
  assert_int_equal(f.answer(f.ask({5, 0}, nodes({0, 1, 2, 3, 4}))), 'P');
  f.voter->on_committed(view_of(*f.config, nodes({0, 1, 2}), {4, 0}));  // older than what we promised
  assert_true(f.voter->leases().acknowledge(f.peers.table.now, 3, lan.lease));
  f.voter->on_committed(view_of(*f.config, nodes({0, 1, 2}), {5, 0}));
  assert_false(f.voter->leases().acknowledge(f.peers.table.now, 3, lan.lease));
}

// ---- its own evidence ------------------------------------------------------------------------------

// Node 0 asks to leave out node 3, about which voter 1 thinks something.
void opinion_table(void**) {
  struct Row {
    const char* what;
    void (*set)(Fixture& f, Prepare& prepare);
    char at_once;
    char after_hold;
  };
  const Row rows[] = {
      {"silent here too", [](Fixture& f, Prepare&) { f.peers.silent(3, lan.detection); }, 'P', 'P'},
      {"silent for half the detection time",
       [](Fixture& f, Prepare&) {
         f.peers.table.peers[3].last_sign = f.peers.table.now - lan.detection / 2 - Duration::from_ns(1);
       },
       'P', 'P'},
      {"well by the own table, whatever the candidate says", [](Fixture&, Prepare&) {}, 'N', 'N'},
      {"cut off from the candidate", [](Fixture& f, Prepare&) { f.peers.break_pair(0, 3); }, '-', 'P'},
      {"well, heard by the candidate by its own word",
       [](Fixture&, Prepare& prepare) { prepare.candidate_heard.add(3); }, 'N', 'N'},
      {"heard by the candidate, which it does not hear",
       [](Fixture& f, Prepare& prepare) {
         prepare.candidate_heard.add(3);
         f.peers.deafen(3, 0);
       },
       '-', 'P'},
      {"cut off from another member, not from the candidate",
       [](Fixture& f, Prepare& prepare) {
         prepare.candidate_heard.add(3);
         f.peers.break_pair(2, 3);
       },
       '-', 'P'},
      {"here in a new life", [](Fixture& f, Prepare&) { f.peers.restarted(3); }, 'P', 'P'},
      {"saying goodbye", [](Fixture& f, Prepare&) { f.peers.table.peers[3].latest.leaving = true; }, 'P', 'P'},
      {"never heard of", [](Fixture& f, Prepare&) { f.peers.table.peers[3].known = false; }, 'P', 'P'},
  };
  for (const Row& row : rows) {
    Fixture f;
    f.ready();
    Prepare prepare = f.ask({5, 0}, nodes({0, 1, 2, 4}));
    row.set(f, prepare);
    const char at_once = f.answer(prepare);
    if (at_once != row.at_once) print_error("%s: at once '%c'\n", row.what, at_once);
    assert_int_equal(at_once, row.at_once);
    if (at_once == 'N') {
      assert_int_equal(f.reason(), NackReason::still_hear_suspect);
      assert_true(sent<Nack>(f.effects)[0].suspects_heard == nodes({3}));
      assert_true(f.voter->promised().is_genesis());
    }
    if (at_once == '-') {
      // Repetitions do not start the wait anew.
      f.wait(lan.vote_hold() / 2);
      assert_int_equal(f.answer(prepare), '-');
      assert_true(f.voter->next_deadline() == f.peers.table.now + lan.vote_hold() / 2);
      f.wait(lan.vote_hold() / 2 - Duration::from_ns(1));
      f.effects.clear();
      f.advance();
      assert_int_equal(f.said(), '-');
      f.wait(Duration::from_ns(1));
      f.advance();
      assert_int_equal(f.said(), row.after_hold);
      assert_true(f.voter->next_deadline().is_never());
    }
  }
}

void a_held_vote_becomes_an_objection_when_the_pair_heals(void**) {
  Fixture f;
  f.ready();
  Prepare prepare = f.ask({5, 0}, nodes({0, 1, 2, 4}));
  prepare.candidate_heard.add(3);
  f.peers.deafen(3, 0);
  assert_int_equal(f.answer(prepare), '-');
  f.wait(Duration::from_ms(10));
  f.peers.table.peers[3].latest.heard.add(0);
  f.advance();
  assert_int_equal(f.said(), 'N');
  assert_int_equal(f.reason(), NackReason::still_hear_suspect);
}

// The hold is for evidence to show, whoever asks.
void another_candidate_does_not_start_the_hold_anew(void**) {
  Fixture f;
  f.ready();
  f.peers.break_pair(0, 3);
  assert_int_equal(f.answer(f.ask({5, 0}, nodes({0, 1, 2, 4}))), '-');
  f.wait(lan.vote_hold() - Duration::from_ms(1));
  assert_int_equal(f.answer(f.ask({6, 2}, nodes({0, 1, 2, 4}))), '-');
  f.wait(Duration::from_ms(1));
  assert_int_equal(f.answer(f.ask({7, 0}, nodes({0, 1, 2, 4}))), 'P');
  // … for the same question: who is left out besides has a wait of its own.
  Fixture g;
  g.ready();
  for (NodeId other : nodes({0, 2})) {
    g.peers.break_pair(other, 3);
    g.peers.break_pair(other, 4);
  }
  g.peers.break_pair(3, 4);
  assert_int_equal(g.answer(g.ask({5, 0}, nodes({0, 1, 2, 4}))), '-');
  g.wait(lan.vote_hold());
  assert_int_equal(g.answer(g.ask({6, 0}, nodes({0, 1, 2}))), '-');
}

void a_held_vote_is_forgotten_with_its_candidacy(void**) {
  Fixture f;
  f.ready();
  f.peers.break_pair(0, 3);
  Prepare prepare = f.ask({5, 0}, nodes({0, 1, 2, 4}));
  assert_int_equal(f.answer(prepare), '-');
  assert_int_equal(f.answer(f.ask({6, 2})), 'P');  // somebody else's, with everybody
  f.effects.clear();
  f.wait(lan.vote_hold());
  f.advance();
  assert_int_equal(f.said(), '-');
  assert_true(f.voter->promised() == Epoch({6, 2}));
}

void one_objection_outweighs_what_would_agree(void**) {
  Fixture f;
  f.ready();
  Prepare prepare = f.ask({5, 0}, nodes({0, 1, 2}));
  prepare.candidate_heard.add(4);
  f.peers.silent(3, lan.detection);
  assert_int_equal(f.answer(prepare), 'N');
  assert_true(sent<Nack>(f.effects)[0].suspects_heard == nodes({4}));
}

void to_its_own_candidacy_it_does_not_object(void**) {
  Fixture f;
  f.ready();
  assert_int_equal(f.answer(f.ask({5, self}, nodes({0, 1, 2, 4}))), 'P');
}

// A member proposed in another life than the one that is known and heard is one left out.
void a_new_life_in_the_proposal_is_an_expulsion_of_the_old(void**) {
  Fixture f;
  f.ready();
  Prepare prepare = f.ask({5, 0});
  prepare.incarnations[3] = life_of(3, 2);
  prepare.candidate_heard.add(3);
  assert_int_equal(f.answer(prepare), 'N');  // we hear the old one, well
  f.peers.restarted(3);
  assert_int_equal(f.answer(prepare), 'P');
}

// ---- accepting -------------------------------------------------------------------------------------

void accept_table(void**) {
  struct Row {
    Stamp stamp;
    bool accepted;
    bool told_too_low;
    bool stored;
  };
  // One after the other; first {5, 0} is promised.
  const Row rows[] = {
      {{{4, 0}, 1}, false, true, false}, {{{5, 0}, 1}, true, false, true},
      {{{5, 0}, 1}, true, false, false},                                      // again: the answer was lost
      {{{5, 0}, 3}, true, false, true},  {{{5, 0}, 2}, false, false, false},  // overtaken
      {{{7, 2}, 1}, true, false, true},  // without a promise: a later one that others gave
      {{{5, 0}, 4}, false, true, false},
  };
  Fixture f;
  f.ready();
  assert_int_equal(f.answer(f.ask({5, 0})), 'P');
  for (const Row& row : rows) {
    f.effects.clear();
    f.hear_accept(record_of(*f.config, nodes({0, 1, 2, 3, 4}), row.stamp.epoch, row.stamp.version));
    const auto answers = sent<Accepted>(f.effects, row.stamp.epoch.proposer);
    assert_int_equal(answers.size(), row.accepted);
    if (row.accepted) assert_true(answers[0].stamp == row.stamp);
    assert_int_equal(sent<Nack>(f.effects).size(), row.told_too_low);
    const auto stored = those<effect::Persist>(f.effects);
    assert_int_equal(stored.size(), row.stored);
    if (row.stored) assert_true(stored[0].state.accepted.stamp == row.stamp);
  }
  assert_true(f.voter->promised() == Epoch({7, 2}));
}

void records_for_others_are_not_accepted(void**) {
  Fixture f;
  f.ready();
  f.hear_accept(record_of(*f.config, nodes({0, 2, 3}), {5, 0}, 1));
  Record other_life = record_of(*f.config, nodes({0, 1, 2}), {5, 0}, 1);
  other_life.view.incarnations[self] = life_of(self, 2);
  f.hear_accept(other_life);
  assert_true(sent<Accepted>(f.effects).empty());
  assert_true(f.voter->accepted().stamp == Stamp({{1, 0}, 2}));
  assert_true(f.voter->promised().is_genesis());
}

void accepting_ends_the_leases_of_those_left_out(void**) {
  Fixture f;
  f.ready();
  f.hear_accept(record_of(*f.config, nodes({0, 1, 2}), {5, 0}, 1));
  assert_false(f.voter->leases().acknowledge(f.peers.table.now, 3, lan.lease));
  assert_true(f.voter->leases().acknowledge(f.peers.table.now, 2, lan.lease));
}

void learning_only_goes_forward(void**) {
  Fixture f;
  f.ready();
  f.voter->learn(record_of(*f.config, nodes({0, 1, 2}), {4, 0}, 3), f.effects);
  assert_true(f.voter->accepted().stamp == Stamp({{4, 0}, 3}));
  assert_int_equal(those<effect::Persist>(f.effects).size(), 1);
  f.voter->learn(record_of(*f.config, nodes({0, 1, 2}), {4, 0}, 2), f.effects);
  assert_true(f.voter->accepted().stamp == Stamp({{4, 0}, 3}));
  assert_int_equal(those<effect::Persist>(f.effects).size(), 1);
  // Known is not promised: it may still vote for what is above its promise.
  assert_true(f.voter->promised().is_genesis());
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(a_restarted_voter_waits),
      cmocka_unit_test(each_condition_of_readiness_counts),
      cmocka_unit_test(the_ceiling_is_stored_ahead),
      cmocka_unit_test(no_vote_above_what_is_stored),
      cmocka_unit_test(half_the_ceiling_is_kept_in_reserve),
      cmocka_unit_test(nothing_at_or_below_an_earlier_lifes_ceiling),
      cmocka_unit_test(a_candidate_has_no_epoch_above_the_ceiling_either),
      cmocka_unit_test(failed_storage_silences_the_vote_until_it_works),
      cmocka_unit_test(a_first_write_that_fails_is_tried_again_too),
      cmocka_unit_test(the_keys_that_count_are_those_on_the_disk),
      cmocka_unit_test(one_vote_per_epoch),
      cmocka_unit_test(an_epoch_is_of_one_life_of_its_proposer),
      cmocka_unit_test(who_may_ask),
      cmocka_unit_test(a_promise_tells_the_newest_record_and_the_leases),
      cmocka_unit_test(a_restarted_voter_says_so_until_it_accepts),
      cmocka_unit_test(a_committed_view_says_who_is_acknowledged),
      cmocka_unit_test(opinion_table),
      cmocka_unit_test(a_held_vote_becomes_an_objection_when_the_pair_heals),
      cmocka_unit_test(another_candidate_does_not_start_the_hold_anew),
      cmocka_unit_test(a_held_vote_is_forgotten_with_its_candidacy),
      cmocka_unit_test(one_objection_outweighs_what_would_agree),
      cmocka_unit_test(to_its_own_candidacy_it_does_not_object),
      cmocka_unit_test(a_new_life_in_the_proposal_is_an_expulsion_of_the_old),
      cmocka_unit_test(accept_table),
      cmocka_unit_test(records_for_others_are_not_accepted),
      cmocka_unit_test(a_promise_carries_what_the_candidate_lacks),
      cmocka_unit_test(accepting_ends_the_leases_of_those_left_out),
      cmocka_unit_test(learning_only_goes_forward),
  };
  return cmocka_run_group_tests_name("core/voter", tests, nullptr, nullptr);
}
