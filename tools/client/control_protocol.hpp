// What the command line and vigild say to each other on the control socket, typed, and its bytes.
//
// The socket is unix SOCK_SEQPACKET: one record a packet, at most packet_bytes, so that the
// real-time thread answers from one fixed buffer, a packet at a time, and holds nothing else for a
// client. A packet is a version byte, a kind byte, and the record's fields (packet.hpp). A client
// sends one request at a time; the answer is a sequence of records that ends with End or Refused.
// Only Follow's goes on until one side closes.
//
// Names travel with everything, so that the client needs no configuration file. Numbers of nodes
// are ids as in ids.hpp (the file's `id` minus one); the Node records of the same answer name them.
//
// Encoding and decoding allocate nothing and throw nothing. Every field from outside is checked
// (range, length, no control characters, nothing left over); decode(encode(x)) == x, and encoding
// what was decoded gives the same bytes again.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <variant>

#include "runtime/base/cluster.hpp"
#include "runtime/base/journal.hpp"
#include "runtime/base/message.hpp"
#include "runtime/base/record.hpp"
#include "runtime/core/status.hpp"

namespace vigil::control {

inline constexpr std::string_view default_socket_path = "/run/vigil/control.sock";
inline constexpr std::string_view release = "0.1.0";
inline constexpr std::uint8_t protocol_version = 1;
inline constexpr std::size_t packet_bytes = 4096;

// ---- Requests ------------------------------------------------------------------------------------

namespace request {

struct GetStatus {
  bool operator==(const GetStatus&) const = default;
};

// The journal as this node has it, the other nodes' shared entries included, oldest first.
struct GetJournal {
  Name group;                      // only entries about this group or about no group; empty: all
  std::int64_t since_wall_ns = 0;  // CLOCK_REALTIME
  std::uint32_t limit = 0;         // the newest so many; 0: all that are kept
  bool operator==(const GetJournal&) const = default;
};

// The newest `history` entries, then every new one as it happens, without an End.
struct Follow {
  Name group;  // as in GetJournal
  std::uint32_t history = 0;
  bool operator==(const Follow&) const = default;
};

// An operator's word. The daemon resolves the names (resolve.hpp) and forwards the command to the
// coordinator; answered by Answer once the coordinator accepted or refused it.
struct Operate {
  OperatorVerb verb = OperatorVerb::move_group;
  Name group;  // group_* and move_group
  Name node;   // node_*, confirm_down and move_group
  NodeSet vouched = {};  // quorum_override: whom the operator was told of
  bool operator==(const Operate&) const = default;
};

// The entries about membership, merged from this node and all that it can reach, in no particular order;
// then what is known of each configured node, as Told.
struct GetViews {
  bool operator==(const GetViews&) const = default;
};

struct GetNames {
  bool operator==(const GetNames&) const = default;
};

struct GetVersion {
  bool operator==(const GetVersion&) const = default;
};

// A new cluster key, made by vigild or given here; answered by Answer once the cluster has begun with it.
struct RotateKey {
  bool given = false;
  std::array<std::uint8_t, 32> key{};  // zeros unless given; whoever holds this record wipes it
  bool operator==(const RotateKey&) const = default;
};

}  // namespace request

using Request = std::variant<request::GetStatus, request::GetJournal, request::Follow, request::Operate,
                             request::GetNames, request::GetVersion, request::RotateKey,
                             request::GetViews>;

// ---- Replies -------------------------------------------------------------------------------------

namespace reply {

// Status, first record: the cluster and this node in it.
struct Cluster {
  Name name;
  std::uint64_t config_hash = 0;
  std::uint32_t config_version = 0;
  Profile profile = Profile::lan;
  Duration interval;  // the profile's I, D and L
  Duration detection;
  Duration lease;
  BoundedVector<Name, limits::max_networks> networks;  // by NetworkIndex: names the bits of networks_up

  NodeId self = no_node;
  NodeRole role = NodeRole::waiting;
  BoundedString<127> role_text;
  Incarnation incarnation;
  bool quorate = false;

  Epoch epoch;                       // of the view in force
  std::uint32_t record_version = 0;  // of the newest committed record in that epoch
  NodeId coordinator = no_node;
  NodeSet members;
  NodeSet voters;
  std::uint16_t votes_needed = 0;
  bool changing = false;  // the record that replaces the view before is not settled yet

