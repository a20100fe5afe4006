// Any bytes as cluster.toml: never a crash, and what is accepted keeps the promises of ClusterConfig.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "runtime/config/config.hpp"
#include "runtime/config/derive.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const vigil::LoadedConfig loaded = vigil::parse_config({reinterpret_cast<const char*>(data), size}, "cluster.toml");
  std::size_t errors = 0;
  for (const vigil::Diagnostic& diagnostic : loaded.diagnostics) {
    VIGIL_ASSERT(!diagnostic.message.empty());
    VIGIL_ASSERT(to_string(diagnostic).find('\n') == std::string::npos);
    errors += diagnostic.severity == vigil::Severity::error ? 1 : 0;
  }
  VIGIL_ASSERT(loaded.ok() == (errors == 0));
  if (!loaded.ok()) return 0;
  const vigil::ClusterConfig& config = *loaded.config;
  VIGIL_ASSERT(config.hash == vigil::hash_of(config));
  for (std::size_t i = 0; i < config.nodes.size(); ++i) {
    const vigil::NodeConfig& node = config.nodes[i];
    VIGIL_ASSERT(node.id == i);
    VIGIL_ASSERT(!node.links.empty());
    for (const vigil::AdapterConfig& adapter : node.adapters) VIGIL_ASSERT(adapter.network < config.networks.size());
    for (const vigil::LinkConfig& link : node.links) VIGIL_ASSERT(link.adapter < node.adapters.size());
  }
  for (const vigil::GroupConfig& group : config.groups) {
    VIGIL_ASSERT(!group.nodes.empty());
    for (const vigil::NodeId node : group.nodes) VIGIL_ASSERT(node < config.nodes.size());
    for (const vigil::AddressConfig& address : group.addresses) VIGIL_ASSERT(address.network < config.networks.size());
  }
  return 0;
}
