// Messages and records: they survive the wire, stay small, and nothing senseless is believed.
#include "runtime/wire/message_codec.hpp"

#include <algorithm>
#include <vector>

#include "runtime/wire/record_codec.hpp"
#include "tests/unit/wire/random_messages.hpp"

#include "tests/unit/cmocka.hpp"

namespace {

using namespace vigil;
using test::RandomMessages;
using wire::DecodeStatus;

using Encoded = std::vector<std::uint8_t>;

Encoded encoded(const Message& message) {
  Encoded bytes(limits::message_bytes);
  bytes.resize(wire::encode_message(message, bytes));
  return bytes;
}

Encoded encoded(const Record& record) {
  Encoded bytes(limits::message_bytes);
  wire::ByteWriter writer(bytes);
  wire::encode_record(writer, record);
  assert_true(writer.ok());
  bytes.resize(writer.size());
  return bytes;
}

bool decodes(const Record& record) {
  const Encoded bytes = encoded(record);
  wire::ByteReader reader(bytes);
  Record read;
  wire::decode_record(reader, read);
  return reader.finished();
}

void records_round_trip(void**) {
  for (const std::size_t nodes : {1u, 2u, 3u, 7u, 33u, 64u})
    for (const std::size_t groups : {0u, 1u, 5u, 32u})
      for (std::uint64_t seed = 0; seed < 40; ++seed) {
        RandomMessages make(seed, nodes, groups);
        const Record sent = make.record();
        const Encoded bytes = encoded(sent);
        assert_true(bytes.size() <= wire::record_bytes_max);
        wire::ByteReader reader(bytes);
        Record received;
        wire::decode_record(reader, received);
        assert_true(reader.finished());
        assert_true(received == sent);
      }
}

// A cluster whose key was never rotated has the bytes that it always had; any other says how that stands.
void the_state_of_the_key_round_trips(void**) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    RandomMessages make(seed, 5, 32);
    Record sent = make.record();
    const std::size_t without = encoded(sent).size();
    sent.state.keys = make.keys();
    const Encoded bytes = encoded(sent);
    assert_true(bytes.size() > without);
    assert_true(bytes.size() <= wire::record_bytes_max);
    wire::ByteReader reader(bytes);
    Record received;
    wire::decode_record(reader, received);
    assert_true(reader.finished());
    assert_true(received == sent);
  }
  const auto broken = [](KeyState keys) {
    Record record;
    record.state.keys = keys;
    return !decodes(record);
  };
  assert_true(broken({KeyPhase::settled, 0, 0, 1, {}}));
  assert_true(broken({KeyPhase::settled, 1, 2, 0, {}}));
  assert_true(broken({KeyPhase::settled, 1, 0, 0, NodeSet::of(1)}));
  assert_true(broken({KeyPhase::spreading, 1, 0, 1, {}}));
  assert_true(broken({KeyPhase::spreading, 0, 2, 1, {}}));
  assert_true(broken({KeyPhase::switching, 2, 2, 1, {}}));
}

// What was decoded gives the same bytes again: every field got through, for every kind.
void messages_round_trip(void**) {
  for (std::size_t kind = 0; kind < std::variant_size_v<Message>; ++kind)
    for (const std::size_t nodes : {1u, 3u, 64u})
      for (std::uint64_t seed = 0; seed < 50; ++seed) {
        RandomMessages make(seed * 1000 + kind, nodes, nodes / 2);
        const Message sent = make.message(kind);
        const Encoded bytes = encoded(sent);
        Message received;
        assert_true(wire::decode_message(bytes, received) == DecodeStatus::decoded);
        assert_int_equal(received.index(), kind);
        assert_int_equal(bytes[0], kind + 1);
        assert_true(encoded(received) == bytes);
      }
}

