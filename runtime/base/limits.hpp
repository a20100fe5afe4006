// How large a cluster may be. Everything that the real-time loop holds is sized from here, once.
#pragma once

#include <cstddef>

namespace vigil::limits {

inline constexpr std::size_t max_nodes = 64;
inline constexpr std::size_t max_networks = 8;
inline constexpr std::size_t max_adapters = 8;           // of one node, serial lines included
inline constexpr std::size_t max_links = 8;              // of one node: heard-maps are one byte a node
inline constexpr std::size_t max_groups = 32;
inline constexpr std::size_t max_group_addresses = 4;    // of one group
inline constexpr std::size_t max_addresses = max_groups * max_group_addresses;
inline constexpr std::size_t max_hooks = 64;
inline constexpr std::size_t name_length = 31;
inline constexpr std::size_t path_length = 107;          // also fits sun_path
inline constexpr std::size_t command_length = 255;
inline constexpr std::size_t frame_bytes = 200;          // one frame, as MISSION's slow lines demand
inline constexpr std::size_t message_bytes = 12 * 1024;  // one message, before fragmentation

}  // namespace vigil::limits
