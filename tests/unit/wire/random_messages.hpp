// Random values of every type that travels, within their limits, extremes included.
#pragma once

#include <string>

#include "runtime/base/message.hpp"
#include "runtime/base/random.hpp"
#include "runtime/wire/store.hpp"

namespace vigil::test {

class RandomMessages {
 public:
  // `nodes`, `groups`: the size of the cluster that the values speak of.
  RandomMessages(std::uint64_t seed, std::size_t nodes, std::size_t groups)
      : random_(seed), nodes_(nodes), groups_(groups) {}

  Random& random() { return random_; }

  NodeId node() { return static_cast<NodeId>(random_.below(nodes_)); }
  NodeId node_or_none() { return random_.chance(25) ? no_node : node(); }
  NodeSet all() const { return NodeSet::from_bits(nodes_ == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << nodes_) - 1); }
  NodeSet set() { return NodeSet::from_bits(random_.next()) & all(); }
  std::uint32_t u32() { return random_.chance(10) ? UINT32_MAX : static_cast<std::uint32_t>(random_.next() >> random_.between(32, 63)); }
  std::uint64_t u64() { return random_.chance(10) ? UINT64_MAX : random_.next() >> random_.below(64); }
  std::int64_t clock_ns() { return static_cast<std::int64_t>(random_.next() >> 1); }
  Incarnation incarnation() { return {random_.next(), random_.next() | 1}; }
  Epoch epoch() { return {u64(), node_or_none()}; }
  Stamp stamp() { return {epoch(), u32()}; }
  Budget budget() { return {u32(), u32(), u32(), u32(), u32(), u32()}; }

  View view() {
    View view;
    view.epoch = epoch();
    view.members = set();
    view.members.add(node());
    view.coordinator = view.members.lowest();
    for (const NodeId member : view.members) view.incarnations[member] = incarnation();
    for (const NodeId other : all() - view.members)
      if (random_.chance(30)) view.incarnations[other] = incarnation();  // was a member once
    view.rule.voters = all();
    view.rule.needed = majority_of(all().count());
    return view;
  }

  GroupState group() {
    GroupState group;
    group.phase = static_cast<GroupPhase>(random_.below(5));
    group.reason = static_cast<GroupReason>(random_.below(15));
    group.owner = node();
    group.previous = node_or_none();
    group.generation = u32();
    group.unproven = set();
    group.failed_on = set();
    group.pinned = node_or_none();
    group.wanted = random_.chance(80);
    group.restarts = static_cast<std::uint8_t>(random_.next());
    if (random_.chance(70)) {
      group.last = budget();
      group.last_wall_ns = clock_ns();
    }
    return group;
  }

  Record record() {
    Record record;
    record.stamp = stamp();
    record.view = view();
    if (random_.chance(50)) {
      record.previous = view();
      for (const NodeId node : all())
        if (random_.chance(80)) record.previous.incarnations[node] = record.view.incarnations[node];
    }
    record.expelled = set();
    record.detect_us = u32();
    record.agree_us = u32();
    record.state.config_hash = random_.next();
    record.state.config_version = u32();
    record.state.standby = set();
    record.state.leaving = set();
    record.state.unfenced = set();
    record.state.group_count = static_cast<std::uint8_t>(groups_);
    for (std::size_t i = 0; i < groups_; ++i) record.state.groups[i] = group();
    return record;
  }

  LeasesLeft leases() {
    LeasesLeft leases;
    const std::size_t count = random_.chance(50) ? 0 : random_.below(nodes_ + 1);
    for (std::size_t i = 0; i < count; ++i)
      leases.push({static_cast<NodeId>(i), Duration::from_ns(random_.between(0, 3'600'000'000'000))});
    return leases;
  }

