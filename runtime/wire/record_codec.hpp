// Bytes of epochs, stamps, views, cluster state and records, shared by messages and the state file.
//
// put() never fails on values within limits (a writer that is too small shows in its ok()). get()
// fails its reader on anything that a core could trip over: a node, group or enumerator out of range,
// a count above capacity, a quorum rule that two disjoint sets could satisfy, a lease of absurd
// length. What a get() leaves in its target after a failure is not to be used.
//
// Left out on purpose: groups at and above group_count, the history of a group that has none, and in
// the view being replaced every incarnation that the new view has too.
#pragma once

#include "runtime/base/message.hpp"
#include "runtime/wire/bytes.hpp"

namespace vigil::wire {

// A lease, or what is left of one, above this is damage and no lease.
inline constexpr Duration lease_sane_max = Duration::from_s(3600);

// Most bytes that encode_record() writes, derived below its fields in record_codec.cpp.
inline constexpr std::size_t record_bytes_max = 5120;

inline constexpr std::size_t nack_reasons = static_cast<std::size_t>(NackReason::stale_base) + 1;

// 0 … max_nodes-1.
NodeId get_node(ByteReader& reader);
// The same, or no_node.
NodeId get_node_or_none(ByteReader& reader);
// 0 … bound-1, or no_index.
std::uint8_t get_index_or_none(ByteReader& reader, std::size_t bound);

void put(ByteWriter& writer, NodeSet nodes);
void put(ByteWriter& writer, const Incarnation& incarnation);
void put(ByteWriter& writer, const Epoch& epoch);
void put(ByteWriter& writer, const Stamp& stamp);
void put(ByteWriter& writer, const Budget& budget);
void put(ByteWriter& writer, const LeasesLeft& leases);

void get(ByteReader& reader, NodeSet& nodes);
void get(ByteReader& reader, Incarnation& incarnation);
void get(ByteReader& reader, Epoch& epoch);
void get(ByteReader& reader, Stamp& stamp);
void get(ByteReader& reader, Budget& budget);
void get(ByteReader& reader, LeasesLeft& leases);

// Incarnations of `members`, in their order.
using Incarnations = std::array<Incarnation, limits::max_nodes>;
void put_incarnations(ByteWriter& writer, NodeSet members, const Incarnations& incarnations);
void get_incarnations(ByteReader& reader, NodeSet members, Incarnations& incarnations);

void encode_record(ByteWriter& writer, const Record& record);
void decode_record(ByteReader& reader, Record& record);

}  // namespace vigil::wire
