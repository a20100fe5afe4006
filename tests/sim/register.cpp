// The tie-breaker: one register that all nodes share, and the agent between it and each daemon. Uses are carried out
// one at a time, whatever becomes meanwhile of whoever asked; answers may be late, or never come.
#include "tests/sim/world.hpp"

namespace vigil::sim {

namespace {

// The agent gives a use up after this long (agent::tie_breaker_limit), and says so.
constexpr SimTime agent_patience = 1'000'000'000;

}  // namespace

void World::use_register(Host& host, const effect::UseTieBreaker& use) {
  if (use.win && ambush_ == Ambush::at_win) spring_ambush(host);
  trace_.line(now_, host.id, "%s the tie-breaker%s%llu.%d", use.win ? "goes for" : "reads",
              use.win ? " for " : ", as of ", static_cast<unsigned long long>(use.epoch.counter),
              use.epoch.proposer + 1);
  const std::uint32_t slot = register_uses_.take();
  RegisterUse& job = register_uses_[slot];
  job = {};
  job.use = use;
  job.asked = machines_[host.id].clock.at(now_);
  job.number = ++host.register_uses;
  host.register_asked = true;
  host.register_request = use.request;
  const Mischief& mischief = host.mischief;
  job.reachable = host.agent_up && now_ >= mischief.register_fails_until;
  if (!job.reachable) {
    job.used = true;
    const SimTime soon = host.agent_up && chance(30) ? agent_patience : 1;
    return at(now_ + soon, What::register_answer, host.id, slot);
  }
  const bool slow = now_ < mischief.register_slow_until;
  const auto length = [&] {
    return slow ? (chance(10) ? agent_patience * 3 / 2 : some_time()) : about(scenario_.register_ns);
  };
  const SimTime there = length();
  const SimTime back = length();
  register_uses_.share(slot);
  at(now_ + there, What::register_used, host.id, slot);
  job.in_time = there + back < agent_patience;
  const bool mute = now_ < mischief.register_mute_until;
  if (mute && chance(50)) return register_uses_.drop(slot);  // the agent itself hangs
  job.in_time = job.in_time && !mute;
  at(now_ + (job.in_time ? there + back : agent_patience), What::register_answer, host.id, slot);
}

// Its own lock, and nothing else, decides whose turn it is.
void World::register_used(const Entry& entry) {
  RegisterUse& job = register_uses_[entry.slot];
  if (job.use.win && register_ <= job.use.known && register_ != job.use.epoch) {
    register_ = job.use.epoch;
    checker_.tie_breaker_won(now_, entry.node, register_);
    trace_.line(now_, entry.node, "the tie-breaker is won for %llu.%d",
                static_cast<unsigned long long>(register_.counter), register_.proposer + 1);
  }
  job.used = true;
  job.held = register_;
  register_uses_.drop(entry.slot);
}

void World::register_answered(const Entry& entry) {
  Host& host = hosts_[entry.node];
  if (entry.life != host.life || register_uses_[entry.slot].number != host.register_uses || !host.register_asked)
    return register_uses_.drop(entry.slot);
  hand_over(host, entry);
}

// The agent died: what it was at may be done all the same.
void World::register_fails(Host& host) {
  if (!host.register_asked) return;
  const std::uint32_t slot = register_uses_.take();
  RegisterUse& job = register_uses_[slot];
  job = {};
  job.number = host.register_uses;
  job.use.request = host.register_request;
  notice(host, What::register_answer, 0, slot);
}

void World::strike_register(Host& host) {
  const SimTime until = now_ + some_time() * 2;
  const bool everywhere = chance(30);
  const std::uint64_t dice = random_.below(3);
  for (std::size_t i = 0; i < scenario_.nodes; ++i) {
    if (!everywhere && hosts_[i].id != host.id) continue;
    Mischief& mischief = hosts_[i].mischief;
    (dice == 0   ? mischief.register_fails_until
     : dice == 1 ? mischief.register_slow_until
                 : mischief.register_mute_until) = until;
  }
}

}  // namespace vigil::sim
