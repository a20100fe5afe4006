// Bytes of records and of what they are made of. The rules are in the header file.
#include "runtime/wire/record_codec.hpp"

namespace vigil::wire {

namespace {

// ---- Longest encodings, to size the state file's slots and to stay below limits::message_bytes ----

constexpr std::size_t set_bytes = varint_bytes_max;
constexpr std::size_t u32_bytes = 5;  // as a varint
constexpr std::size_t u16_bytes = 3;
constexpr std::size_t epoch_bytes = varint_bytes_max + 1;
constexpr std::size_t stamp_bytes = epoch_bytes + u32_bytes;
constexpr std::size_t budget_bytes = 6 * u32_bytes;
// Flags, kind, voters, votes needed, each voter's.
constexpr std::size_t rule_bytes = 2 + set_bytes + u16_bytes + limits::max_nodes;
// Presence, epoch, coordinator, members, which incarnations are spelt out, these, the rules.
constexpr std::size_t view_bytes = 1 + epoch_bytes + 1 + set_bytes + set_bytes + 16 * limits::max_nodes + 2 * rule_bytes;
// Phase, reason, flags, owner, previous, pinned, restarts, generation, two sets, history.
constexpr std::size_t group_bytes = 7 + u32_bytes + 2 * set_bytes + budget_bytes + 8;
constexpr std::size_t keys_bytes = 3 + 8 + set_bytes;
constexpr std::size_t state_bytes = 8 + u32_bytes + 3 * set_bytes + 1 + keys_bytes + limits::max_groups * group_bytes;
constexpr std::size_t record_bytes = stamp_bytes + 2 * view_bytes + set_bytes + 2 * u32_bytes + state_bytes;
static_assert(record_bytes <= record_bytes_max);

constexpr std::size_t leases_bytes = 1 + limits::max_nodes * (1 + varint_bytes_max);
// Kind, revision, epoch, flag, record, leases: the longest message there is (Promise).
static_assert(2 + epoch_bytes + 1 + record_bytes + leases_bytes <= limits::message_bytes);

constexpr std::size_t phase_count = static_cast<std::size_t>(GroupPhase::error) + 1;
constexpr std::size_t reason_count = static_cast<std::size_t>(GroupReason::address_conflict) + 1;

// Beside the number of groups: the key was rotated once, how that stands follows.
constexpr std::uint8_t flag_keys = 0x80;
static_assert(limits::max_groups < flag_keys);
constexpr std::size_t key_phases = static_cast<std::size_t>(KeyPhase::switching) + 1;

// A group's flags.
constexpr std::uint8_t flag_wanted = 1;
constexpr std::uint8_t flag_history = 2;  // budget and completion time follow
constexpr std::uint8_t flags_known = flag_wanted | flag_history;

// A rule's flags.
constexpr std::uint8_t rule_exists = 1;
constexpr std::uint8_t rule_tie_breaker = 2;
constexpr std::uint8_t rule_weighted = 4;
constexpr std::uint8_t rule_flags = rule_exists | rule_tie_breaker | rule_weighted;

// ---- Views -----------------------------------------------------------------------------------------

void put_rule(ByteWriter& writer, const QuorumRule& rule) {
  writer.put_u8(static_cast<std::uint8_t>((rule.exists() ? rule_exists : 0) | (rule.tie_breaker ? rule_tie_breaker : 0) |
                                          (rule.weighted ? rule_weighted : 0)));
  if (!rule.exists()) return;
  writer.put_u8(static_cast<std::uint8_t>(rule.kind));
  put(writer, rule.voters);
  writer.put_varint(rule.needed);
  if (!rule.weighted) return;
  for (NodeId node : rule.voters) writer.put_u8(rule.votes[node]);
}

// A majority that two disjoint sets of voters could reach would be no majority.
bool rule_is_sound(const QuorumRule& rule) {
  const int votes = rule.votes_of(rule.voters);
  return rule.needed > 0 && rule.needed <= votes && 2 * rule.needed > votes;
}

void get_rule(ByteReader& reader, QuorumRule& rule) {
  rule = QuorumRule{};
  const std::uint8_t flags = reader.get_u8_below(rule_flags + 1);
  if ((flags & rule_exists) == 0) {
    if (flags != 0) reader.fail();
    return;
  }
  rule.kind = static_cast<QuorumKind>(reader.get_u8_below(static_cast<std::size_t>(QuorumKind::overridden) + 1));
  rule.tie_breaker = (flags & rule_tie_breaker) != 0;
  rule.weighted = (flags & rule_weighted) != 0;
  get(reader, rule.voters);
  rule.needed = reader.get_varint_u16();
  if (rule.weighted)
    for (NodeId node : rule.voters) rule.votes[node] = reader.get_u8();
  if (!rule_is_sound(rule)) reader.fail();
}

// `like`: a view whose incarnations the reader already has; only those that differ are spelt out, also
// of nodes that were members once (View::incarnations).
void put_view(ByteWriter& writer, const View& view, const View& like) {
  const bool present = !(view == View{});
  writer.put_u8(present ? 1 : 0);
  if (!present) return;
  put(writer, view.epoch);
  writer.put_u8(view.coordinator);
  put(writer, view.members);
  NodeSet spelt;
  for (std::size_t node = 0; node < limits::max_nodes; ++node)
    if (!(view.incarnations[node] == like.incarnations[node])) spelt.add(static_cast<NodeId>(node));
  put(writer, spelt);
  put_incarnations(writer, spelt, view.incarnations);
  put_rule(writer, view.rule);
  put_rule(writer, view.also);
}

void get_view(ByteReader& reader, View& view, const View& like) {
  view = View{};
  if (reader.get_u8_below(2) == 0) return;
  get(reader, view.epoch);
  view.coordinator = get_node_or_none(reader);
  get(reader, view.members);
  NodeSet spelt;
  get(reader, spelt);
  view.incarnations = like.incarnations;
  get_incarnations(reader, spelt, view.incarnations);
  get_rule(reader, view.rule);
  get_rule(reader, view.also);
}

// ---- Cluster state -----------------------------------------------------------------------------------

void put_group(ByteWriter& writer, const GroupState& group) {
  const bool history = group.last_wall_ns != 0 || !(group.last == Budget{});
  writer.put_u8(static_cast<std::uint8_t>(group.phase));
  writer.put_u8(static_cast<std::uint8_t>(group.reason));
  writer.put_u8(static_cast<std::uint8_t>((group.wanted ? flag_wanted : 0) | (history ? flag_history : 0)));
  writer.put_u8(group.owner);
  writer.put_u8(group.previous);
  writer.put_u8(group.pinned);
  writer.put_u8(group.restarts);
  writer.put_varint(group.generation);
  put(writer, group.unproven);
  put(writer, group.failed_on);
  if (!history) return;
  put(writer, group.last);
  writer.put_i64(group.last_wall_ns);
}

void get_group(ByteReader& reader, GroupState& group) {
  group = GroupState{};
  group.phase = static_cast<GroupPhase>(reader.get_u8_below(phase_count));
  group.reason = static_cast<GroupReason>(reader.get_u8_below(reason_count));
  const std::uint8_t flags = reader.get_u8_below(flags_known + 1);
  group.wanted = (flags & flag_wanted) != 0;
  group.owner = get_node_or_none(reader);
  group.previous = get_node_or_none(reader);
  group.pinned = get_node_or_none(reader);
  group.restarts = reader.get_u8();
  group.generation = reader.get_varint_u32();
  get(reader, group.unproven);
  get(reader, group.failed_on);
  const bool owned = group.phase == GroupPhase::acquiring || group.phase == GroupPhase::online;
  if (owned && group.owner == no_node) reader.fail();
  if ((flags & flag_history) == 0) return;
  get(reader, group.last);
  group.last_wall_ns = reader.get_i64();
  if (group.last_wall_ns == 0 && group.last == Budget{}) reader.fail();
}

void put_keys(ByteWriter& writer, const KeyState& keys) {
  writer.put_u8(static_cast<std::uint8_t>(keys.phase));
  writer.put_u8(keys.active);
  writer.put_u8(keys.next);
  writer.put_u64(keys.print);
  put(writer, keys.done);
}

// A rotation has a key to come, and comes from another one; a settled state has neither.
void get_keys(ByteReader& reader, KeyState& keys) {
  keys.phase = static_cast<KeyPhase>(reader.get_u8_below(key_phases));
  keys.active = reader.get_u8();
  keys.next = reader.get_u8();
  keys.print = reader.get_u64();
  get(reader, keys.done);
  const bool settled = keys.phase == KeyPhase::settled;
  if (keys.active == 0 || settled != (keys.next == 0) || keys.next == keys.active) reader.fail();
  if (settled && (keys.print != 0 || !keys.done.empty())) reader.fail();
}

void put_state(ByteWriter& writer, const ClusterState& state) {
  VIGIL_ASSERT(state.group_count <= limits::max_groups);
  writer.put_u64(state.config_hash);
  writer.put_varint(state.config_version);
  put(writer, state.standby);
  put(writer, state.leaving);
  put(writer, state.unfenced);
  const bool has_keys = !(state.keys == KeyState{});
  writer.put_u8(static_cast<std::uint8_t>(state.group_count | (has_keys ? flag_keys : 0)));
  if (has_keys) put_keys(writer, state.keys);
  for (std::size_t i = 0; i < state.group_count; ++i) put_group(writer, state.groups[i]);
}

void get_state(ByteReader& reader, ClusterState& state) {
  state = ClusterState{};
  state.config_hash = reader.get_u64();
  state.config_version = reader.get_varint_u32();
  get(reader, state.standby);
  get(reader, state.leaving);
  get(reader, state.unfenced);
  const std::uint8_t count = reader.get_u8();
  if ((count & flag_keys) != 0) get_keys(reader, state.keys);
  state.group_count = count & static_cast<std::uint8_t>(~flag_keys);
  if (state.group_count > limits::max_groups) reader.fail();
  for (std::size_t i = 0; i < state.group_count && reader.ok(); ++i) get_group(reader, state.groups[i]);
}

}  // namespace

// ---- Small things ------------------------------------------------------------------------------------

NodeId get_node(ByteReader& reader) { return reader.get_u8_below(limits::max_nodes); }

std::uint8_t get_index_or_none(ByteReader& reader, std::size_t bound) {
  const std::uint8_t value = reader.get_u8();
  if (value >= bound && value != no_index) reader.fail();
  return reader.ok() ? value : no_index;
}

NodeId get_node_or_none(ByteReader& reader) {
  static_assert(no_node == no_index);
  return get_index_or_none(reader, limits::max_nodes);
}

void put(ByteWriter& writer, NodeSet nodes) { writer.put_varint(nodes.bits()); }
void get(ByteReader& reader, NodeSet& nodes) { nodes = NodeSet::from_bits(reader.get_varint()); }

void put(ByteWriter& writer, const Incarnation& incarnation) {
  writer.put_u64(incarnation.boot_id);
  writer.put_u64(incarnation.start_id);
}
void get(ByteReader& reader, Incarnation& incarnation) {
  incarnation.boot_id = reader.get_u64();
  incarnation.start_id = reader.get_u64();
}

void put(ByteWriter& writer, const Epoch& epoch) {
  writer.put_varint(epoch.counter);
  writer.put_u8(epoch.proposer);
}
void get(ByteReader& reader, Epoch& epoch) {
  epoch.counter = reader.get_varint();
  epoch.proposer = get_node_or_none(reader);
}

void put(ByteWriter& writer, const Stamp& stamp) {
  put(writer, stamp.epoch);
  writer.put_varint(stamp.version);
}
void get(ByteReader& reader, Stamp& stamp) {
  get(reader, stamp.epoch);
  stamp.version = reader.get_varint_u32();
}

void put(ByteWriter& writer, const Budget& budget) {
  for (const std::uint32_t part : {budget.detect_us, budget.agree_us, budget.fence_us, budget.storage_us,
                                   budget.address_us, budget.application_us})
    writer.put_varint(part);
}
void get(ByteReader& reader, Budget& budget) {
  for (std::uint32_t* const part : {&budget.detect_us, &budget.agree_us, &budget.fence_us, &budget.storage_us,
                                    &budget.address_us, &budget.application_us})
    *part = reader.get_varint_u32();
}

// A lease that is over has nothing left: negative remainders travel as zero.
void put(ByteWriter& writer, const LeasesLeft& leases) {
  writer.put_u8(static_cast<std::uint8_t>(leases.size()));
  for (const LeaseLeft& lease : leases) {
    writer.put_u8(lease.node);
    writer.put_varint(static_cast<std::uint64_t>(longer(lease.left, Duration{}).ns));
  }
}
void get(ByteReader& reader, LeasesLeft& leases) {
  leases.clear();
  const std::size_t count = reader.get_u8_below(LeasesLeft::capacity() + 1);
  for (std::size_t i = 0; i < count && reader.ok(); ++i) {
    LeaseLeft lease;
    lease.node = get_node(reader);
    lease.left.ns = static_cast<std::int64_t>(reader.get_varint_up_to(static_cast<std::uint64_t>(lease_sane_max.ns)));
    leases.push(lease);
  }
}

void put_incarnations(ByteWriter& writer, NodeSet members, const Incarnations& incarnations) {
  for (const NodeId node : members) put(writer, incarnations[node]);
}
void get_incarnations(ByteReader& reader, NodeSet members, Incarnations& incarnations) {
  for (const NodeId node : members) get(reader, incarnations[node]);
}

// ---- Records -----------------------------------------------------------------------------------------

// The view being replaced is mostly the new one: its incarnations are written as the difference.
void encode_record(ByteWriter& writer, const Record& record) {
  put(writer, record.stamp);
  put_view(writer, record.view, View{});
  put_view(writer, record.previous, record.view);
  put(writer, record.expelled);
  writer.put_varint(record.detect_us);
  writer.put_varint(record.agree_us);
  put_state(writer, record.state);
}

void decode_record(ByteReader& reader, Record& record) {
  get(reader, record.stamp);
  get_view(reader, record.view, View{});
  get_view(reader, record.previous, record.view);
  get(reader, record.expelled);
  record.detect_us = reader.get_varint_u32();
  record.agree_us = reader.get_varint_u32();
  get_state(reader, record.state);
}

}  // namespace vigil::wire
