// One whole core at its edge: what it says in heartbeats, whom it acknowledges, whom it believes, and what
// it does for operators. Some of it in a small cluster, most of it alone.
#include "runtime/core/node_core.hpp"

#include "tests/unit/core/cluster_rig.hpp"
#include "tests/unit/core/peers_fixture.hpp"
// Last: cmocka's macros (fail, …) bite the standard library.
#include "tests/unit/cmocka.hpp"

using namespace vigil;
using namespace vigil::testing;

namespace {

constexpr Timing lan = timing_of(Profile::lan);

// As an acknowledgement names a renewal.
constexpr std::int64_t in_units(std::int64_t sent_ns) { return sent_ns - sent_ns % renewal_unit.ns; }

// Node 0 of three; a test is its network and its shell.
struct Node {
  explicit Node(StoredState stored = {}, std::size_t networks = 1) : config(cluster_of(3, networks)) {
    options.self = 0;
    options.incarnation = life_of(0);
    options.stored = stored;
    make();
  }
  void make() { core = std::make_unique<NodeCore>(*config, options, now); }
  void step(const Event& event = event::Tick{}) { core->step(now, event, effects); }
  void wait(Duration duration) {
    const Instant end = now + duration;
    while (core->next_deadline() <= end) {
      now = later(now, core->next_deadline());
      step();
    }
    now = end;
    step();
  }
  // Adapters up, clean, its ceiling stored, its restart wait over.
  void ready() {
    for (std::size_t i = 0; i < config->nodes[0].adapters.size(); ++i)
      step(event::AdapterChanged{static_cast<AdapterIndex>(i), true});
    step(event::Cleaned{true});
    for (const effect::Persist& write : those<effect::Persist>(effects)) step(event::Persisted{write.token, true});
    wait(outlast(longest_lease));
    effects.clear();
  }
  Heartbeat beat_of(NodeId node, std::uint64_t life = 1) {
    Heartbeat heartbeat;
    heartbeat.link_sequence = ++sequence;
    heartbeat.sent_ns = now.ns - 1'000;
    heartbeat.incarnation = life_of(node, life);
    heartbeat.config_hash = config->hash;
    heartbeat.ready = heartbeat.clean = true;
    heartbeat.wants_lease = true;
    heartbeat.lease_us = static_cast<std::uint32_t>(lan.lease.us());
    heartbeat.heard = nodes({0, 1, 2}) - NodeSet::of(node);
    heartbeat.heard_links.fill(1);
    return heartbeat;
  }
  void hear(NodeId node, const Heartbeat& heartbeat) { step(event::HeartbeatReceived{node, 0, heartbeat}); }
  void hear(NodeId node, const Message& message, std::uint64_t life = 1) {
    step(event::MessageReceived{node, life_of(node, life), message});
  }
  // In the view of (1, 1) with both others, by what node 1 says.
  void join() {
    ready();
    hear(1, beat_of(1));
    hear(2, beat_of(2));
    hear(1, CommittedRecord{record_of(*config, nodes({0, 1, 2}), {1, 1}), {}});
    effects.clear();
  }
  std::vector<effect::SendHeartbeat> beats() const { return those<effect::SendHeartbeat>(effects); }
  // What the beats since the last look acknowledged of node's renewals.
  std::vector<std::int64_t> acknowledged(NodeId holder) const {
    std::vector<std::int64_t> sent;
    for (const effect::SendHeartbeat& beat : beats())
      for (const RenewalAck& ack : beat.heartbeat.acks)
        if (ack.holder == holder) sent.push_back(ack.sent_ns);
    return sent;
  }

