// What nodes say to each other, typed. wire/ turns it into bytes and back; the cores see only this.
#pragma once

#include <array>
#include <cstdint>
#include <variant>

#include "runtime/base/ids.hpp"
#include "runtime/base/journal.hpp"
#include "runtime/base/record.hpp"
#include "runtime/base/time.hpp"

namespace vigil {

// ---- Heartbeats: one frame each, unreliable ------------------------------------------------------

// A voter's word that it recorded a lease: `holder`'s renewal that left at `sent_ns` on the holder's clock.
struct RenewalAck {
  NodeId holder = no_node;
  std::int64_t sent_ns = 0;  // a multiple of renewal_unit: rounded down, so that a lease only gets shorter by it
  bool operator==(const RenewalAck&) const = default;
};
inline constexpr Duration renewal_unit = Duration::from_ns(1 << 14);
inline constexpr std::size_t renewal_acks_max = 13;  // of one heartbeat
using RenewalAcks = BoundedVector<RenewalAck, renewal_acks_max>;

// How many of them fit beside the rest of a heartbeat, where `nodes` have up to `links` links each. wire/heartbeat.hpp
// has the layout that these numbers are of, and checks them.
inline constexpr std::size_t heartbeat_bytes = limits::frame_bytes - 44;  // behind header and tag
inline constexpr std::size_t heartbeat_fixed_bytes = 62;                  // all but what is counted below, at its longest
inline constexpr std::size_t renewal_ack_bytes = 7;
constexpr std::size_t heard_links_bytes(std::size_t nodes, std::size_t links) { return (nodes * links + 7) / 8; }
constexpr std::size_t renewal_acks_that_fit(std::size_t nodes, std::size_t links) {
  const std::size_t room = (heartbeat_bytes - heartbeat_fixed_bytes - heard_links_bytes(nodes, links)) / renewal_ack_bytes;
  return room < renewal_acks_max ? room : renewal_acks_max;
}
static_assert(renewal_acks_that_fit(limits::max_nodes, limits::max_links) >= 4, "everybody is answered in turns");

// Broadcast by every node on every link at that link's interval. It is also the lease renewal, and answers those of others.
struct Heartbeat {
  LinkIndex link = 0;              // the sender's link it leaves by
  std::uint32_t link_sequence = 0; // counts frames on that link: loss and reordering show
  std::int64_t sent_ns = 0;        // the sender's clock, read before the first transmission; renewal sequence
  Stamp committed;                 // newest record the sender knows committed
  bool quorate = false;            // its lease is running
  bool ready = false;              // probed, cleaned up, waited: may be admitted, may vote
  bool wants_lease = false;        // holds or awaits a service address: acknowledge me
  bool leaving = false;            // goodbye: all stopped, expel me without waiting
  bool late = false;               // was late within the last detection time: a poor accuser
  bool clean = false;              // nothing of an earlier life of this node is still served
  Incarnation incarnation;
  std::uint64_t config_hash = 0;
  NodeSet heard;                   // nodes heard from within the detection time, on any link
  std::uint8_t networks_up = 0;    // bit i: this node can serve on network i
  std::uint16_t lateness_ms = 0;   // worst recent wake-up lateness
  std::uint32_t lease_us = 0;      // the length asked for
  // For each node, bit i: I hear that node's link i. One-way links show here.
  std::array<std::uint8_t, limits::max_nodes> heard_links{};
  RenewalAcks acks;                // recorded in the epoch of `committed`, before this was sent
};

// Answer to one heartbeat, on the link it came by, now and then: for the link's round trip.
struct HeartbeatAck {
  LinkIndex link = 0;              // the link of the heartbeat's sender that it left by
  std::int64_t sent_ns = 0;        // echoed
  std::uint32_t held_us = 0;       // from its arrival to this answer
};

// ---- Messages: idempotent, repeated by the sender's core until answered -------------------------

// Still-running lease of a node that the sender acknowledged, measured when the message was made.
struct LeaseLeft {
  NodeId node = no_node;
  Duration left;  // on the sender's clock, drift already included
};
using LeasesLeft = BoundedVector<LeaseLeft, limits::max_nodes>;

struct Prepare {
  Epoch epoch;             // asked for
  Stamp base;              // newest record the candidate holds
  NodeSet members;         // proposed
  std::array<Incarnation, limits::max_nodes> incarnations{};
  NodeSet expel;           // members of the base view left out because they are silent
  NodeSet candidate_heard; // the candidate's own evidence
};

struct Promise {
  Epoch epoch;
  bool recovering = false;  // restarted, never accepted a record in this incarnation: counts at a cold start alone
  std::uint64_t forgotten = 0;  // of epochs up to this counter it may have accepted in earlier lives; 0: of none, as stored
  Record accepted;          // newest accepted (or stored) record, where it is newer than the candidate's; else none
  LeasesLeft leases;        // of every node that the proposal leaves out
};

enum class NackReason : std::uint8_t { epoch_too_low, still_hear_suspect, not_ready, not_in_proposal, stale_base };
struct Nack {
  Epoch epoch;        // refused
  Epoch promised;     // what binds the voter
  NackReason reason = NackReason::epoch_too_low;
  NodeSet suspects_heard;
};

struct Accept {
  Record record;
  LeasesLeft leases;  // of nodes left out, as far as the promises told; measured when sent
};

struct Accepted {
  Stamp stamp;
};

struct Commit {
  Stamp stamp;
  LeasesLeft leases;  // as in Accept
};

// A member lacks the record that others call committed.
struct Fetch {
  Stamp have;
};

struct CommittedRecord {
  Record record;
  LeasesLeft leases;
};

// What a node reports about a group to the coordinator (and a release to the new owner too).
enum class ReportKind : std::uint8_t {
  acquired,            // all parts up; budget filled
  released,            // gate closed, addresses gone, application stopped
  start_failed,
  stop_failed,
  application_failed,  // died too often
  network_lost,        // no adapter left for an address
  restarted,           // application restarted locally
  conflict,            // duplicate address
};

struct Report {
  GroupIndex group = no_index;
  std::uint32_t generation = 0;
  ReportKind kind = ReportKind::acquired;
  std::uint32_t serial = 0;   // per sender; the coordinator answers with it
  Budget budget;
  std::int64_t wall_ns = 0;
};

struct ReportAck {
  std::uint32_t serial = 0;
};

enum class OperatorVerb : std::uint8_t {
  move_group,     // group, node
  group_online,
  group_offline,
  group_clear,    // forget failures
  node_standby,
  node_online,
  node_stop,      // graceful, with takeover
  confirm_down,   // "I vouch that this node is down"
  quorum_override,  // "I vouch that every node that this one does not hear is down, and stays down until it hears this one"
};

struct OperatorCommand {
  OperatorVerb verb = OperatorVerb::move_group;
  GroupIndex group = no_index;
  NodeId node = no_node;
  // quorum_override: the nodes that the operator named. Nobody vouches for one that fell silent after that. It
  // is carried out where it is given, so this does not travel between nodes.
  NodeSet vouched = {};
};

struct OperatorRequest {
  std::uint64_t id = 0;
  OperatorCommand command;
};

struct OperatorReply {
  std::uint64_t id = 0;
  bool accepted = false;
  BoundedString<127> text;  // why not, or what will happen
};

// A new entry, to everybody at once; one that has to do with a view change goes as a JournalPage instead.
struct JournalShare {
  JournalEntry entry;
};

// A member's part in a rotation of the cluster key, told to the coordinator until the record shows it.
enum class KeyStep : std::uint8_t {
  begin,  // I have made key `id`, stored it, and ask for the rotation
  holds,  // I have stored it and accept frames under it
  sends,  // I send under it
  lacks,  // an earlier life of mine held it, and its file is gone
};
struct KeyReport {
  KeyStep step = KeyStep::begin;
  std::uint8_t id = 0;
  std::uint8_t sending = 0;  // the key that the sender sends under
  std::uint64_t print = 0;
};

// The key itself goes from member to member, sealed to a one-time public key of whoever asks: nobody who
// recorded the frames reads it, not even with the key that they were sent under.
struct KeyAsk {
  std::uint8_t id = 0;
  std::array<std::uint8_t, 32> public_key{};
};
struct KeyOffer {
  std::uint8_t id = 0;
  std::array<std::uint8_t, 80> sealed{};
};

// Asks for entries about membership that the receiver has, in the order in which they came to it: a JournalPage
// answers.
struct JournalAsk {
  std::uint64_t run = 0;       // of the receiver's vigild, as far as known: positions are of one run
  std::uint64_t position = 0;  // the first wanted
  NodeSet writers;             // of the entries wanted: the receiver, and whom the asker cannot ask
};

inline constexpr std::size_t journal_page_entries = 8;  // a page is one burst of the real-time loop
struct JournalPage {
  std::uint64_t run = 0;       // of the sender's vigild; 0: unasked, a new entry of the sender
  std::uint64_t position = 0;  // as asked; 0 where the question was for another run
  std::uint64_t next = 0;      // where the next page begins
  bool last = true;            // there are no more
  BoundedVector<JournalEntry, journal_page_entries> entries;
};

using Message = std::variant<Prepare, Promise, Nack, Accept, Accepted, Commit, Fetch, CommittedRecord, Report,
                             ReportAck, OperatorRequest, OperatorReply, JournalShare, KeyReport, KeyAsk, KeyOffer,
                             JournalAsk, JournalPage>;

}  // namespace vigil
