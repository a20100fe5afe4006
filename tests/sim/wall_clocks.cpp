// The nodes' wall clocks: who is told of them, and when somebody sets one. A new life tells its own in the handshake
// that makes it current; what is changed later goes out in a greeting, which may be lost, and again every ten seconds.
#include "tests/sim/world.hpp"

namespace vigil::sim {

namespace {

constexpr SimTime greeting = 10'000'000'000;  // as in runtime/node/daemon.cpp
constexpr std::int64_t epoch_ns = 1'700'000'000'000'000'000;

}  // namespace

std::int64_t World::wall_clock(const Host& host) const { return epoch_ns + now_ + host.wall_error_ns; }

// How far a wall clock is ahead of a node's own CLOCK_BOOTTIME.
void World::tell_own_clock(Host& host) {
  const Duration offset{wall_clock(host) - machines_[host.id].clock.at(now_).ns};
  notice_clock(host, host.id, offset);
}

void World::notice_clock(Host& host, NodeId of, Duration offset) {
  if (!host.core) return;
  if (blocked(host)) return at(now_ + scenario_.interval_ns(), What::hear_clock, host.id, of);
  step(host, event_ = event::WallClock{of, offset});
}

// A frame of a new life was believed: that life has answered a challenge.
void World::hear_clock(const Entry& entry) {
  Host& host = hosts_[entry.node];
  const Host& of = hosts_[entry.slot];
  if (!of.core) return;
  const std::int64_t told = codec_.carry_hello(of.release, wall_clock(of));
  if (told < 0 || (told == 0) != (of.release == Release::older))
    return checker_.fail(Invariant::wire, now_, "a hello does not say of the wall clock what was put into it");
  trace_.line(now_, host.id, "hears the wall clock of node %d: %s%.3f s off", of.id + 1, told > 0 ? "" : "not told, ",
              static_cast<double>(of.wall_error_ns) / 1e9);
  if (told > 0) notice_clock(host, of.id, Duration{told - machines_[host.id].clock.at(now_).ns});
}

void World::greet(Host& host) {
  const NodeConfig& config = scenario_.config.nodes[host.id];
  for (std::size_t l = 0; l < config.links.size(); ++l)
    for (const Network::Ear ear : network_.ears(host.id, static_cast<LinkIndex>(l))) {
      const Arrivals arrivals = network_.send(random_, host.id, static_cast<LinkIndex>(l), ear, 0);
      if (arrivals.count == 0 || arrivals.damaged[0] || !hosts_[ear.node].core) continue;
      at(now_ + arrivals.delay[0], What::hear_clock, ear.node, host.id);
    }
}

void World::greet_again(Host& host) {
  at(now_ + greeting, What::greet, host.id);
  if (!blocked(host)) greet(host);
}

void World::set_clock(Host& host, std::int64_t error_ns) {
  trace_.line(now_, host.id, "its wall clock is set to %+.3f s", static_cast<double>(error_ns) / 1e9);
  host.wall_error_ns = error_ns;
  if (host.release != Release::older) checker_.clock_set(host.id, error_ns);
  if (!host.core || blocked(host)) return;
  greet(host);
  tell_own_clock(host);
}

// By a second, as a leap; by less than matters; by an hour.
std::int64_t World::some_error() {
  const std::int64_t second = 1'000'000'000;
  const std::int64_t most[] = {2 * second, 50 * second, 70 * second, 200 * second, 4'000 * second};
  const std::int64_t bound = most[random_.below(std::size(most))];
  return random_.between(-bound, bound);
}

}  // namespace vigil::sim
