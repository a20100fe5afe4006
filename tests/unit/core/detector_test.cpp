// Suspicions, path states and counts, by the clock. Node 0 looks at node 1 (and 2), lan timing: I = 25 ms,
// D = 180 ms for a node, 135 ms for a path.
#include "runtime/core/detector.hpp"

#include "tests/unit/core/peers_fixture.hpp"
// Last: cmocka's macros (fail, …) bite the standard library.
#include "tests/unit/cmocka.hpp"

using namespace vigil;
using namespace vigil::testing;

namespace {

constexpr Timing lan = timing_of(Profile::lan);

struct Fixture {
  explicit Fixture(std::size_t networks = 2) : config(cluster_of(3, networks)) {}
  void build() { detector = std::make_unique<Detector>(*config, NodeId{0}); }
  Detector& operator*() { return *detector; }
  Detector* operator->() { return detector.get(); }

  Heartbeat beat_of(NodeId node, LinkIndex link, std::uint8_t hears_of_us = 0xff) {
    Heartbeat heartbeat;
    heartbeat.link = link;
    heartbeat.link_sequence = ++sequence[node][link];
    heartbeat.sent_ns = now.ns - 200'000;  // the clocks agree: tests of jitter say otherwise
    heartbeat.incarnation = life_of(node);
    heartbeat.heard_links[0] = hears_of_us;
    return heartbeat;
  }
  void hear(NodeId node, LinkIndex by, std::uint8_t hears_of_us = 0xff) {
    detector->on_heartbeat(now, node, by, beat_of(node, by, hears_of_us), now);
  }
  // Turns the clock, stopping at every millisecond.
  void wait(Duration duration) {
    const Instant end = now + duration;
    while (now < end) {
      now = earlier(end, now + Duration::from_ms(1));
      detector->advance(now);
    }
  }

