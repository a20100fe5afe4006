// Repeats one group's reports until the record shows that they were heard. A state report (acquired,
// released, …) is wanted anew at every step for as long as the record does not show it: an
// acknowledgement only slows its repetition down, so that nothing is lost with a coordinator that
// acknowledged and then died. A notice (restarted) is repeated until it is acknowledged, no longer.
#pragma once

#include <optional>

#include "runtime/base/cluster.hpp"
#include "runtime/base/message.hpp"
#include "runtime/core/effect.hpp"
#include "runtime/core/holder_context.hpp"

namespace vigil {

class ReportOutbox {
 public:
  ReportOutbox(const ClusterConfig& config, GroupIndex group) : config_(&config), group_(group) {}

  // Sends what is due. `wanted`: the state report that the record still lacks, if any.
  // `also_to`: beside the coordinator (the new owner, for a release); no_node: nobody.
  void advance(const HolderContext& context, std::optional<ReportKind> wanted, const Budget& budget, NodeId also_to,
               Effects& effects);
  // A notice for the coordinator; replaces an unacknowledged one.
  void notice(const HolderContext& context, ReportKind kind);
  void on_ack(std::uint32_t serial);
  Instant next_deadline() const;

 private:
  struct Outgoing {
    bool active = false;
    bool acknowledged = false;
    Report report;
    Epoch epoch;       // sent in; another epoch has another coordinator: at once again
    Instant sent;
    Instant next;
    Duration pause;
  };
  void send_if_due(const HolderContext& context, Outgoing& outgoing, NodeId also_to, Effects& effects) const;
  Outgoing make(const HolderContext& context, ReportKind kind) const;
  Duration slowest() const { return config_->timing.retry() * 10; }

  const ClusterConfig* config_;
  GroupIndex group_;
  Outgoing state_;
  Outgoing notice_;
};

}  // namespace vigil
