// The named events, HACMP's names where there is one. The numbers travel between nodes: append only.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace vigil {

enum class EventName : std::uint8_t {
  none = 0,
  node_up,
  node_up_complete,
  node_down,
  node_down_complete,
  network_up,
  network_down,
  network_one_way,
  fail_standby,
  join_standby,
  swap_adapter,
  fail_service,
  join_service,
  acquire_service_addr,
  release_service_addr,
  start_server,
  stop_server,
  server_restart,
  server_down,
  resource_group_online,
  resource_group_offline,
  resource_group_blocked,
  rg_move,
  rg_fallback,
  quorum_lost,
  quorum_regained,
  lease_gap,
  view_change,
  config_mismatch,
  config_too_long,     // a hook or command exceeded its time (HACMP's name)
  event_error,         // a hook or command failed
  duplicate_address,
  late,                // the loop was late: accuses nobody
  node_refused,        // a node is kept out: another key, another version, a duplicate id or name
  clock_apart,         // a node's wall clock is far from the others'
  key_rotation,        // the cluster key is being changed, or was
  quorum_rule,         // votes are counted by another rule
  count_,
};

std::string_view to_string(EventName name);
std::optional<EventName> event_from_string(std::string_view text);

}  // namespace vigil
