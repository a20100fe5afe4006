// The replicated cluster state, and the record in which it is agreed together with its view.
//
// One record holds everything: the next value is always derived from the last by the coordinator of
// an epoch, and accepted by a quorum before anybody acts on it. Stamps order records totally.
#pragma once

#include <array>
#include <compare>
#include <cstdint>

#include "runtime/base/cluster.hpp"
#include "runtime/base/event_name.hpp"
#include "runtime/base/view.hpp"

namespace vigil {

enum class GroupPhase : std::uint8_t {
  offline,    // no owner; stays so until placement gives it one
  acquiring,  // owner assigned; it serves once every node in `unproven` is proven stopped
  online,     // the owner reported all parts up
  blocked,    // owner assigned, but a proof is missing that only a fence or the operator can give
  error,      // no node is left that it did not fail on
};

enum class GroupReason : std::uint8_t {
  none,
  first_start,
  node_failed,        // its owner was expelled
  node_left,          // its owner left in good order
  network_failed,     // its owner lost every network that it needs
  application_failed, // restarts used up
  start_failed,
  stop_failed,        // the old owner could not stop it: it must be fenced or confirmed
  operator_move,
  operator_offline,
  node_standby,
  fallback,           // a better node is back
  unfenced,           // blocked: application state = elsewhere (or disks) and its old node is not fenced
  no_candidate,       // nobody in the view may run it
  address_conflict,   // somebody else answers for its address
};

// How long each part of a takeover took, microseconds, as `vigil why` shows it.
struct Budget {
  std::uint32_t detect_us = 0;       // last sign of life to suspicion
  std::uint32_t agree_us = 0;        // suspicion to the view committed
  std::uint32_t fence_us = 0;        // committed to every proof held (the lease's end, a release, a fence)
  std::uint32_t storage_us = 0;
  std::uint32_t address_us = 0;      // gates, addresses, announcements
  std::uint32_t application_us = 0;  // start command
  bool operator==(const Budget&) const = default;
};

struct GroupState {
  GroupPhase phase = GroupPhase::offline;
  GroupReason reason = GroupReason::none;
  NodeId owner = no_node;
  NodeId previous = no_node;        // who had it before, for people
  std::uint32_t generation = 0;     // grows with every change of owner; stamps reports and proofs
  NodeSet unproven;                 // nodes that may still serve it: proof needed of each
  NodeSet failed_on;                // nodes where it failed since the operator last cleared them
  NodeId pinned = no_node;          // operator's move: stays there while that node can run it
  bool wanted = true;               // false: the operator took it offline
  std::uint8_t restarts = 0;        // local restarts of the application on this owner, for people
  Budget last;                      // of the last completed takeover
  std::int64_t last_wall_ns = 0;    // its completion, CLOCK_REALTIME of the owner
  bool operator==(const GroupState&) const = default;
};

struct ClusterState {
  std::uint64_t config_hash = 0;
  std::uint32_t config_version = 0;
  NodeSet standby;                  // operator: run nothing there
  NodeSet leaving;                  // being stopped with takeover
  NodeSet unfenced;                 // expelled in some incarnation, never seen clean since
  std::uint8_t group_count = 0;
  std::array<GroupState, limits::max_groups> groups{};
  bool operator==(const ClusterState&) const = default;
};

struct Stamp {
  Epoch epoch;
  std::uint32_t version = 0;  // counts records within one epoch, from 1
  constexpr auto operator<=>(const Stamp&) const = default;
};

struct Record {
  Stamp stamp;
  View view;                 // in force once committed
  View previous;             // the view being replaced while this one is not yet known committed;
                             // exists() == false: the record needs `view`'s quorum alone
  NodeSet expelled;          // by the change from previous to view
  std::uint32_t detect_us = 0;  // evidence of the change: silence of the worst suspect when accused
  std::uint32_t agree_us = 0;   // suspicion to commit, known from the second record of an epoch on
  ClusterState state;

  bool joint() const { return previous.exists(); }
  bool operator==(const Record&) const = default;
};

}  // namespace vigil
