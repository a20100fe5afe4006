// What the checker has to say of keys, and of wall clocks. See checker.hpp.
#include <algorithm>

#include "tests/sim/checker.hpp"
#include "tests/sim/checker_text.hpp"

namespace vigil::sim {

// ---- keys -----------------------------------------------------------------------------------------

bool Checker::in_newest_view(NodeId node) const {
  return newest_ != none && lives_[node].alive && history_[newest_].record.view.holds(node, machines_[node].daemon);
}

void Checker::keys_changed(SimTime now, NodeId node, const SimKeys& keys, std::uint8_t sending) {
  keys_[node] = keys;
  sending_[node] = sending;
  keys_followed_[node] = lives_[node].committed.epoch;
  for (std::size_t i = 0; i < nodes_; ++i) check_pair(now, node, static_cast<NodeId>(i));
}

// Members hear each other, as far as keys go: who has learnt of a view sends what all in it accept. But those whom an
// operator vouched for may have ended a rotation that the survivors still know under way, and miss a few frames until they
// say that they hold the next key.
void Checker::check_pair(SimTime now, NodeId a, NodeId b) {
  if (a == b || vouched() || !in_newest_view(a) || !in_newest_view(b)) return;
  const auto opens = [&](NodeId sender, NodeId receiver) {
    const SimKey* key = keys_[sender].find(sending_[sender]);
    if (keys_followed_[sender] != history_[newest_].record.stamp.epoch) return true;
    return key != nullptr && keys_[receiver].holds(*key);
  };
  for (const auto& [sender, receiver] : {std::pair{a, b}, std::pair{b, a}})
    if (!opens(sender, receiver))
      fail(Invariant::keys, now,
           text("node %d sends under key %u, which node %d, a member as it is, does not accept", sender + 1,
                sending_[sender], receiver + 1));
}

// Who was away while the key was changed hears nobody, and says so until it is given the key.
bool Checker::readable(NodeId receiver, NodeId sender) const {
  const SimKey* key = keys_[sender].find(sending_[sender]);
  return key == nullptr || keys_[receiver].holds(*key);
}

// ---- wall clocks ----------------------------------------------------------------------------------

void Checker::clock_set(NodeId node, std::int64_t error_ns, bool in_this_life) {
  clocks_[node] = {error_ns, true, in_this_life};
}

// Whoever comes in was, for the whole of its life, not farther off than it may be from every member that stays, as
// long as none of them was set meanwhile: all have told each other before. One that tells nobody its clock, being of an
// older release, may have found the newcomer near its own.
void Checker::check_clocks(SimTime now, const Record& record) {
  constexpr std::int64_t hair = 1'000'000'000;
  if (record.stamp.version != 1) return;
  for (const NodeId node : record.view.members) {
    const bool as_it_runs = record.view.holds(node, machines_[node].daemon);
    if (record.previous.holds(node, machines_[node].daemon) || !as_it_runs || !clocks_[node].known) continue;
    bool apart = false;
    bool near = false;
    for (const NodeId other : record.view.members) {
      if (other == node || !record.previous.holds(other, record.view.incarnations[other])) continue;
      const std::int64_t off = clocks_[node].error_ns - clocks_[other].error_ns;
      const bool sure =
          clocks_[other].known && !clocks_[node].set_in_this_life && !clocks_[other].set_in_this_life;
      (sure && std::max(off, -off) > clock_limit.ns + hair ? apart : near) = true;
    }
    if (apart && !near)
      fail(
          Invariant::accuser, now,
          text("epoch %llu.%d takes in node %d, whose wall clock is %lld s off", counter(record.stamp.epoch),
               proposer(record.stamp.epoch), node + 1, static_cast<long long>(clocks_[node].error_ns / 1'000'000'000)));
  }
}

}  // namespace vigil::sim
