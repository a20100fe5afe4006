// The fields of every control record, once for both directions.
#include "tools/client/control_protocol.hpp"

#include <type_traits>

#include "tools/client/packet.hpp"

namespace vigil::control {

namespace {

// `Io` is PacketWriter with a const record, or PacketReader with a mutable one.

template <typename Io, typename T>
void incarnation_fields(Io& io, T& incarnation) {
  io.u64(incarnation.boot_id);
  io.u64(incarnation.start_id);
}

template <typename Io, typename T>
void epoch_fields(Io& io, T& epoch) {
  io.u64(epoch.counter);
  io.node(epoch.proposer);
}

template <typename Io, typename T>
void budget_fields(Io& io, T& budget) {
  io.u32(budget.detect_us);
  io.u32(budget.agree_us);
  io.u32(budget.fence_us);
  io.u32(budget.storage_us);
  io.u32(budget.address_us);
  io.u32(budget.application_us);
}

template <typename Io, typename T>
void group_state_fields(Io& io, T& state) {
  io.enumeration(state.phase, GroupPhase::error);
  io.enumeration(state.reason, GroupReason::address_conflict);
  io.node(state.owner);
  io.node(state.previous);
  io.u32(state.generation);
  io.nodes(state.unproven);
  io.nodes(state.failed_on);
  io.node(state.pinned);
  io.boolean(state.wanted);
  io.u8(state.restarts);
  budget_fields(io, state.last);
  io.i64(state.last_wall_ns);
}

// A rule's weights travel for its voters alone.
template <typename Io, typename T>
void rule_fields(Io& io, T& rule) {
  io.enumeration(rule.kind, QuorumKind::overridden);
  io.nodes(rule.voters);
  io.u16(rule.needed);
  io.boolean(rule.tie_breaker);
  io.boolean(rule.weighted);
  if (!rule.weighted) return;
  for (NodeId node : rule.voters) io.u8(rule.votes[node]);
}

template <typename Io, typename T>
void link_fields(Io& io, T& link) {
  io.index(link.by, limits::max_links);
  io.index(link.link, limits::max_links);
  io.enumeration(link.kind, LinkKind::serial);
  io.enumeration(link.state, LinkState::flapping);
  io.text(link.device);
  io.text(link.network);
  io.duration(link.last_heard_ago);
  io.u64(link.received);
  io.u64(link.lost);
  io.u64(link.duplicated);
  io.u64(link.reordered);
  io.u32(link.jitter_us);
  io.u32(link.round_trip_us);
  io.u32(link.flaps);
}

template <typename Io, typename T>
void view_facts_fields(Io& io, T& facts) {
  io.enumeration(facts.step, ViewStep::installed);
  if (facts.step == ViewStep::none) return;
  io.enumeration(facts.why, Accusation::other_configuration);
  io.enumeration(facts.reason, NackReason::stale_base);
  epoch_fields(io, facts.epoch);
  epoch_fields(io, facts.before);
  io.nodes(facts.members);
  io.nodes(facts.promised);
  io.nodes(facts.refused);
  io.nodes(facts.accepted);
  io.nodes(facts.hearing);
  io.nodes(facts.heard);
  io.u32(facts.round);
  io.u32(facts.decide_us);
  io.u32(facts.promise_us);
  io.u32(facts.accept_us);
  io.u32(facts.lease_us);
  io.u32(facts.late_us);
  io.list(facts.links, [&io](auto& link) {
    io.index(link.link, limits::max_links);
    io.index(link.by, limits::max_links);
    io.u32(link.silent_us);
  });
}

template <typename Io, typename T>
void journal_entry_fields(Io& io, T& entry) {
  io.u64(entry.sequence);
  io.node(entry.node);
  io.i64(entry.wall_ns);
  io.i64(entry.boot_ns);
  io.enumeration(entry.kind, JournalKind::waiting);
  io.enumeration(entry.event, static_cast<EventName>(static_cast<int>(EventName::count_) - 1));
  epoch_fields(io, entry.stamp.epoch);
  io.u32(entry.stamp.version);
  io.index(entry.group, limits::max_groups);
  io.u32(entry.generation);
  io.node(entry.subject);
  io.index(entry.network, limits::max_networks);
  io.index(entry.adapter, limits::max_adapters);
  io.i64(entry.duration_us);
  io.text(entry.text);
  view_facts_fields(io, entry.view);
}

// ---- one overload a record -----------------------------------------------------------------------

template <typename T, typename Record>
concept Is = std::is_same_v<std::remove_const_t<T>, Record>;

template <typename Io, Is<request::GetStatus> T>
void fields(Io&, T&) {}

template <typename Io, Is<request::GetJournal> T>
void fields(Io& io, T& get) {
  io.text(get.group);
  io.i64(get.since_wall_ns);
  io.u32(get.limit);
}

template <typename Io, Is<request::Follow> T>
void fields(Io& io, T& follow) {
  io.text(follow.group);
  io.u32(follow.history);
}

template <typename Io, Is<request::Operate> T>
void fields(Io& io, T& operate) {
  io.enumeration(operate.verb, OperatorVerb::quorum_override);
  io.text(operate.group);
  io.text(operate.node);
  io.nodes(operate.vouched);
}

template <typename Io, Is<request::GetNames> T>
void fields(Io&, T&) {}

template <typename Io, Is<request::GetViews> T>
void fields(Io&, T&) {}

template <typename Io, Is<request::GetVersion> T>
void fields(Io&, T&) {}

template <typename Io, Is<request::RotateKey> T>
void fields(Io& io, T& rotate) {
  io.boolean(rotate.given);
  for (auto& byte : rotate.key) io.u8(byte);
}

template <typename Io, Is<reply::Cluster> T>
void fields(Io& io, T& cluster) {
  io.text(cluster.name);
  io.u64(cluster.config_hash);
  io.u32(cluster.config_version);
  io.enumeration(cluster.profile, Profile::realtime);
  io.duration(cluster.interval);
  io.duration(cluster.detection);
  io.duration(cluster.lease);
  io.list(cluster.networks, [&io](auto& name) { io.text(name); });
  io.node(cluster.self);
  io.enumeration(cluster.role, NodeRole::no_quorum);
  io.text(cluster.role_text);
  incarnation_fields(io, cluster.incarnation);
  io.boolean(cluster.quorate);
  epoch_fields(io, cluster.epoch);
  io.u32(cluster.record_version);
  io.node(cluster.coordinator);
  io.nodes(cluster.members);
  io.nodes(cluster.voters);
  io.u16(cluster.votes_needed);
  io.boolean(cluster.changing);
  io.duration(cluster.lease_left);
  io.u64(cluster.lease_gaps);
  io.u64(cluster.late_count);
  io.duration(cluster.worst_lateness);
}

template <typename Io, Is<reply::Node> T>
void fields(Io& io, T& node) {
  io.node(node.id);
  io.text(node.name);
  io.boolean(node.self);
  io.boolean(node.member);
  io.boolean(node.ready);
  io.boolean(node.standby);
  io.boolean(node.leaving);
  io.boolean(node.unfenced);
  io.boolean(node.heard);
  io.boolean(node.suspected);
  io.boolean(node.config_matches);
  incarnation_fields(io, node.incarnation);
  io.u8(node.networks_up);
  io.u16(node.lateness_ms);
  io.list(node.links, [&io](auto& link) { link_fields(io, link); });
}

template <typename Io, Is<reply::Adapter> T>
void fields(Io& io, T& adapter) {
  io.index(adapter.index, limits::max_adapters);
  io.enumeration(adapter.role, AdapterRole::serial);
  io.text(adapter.network);
  io.text(adapter.device);
  io.address(adapter.address);
  io.boolean(adapter.usable);
  io.boolean(adapter.healthy);
}

template <typename Io, Is<reply::Group> T>
void fields(Io& io, T& group) {
  io.index(group.index, limits::max_groups);
  io.text(group.name);
  io.enumeration(group.policy, GroupPolicy::rotating);
  io.boolean(group.fallback);
  io.u8(group.priority);
  io.list(group.nodes, [&io](auto& node) { io.node(node); });
  group_state_fields(io, group.state);
  io.text(group.step_text);
  io.list(group.addresses, [&io](auto& address) {
    io.address(address.address);
    io.text(address.network);
    io.text(address.device);
  });
  io.boolean(group.has_application);
  io.text(group.application);
}

template <typename Io, Is<reply::Journal> T>
void fields(Io& io, T& journal) {
  journal_entry_fields(io, journal.entry);
  io.text(journal.node);
  io.text(journal.subject);
  io.text(journal.group);
  io.text(journal.network);
  io.text(journal.device);
  io.list(journal.links, [&io](auto& link) {
    io.enumeration(link.kind, LinkKind::serial);
    io.text(link.device);
    io.text(link.network);
  });
}

template <typename Io, Is<reply::Told> T>
void fields(Io& io, T& told) {
  io.text(told.node);
  io.boolean(told.reached);
  io.u32(told.entries);
  io.i64(told.newest_wall_ns);
}

template <typename Io, Is<reply::NameItem> T>
void fields(Io& io, T& item) {
  io.enumeration(item.what, reply::NameOf::network);
  io.text(item.name);
}

template <typename Io, Is<reply::Version> T>
void fields(Io& io, T& version) {
  io.text(version.release);
  io.u16(version.wire_version);
}

template <typename Io, Is<reply::Answer> T>
void fields(Io& io, T& answer) {
  io.boolean(answer.accepted);
  io.text(answer.text);
}

template <typename Io, Is<reply::Refused> T>
void fields(Io& io, T& refused) {
  io.enumeration(refused.why, reply::Refusal::not_ready);
  io.text(refused.text);
}

template <typename Io, Is<reply::End> T>
void fields(Io&, T&) {}

template <typename Io, Is<reply::Problem> T>
void fields(Io& io, T& problem) {
  io.text(problem.text);
}

template <typename Io, Is<reply::Keys> T>
void fields(Io& io, T& keys) {
  io.enumeration(keys.state.phase, KeyPhase::switching);
  io.u8(keys.state.active);
  io.u8(keys.state.next);
  io.u64(keys.state.print);
  io.nodes(keys.state.done);
}

template <typename Io, Is<reply::Quorum> T>
void fields(Io& io, T& quorum) {
  io.enumeration(quorum.policy, QuorumPolicy::last_man_standing);
  io.boolean(quorum.wait_for_all);
  io.text(quorum.tie_breaker);
  io.nodes(quorum.arbiters);
  rule_fields(io, quorum.counted.rule);
  rule_fields(io, quorum.counted.also);
  rule_fields(io, quorum.counted.configured);
  io.nodes(quorum.counted.members);
  io.nodes(quorum.counted.vouched);
  io.boolean(quorum.counted.start_needs_every_voter);
}

// ---- packets -------------------------------------------------------------------------------------

// A packet's kind is the position in its variant, replies with the top bit set: append only.
constexpr std::uint8_t reply_bit = 0x80;

template <typename Variant>
std::size_t encode_packet(const Variant& record, std::uint8_t bit, std::span<std::byte> buffer) {
  VIGIL_ASSERT(buffer.size() >= packet_bytes);
  PacketWriter writer(buffer.first(packet_bytes));
  writer.u8(protocol_version);
  writer.u8(static_cast<std::uint8_t>(record.index() | bit));
  std::visit([&writer](const auto& content) { fields(writer, content); }, record);
  return writer.size();
}

// Makes `record` the alternative of that index and reads its fields.
template <std::size_t Index = 0, typename Variant>
bool read_alternative(PacketReader& reader, std::size_t index, Variant& record) {
  if constexpr (Index < std::variant_size_v<Variant>) {
    if (index != Index) return read_alternative<Index + 1>(reader, index, record);
    fields(reader, record.template emplace<Index>());
    return true;
  }
  return false;
}

template <typename Variant>
Fault decode_packet(std::span<const std::byte> packet, std::uint8_t bit, Variant& record) {
  if (packet.size() > packet_bytes) return Fault::left_over;
  PacketReader reader(packet);
  std::uint8_t version = 0;
  std::uint8_t kind = 0;
  reader.u8(version);
  reader.u8(kind);
  if (reader.too_short()) return Fault::too_short;
  if (version != protocol_version) return Fault::other_version;
  if ((kind & reply_bit) != bit) return Fault::unknown_kind;
  if (!read_alternative(reader, static_cast<std::size_t>(kind & ~reply_bit), record)) return Fault::unknown_kind;
  if (reader.bad_value()) return Fault::bad_value;
  if (reader.too_short()) return Fault::too_short;
  return reader.at_end() ? Fault::none : Fault::left_over;
}

// The largest records fit one packet, by their declared bounds.
constexpr std::size_t text_bytes(std::size_t capacity) { return 1 + capacity; }
constexpr std::size_t link_bytes =
    4 + text_bytes(limits::path_length) + text_bytes(limits::name_length) + 8 * 5 + 4 * 3;
static_assert(2 + text_bytes(limits::name_length) + 64 + limits::max_links * 2 * link_bytes <= packet_bytes);
constexpr std::size_t group_address_bytes = 18 + text_bytes(limits::name_length) + text_bytes(limits::path_length);
static_assert(2 + 3 * text_bytes(limits::name_length) + 128 + limits::max_nodes + text_bytes(63) +
                  limits::max_group_addresses * group_address_bytes <=
              packet_bytes);

}  // namespace

std::string_view to_string(Fault fault) {
  switch (fault) {
    case Fault::none:
      return "well formed";
    case Fault::too_short:
      return "too short";
    case Fault::other_version:
      return "of another protocol version";
    case Fault::unknown_kind:
      return "of an unknown kind";
    case Fault::bad_value:
      return "with a value out of range";
    case Fault::left_over:
      return "too long";
  }
  return "damaged";
}

std::size_t encode(const Request& request, std::span<std::byte> buffer) { return encode_packet(request, 0, buffer); }

std::size_t encode(const Reply& reply, std::span<std::byte> buffer) { return encode_packet(reply, reply_bit, buffer); }

Fault decode(std::span<const std::byte> packet, Request& request) { return decode_packet(packet, 0, request); }

Fault decode(std::span<const std::byte> packet, Reply& reply) { return decode_packet(packet, reply_bit, reply); }

}  // namespace vigil::control