// The round trip above would not see a field that neither side handles: every field of the wire types
// changes the bytes.
void every_field_travels(void**) {
  const auto differs = [](const auto& base, auto change) {
    auto changed = base;
    change(changed);
    return encoded(Message(changed)) != encoded(Message(base));
  };
  const NodeSet other = NodeSet::of(5);
  assert_true(differs(Prepare{}, [](Prepare& p) { p.epoch.counter = 1; }));
  assert_true(differs(Prepare{}, [](Prepare& p) { p.base.version = 1; }));
  assert_true(differs(Prepare{}, [&](Prepare& p) { p.members = other; }));
  Prepare prepare;
  prepare.members = other;
  assert_true(differs(prepare, [](Prepare& p) { p.incarnations[5].boot_id = 1; }));
  assert_true(differs(prepare, [](Prepare& p) { p.incarnations[5].start_id = 1; }));
  assert_true(differs(Prepare{}, [&](Prepare& p) { p.expel = other; }));
  assert_true(differs(Prepare{}, [&](Prepare& p) { p.candidate_heard = other; }));
  assert_true(differs(Promise{}, [](Promise& p) { p.epoch.proposer = 1; }));
  assert_true(differs(Promise{}, [](Promise& p) { p.recovering = true; }));
  assert_true(differs(Promise{}, [](Promise& p) { p.forgotten = 1; }));
  assert_true(differs(Promise{}, [](Promise& p) { p.accepted.detect_us = 1; }));
  assert_true(differs(Promise{}, [](Promise& p) { p.leases.push({1, Duration::from_ns(1)}); }));
  assert_true(differs(Nack{}, [](Nack& n) { n.epoch.counter = 1; }));
  assert_true(differs(Nack{}, [](Nack& n) { n.promised.counter = 1; }));
  assert_true(differs(Nack{}, [](Nack& n) { n.reason = NackReason::stale_base; }));
  assert_true(differs(Nack{}, [&](Nack& n) { n.suspects_heard = other; }));
  assert_true(differs(Accept{}, [](Accept& a) { a.record.agree_us = 1; }));
  assert_true(differs(Accept{}, [](Accept& a) { a.leases.push({1, Duration::from_ns(1)}); }));
  assert_true(differs(Accepted{}, [](Accepted& a) { a.stamp.version = 1; }));
  assert_true(differs(Commit{}, [](Commit& c) { c.stamp.version = 1; }));
  assert_true(differs(Commit{}, [](Commit& c) { c.leases.push({1, Duration::from_ns(1)}); }));
  assert_true(differs(Fetch{}, [](Fetch& f) { f.have.version = 1; }));
  assert_true(differs(CommittedRecord{}, [](CommittedRecord& c) { c.record.stamp.version = 1; }));
  assert_true(differs(CommittedRecord{}, [](CommittedRecord& c) { c.leases.push({1, Duration::from_ns(1)}); }));
  assert_true(differs(Report{}, [](Report& r) { r.wall_ns = 1; }));
  assert_true(differs(Report{}, [](Report& r) { r.budget.application_us = 1; }));
  assert_true(differs(OperatorRequest{}, [](OperatorRequest& r) { r.command.node = 1; }));
  assert_true(differs(OperatorReply{}, [](OperatorReply& r) { r.text = "x"; }));
  assert_true(differs(JournalShare{}, [](JournalShare& j) { j.entry.adapter = 1; }));
  assert_true(differs(JournalShare{}, [](JournalShare& j) { j.entry.text = "x"; }));
  assert_true(differs(KeyReport{}, [](KeyReport& k) { k.step = KeyStep::sends; }));
  assert_true(differs(KeyReport{}, [](KeyReport& k) { k.sending = 1; }));
  assert_true(differs(KeyReport{}, [](KeyReport& k) { k.print = 1; }));
  assert_true(differs(KeyAsk{}, [](KeyAsk& k) { k.public_key[31] = 1; }));
  assert_true(differs(KeyOffer{}, [](KeyOffer& k) { k.sealed[79] = 1; }));
  assert_true(differs(JournalAsk{}, [](JournalAsk& a) { a.run = 1; }));
  assert_true(differs(JournalAsk{}, [](JournalAsk& a) { a.position = 1; }));
  assert_true(differs(JournalAsk{}, [&](JournalAsk& a) { a.writers = other; }));
  assert_true(differs(JournalPage{}, [](JournalPage& p) { p.run = 1; }));
  assert_true(differs(JournalPage{}, [](JournalPage& p) { p.position = 1; }));
  assert_true(differs(JournalPage{}, [](JournalPage& p) { p.next = 1; }));
  assert_true(differs(JournalPage{}, [](JournalPage& p) { p.last = false; }));
}

// Pages give back exactly the facts that were put into them.
void facts_of_view_changes_travel(void**) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    RandomMessages make(seed, 64, 3);
    JournalPage sent;
    sent.entries.push(make.journal_entry());
    sent.entries[0].view = make.view_facts();
    Message received;
    assert_true(wire::decode_message(encoded(Message(sent)), received) == DecodeStatus::decoded);
    assert_true(std::get<JournalPage>(received).entries[0].view == sent.entries[0].view);
  }
}

