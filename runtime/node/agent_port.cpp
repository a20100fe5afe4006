#include "runtime/node/agent_port.hpp"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>

namespace vigil {

namespace {

constexpr std::uint32_t socket_tag = 1;
constexpr std::uint32_t launcher_tag = 2;
// Requests of the core count from 1; ours are told apart by the top bit.
constexpr std::uint32_t own_request = 0x8000'0000;

static_assert(static_cast<int>(effect::AgentVerb::clean) == static_cast<int>(agent::Verb::clean));
static_assert(static_cast<int>(event::AgentOutcome::killed) == static_cast<int>(agent::Outcome::killed));
static_assert(static_cast<int>(HookStage::recovery) == static_cast<int>(agent::Stage::recovery));

}  // namespace

AgentPort::AgentPort(agent::Launched launched, Log& log, AgentListener& listener)
    : launched_(std::move(launched)), log_(log), listener_(listener) {}

Status AgentPort::attach(Ring& ring) {
  if (const auto source = ring.watch(launched_.socket.get(), EPOLLIN, *this, socket_tag); !source) return source.error();
  if (const auto source = ring.watch(launched_.pidfd.get(), EPOLLIN, *this, launcher_tag); !source) return source.error();
  return {};
}

bool AgentPort::send(std::span<const std::byte> packet) {
  for (;;) {
    if (::send(launched_.socket.get(), packet.data(), packet.size(), MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) return true;
    if (errno != EINTR) return false;
  }
}

void AgentPort::run(const effect::RunAgent& effect, const Stamp& stamp, Instant now, std::int64_t wall_ns) {
  agent::AgentRequest request;
  request.session = session_;
  request.request = effect.request;
  request.verb = static_cast<agent::Verb>(effect.verb);
  request.stage = static_cast<agent::Stage>(effect.stage);
  request.wait = effect.wait ? 1 : 0;
  request.group = effect.group;
  request.event = effect.event;
  request.subject = effect.subject;
  request.network = effect.network;
  request.adapter = effect.adapter;
  request.generation = effect.generation;
  request.stamp = stamp;
  request.wall_ns = wall_ns;
  request.boot_ns = now.ns;
  agent::seal(request);
  if (session_ != 0 && send(agent::bytes_of(request))) return;
  const bool answered = effect.verb == effect::AgentVerb::start || effect.verb == effect::AgentVerb::stop ||
                        effect.verb == effect::AgentVerb::clean ||
                        (effect.verb == effect::AgentVerb::event && effect.wait);
  if (!answered) return;
  listener_.on_agent_event(event::AgentDone{effect.request, event::AgentOutcome::killed, 0, Duration{}});
}

void AgentPort::clean() {
  agent::AgentRequest request;
  request.session = session_;
  request.request = own_request | ++next_clean_;
  request.verb = agent::Verb::clean;
  request.group = no_index;
  agent::seal(request);
  clean_request_ = request.request;
  if (session_ == 0 || !send(agent::bytes_of(request))) clean_request_ = 0;  // Hello asks again
}

void AgentPort::use(const effect::UseTieBreaker& effect) { ask_tie_breaker(effect); }

void AgentPort::probe_tie_breaker() {
  if (tie_breaker_use_ == 0) ask_tie_breaker({});
}

void AgentPort::ask_tie_breaker(const effect::UseTieBreaker& effect) {
  agent::UseTieBreaker request;
  request.session = session_;
  if (++last_tie_breaker_use_ == 0) ++last_tie_breaker_use_;
  request.request = last_tie_breaker_use_;
  request.win = effect.win ? 1 : 0;
  request.epoch = effect.epoch;
  request.known = effect.known;
  agent::seal(request);
  tie_breaker_use_ = request.request;
  tie_breaker_request_ = effect.request;
  if (session_ != 0 && send(agent::bytes_of(request))) return;
  fail_tie_breaker("vigil-agent, which would use it, is down or does not keep up");
}

void AgentPort::fail_tie_breaker(std::string_view why) {
  if (tie_breaker_use_ == 0) return;
  agent::TieBreakerUsed used;
  used.request = tie_breaker_use_;
  used.text = why;
  on_tie_breaker(used);
}

void AgentPort::on_tie_breaker(const agent::TieBreakerUsed& used) {
  if (used.request != tie_breaker_use_) return;
  tie_breaker_use_ = 0;
  // It is read again and again: told when it begins, changes or ends.
  if (used.ok != 0 && !tie_breaker_trouble_.empty()) log_.write(LogLevel::notice, "the tie-breaker answers again");
  if (used.ok == 0 && tie_breaker_trouble_ != used.text)
    log_.write(LogLevel::error, "the tie-breaker cannot be used: ", used.text.view());
  tie_breaker_trouble_ = used.ok != 0 ? BoundedString<255>{} : used.text;
  if (tie_breaker_request_ == 0) return;
  listener_.on_agent_event(event::TieBreakerDone{tie_breaker_request_, used.ok != 0, used.held});
}

void AgentPort::append(const JournalEntry& entry) {
  agent::JournalAppend append;
  append.entry = entry;
  agent::seal(append);
  if (send(agent::bytes_of(append))) return;
  if (journal_lost_++ % 1000 == 0)
    log_.write(LogLevel::warning, "journal entries do not reach the agent; the journal file will have gaps");
}

void AgentPort::on_ready(std::uint32_t tag, std::uint32_t) {
  if (tag == launcher_tag) return listener_.on_launcher_gone();
  std::array<std::byte, agent::max_packet_bytes + 1> packet;
  for (;;) {
    const ssize_t size = ::recv(launched_.socket.get(), packet.data(), packet.size(), MSG_DONTWAIT);
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return;
    handle({packet.data(), static_cast<std::size_t>(size)});
  }
}

void AgentPort::on_reply(const agent::AgentReply& reply) {
  if (reply.outcome != agent::Outcome::ok && !reply.text.empty())
    log_.write(LogLevel::warning, "agent: ", reply.text.view());
  if ((reply.request & own_request) != 0) {
    if (reply.request != clean_request_) return;
    clean_request_ = 0;
    return listener_.on_agent_cleaned(reply.outcome == agent::Outcome::ok);
  }
  listener_.on_agent_event(event::AgentDone{reply.request, static_cast<event::AgentOutcome>(reply.outcome),
                                            reply.exit_status, Duration::from_ns(reply.took_ns)});
}

void AgentPort::handle(std::span<const std::byte> packet) {
  agent::Kind kind = agent::Kind::count_;
  agent::Defect defect = agent::kind_of(packet, kind);
  if (agent::AgentReply reply; kind == agent::Kind::reply && (defect = read_packet(packet, reply)) == agent::Defect::none)
    return on_reply(reply);
  if (agent::ApplicationFailed failed; kind == agent::Kind::application_failed &&
                                       (defect = read_packet(packet, failed)) == agent::Defect::none) {
    log_.write(LogLevel::warning, "monitor: ", failed.text.view());
    return listener_.on_agent_event(event::ApplicationFailed{failed.group, failed.generation});
  }
  if (agent::HookFailed hook; kind == agent::Kind::hook_failed &&
                              (defect = read_packet(packet, hook)) == agent::Defect::none)
    return listener_.on_hook_problem(hook.problem, hook.event, hook.group, hook.text.view());
  if (agent::TieBreakerUsed used; kind == agent::Kind::tie_breaker_used &&
                                  (defect = read_packet(packet, used)) == agent::Defect::none)
    return on_tie_breaker(used);
  if (agent::Hello hello; kind == agent::Kind::hello && (defect = read_packet(packet, hello)) == agent::Defect::none) {
    session_ = hello.session;
    return listener_.on_agent_ready();
  }
  if (agent::AgentDown down; kind == agent::Kind::agent_down &&
                             (defect = read_packet(packet, down)) == agent::Defect::none) {
    session_ = 0;
    clean_request_ = 0;
    log_.write(LogLevel::error, "vigil-agent died; it is started again");
    fail_tie_breaker("vigil-agent died while it used it");
    return listener_.on_agent_event(event::AgentState{false});
  }
  log_.write(LogLevel::warning, "a packet of the agent was refused: ", agent::to_string(defect));
}

}  // namespace vigil
