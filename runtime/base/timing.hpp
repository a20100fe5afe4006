// Every time constant of the protocol, derived from the few that a profile chooses, in one place.
//
// Timeline of a crash at 0, seen by the survivors (interval I, detection D, lease L, drift d):
//
//   -I..0          the victim's last renewal is sent; each voter records it within I, when it looks next
//   0              the victim dies or freezes
//   D              its silence reaches the detection time on every link: suspicion
//   D + vote       promises and acceptances of a quorum: the view without it is installed
//   W = L(1+d)/(1-d) after the last acknowledgement: its lease is over on the slowest permitted
//                  clock of the victim, waited out on the fastest permitted clock of the survivor
//   max(D + vote, W)   gate, address, announcement on the survivor
//
// Detection and lease run side by side, so D is chosen just below W: a shorter D would only accuse
// sooner than anyone may act, a longer one would delay the takeover. A healthy holder renews every I, and
// hears of a renewal with its own next heartbeat but one at the latest (the voters' heartbeats carry their
// acknowledgements, and every node looks at what came when it sends its own): a renewal may be late by
// L - 2 I before its own gate closes (a spurious outage, never two owners).
#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/base/time.hpp"

namespace vigil {

enum class Profile : std::uint8_t { wan, lan, fast, realtime };

// Largest rate error between two clocks that the lease arithmetic tolerates, in percent, each side.
inline constexpr std::int64_t drift_percent = 10;

// What a waiter's clock must show so that `lease` is over on the holder's clock, whatever the drift.
constexpr Duration outlast(Duration lease) {
  // lease * (1+d) / (1-d), rounded up
  const std::int64_t up = 100 + drift_percent;
  const std::int64_t down = 100 - drift_percent;
  return Duration::from_ns((lease.ns * up + down - 1) / down);
}

struct Timing {
  Duration interval;     // I: between two heartbeats on one link
  Duration detection;    // D: silence on all links until a node is suspected
  Duration lease;        // L: how long one quorum of acknowledgements lets an address be served

  // How long a member that still hears the suspect may hold back its vote for others' evidence.
  constexpr Duration vote_hold() const { return interval * 2; }
  // Retransmission of protocol messages.
  constexpr Duration retry() const { return longer(Duration::from_ms(2), interval / 4); }
  // A candidate of rank r starts r * candidacy_step() after the suspicion, so that rank 0 normally wins.
  constexpr Duration candidacy_step() const { return retry() * 4; }
  // Silence on one path until that path (not the node) counts as down. An adapter is blamed one interval
  // later and its addresses move at once, while a crash is waited out: a quarter of D below it answers a
  // one-way cut as soon as a crash, and a shorter time would only raise the number of false alarms.
  constexpr Duration path_detection() const { return longer(detection * 3 / 4, interval * 3); }
  // The same for what goes to many: a record of 64 nodes is dozens of frames to each, and a repetition that sets out
  // before the first has is one more thing to wait for.
  constexpr Duration retry_among(std::size_t nodes) const {
    return retry() * (1 + static_cast<std::int64_t>(nodes) / 16);
  }
  // How long a round, or the promise to one, may take before others go on without it.
  constexpr Duration round_among(std::size_t nodes) const {
    return candidacy_step() * (4 * (1 + static_cast<std::int64_t>(nodes) / 32));
  }
  // How long the loop may hold back what comes in a burst, to wake once for it.
  constexpr Duration gather() const { return interval / 16; }
  // What the half without the coordinator waits longer than the other before it goes for the tie-breaker.
  constexpr Duration tie_head_start() const { return interval + candidacy_step(); }
  // A new node must be heard, both ways, this long before it is admitted.
  constexpr Duration admission() const { return interval * 5; }
  // A minority stops its applications after this long without a lease (its addresses fell silent already).
  constexpr Duration quorum_grace() const { return outlast(lease); }
  // The detector extends its deadlines by its own measured lateness, at most this much in all.
  constexpr Duration lateness_cap() const { return detection * 4; }
  // A member that is heard, and shows a record older than ours for so long, is out of reach of messages. It asks for the
  // record every retry, hundreds of times in this; the seconds are for a line of 9600 baud, which carries 2.8 KiB in them.
  constexpr Duration follow_limit() const { return longer(detection * 4, Duration::from_s(3)); }
  // Lateness above this is worth telling, and makes the node a poor accuser for one detection time.
  constexpr Duration lateness_notable() const { return interval; }
};

// Loss tolerated before a false alarm is detection/interval frames in a row on every link at once.
constexpr Timing timing_of(Profile profile) {
  switch (profile) {
    case Profile::wan:
      // Routed links with 100 ms of queueing: ten intervals of silence.
      return {Duration::from_ms(200), Duration::from_ms(2400), Duration::from_ms(2000)};
    case Profile::lan:
      // Outlasts the 25-72 ms scheduling stalls seen on shared machines, takeover below 250 ms.
      return {Duration::from_ms(30), Duration::from_ms(190), Duration::from_ms(160)};
    case Profile::fast:
      // The time-out of keepalived at 10 ms adverts is some 35 ms: outlast(L) stays under it.
      return {Duration::from_ms(4), Duration::from_ms(28), Duration::from_ms(24)};
    case Profile::realtime:
      // Dedicated machine, FIFO, direct cable.
      return {Duration::from_ms(1), Duration::from_us(10'500), Duration::from_ms(9)};
  }
  return timing_of(Profile::lan);
}

constexpr bool timing_is_sound(const Timing& t) {
  return t.interval.ns > 0 && t.lease > t.interval * 4 && t.detection > t.interval * 3 &&
         t.detection <= outlast(t.lease) && t.lateness_cap() >= t.detection;
}

static_assert(timing_is_sound(timing_of(Profile::wan)));
static_assert(timing_is_sound(timing_of(Profile::lan)));
static_assert(timing_is_sound(timing_of(Profile::fast)));
static_assert(timing_is_sound(timing_of(Profile::realtime)));

// A node that is voted out again and again is held out, from the third time within the window on, for the shortest
// hold, doubled each time. An operator who restarts vigild twice in a row is not kept waiting; a cable that comes
// and goes every few seconds changes the view a dozen times and then once a minute. The window outlasts the longest
// hold, so that being held out does not count as being good.
inline constexpr Duration flap_hold_min = Duration::from_s(1);
inline constexpr Duration flap_hold_max = Duration::from_s(60);
inline constexpr Duration flap_window = flap_hold_max * 2;

// What a restarted voter waits before it votes or acknowledges, when it cannot know which lease an
// earlier life of it had acknowledged: the longest of all profiles.
inline constexpr Duration longest_lease = timing_of(Profile::wan).lease;

// How far a node's wall clock may be from the cluster's for it to be admitted (core/clock_watch.hpp says why).
// Two members are each within this of the middle clock, so they differ by twice as much at most, and that must
// stay below what the strictest common protocol lets hosts differ: Kerberos, 5 minutes (RFC 4120 section 1.6).
// It must be far above the error of the measurement: a hello may be as old as the life of a challenge, 10 s.
inline constexpr Duration clock_limit = Duration::from_s(60);
static_assert(clock_limit * 2 < Duration::from_s(300));
static_assert(clock_limit > Duration::from_s(10) * 4);

}  // namespace vigil
