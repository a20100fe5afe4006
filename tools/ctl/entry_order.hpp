// The order in which entries of several nodes are told: by wall clock, each node's own in the order of their
// writing; copies once.
#pragma once

#include <vector>

#include "tools/client/client.hpp"

namespace vigil::ctl {

void put_in_order(std::vector<control::reply::Journal>& entries);

}  // namespace vigil::ctl
