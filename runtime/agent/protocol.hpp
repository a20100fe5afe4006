// What vigild, the launcher and vigil-agent tell each other over one SOCK_SEQPACKET socket pair: one
// trivially copyable struct a packet, in the machine's own layout, since both ends are one build on
// one machine. Every packet is validated on receipt (magic, version, kind, size, every field with a
// bound): a packet that is wrong in anything is dropped whole. Neither side allocates for it.
//
// The enums mirror those of runtime/core, which this room may not include; the node's shell converts.
//
// Sessions. Each start of the agent is one session, counted from 1 by the launcher. Hello tells the
// session that serves from now on; every AgentRequest carries the session that vigild knows. What was
// still in the socket when an agent died carries an older session, and its successor refuses it
// (AgentReply with Outcome::killed): a `start` that vigild has long written off must never run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>

#include "runtime/base/cluster.hpp"
#include "runtime/base/journal.hpp"

namespace vigil::agent {

inline constexpr std::uint32_t protocol_magic = 0x56474c41;  // "VGLA"
inline constexpr std::uint16_t protocol_version = 2;

enum class Kind : std::uint16_t {
  request = 1,         // vigild → agent
  journal,             // vigild → agent
  reply,               // agent → vigild
  application_failed,  // agent → vigild
  hook_failed,         // agent → vigild
  hello,               // agent → vigild
  agent_down,          // launcher → vigild
  use_tie_breaker,     // vigild → agent
  tie_breaker_used,    // agent → vigild
  count_,
};

struct Header {
  std::uint32_t magic = 0;
  std::uint16_t version = 0;
  Kind kind = Kind::count_;
  std::uint32_t size = 0;  // of the whole packet, bytes
};

// As effect::AgentVerb, same order.
enum class Verb : std::uint8_t { start, stop, monitor_on, monitor_off, event, clean, count_ };
// As event::AgentOutcome, same order. killed: by a signal that was not the timeout's, by a stop that
// overtook it, or never run because it was meant for an earlier agent.
enum class Outcome : std::uint8_t { ok, failed, timed_out, killed, count_ };
// As HookStage, and one more: `whole` starts the event's notify hooks and runs pre, command and post
// in this order.
enum class Stage : std::uint8_t { pre, command, post, notify, recovery, whole, count_ };

using Text = BoundedString<127>;

struct AgentRequest {
  static constexpr Kind kind = Kind::request;
  Header header;
  std::uint32_t session = 0;  // of the last Hello
  std::uint32_t request = 0;  // echoed in the reply
  Verb verb = Verb::start;
  Stage stage = Stage::post;    // for event
  std::uint8_t wait = 0;        // for event: 1 = answer when done, 0 = never answered
  GroupIndex group = no_index;  // start, stop, monitor_*: which; clean: no_index means every group
  EventName event = EventName::none;
  NodeId subject = no_node;
  NetworkIndex network = no_index;
  AdapterIndex adapter = no_index;
  std::uint8_t address = no_index;  // index among the group's addresses
  std::uint32_t generation = 0;
  Stamp stamp;               // the record in force
  std::int64_t wall_ns = 0;  // CLOCK_REALTIME of the event
  std::int64_t boot_ns = 0;  // CLOCK_BOOTTIME of the event
  Text text;                 // the reason, one line
};

struct JournalAppend {
  static constexpr Kind kind = Kind::journal;
  Header header;
  JournalEntry entry;
};

// start, stop, clean: always answered, once. event: when `wait`. monitor_on and monitor_off: never.
struct AgentReply {
  static constexpr Kind kind = Kind::reply;
  Header header;
  std::uint32_t request = 0;
  Verb verb = Verb::start;
  Outcome outcome = Outcome::ok;
  // What to tell about it: none, event_error (failed) or config_too_long (exceeded its time).
  EventName problem = EventName::none;
  GroupIndex group = no_index;
  std::int32_t exit_status = 0;  // as a shell shows it: 128 + signal when killed
  std::int64_t took_ns = 0;      // from its turn (not its arrival) to its end
  Text text;                     // last line that it wrote to standard error, else what went wrong
};

struct ApplicationFailed {
  static constexpr Kind kind = Kind::application_failed;
  Header header;
  GroupIndex group = no_index;
  std::uint8_t timed_out = 0;
  std::uint32_t generation = 0;  // of the monitor_on
  std::int32_t exit_status = 0;
  Text text;
};

// A hook failed for good or exceeded its time; told whether or not anybody waits for the request.
struct HookFailed {
  static constexpr Kind kind = Kind::hook_failed;
  Header header;
  std::uint32_t request = 0;
  EventName problem = EventName::event_error;  // or config_too_long
  EventName event = EventName::none;           // whose hook
  HookStage stage = HookStage::post;
  std::uint8_t hook = 0;  // position in ClusterConfig::hooks
  GroupIndex group = no_index;
  std::uint32_t generation = 0;
  std::int32_t exit_status = 0;
  std::int64_t took_ns = 0;
  Text text;
};

// The agent serves from now on, and knows nothing of what runs.
struct Hello {
  static constexpr Kind kind = Kind::hello;
  Header header;
  std::uint32_t session = 0;
  std::int32_t pid = 0;
};

// The agent of this session died; everything it was asked and has not answered is void. What its
// commands had started in their own process groups was killed; applications that daemonised run on.
struct AgentDown {
  static constexpr Kind kind = Kind::agent_down;
  Header header;
  std::uint32_t session = 0;
  std::int32_t pid = 0;
  std::int32_t exit_status = 0;  // as a shell shows it
  std::uint32_t restart_in_ms = 0;
};

// Always answered, once, within tie_breaker_limit; one for an earlier session as failed.
struct UseTieBreaker {
  static constexpr Kind kind = Kind::use_tie_breaker;
  Header header;
  std::uint32_t session = 0;  // of the last Hello
  std::uint32_t request = 0;  // echoed
  std::uint8_t win = 0;       // 1 = win it for `epoch`, 0 = read it
  Epoch epoch;
  Epoch known;
};
inline constexpr Duration tie_breaker_limit = Duration::from_s(1);

struct TieBreakerUsed {
  static constexpr Kind kind = Kind::tie_breaker_used;
  Header header;
  std::uint32_t request = 0;
  std::uint8_t ok = 0;
  Epoch held;  // when ok: for which epoch it is won now
  BoundedString<255> text;  // when not ok: why
};

// Why a packet was refused.
enum class Defect : std::uint8_t { none, too_short, wrong_magic, wrong_version, unknown_kind, wrong_size, bad_field };
std::string_view to_string(Defect defect);

// What a packet claims to be. `out` is set only when the result is none.
Defect kind_of(std::span<const std::byte> packet, Kind& out);

bool fields_are_sane(const AgentRequest& message);
bool fields_are_sane(const JournalAppend& message);
bool fields_are_sane(const AgentReply& message);
bool fields_are_sane(const ApplicationFailed& message);
bool fields_are_sane(const HookFailed& message);
bool fields_are_sane(const Hello& message);
bool fields_are_sane(const AgentDown& message);
bool fields_are_sane(const UseTieBreaker& message);
bool fields_are_sane(const TieBreakerUsed& message);

template <typename T>
concept Packet = std::is_trivially_copyable_v<T> && std::is_same_v<decltype(T::header), Header>;

// Fills in the header; to be called last before sending.
template <Packet T>
void seal(T& message) {
  message.header = Header{protocol_magic, protocol_version, T::kind, sizeof(T)};
}

template <Packet T>
std::span<const std::byte> bytes_of(const T& message) {
  return std::as_bytes(std::span(&message, 1));
}

// Copies a packet into `out` and checks it. `out` holds nothing of use unless the result is none.
template <Packet T>
Defect read_packet(std::span<const std::byte> packet, T& out) {
  Kind kind = Kind::count_;
  if (const Defect defect = kind_of(packet, kind); defect != Defect::none) return defect;
  if (kind != T::kind) return Defect::unknown_kind;
  std::memcpy(static_cast<void*>(&out), packet.data(), sizeof(T));
  return fields_are_sane(out) ? Defect::none : Defect::bad_field;
}

// A receive buffer of this size holds any packet, and one byte more shows one that is too long.
inline constexpr std::size_t max_packet_bytes = 1024;
static_assert(sizeof(AgentRequest) < max_packet_bytes && sizeof(JournalAppend) < max_packet_bytes &&
              sizeof(AgentReply) < max_packet_bytes && sizeof(HookFailed) < max_packet_bytes);

}  // namespace vigil::agent
