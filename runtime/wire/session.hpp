// Decides which frames are believed: from whom, in which life of that node, and that they are new.
// Pure: time and randomness come in as arguments, replies leave as bytes.
//
// Incarnations. A frame of an incarnation that is not current is never delivered; it makes us ask.
//
//     frame under start_id S (not current)   ->
//                                            <-   hello {challenge c}, to that node, on that link
//     hello_ack {echo of our start_id and c} ->   S is current; what was current is dead for good
//
// The echo proves that S lives now: our start_id is random, c grows and is settled by the first
// answer, so no recording of an earlier life can hold it. Challenges expire, so that an answer caught
// and withheld on its way does not help for long. A hello of an unknown incarnation is answered and
// challenged in one frame. Nothing is timed here: heartbeats keep coming, and the next one asks again;
// hellos and answers are limited per peer and own link (a link that works one way only must not use
// up the allowance of the others).
//
// Replay within an incarnation. Sequences are per sender's link. Each pair (sender's link, own link)
// has its window, because a frame may reach us over two own links, and the detector wants to know both.
// Against a recording played on a link where the frames were never heard:
// - the hello_ack names the next sequence of each link of its sender: nothing older is ever accepted
//   (also not after our own restart, when our windows are empty);
// - what is not newer than the newest frame of that sender's link, heard by any own link, is accepted
//   only within late_limit of that newest frame;
// - links that the configuration does not join are not believed (`reach`).
//
// Succession. A life becomes current in place of another only after that one has been silent for
// `succession` (the detection time: the cluster would have given it up by then, and no lease ends sooner),
// and only by an answer to a challenge issued after that silence: frames of the old one that were waiting
// while we stalled are read first. Whoever answers while the current life goes on is a second machine
// under one id: it does not get in, and after `succession` beside the other it is reported
// (duplicate_node_id). So two that run under one id never take turns; the first one stays.
//
// Own id. Our own frames come back on some media: recognised by start_id, also by those of our earlier
// lives in this process. Any other start_id under our id is challenged like a peer's: a recording of
// an earlier life stays silent, a second node with our id answers, and is reported (duplicate_node_id).
// Both compare their standing, then their start_ids, and so agree on which of them yields.
//
// Strangers: nodes that hold the key, of this cluster by name, with an id that our configuration does not
// have. They are asked too, one at a time, for the name that they go by: it may be one of ours.
//
// The header of a frame is checked before its tag for cheapness; such a refusal only ever drops.
#pragma once

#include <array>
#include <string_view>
#include <vector>

#include "runtime/base/cluster.hpp"
#include "runtime/base/time.hpp"
#include "runtime/wire/hello.hpp"
#include "runtime/wire/replay_window.hpp"

