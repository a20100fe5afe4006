// The wires between the nodes: who hears whom on which link, and what becomes of a frame under the
// faults now in force. Knows nothing of what the frames say.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "runtime/base/random.hpp"
#include "tests/sim/machine.hpp"
#include "tests/sim/scenario.hpp"

namespace vigil::sim {

struct NetworkFault {
  std::uint32_t serial = 0;
  Fault kind = Fault::cut_path;
  NodeSet from;  // frames from these …
  NodeSet to;    // … to those
  bool both_ways = false;
  std::uint8_t links = 0xff;                      // bit i: the sender's link i
  std::uint8_t adapters = 0;                      // Fault::adapter: bit i of each node in `from` is dead
  bool with_carrier = false;                      // … though its carrier is there
  PathQuality weather;                            // Fault::weather, corruption: added to the path's own
  std::uint16_t max_bytes = limits::frame_bytes;  // Fault::narrow: longer frames are lost
  SimTime period = 0;                             // Fault::flap: between two changes
  bool dormant = false;                           // Fault::flap: healed for now
};

// Copies of one frame that will arrive, each after its delay.
struct Arrivals {
  std::array<SimTime, 2> delay{};
  std::array<bool, 2> damaged{};  // bits flip on the way
  std::size_t count = 0;
};

class Network {
 public:
  // The peers that hear a link, each with the link it hears it on.
  struct Ear {
    NodeId node = no_node;
    LinkIndex link = 0;
  };
  using Ears = BoundedVector<Ear, max_sim_nodes * 2>;

  void reset(const Scenario& scenario, Soundness& soundness);

  const Ears& ears(NodeId node, LinkIndex link) const { return ears_[node][link]; }
  bool is_serial(NodeId node, LinkIndex link) const { return serial_[node][link]; }
  bool has_carrier(NodeId node, AdapterIndex adapter) const { return ((no_carrier_[node] >> adapter) & 1) == 0; }
  bool link_usable(NodeId node, LinkIndex link) const { return ((dead_[node] >> adapter_of_[node][link]) & 1) == 0; }

  // What becomes of one frame that leaves now by `link` towards `ear`. A message is as long as its longest frame.
  Arrivals send(Random& random, NodeId node, LinkIndex link, Ear ear, std::size_t bytes) const;
  // Some path loses frames for their length: only then is it worth knowing.
  bool lengths_matter() const { return lengths_matter_; }

  // Faults in force; their serial numbers name them to the agenda. Soundness of pairs follows.
  std::uint32_t begin(SimTime now, NetworkFault fault);
  void end(SimTime now, std::uint32_t serial);
  // Turns a flapping cut over. False when the fault is gone.
  bool flap(SimTime now, std::uint32_t serial, SimTime& period);
  void heal_all(SimTime now);

 private:
  struct Path {
    PathQuality quality;
    std::uint16_t max_bytes = limits::frame_bytes;
    bool cut = false;
  };

  void apply(SimTime now);
  void apply_one(const NetworkFault& fault);
  void judge(SimTime now);
  bool sound(NodeId a, NodeId b) const;
  bool sound_one_way(NodeId a, NodeId b) const;

  const Scenario* scenario_ = nullptr;
  Soundness* soundness_ = nullptr;
  std::array<std::array<Ears, limits::max_links>, max_sim_nodes> ears_{};
  std::array<std::array<bool, limits::max_links>, max_sim_nodes> serial_{};
  std::array<std::array<AdapterIndex, limits::max_links>, max_sim_nodes> adapter_of_{};
  std::array<std::size_t, max_sim_nodes> link_count_{};
  std::array<std::array<std::array<Path, max_sim_nodes>, limits::max_links>, max_sim_nodes> paths_{};
  std::array<std::uint8_t, max_sim_nodes> dead_{};        // bit i: nothing passes adapter i
  std::array<std::uint8_t, max_sim_nodes> no_carrier_{};  // … and its kernel says so
  bool lengths_matter_ = false;
  std::vector<NetworkFault> faults_;
  std::uint32_t next_serial_ = 1;
};

}  // namespace vigil::sim
