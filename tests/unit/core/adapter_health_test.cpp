// Who is to blame for silence: this adapter, its network, or nobody. Node 0 of three, two adapters on
// network 0 (service, standby) and one on network 1; links carry heartbeats every 25 ms (lan).
#include "runtime/core/adapter_health.hpp"

#include "tests/unit/core/peers_fixture.hpp"
// Last: cmocka's macros (fail, …) bite the standard library.
#include "tests/unit/cmocka.hpp"

using namespace vigil;
using namespace vigil::testing;

namespace {

constexpr Timing lan = timing_of(Profile::lan);

struct Fixture {
  Fixture() {
    config = cluster_of(3, 1);
    config->networks.push({});
    for (NodeConfig& node : config->nodes)
      for (int i = 0; i < 2; ++i) {
        AdapterConfig adapter;
        adapter.network = static_cast<NetworkIndex>(i);
        if (i == 0) adapter.role = AdapterRole::standby;
        node.adapters.push(adapter);
        LinkConfig link;
        link.adapter = static_cast<AdapterIndex>(node.adapters.size() - 1);
        node.links.push(link);
      }
    detector = std::make_unique<Detector>(*config, NodeId{0});
    health = std::make_unique<AdapterHealth>(*config, NodeId{0});
    table.self = 0;
    for (AdapterIndex adapter = 0; adapter < 3; ++adapter) health->set_usable(adapter, true);
  }

  NetworkIndex network_of(LinkIndex link) const { return config->nodes[0].adapters[link].network; }
  // May a frame pass from this link of `from` to this link of `to`?
  bool passes(NodeId from, LinkIndex out, NodeId to, LinkIndex in) const {
    if (network_of(out) != network_of(in) || cut[network_of(out)] || dead[from]) return false;
    if (from == 0 && mute[out]) return false;
    return !(to == 0 && deaf[in]);
  }
  std::uint8_t links_heard(NodeId by, NodeId of) const {
    std::uint8_t bits = 0;
    for (LinkIndex out = 0; out < 3; ++out)
      for (LinkIndex in = 0; in < 3; ++in)
        if (passes(of, out, by, in)) bits = static_cast<std::uint8_t>(bits | 1u << out);
    return bits;
  }
  void one_interval() {
    for (NodeId from = 1; from < 3; ++from)
      for (LinkIndex out = 0; out < 3; ++out)
        for (LinkIndex in = 0; in < 3; ++in) {
          if (!passes(from, out, 0, in)) continue;
          Heartbeat heartbeat;
          heartbeat.link = out;
          heartbeat.link_sequence = ++sequence;
          heartbeat.sent_ns = now.ns;
          heartbeat.incarnation = life_of(from);
          for (NodeId other = 0; other < 3; ++other)
            if (other != from) heartbeat.heard_links[other] = links_heard(from, other);
          detector->on_heartbeat(now, from, in, heartbeat, now);
          table.peers[from].known = true;
          table.peers[from].latest = heartbeat;
        }
    for (int ms = 0; ms < 25; ++ms) {
      now = now + Duration::from_ms(1);
      look();
    }
  }
  void look() {
    detector->advance(now);
    table.now = now;
    for (NodeId node = 1; node < 3; ++node) {
      table.peers[node].heard = detector->heard(node);
      table.peers[node].last_sign = detector->last_sign(node);
    }
    const std::uint8_t news = health->advance(now, *detector, table);
    changed = static_cast<std::uint8_t>(changed | news);
    for (AdapterIndex adapter = 0; adapter < 3; ++adapter)
      if (!health->healthy(adapter) && bad_at[adapter].is_never()) bad_at[adapter] = now;
  }
  void run(int intervals) {
    for (int i = 0; i < intervals; ++i) one_interval();
  }
  // All is well and known to be.
  Fixture& well() {
    run(10);
    bad_at.fill(Instant::never());
    changed = 0;
    return *this;
  }
  AdapterVerdict verdict(AdapterIndex adapter) const { return health->report(adapter).verdict; }

