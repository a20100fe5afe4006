// What every event means, in one line each: for `vigil`'s help, and for README.md, whose table a test
// holds against this one.
#pragma once

#include <string_view>

#include "runtime/base/event_name.hpp"

namespace vigil::events {

struct EventInfo {
  std::string_view when;    // when it occurs
  std::string_view fields;  // which of subject, group, network, adapter, address are told
};

// Empty texts for a number that names no event.
EventInfo describe(EventName event);

}  // namespace vigil::events