void every_cut_is_malformed(void**) {
  for (std::size_t kind = 0; kind < std::variant_size_v<Message>; ++kind)
    for (const std::size_t nodes : {3u, 64u}) {
      RandomMessages make(kind, nodes, nodes / 3);
      const Encoded bytes = encoded(make.message(kind));
      Message read;
      for (std::size_t size = 0; size < bytes.size(); ++size)
        assert_true(wire::decode_message(wire::Bytes(bytes).first(size), read) == DecodeStatus::malformed);
      Encoded longer = bytes;
      longer.push_back(0);
      assert_true(wire::decode_message(longer, read) == DecodeStatus::malformed);
    }
}

// Any single changed byte either is refused or gives a message whose bytes decode to the same again.
void changed_bytes_never_confuse(void**) {
  for (std::size_t kind = 0; kind < std::variant_size_v<Message>; ++kind) {
    RandomMessages make(kind, 5, 3);
    const Encoded bytes = encoded(make.message(kind));
    for (std::size_t place = 0; place < bytes.size(); ++place)
      for (const unsigned value : {0x00u, 0x01u, 0x40u, 0x7fu, 0x80u, 0xffu}) {
        Encoded damaged = bytes;
        damaged[place] = static_cast<std::uint8_t>(value);
        Message first;
        if (wire::decode_message(damaged, first) != DecodeStatus::decoded) continue;
        const Encoded again = encoded(first);
        Message second;
        assert_true(wire::decode_message(again, second) == DecodeStatus::decoded);
        assert_true(encoded(second) == again);
      }
  }
}

void newer_releases_are_understood(void**) {
  Encoded bytes = encoded(Message(ReportAck{77}));
  Message read;
  bytes[1] = 2;
  assert_true(wire::decode_message(bytes, read) == DecodeStatus::malformed);  // its block is missing
  bytes.insert(bytes.end(), {2, 0xaa, 0xbb});
  assert_true(wire::decode_message(bytes, read) == DecodeStatus::decoded);
  assert_int_equal(std::get<ReportAck>(read).serial, 77);
  bytes.push_back(0);
  assert_true(wire::decode_message(bytes, read) == DecodeStatus::malformed);
  const Encoded unknown{std::variant_size_v<Message> + 1, 1, 1, 2, 3};
  assert_true(wire::decode_message(unknown, read) == DecodeStatus::unknown_kind);
  const Encoded none{0, 1};
  assert_true(wire::decode_message(none, read) == DecodeStatus::malformed);
  const Encoded no_revision{10, 0, 77};
  assert_true(wire::decode_message(no_revision, read) == DecodeStatus::malformed);

  wire::DecodeCounters counters;
  for (const DecodeStatus status : {DecodeStatus::decoded, DecodeStatus::unknown_kind, DecodeStatus::unknown_kind,
                                    DecodeStatus::malformed})
    counters.note(status);
  assert_int_equal(counters.decoded, 1);
  assert_int_equal(counters.unknown_kind, 2);
  assert_int_equal(counters.malformed, 1);
}

void senseless_records_are_refused(void**) {
  const auto refused = [](auto change) {
    RandomMessages make(3, 5, 2);
    Record record = make.record();
    assert_true(decodes(record));
    change(record);
    return !decodes(record);
  };
  assert_true(refused([](Record& r) { r.stamp.epoch.proposer = 64; }));
  assert_true(refused([](Record& r) { r.view.coordinator = 64; }));
  assert_true(refused([](Record& r) { r.view.rule.needed = 2; }));   // two of five: two disjoint quorums
  assert_true(refused([](Record& r) { r.view.rule.needed = 6; }));   // six of five
  assert_true(refused([](Record& r) { r.view.rule.kind = static_cast<QuorumKind>(3); }));
  assert_true(refused([](Record& r) { r.state.groups[1].phase = static_cast<GroupPhase>(5); }));
  assert_true(refused([](Record& r) { r.state.groups[1].reason = static_cast<GroupReason>(15); }));
  assert_true(refused([](Record& r) { r.state.groups[1].owner = 64; }));
  assert_true(refused([](Record& r) { r.state.groups[1].previous = 100; }));
  assert_true(refused([](Record& r) { r.state.groups[1].pinned = 200; }));
  assert_true(refused([](Record& r) {
    r.state.groups[1].phase = GroupPhase::online;
    r.state.groups[1].owner = no_node;
  }));
}

