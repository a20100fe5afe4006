// Names and addresses as people write them: lookup in a configuration, nearest name, text forms.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/cluster.hpp"
#include "runtime/base/result.hpp"

namespace vigil {

// Index of the node, network or group with this name; no_node or no_index where there is none.
NodeId find_node(const ClusterConfig& config, std::string_view name);
NetworkIndex find_network(const ClusterConfig& config, std::string_view name);
GroupIndex find_group(const ClusterConfig& config, std::string_view name);

std::vector<std::string> node_names(const ClusterConfig& config);
std::vector<std::string> group_names(const ClusterConfig& config);
std::vector<std::string> event_names();

// How many single-character edits (insert, delete, replace, swap of neighbours) turn a into b:
// optimal string alignment. Both are cut at 64 bytes.
std::size_t edit_distance(std::string_view a, std::string_view b);
// The candidate that was probably meant, or nothing where none is within a third of its length.
std::optional<std::string> nearest_name(std::string_view wrong, const std::vector<std::string>& candidates);
// "; did you mean 'x'?", or else "; expected one of: a, b, c", or "" where there are no candidates.
std::string hint(std::string_view wrong, const std::vector<std::string>& candidates);

// 1 to limits::name_length letters, digits, '-', '_', '.', the first one a letter or a digit.
bool is_name(std::string_view text);

// "10.77.1.1/24", "fd00::1/64". The prefix is required: 1 to 32, 1 to 128. Refuses addresses that no
// host can own: unspecified, multicast, loopback, a subnet's own or broadcast address (IPv4 prefix <= 30).
Result<IpAddress> parse_address(std::string_view text);
// With prefix, and the host part alone ("10.77.1.1"). RFC 5952 form for IPv6. Family 0 gives "-".
std::string format_address(const IpAddress& address);
std::string format_host(const IpAddress& address);
bool same_host(const IpAddress& a, const IpAddress& b);
// True when `host` lies in the subnet that `net`'s address and prefix describe.
bool in_subnet(const IpAddress& host, const IpAddress& net);

// "500ms", "2s", "1.5s", "1m", "1h", "250us": a decimal number and a unit, no sign, no space.
Result<Duration> parse_duration(std::string_view text);
// The shortest exact form that parse_duration() reads: "500ms", "1m", "90s".
std::string format_duration(Duration duration);

}  // namespace vigil
