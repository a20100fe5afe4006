// Decides whether the promises at hand may authorise a successor of the newest record among them, and what its
// commitment then takes. Pure arithmetic on sets; runtime/DESIGN.md section 5 has the argument for each answer.
#pragma once

#include "runtime/base/cluster.hpp"
#include "runtime/base/record.hpp"

namespace vigil {

enum class Authority : std::uint8_t {
  none,
  strict,      // a quorum of the view before must accept
  unanimous,   // every member of the new view must accept
  cold_start,  // as unanimous; what the last view decided last may be missing
};

// What a candidate holds.
struct Ballot {
  const Record* base = nullptr;  // newest record among the promises
  bool in_doubt = false;         // not known committed, and it replaces another view
  NodeSet promised;
  NodeSet recovering;            // of these, restarted and without a vote in this life
  NodeSet vouched;               // down on the operator's word, or fenced
  bool tie_breaker = false;      // won for this epoch
  const std::array<Incarnation, limits::max_nodes>* incarnations = nullptr;  // in which they promised
  const std::array<std::uint64_t, limits::max_nodes>* forgotten = nullptr;   // Promise::forgotten of each; null: unknown
};

Authority authority_of(const ClusterConfig& config, const Ballot& ballot);

// Of `nodes`, the members of `view` that are still in the life in which they were admitted.
NodeSet same_incarnations(const View& view, NodeSet nodes, const std::array<Incarnation, limits::max_nodes>& known);

}  // namespace vigil
