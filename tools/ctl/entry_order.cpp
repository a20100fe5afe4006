#include "tools/ctl/entry_order.hpp"

#include <algorithm>
#include <tuple>

namespace vigil::ctl {

void put_in_order(std::vector<control::reply::Journal>& entries) {
  const auto key = [](const control::reply::Journal& j) {
    return std::tuple(j.entry.wall_ns, j.entry.node, j.entry.boot_ns, j.entry.sequence, j.entry.kind, j.entry.event);
  };
  const auto before = [&](const auto& a, const auto& b) { return key(a) < key(b); };
  const auto same = [&](const auto& a, const auto& b) { return key(a) == key(b); };
  std::sort(entries.begin(), entries.end(), before);
  entries.erase(std::unique(entries.begin(), entries.end(), same), entries.end());
}

}  // namespace vigil::ctl
