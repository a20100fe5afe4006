// Decides what `vigil quorum` says: from one node's picture, who counts, what is needed, what could be lost next,
// what happens at a tie and at a cold start, and why a node without a quorum has none. Pure, and the arithmetic is
// the core's own (runtime/base/view.hpp), so that it cannot promise what the core would not do.
#pragma once

#include <string>
#include <vector>

#include "tools/client/client.hpp"

namespace vigil::ctl {

using control::ClusterPicture;

struct QuorumFacts {
  NodeSet present;   // that this node hears, itself included
  NodeSet counting;  // of these, whose votes count now
  NodeSet silent;    // every other node: for whom an override vouches
  int total = 0;     // votes of the rule
  int needed = 0;
  int counted = 0;
  int spare = 0;                // votes that could be lost at one moment; below zero: that are lacking
  NodeSet stops_without;        // single nodes whose loss would stop the cluster next
  NodeSet tie_without;          // single nodes whose loss would leave exactly half, for the tie-breaker to decide
  NodeSet enough_with;          // without a quorum: silent nodes of which one alone would be enough
  bool can_tie = false;         // the votes of the rule split into two equal halves
  bool by_tie_breaker = false;  // exactly half is here, and goes on by the tie-breaker
  NodeSet start_lacks;          // not heard, and needed for a start without a living view
};
QuorumFacts quorum_facts(const ClusterPicture& picture);

// One line for each change of the rule and each word of the operator that stood in for votes, oldest first, as the
// journal has them; what several nodes wrote of one change counts once.
std::vector<control::reply::Journal> rule_changes(const std::vector<control::reply::Journal>& journal);

// The sentences, in the order in which they are read.
std::vector<std::string> quorum_sentences(const ClusterPicture& picture);
std::string quorum_text(const ClusterPicture& picture, const std::vector<control::reply::Journal>& journal,
                        bool colours);

// What the operator is asked to vouch for by an override on this node.
std::string override_warning(const ClusterPicture& picture);

}  // namespace vigil::ctl
