// `vigil why --membership` for people: each view change as a heading, a timeline with the evidence and the
// votes, and what its steps took. Pure.
#pragma once

#include <string>
#include <vector>

#include "tools/ctl/view_story.hpp"

namespace vigil::ctl {

// `nodes`: who could be asked.
std::string views_text(const ClusterPicture& picture, const std::vector<ViewChange>& changes,
                       const std::vector<control::reply::Told>& nodes, bool colours);

// "view 8 by beta"
std::string view_name(const ClusterPicture& picture, const Epoch& epoch);

// Why a voter refused, without its name: "it still hears the accused".
std::string because(NackReason reason);

}  // namespace vigil::ctl
