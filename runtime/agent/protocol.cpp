#include "runtime/agent/protocol.hpp"

#include <cstring>

namespace vigil::agent {

namespace {

template <typename Enum>
bool below(Enum value, Enum end) {
  return static_cast<unsigned>(value) < static_cast<unsigned>(end);
}

template <std::size_t N>
bool fits(const BoundedString<N>& text) {
  return text.size() <= N;
}

bool group_is_sane(GroupIndex group) { return group == no_index || group < limits::max_groups; }

bool is_problem(EventName event) { return event == EventName::event_error || event == EventName::config_too_long; }

std::size_t size_of(Kind kind) {
  switch (kind) {
    case Kind::request:
      return sizeof(AgentRequest);
    case Kind::journal:
      return sizeof(JournalAppend);
    case Kind::reply:
      return sizeof(AgentReply);
    case Kind::application_failed:
      return sizeof(ApplicationFailed);
    case Kind::hook_failed:
      return sizeof(HookFailed);
    case Kind::hello:
      return sizeof(Hello);
    case Kind::agent_down:
      return sizeof(AgentDown);
    case Kind::use_tie_breaker:
      return sizeof(UseTieBreaker);
    case Kind::tie_breaker_used:
      return sizeof(TieBreakerUsed);
    case Kind::count_:
      break;
  }
  return 0;
}

}  // namespace

std::string_view to_string(Defect defect) {
  switch (defect) {
    case Defect::none:
      return "none";
    case Defect::too_short:
      return "shorter than a header";
    case Defect::wrong_magic:
      return "wrong magic";
    case Defect::wrong_version:
      return "of another version";
    case Defect::unknown_kind:
      return "of an unexpected kind";
    case Defect::wrong_size:
      return "of the wrong size";
    case Defect::bad_field:
      return "a field is out of range";
  }
  return "unknown";
}

Defect kind_of(std::span<const std::byte> packet, Kind& out) {
  if (packet.size() < sizeof(Header)) return Defect::too_short;
  Header header;
  std::memcpy(&header, packet.data(), sizeof(header));
  if (header.magic != protocol_magic) return Defect::wrong_magic;
  if (header.version != protocol_version) return Defect::wrong_version;
  const std::size_t size = size_of(header.kind);
  if (size == 0) return Defect::unknown_kind;
  if (header.size != size || packet.size() != size) return Defect::wrong_size;
  out = header.kind;
  return Defect::none;
}

bool fields_are_sane(const AgentRequest& m) {
  return below(m.verb, Verb::count_) && below(m.stage, Stage::count_) && m.wait <= 1 && group_is_sane(m.group) &&
         below(m.event, EventName::count_) && fits(m.text);
}

bool fields_are_sane(const JournalAppend& m) {
  const ViewFacts& view = m.entry.view;
  return m.entry.kind <= JournalKind::waiting && below(m.entry.event, EventName::count_) && fits(m.entry.text) &&
         view.step <= ViewStep::installed && view.why <= Accusation::other_configuration &&
         view.links.size() <= limits::max_links;
}

bool fields_are_sane(const AgentReply& m) {
  return below(m.verb, Verb::count_) && below(m.outcome, Outcome::count_) && group_is_sane(m.group) &&
         (m.problem == EventName::none || is_problem(m.problem)) && m.took_ns >= 0 && fits(m.text);
}

bool fields_are_sane(const ApplicationFailed& m) {
  return m.group < limits::max_groups && m.timed_out <= 1 && fits(m.text);
}

bool fields_are_sane(const HookFailed& m) {
  return is_problem(m.problem) && below(m.event, EventName::count_) && m.stage <= HookStage::recovery &&
         m.hook < limits::max_hooks && group_is_sane(m.group) && m.took_ns >= 0 && fits(m.text);
}

bool fields_are_sane(const Hello& m) { return m.session > 0 && m.pid > 0; }

bool fields_are_sane(const AgentDown& m) { return m.session > 0; }

bool fields_are_sane(const UseTieBreaker& m) { return m.win <= 1 && (m.win == 0 || !m.epoch.is_genesis()); }

bool fields_are_sane(const TieBreakerUsed& m) { return m.ok <= 1 && fits(m.text); }

}  // namespace vigil::agent