void senseless_messages_are_refused(void**) {
  Promise promise;
  promise.leases.push({64, Duration{}});
  Commit too_long;
  too_long.leases.push({1, Duration::from_s(3601)});
  Report no_group;
  Report bad_kind;
  bad_kind.group = 1;
  bad_kind.kind = static_cast<ReportKind>(8);
  JournalShare no_writer;
  JournalShare bad_network;
  bad_network.entry.node = 1;
  bad_network.entry.network = 8;
  JournalPage bad_link;
  bad_link.entries.resize(1);
  bad_link.entries[0].node = 1;
  bad_link.entries[0].view.step = ViewStep::accused;
  bad_link.entries[0].view.links.push({static_cast<LinkIndex>(limits::max_links), 0, 1});
  JournalPage bad_reason = bad_link;
  bad_reason.entries[0].view.links.clear();
  bad_reason.entries[0].view.reason = static_cast<NackReason>(wire::nack_reasons);
  const std::vector<Message> messages{
      bad_link,
      bad_reason,
      promise,
      too_long,
      no_group,
      bad_kind,
      no_writer,
      bad_network,
      Nack{{}, {}, static_cast<NackReason>(5), {}},
      OperatorRequest{1, {static_cast<OperatorVerb>(9), 1, 1}},
      OperatorRequest{1, {OperatorVerb::move_group, no_index, 1}},
      OperatorRequest{1, {OperatorVerb::move_group, 32, 1}},
      OperatorRequest{1, {OperatorVerb::node_stop, no_index, no_node}},
      OperatorRequest{1, {OperatorVerb::confirm_down, no_index, 64}},
  };
  for (const Message& message : messages) {
    Message read;
    assert_true(wire::decode_message(encoded(message), read) == DecodeStatus::malformed);
  }
  Message read;
  const Message anywhere = OperatorRequest{1, {OperatorVerb::move_group, 3, no_node}};
  assert_true(wire::decode_message(encoded(anywhere), read) == DecodeStatus::decoded);
}

void details_of_people_and_leases(void**) {
  Message read;
  OperatorReply reply;
  reply.text = "two\nlines\x1b[31m";
  assert_true(wire::decode_message(encoded(Message(reply)), read) == DecodeStatus::decoded);
  assert_true(std::get<OperatorReply>(read).text.view() == "two lines [31m");

  JournalShare share;
  share.entry.node = 1;
  share.entry.event = static_cast<EventName>(200);  // of a newer release
  assert_true(wire::decode_message(encoded(Message(share)), read) == DecodeStatus::decoded);
  assert_true(std::get<JournalShare>(read).entry.event == EventName::none);

  Commit over;
  over.leases.push({1, Duration::from_ns(-5)});
  assert_true(wire::decode_message(encoded(Message(over)), read) == DecodeStatus::decoded);
  assert_int_equal(std::get<Commit>(read).leases[0].left.ns, 0);
}

void sizes(void**) {
  RandomMessages make(1, 3, 1);
  Record small = make.record();
  small.view.members = make.all();
  small.previous = small.view;
  for (NodeId node = 0; node < 3; ++node) small.previous.incarnations[node] = make.incarnation();  // nothing shared
  assert_true(encoded(small).size() < 350);
  small.previous = small.view;
  const std::size_t shared = encoded(small).size();
  assert_true(shared < 250);

  std::size_t largest = 0;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    RandomMessages many(seed, 64, 32);
    Record record = many.record();
    record.view.members = many.all();
    for (NodeId node = 0; node < 64; ++node) record.view.incarnations[node] = many.incarnation();
    record.previous = record.view;
    for (NodeId node = 0; node < 64; ++node) record.previous.incarnations[node] = many.incarnation();
    LeasesLeft leases;
    for (NodeId node = 0; node < 64; ++node) leases.push({node, Duration::from_s(3600)});
    largest = std::max(largest, encoded(Message(Promise{many.epoch(), true, 1, record, leases})).size());
  }
  assert_true(largest < limits::message_bytes);
  print_message("record: %zu bytes with 3 nodes and 1 group; promise at most %zu with 64 nodes and 32 groups\n", shared,
                largest);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(records_round_trip),
      cmocka_unit_test(the_state_of_the_key_round_trips),
      cmocka_unit_test(messages_round_trip),
      cmocka_unit_test(every_field_travels),
      cmocka_unit_test(facts_of_view_changes_travel),
      cmocka_unit_test(every_cut_is_malformed),
      cmocka_unit_test(changed_bytes_never_confuse),
      cmocka_unit_test(newer_releases_are_understood),
      cmocka_unit_test(senseless_records_are_refused),
      cmocka_unit_test(senseless_messages_are_refused),
      cmocka_unit_test(details_of_people_and_leases),
      cmocka_unit_test(sizes),
  };
  return cmocka_run_group_tests_name("wire/message_codec", tests, nullptr, nullptr);
}
