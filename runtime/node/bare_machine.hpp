// The machine of an arbiter: nothing is served on it, so there is no gate, no address, no agent and no hook, and
// nothing of an earlier life to stop. What is left are the adapters' states and the journal's file.
#pragma once

#include <memory>
#include <string>

#include "runtime/node/adapter_watch.hpp"
#include "runtime/node/journal_drain.hpp"
#include "runtime/node/machine.hpp"

namespace vigil {

class BareMachine final : public Machine, private AdapterWatchListener {
 public:
  // `name` begins the lines that do not go through `log`.
  BareMachine(const ClusterConfig& config, NodeId self, std::string directory, std::string name, Log& log)
      : config_(config), self_(self), directory_(std::move(directory)), name_(std::move(name)), log_(log) {}

  Status open(MachineListener& listener) override;
  Status attach(Ring& ring) override { return adapters_->attach(ring); }
  void detach() override { adapters_->detach(); }
  void tell_adapters() override;
  void forget_tie_breaker() override {}

  void renew(Instant) override {}
  void add(const effect::AddAddress& effect, Instant now) override;
  void remove(const effect::RemoveAddress& effect, Instant now) override;
  bool release_everything() override { return true; }
  void run(const effect::RunAgent& effect, const Stamp& stamp, Instant now, std::int64_t wall_ns) override;
  void use(const effect::UseTieBreaker& effect) override;
  void clean() override { listener_->on_agent_cleaned(true); }
  void append(const JournalEntry& entry) override { journal_->append(entry); }

  void step(Instant) override {}
  Instant next_deadline() const override { return Instant::never(); }
  void keep_house(Instant) override {}
  std::string_view tie_breaker_trouble() const override { return {}; }

 private:
  void on_adapter_usable(AdapterIndex adapter, bool usable) override;
  void on_adapter_back(AdapterIndex adapter) override { listener_->on_adapter_back(adapter); }

  const ClusterConfig& config_;
  NodeId self_;
  std::string directory_;
  std::string name_;
  Log& log_;
  MachineListener* listener_ = nullptr;
  bool told_ready_ = false;
  std::unique_ptr<AdapterWatch> adapters_;
  std::unique_ptr<JournalDrain> journal_;
};

}  // namespace vigil
