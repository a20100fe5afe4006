// Wires, and what befalls them.
#include "tests/sim/network.hpp"

#include <algorithm>

namespace vigil::sim {

namespace {

// True when a frame of `own` reaches `other`'s link: same network, same driver, and on a serial line
// the node at its other end.
bool hears(const NodeConfig& own_node, const LinkConfig& own, const NodeConfig& other_node, const LinkConfig& other) {
  const AdapterConfig& mine = own_node.adapters[own.adapter];
  const AdapterConfig& theirs = other_node.adapters[other.adapter];
  if (own.kind != other.kind || mine.network != theirs.network) return false;
  return own.kind != LinkKind::serial || mine.peer == other_node.id;
}

}  // namespace

void Network::reset(const Scenario& scenario, Soundness& soundness) {
  scenario_ = &scenario;
  soundness_ = &soundness;
  faults_.clear();
  next_serial_ = 1;
  for (std::size_t a = 0; a < scenario.nodes; ++a) {
    const NodeConfig& own = scenario.config.nodes[a];
    link_count_[a] = own.links.size();
    for (std::size_t l = 0; l < own.links.size(); ++l) {
      serial_[a][l] = own.links[l].kind == LinkKind::serial;
      adapter_of_[a][l] = own.links[l].adapter;
      Ears& ears = ears_[a][l];
      ears.clear();
      for (std::size_t b = 0; b < scenario.nodes; ++b) {
        const NodeConfig& other = scenario.config.nodes[b];
        for (std::size_t m = 0; a != b && m < other.links.size(); ++m)
          if (hears(own, own.links[l], other, other.links[m]))
            ears.push({static_cast<NodeId>(b), static_cast<LinkIndex>(m)});
      }
    }
  }
  for (auto& row : soundness.pair) row.fill(0);
  apply(0);
}

Arrivals Network::send(Random& random, NodeId node, LinkIndex link, Ear ear, std::size_t bytes) const {
  Arrivals arrivals;
  const Path& path = paths_[node][link][ear.node];
  if (path.cut || bytes > path.max_bytes || !link_usable(node, link)) return arrivals;
  const PathQuality& quality = path.quality;
  if (quality.loss_percent > 0 && random.chance(quality.loss_percent)) return arrivals;
  const auto one = [&] {
    return quality.delay_ns + static_cast<SimTime>(random.below(static_cast<std::uint64_t>(quality.jitter_ns) + 1));
  };
  arrivals.delay[arrivals.count++] = one();
  if (quality.duplicate_percent > 0 && random.chance(quality.duplicate_percent))
    arrivals.delay[arrivals.count++] = one();
  if (quality.corrupt_percent > 0)
    for (std::size_t i = 0; i < arrivals.count; ++i) arrivals.damaged[i] = random.chance(quality.corrupt_percent);
  return arrivals;
}

std::uint32_t Network::begin(SimTime now, NetworkFault fault) {
  fault.serial = next_serial_++;
  faults_.push_back(fault);
  apply(now);
  return fault.serial;
}

void Network::end(SimTime now, std::uint32_t serial) {
  std::erase_if(faults_, [serial](const NetworkFault& fault) { return fault.serial == serial; });
  apply(now);
}

bool Network::flap(SimTime now, std::uint32_t serial, SimTime& period) {
  for (NetworkFault& fault : faults_) {
    if (fault.serial != serial) continue;
    fault.dormant = !fault.dormant;
    period = fault.period;
    apply(now);
    return true;
  }
  return false;
}

void Network::heal_all(SimTime now) {
  faults_.clear();
  apply(now);
}

// Draws every path anew from the faults in force. Rare, and so simple that no heal can go astray.
void Network::apply(SimTime now) {
  dead_.fill(0);
  no_carrier_.fill(0);
  lengths_matter_ = false;
  for (std::size_t a = 0; a < scenario_->nodes; ++a)
    for (std::size_t l = 0; l < link_count_[a]; ++l)
      for (std::size_t b = 0; b < scenario_->nodes; ++b)
        paths_[a][l][b] = {serial_[a][l] ? scenario_->serial : scenario_->ethernet, limits::frame_bytes, false};
  for (const NetworkFault& fault : faults_)
    if (!fault.dormant) apply_one(fault);
  judge(now);
}

void Network::apply_one(const NetworkFault& fault) {
  if (fault.kind == Fault::adapter) {
    for (const NodeId node : fault.from) {
      dead_[node] |= fault.adapters;
      if (!fault.with_carrier) no_carrier_[node] |= fault.adapters;
    }
    return;
  }
  for (std::size_t a = 0; a < scenario_->nodes; ++a)
    for (std::size_t b = 0; b < scenario_->nodes; ++b) {
      const auto from = static_cast<NodeId>(a);
      const auto to = static_cast<NodeId>(b);
      const bool forward = fault.from.has(from) && fault.to.has(to);
      const bool backward = fault.both_ways && fault.from.has(to) && fault.to.has(from);
      if (a == b || (!forward && !backward)) continue;
      for (std::size_t l = 0; l < link_count_[a]; ++l) {
        if (((fault.links >> l) & 1) == 0) continue;
        Path& path = paths_[a][l][b];
        if (fault.kind == Fault::narrow) {
          path.max_bytes = std::min(path.max_bytes, fault.max_bytes);
          lengths_matter_ = true;
          continue;
        }
        if (fault.kind != Fault::weather && fault.kind != Fault::corruption) {
          path.cut = true;
          continue;
        }
        path.quality.delay_ns += fault.weather.delay_ns;
        path.quality.jitter_ns += fault.weather.jitter_ns;
        path.quality.loss_percent = std::min(100.0, path.quality.loss_percent + fault.weather.loss_percent);
        path.quality.duplicate_percent =
            std::min(100.0, path.quality.duplicate_percent + fault.weather.duplicate_percent);
        path.quality.corrupt_percent = std::min(100.0, path.quality.corrupt_percent + fault.weather.corrupt_percent);
      }
    }
}

bool Network::sound_one_way(NodeId a, NodeId b) const {
  for (std::size_t l = 0; l < link_count_[a]; ++l) {
    if (serial_[a][l] || !link_usable(a, static_cast<LinkIndex>(l))) continue;
    const Path& path = paths_[a][l][b];
    const PathQuality& quality = path.quality;
    if (path.cut || path.max_bytes < limits::frame_bytes || quality.corrupt_percent > 0) continue;
    if (quality.loss_percent > 0 || quality.delay_ns + quality.jitter_ns > scenario_->interval_ns() / 4) continue;
    for (const Ear ear : ears_[a][l])
      if (ear.node == b && link_usable(b, ear.link)) return true;
  }
  return false;
}

// One link without blemish each way is enough: nobody may call a node silent that it hears there.
bool Network::sound(NodeId a, NodeId b) const { return sound_one_way(a, b) && sound_one_way(b, a); }

void Network::judge(SimTime now) {
  for (std::size_t a = 0; a < scenario_->nodes; ++a)
    for (std::size_t b = 0; b < scenario_->nodes; ++b) {
      SimTime& since = soundness_->pair[a][b];
      const bool now_sound = a == b || sound(static_cast<NodeId>(a), static_cast<NodeId>(b));
      if (!now_sound) since = sim_never;
      if (now_sound && since == sim_never) since = now;
    }
}

}  // namespace vigil::sim
