#include "runtime/node/full_machine.hpp"

namespace vigil {

namespace {

constexpr Duration tie_breaker_probe = Duration::from_s(5);

}  // namespace

Status FullMachine::open(MachineListener& listener) {
  agent_ = std::make_unique<AgentPort>(std::move(launched_), log_, listener);
  Result<std::unique_ptr<AddressKeeper>> addresses = AddressKeeper::open(config_, self_, log_, listener);
  if (!addresses) return addresses.error();
  addresses_ = std::move(addresses).value();
  return {};
}

Status FullMachine::attach(Ring& ring) {
  if (const Status attached = addresses_->attach(ring); !attached) return attached;
  return agent_->attach(ring);
}

void FullMachine::step(Instant now) {
  if (now >= addresses_->next_deadline()) addresses_->step(now);
}

void FullMachine::keep_house(Instant now) {
  addresses_->verify();
  if (config_.quorum.tie_breaker.empty() || now < next_tie_breaker_probe_) return;
  next_tie_breaker_probe_ = now + tie_breaker_probe;
  agent_->probe_tie_breaker();
}

}  // namespace vigil
