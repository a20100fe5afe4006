// One word for each value, as the JSON documents and the tables have it, and the forms of times and
// durations for people. The words are part of the JSON schemas (README.md): never change one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "runtime/base/cluster.hpp"
#include "runtime/base/journal.hpp"
#include "runtime/base/record.hpp"
#include "runtime/core/status.hpp"

namespace vigil::ctl {

std::string_view word(NodeRole role);
std::string_view word(LinkState state);
std::string_view word(LinkKind kind);
std::string_view word(AdapterRole role);
std::string_view word(Profile profile);
std::string_view word(GroupPhase phase);
std::string_view word(GroupReason reason);
std::string_view word(GroupPolicy policy);
std::string_view word(JournalKind kind);
std::string_view word(KeyPhase phase);
std::string_view word(QuorumPolicy policy);
std::string_view word(QuorumKind kind);

// The reason as the end of "it is here because …": "alpha failed" needs the previous owner's name.
std::string because(GroupReason reason, const std::string& previous);

// "0.4 ms", "183.0 ms", "12.3 s", "4 min", "3 h", "2 d".
std::string duration_text(Duration duration);
// "37.9": milliseconds with one decimal.
std::string ms_text(double ms);
// CLOCK_REALTIME nanoseconds as local time: "2026-11-22 10:00:00.123".
std::string time_text(std::int64_t wall_ns);
// "90s", "10min", "6h", "3d": that long before `now_wall_ns`; "2026-11-22", "2026-11-22T10:00" or
// "2026-11-22T10:00:30" (or a blank for the T): that local time. nullopt: none of these.
std::optional<std::int64_t> time_of(const std::string& text, std::int64_t now_wall_ns);
// 16 hexadecimal digits.
std::string hex_text(std::uint64_t value);

}  // namespace vigil::ctl
