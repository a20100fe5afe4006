// Which frames are believed. The rules and their reasons are in the header file; what the reasons for
// dropping are called is in drop_text.cpp.
#include "runtime/wire/session.hpp"

#include <sodium.h>

#include <algorithm>
#include <bit>

#include "runtime/wire/revision.hpp"

namespace vigil::wire {

namespace {

// A second node with our id, or one with an unknown id, is a standing fault: asking once a second is enough to
// name it.
constexpr Duration fault_hello_interval = Duration::from_s(1);

template <std::size_t N>
bool contains(const BoundedVector<std::uint64_t, N>& items, std::uint64_t item) {
  return std::find(items.begin(), items.end(), item) != items.end();
}

template <std::size_t N>
void push_newest(BoundedVector<std::uint64_t, N>& items, std::uint64_t item) {
  if (items.full()) items.erase(0);
  items.push(item);
}

bool is_handshake(FrameType type) { return type == FrameType::hello || type == FrameType::hello_ack; }

}  // namespace

// ---- Options -----------------------------------------------------------------------------------------

std::uint64_t name_hash_of(std::string_view name) {
  static constexpr std::array<std::uint8_t, crypto_shorthash_KEYBYTES> key{'v', 'i', 'g', 'i', 'l', ' ',
                                                                          'n', 'o', 'd', 'e', ' ', 'n',
                                                                          'a', 'm', 'e', '1'};
  std::array<std::uint8_t, crypto_shorthash_BYTES> hash{};
  crypto_shorthash(hash.data(), reinterpret_cast<const std::uint8_t*>(name.data()), name.size(), key.data());
  return ByteReader(hash).get_u64();
}

SessionOptions session_options_of(const ClusterConfig& config, NodeId self, const Incarnation& incarnation) {
  VIGIL_ASSERT(self < config.nodes.size());
  const NodeConfig& own = config.nodes[self];
  SessionOptions options;
  options.self = self;
  options.incarnation = incarnation;
  options.cluster_id = config.cluster_id;
  options.config_hash = config.hash;
  options.link_count = static_cast<std::uint8_t>(own.links.size());
  options.late_limit = config.timing.detection;
  options.succession = config.timing.detection;
  for (std::size_t n = 0; n < config.nodes.size(); ++n) {
    const NodeConfig& node = config.nodes[n];
    if (node.id != n) continue;
    options.configured.add(node.id);
    options.name_hashes[n] = name_hash_of(node.name.view());
    for (std::size_t mine = 0; mine < own.links.size(); ++mine) {
      const NetworkIndex network = own.adapters[own.links[mine].adapter].network;
      for (std::size_t theirs = 0; theirs < node.links.size(); ++theirs) {
        const LinkConfig& link = node.links[theirs];
        if (link.kind == own.links[mine].kind && node.adapters[link.adapter].network == network)
          options.reach[n][mine] = static_cast<std::uint8_t>(options.reach[n][mine] | 1u << theirs);
      }
    }
  }
  return options;
}

// ---- Sending -----------------------------------------------------------------------------------------

Session::Session(const SessionOptions& options, const KeyRing& keys)
    : options_(options), keys_(keys), peers_(static_cast<std::size_t>(std::bit_width(options.configured.bits()))) {
  VIGIL_ASSERT(options.configured.has(options.self));
  VIGIL_ASSERT(options.incarnation.known());
  VIGIL_ASSERT(options.link_count <= limits::max_links);
  VIGIL_ASSERT(!keys.empty());
  next_sequence_.fill(1);
}

std::size_t Session::seal(FrameType type, NodeId to, LinkIndex by, Bytes body, MutableBytes out) {
  VIGIL_ASSERT(by < options_.link_count);
  FrameHeader header;
  header.type = type;
  header.cluster_id = options_.cluster_id;
  header.from = options_.self;
  header.to = to;
  header.link = by;
  header.start_id = options_.incarnation.start_id;
  header.sequence = next_sequence_[by]++;
  return wire::seal(keys_, header, body, out);
}

// Challenges name our start_id: those issued under the old one can no longer be answered.
void Session::renew(std::uint64_t start_id) {
  VIGIL_ASSERT(start_id != 0);
  VIGIL_ASSERT(!is_own(start_id));
  push_newest(former_start_ids_, options_.incarnation.start_id);
  options_.incarnation.start_id = start_id;
  next_sequence_.fill(1);
}

bool Session::is_own(std::uint64_t start_id) const {
  return start_id == options_.incarnation.start_id || contains(former_start_ids_, start_id);
}

std::size_t Session::greet(Instant now, LinkIndex by, MutableBytes out) {
  std::array<std::uint8_t, hello_body_max> body;
  ByteWriter writer(body);
  encode_hello(writer, own_hello(now));
  VIGIL_ASSERT(writer.ok());
  return seal(FrameType::hello, broadcast_node, by, writer.written(), out);
}

Hello Session::own_hello(Instant now) const {
  Hello hello;
  hello.protocol_oldest = protocol_oldest;
  hello.protocol_newest = protocol_newest;
  hello.boot_id = options_.incarnation.boot_id;
  hello.config_hash = options_.config_hash;
  hello.name_hash = options_.name_hashes[options_.self];
  hello.wall_ns = std::max<std::int64_t>((now + wall_offset_).ns, 0);
  hello.standing = standing_;
  for (std::size_t link = 0; link < options_.link_count; ++link) hello.next_sequence.push(next_sequence_[link]);
  return hello;
}

// ---- Receiving ---------------------------------------------------------------------------------------

Verdict Session::on_frame(Instant now, Bytes frame, LinkIndex by) {
  VIGIL_ASSERT(by < options_.link_count);
  Verdict verdict;
  Arrival arrival;
  arrival.now = now;
  arrival.by = by;
  verdict.drop = screen(frame, arrival.header);
  verdict.sender = arrival.header.from;
  if (verdict.drop == Drop::none) {
    std::size_t size = 0;
    if (open(keys_, frame, body_, size)) {
      arrival.body = Bytes(body_.data(), size);
      judge(arrival, verdict);
      note_key(arrival.header, now);
    } else {
      verdict.drop = Drop::wrong_tag;
    }
  }
  account(now, verdict);
  return verdict;
}

void Session::note_key(const FrameHeader& header, Instant now) {
  heard_under_[header.key_id] = now;
  if (!options_.configured.has(header.from)) return;
  Sealed& sealed = sealed_by_[header.from];
  const bool current = header.start_id == peers_[header.from].current.start_id;
  if (sealed.key_id == 0 || sealed.current != current) sealed.since = now;
  sealed = {header.key_id, now, current, sealed.since};
}

// What can be told from the clear header alone.
Drop Session::screen(Bytes frame, FrameHeader& header) const {
  switch (read_header(frame, header)) {
    case HeaderStatus::ok: break;
    case HeaderStatus::wrong_length: return Drop::wrong_length;
    case HeaderStatus::wrong_magic: return Drop::wrong_magic;
    case HeaderStatus::wrong_version:
      return header.cluster_id == options_.cluster_id ? Drop::wrong_version : Drop::wrong_cluster;
  }
  if (header.cluster_id != options_.cluster_id) return Drop::wrong_cluster;
  if (header.to != broadcast_node && header.to != options_.self) return Drop::other_destination;
  if (header.from == options_.self && is_own(header.start_id)) return Drop::reflected;
  if (header.from >= limits::max_nodes || header.link >= limits::max_links) return Drop::malformed;
  if (header.start_id == 0 || header.sequence == 0) return Drop::malformed;
  if (!keys_.has(header.key_id)) return Drop::unknown_key;
  return Drop::none;
}

// The tag was right: somebody who has the key sent this, some time.
void Session::judge(const Arrival& arrival, Verdict& verdict) {
  const FrameHeader& header = arrival.header;
  if (header.from == options_.self) {
    verdict.drop = on_own_id(arrival, verdict);
    return;
  }
  if (!options_.configured.has(header.from)) {
    verdict.drop = on_stranger(arrival, verdict);
    return;
  }
  const Peer& peer = peers_[header.from];
  if ((options_.reach[header.from][arrival.by] >> header.link & 1) == 0)
    verdict.drop = Drop::wrong_link;
  else if (header.start_id == peer.current.start_id)
    verdict.drop = on_current(arrival, verdict);
  else if (contains(peer.dead, header.start_id))
    verdict.drop = Drop::dead_incarnation;
  else
    verdict.drop = on_not_current(arrival, verdict);
}

Drop Session::on_current(const Arrival& arrival, Verdict& verdict) {
  const FrameHeader& header = arrival.header;
  Peer& peer = peers_[header.from];
  const Drop refused = admit(peer.links[header.link], arrival);
  if (refused != Drop::none) return refused;
  note_alive(peer, arrival.now);
  if (is_handshake(header.type)) {
    if (!decode_hello(arrival.body, hello_)) return Drop::malformed;
    verdict.hello = &hello_;
    return answer(arrival, hello_, false, verdict);
  }
  const bool known =
      header.type == FrameType::heartbeat || header.type == FrameType::ack || header.type == FrameType::fragment;
  if (!known) return Drop::unknown_type;
  verdict.delivered = {header.from, peer.current, header.type, header.link, header.sequence, arrival.body};
  return Drop::none;
}

Drop Session::on_not_current(const Arrival& arrival, Verdict& verdict) {
  if (!is_handshake(arrival.header.type)) {
    ask(arrival, verdict);
    return Drop::unknown_incarnation;
  }
  if (!decode_hello(arrival.body, hello_)) return Drop::malformed;
  if (arrival.header.type == FrameType::hello) return answer(arrival, hello_, true, verdict);

  const Drop refused = judge_echo(arrival, hello_, verdict);
  if (refused != Drop::none) return refused;
  const Peer& peer = peers_[arrival.header.from];
  if (peer.current.known() && hello_.echo_challenge <= peer.challenges.early) return on_rival(arrival, hello_, verdict);
  make_current(arrival, hello_);
  verdict.became_current = true;
  verdict.config_differs = hello_.config_hash != options_.config_hash;
  verdict.hello = &hello_;
  verdict.delivered.from = arrival.header.from;
  verdict.delivered.incarnation = peer.current;
  return answer(arrival, hello_, false, verdict);
}

// Alive, and so was the current life a moment ago: it has just died, or there are two.
Drop Session::on_rival(const Arrival& arrival, const Hello& hello, Verdict& verdict) {
  Peer& peer = peers_[arrival.header.from];
  if (peer.rival != arrival.header.start_id) {
    peer.rival = arrival.header.start_id;
    peer.rival_since = arrival.now;
  }
  answer(arrival, hello, false, verdict);
  if (peer.heard_at - peer.rival_since < options_.succession) return Drop::awaits_silence;
  verdict.delivered.from = arrival.header.from;
  verdict.delivered.incarnation = {hello.boot_id, arrival.header.start_id};
  return Drop::duplicate_node_id;
}

// A node that our configuration does not have, and the key that it needs to say so.
Drop Session::on_stranger(const Arrival& arrival, Verdict& verdict) {
  if (!is_handshake(arrival.header.type)) {
    ask(arrival, verdict);
    return Drop::unknown_incarnation;
  }
  if (!decode_hello(arrival.body, hello_)) return Drop::malformed;
  if (arrival.header.type == FrameType::hello) return answer(arrival, hello_, true, verdict);
  const Drop refused = judge_echo(arrival, hello_, verdict);
  answer(arrival, hello_, false, verdict);
  if (refused == Drop::stale_challenge) return refused;
  stranger_.challenges.settled = stranger_.challenges.issued;
  return refused;
}

// Our own id under a start_id that was never ours.
Drop Session::on_own_id(const Arrival& arrival, Verdict& verdict) {
  if (!is_handshake(arrival.header.type)) {
    ask(arrival, verdict);
    return Drop::foreign_own_id;
  }
  if (!decode_hello(arrival.body, hello_)) return Drop::malformed;
  if (arrival.header.type == FrameType::hello) {
    answer(arrival, hello_, true, verdict);
    return Drop::foreign_own_id;
  }
  const Drop refused = judge_echo(arrival, hello_, verdict);
  answer(arrival, hello_, false, verdict);
  if (refused == Drop::stale_challenge) return refused;
  Challenges& challenges = peers_[options_.self].challenges;
  challenges.settled = challenges.issued;
  verdict.delivered.from = options_.self;
  verdict.delivered.incarnation = {hello_.boot_id, arrival.header.start_id};
  verdict.yield = hello_.standing != standing_ ? hello_.standing > standing_
                                               : arrival.header.start_id < options_.incarnation.start_id;
  return Drop::duplicate_node_id;
}

// Answers a challenge, if the hello has one and we answered none on this link just now.
Drop Session::answer(const Arrival& arrival, const Hello& hello, bool challenge_too, Verdict& verdict) {
  Peer& peer = peer_of(arrival.header.from);
  if (hello.challenge == 0 || arrival.now < peer.next_answer[arrival.by]) return Drop::handshake;
  peer.next_answer[arrival.by] = arrival.now + options_.hello_interval / 4;
  Hello mine = own_hello(arrival.now);
  mine.echo_start_id = arrival.header.start_id;
  mine.echo_challenge = hello.challenge;
  if (challenge_too) mine.challenge = new_challenge(peer, arrival.now);
  reply(arrival, FrameType::hello_ack, mine, verdict);
  return Drop::handshake;
}

// Whether this hello_ack answers a challenge of ours that is still open, and its sender fits.
Drop Session::judge_echo(const Arrival& arrival, const Hello& hello, Verdict& verdict) {
  Peer& peer = peer_of(arrival.header.from);
  expire_challenges(peer, arrival.now);
  const Challenges& challenges = peer.challenges;
  if (hello.echo_start_id != options_.incarnation.start_id) return Drop::stale_challenge;
  if (hello.echo_challenge <= challenges.settled) return Drop::stale_challenge;
  if (hello.echo_challenge > challenges.issued) return Drop::stale_challenge;
  if (hello.protocol_oldest > protocol_newest || hello.protocol_newest < protocol_oldest) return Drop::wrong_protocol;
  verdict.named = node_named(hello.name_hash);
  if (verdict.named == arrival.header.from) return Drop::none;
  if (verdict.named != no_node) return Drop::duplicate_node_name;
  return options_.configured.has(arrival.header.from) ? Drop::wrong_name : Drop::unknown_sender;
}

NodeId Session::node_named(std::uint64_t name_hash) const {
  for (const NodeId node : options_.configured)
    if (options_.name_hashes[node] == name_hash) return node;
  return no_node;
}

void Session::make_current(const Arrival& arrival, const Hello& hello) {
  Peer& peer = peers_[arrival.header.from];
  if (peer.current.known()) push_newest(peer.dead, peer.current.start_id);
  peer.current = {hello.boot_id, arrival.header.start_id};
  peer.challenges.settled = peer.challenges.issued;
  note_alive(peer, arrival.now);
  for (std::size_t i = 0; i < peer.links.size(); ++i) {
    PeerLink& link = peer.links[i];
    link = PeerLink{};
    link.highest_at = arrival.now;
    if (i < hello.next_sequence.size()) link.floor = hello.next_sequence[i];
  }
  // The frame that carried this was sealed after the sequences in it were read.
  PeerLink& own = peer.links[arrival.header.link];
  own.highest = arrival.header.sequence;
  own.windows[arrival.by].mark(arrival.header.sequence);
}

// Whoever was asked before this moment was asked while the current life went on.
void Session::note_alive(Peer& peer, Instant now) const {
  peer.heard_at = now;
  peer.challenges.early = peer.challenges.issued;
}

// Notes a frame of a current incarnation, or says why it is not new.
Drop Session::admit(PeerLink& link, const Arrival& arrival) const {
  const std::uint64_t sequence = arrival.header.sequence;
  ReplayWindow& window = link.windows[arrival.by];
  if (sequence < link.floor) return Drop::before_handshake;
  if (window.has_seen(sequence)) return Drop::replayed;
  if (sequence <= link.highest) {
    if (link.highest - sequence >= ReplayWindow::width) return Drop::replayed;
    if (arrival.now - link.highest_at > options_.late_limit) return Drop::late;
  } else {
    link.highest = sequence;
    link.highest_at = arrival.now;
  }
  window.mark(sequence);
  return Drop::none;
}

// ---- Asking ------------------------------------------------------------------------------------------

void Session::ask(const Arrival& arrival, Verdict& verdict) {
  const NodeId from = arrival.header.from;
  const bool fault = from == options_.self || !options_.configured.has(from);
  Peer& peer = peer_of(from);
  if (arrival.now < peer.next_hello[arrival.by]) return;
  peer.next_hello[arrival.by] = arrival.now + (fault ? fault_hello_interval : options_.hello_interval);
  Hello hello = own_hello(arrival.now);
  hello.challenge = new_challenge(peer, arrival.now);
  reply(arrival, FrameType::hello, hello, verdict);
}

std::uint64_t Session::new_challenge(Peer& peer, Instant now) {
  expire_challenges(peer, now);
  ++peer.challenges.issued;
  if (now - peer.heard_at < options_.succession) peer.challenges.early = peer.challenges.issued;
  return peer.challenges.issued;
}

// A challenge lives between one and two challenge_life: those issued in one life age together.
void Session::expire_challenges(Peer& peer, Instant now) const {
  Challenges& challenges = peer.challenges;
  if (now < challenges.ages_at) return;
  const bool long_ago = now - challenges.ages_at >= options_.challenge_life;
  challenges.settled = std::max(challenges.settled, long_ago ? challenges.issued : challenges.aging);
  challenges.aging = challenges.issued;
  challenges.ages_at = now + options_.challenge_life;
}

void Session::reply(const Arrival& arrival, FrameType type, const Hello& hello, Verdict& verdict) {
  std::array<std::uint8_t, hello_body_max> body;
  ByteWriter writer(body);
  encode_hello(writer, hello);
  VIGIL_ASSERT(writer.ok());
  const std::size_t size = seal(type, arrival.header.from, arrival.by, writer.written(), reply_);
  verdict.reply = Bytes(reply_.data(), size);
  verdict.reply_to = arrival.header.from;
}

// ---- Accounts ----------------------------------------------------------------------------------------

void Session::account(Instant now, Verdict& verdict) {
  if (verdict.is_delivered()) {
    ++delivered_;
    return;
  }
  const auto reason = static_cast<std::size_t>(verdict.drop);
  ++dropped_[reason];
  const bool normal = verdict.drop == Drop::other_destination || verdict.drop == Drop::reflected ||
                      verdict.drop == Drop::handshake || verdict.drop == Drop::unknown_incarnation ||
                      verdict.drop == Drop::before_handshake || verdict.drop == Drop::awaits_silence ||
                      verdict.drop == Drop::foreign_own_id || verdict.drop == Drop::stale_challenge;
  if (normal) return;
  LogState& log = logs_[reason][std::min<std::size_t>(verdict.sender, limits::max_nodes)];
  if (log.logged && now < log.next) {
    ++log.suppressed;
    return;
  }
  verdict.worth_logging = true;
  verdict.suppressed = log.suppressed;
  log = {true, now + options_.log_interval, 0};
}

}  // namespace vigil::wire
