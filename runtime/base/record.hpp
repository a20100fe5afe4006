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

// A rotation of the cluster key, as far as the cluster has decided it: each phase ends when every member has
// done its part, and the record says who has (core/key_rotation.hpp).
enum class KeyPhase : std::uint8_t {
  settled,    // one key
  spreading,  // the next key is fetched, stored and accepted; nobody sends under it
  switching,  // all hold it: it is sent under; the old one is still accepted
};

struct KeyState {
  KeyPhase phase = KeyPhase::settled;
  std::uint8_t active = 0;  // id of the key to send under while settled or spreading; 0: never rotated
  std::uint8_t next = 0;    // spreading and switching: id of the key to come
  std::uint64_t print = 0;  // its fingerprint
  NodeSet done;             // spreading: who has stored it; switching: who sends under it
  bool operator==(const KeyState&) const = default;
};

struct ClusterState {
  std::uint64_t config_hash = 0;
  std::uint32_t config_version = 0;
  NodeSet standby;                  // operator: run nothing there
  NodeSet leaving;                  // being stopped with takeover
  NodeSet unfenced;                 // expelled in some incarnation, never seen clean since
  KeyState keys;
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