  Heartbeat heartbeat(const Incarnation& incarnation, LinkIndex link) {
    Heartbeat heartbeat;
    heartbeat.link = link;
    heartbeat.link_sequence = u32();
    heartbeat.sent_ns = clock_ns();
    heartbeat.committed = stamp();
    heartbeat.quorate = random_.chance(50);
    heartbeat.ready = random_.chance(50);
    heartbeat.wants_lease = random_.chance(50);
    heartbeat.leaving = random_.chance(50);
    heartbeat.late = random_.chance(50);
    heartbeat.clean = random_.chance(50);
    heartbeat.incarnation = incarnation;
    heartbeat.config_hash = random_.next();
    heartbeat.heard = set();
    heartbeat.networks_up = static_cast<std::uint8_t>(random_.next());
    heartbeat.lateness_ms = static_cast<std::uint16_t>(random_.next());
    heartbeat.lease_us = static_cast<std::uint32_t>(random_.below(3'600'000'001));
    const std::uint64_t links = random_.between(1, limits::max_links);
    for (std::size_t i = 0; i < nodes_; ++i) heartbeat.heard_links[i] = static_cast<std::uint8_t>(random_.next() >> (64 - links));
    for (std::uint64_t left = random_.below(renewal_acks_that_fit(nodes_, links) + 1); left > 0; --left)
      heartbeat.acks.push({node(), static_cast<std::int64_t>(random_.next() >> 16) * renewal_unit.ns});
    return heartbeat;
  }

  HeartbeatAck ack() {
    return {static_cast<LinkIndex>(random_.below(limits::max_links)), clock_ns(), u32()};
  }

  template <std::size_t N>
  BoundedString<N> text() {
    std::string text(random_.below(N + 1), ' ');
    for (char& letter : text) letter = static_cast<char>(random_.between(0x20, 0x7e));
    return BoundedString<N>(std::string_view(text));
  }

  JournalEntry journal_entry() {
    JournalEntry entry;
    entry.sequence = u64();
    entry.node = node();
    entry.wall_ns = clock_ns();
    entry.boot_ns = clock_ns();
    entry.kind = static_cast<JournalKind>(random_.below(8));
    entry.event = static_cast<EventName>(random_.below(30));
    entry.stamp = stamp();
    entry.group = random_.chance(30) ? no_index : static_cast<GroupIndex>(random_.below(limits::max_groups));
    entry.generation = u32();
    entry.subject = node_or_none();
    entry.network = random_.chance(30) ? no_index : static_cast<NetworkIndex>(random_.below(limits::max_networks));
    entry.adapter = random_.chance(30) ? no_index : static_cast<AdapterIndex>(random_.below(limits::max_adapters));
    entry.duration_us = random_.chance(30) ? -1 : clock_ns();
    entry.text = text<95>();
    return entry;
  }

  std::uint8_t key_id() { return static_cast<std::uint8_t>(random_.between(1, 255)); }

  template <std::size_t N>
  std::array<std::uint8_t, N> bytes() {
    std::array<std::uint8_t, N> bytes;
    for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random_.next());
    return bytes;
  }

  // A rotation under way, or one that is over.
  KeyState keys() {
    const std::uint8_t active = key_id();
    if (random_.chance(30)) return {KeyPhase::settled, active, 0, 0, {}};
    const auto next = static_cast<std::uint8_t>(active % 255 + 1);
    return {random_.chance(50) ? KeyPhase::spreading : KeyPhase::switching, active, next, random_.next(), set()};
  }

  ViewFacts view_facts() {
    ViewFacts facts;
    facts.step = static_cast<ViewStep>(random_.below(6));
    if (facts.step == ViewStep::none) return facts;
    facts.why = static_cast<Accusation>(random_.below(5));
    facts.reason = static_cast<NackReason>(random_.below(5));
    facts.epoch = epoch();
    facts.before = epoch();
    for (NodeSet* one : {&facts.members, &facts.promised, &facts.refused, &facts.accepted, &facts.hearing, &facts.heard})
      *one = set();
    for (std::uint32_t* one :
         {&facts.round, &facts.decide_us, &facts.promise_us, &facts.accept_us, &facts.lease_us, &facts.late_us})
      *one = u32();
    for (std::size_t links = random_.below(limits::max_links + 1); links > 0; --links)
      facts.links.push({static_cast<LinkIndex>(random_.below(limits::max_links)),
                        static_cast<LinkIndex>(random_.below(limits::max_links)), u32()});
    return facts;
  }

  JournalPage journal_page() {
    JournalPage page{u64(), u64(), u64(), random_.chance(50), {}};
    for (std::size_t entries = random_.below(journal_page_entries + 1); entries > 0; --entries) {
      page.entries.push(journal_entry());
      page.entries.back().view = view_facts();
    }
    return page;
  }

  OperatorCommand operator_command() {
    return {static_cast<OperatorVerb>(random_.below(8)), static_cast<GroupIndex>(random_.below(limits::max_groups)), node()};
  }

  Message message(std::size_t kind) {
    switch (kind) {
      case 0: {
        Prepare prepare;
        prepare.epoch = epoch();
        prepare.base = stamp();
        prepare.members = set();
        for (const NodeId member : prepare.members) prepare.incarnations[member] = incarnation();
        prepare.expel = set();
        prepare.candidate_heard = set();
        return prepare;
      }
      case 1: return Promise{epoch(), random_.chance(50), random_.below(5000), random_.chance(20) ? Record{} : record(), leases()};
      case 2: return Nack{epoch(), epoch(), static_cast<NackReason>(random_.below(5)), set()};
      case 3: return Accept{record(), leases()};
      case 4: return Accepted{stamp()};
      case 5: return Commit{stamp(), leases()};
      case 6: return Fetch{stamp()};
      case 7: return CommittedRecord{record(), leases()};
      case 8:
        return Report{static_cast<GroupIndex>(random_.below(limits::max_groups)), u32(),
                      static_cast<ReportKind>(random_.below(8)), u32(), budget(), clock_ns()};
      case 9: return ReportAck{u32()};
      case 10: return OperatorRequest{random_.next(), operator_command()};
      case 11: return OperatorReply{random_.next(), random_.chance(50), text<127>()};
      case 12: return JournalShare{journal_entry()};
      case 13:
        return KeyReport{static_cast<KeyStep>(random_.below(4)), key_id(), key_id(), random_.next()};
      case 14: return KeyAsk{key_id(), bytes<32>()};
      case 15: return KeyOffer{key_id(), bytes<80>()};
      case 16: return JournalAsk{u64(), u64(), set()};
      default: return journal_page();
    }
  }

  wire::StoredImage image() { return {random_.next(), Duration::from_ns(random_.between(0, 3'600'000'000'000)), record()}; }

 private:
  Random random_;
  std::size_t nodes_;
  std::size_t groups_;
};

}  // namespace vigil::test
