// Decides which journal entries tell how a resource group came to be where it is, and in which
// order: one Takeover for each change of owner, from the first sign of its cause to the last part
// being up. Pure. It invents nothing: what no node wrote down is not in the story.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tools/client/client.hpp"

namespace vigil::ctl {

using control::ClusterPicture;
using control::reply::Journal;

// What happened to a group later, without a change of owner: an adapter swapped, an application
// restarted. Entries closer together than a few seconds are one incident.
struct Incident {
  std::int64_t zero_wall_ns = 0;  // of its first entry
  std::vector<Journal> entries;
};

struct Takeover {
  std::uint32_t generation = 0;
  std::string from;                          // empty: nobody had it before
  std::string to;                            // empty: nobody got it (yet)
  GroupReason reason = GroupReason::none;    // as far as it is known: of the newest takeover
  GroupPhase phase = GroupPhase::acquiring;  // how it stands; online: the takeover is complete
  std::int64_t zero_wall_ns = 0;             // the last sign of life of a failed node, else the first entry
  bool zero_is_last_sign = false;
  std::vector<Journal> entries;     // in order
  std::vector<Incident> incidents;  // after it; only told of the newest takeover
  std::optional<Budget> budget;     // the owner's own measurement, or what the journal's entries measured
};

// `entries`: the journal of the group and of the cluster as a whole, in any order, duplicates allowed.
// `group`: as the node that answered has it now. The newest `last` takeovers, oldest first.
std::vector<Takeover> takeovers_of(const ClusterPicture& picture, const control::reply::Group& group,
                                   std::vector<Journal> entries, std::size_t last);

std::int64_t total_us(const Budget& budget);

}  // namespace vigil::ctl
