// Switches without default, so that a new value without a word does not compile.
#include "tools/ctl/words.hpp"

#include <charconv>
#include <cstdio>
#include <ctime>

namespace vigil::ctl {

std::string_view word(NodeRole role) {
  switch (role) {
    case NodeRole::waiting:
      return "waiting";
    case NodeRole::joining:
      return "joining";
    case NodeRole::member:
      return "member";
    case NodeRole::no_quorum:
      return "no_quorum";
  }
  return "unknown";
}

std::string_view word(KeyPhase phase) {
  switch (phase) {
    case KeyPhase::settled:
      return "settled";
    case KeyPhase::spreading:
      return "spreading";
    case KeyPhase::switching:
      return "switching";
  }
  return "unknown";
}

std::string_view word(QuorumPolicy policy) {
  switch (policy) {
    case QuorumPolicy::majority:
      return "majority";
    case QuorumPolicy::weighted:
      return "weighted";
    case QuorumPolicy::last_man_standing:
      return "last_man_standing";
  }
  return "unknown";
}

std::string_view word(QuorumKind kind) {
  switch (kind) {
    case QuorumKind::majority:
      return "majority";
    case QuorumKind::last_man_standing:
      return "last_man_standing";
    case QuorumKind::overridden:
      return "overridden";
  }
  return "unknown";
}

std::string_view word(LinkState state) {
  switch (state) {
    case LinkState::unknown:
      return "unknown";
    case LinkState::up:
      return "up";
    case LinkState::one_way_in:
      return "one_way_in";
    case LinkState::one_way_out:
      return "one_way_out";
    case LinkState::down:
      return "down";
    case LinkState::flapping:
      return "flapping";
  }
  return "unknown";
}

std::string_view word(LinkKind kind) {
  switch (kind) {
    case LinkKind::ethernet:
      return "ethernet";
    case LinkKind::udp:
      return "udp";
    case LinkKind::serial:
      return "serial";
  }
  return "unknown";
}

std::string_view word(AdapterRole role) {
  switch (role) {
    case AdapterRole::service:
      return "service";
    case AdapterRole::standby:
      return "standby";
    case AdapterRole::serial:
      return "serial";
  }
  return "unknown";
}

std::string_view word(Profile profile) {
  switch (profile) {
    case Profile::wan:
      return "wan";
    case Profile::lan:
      return "lan";
    case Profile::fast:
      return "fast";
    case Profile::realtime:
      return "realtime";
  }
  return "unknown";
}

std::string_view word(GroupPhase phase) {
  switch (phase) {
    case GroupPhase::offline:
      return "offline";
    case GroupPhase::acquiring:
      return "acquiring";
    case GroupPhase::online:
      return "online";
    case GroupPhase::blocked:
      return "blocked";
    case GroupPhase::error:
      return "error";
  }
  return "unknown";
}

std::string_view word(GroupReason reason) {
  switch (reason) {
    case GroupReason::none:
      return "none";
    case GroupReason::first_start:
      return "first_start";
    case GroupReason::node_failed:
      return "node_failed";
    case GroupReason::node_left:
      return "node_left";
    case GroupReason::network_failed:
      return "network_failed";
    case GroupReason::application_failed:
      return "application_failed";
    case GroupReason::start_failed:
      return "start_failed";
    case GroupReason::stop_failed:
      return "stop_failed";
    case GroupReason::operator_move:
      return "operator_move";
    case GroupReason::operator_offline:
      return "operator_offline";
    case GroupReason::node_standby:
      return "node_standby";
    case GroupReason::fallback:
      return "fallback";
    case GroupReason::unfenced:
      return "unfenced";
    case GroupReason::no_candidate:
      return "no_candidate";
    case GroupReason::address_conflict:
      return "address_conflict";
  }
  return "unknown";
}

std::string_view word(GroupPolicy policy) { return policy == GroupPolicy::rotating ? "rotating" : "cascading"; }

std::string_view word(JournalKind kind) {
  switch (kind) {
    case JournalKind::observed:
      return "observed";
    case JournalKind::accused:
      return "accused";
    case JournalKind::voted:
      return "voted";
    case JournalKind::decided:
      return "decided";
    case JournalKind::started:
      return "started";
    case JournalKind::done:
      return "done";
    case JournalKind::failed:
      return "failed";
    case JournalKind::waiting:
      return "waiting";
  }
  return "unknown";
}

std::string because(GroupReason reason, const std::string& previous) {
  const std::string who = previous.empty() || previous == "-" ? "its node" : previous;
  switch (reason) {
    case GroupReason::none:
      return "";
    case GroupReason::first_start:
      return "the cluster started";
    case GroupReason::node_failed:
      return who + " failed";
    case GroupReason::node_left:
      return who + " left the cluster";
    case GroupReason::network_failed:
      return who + " lost its networks";
    case GroupReason::application_failed:
      return "the application kept dying on " + who;
    case GroupReason::start_failed:
      return "it could not be started on " + who;
    case GroupReason::stop_failed:
      return who + " could not stop it";
    case GroupReason::operator_move:
      return "the operator moved it";
    case GroupReason::operator_offline:
      return "the operator took it offline";
    case GroupReason::node_standby:
      return who + " is on standby";
    case GroupReason::fallback:
      return "a better node is back";
    case GroupReason::unfenced:
      return who + " is not proven to have stopped it";
    case GroupReason::no_candidate:
      return "no node in the cluster may run it";
    case GroupReason::address_conflict:
      return "somebody else answers for its address";
  }
  return "";
}

std::string ms_text(double ms) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", ms);
  return text;
}

