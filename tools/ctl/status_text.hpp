// The overview and the link table for people. Pure: a picture in, text out.
#pragma once

#include <string>

#include "tools/client/client.hpp"

namespace vigil::ctl {

using control::ClusterPicture;

std::string status_text(const ClusterPicture& picture, bool colours);
std::string links_text(const ClusterPicture& picture, bool colours);

}  // namespace vigil::ctl
