// Decides, from one node's picture, what is not as it should be, and says it with the way out. The
// same lines stand under the status overview, in its JSON, and behind `status --exit-code`.
#pragma once

#include <string>
#include <vector>

#include "tools/client/client.hpp"

namespace vigil::ctl {

using control::ClusterPicture;

// Why a group does not run, or what it waits for, and what the operator can do; empty when it runs
// or is not wanted.
std::string blocked_text(const ClusterPicture& picture, const control::reply::Group& group);

// "in", "standby", "leaving", "joining", "silent", …: one word for a node's part in the cluster.
std::string node_word(const ClusterPicture& picture, const control::reply::Node& node);

// One line each, worst first; empty: all is well.
std::vector<std::string> problems_of(const ClusterPicture& picture);

}  // namespace vigil::ctl