  std::unique_ptr<ClusterConfig> config;
  NodeOptions options;
  Instant now{Duration::from_s(100).ns};
  std::unique_ptr<NodeCore> core;
  Effects effects;
  std::uint32_t sequence = 0;
};

// ---- heartbeats -------------------------------------------------------------------------------------

void heartbeats_keep_their_rhythm(void**) {
  Node n({}, 2);
  n.step();
  assert_int_equal(n.beats().size(), 2);  // one on each link, at once
  n.effects.clear();
  n.wait(lan.interval * 40);
  assert_int_equal(n.beats().size(), 80);
  std::uint32_t last = 1;
  for (const effect::SendHeartbeat& beat : n.beats()) {
    if (beat.link != 0) continue;
    assert_int_equal(beat.heartbeat.link_sequence, last + 1);
    last = beat.heartbeat.link_sequence;
  }
  // After a stall one, not all that were missed; and then the rhythm again.
  n.effects.clear();
  n.now = n.now + Duration::from_s(1);
  n.step();
  assert_int_equal(n.beats().size(), 2);
  n.effects.clear();
  n.wait(lan.interval * 4);
  assert_int_equal(n.beats().size(), 8);
}

void heartbeats_tell_the_truth(void**) {
  Node n;
  n.step();
  Heartbeat beat = n.beats().back().heartbeat;
  assert_false(beat.ready);
  assert_false(beat.clean);
  assert_false(beat.quorate);
  assert_false(beat.wants_lease);
  assert_int_equal(beat.networks_up, 0);
  assert_true(beat.incarnation == life_of(0));
  assert_int_equal(beat.config_hash, n.config->hash);
  assert_true(beat.sent_ns == n.now.ns);
  n.ready();
  n.wait(lan.interval);
  beat = n.beats().back().heartbeat;
  assert_true(beat.ready);
  assert_true(beat.clean);
  assert_int_equal(beat.networks_up, 1);
  assert_true(beat.heard.empty());
  n.hear(1, n.beat_of(1));
  n.wait(lan.interval);
  beat = n.beats().back().heartbeat;
  assert_true(beat.heard == nodes({1}));
  assert_int_equal(beat.heard_links[1], 1);
  assert_int_equal(beat.heard_links[2], 0);
  n.hear(1, CommittedRecord{record_of(*n.config, nodes({0, 1, 2}), {1, 1}), {}});
  n.wait(lan.interval);
  beat = n.beats().back().heartbeat;
  assert_true(beat.committed == Stamp({{1, 1}, 2}));
  assert_true(beat.wants_lease);
  assert_false(beat.quorate);
  assert_int_equal(beat.lease_us, lan.lease.us());
  n.step(event::Late{Duration::from_ms(70)});
  n.wait(lan.interval);
  beat = n.beats().back().heartbeat;
  assert_true(beat.late);
  assert_int_equal(beat.lateness_ms, 70);
}

void links_too_slow_for_a_lease_do_not_ask_for_one(void**) {
  Node n;
  add_line(*n.config, 0, 1, 9'600);
  n.make();
  n.join();
  n.wait(Duration::from_ms(500));
  bool slow_seen = false;
  for (const effect::SendHeartbeat& beat : n.beats()) {
    assert_int_equal(beat.heartbeat.wants_lease, beat.link == 0);
    slow_seen = slow_seen || beat.link == 1;
  }
  assert_true(slow_seen);
}

// ---- acknowledgements -------------------------------------------------------------------------------

void who_is_acknowledged(void**) {
  struct Row {
    const char* what;
    void (*set)(Node& n, Heartbeat& beat);
    bool acknowledged;
  };
  const Row rows[] = {
      {"a member that asks", [](Node&, Heartbeat&) {}, true},
      {"… in another life", [](Node&, Heartbeat& beat) { beat.incarnation = life_of(1, 2); }, false},
      {"… for longer than anybody may have", [](Node&, Heartbeat& beat) { beat.lease_us = 3'000'000; }, false},
      {"… for nothing", [](Node&, Heartbeat& beat) { beat.lease_us = 0; }, false},
      {"after a promise to leave it out",
       [](Node& n, Heartbeat&) {
         Prepare prepare;
         prepare.epoch = {2, 2};
         prepare.members = nodes({0, 2});
         prepare.incarnations[0] = life_of(0);
         prepare.incarnations[2] = life_of(2);
         prepare.expel = nodes({1});
         n.wait(lan.detection / 2 + Duration::from_ms(2));  // node 1 is silent, for long enough
         n.hear(2, n.beat_of(2));
         n.hear(2, prepare);
         assert_int_equal(sent<Promise>(n.effects, 2).size(), 1);
         n.effects.clear();
       },
       false},
      {"after it was voted out",
       [](Node& n, Heartbeat&) {
         Record record = record_of(*n.config, nodes({0, 2}), {2, 2}, 2);
         record.view.incarnations[1] = life_of(1);
         n.hear(2, CommittedRecord{record, {}});
         n.effects.clear();
       },
       false},
      {"when we cannot store any more",
       [](Node& n, Heartbeat&) {
         n.step(event::Persisted{99, false});
         n.effects.clear();
       },
       false},
  };
  for (const Row& row : rows) {
    Node n;
    n.join();
    n.now = n.now + Duration::from_ms(1);
    Heartbeat beat = n.beat_of(1);
    row.set(n, beat);
    beat.sent_ns = n.now.ns - 1'000;
    n.hear(1, beat);
    n.effects.clear();
    n.wait(lan.interval);
    const bool acknowledged = !n.acknowledged(1).empty();
    for (const std::int64_t sent_ns : n.acknowledged(1)) assert_int_equal(sent_ns, in_units(beat.sent_ns));
    assert_true(n.beats().back().heartbeat.committed.epoch == n.core->committed().view.epoch);
    if (acknowledged != row.acknowledged) print_error("acknowledged: %s\n", row.what);
    assert_int_equal(acknowledged, row.acknowledged);
  }
}

// It is in the stored record, and was in the view: but what an earlier life of it acknowledged may last.
void a_restarted_voter_acknowledges_nobody_before_its_wait(void**) {
  Node first;
  StoredState stored;
  stored.epoch_ceiling = 1'001;
  stored.longest_acknowledged = lan.lease;
  stored.accepted = record_of(*first.config, nodes({0, 1, 2}), {1, 1});
  Node n(stored);
  n.step(event::AdapterChanged{0, true});
  n.step(event::Cleaned{true});
  for (const effect::Persist& write : those<effect::Persist>(n.effects)) n.step(event::Persisted{write.token, true});
  n.hear(1, n.beat_of(1));
  n.hear(2, n.beat_of(2));
  // Even were it admitted at once, in this very life:
  n.hear(1, CommittedRecord{record_of(*n.config, nodes({0, 1, 2}), {2'000, 1}), {}});
  const Instant may = Instant{Duration::from_s(100).ns} + outlast(lan.lease);
  bool refused = false;
  bool acknowledged = false;
  for (int i = 0; i < 300; ++i) {
    n.now = n.now + Duration::from_ms(1);
    n.effects.clear();
    n.hear(1, n.beat_of(1));
    n.hear(2, n.beat_of(2));
    for (const effect::SendHeartbeat& beat : n.beats()) {
      if (n.now < may) assert_true(beat.heartbeat.acks.empty());
      refused = refused || beat.heartbeat.acks.empty();
      acknowledged = acknowledged || !beat.heartbeat.acks.empty();
    }
    for (const effect::Persist& write : those<effect::Persist>(n.effects)) n.step(event::Persisted{write.token, true});
  }
  assert_true(refused);
  assert_true(acknowledged);
}

void a_lease_needs_a_quorums_acknowledgements(void**) {
  Node n;
  n.join();
  n.wait(lan.interval);
  const std::int64_t sent_ns = in_units(n.beats().back().heartbeat.sent_ns);
  n.now = n.now + Duration::from_ms(1);
  n.effects.clear();
  const auto beat_with = [&](NodeId from, NodeId holder, Epoch epoch, std::uint64_t life = 1) {
    Heartbeat beat = n.beat_of(from, life);
    beat.committed = {epoch, 2};
    beat.acks.push({holder, sent_ns});
    return beat;
  };
  // Another's renewal, from another epoch, of the future, from another life: nothing.
  n.hear(1, beat_with(1, 2, {1, 1}));
  n.hear(1, beat_with(1, 0, {1, 2}));
  Heartbeat early = n.beat_of(1);
  early.committed = {{1, 1}, 2};
  early.acks.push({0, in_units((n.now + Duration::from_ms(1)).ns)});
  n.hear(1, early);
  n.hear(2, beat_with(2, 0, {1, 1}, 2));
  assert_true(those<effect::RenewLease>(n.effects).empty());
  n.hear(1, beat_with(1, 0, {1, 1}));
  const auto renewed = those<effect::RenewLease>(n.effects);
  assert_int_equal(renewed.size(), 1);
  assert_true(renewed[0].until == Instant{sent_ns} + lan.lease);
  assert_true(n.core->lease_until() == renewed[0].until);
}

// ---- whom it believes -------------------------------------------------------------------------------

void only_the_life_that_is_heard_speaks(void**) {
  Node n;
  n.ready();
  const Record record = record_of(*n.config, nodes({0, 1, 2}), {1, 1});
  n.hear(1, CommittedRecord{record, {}});  // before any heartbeat
  assert_true(n.core->committed().stamp == Stamp{});
  n.hear(1, n.beat_of(1, 2));
  n.hear(1, CommittedRecord{record, {}}, 1);
  assert_true(n.core->committed().stamp == Stamp{});
  n.hear(1, CommittedRecord{record, {}}, 2);
  assert_true(n.core->committed().stamp == record.stamp);
}

void nonsense_is_ignored(void**) {
  Node n;
  n.join();
  n.effects.clear();
  n.hear(200, n.beat_of(1));
  n.hear(0, n.beat_of(0));  // our own, looped back
  n.step(event::HeartbeatReceived{1, 7, n.beat_of(1)});
  Heartbeat beat = n.beat_of(1);
  beat.link = 5;
  n.hear(1, beat);
  beat = n.beat_of(1);
  beat.incarnation = {};
  n.hear(1, beat);
  n.step(event::AckReceived{200, 0, life_of(1), {}});
  n.hear(200, Message{Fetch{}});
  Report report;
  report.group = 31;
  n.hear(1, Message{report});
  n.step(event::AddressDone{31, 0, true, true, {}});
  n.step(event::AddressConflict{31, 0});
  n.step(event::AddressLost{31, 0});
  n.step(event::ApplicationFailed{31, 1});
  n.step(event::AgentDone{4'000, event::AgentOutcome::ok, 0, {}});
  n.step(event::AdapterChanged{200, true});
  assert_true(those<effect::SendAck>(n.effects).empty());
  assert_true(n.core->committed().stamp == Stamp({{1, 1}, 2}));
}

void an_older_heartbeat_does_not_undo_a_newer_one(void**) {
  Node n;
  n.join();
  Heartbeat newer = n.beat_of(1);
  newer.networks_up = 3;
  Heartbeat older = newer;
  older.sent_ns -= 5'000'000;
  older.networks_up = 0;
  n.hear(1, newer);
  n.hear(1, older);
  NodeStatus status;
  n.core->describe(n.now, status);
  assert_int_equal(status.peers[0].networks_up, 3);
}

void another_configuration_is_told_once(void**) {
  Node n;
  n.ready();
  Heartbeat beat = n.beat_of(1);
  beat.config_hash = 1;
  for (int i = 0; i < 5; ++i) n.hear(1, beat);
  int told = 0;
  for (const effect::Journal& line : those<effect::Journal>(n.effects))
    told += line.entry.event == EventName::config_mismatch;
  assert_int_equal(told, 1);
  NodeStatus status;
  n.core->describe(n.now, status);
  assert_false(status.peers[0].config_matches);
  n.hear(1, n.beat_of(1));  // put right …
  n.hear(1, beat);          // … and wrong again
  told = 0;
  for (const effect::Journal& line : those<effect::Journal>(n.effects))
    told += line.entry.event == EventName::config_mismatch;
  assert_int_equal(told, 2);
}

void journal_lines_are_numbered_and_stamped(void**) {
  Node n;
  n.join();
  n.hear(2, CommittedRecord{record_of(*n.config, nodes({0, 1, 2}), {3, 2}), {}});
  std::uint64_t last = 0;
  for (const effect::Journal& line : those<effect::Journal>(n.effects)) {
    if (last != 0) assert_int_equal(line.entry.sequence, last + 1);
    last = line.entry.sequence;
    assert_int_equal(line.entry.node, 0);
    assert_int_equal(line.entry.boot_ns, n.now.ns);
    assert_true(line.entry.stamp == Stamp({{3, 2}, 2}));
  }
  assert_true(last > 0);
}

// ---- operators --------------------------------------------------------------------------------------

void without_quorum_operators_are_refused(void**) {
  Node n;
  n.join();
  n.step(event::OperatorAsked{5, {OperatorVerb::node_standby, no_index, 1}});
  const auto answers = those<effect::OperatorAnswer>(n.effects);
  assert_int_equal(answers.size(), 1);
  assert_int_equal(answers[0].id, 5);
  assert_false(answers[0].accepted);
  assert_false(answers[0].text.empty());
}

struct Trio {
  Trio() {
    text.read("nodes alpha beta gamma");
    text.read("network public");
    text.read("adapter * public eth0");
    text.read("group web nodes=alpha,beta,gamma addresses=public fallback=no app=none");
    text.read("hook node_down notify");
    text.read("hook view_change post");
    config = std::make_unique<ClusterConfig>(text.config());
    rig = std::make_unique<ClusterRig>(*config);
    for (NodeId node = 0; node < 3; ++node) rig->start(node);
    up = rig->run_until([&] { return rig->settled(nodes({0, 1, 2})) && rig->serves(0); });
    rig->run(Duration::from_ms(100));
    (void)rig->take();
  }
  ClusterText text;
  std::unique_ptr<ClusterConfig> config;
  std::unique_ptr<ClusterRig> rig;
  bool up = false;
};

void operators_are_answered_in_the_end(void**) {
  Trio t;
  assert_true(t.up);
  t.rig->lose(losing({"OperatorRequest"}));
  t.rig->operate(2, {OperatorVerb::group_offline, 0, no_node});
  t.rig->run(Duration::from_ms(9'900));
  assert_int_equal(t.rig->count_lines("answers"), 0);
  t.rig->run(Duration::from_ms(200));
  assert_int_equal(t.rig->count_lines("answers no: no coordinator answered"), 1);
}

void operators_words_are_repeated_until_heard(void**) {
  for (const char* kind : {"OperatorRequest", "OperatorReply"}) {
    Trio t;
    int lost = 0;
    t.rig->lose([&lost, kind](NodeId, NodeId, const Message& message) {
      return kind == std::string(message_texts[message.index()]) && ++lost <= 4;
    });
    t.rig->operate(2, {OperatorVerb::group_offline, 0, no_node});
    t.rig->run(Duration::from_ms(500));
    assert_int_equal(t.rig->count_lines("answers yes"), 1);
    assert_false(t.rig->core(1).committed().state.groups[0].wanted);
  }
}

void a_node_that_serves_nothing_may_just_stop(void**) {
  Trio t;
  t.rig->part({nodes({0}), nodes({1, 2})});
  t.rig->run(Duration::from_s(1));
  (void)t.rig->take();
  t.rig->operate(0, {OperatorVerb::node_stop, no_index, 0});
  t.rig->run(Duration::from_ms(100));
  assert_int_equal(t.rig->count_lines("answers yes"), 1);
  assert_int_equal(t.rig->count_lines("stopped without a quorum"), 1);
  assert_false(t.rig->up(0));
  assert_int_equal(t.rig->violations(), 0);
}

// ---- the lease, counted -----------------------------------------------------------------------------

void lease_gaps_are_counted(void**) {
  Trio t;
  assert_int_equal(t.rig->status(0).lease_gaps, 0);
  for (std::uint64_t gap = 1; gap <= 3; ++gap) {
    t.rig->freeze(0);
    t.rig->run(lan.lease + Duration::from_ms(5));
    t.rig->thaw(0);
    t.rig->run(Duration::from_ms(300));
    assert_int_equal(t.rig->status(0).lease_gaps, gap);
  }
  assert_true(t.rig->serves(0));
  assert_true(t.rig->status(0).worst_lateness >= Duration::from_ms(150));
  assert_true(t.rig->status(0).late_count >= 3);
  assert_int_equal(t.rig->count_lines("lease_gap"), 1);  // one line of text, three times
  assert_int_equal(t.rig->violations(), 0);
}

// ---- its end ----------------------------------------------------------------------------------------

void after_the_end_it_is_silent(void**) {
  Node n;
  n.join();
  Record without_us = record_of(*n.config, nodes({1, 2}), {2, 1});
  without_us.view.incarnations[0] = life_of(0);
  n.hear(1, CommittedRecord{without_us, {}});
  assert_int_equal(those<effect::StartAfresh>(n.effects).size(), 1);
  n.effects.clear();
  assert_true(n.core->next_deadline().is_never());
  n.now = n.now + Duration::from_s(1);
  n.step();
  n.hear(1, n.beat_of(1));
  n.hear(1, Message{Fetch{}});
  assert_true(n.effects.empty());
}

void every_step_moves_the_deadline_on(void**) {
  Trio t;
  t.rig->crash(1);
  for (int i = 0; i < 2'000; ++i) {
    t.rig->run(Duration::from_us(500));  // the rig itself fails on a deadline that does not pass
    for (const NodeId node : {NodeId{0}, NodeId{2}}) assert_true(t.rig->core(node).next_deadline() > t.rig->now());
  }
}

// What the simulator's coverage counts.
void phases_follow_a_node_through_its_life(void**) {
  Node waiting;
  NodePhases is;
  waiting.core->phases(waiting.now, is);
  assert_true(is.voter == VoterPhase::unclean);
  assert_true(is.membership == MembershipPhase::outside);
  assert_true(is.lease == LeasePhase::never_had);
  assert_true(is.peer[1] == PeerPhase::unknown);
  waiting.step(event::Cleaned{true});
  waiting.core->phases(waiting.now, is);
  assert_true(is.voter == VoterPhase::waiting);
  Heartbeat deaf = waiting.beat_of(1);
  deaf.heard = {};
  waiting.hear(1, deaf);
  waiting.core->phases(waiting.now, is);
  assert_true(is.peer[1] == PeerPhase::one_way_in);

  Trio t;
  t.rig->core(0).phases(t.rig->now(), is);
  assert_true(is.voter == VoterPhase::ready);
  assert_true(is.membership == MembershipPhase::member);
  assert_true(is.candidacy == CandidacyPhase::leads);
  assert_true(is.lease == LeasePhase::runs);
  assert_true(is.peer[1] == PeerPhase::both_ways);
  t.rig->core(1).phases(t.rig->now(), is);
  assert_true(is.candidacy == CandidacyPhase::idle);

  t.rig->crash(1);
  t.rig->crash(2);
  t.rig->run(lan.detection + lan.quorum_grace() * 3);
  t.rig->core(0).phases(t.rig->now(), is);
  assert_true(is.peer[1] == PeerPhase::silent);
  assert_true(is.lease == LeasePhase::lost);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(heartbeats_keep_their_rhythm),
      cmocka_unit_test(phases_follow_a_node_through_its_life),
      cmocka_unit_test(heartbeats_tell_the_truth),
      cmocka_unit_test(links_too_slow_for_a_lease_do_not_ask_for_one),
      cmocka_unit_test(who_is_acknowledged),
      cmocka_unit_test(a_restarted_voter_acknowledges_nobody_before_its_wait),
      cmocka_unit_test(a_lease_needs_a_quorums_acknowledgements),
      cmocka_unit_test(only_the_life_that_is_heard_speaks),
      cmocka_unit_test(nonsense_is_ignored),
      cmocka_unit_test(an_older_heartbeat_does_not_undo_a_newer_one),
      cmocka_unit_test(another_configuration_is_told_once),
      cmocka_unit_test(journal_lines_are_numbered_and_stamped),
      cmocka_unit_test(without_quorum_operators_are_refused),
      cmocka_unit_test(operators_are_answered_in_the_end),
      cmocka_unit_test(operators_words_are_repeated_until_heard),
      cmocka_unit_test(a_node_that_serves_nothing_may_just_stop),
      cmocka_unit_test(lease_gaps_are_counted),
      cmocka_unit_test(after_the_end_it_is_silent),
      cmocka_unit_test(every_step_moves_the_deadline_on),
  };
  return cmocka_run_group_tests_name("core/node_core", tests, nullptr, nullptr);
}
