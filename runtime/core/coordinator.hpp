// The coordinator's desk: the next cluster state in the making. Reports and operator's words are taken
// into a draft, placement completes it, and whoever sent them hears back once the draft is committed.
// It exists only while this node leads an epoch; whatever was not committed is forgotten with it, and
// its senders repeat themselves to the next coordinator.
#pragma once

#include "runtime/base/cluster.hpp"
#include "runtime/core/effect.hpp"
#include "runtime/core/facts.hpp"
#include "runtime/core/placement.hpp"

namespace vigil {

class Coordinator {
 public:
  explicit Coordinator(const ClusterConfig& config) : config_(config) {}

  // A record of ours was committed: drafts start from it.
  void on_committed(const Record& record, Effects& effects);
  // What our view took to agree on: a takeover may be reported before a record carries it.
  void set_agreement(std::uint32_t agree_us) { agree_us_ = agree_us; }
  // We lead no more.
  void resign();

  void on_report(NodeId from, const Report& report, const NodeFacts& facts, Effects& effects);
  void on_key_report(NodeId from, const KeyReport& report);
  void on_operator(NodeId from, const OperatorRequest& request, const NodeFacts& facts, Effects& effects);

  // The state to propose next, if it differs from the committed one. Takes what has been drafted so far
  // as being under way; later changes wait for the next round.
  bool next_state(const NodeFacts& facts, ClusterState& state);

 private:
  struct OwedAck {
    NodeId to = no_node;
    std::uint32_t serial = 0;
    bool proposed = false;
  };
  struct OwedReply {
    NodeId to = no_node;
    OperatorReply reply;
    bool proposed = false;
  };

  const ClusterConfig& config_;
  bool leading_ = false;
  std::uint32_t agree_us_ = 0;
  Record committed_;
  ClusterState draft_;
  BoundedVector<OwedAck, 128> acks_;
  BoundedVector<OwedReply, 16> replies_;
};

}  // namespace vigil
