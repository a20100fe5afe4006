// vigild's end of the socket to vigil-agent: effects become requests, packets become events. Never
// waits: what the socket cannot take counts as failed, and is answered so.
#pragma once

#include <cstdint>
#include <string_view>

#include "runtime/agent/launcher.hpp"
#include "runtime/agent/protocol.hpp"
#include "runtime/core/effect.hpp"
#include "runtime/loop/ring.hpp"
#include "runtime/node/log.hpp"

namespace vigil {

class AgentListener {
 public:
  virtual ~AgentListener() = default;
  virtual void on_agent_event(const Event& event) = 0;
  // The agent serves (again): what runs is unknown to it. Followed by AgentState{true}.
  virtual void on_agent_ready() = 0;
  // Everything that an earlier life left is stopped, or not.
  virtual void on_agent_cleaned(bool ok) = 0;
  virtual void on_hook_problem(EventName problem, EventName event, GroupIndex group, std::string_view text) = 0;
  virtual void on_launcher_gone() = 0;
};

class AgentPort : private RingHandler {
 public:
  AgentPort(agent::Launched launched, Log& log, AgentListener& listener);
  Status attach(Ring& ring);

  void run(const effect::RunAgent& effect, const Stamp& stamp, Instant now, std::int64_t wall_ns);
  // Stop whatever may run here; answered by on_agent_cleaned().
  void clean();
  void append(const JournalEntry& entry);
  // Answered by event::TieBreakerDone, at once where no agent can be asked. Of several uses the newest alone is
  // answered: a core has one under way, and what an earlier one gave up is nobody's.
  void use(const effect::UseTieBreaker& effect);
  // Reads it, unless it is in use, so that one that is broken is known before it is needed.
  void probe_tie_breaker();
  // The core that asked is no more: its request's number may mean something else to the next one.
  void forget_tie_breaker() { tie_breaker_request_ = 0; }
  // Why the tie-breaker failed when it was last used; empty: it did not.
  std::string_view tie_breaker_trouble() const { return tie_breaker_trouble_.view(); }
  bool serving() const { return session_ != 0; }

 private:
  void on_ready(std::uint32_t tag, std::uint32_t events) override;
  void handle(std::span<const std::byte> packet);
  void on_reply(const agent::AgentReply& reply);
  void ask_tie_breaker(const effect::UseTieBreaker& use);
  void fail_tie_breaker(std::string_view why);
  void on_tie_breaker(const agent::TieBreakerUsed& used);
  bool send(std::span<const std::byte> packet);

  agent::Launched launched_;
  Log& log_;
  AgentListener& listener_;
  std::uint32_t session_ = 0;  // 0: no agent serves
  std::uint32_t clean_request_ = 0;
  std::uint32_t next_clean_ = 0;
  std::uint64_t journal_lost_ = 0;
  std::uint32_t tie_breaker_use_ = 0;      // as the agent knows it; 0: none under way
  std::uint32_t last_tie_breaker_use_ = 0;
  std::uint32_t tie_breaker_request_ = 0;  // of the core, for this use; 0: nobody's
  BoundedString<255> tie_breaker_trouble_;
};

}  // namespace vigil
