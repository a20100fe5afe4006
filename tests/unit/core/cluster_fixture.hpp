// A whole cluster on the scripted network of cluster_rig.hpp, with one Ethernet network and one group `web`
// with a service address, for tests that say in C++ what happens to it.
#pragma once

#include <memory>
#include <string>

#include "tests/unit/core/cluster_rig.hpp"

namespace vigil::testing {

inline constexpr NodeId alpha = 0, beta = 1, gamma = 2, delta = 3, epsilon = 4;

struct Cluster {
  explicit Cluster(const std::string& names, const std::string& application = "app=none") {
    text.read("nodes " + names);
    text.read("network public");
    text.read("adapter * public eth0");
    std::string list = names;
    for (char& c : list)
      if (c == ' ') c = ',';
    text.read("group web nodes=" + list + " addresses=public fallback=no " + application);
    config = std::make_unique<ClusterConfig>(text.config());
    rig = std::make_unique<ClusterRig>(*config);
  }
  NodeSet named(const std::string& list) const { return nodes_named(*config, list); }
  // Everybody in one view, serving.
  ClusterRig& boot() {
    const NodeSet all = NodeSet::from_bits((std::uint64_t{1} << config->nodes.size()) - 1);
    for (const NodeId node : all) rig->start(node);
    const bool up = rig->run_until([&] { return rig->settled(all) && rig->serves(0); });
    if (!up) bad_text("the cluster does not come up");
    rig->run(Duration::from_ms(100));
    return *rig;
  }
  ClusterRig* operator->() { return rig.get(); }

  ClusterText text;
  std::unique_ptr<ClusterConfig> config;
  std::unique_ptr<ClusterRig> rig;
};

}  // namespace vigil::testing
