// The machine of a node that serves: its addresses under the lease gate, and vigil-agent for all that may block.
#pragma once

#include <memory>

#include "runtime/node/machine.hpp"

namespace vigil {

class FullMachine final : public Machine {
 public:
  FullMachine(const ClusterConfig& config, NodeId self, agent::Launched launched, Log& log)
      : config_(config), self_(self), launched_(std::move(launched)), log_(log) {}

  Status open(MachineListener& listener) override;
  Status attach(Ring& ring) override;
  void detach() override { addresses_->detach(); }
  void tell_adapters() override { addresses_->tell_adapters(); }
  void forget_tie_breaker() override { agent_->forget_tie_breaker(); }

  void renew(Instant until) override { addresses_->renew(until); }
  void add(const effect::AddAddress& effect, Instant now) override { addresses_->add(effect, now); }
  void remove(const effect::RemoveAddress& effect, Instant now) override { addresses_->remove(effect, now); }
  bool release_everything() override { return addresses_->release_everything(); }
  void run(const effect::RunAgent& effect, const Stamp& stamp, Instant now, std::int64_t wall_ns) override {
    agent_->run(effect, stamp, now, wall_ns);
  }
  void use(const effect::UseTieBreaker& effect) override { agent_->use(effect); }
  void clean() override { agent_->clean(); }
  void append(const JournalEntry& entry) override { agent_->append(entry); }

  void step(Instant now) override;
  Instant next_deadline() const override { return addresses_->next_deadline(); }
  void keep_house(Instant now) override;
  std::string_view tie_breaker_trouble() const override { return agent_->tie_breaker_trouble(); }

 private:
  const ClusterConfig& config_;
  NodeId self_;
  agent::Launched launched_;
  Log& log_;
  std::unique_ptr<AgentPort> agent_;
  std::unique_ptr<AddressKeeper> addresses_;
  Instant next_tie_breaker_probe_;
};

}  // namespace vigil
