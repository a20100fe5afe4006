#include "runtime/base/event_name.hpp"

#include <array>
#include <cstddef>

namespace vigil {

namespace {
constexpr std::array<std::string_view, static_cast<std::size_t>(EventName::count_)> names = {
    "none",
    "node_up",
    "node_up_complete",
    "node_down",
    "node_down_complete",
    "network_up",
    "network_down",
    "network_one_way",
    "fail_standby",
    "join_standby",
    "swap_adapter",
    "fail_service",
    "join_service",
    "acquire_service_addr",
    "release_service_addr",
    "start_server",
    "stop_server",
    "server_restart",
    "server_down",
    "resource_group_online",
    "resource_group_offline",
    "resource_group_blocked",
    "rg_move",
    "rg_fallback",
    "quorum_lost",
    "quorum_regained",
    "lease_gap",
    "view_change",
    "config_mismatch",
    "config_too_long",
    "event_error",
    "duplicate_address",
    "late",
    "node_refused",
    "clock_apart",
    "key_rotation",
    "quorum_rule",
};
}  // namespace

std::string_view to_string(EventName name) {
  const auto index = static_cast<std::size_t>(name);
  return index < names.size() ? names[index] : "unknown";
}

std::optional<EventName> event_from_string(std::string_view text) {
  for (std::size_t i = 1; i < names.size(); ++i)
    if (names[i] == text) return static_cast<EventName>(i);
  return std::nullopt;
}

}  // namespace vigil
