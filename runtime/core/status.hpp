// A readable picture of one node's core, for the status command, metrics and checkers.
#pragma once

#include <array>
#include <cstdint>

#include "runtime/base/cluster.hpp"
#include "runtime/base/record.hpp"
#include "runtime/base/time.hpp"

namespace vigil {

enum class NodeRole : std::uint8_t {
  waiting,     // restarted: the longest lease plus drift is not over yet, or not clean yet
  joining,     // ready; waits for a view to admit it, or for enough nodes for a cold start
  member,      // in a view with a quorum heard
  no_quorum,   // in a view, but its lease ran out
};

// What each machine of a core is at, in one small picture that costs little to take after every step.
enum class VoterPhase : std::uint8_t { unclean, waiting, no_storage, ready, holds_vote };
enum class CandidacyPhase : std::uint8_t { idle, leads, prepares, proposes_view, proposes_state };
enum class MembershipPhase : std::uint8_t { outside, member, said_goodbye, over };
enum class LeasePhase : std::uint8_t { never_had, runs, gap, lost };
enum class PeerPhase : std::uint8_t { unknown, both_ways, one_way_in, silent };

struct NodePhases {
  VoterPhase voter = VoterPhase::unclean;
  CandidacyPhase candidacy = CandidacyPhase::idle;
  MembershipPhase membership = MembershipPhase::outside;
  LeasePhase lease = LeasePhase::never_had;
  std::array<PeerPhase, limits::max_nodes> peer{};
  std::array<std::uint8_t, limits::max_groups> holder{};  // GroupHolder's step, as in LocalGroupStatus
};

enum class LinkState : std::uint8_t { unknown, up, one_way_in, one_way_out, down, flapping };

struct PeerLinkStatus {      // my link `by` hearing the peer's link `link`
  LinkIndex link = 0;
  LinkIndex by = 0;
  LinkState state = LinkState::unknown;
  Duration last_heard_ago;
  std::uint64_t received = 0;
  std::uint64_t lost = 0;
  std::uint64_t duplicated = 0;
  std::uint64_t reordered = 0;
  std::uint32_t jitter_us = 0;        // smoothed, RFC 3550 section 6.4.1
  std::uint32_t round_trip_us = 0;    // smoothed, RFC 6298 weights
  std::uint32_t flaps = 0;
};

struct PeerStatus {
  NodeId node = no_node;
  bool heard = false;
  bool suspected = false;
  bool ready = false;
  bool config_matches = true;
  Incarnation incarnation;
  std::uint8_t networks_up = 0;
  std::uint16_t lateness_ms = 0;
  BoundedVector<PeerLinkStatus, limits::max_links * 2> links;
};

struct AdapterStatus {
  bool usable = false;   // carrier and up
  bool healthy = false;  // heard on and heard by others, as far as can be told
};

struct LocalGroupStatus {
  std::uint8_t step = 0;         // GroupHolder's step, for people: its name
  BoundedString<63> step_text;
  std::array<AdapterIndex, limits::max_group_addresses> adapter_of{};  // where each address is, no_index: nowhere
};

// By which rule this node counts votes, and on whose word.
struct QuorumStatus {
  QuorumRule rule;        // of the view in force; before there is one: of the newest known, or the configuration's
  QuorumRule also;        // while the rule changes, the one before counts too
  QuorumRule configured;
  NodeSet members;        // of that view
  NodeSet vouched;        // down on the operator's word, until a view is agreed that counts on it
  bool start_needs_every_voter = false;  // when no view lives
  bool operator==(const QuorumStatus&) const = default;
};

struct NodeStatus {
  NodeId self = no_node;
  NodeRole role = NodeRole::waiting;
  BoundedString<127> role_text;  // one line: why it is not a member
  Incarnation incarnation;
  Record committed;
  bool quorate = false;
  QuorumStatus quorum;
  Duration lease_left;
  std::uint64_t lease_gaps = 0;     // spurious outages: lease ran out on a healthy member
  std::uint64_t late_count = 0;
  Duration worst_lateness;
  BoundedVector<PeerStatus, limits::max_nodes> peers;
  std::array<AdapterStatus, limits::max_adapters> adapters{};
  std::array<LocalGroupStatus, limits::max_groups> groups{};
  // What is wrong beyond all this, one line each with the way out; the core's own, then the shell's.
  BoundedVector<BoundedString<255>, 32> problems;
};

}  // namespace vigil
