// The JSON documents that `vigil … --json` prints: README.md in this directory says every member.
// Members are only ever added. Units are in the names; ids are those of the configuration file.
#pragma once

#include <string>
#include <vector>

#include "tools/client/client.hpp"
#include "tools/ctl/story.hpp"
#include "tools/ctl/view_story.hpp"

namespace vigil::ctl {

using control::ClusterPicture;

// Indented, with a final newline.
std::string status_json(const ClusterPicture& picture);
std::string links_json(const ClusterPicture& picture);
std::string why_json(const std::string& group, const std::vector<Takeover>& takeovers);
std::string views_json(const ClusterPicture& picture, const std::vector<ViewChange>& changes,
                       const std::vector<control::reply::Told>& nodes);
std::string quorum_json(const ClusterPicture& picture, const std::vector<control::reply::Journal>& journal);

// One line without a newline.
std::string journal_json(const control::reply::Journal& entry);

}  // namespace vigil::ctl
