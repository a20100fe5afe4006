#include "runtime/node/bare_machine.hpp"

namespace vigil {

Status BareMachine::open(MachineListener& listener) {
  listener_ = &listener;
  Result<std::unique_ptr<AdapterWatch>> adapters =
      AdapterWatch::open(config_, self_, log_, static_cast<AdapterWatchListener&>(*this));
  if (!adapters) return adapters.error();
  adapters_ = std::move(adapters).value();
  Result<std::unique_ptr<JournalDrain>> journal = JournalDrain::open(directory_, name_, config_);
  if (!journal) return journal.error();
  journal_ = std::move(journal).value();
  return {};
}

// The first time, as an agent that has come up; a later core is asked for by the node itself.
void BareMachine::tell_adapters() {
  adapters_->tell_adapters();
  if (!std::exchange(told_ready_, true)) listener_->on_agent_ready();
}

void BareMachine::on_adapter_usable(AdapterIndex adapter, bool usable) {
  listener_->on_address_event(event::AdapterChanged{adapter, usable});
}

// No group may run on an arbiter (runtime/config/resolve_groups.cpp), so none of these comes. If one did, it failed.
void BareMachine::add(const effect::AddAddress& effect, Instant) {
  listener_->on_address_event(event::AddressDone{effect.group, effect.address, true, false, {}});
}

void BareMachine::remove(const effect::RemoveAddress& effect, Instant) {
  listener_->on_address_event(event::AddressDone{effect.group, effect.address, false, true, {}});
}

// Hooks of the cluster's events run where its applications may run; here they are passed over.
void BareMachine::run(const effect::RunAgent& effect, const Stamp&, Instant, std::int64_t) {
  const bool works = effect.verb == effect::AgentVerb::start || effect.verb == effect::AgentVerb::stop;
  const bool answered = works || effect.verb == effect::AgentVerb::clean || effect.wait;
  if (!answered) return;
  const event::AgentOutcome outcome =
      effect.verb == effect::AgentVerb::start ? event::AgentOutcome::failed : event::AgentOutcome::ok;
  listener_->on_agent_event(event::AgentDone{effect.request, outcome, 0, {}});
}

// A configuration with one is refused before it comes to this (arbiter_files.cpp).
void BareMachine::use(const effect::UseTieBreaker& effect) {
  listener_->on_agent_event(event::TieBreakerDone{effect.request, false, {}});
}

}  // namespace vigil
