// What a run leaves out of its seed's scenario, so that a violation shows in a smaller world. Said in one word
// that a replay command can carry: "nodes=3,plain,calm,groups=0,faults=4+17,salt=2".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/sim/scenario.hpp"

namespace vigil::sim {

struct Cuts {
  using Numbers = std::vector<std::uint32_t>;

  std::size_t nodes = 0;          // 0: the seed chooses
  bool plain = false;             // one network, one adapter a node
  bool calm = false;              // nothing lost, doubled or overtaken without a fault; clocks in step
  bool brief = false;             // the faults end soon after the last one has struck
  std::optional<Numbers> groups;  // only these are kept
  std::optional<Numbers> faults;  // only these strike
  std::uint64_t salt = 0;         // another throw of the world's dice

  bool operator==(const Cuts&) const = default;
};

std::string to_text(const Cuts& cuts);
// Nullopt: not a word that to_text() could have said.
std::optional<Cuts> parse_cuts(std::string_view text);

// The seed's scenario without what is cut.
void make_scenario(std::uint64_t seed, const Cuts& cuts, Scenario& scenario);

// A few lines for people: the nodes, the groups, the faults that strike.
std::string describe(const Scenario& scenario);

}  // namespace vigil::sim
