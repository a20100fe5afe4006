// Decides which journal entries tell how one view of the cluster became the next, and in which order: one
// ViewChange for each view, from the first sign of its cause to the last node that installed it. Pure. It
// invents nothing: what no node wrote down, or could not tell, is not in the story.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tools/client/client.hpp"

namespace vigil::ctl {

using control::ClusterPicture;
using control::reply::Journal;

enum class VoteAnswer : std::uint8_t { promised, refused, none };

struct Vote {
  std::string node;
  VoteAnswer answer = VoteAnswer::none;
  std::optional<NackReason> reason;  // of a refusal that was told
  bool accepted = false;             // the record that was proposed then
};

// What the round that decided took, as its candidate measured it.
struct ViewSteps {
  std::int64_t decide_us = 0;   // suspicion, or another need, to Prepare; earlier rounds included
  std::int64_t promise_us = 0;  // to a quorum of promises
  std::int64_t accept_us = 0;   // to the commit
};

struct Arrival {
  std::string node;
  std::string why;
};

struct ViewChange {
  Epoch epoch;   // genesis: suspicions and the like that led to no new view
  Epoch before;  // genesis: not known, or none
  std::string coordinator;
  std::vector<std::string> members;
  std::vector<Arrival> left;
  std::vector<Arrival> joined;
  std::int64_t zero_wall_ns = 0;  // the last sign of life of a node that was left out, else the first entry
  bool zero_is_last_sign = false;
  std::string last_sign_of;
  std::vector<Journal> entries;  // in order
  std::vector<Vote> votes;       // of the round that decided, or else of the last that was told
  std::optional<ViewSteps> steps;
  std::uint32_t rounds = 0;           // that it took, as far as told
  std::int64_t decided_wall_ns = 0;   // 0: not told
  std::int64_t installed_wall_ns = 0; // at the last node that told it; 0: nobody told
  std::optional<std::int64_t> leases_over_wall_ns;  // of those left out, at the node where it is latest
};

struct ViewStoryOptions {
  std::size_t last = SIZE_MAX;     // the newest so many
  std::int64_t since_wall_ns = 0;  // and none that ended before
};

// `entries`: in any order, duplicates allowed. Oldest first: by epoch, and for one epoch by time.
std::vector<ViewChange> view_changes_of(const ClusterPicture& picture, std::vector<Journal> entries,
                                        const ViewStoryOptions& options);

}  // namespace vigil::ctl
