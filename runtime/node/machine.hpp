// What a node's core may want of the machine that it runs on, beside talking to the others: addresses,
// applications and hooks, the tie-breaker, the journal's file, and news of the adapters. vigild has all of it
// (FullMachine); an arbiter serves nothing (BareMachine). Nothing here decides, and nothing waits.
#pragma once

#include <string_view>

#include "runtime/core/effect.hpp"
#include "runtime/loop/ring.hpp"
#include "runtime/node/address_keeper.hpp"
#include "runtime/node/agent_port.hpp"

namespace vigil {

class MachineListener : public AddressListener, public AgentListener {};

class Machine {
 public:
  virtual ~Machine() = default;
  // Removes what an earlier run left, and looks at the adapters. Before it is attached: this may wait for a disk.
  virtual Status open(MachineListener& listener) = 0;
  virtual Status attach(Ring& ring) = 0;
  // A clean end: nothing is served any more, no call follows.
  virtual void detach() = 0;
  // A new core is there: it hears of the adapters, and of nothing that the one before it asked for.
  virtual void tell_adapters() = 0;
  virtual void forget_tie_breaker() = 0;

  virtual void renew(Instant until) = 0;
  virtual void add(const effect::AddAddress& effect, Instant now) = 0;
  virtual void remove(const effect::RemoveAddress& effect, Instant now) = 0;
  // False: an address resists.
  virtual bool release_everything() = 0;
  virtual void run(const effect::RunAgent& effect, const Stamp& stamp, Instant now, std::int64_t wall_ns) = 0;
  virtual void use(const effect::UseTieBreaker& effect) = 0;
  // Stops whatever an earlier life may have left running; answered by on_agent_cleaned().
  virtual void clean() = 0;
  virtual void append(const JournalEntry& entry) = 0;

  virtual void step(Instant now) = 0;
  virtual Instant next_deadline() const = 0;
  // Once a second.
  virtual void keep_house(Instant now) = 0;
  // Empty: there is none.
  virtual std::string_view tie_breaker_trouble() const = 0;
};

}  // namespace vigil