namespace vigil::wire {

// Why a frame was not delivered.
enum class Drop : std::uint8_t {
  none,
  wrong_length,
  wrong_magic,
  wrong_version,
  wrong_cluster,
  other_destination,   // for another node on the same medium: normal
  reflected,           // our own frame: normal
  unknown_sender,
  unknown_key,
  wrong_tag,
  malformed,
  wrong_link,
  handshake,           // a hello or hello_ack, dealt with: normal
  awaits_silence,      // a new life has proven itself, its predecessor was heard just now: normal
  unknown_incarnation, // not current yet: a hello was sent, or was just before
  dead_incarnation,
  before_handshake,    // older than the hello_ack that made its incarnation current: in flight then, normal
  replayed,
  late,
  stale_challenge,     // of two answers to one question the second: normal
  wrong_protocol,
  wrong_name,
  foreign_own_id,      // under our id, not ours; unproven: it is asked, and told of once it is proven
  duplicate_node_id,   // two lives of one node, both alive: proven
  duplicate_node_name, // a node goes by the name of another one of our configuration: proven
  unknown_type,
  count_,
};
inline constexpr std::size_t drop_count = static_cast<std::size_t>(Drop::count_);

std::string_view to_string(Drop drop);
// What it means and what to do about it: one line for the log, without a trailing full stop.
std::string_view explain(Drop drop);

struct SessionOptions {
  NodeId self = no_node;
  Incarnation incarnation;         // own; start_id from the kernel's random source
  std::uint32_t cluster_id = 0;
  std::uint64_t config_hash = 0;
  std::uint8_t link_count = 0;     // own links
  NodeSet configured;              // nodes of the cluster, self included
  std::array<std::uint64_t, limits::max_nodes> name_hashes{};  // of the nodes' names by our configuration
  // reach[peer][own link], bit i: frames of the peer's link i may arrive there.
  std::array<std::array<std::uint8_t, limits::max_links>, limits::max_nodes> reach{};
  Duration hello_interval = Duration::from_ms(10);   // between hellos to one peer on one link
  Duration late_limit = Duration::from_ms(100);      // see above
  Duration challenge_life = Duration::from_s(5);     // answers that take longer do not count
  Duration succession = Duration::from_ms(100);      // silence of a life before another one succeeds it
  Duration log_interval = Duration::from_s(10);      // between two log hints of one reason and sender
};

// Of a node name, as hellos carry it.
std::uint64_t name_hash_of(std::string_view name);

// The options that a configuration implies. Links reach each other when they are of the same kind on
// the same network. late_limit and succession are the detection time.
SessionOptions session_options_of(const ClusterConfig& config, NodeId self, const Incarnation& incarnation);

struct Delivered {
  NodeId from = no_node;
  Incarnation incarnation;  // current, proven
  FrameType type = FrameType::heartbeat;  // heartbeat, ack or fragment
  LinkIndex peer_link = 0;
  std::uint64_t sequence = 0;
  Bytes body;               // valid until the next on_frame()
};

struct Verdict {
  Drop drop = Drop::none;      // none: delivered
  Delivered delivered;
  Bytes reply;                 // to be sent on the link the frame came by; valid until the next on_frame()
  NodeId reply_to = no_node;
  bool became_current = false; // this hello_ack made peer's incarnation current (delivered.from, .incarnation)
  bool config_differs = false; // … and its configuration hash is not ours
  bool yield = false;          // duplicate_node_id of our own id: it is we who must stay out
  NodeId named = no_node;      // wrong_name, duplicate_node_name: whose name by our configuration; no_node: nobody's
  const Hello* hello = nullptr;  // what a current peer's hello said; valid until the next on_frame()
  bool worth_logging = false;  // first of its reason and sender, or the first since log_interval
  std::uint64_t suppressed = 0;  // how many of that reason and sender went unlogged since
  NodeId sender = no_node;     // as the frame says; believed only where the tag was right

  bool is_delivered() const { return drop == Drop::none; }
};

class Session {
 public:
  // `keys` holds at least one key and outlives the session. Allocates here and nowhere else.
  Session(const SessionOptions& options, const KeyRing& keys);

  // Judges a frame that arrived on an own link.
  Verdict on_frame(Instant now, Bytes frame, LinkIndex by);

  // Seals a body to be sent on an own link; returns the frame's length. `out` holds
  // frame_size(body.size()).
  std::size_t seal(FrameType type, NodeId to, LinkIndex by, Bytes body, MutableBytes out);

  // A new life of this node in the same process (after an expulsion): new start_id, sequences from 1,
  // peers stay known. `start_id` is fresh and random.
  void renew(std::uint64_t start_id);
  // The configuration was replaced; hellos carry this from now on.
  void set_config_hash(std::uint64_t hash) { options_.config_hash = hash; }
  // What hellos say of this node from now on. `wall_offset`: CLOCK_REALTIME less the clock of all Instants here.
  void set_standing(Standing standing) { standing_ = standing; }
  void set_wall_offset(Duration wall_offset) { wall_offset_ = wall_offset; }

  // Seals a hello for everybody that asks nothing: how things stand. `out` holds frame_size(hello_body_max).
  std::size_t greet(Instant now, LinkIndex by, MutableBytes out);

  // What is current of a peer; not known() before its handshake.
  Incarnation current(NodeId peer) const { return peer < peers_.size() ? peers_[peer].current : Incarnation{}; }
  // When a frame last came that was sealed under this key, whoever sent it.
  Instant heard_under(std::uint8_t key_id) const { return heard_under_[key_id]; }
  // Under which key a node's newest frame was sealed, and whether that was of the life that is current here.
  struct Sealed {
    std::uint8_t key_id = 0;  // 0: none came yet
    Instant at;
    bool current = false;
    Instant since;  // all were of a life that is not current, or all of one that is
  };
  const Sealed& sealed_by(NodeId peer) const { return sealed_by_[peer]; }
  std::uint64_t delivered() const { return delivered_; }
  std::uint64_t dropped(Drop drop) const { return dropped_[static_cast<std::size_t>(drop)]; }