  std::unique_ptr<ClusterConfig> config;
  std::unique_ptr<Detector> detector;
  std::unique_ptr<AdapterHealth> health;
  PeerTable table;
  Instant now{Duration::from_s(50).ns};
  std::uint32_t sequence = 0;
  std::array<bool, 3> deaf{};
  std::array<bool, 3> mute{};
  std::array<bool, 3> dead{};
  std::array<bool, 2> cut{};
  std::array<Instant, 3> bad_at{Instant::never(), Instant::never(), Instant::never()};
  std::uint8_t changed = 0;
};

void all_well(void**) {
  Fixture f;
  assert_int_equal(f.verdict(0), AdapterVerdict::no_carrier);  // until looked at
  f.run(10);
  for (AdapterIndex adapter = 0; adapter < 3; ++adapter) {
    assert_true(f.health->healthy(adapter));
    assert_true(f.health->report(adapter).receives);
    assert_true(f.health->report(adapter).is_received);
    assert_true(f.bad_at[adapter].is_never());  // at no time on the way
  }
  assert_int_equal(f.changed, 0b111);
  assert_int_equal(f.health->networks_up(), 0b11);
}

void the_kernels_word_counts_at_once(void**) {
  Fixture f;
  f.well();
  f.health->set_usable(2, false);
  f.look();
  assert_int_equal(f.verdict(2), AdapterVerdict::no_carrier);
  assert_int_equal(f.changed, 0b100);
  assert_int_equal(f.health->networks_up(), 0b01);
  f.health->set_usable(2, true);
  f.look();
  assert_true(f.health->healthy(2));
  assert_int_equal(f.health->networks_up(), 0b11);
}

void verdict_table(void**) {
  struct Row {
    const char* what;
    void (*spoil)(Fixture& f);
    AdapterVerdict verdicts[3];
  };
  constexpr auto well = AdapterVerdict::healthy;
  constexpr auto adapter = AdapterVerdict::deaf_or_mute;
  constexpr auto network = AdapterVerdict::network_silent;
  const Row rows[] = {
      {"nothing", [](Fixture&) {}, {well, well, well}},
      {"the service adapter hears nothing", [](Fixture& f) { f.deaf[0] = true; }, {adapter, well, well}},
      {"… is not heard", [](Fixture& f) { f.mute[0] = true; }, {adapter, well, well}},
      {"… neither", [](Fixture& f) { f.deaf[0] = f.mute[0] = true; }, {adapter, well, well}},
      {"the standby adapter", [](Fixture& f) { f.deaf[1] = true; }, {well, adapter, well}},
      {"both on one network, and the others hear each other there",
       [](Fixture& f) { f.deaf[0] = f.deaf[1] = f.mute[0] = f.mute[1] = true; },
       {adapter, adapter, well}},
      {"the network", [](Fixture& f) { f.cut[0] = true; }, {network, network, well}},
      {"the other network", [](Fixture& f) { f.cut[1] = true; }, {well, well, network}},
      // Who is dead is no witness: it blames nobody.
      {"one peer's death", [](Fixture& f) { f.dead[1] = true; }, {well, well, well}},
      {"both peers' death", [](Fixture& f) { f.dead[1] = f.dead[2] = true; }, {well, well, well}},
      {"both networks", [](Fixture& f) { f.cut[0] = f.cut[1] = true; }, {well, well, well}},
      // With one peer left its word is enough that it is alive, not that others get through.
      {"one peer's death and a deaf adapter",
       [](Fixture& f) {
         f.dead[1] = true;
         f.deaf[2] = f.mute[2] = true;
       },
       {well, well, network}},
      // … but our own other adapter on the network shows that they do.
      {"one peer's death and a deaf service adapter",
       [](Fixture& f) {
         f.dead[1] = true;
         f.deaf[0] = f.mute[0] = true;
       },
       {adapter, well, well}},
  };
  for (const Row& row : rows) {
    Fixture f;
    f.well();
    row.spoil(f);
    f.run(20);
    for (AdapterIndex i = 0; i < 3; ++i) {
      if (f.verdict(i) != row.verdicts[i])
        print_error("%s: adapter %d is %d\n", row.what, i, static_cast<int>(f.verdict(i)));
      assert_int_equal(f.verdict(i), row.verdicts[i]);
      // A death must not blame anybody on the way either.
      if (row.verdicts[i] == well) assert_true(f.bad_at[i].is_never());
    }
    f.deaf = f.mute = {};
    f.cut = {};
    f.dead = {};
    f.run(12);
    for (AdapterIndex i = 0; i < 3; ++i) assert_true(f.health->healthy(i));
  }
}

void one_direction_is_told(void**) {
  Fixture f;
  f.well();
  f.deaf[0] = true;
  f.run(10);
  assert_false(f.health->report(0).receives);
  assert_true(f.health->report(0).is_received);
  f.deaf[0] = false;
  f.mute[0] = true;
  f.run(10);
  assert_true(f.health->report(0).receives);
  assert_false(f.health->report(0).is_received);
}

void a_verdict_from_silence_takes_confirmation(void**) {
  Fixture f;
  f.well();
  const Instant last_beat = f.now - lan.interval;
  f.deaf[0] = true;
  f.run(10);
  assert_false(f.bad_at[0].is_never());
  const Duration took = f.bad_at[0] - last_beat;
  // Silence of the path, its confirmation, and the scan of paths between.
  assert_true(took >= lan.path_detection() + lan.interval);
  assert_true(took <= lan.path_detection() + lan.interval * 2 + Duration::from_ms(1));
  // As soon as a crash would have been answered: the last renewal is recorded within an interval, and outlasted.
  assert_true(took <= lan.interval + outlast(lan.lease));
}

void back_for_a_moment_starts_the_confirmation_anew(void**) {
  Fixture f;
  f.well();
  f.mute[0] = true;
  f.one_interval();  // they say so from their next heartbeat on
  assert_true(f.health->next_deadline() <= f.now + lan.interval);
  f.mute[0] = false;
  f.run(5);
  f.mute[0] = true;
  f.now = f.now + Duration::from_us(1);
  f.look();
  assert_true(f.health->healthy(0));
}

// A node that starts is heard a moment after it hears: no adapter failed.
void the_first_moments_blame_nobody(void**) {
  Fixture f;
  f.look();  // alone: nobody says otherwise
  f.bad_at.fill(Instant::never());
  f.mute[0] = f.mute[1] = f.mute[2] = true;  // its first heartbeat is lost
  f.one_interval();
  f.one_interval();
  f.mute = {};
  f.run(10);
  for (AdapterIndex i = 0; i < 3; ++i) {
    assert_true(f.health->healthy(i));
    assert_true(f.bad_at[i].is_never());
  }
}

// A cable put back is believed when heartbeats pass again, not when the kernel sees a carrier.
void carrier_alone_does_not_make_it_good(void**) {
  Fixture f;
  f.well();
  f.health->set_usable(2, false);
  f.deaf[2] = f.mute[2] = true;
  f.run(10);
  f.health->set_usable(2, true);
  f.run(3);
  assert_false(f.health->healthy(2));
  f.deaf[2] = f.mute[2] = false;
  f.run(3);
  assert_true(f.health->healthy(2));
}

void an_adapter_without_links_is_the_kernels_matter(void**) {
  Fixture f;
  f.config->nodes[0].links.resize(2);
  f.well();
  f.deaf[2] = f.mute[2] = true;
  f.run(20);
  assert_true(f.health->healthy(2));
  f.health->set_usable(2, false);
  f.look();
  assert_int_equal(f.verdict(2), AdapterVerdict::no_carrier);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(all_well),
      cmocka_unit_test(the_kernels_word_counts_at_once),
      cmocka_unit_test(verdict_table),
      cmocka_unit_test(one_direction_is_told),
      cmocka_unit_test(a_verdict_from_silence_takes_confirmation),
      cmocka_unit_test(back_for_a_moment_starts_the_confirmation_anew),
      cmocka_unit_test(the_first_moments_blame_nobody),
      cmocka_unit_test(carrier_alone_does_not_make_it_good),
      cmocka_unit_test(an_adapter_without_links_is_the_kernels_matter),
  };
  return cmocka_run_group_tests_name("core/adapter_health", tests, nullptr, nullptr);
}
