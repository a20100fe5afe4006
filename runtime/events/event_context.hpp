// What happened, as hooks and application commands are told it: plain data, indexes into the
// configuration, no_index / no_node where a field does not apply. environment.hpp turns it into text.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "runtime/base/cluster.hpp"
#include "runtime/base/event_name.hpp"
#include "runtime/base/record.hpp"

namespace vigil::events {

enum class Action : std::uint8_t { hook, start, stop, monitor };
std::string_view to_string(Action action);
std::string_view to_string(HookStage stage);

// The hook whose failure a recovery hook is asked to repair.
struct FailedHook {
  std::string command;
  HookStage stage = HookStage::post;
  bool timed_out = false;
  int exit_status = 0;  // as a shell shows it: 128 + signal when killed
};

struct EventContext {
  Action action = Action::hook;
  EventName event = EventName::none;
  HookStage stage = HookStage::post;
  NodeId node = no_node;     // where this runs
  NodeId subject = no_node;  // whom it is about
  GroupIndex group = no_index;
  std::uint32_t generation = 0;
  NetworkIndex network = no_index;
  AdapterIndex adapter = no_index;   // of the subject, or of `node` where there is no subject
  std::uint8_t address = no_index;   // index among the group's addresses
  Stamp stamp;                       // the record in force
  std::int64_t wall_ns = 0;          // CLOCK_REALTIME
  std::int64_t boot_ns = 0;          // CLOCK_BOOTTIME of `node`
  std::string reason;                // one line for people
  std::optional<FailedHook> failed;  // recovery hooks only
};

}  // namespace vigil::events