  Duration lease_left;  // zero: no lease
  std::uint64_t lease_gaps = 0;
  std::uint64_t late_count = 0;
  Duration worst_lateness;
  bool operator==(const Cluster&) const = default;
};

// One of my links hearing one of the peer's.
struct Link {
  LinkIndex by = 0;    // mine
  LinkIndex link = 0;  // the peer's
  LinkKind kind = LinkKind::ethernet;
  LinkState state = LinkState::unknown;
  Path device;  // mine
  Name network;
  Duration last_heard_ago;
  std::uint64_t received = 0;
  std::uint64_t lost = 0;
  std::uint64_t duplicated = 0;
  std::uint64_t reordered = 0;
  std::uint32_t jitter_us = 0;
  std::uint32_t round_trip_us = 0;
  std::uint32_t flaps = 0;
  bool operator==(const Link&) const = default;
};

struct Node {
  NodeId id = no_node;
  Name name;
  bool self = false;
  bool member = false;
  bool ready = false;
  bool standby = false;
  bool leaving = false;
  bool unfenced = false;
  bool heard = false;  // within the detection time, by this node; true for self
  bool suspected = false;
  bool config_matches = true;
  Incarnation incarnation;
  std::uint8_t networks_up = 0;  // bit i: it can serve on network i
  std::uint16_t lateness_ms = 0;
  BoundedVector<Link, limits::max_links * 2> links;  // empty for self
  bool operator==(const Node&) const = default;
};

// One adapter of this node.
struct Adapter {
  AdapterIndex index = 0;
  AdapterRole role = AdapterRole::service;
  Name network;
  Path device;
  IpAddress address;  // its boot address
  bool usable = false;
  bool healthy = false;
  bool operator==(const Adapter&) const = default;
};

struct GroupAddress {
  IpAddress address;
  Name network;
  Path device;  // the adapter of this node that has it now; empty: not on this node
  bool operator==(const GroupAddress&) const = default;
};

struct Group {
  GroupIndex index = 0;
  Name name;
  GroupPolicy policy = GroupPolicy::cascading;
  bool fallback = false;
  std::uint8_t priority = 0;
  BoundedVector<NodeId, limits::max_nodes> nodes;  // who may run it, best first
  GroupState state;
  BoundedString<63> step_text;  // what this node is doing for it; empty: nothing
  BoundedVector<GroupAddress, limits::max_group_addresses> addresses;
  bool has_application = false;
  Name application;
  bool operator==(const Group&) const = default;
};

// What a link in a journal entry is.
struct LinkName {
  LinkKind kind = LinkKind::ethernet;
  Path device;
  Name network;
  bool operator==(const LinkName&) const = default;
};

// One journal entry with the names of what it mentions; a name is empty where the entry has none.
struct Journal {
  JournalEntry entry;
  Name node;
  Name subject;
  Name group;
  Name network;
  Path device;
  BoundedVector<LinkName, limits::max_links> links;  // of entry.view.links, in their order
};

// Whether a node could be asked for its entries, and what is known of it without.
struct Told {
  Name node;
  bool reached = false;            // true for the node that answers
  std::uint32_t entries = 0;       // that it wrote, of those told
  std::int64_t newest_wall_ns = 0; // of these; 0: none
  bool operator==(const Told&) const = default;
};

enum class NameOf : std::uint8_t { cluster, node, group, network };
struct NameItem {
  NameOf what = NameOf::cluster;
  Name name;
  bool operator==(const NameItem&) const = default;
};

struct Version {
  BoundedString<31> release;       // of the running vigild
  std::uint16_t wire_version = 0;  // of its frames between nodes
  bool operator==(const Version&) const = default;
};

struct Answer {
  bool accepted = false;
  BoundedString<127> text;  // why not, or what will happen
  bool operator==(const Answer&) const = default;
};

enum class Refusal : std::uint8_t {
  malformed,      // not a request of this protocol
  version,        // of another version of this protocol
  not_permitted,  // control_peer.hpp
  unknown_name,
  busy,       // too many clients, or a follower that reads too slowly
  not_ready,  // no coordinator to ask
};
struct Refused {
  Refusal why = Refusal::malformed;
  BoundedString<191> text;
  bool operator==(const Refused&) const = default;
};

struct End {
  bool operator==(const End&) const = default;
};

// One line about something that is wrong, with the way out, as this vigild words it.
struct Problem {
  BoundedString<255> text;
  bool operator==(const Problem&) const = default;
};

// How the cluster key stands: ids, never bytes.
struct Keys {
  KeyState state;
  bool operator==(const Keys&) const = default;
};

// By which rule votes are counted, whose word stands in for votes, and what the configuration says.
struct Quorum {
  QuorumPolicy policy = QuorumPolicy::majority;
  bool wait_for_all = false;
  Path tie_breaker;  // empty: none
  NodeSet arbiters;
  QuorumStatus counted;
  bool operator==(const Quorum&) const = default;
};

}  // namespace reply

using Reply = std::variant<reply::Cluster, reply::Node, reply::Adapter, reply::Group, reply::Journal, reply::NameItem,
                           reply::Version, reply::Answer, reply::Refused, reply::End, reply::Problem, reply::Keys,
                           reply::Told, reply::Quorum>;

// ---- Bytes ---------------------------------------------------------------------------------------

// Why bytes are not a packet.
enum class Fault : std::uint8_t { none, too_short, other_version, unknown_kind, bad_value, left_over };
std::string_view to_string(Fault fault);

// Write one packet into `buffer` (at least packet_bytes long); return its length.
std::size_t encode(const Request& request, std::span<std::byte> buffer);
std::size_t encode(const Reply& reply, std::span<std::byte> buffer);

// Read one packet. On any fault but `none` the output is not to be used.
[[nodiscard]] Fault decode(std::span<const std::byte> packet, Request& request);
[[nodiscard]] Fault decode(std::span<const std::byte> packet, Reply& reply);

}  // namespace vigil::control
