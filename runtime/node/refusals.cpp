#include "runtime/node/refusals.hpp"

#include <algorithm>

namespace vigil {

bool Refusals::is_unproven(wire::Drop drop) {
  return drop == wire::Drop::wrong_version || drop == wire::Drop::unknown_key || drop == wire::Drop::wrong_tag;
}

bool Refusals::is_refusal(wire::Drop drop) {
  switch (drop) {
    case wire::Drop::wrong_version:
    case wire::Drop::unknown_key:
    case wire::Drop::wrong_tag:
    case wire::Drop::unknown_sender:
    case wire::Drop::wrong_protocol:
    case wire::Drop::wrong_name:
    case wire::Drop::duplicate_node_id:
    case wire::Drop::duplicate_node_name:
      return true;
    default:
      return false;
  }
}

Refusals::Standing* Refusals::find(wire::Drop cause, NodeId sender) {
  for (Standing& one : standing_)
    if (one.refusal.cause == cause && one.refusal.sender == sender) return &one;
  return nullptr;
}

Refusals::Noted Refusals::note(Instant now, wire::Drop cause, NodeId sender) {
  Standing* one = find(cause, sender);
  if (one == nullptr) {
    if (standing_.full()) return {};  // enough is wrong as it is
    standing_.push({});
    one = &standing_.back();
    one->refusal.cause = cause;
    one->refusal.sender = sender;
  }
  ++one->refusal.frames;
  one->refusal.last = now;
  if (one->told || !is_due(*one)) return {&one->refusal, false};
  Instant& told_until =
      told_until_[static_cast<std::size_t>(cause)][std::min<std::size_t>(sender, limits::max_nodes)];
  if (now < told_until) return {&one->refusal, false};
  told_until = now + retell;
  one->told = true;
  return {&one->refusal, true};
}

}  // namespace vigil