  std::unique_ptr<ClusterConfig> config;
  std::unique_ptr<Detector> detector;
  Instant now{Duration::from_s(100).ns};
  std::uint32_t sequence[3][8] = {};
};

// ---- suspicion ------------------------------------------------------------------------------------

void silence_everywhere_is_a_suspicion(void**) {
  Fixture f;
  f.build();
  assert_false(f->heard(1));
  assert_false(f->suspected(1));
  f.hear(1, 0);
  f.wait(Duration::from_ms(10));
  f.hear(1, 1);
  const Instant last = f.now;
  assert_true(f->heard_nodes() == nodes({1}));
  f.wait(lan.detection - Duration::from_ms(1));
  assert_true(f->heard(1));
  assert_true(f->next_deadline() <= last + lan.detection);
  f.wait(Duration::from_ms(1));
  assert_false(f->heard(1));
  assert_true(f->suspected(1));
  assert_true(f->last_sign(1) == last);
  assert_true(f->suspected_since(1) == last + lan.detection);
  assert_true(f->heard_nodes().empty());
  // Somebody never heard is not accused of silence.
  assert_false(f->suspected(2));
  f.hear(1, 0);
  assert_true(f->heard(1));
  assert_false(f->suspected(1));
}

void one_silent_link_is_none(void**) {
  Fixture f;
  f.build();
  f.hear(1, 0);
  for (int i = 0; i < 40; ++i) {
    f.hear(1, 1);
    f.wait(lan.interval);
    assert_true(f->heard(1));
    assert_false(f->suspected(1));
  }
  assert_false(f->path(1, 0, 0).hearing);
  assert_true(f->path(1, 1, 1).hearing);
  assert_int_equal(f->links_heard(1), 0b10);
}

void other_frames_are_signs_of_life_of_known_nodes_alone(void**) {
  Fixture f;
  f.build();
  f->on_sign_of_life(f.now, 1);
  assert_false(f->heard(1));
  f.hear(1, 0);
  f.wait(lan.detection - Duration::from_ms(1));
  f->on_sign_of_life(f.now, 1);
  f.wait(lan.detection - Duration::from_ms(1));
  assert_true(f->heard(1));
  f.wait(Duration::from_ms(1));
  assert_true(f->suspected(1));
  f->on_ack(f.now, 1, 0, {}, f.now);
  assert_true(f->heard(1));
}

void a_path_goes_down_before_its_node(void**) {
  Fixture f;
  f.build();
  f.hear(1, 0);
  f.hear(1, 1);
  f.wait(lan.path_detection() - Duration::from_ms(1));
  assert_int_equal(f->links_heard(1), 0b11);
  const std::uint64_t version = f->version();
  f.wait(lan.interval + Duration::from_ms(1));  // paths are scanned once an interval
  assert_int_equal(f->links_heard(1), 0);
  assert_true(f->version() > version);
  assert_true(f->heard(1));
  f.hear(1, 0);
  assert_true(f->version() > version + 2);  // hearing again is news too
}

// ---- slow lines -----------------------------------------------------------------------------------

void a_serial_line_has_its_own_rhythm(void**) {
  struct Row {
    std::uint32_t baud;
    std::int64_t interval_us;
  };
  // 200 bytes at eleven bits each on half of the line take 458, 115, 38 and 5 ms: the next whole interval.
  const Row rows[] = {{9'600, 480'000}, {38'400, 120'000}, {115'200, 60'000}, {921'600, 30'000}, {0, 30'000}};
  for (const Row& row : rows) {
    Fixture f(1);
    add_line(*f.config, 0, 1, row.baud);
    f.build();
    assert_int_equal(f->link_interval(0).us(), lan.interval.us());
    assert_int_equal(f->link_interval(1).us(), row.interval_us);
  }
}

void a_slow_path_has_its_own_patience(void**) {
  Fixture f(1);
  add_line(*f.config, 0, 1, 9'600);
  f.build();
  for (int i = 0; i < 12; ++i) {  // some 2.7 s, a frame each 458 ms
    f.hear(1, 1);
    for (int beats = 0; beats < 18; ++beats) {
      f.hear(1, 0);
      f.wait(lan.interval);
    }
    assert_true(f->path(1, 1, 1).hearing);
  }
  for (int beats = 0; beats < 60; ++beats) {
    f.hear(1, 0);
    f.wait(lan.interval);
  }
  assert_false(f->path(1, 1, 1).hearing);
}

void a_line_that_carries_no_lease_delays_no_suspicion(void**) {
  Fixture f(1);
  add_line(*f.config, 0, 1, 9'600);
  f.build();
  f.hear(1, 0);
  f.hear(1, 1);
  f.wait(lan.detection);
  assert_true(f->suspected(1));
  // … but it is evidence of life.
  f.hear(1, 1);
  assert_true(f->heard(1));
}

void a_line_that_carries_one_is_waited_for(void**) {
  Fixture f(1);
  add_line(*f.config, 0, 1, 9'600);
  f.config->nodes[0].links[1].carries_lease = true;
  f.build();
  f.hear(1, 0);
  f.hear(1, 1);
  f.wait(f->link_interval(1) * 3 - Duration::from_ms(1));
  assert_true(f->heard(1));
  f.wait(Duration::from_ms(2));
  assert_true(f->suspected(1));
}

// ---- own lateness (I6) ----------------------------------------------------------------------------

void own_lateness_is_credited_up_to_the_cap(void**) {
  struct Row {
    Duration stall;
    Duration expected;  // from the last frame to the suspicion
  };
  const Row rows[] = {
      {Duration::from_ms(30), lan.detection + Duration::from_ms(30)},
      {Duration::from_ms(500), lan.detection + Duration::from_ms(500)},
      {lan.lateness_cap(), lan.detection + lan.lateness_cap()},
      {Duration::from_s(5), lan.detection + lan.lateness_cap()},
  };
  for (const Row& row : rows) {
    Fixture f;
    f.build();
    f.hear(1, 0);
    const Instant last = f.now;
    f.now = f.now + row.stall;
    f->on_late(f.now, row.stall);
    f->advance(f.now);
    if (row.stall < lan.lateness_cap() + lan.detection) assert_true(f->heard(1));
    f.wait(Duration::from_s(2));
    assert_true(f->suspected(1));
    if (row.stall <= lan.lateness_cap()) assert_true(f->suspected_since(1) == last + row.expected);
  }
}

void credits_add_up_to_the_cap_and_a_frame_clears_them(void**) {
  Fixture f;
  f.build();
  f.hear(1, 0);
  const Instant last = f.now;
  for (int i = 0; i < 10; ++i) {  // stalls of 5 D in all, 4 D count
    f.now = f.now + lan.detection / 2;
    f->on_late(f.now, lan.detection / 2);
    f->advance(f.now);
  }
  assert_true(f->suspected(1));
  assert_true(f->suspected_since(1) == last + lan.detection + lan.lateness_cap());
  f.hear(1, 0);
  f.wait(lan.detection);
  assert_true(f->suspected(1));
  // The room for credit is there again.
  f.hear(1, 0);
  f.now = f.now + Duration::from_ms(100);
  f->on_late(f.now, Duration::from_ms(100));
  f.wait(lan.detection - Duration::from_ms(1));
  assert_true(f->heard(1));
  f.wait(Duration::from_ms(1));
  assert_true(f->suspected(1));
}

// However often a stall is reported: nobody gets more than a whole detection time from now.
void one_stall_told_many_times_counts_once(void**) {
  Fixture f;
  f.build();
  f.hear(1, 0);
  for (int i = 0; i < 10; ++i) f->on_late(f.now, Duration::from_ms(100));
  f.wait(lan.detection - Duration::from_ms(1));
  assert_true(f->heard(1));
  f.wait(Duration::from_ms(1));
  assert_true(f->suspected(1));
}

// … nor when it is told with every frame that comes.
void overstated_lateness_puts_nothing_off(void**) {
  Fixture f;
  f.build();
  for (int i = 0; i < 100; ++i) {
    f.hear(1, 0);
    for (int told = 0; told < 5; ++told) f->on_late(f.now, Duration::from_s(3'600));
    assert_true(f->next_deadline() <= f.now + lan.detection);
    f.wait(lan.interval);
  }
  f.wait(lan.detection);
  assert_true(f->suspected(1));
}

void lateness_is_told(void**) {
  Fixture f;
  f.build();
  assert_false(f->late_recently(f.now));
  f->on_late(f.now, lan.interval - Duration::from_ns(1));
  assert_false(f->late_recently(f.now));  // too little to be a poor accuser
  f->on_late(f.now, Duration::from_ms(40));
  assert_true(f->late_recently(f.now));
  assert_true(f->late_recently(f.now + lan.detection - Duration::from_ns(1)));
  assert_false(f->late_recently(f.now + lan.detection));
  f->on_late(f.now, Duration::from_ms(30));
  assert_int_equal(f->late_count(), 3);
  assert_true(f->worst_lateness() == Duration::from_ms(40));
}

void own_stalls_are_no_flaps(void**) {
  Fixture f;
  f.build();
  f.hear(1, 0);
  f.hear(1, 1);
  f.now = f.now + Duration::from_ms(150);
  f->on_late(f.now, Duration::from_ms(150));
  f->advance(f.now);
  assert_int_equal(f->links_heard(1), 0b11);
}

// ---- another life ---------------------------------------------------------------------------------

void a_new_incarnation_starts_from_nothing(void**) {
  Fixture f;
  f.build();
  f.hear(1, 0);
  f.wait(lan.interval);
  f.hear(1, 0);
  f->forget(1);
  assert_false(f->heard(1));
  assert_false(f->suspected(1));
  assert_int_equal(f->links_heard(1), 0);
  assert_true(f->last_sign(1).ns == 0);
  assert_false(f->path(1, 0, 0).outgoing);
  f.wait(Duration::from_s(1));
  assert_false(f->suspected(1));  // its old life's silence is not news
  f.sequence[1][0] = 0;
  f.hear(1, 0);
  assert_int_equal(f->path(1, 0, 0).reordered, 0);  // its numbers start anew
  assert_int_equal(f->path(1, 0, 0).lost, 0);
  assert_int_equal(f->path(1, 0, 0).received, 1);
}

// ---- counts ---------------------------------------------------------------------------------------

void loss_duplicates_and_reordering(void**) {
  struct Row {
    std::vector<std::uint32_t> sequences;
    std::uint64_t received;
    std::uint64_t lost;
    std::uint64_t duplicated;
    std::uint64_t reordered;
  };
  const Row rows[] = {
      {{1, 2, 3}, 3, 0, 0, 0},        {{7}, 1, 0, 0, 0},  // whatever was before we listened is not lost
      {{1, 5}, 2, 3, 0, 0},           {{1, 1, 2}, 3, 0, 1, 0},
      {{1, 3, 2, 4}, 4, 0, 0, 1},  // late is not lost
      {{1, 4, 2}, 3, 1, 0, 1},        {{0xffff'fffe, 0xffff'ffff, 0, 1}, 4, 0, 0, 0},
      {{0xffff'ffff, 1}, 2, 1, 0, 0},
  };
  for (const Row& row : rows) {
    Fixture f;
    f.build();
    for (const std::uint32_t sequence : row.sequences) {
      Heartbeat heartbeat = f.beat_of(1, 0);
      heartbeat.link_sequence = sequence;
      f->on_heartbeat(f.now, 1, 0, heartbeat, f.now);
    }
    const PathStats& path = f->path(1, 0, 0);
    assert_int_equal(path.received, row.received);
    assert_int_equal(path.lost, row.lost);
    assert_int_equal(path.duplicated, row.duplicated);
    assert_int_equal(path.reordered, row.reordered);
  }
}

void jitter_is_that_of_rfc_3550(void**) {
  Fixture f;
  f.build();
  // Transit times of 1, 3, 3, 1 ms, whatever the clocks' offset: J += (|D| - J) / 16.
  const std::int64_t transit_us[] = {1'000, 3'000, 3'000, 1'000};
  const std::int64_t offset = -Duration::from_s(50).ns;
  std::int64_t expected = 0;
  for (int i = 0; i < 4; ++i) {
    f.now = f.now + lan.interval;
    Heartbeat heartbeat = f.beat_of(1, 0);
    heartbeat.sent_ns = f.now.ns - transit_us[i] * 1'000 + offset;
    f->on_heartbeat(f.now, 1, 0, heartbeat, f.now);
    if (i == 0) continue;
    const std::int64_t difference =
        transit_us[i] > transit_us[i - 1] ? transit_us[i] - transit_us[i - 1] : transit_us[i - 1] - transit_us[i];
    expected += (difference * 1'000 - expected) / 16;
  }
  assert_true(expected > 0);
  assert_int_equal(f->path(1, 0, 0).jitter_ns, expected);
}

void round_trips_are_smoothed_as_in_rfc_6298(void**) {
  Fixture f;
  f.build();
  f.hear(1, 0);
  const auto answer = [&](std::int64_t round_trip_us, std::uint32_t held_us) {
    HeartbeatAck ack;
    ack.sent_ns = f.now.ns - round_trip_us * 1'000 - std::int64_t{held_us} * 1'000;
    ack.held_us = held_us;
    const Instant arrived = f.now;
    f.now = f.now + Duration::from_ms(3);  // it waited until the loop looked
    f->on_ack(f.now, 1, 0, ack, arrived);
  };
  answer(800, 50);
  assert_int_equal(f->path(1, 0, 0).round_trip_ns, 800'000);
  answer(1'600, 0);
  assert_int_equal(f->path(1, 0, 0).round_trip_ns, 900'000);  // an eighth of the difference
  // Held longer than it was away: a lie or a broken clock, not counted.
  HeartbeatAck nonsense;
  nonsense.sent_ns = f.now.ns - 1'000;
  nonsense.held_us = 5;
  f->on_ack(f.now, 1, 0, nonsense, f.now);
  assert_int_equal(f->path(1, 0, 0).round_trip_ns, 900'000);
  assert_int_equal(f->path(1, 1, 0).round_trip_ns, 0);
}

// ---- what a path is in ----------------------------------------------------------------------------

void path_states(void**) {
  Fixture f;
  f.build();
  assert_int_equal(f->state_of(f->path(1, 0, 0), f.now), LinkState::unknown);
  f.hear(1, 0, 0b00);
  assert_int_equal(f->state_of(f->path(1, 0, 0), f.now), LinkState::one_way_in);
  f.hear(1, 0, 0b01);
  assert_int_equal(f->state_of(f->path(1, 0, 0), f.now), LinkState::up);
  // By our second link nothing ever came, but the peer says that it hears us by it.
  f.hear(1, 0, 0b11);
  assert_int_equal(f->state_of(f->path(1, 1, 1), f.now), LinkState::one_way_out);
  f.hear(1, 1, 0b11);
  assert_int_equal(f->state_of(f->path(1, 1, 1), f.now), LinkState::up);
  for (int i = 0; i < 8; ++i) {
    f.wait(lan.interval);
    f.hear(1, 1, 0b11);
  }
  assert_int_equal(f->state_of(f->path(1, 0, 0), f.now), LinkState::one_way_out);
  f.hear(1, 1, 0b10);
  assert_int_equal(f->state_of(f->path(1, 0, 0), f.now), LinkState::down);
}

void flapping_is_told_apart_from_dying(void**) {
  Fixture f;
  f.build();
  // Link 0 comes and goes while link 1 lives: three flaps.
  for (int flap = 0; flap < 3; ++flap) {
    f.hear(1, 0);
    for (int i = 0; i < 7; ++i) {
      f.hear(1, 1);
      f.wait(lan.interval);
    }
  }
  assert_int_equal(f->path(1, 0, 0).flaps, 3);
  assert_int_equal(f->state_of(f->path(1, 0, 0), f.now), LinkState::flapping);
  assert_int_equal(f->path(1, 1, 1).flaps, 0);
  // Silent on both: the node's death, not a flap of either.
  f.hear(1, 0);
  f.hear(1, 1);
  f.wait(Duration::from_s(1));
  assert_true(f->suspected(1));
  assert_int_equal(f->path(1, 0, 0).flaps, 3);
  assert_int_equal(f->path(1, 1, 1).flaps, 0);
  // A minute later it is forgotten.
  for (int i = 0; i < 61 * 40; ++i) {
    f.hear(1, 0);
    f.hear(1, 1);
    f.now = f.now + lan.interval;
    f->advance(f.now);
  }
  assert_int_equal(f->state_of(f->path(1, 0, 0), f.now), LinkState::up);
}

void peers_are_described(void**) {
  Fixture f;
  f.build();
  f.hear(1, 0);
  f.wait(Duration::from_ms(7));
  PeerStatus status;
  f->describe(f.now, 1, status);
  assert_true(status.heard);
  assert_false(status.suspected);
  assert_int_equal(status.links.size(), 1);  // only what was ever heard
  assert_int_equal(status.links[0].by, 0);
  assert_int_equal(status.links[0].state, LinkState::up);
  assert_int_equal(status.links[0].last_heard_ago.us(), 7'000);
  assert_int_equal(status.links[0].received, 1);
}

void nonsense_from_outside_is_ignored(void**) {
  Fixture f;
  f.build();
  Heartbeat heartbeat = f.beat_of(1, 0);
  heartbeat.link = limits::max_links;
  f->on_heartbeat(f.now, 1, 0, heartbeat, f.now);
  assert_false(f->heard(1));
  heartbeat.link = 0;
  f->on_heartbeat(f.now, 1, limits::max_links, heartbeat, f.now);
  assert_false(f->heard(1));
  f->on_ack(f.now, 1, limits::max_links, {}, f.now);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(silence_everywhere_is_a_suspicion),
      cmocka_unit_test(one_silent_link_is_none),
      cmocka_unit_test(other_frames_are_signs_of_life_of_known_nodes_alone),
      cmocka_unit_test(a_path_goes_down_before_its_node),
      cmocka_unit_test(a_serial_line_has_its_own_rhythm),
      cmocka_unit_test(a_slow_path_has_its_own_patience),
      cmocka_unit_test(a_line_that_carries_no_lease_delays_no_suspicion),
      cmocka_unit_test(a_line_that_carries_one_is_waited_for),
      cmocka_unit_test(own_lateness_is_credited_up_to_the_cap),
      cmocka_unit_test(credits_add_up_to_the_cap_and_a_frame_clears_them),
      cmocka_unit_test(one_stall_told_many_times_counts_once),
      cmocka_unit_test(overstated_lateness_puts_nothing_off),
      cmocka_unit_test(lateness_is_told),
      cmocka_unit_test(own_stalls_are_no_flaps),
      cmocka_unit_test(a_new_incarnation_starts_from_nothing),
      cmocka_unit_test(loss_duplicates_and_reordering),
      cmocka_unit_test(jitter_is_that_of_rfc_3550),
      cmocka_unit_test(round_trips_are_smoothed_as_in_rfc_6298),
      cmocka_unit_test(path_states),
      cmocka_unit_test(flapping_is_told_apart_from_dying),
      cmocka_unit_test(peers_are_described),
      cmocka_unit_test(nonsense_from_outside_is_ignored),
  };
  return cmocka_run_group_tests_name("core/detector", tests, nullptr, nullptr);
}