 private:
  // What came by one link of a peer, in its current incarnation.
  struct PeerLink {
    std::uint64_t floor = 1;    // nothing below is accepted
    std::uint64_t highest = 0;  // over all own links
    Instant highest_at;
    std::array<ReplayWindow, limits::max_links> windows;  // by own link
  };
  // Challenges issued to a peer are numbered from 1; those in (settled, issued] may still be answered.
  struct Challenges {
    std::uint64_t issued = 0;
    std::uint64_t settled = 0;
    std::uint64_t early = 0;  // those up to here were issued before the current life fell silent
    std::uint64_t aging = 0;  // those up to here become settled at `ages_at`
    Instant ages_at;
  };
  struct Peer {
    Incarnation current;
    BoundedVector<std::uint64_t, 8> dead;  // start_ids, oldest first
    Challenges challenges;
    Instant heard_at;                      // newest frame of the current life
    std::uint64_t rival = 0;               // start_id that proved itself beside it
    Instant rival_since;
    std::array<Instant, limits::max_links> next_hello;
    std::array<Instant, limits::max_links> next_answer;
    std::array<PeerLink, limits::max_links> links;
  };
  struct LogState {
    bool logged = false;
    Instant next;
    std::uint64_t suppressed = 0;
  };
  struct Arrival {
    Instant now;
    FrameHeader header;
    Bytes body;
    LinkIndex by = 0;
  };

  Peer& peer_of(NodeId node) { return options_.configured.has(node) ? peers_[node] : stranger_; }
  NodeId node_named(std::uint64_t name_hash) const;
  Drop screen(Bytes frame, FrameHeader& header) const;
  void note_key(const FrameHeader& header, Instant now);
  void judge(const Arrival& arrival, Verdict& verdict);
  Drop on_own_id(const Arrival& arrival, Verdict& verdict);
  Drop on_current(const Arrival& arrival, Verdict& verdict);
  Drop on_not_current(const Arrival& arrival, Verdict& verdict);
  Drop on_rival(const Arrival& arrival, const Hello& hello, Verdict& verdict);
  Drop on_stranger(const Arrival& arrival, Verdict& verdict);
  Drop answer(const Arrival& arrival, const Hello& hello, bool challenge_too, Verdict& verdict);
  Drop judge_echo(const Arrival& arrival, const Hello& hello, Verdict& verdict);
  Drop admit(PeerLink& link, const Arrival& arrival) const;
  void note_alive(Peer& peer, Instant now) const;
  void make_current(const Arrival& arrival, const Hello& hello);
  void ask(const Arrival& arrival, Verdict& verdict);
  std::uint64_t new_challenge(Peer& peer, Instant now);
  void expire_challenges(Peer& peer, Instant now) const;
  void reply(const Arrival& arrival, FrameType type, const Hello& hello, Verdict& verdict);
  Hello own_hello(Instant now) const;
  bool is_own(std::uint64_t start_id) const;
  void account(Instant now, Verdict& verdict);

  SessionOptions options_;
  const KeyRing& keys_;
  std::array<std::uint64_t, limits::max_links> next_sequence_{};
  BoundedVector<std::uint64_t, 8> former_start_ids_;  // own, of earlier lives in this process
  Standing standing_ = Standing::newcomer;
  Duration wall_offset_;
  std::vector<Peer> peers_;                            // by node, up to the highest configured
  Peer stranger_;                                      // all of them together: one is asked at a time
  Hello hello_;                                        // the newest, of whoever it was
  std::array<std::uint8_t, body_bytes_max> body_{};
  std::array<std::uint8_t, limits::frame_bytes> reply_{};
  std::array<Instant, 256> heard_under_{};
  std::array<Sealed, limits::max_nodes> sealed_by_{};
  std::uint64_t delivered_ = 0;
  std::array<std::uint64_t, drop_count> dropped_{};
  // By reason and claimed sender; the last row is for senders out of range.
  std::array<std::array<LogState, limits::max_nodes + 1>, drop_count> logs_{};
};

}  // namespace vigil::wire
