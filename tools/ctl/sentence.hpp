// Puts journal entries and takeovers into plain sentences: for the operator at night, and for the
// one who asks in the morning. Pure.
#pragma once

#include <string>
#include <vector>

#include "tools/ctl/story.hpp"

namespace vigil::ctl {

// What the writer saw or did, without its name: "suspects alpha: silent on all links".
std::string sentence(const Journal& entry);

// `vigil why`: every takeover as a heading, a timeline and the budget.
std::string why_text(const ClusterPicture& picture, const control::reply::Group& group,
                     const std::vector<Takeover>& takeovers, bool colours);

// One line of `vigil events`.
std::string event_line(const Journal& entry, bool colours);

// "detect 183.0 ms + agree 1.2 ms + … = 232.6 ms"
std::string budget_text(const Budget& budget);

}  // namespace vigil::ctl
