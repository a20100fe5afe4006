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

Refusals::Standing* Refusals::find(const Refusal& refusal) {
  for (Standing& one : standing_)
    if (one.refusal.cause == refusal.cause && one.refusal.sender == refusal.sender) return &one;
  return nullptr;
}

const Refusal* Refusals::note(Instant now, const Refusal& refusal) {
  Standing* one = find(refusal);
  if (one == nullptr) {
    if (!standing_.try_push({refusal, false})) return nullptr;  // enough is wrong as it is
    one = &standing_.back();
    one->refusal.frames = 0;
  }
  const std::uint64_t frames = one->refusal.frames + 1;
  one->refusal = refusal;
  one->refusal.frames = frames;
  one->refusal.last = now;
  if (one->told || !is_due(*one)) return nullptr;
  Instant& told_until =
      told_until_[static_cast<std::size_t>(refusal.cause)][std::min<std::size_t>(refusal.sender, limits::max_nodes)];
  if (now < told_until) return nullptr;
  told_until = now + retell;
  one->told = true;
  return &one->refusal;
}

}  // namespace vigil
