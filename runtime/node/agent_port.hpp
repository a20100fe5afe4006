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
  bool serving() const { return session_ != 0; }

 private:
  void on_ready(std::uint32_t tag, std::uint32_t events) override;
  void handle(std::span<const std::byte> packet);
  void on_reply(const agent::AgentReply& reply);
  bool send(std::span<const std::byte> packet);

  agent::Launched launched_;
  Log& log_;
  AgentListener& listener_;
  std::uint32_t session_ = 0;  // 0: no agent serves
  std::uint32_t clean_request_ = 0;
  std::uint32_t next_clean_ = 0;
  std::uint64_t journal_lost_ = 0;
};

}  // namespace vigil
