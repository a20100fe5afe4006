#include "runtime/config/names.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cstdint>

#include "runtime/base/event_name.hpp"

namespace vigil {

namespace {

template <typename Items>
std::uint8_t index_of(const Items& items, std::string_view name) {
  for (std::size_t i = 0; i < items.size(); ++i)
    if (items[i].name == name) return static_cast<std::uint8_t>(i);
  return no_index;
}

template <typename Items>
std::vector<std::string> names_of(const Items& items) {
  std::vector<std::string> names;
  for (const auto& item : items) names.push_back(item.name.str());
  return names;
}

bool is_letter_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

unsigned bits_of(const IpAddress& address) { return address.family == 4 ? 32 : 128; }

bool bit_at(const IpAddress& address, unsigned index) {
  return ((address.bytes[index / 8] >> (7 - index % 8)) & 1) != 0;
}

// Why no host can own this address; nothing where one can.
std::optional<std::string> unusable(const IpAddress& a) {
  const bool v4 = a.family == 4;
  if (std::all_of(a.bytes.begin(), a.bytes.end(), [](std::uint8_t byte) { return byte == 0; }))
    return "is the unspecified address";
  if (v4 ? a.bytes[0] >= 224 && a.bytes[0] < 240 : a.bytes[0] == 0xff) return "is a multicast address";
  if (v4 ? a.bytes[0] == 127 : format_host(a) == "::1") return "is a loopback address";
  if (!v4 || a.prefix > 30) return std::nullopt;
  bool ones = true;
  bool zeros = true;
  for (unsigned i = a.prefix; i < 32; ++i) (bit_at(a, i) ? zeros : ones) = false;
  if (zeros) return "is the address of the subnet itself";
  if (ones) return "is the broadcast address of its subnet";
  return std::nullopt;
}

struct Unit {
  std::string_view name;
  std::int64_t ns;
};
constexpr std::array<Unit, 5> units = {
    {{"us", 1'000}, {"ms", 1'000'000}, {"s", 1'000'000'000}, {"m", 60'000'000'000}, {"h", 3'600'000'000'000}}};

bool is_digit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

NodeId find_node(const ClusterConfig& config, std::string_view name) { return index_of(config.nodes, name); }
NetworkIndex find_network(const ClusterConfig& config, std::string_view name) {
  return index_of(config.networks, name);
}
GroupIndex find_group(const ClusterConfig& config, std::string_view name) { return index_of(config.groups, name); }

std::vector<std::string> node_names(const ClusterConfig& config) { return names_of(config.nodes); }
std::vector<std::string> group_names(const ClusterConfig& config) { return names_of(config.groups); }
std::vector<std::string> event_names() {
  std::vector<std::string> names;
  for (int i = 1; i < static_cast<int>(EventName::count_); ++i)
    names.emplace_back(to_string(static_cast<EventName>(i)));
  return names;
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  constexpr std::size_t longest = 64;
  a = a.substr(0, longest);
  b = b.substr(0, longest);
  std::array<std::array<std::size_t, longest + 1>, longest + 1> cost;
  for (std::size_t i = 0; i <= a.size(); ++i) cost[i][0] = i;
  for (std::size_t j = 0; j <= b.size(); ++j) cost[0][j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = cost[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      cost[i][j] = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1, replaced});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
    }
  }
  return cost[a.size()][b.size()];
}

std::optional<std::string> nearest_name(std::string_view wrong, const std::vector<std::string>& candidates) {
  std::optional<std::string> best;
  std::size_t best_distance = 0;
  for (const std::string& candidate : candidates) {
    const std::size_t distance = edit_distance(wrong, candidate);
    const std::size_t allowed = std::max<std::size_t>(1, std::max(wrong.size(), candidate.size()) / 3);
    if (distance > allowed || distance >= candidate.size()) continue;
    if (!best || distance < best_distance) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

std::string hint(std::string_view wrong, const std::vector<std::string>& candidates) {
  if (const auto nearest = nearest_name(wrong, candidates)) return "; did you mean '" + *nearest + "'?";
  if (candidates.empty()) return "";
  std::string text = "; expected one of: ";
  for (std::size_t i = 0; i < candidates.size(); ++i) text += (i > 0 ? ", " : "") + candidates[i];
  return text;
}

bool is_name(std::string_view text) {
  if (text.empty() || text.size() > limits::name_length || !is_letter_or_digit(text.front())) return false;
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return is_letter_or_digit(c) || c == '-' || c == '_' || c == '.'; });
}

Result<IpAddress> parse_address(std::string_view text) {
  const std::string quoted = "'" + std::string(text) + "' ";
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos)
    return Error::of(quoted + "has no prefix length; expected an address such as 10.0.0.1/24 or fd00::1/64");
  const std::string host(text.substr(0, slash));
  const std::string_view prefix = text.substr(slash + 1);
  IpAddress address;
  if (inet_pton(AF_INET, host.c_str(), address.bytes.data()) == 1 && host.find('\0') == std::string::npos)
    address.family = 4;
  else if (inet_pton(AF_INET6, host.c_str(), address.bytes.data()) == 1 && host.find('\0') == std::string::npos)
    address.family = 6;
  else
    return Error::of(quoted + "is no IPv4 or IPv6 address; expected one such as 10.0.0.1/24 or fd00::1/64");
  unsigned bits = 0;
  for (const char c : prefix) bits = is_digit(c) && bits < 1000 ? bits * 10 + static_cast<unsigned>(c - '0') : 1000;
  if (bits < 1 || bits > bits_of(address))
    return Error::of(quoted + "has a bad prefix length; expected 1 to " + std::to_string(bits_of(address)));
  address.prefix = static_cast<std::uint8_t>(bits);
  if (const auto why = unusable(address)) return Error::of(quoted + *why + "; expected the address of a host");
  return address;
}

std::string format_host(const IpAddress& address) {
  if (address.family == 0) return "-";
  std::array<char, INET6_ADDRSTRLEN> text{};
  const int family = address.family == 4 ? AF_INET : AF_INET6;
  if (inet_ntop(family, address.bytes.data(), text.data(), text.size()) == nullptr) return "-";
  return text.data();
}

std::string format_address(const IpAddress& address) {
  if (address.family == 0) return "-";
  return format_host(address) + "/" + std::to_string(address.prefix);
}

bool same_host(const IpAddress& a, const IpAddress& b) { return a.family == b.family && a.bytes == b.bytes; }

bool in_subnet(const IpAddress& host, const IpAddress& net) {
  if (host.family != net.family || net.family == 0) return false;
  for (unsigned i = 0; i < net.prefix && i < bits_of(net); ++i)
    if (bit_at(host, i) != bit_at(net, i)) return false;
  return true;
}

Result<Duration> parse_duration(std::string_view text) {
  const std::string wrong =
      "'" + std::string(text) + "' is no duration; expected a number and a unit, such as 500ms, 2s or 1m";
  std::size_t at = 0;
  std::int64_t whole = 0;
  while (at < text.size() && is_digit(text[at])) {
    if (at >= 9) return Error::of(wrong);
    whole = whole * 10 + (text[at++] - '0');
  }
  if (at == 0) return Error::of(wrong);
  std::int64_t fraction = 0;
  std::int64_t scale = 1;
  if (at < text.size() && text[at] == '.') {
    const std::size_t start = ++at;
    while (at < text.size() && is_digit(text[at])) {
      if (at - start >= 6) return Error::of(wrong);
      fraction = fraction * 10 + (text[at++] - '0');
      scale *= 10;
    }
    if (at == start) return Error::of(wrong);
  }
  for (const Unit& unit : units) {
    if (text.substr(at) != unit.name) continue;
    if (whole > INT64_MAX / 2 / unit.ns) return Error::of(wrong);
    const std::int64_t part = unit.ns >= scale ? fraction * (unit.ns / scale) : fraction * unit.ns / scale;
    return Duration::from_ns(whole * unit.ns + part);
  }
  return Error::of(wrong);
}

std::string format_duration(Duration duration) {
  for (auto unit = units.rbegin(); unit != units.rend(); ++unit) {
    const std::int64_t count = duration.ns / unit->ns;
    if (duration.ns % unit->ns == 0 && count > 0) return std::to_string(count) + std::string(unit->name);
  }
  return duration.ns == 0 ? "0s" : std::to_string(duration.ns) + "ns";
}

}  // namespace vigil