std::string duration_text(Duration duration) {
  const double ms = duration.ms();
  char text[32];
  if (ms < 1000) {
    std::snprintf(text, sizeof text, "%.1f ms", ms);
  } else if (ms < 60'000) {
    std::snprintf(text, sizeof text, "%.1f s", ms / 1e3);
  } else if (ms < 3'600'000) {
    std::snprintf(text, sizeof text, "%.0f min", ms / 60e3);
  } else if (ms < 48 * 3'600'000.0) {
    std::snprintf(text, sizeof text, "%.0f h", ms / 3'600e3);
  } else {
    std::snprintf(text, sizeof text, "%.0f d", ms / (24 * 3'600e3));
  }
  return text;
}

std::string time_text(std::int64_t wall_ns) {
  // Rounds down before 1970 too, so that the milliseconds stay positive.
  std::int64_t seconds = wall_ns / 1'000'000'000;
  std::int64_t rest_ns = wall_ns % 1'000'000'000;
  if (rest_ns < 0) {
    rest_ns += 1'000'000'000;
    --seconds;
  }
  const std::time_t when = static_cast<std::time_t>(seconds);
  std::tm local{};
  localtime_r(&when, &local);
  char day[40];
  std::strftime(day, sizeof day, "%Y-%m-%d %H:%M:%S", &local);
  char text[56];
  std::snprintf(text, sizeof text, "%s.%03d", day, static_cast<int>(rest_ns / 1'000'000));
  return text;
}

std::optional<std::int64_t> time_of(const std::string& text, std::int64_t now_wall_ns) {
  struct Unit {
    const char* name;
    std::int64_t seconds;
  };
  static constexpr Unit units[] = {{"s", 1}, {"min", 60}, {"m", 60}, {"h", 3600}, {"d", 86'400}};
  std::int64_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  const std::string_view rest = std::string_view(text).substr(static_cast<std::size_t>(end - text.data()));
  if (error == std::errc() && count >= 0 && count < 1'000'000)
    for (const Unit& unit : units)
      if (rest == unit.name) return now_wall_ns - count * unit.seconds * 1'000'000'000;
  for (const char* form : {"%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S"}) {
    std::tm local{};
    local.tm_isdst = -1;
    const char* stop = ::strptime(text.c_str(), form, &local);
    if (stop == nullptr || *stop != '\0') continue;
    const std::time_t when = std::mktime(&local);
    if (when != static_cast<std::time_t>(-1)) return std::int64_t{when} * 1'000'000'000;
  }
  return std::nullopt;
}

std::string hex_text(std::uint64_t value) {
  char text[20];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(value));
  return text;
}

}  // namespace vigil::ctl
