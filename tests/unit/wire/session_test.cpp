// Sessions: handshakes, incarnations, replays, refusals. Nodes exchange real frames; the test is the
// network, and records everything like an attacker would.
#include "runtime/wire/session.hpp"

#include <algorithm>
#include <memory>
#include <vector>

#include "tests/unit/cmocka.hpp"

namespace {

using namespace vigil;
using wire::Drop;
using wire::FrameType;
using wire::Session;
using wire::Verdict;

using Frame = std::vector<std::uint8_t>;

constexpr std::array<std::uint8_t, 3> body{1, 2, 3};
constexpr std::array<LinkIndex, 3> links{0, 1, 2};
constexpr std::array<std::uint8_t, wire::key_bytes> cluster_key{42};

// Time that all nodes share; each step takes a while, so that hellos are not limited away.
Instant now_{1'000'000'000};
void pass(Duration time) { now_ = now_ + time; }

wire::SessionOptions options_for(NodeId self, std::uint64_t start_id) {
  wire::SessionOptions options;
  options.self = self;
  options.incarnation = {100u + self, start_id};
  options.cluster_id = 0xc1;
  options.config_hash = 5;
  options.link_count = 3;
  options.configured = NodeSet::from_bits(0b1111);
  for (NodeId node = 0; node < 4; ++node) {
    options.name_hashes[node] = wire::name_hash_of(std::string(1, static_cast<char>('a' + node)));
    options.reach[node] = {0b011, 0b011, 0b100};  // links 0 and 1 are on one segment, 2 is apart
  }
  return options;
}

struct Node {
  explicit Node(const wire::SessionOptions& options, std::array<std::uint8_t, wire::key_bytes> key = cluster_key,
                std::uint8_t key_id = 1) {
    assert_true(keys.add(key_id, key).ok());
    session = std::make_unique<Session>(options, keys);
  }
  Node(NodeId self, std::uint64_t start_id) : Node(options_for(self, start_id)) {}

  Frame send(LinkIndex link = 0, FrameType type = FrameType::heartbeat, NodeId to = wire::broadcast_node) {
    Frame frame(limits::frame_bytes);
    frame.resize(session->seal(type, to, link, body, frame));
    return frame;
  }
  Verdict receive(const Frame& frame, LinkIndex by = 0) { return session->on_frame(now_, frame, by); }

  wire::KeyRing keys;
  std::unique_ptr<Session> session;
};

Frame copy(wire::Bytes bytes) { return {bytes.begin(), bytes.end()}; }

// Carries replies to and fro on link 0 until none comes; returns all frames that travelled.
std::vector<Frame> converse(Node& a, Node& b, Verdict verdict_of_b) {
  std::vector<Frame> frames;
  Node* to = &a;
  Frame frame = copy(verdict_of_b.reply);
  while (!frame.empty()) {
    frames.push_back(frame);
    pass(Duration::from_ms(1));
    frame = copy(to->receive(frame).reply);
    to = to == &a ? &b : &a;
  }
  return frames;
}

// Makes both know each other; returns the frames of the handshake. What was current before is silent by then.
std::vector<Frame> introduce(Node& a, Node& b) {
  pass(wire::SessionOptions{}.succession + Duration::from_ms(20));
  std::vector<Frame> frames = converse(a, b, b.receive(a.send()));
  pass(Duration::from_ms(20));
  const std::vector<Frame> more = converse(b, a, a.receive(b.send()));
  frames.insert(frames.end(), more.begin(), more.end());
  return frames;
}

Drop drop_of(const Verdict& verdict) { return verdict.drop; }

// ---- Handshake -----------------------------------------------------------------------------------

void a_stranger_is_asked_before_it_is_believed(void**) {
  Node a(0, 11);
  Node b(1, 22);
  const Verdict first = b.receive(a.send());
  assert_int_equal(first.drop, Drop::unknown_incarnation);
  assert_int_equal(first.reply_to, 0);
  const Verdict answered = a.receive(copy(first.reply));  // hello: answered, and asked back
  assert_int_equal(answered.drop, Drop::handshake);
  const Verdict proven = b.receive(copy(answered.reply));
  assert_true(proven.became_current);
  assert_false(proven.config_differs);
  assert_true((b.session->current(0) == Incarnation{100, 11}));
  const Verdict back = a.receive(copy(proven.reply));
  assert_true(back.became_current);
  assert_true((a.session->current(1) == Incarnation{101, 22}));
  assert_true(back.reply.empty());

  const Verdict believed = b.receive(a.send(1, FrameType::ack, 1), 1);
  assert_true(believed.is_delivered());
  assert_int_equal(believed.delivered.from, 0);
  assert_true((believed.delivered.incarnation == Incarnation{100, 11}));
  assert_int_equal(believed.delivered.type, FrameType::ack);
  assert_int_equal(believed.delivered.peer_link, 1);
  assert_int_equal(believed.delivered.body.size(), body.size());
  assert_memory_equal(believed.delivered.body.data(), body.data(), body.size());
  assert_int_equal(b.session->delivered(), 1);
}

void hellos_are_limited_per_peer_and_link(void**) {
  Node a(0, 11);
  Node b(1, 22);
  int hellos = 0;
  for (int i = 0; i < 100; ++i) {
    pass(Duration::from_ms(1));
    if (!b.receive(a.send()).reply.empty()) ++hellos;
  }
  assert_int_equal(hellos, 10);  // one in 10 ms
  // Link 0 has just been used up: another link still asks, since the first may be deaf one way.
  b.receive(a.send());
  assert_false(b.receive(a.send(1), 1).reply.empty());
  Node c(2, 33);
  assert_false(b.receive(c.send()).reply.empty());
}

void a_lost_hello_is_sent_again(void**) {
  Node a(0, 11);
  Node b(1, 22);
  const Frame lost = copy(b.receive(a.send()).reply);
  pass(Duration::from_ms(20));
  const Frame second = copy(b.receive(a.send()).reply);
  const Frame answer_to_second = copy(a.receive(second).reply);
  assert_true(b.receive(answer_to_second).became_current);
  // An answer to the first, delayed: settled by now, and the frame is of the current life anyway.
  pass(Duration::from_ms(20));
  const Frame answer_to_first = copy(a.receive(lost).reply);
  const Verdict verdict = b.receive(answer_to_first);
  assert_false(verdict.became_current);
  assert_int_equal(verdict.drop, Drop::handshake);
}

// ---- Replay ------------------------------------------------------------------------------------------

void each_frame_is_believed_once_per_own_link(void**) {
  Node a(0, 11);
  Node b(1, 22);
  introduce(a, b);
  const Frame frame = a.send(0);
  assert_true(b.receive(frame, 0).is_delivered());
  assert_int_equal(drop_of(b.receive(frame, 0)), Drop::replayed);
  assert_true(b.receive(frame, 1).is_delivered());  // own link 1 hears that segment too
  assert_int_equal(drop_of(b.receive(frame, 1)), Drop::replayed);
  assert_int_equal(drop_of(b.receive(frame, 2)), Drop::wrong_link);
  assert_true(b.receive(a.send(1), 0).is_delivered());  // each link of the sender counts for itself
  assert_true(b.receive(a.send(2), 2).is_delivered());
  assert_int_equal(drop_of(b.receive(a.send(2), 0)), Drop::wrong_link);
}

void reordering_is_tolerated_within_window_and_time(void**) {
  Node a(0, 11);
  Node b(1, 22);
  introduce(a, b);
  std::vector<Frame> frames;
  for (int i = 0; i < 2'400; ++i) frames.push_back(a.send());
  assert_true(b.receive(frames[1'199]).is_delivered());
  for (std::size_t i = 1'199; i-- > 176;) assert_true(b.receive(frames[i]).is_delivered());
  assert_int_equal(drop_of(b.receive(frames[175])), Drop::replayed);  // 1,024 below the newest
  assert_true(b.receive(frames[2'399]).is_delivered());
  pass(Duration::from_ms(100));
  assert_true(b.receive(frames[2'398]).is_delivered());
  pass(Duration::from_ms(1));
  assert_int_equal(drop_of(b.receive(frames[2'397])), Drop::late);  // overtaken too long ago
}

// The attacker plays what link 0 heard into link 1, which never heard it, after the sender died.
void a_recording_on_another_link_is_stale(void**) {
  Node a(0, 11);
  Node b(1, 22);
  introduce(a, b);
  std::vector<Frame> recording;
  for (int i = 0; i < 1000; ++i) {
    recording.push_back(a.send());
    assert_true(b.receive(recording.back(), 0).is_delivered());
    pass(Duration::from_ms(25));
  }
  pass(Duration::from_s(1));
  for (const Frame& frame : recording) assert_false(b.receive(frame, 1).is_delivered());
}

// After the receiver's restart its windows are empty, the sender's life goes on: the handshake tells
// where the sender's sequences stand, so that nothing recorded before is new.
void a_recording_from_before_the_receivers_restart_is_stale(void**) {
  Node a(0, 11);
  auto b = std::make_unique<Node>(1, 22);
  introduce(a, *b);
  std::vector<Frame> recording;
  for (const LinkIndex link : links)
    for (int i = 0; i < 100; ++i) {
      recording.push_back(a.send(link));
      assert_true(b->receive(recording.back(), link).is_delivered());
    }
  b = std::make_unique<Node>(1, 23);
  introduce(a, *b);
  assert_true(b->session->current(0).known());
  for (const Frame& frame : recording)
    for (const LinkIndex link : links) assert_false(b->receive(frame, link).is_delivered());
  for (const LinkIndex link : links) assert_true(b->receive(a.send(link), link).is_delivered());
}

// Frames of every kind, in both directions, that were all believed once: played back to whoever they were for,
// back to who sent them, to somebody else, cut, lengthened, and with each single bit changed.
void no_kind_of_frame_can_be_replayed_reflected_or_forged(void**) {
  Node a(0, 11);
  Node b(1, 22);
  Node c(2, 33);
  introduce(a, c);
  introduce(b, c);
  std::vector<Frame> frames = introduce(a, b);
  for (const FrameType type : {FrameType::heartbeat, FrameType::ack, FrameType::fragment}) {
    frames.push_back(a.send(0, type, 1));
    assert_true(b.receive(frames.back()).is_delivered());
    frames.push_back(b.send(0, type, 0));
    assert_true(a.receive(frames.back()).is_delivered());
  }
  NodeSet kinds;  // of frame types, rather
  for (const Frame& frame : frames) kinds.add(frame[2]);
  assert_int_equal(kinds.bits(), 0b111110);

  unsigned long believed = 0;
  unsigned long answered = 0;
  const auto play = [&](Node& node, const Frame& frame) {
    pass(Duration::from_ms(20));  // so that no limit hides an answer
    const Verdict verdict = node.receive(frame);
    believed += verdict.is_delivered() || verdict.became_current || verdict.hello != nullptr ? 1 : 0;
    answered += verdict.reply.empty() ? 0 : 1;
  };
  for (const Frame& frame : frames)
    for (Node* node : {&a, &b, &c}) {
      play(*node, frame);
      Frame changed = frame;
      changed.pop_back();
      play(*node, changed);
      changed = frame;
      changed.push_back(0);
      play(*node, changed);
      for (std::size_t bit = 0; bit < frame.size() * 8; ++bit) {
        changed = frame;
        changed[bit / 8] ^= static_cast<std::uint8_t>(1u << bit % 8);
        play(*node, changed);
      }
    }
  assert_int_equal(believed, 0);
  assert_int_equal(answered, 0);
  for (Node* node : {&a, &b, &c})
    for (NodeId peer = 0; peer < 3; ++peer)
      if (peer != (node == &a ? 0 : node == &b ? 1 : 2))
        assert_int_equal(node->session->current(peer).start_id, 11 * (peer + 1));
  assert_true(b.receive(a.send()).is_delivered());  // and nobody is locked out by it
  assert_true(a.receive(b.send()).is_delivered());
}

// The sender changes its key between two frames: the stream of its frames goes on.
void a_change_of_keys_loses_no_frame(void**) {
  Node a(0, 11);
  Node b(1, 22);
  introduce(a, b);
  const std::array<std::uint8_t, wire::key_bytes> next{43};
  const Frame before = a.send();
  assert_true(a.keys.add(2, next).ok());
  assert_true(b.keys.add(2, next).ok());
  assert_true(b.receive(before).is_delivered());
  assert_true(a.keys.activate(2).ok());
  const Frame old_key_late = b.send();
  assert_true(b.receive(a.send()).is_delivered());
  assert_true(a.receive(old_key_late).is_delivered());
  assert_true(b.session->heard_under(2) == now_);
  assert_int_equal(b.session->sealed_by(0).key_id, 2);
  assert_true(b.session->sealed_by(0).current && b.session->sealed_by(0).at == now_);
  assert_true(b.keys.activate(2).ok());
  assert_true(a.keys.remove(1).ok());
  assert_true(b.keys.remove(1).ok());
  assert_true(a.receive(b.send()).is_delivered());
  assert_int_equal(drop_of(b.receive(before)), Drop::unknown_key);
  assert_true((b.session->current(0) == Incarnation{100, 11}));
}

// ---- Incarnations --------------------------------------------------------------------------------------

void a_new_life_replaces_the_old_for_good(void**) {
  Node old_a(0, 11);
  Node b(1, 22);
  introduce(old_a, b);
  assert_true(b.receive(old_a.send()).is_delivered());
  Node a(0, 12);
  assert_int_equal(drop_of(b.receive(a.send())), Drop::unknown_incarnation);
  assert_true(b.receive(old_a.send()).is_delivered());  // unproven yet: the old one is still believed
  introduce(a, b);
  assert_true((b.session->current(0) == Incarnation{100, 12}));
  assert_true(b.receive(a.send()).is_delivered());
  const Verdict dead = b.receive(old_a.send());
  assert_int_equal(dead.drop, Drop::dead_incarnation);
  assert_true(dead.reply.empty());
}

// Everything an earlier life ever sent, its answers to hellos included, is played to a receiver that
// was restarted and knows nothing: none of it is believed, and no answer in it fits.
void a_dead_life_cannot_be_replayed_after_the_receivers_restart(void**) {
  std::vector<Frame> recording;
  {
    Node a(0, 11);
    Node b(1, 22);
    for (const Frame& frame : introduce(a, b)) recording.push_back(frame);
    for (int i = 0; i < 50; ++i) recording.push_back(a.send());
  }
  Node b(1, 23);
  for (int round = 0; round < 3; ++round)
    for (const Frame& frame : recording) {
      pass(Duration::from_ms(20));
      const Verdict verdict = b.receive(frame);
      assert_false(verdict.is_delivered());
      assert_false(verdict.became_current);
    }
  assert_false(b.session->current(0).known());
  assert_true(b.session->dropped(Drop::stale_challenge) > 0);
}

// The old life was heard a moment ago: the new one waits until it has been silent for the succession time, and
// is asked once more after that.
void a_new_life_waits_for_the_old_ones_silence(void**) {
  Node old_a(0, 11);
  Node b(1, 22);
  introduce(old_a, b);
  assert_true(b.receive(old_a.send()).is_delivered());
  const Instant last = now_;
  Node a(0, 12);
  Instant current_at{};
  for (int i = 0; i < 40 && current_at.ns == 0; ++i) {
    pass(Duration::from_ms(10));
    const Verdict asked = b.receive(a.send());
    if (asked.reply.empty()) continue;
    const Verdict proven = b.receive(copy(a.receive(copy(asked.reply)).reply));
    if (proven.became_current) current_at = now_;
    if (!proven.became_current) assert_int_equal(proven.drop, Drop::awaits_silence);
  }
  assert_true(current_at - last >= wire::SessionOptions{}.succession);
  assert_true(current_at - last <= wire::SessionOptions{}.succession + Duration::from_ms(20));
  assert_int_equal(b.session->dropped(Drop::duplicate_node_id), 0);
}

// A receiver that stalled finds the new life's proof before the old life's frames, which are not older: it
// must not take the silence of its own stall for theirs.
void a_receivers_own_stall_is_nobodys_silence(void**) {
  Node first(0, 11);
  Node b(1, 22);
  introduce(first, b);
  assert_true(b.receive(first.send()).is_delivered());
  Node second(0, 12);
  const Frame proof = copy(second.receive(copy(b.receive(second.send()).reply)).reply);
  const Frame waiting = first.send();
  pass(Duration::from_s(1));
  assert_int_equal(drop_of(b.receive(proof)), Drop::awaits_silence);
  assert_true(b.receive(waiting).is_delivered());
}

// Two machines under one id, both alive, on every link, for five seconds: the first one is heard without a gap,
// the second one never, and it is said that they are two.
void two_machines_under_one_id_never_take_turns(void**) {
  Node first(0, 11);
  Node b(1, 22);
  introduce(first, b);
  Node second(0, 12);
  int lost = 0;
  int taken = 0;
  bool told = false;
  for (int i = 0; i < 200; ++i) {
    pass(Duration::from_ms(25));
    lost += b.receive(first.send()).is_delivered() ? 0 : 1;
    Verdict verdict = b.receive(second.send());
    for (int hop = 0; hop < 4 && !verdict.reply.empty(); ++hop) {
      const Verdict there = second.receive(copy(verdict.reply));
      if (there.reply.empty()) break;
      verdict = b.receive(copy(there.reply));
      told = told || verdict.drop == Drop::duplicate_node_id;
    }
    taken += verdict.is_delivered() || verdict.became_current ? 1 : 0;
  }
  assert_int_equal(lost, 0);
  assert_int_equal(taken, 0);
  assert_true(told);
  assert_int_equal(b.session->current(0).start_id, 11);
  // The first one dies: the other is let in after all.
  introduce(second, b);
  assert_int_equal(b.session->current(0).start_id, 12);
}

// More lives than are remembered as dead: the recorded proof of the first does not bring it back.
void forgotten_dead_lives_stay_dead(void**) {
  Node b(1, 22);
  std::vector<Frame> recording;
  {
    Node a(0, 11);
    recording = introduce(a, b);
    recording.push_back(a.send());
  }
  for (std::uint64_t start_id = 12; start_id < 32; ++start_id) {
    Node a(0, start_id);
    introduce(a, b);
    assert_int_equal(b.session->current(0).start_id, start_id);
  }
  for (const Frame& frame : recording) {
    pass(Duration::from_ms(20));
    const Verdict verdict = b.receive(frame);
    assert_false(verdict.is_delivered());
    assert_false(verdict.became_current);
  }
  assert_int_equal(b.session->current(0).start_id, 31);
}

// The attacker withholds an answer and plays it once its sender is dead: too old by then.
void challenges_expire(void**) {
  for (const std::int64_t wait_s : {1, 11}) {
    Node a(0, 11);
    Node b(1, 22);
    const Frame hello = copy(b.receive(a.send()).reply);
    const Frame withheld = copy(a.receive(hello).reply);
    pass(Duration::from_s(wait_s));
    const Verdict verdict = b.receive(withheld);
    assert_int_equal(verdict.became_current, wait_s == 1);
    if (wait_s == 11) assert_int_equal(verdict.drop, Drop::stale_challenge);
  }
}

void an_answer_to_another_node_proves_nothing(void**) {
  Node a(0, 11);
  Node b(1, 22);
  Node c(2, 33);
  const Frame hello = copy(c.receive(a.send()).reply);
  b.receive(a.send());  // b has a challenge of the same number open
  const Frame answer_to_c = copy(a.receive(hello).reply);
  assert_int_equal(drop_of(b.receive(answer_to_c)), Drop::other_destination);
  assert_true(c.receive(answer_to_c).became_current);
}

void renewal_starts_a_new_life_in_place(void**) {
  Node a(0, 11);
  Node b(1, 22);
  introduce(a, b);
  const Frame old_frame = a.send();
  a.session->renew(12);
  assert_true(a.receive(b.send()).is_delivered());  // peers stay known
  assert_int_equal(drop_of(a.receive(old_frame)), Drop::reflected);
  assert_int_equal(drop_of(b.receive(a.send())), Drop::unknown_incarnation);
  introduce(a, b);
  assert_true((b.session->current(0) == Incarnation{100, 12}));
  assert_int_equal(drop_of(b.receive(old_frame)), Drop::dead_incarnation);
}

// ---- Refusals ------------------------------------------------------------------------------------------

void own_frames_come_back(void**) {
  Node a(0, 11);
  assert_int_equal(drop_of(a.receive(a.send())), Drop::reflected);
}

void a_second_node_with_our_id_is_proven(void**) {
  Node a(0, 11);
  wire::SessionOptions twin_options = options_for(0, 99);
  twin_options.incarnation.boot_id = 555;
  Node twin(twin_options);
  const Verdict first = a.receive(twin.send());
  assert_int_equal(first.drop, Drop::foreign_own_id);
  assert_false(first.reply.empty());
  const Verdict answered = twin.receive(copy(first.reply));
  assert_int_equal(answered.drop, Drop::foreign_own_id);
  const Verdict proven = a.receive(copy(answered.reply));
  assert_int_equal(proven.drop, Drop::duplicate_node_id);
  assert_true(proven.worth_logging);
  assert_true((proven.delivered.incarnation == Incarnation{555, 99}));
  const Verdict mutual = twin.receive(copy(proven.reply));
  assert_int_equal(mutual.drop, Drop::duplicate_node_id);
  assert_false(proven.yield);  // equal standing: the lower start_id stays
  assert_true(mutual.yield);
}

// Whatever their start_ids, the better established one stays, and both know.
void of_two_under_one_id_the_better_established_stays(void**) {
  using wire::Standing;
  for (const Standing a_is : {Standing::newcomer, Standing::settled, Standing::serving})
    for (const Standing b_is : {Standing::newcomer, Standing::settled, Standing::serving}) {
      pass(Duration::from_s(2));
      Node a(0, 99);
      Node b(0, 11);
      a.session->set_standing(a_is);
      b.session->set_standing(b_is);
      const Verdict answered = b.receive(copy(a.receive(b.send()).reply));
      const Verdict at_a = a.receive(copy(answered.reply));
      const Verdict at_b = b.receive(copy(at_a.reply));
      assert_int_equal(at_a.drop, Drop::duplicate_node_id);
      assert_int_equal(at_b.drop, Drop::duplicate_node_id);
      assert_int_not_equal(at_a.yield, at_b.yield);
      assert_int_equal(at_a.yield, a_is <= b_is);
    }
}

// A node that our configuration does not have, in both directions: by its name, and by its id alone.
void strangers_are_asked_for_their_name(void**) {
  for (const char* name : {"b", "zeta"}) {
    pass(Duration::from_s(2));
    wire::SessionOptions options = options_for(3, 33);
    options.self = 9;
    options.configured = NodeSet::from_bits(0b1000000001);
    options.name_hashes[9] = wire::name_hash_of(name);
    options.reach[9] = options.reach[0];
    Node stranger(options);
    Node a(0, 11);
    const Verdict first = a.receive(stranger.send());
    assert_int_equal(first.drop, Drop::unknown_incarnation);
    assert_int_equal(first.reply_to, 9);
    const Verdict proven = a.receive(copy(stranger.receive(copy(first.reply)).reply));
    const bool taken = std::string_view(name) == "b";
    assert_int_equal(proven.drop, taken ? Drop::duplicate_node_name : Drop::unknown_sender);
    assert_int_equal(proven.named, taken ? 1 : no_node);
    assert_true(proven.worth_logging);
    assert_false(proven.became_current);
    assert_false(a.receive(stranger.send()).is_delivered());
  }
}

void greetings_tell_the_time_unasked(void**) {
  Node a(0, 11);
  Node b(1, 22);
  introduce(a, b);
  a.session->set_wall_offset(Duration::from_s(1'000'000));
  a.session->set_standing(wire::Standing::serving);
  Frame frame(limits::frame_bytes);
  frame.resize(a.session->greet(now_, 0, frame));
  const Verdict verdict = b.receive(frame);
  assert_int_equal(verdict.drop, Drop::handshake);
  assert_non_null(verdict.hello);
  assert_int_equal(verdict.hello->wall_ns, (now_ + Duration::from_s(1'000'000)).ns);
  assert_int_equal(verdict.hello->standing, wire::Standing::serving);
  assert_true(verdict.reply.empty());
  assert_int_equal(drop_of(b.receive(frame)), Drop::replayed);
  // Of a life that is not current it tells nothing.
  Node c(2, 33);
  frame.resize(limits::frame_bytes);
  frame.resize(c.session->greet(now_, 0, frame));
  assert_null(b.receive(frame).hello);
}

// Frames of our own life before the restart look the same, but nobody answers for them.
void our_own_past_is_no_second_node(void**) {
  std::vector<Frame> recording;
  {
    Node a(0, 11);
    Node b(1, 22);
    recording = introduce(a, b);
    for (int i = 0; i < 20; ++i) recording.push_back(a.send());
  }
  Node a(0, 12);
  for (const Frame& frame : recording) {
    pass(Duration::from_s(2));
    assert_int_not_equal(drop_of(a.receive(frame)), Drop::duplicate_node_id);
  }
}

void each_refusal_has_its_own_name(void**) {
  Node b(1, 22);
  Frame frame(limits::frame_bytes);

  wire::SessionOptions other_cluster = options_for(0, 11);
  other_cluster.cluster_id = 0xc2;
  assert_int_equal(drop_of(b.receive(Node(other_cluster).send())), Drop::wrong_cluster);
  assert_int_equal(drop_of(b.receive(Node(options_for(0, 11), {43}).send())), Drop::wrong_tag);
  assert_int_equal(drop_of(b.receive(Node(options_for(0, 11), cluster_key, 2).send())), Drop::unknown_key);

  Node a(0, 11);
  assert_int_equal(drop_of(b.receive(a.send(0, FrameType::ack, 2))), Drop::other_destination);
  assert_int_equal(drop_of(b.receive({})), Drop::wrong_length);
  assert_int_equal(drop_of(b.receive({0x56, 1, 1})), Drop::wrong_length);
  assert_int_equal(drop_of(b.receive({0x45, 0, 0})), Drop::wrong_magic);
  Frame newer = a.send();
  newer[1] = 2;
  const Verdict of_newer = b.receive(newer);
  assert_int_equal(of_newer.drop, Drop::wrong_version);
  assert_int_equal(of_newer.sender, 0);  // its place is fixed
  newer[4] ^= 1;
  assert_int_equal(drop_of(b.receive(newer)), Drop::wrong_cluster);
  introduce(a, b);
  assert_int_equal(drop_of(b.receive(a.send(0, static_cast<FrameType>(6)))), Drop::unknown_type);
  assert_int_equal(drop_of(b.receive(a.send(0, FrameType::hello))), Drop::malformed);

  for (std::size_t reason = 0; reason < wire::drop_count; ++reason) {
    assert_false(wire::to_string(static_cast<Drop>(reason)).empty());
    assert_false(wire::explain(static_cast<Drop>(reason)).empty());
  }
}

void a_node_of_another_name_is_refused(void**) {
  wire::SessionOptions renamed = options_for(0, 11);
  renamed.name_hashes[0] = wire::name_hash_of("zeta");
  Node a(renamed);
  Node b(1, 22);
  introduce(a, b);
  assert_false(b.session->current(0).known());
  assert_int_equal(b.session->dropped(Drop::wrong_name), 2);
  assert_true(a.session->current(1).known());
}

// Answers made by hand: of releases that speak other protocols, and to challenges that do not exist.
void protocols_must_overlap_and_challenges_exist(void**) {
  struct Case {
    std::uint8_t oldest;
    std::uint8_t newest;
    std::uint64_t challenge;  // 1 is open
    Drop expected;
  };
  const std::vector<Case> cases{{1, 1, 1, Drop::handshake},      {1, 9, 1, Drop::handshake},
                                {2, 9, 1, Drop::wrong_protocol}, {1, 1, 0, Drop::stale_challenge},
                                {1, 1, 2, Drop::stale_challenge}, {9, 1, 1, Drop::malformed}};
  for (const Case& c : cases) {
    Node a(0, 11);
    Node b(1, 22);
    b.receive(a.send());
    wire::Hello hello;
    hello.protocol_oldest = c.oldest;
    hello.protocol_newest = c.newest;
    hello.name_hash = wire::name_hash_of("a");
    hello.echo_start_id = 22;
    hello.echo_challenge = c.challenge;
    std::array<std::uint8_t, wire::hello_body_max> bytes;
    wire::ByteWriter writer(bytes);
    wire::encode_hello(writer, hello);
    Frame frame(limits::frame_bytes);
    frame.resize(a.session->seal(FrameType::hello_ack, 1, 0, writer.written(), frame));
    const Verdict verdict = b.receive(frame);
    assert_int_equal(verdict.drop, c.expected);
    assert_int_equal(verdict.became_current, c.expected == Drop::handshake);
    assert_int_equal(verdict.config_differs, c.expected == Drop::handshake);  // its hash is 0, ours 5
  }
}

void log_hints_are_rare(void**) {
  Node b(1, 22);
  Node wrong(options_for(0, 11), {43});
  const Verdict first = b.receive(wrong.send());
  assert_true(first.worth_logging);
  for (int i = 0; i < 50; ++i) assert_false(b.receive(wrong.send()).worth_logging);
  assert_true(b.receive(Node(options_for(2, 33), {43}).send()).worth_logging);  // another sender
  pass(Duration::from_s(10));
  const Verdict later = b.receive(wrong.send());
  assert_true(later.worth_logging);
  assert_int_equal(later.suppressed, 50);
  assert_int_equal(b.session->dropped(Drop::wrong_tag), 53);
}

void hellos_round_trip(void**) {
  wire::Hello hello;
  hello.protocol_oldest = 1;
  hello.protocol_newest = 255;
  hello.boot_id = hello.config_hash = hello.name_hash = hello.challenge = UINT64_MAX;
  hello.echo_start_id = hello.echo_challenge = UINT64_MAX;
  hello.wall_ns = INT64_MAX;
  hello.standing = wire::Standing::serving;
  for (std::size_t i = 0; i < limits::max_links; ++i) hello.next_sequence.push(UINT64_MAX);
  std::array<std::uint8_t, wire::hello_body_max> bytes;
  wire::ByteWriter writer(bytes);
  wire::encode_hello(writer, hello);
  assert_true(writer.ok());
  assert_int_equal(writer.size(), wire::hello_body_max);
  wire::Hello read;
  assert_true(wire::decode_hello(bytes, read));
  assert_true(read == hello);
  for (std::size_t size = 0; size < bytes.size(); ++size)
    assert_false(wire::decode_hello(wire::Bytes(bytes).first(size), read));
  // What a release without the second block sends.
  bytes[0] = 1;
  assert_true(wire::decode_hello(wire::Bytes(bytes).first(bytes.size() - 10), read));
  hello.wall_ns = 0;
  hello.standing = wire::Standing::newcomer;
  assert_true(read == hello);
}

// Links reach each other by kind and network.
void reach_follows_the_configuration(void**) {
  ClusterConfig config;
  config.cluster_id = 9;
  for (NodeId id = 0; id < 2; ++id) {
    NodeConfig node;
    node.id = id;
    node.name = id == 0 ? "alpha" : "beta";
    for (const NetworkIndex network : std::array<NetworkIndex, 3>{0, 0, 1}) {
      AdapterConfig adapter;
      adapter.network = network;
      node.adapters.push(adapter);
    }
    node.links.push({LinkKind::ethernet, 0, true});
    node.links.push({LinkKind::udp, 0, true});
    node.links.push({LinkKind::ethernet, 1, true});
    node.links.push({LinkKind::serial, 2, false});
    config.nodes.push(node);
  }
  const wire::SessionOptions options = wire::session_options_of(config, 1, {1, 2});
  assert_int_equal(options.cluster_id, 9);
  assert_int_equal(options.link_count, 4);
  assert_true(options.configured == NodeSet::from_bits(3));
  assert_int_equal(options.reach[0][0], 0b0101);
  assert_int_equal(options.reach[0][1], 0b0010);
  assert_int_equal(options.reach[0][2], 0b0101);
  assert_int_equal(options.reach[0][3], 0b1000);
  assert_true(options.name_hashes[0] == wire::name_hash_of("alpha"));
  assert_true(options.late_limit == config.timing.detection);
}

}  // namespace

int main() {
  if (!wire::prepare_cryptography().ok()) return 1;
  const CMUnitTest tests[] = {
      cmocka_unit_test(a_stranger_is_asked_before_it_is_believed),
      cmocka_unit_test(hellos_are_limited_per_peer_and_link),
      cmocka_unit_test(a_lost_hello_is_sent_again),
      cmocka_unit_test(each_frame_is_believed_once_per_own_link),
      cmocka_unit_test(reordering_is_tolerated_within_window_and_time),
      cmocka_unit_test(a_recording_on_another_link_is_stale),
      cmocka_unit_test(a_recording_from_before_the_receivers_restart_is_stale),
      cmocka_unit_test(no_kind_of_frame_can_be_replayed_reflected_or_forged),
      cmocka_unit_test(a_change_of_keys_loses_no_frame),
      cmocka_unit_test(a_new_life_replaces_the_old_for_good),
      cmocka_unit_test(a_dead_life_cannot_be_replayed_after_the_receivers_restart),
      cmocka_unit_test(a_new_life_waits_for_the_old_ones_silence),
      cmocka_unit_test(a_receivers_own_stall_is_nobodys_silence),
      cmocka_unit_test(two_machines_under_one_id_never_take_turns),
      cmocka_unit_test(forgotten_dead_lives_stay_dead),
      cmocka_unit_test(challenges_expire),
      cmocka_unit_test(an_answer_to_another_node_proves_nothing),
      cmocka_unit_test(renewal_starts_a_new_life_in_place),
      cmocka_unit_test(own_frames_come_back),
      cmocka_unit_test(a_second_node_with_our_id_is_proven),
      cmocka_unit_test(of_two_under_one_id_the_better_established_stays),
      cmocka_unit_test(strangers_are_asked_for_their_name),
      cmocka_unit_test(greetings_tell_the_time_unasked),
      cmocka_unit_test(our_own_past_is_no_second_node),
      cmocka_unit_test(each_refusal_has_its_own_name),
      cmocka_unit_test(a_node_of_another_name_is_refused),
      cmocka_unit_test(protocols_must_overlap_and_challenges_exist),
      cmocka_unit_test(log_hints_are_rare),
      cmocka_unit_test(hellos_round_trip),
      cmocka_unit_test(reach_follows_the_configuration),
  };
  return cmocka_run_group_tests_name("wire/session", tests, nullptr, nullptr);
}
