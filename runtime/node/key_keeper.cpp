#include "runtime/node/key_keeper.hpp"

#include <sodium.h>

namespace vigil {

namespace {

// Messages may be lost; the record shows what was heard.
constexpr Duration repeat = Duration::from_ms(200);
constexpr Duration retry = Duration::from_s(1);  // a full disk is emptied sooner or later
constexpr Duration patience = Duration::from_s(10);
constexpr Duration recent = Duration::from_s(2);

static_assert(crypto_box_PUBLICKEYBYTES == 32);
static_assert(crypto_box_SECRETKEYBYTES == 32);
static_assert(sizeof(KeyOffer::sealed) == cluster_key_bytes + crypto_box_SEALBYTES);

std::uint8_t successor(std::uint8_t id) { return static_cast<std::uint8_t>(id % 255 + 1); }

struct Secret {
  std::array<std::uint8_t, cluster_key_bytes> bytes{};
  ~Secret() { sodium_memzero(bytes.data(), bytes.size()); }
};

}  // namespace

Status accept_keys(const KeySet& keys, wire::KeyRing& ring) {
  Status fits;
  keys.each([&](std::uint8_t id, const ClusterKey& key) {
    if (fits) fits = ring.add(id, key.bytes());
  });
  return fits ? ring.activate(keys.active()) : fits;
}

KeyKeeper::KeyKeeper(const std::string& path, KeySet keys, wire::KeyRing& ring, Log& log, KeyListener& listener)
    : keys_(std::move(keys)), ring_(ring), log_(log), listener_(listener), store_(path, *this) {}

KeyKeeper::~KeyKeeper() { sodium_memzero(secret_key_.data(), secret_key_.size()); }

bool KeyKeeper::holds(std::uint8_t id, std::uint64_t print) const {
  const ClusterKey* key = keys_.find(id);
  return key != nullptr && fingerprint(id, key->bytes()) == print;
}

Status KeyKeeper::add(std::uint8_t id, ClusterKey::Bytes bytes) {
  if (const Status added = keys_.add(id, bytes); !added) return added;
  if (const Status accepted = ring_.add(id, bytes); !accepted) {
    keys_.remove(id);
    return accepted;
  }
  changed();
  return {};
}

void KeyKeeper::forget(std::uint8_t id) {
  keys_.remove(id);
  if (ring_.has(id) && ring_.active() != id) (void)ring_.remove(id).ok();
  changed();
}

void KeyKeeper::changed() {
  ++changes_;
  if (store_.busy()) return;  // written once the file under way is done
  storing_ = changes_;
  store_.save(keys_);
}

void KeyKeeper::on_keys_stored(std::string_view why) {
  if (why.empty()) {
    stored_ = storing_;
  } else if (!failed_) {
    log_.write(LogLevel::error, "the key file cannot be written, and a rotation waits for that: ", why);
  }
  failed_ = !why.empty();
  next_word_ = {};
  if (!failed_ && !stored()) {
    storing_ = changes_;
    store_.save(keys_);
  }
  listener_.on_keys_changed();
}

// ---- the operator's word -----------------------------------------------------------------------------

void KeyKeeper::rotate(std::uint64_t operation, std::span<const std::uint8_t> given, const KeyContext& context) {
  const auto refuse = [&](std::string_view why) { listener_.on_rotation_answer(operation, false, why); };
  const KeyState& state = context.committed->state.keys;
  if (!context.member) return refuse("this node is not a member of a cluster with quorum; ask on one that is");
  if (begun_ || state.phase != KeyPhase::settled)
    return refuse("another rotation is under way; 'vigil status' shows how far it is");
  if (ring_.active() != keys_.active()) return refuse("this node has not caught up with the cluster's key; try again in a moment");
  const std::uint8_t next = successor(keys_.active());
  if (keys_.has(next)) forget(next);  // of a rotation that was given up
  Secret secret;
  if (given.size() == secret.bytes.size())
    std::copy(given.begin(), given.end(), secret.bytes.begin());
  else
    randombytes_buf(secret.bytes.data(), secret.bytes.size());
  if (const Status added = add(next, secret.bytes); !added) return refuse("the new key cannot be used: " + added.error().message);
  begun_ = Begun{operation, next, fingerprint(next, secret.bytes), context.now + patience};
  follow(context);
}

// ---- following the record ----------------------------------------------------------------------------

void KeyKeeper::follow(const KeyContext& context) {
  if (context.committed->stamp != followed_) next_word_ = {};
  followed_ = context.committed->stamp;
  if (failed_ && !store_.busy() && context.now >= next_try_) {
    next_try_ = context.now + retry;
    changed();
  }
  if (begun_) follow_begun(context);
  switch (context.committed->state.keys.phase) {
    case KeyPhase::settled:
      return follow_settled(context);
    case KeyPhase::spreading:
      return follow_spreading(context);
    case KeyPhase::switching:
      return follow_switching(context);
  }
}

void KeyKeeper::follow_begun(const KeyContext& context) {
  const Begun begun = *begun_;
  const KeyState& state = context.committed->state.keys;
  if (state.next == begun.id && state.print == begun.print) {
    begun_.reset();
    const std::string text = "key " + std::to_string(begun.id) + " is made; every member fetches it";
    return listener_.on_rotation_answer(begun.operation, true, text);
  }
  const bool outrun = state.phase != KeyPhase::settled;
  if (outrun || context.now >= begun.give_up) {
    begun_.reset();
    // It may have been proposed, and be decided yet: only what follows from a record takes the key away.
    if (outrun) forget(begun.id);
    return listener_.on_rotation_answer(begun.operation, false,
                                        outrun    ? "another node began a rotation at the same moment; that one goes on"
                                        : failed_ ? "the key file cannot be written here; see the log of vigild"
                                                  : "no coordinator took it up within 10 s; nothing was changed");
  }
  if (stored()) tell(context, KeyStep::begin, begun.id, begun.print);
}

void KeyKeeper::seal_under(std::uint8_t id, Instant now) {
  if (ring_.active() == id) return;
  (void)ring_.activate(id).ok();
  sealing_since_ = now;
}

void KeyKeeper::send_under(std::uint8_t id, Instant now) {
  if (!keys_.has(id)) return;
  seal_under(id, now);
  if (keys_.active() == id) return;
  keys_.activate(id);
  changed();
}

bool KeyKeeper::may_be_told(const KeyContext& context) const {
  const KeyState& state = context.committed->state.keys;
  return stored() && !state.done.has(context.self) && context.stored.phase == state.phase &&
         context.stored.next == state.next && context.stored.print == state.print;
}

void KeyKeeper::follow_spreading(const KeyContext& context) {
  const KeyState& state = context.committed->state.keys;
  send_under(state.active, context.now);  // the next one was sent under before, and somebody joined who does not hold it
  if (!holds(state.next, state.print))
    return state.done.has(context.self) ? tell(context, KeyStep::lacks, state.next, state.print) : ask(context);
  if (may_be_told(context)) tell(context, KeyStep::holds, state.next, state.print);
}

void KeyKeeper::follow_switching(const KeyContext& context) {
  const KeyState& state = context.committed->state.keys;
  if (!holds(state.next, state.print)) return ask(context);
  send_under(state.next, context.now);
  if (may_be_told(context)) tell(context, KeyStep::sends, state.next, state.print);
}

void KeyKeeper::follow_settled(const KeyContext& context) {
  asking_ = false;
  sodium_memzero(secret_key_.data(), secret_key_.size());
  const std::uint8_t active = context.committed->state.keys.active;
  if (active == 0 || !keys_.has(active)) return;
  send_under(active, context.now);
  BoundedVector<std::uint8_t, KeySet::capacity> old;
  // Who has just come back may hold a record from before the next key was decided on: that key is not given up yet.
  const std::uint8_t to_come = context.member ? 0 : successor(active);
  keys_.each([&](std::uint8_t id, const ClusterKey&) {
    if (id != active && id != to_come && !(begun_ && begun_->id == id)) old.push(id);
  });
  for (const std::uint8_t id : old) {
    forget(id);
    log_.write(LogLevel::notice, "cluster key ", std::to_string(id), " is retired; ", std::to_string(active), " is in force");
  }
}

void KeyKeeper::tell(const KeyContext& context, KeyStep step, std::uint8_t id, std::uint64_t print) {
  if (!context.member || context.now < next_word_) return;
  next_word_ = context.now + repeat;
  listener_.send_of_keys(context.committed->view.coordinator, KeyReport{step, id, ring_.active(), print});
}

// ---- from member to member ---------------------------------------------------------------------------

void KeyKeeper::ask(const KeyContext& context) {
  if (!context.member || context.now < next_word_) return;
  next_word_ = context.now + repeat;
  const KeyState& state = context.committed->state.keys;
  if (keys_.has(state.next)) {  // of a rotation that was given up
    if (keys_.active() == state.next) return;
    forget(state.next);
  }
  if (!asking_) crypto_box_keypair(public_key_.data(), secret_key_.data());
  asking_ = true;
  for (const NodeId holder : context.committed->view.members)
    if (holder != context.self && (state.phase == KeyPhase::switching || state.done.has(holder)))
      listener_.send_of_keys(holder, KeyAsk{state.next, public_key_});
}

void KeyKeeper::on_ask(NodeId from, const KeyAsk& ask, const KeyContext& context) {
  const KeyState& state = context.committed->state.keys;
  const bool decided = context.member && state.phase != KeyPhase::settled && ask.id == state.next;
  if (!decided || !holds(state.next, state.print)) return;
  KeyOffer offer;
  offer.id = ask.id;
  if (crypto_box_seal(offer.sealed.data(), keys_.find(ask.id)->bytes().data(), cluster_key_bytes, ask.public_key.data()) != 0)
    return;
  listener_.send_of_keys(from, offer);
}

void KeyKeeper::on_offer(const KeyOffer& offer, const KeyContext& context) {
  const KeyState& state = context.committed->state.keys;
  if (!asking_ || state.phase == KeyPhase::settled || offer.id != state.next || keys_.has(offer.id)) return;
  Secret secret;
  if (crypto_box_seal_open(secret.bytes.data(), offer.sealed.data(), offer.sealed.size(), public_key_.data(),
                           secret_key_.data()) != 0)
    return;
  // Whoever sends it: only the key that the cluster decided on is taken.
  if (fingerprint(offer.id, secret.bytes) != state.print) return;
  asking_ = false;
  sodium_memzero(secret_key_.data(), secret_key_.size());
  next_word_ = {};
  if (const Status added = add(offer.id, secret.bytes); !added)
    log_.write(LogLevel::error, "the next cluster key cannot be taken: ", added.error().message);
}

// Does somebody send under the next key who may know that all members hold it? Who is in the view goes by its record, and
// is led on only by those that tell of a newer one, or that do not understand its challenges: they cannot tell.
bool KeyKeeper::led_to(std::uint8_t next, const KeyContext& context, NodeSet not_ahead, const wire::Session& session) {
  if (!context.in_view) return context.now - session.heard_under(next) < recent;
  for (std::size_t i = 0; i < limits::max_nodes; ++i) {
    const wire::Session::Sealed& sealed = session.sealed_by(static_cast<NodeId>(i));
    if (sealed.key_id != next || context.now - sealed.at >= recent) continue;
    if (sealed.current ? !not_ahead.has(static_cast<NodeId>(i)) : context.now - sealed.since >= recent) return true;
  }
  return false;
}

// To the next key at once: two nodes that were away together would otherwise go on hearing each other under the old one.
// Back, only when nobody is heard under the own.
void KeyKeeper::follow_frames(const KeyContext& context, NodeSet not_ahead, const wire::Session& session) {
  if (context.member) return;
  const auto heard_of_late = [&](std::uint8_t id) { return context.now - session.heard_under(id) < recent; };
  const std::uint8_t own = ring_.active();
  const std::uint8_t next = successor(own);
  std::uint8_t heard = 0;
  if (keys_.has(next) && led_to(next, context, not_ahead, session))
    heard = next;
  else if (!heard_of_late(own) && context.now - sealing_since_ >= recent)
    keys_.each([&](std::uint8_t id, const ClusterKey&) {
      if (heard_of_late(id)) heard = id;
    });
  if (heard == 0) return;
  log_.write(LogLevel::notice, "the others send under cluster key ", std::to_string(heard), ": so does this node");
  seal_under(heard, context.now);
}

void KeyKeeper::describe(const ClusterConfig& config, const KeyContext& context, NodeStatus& status) const {
  const Record& record = *context.committed;
  if (failed_ && !status.problems.full())
    status.problems.push("the key file cannot be written here; a rotation of the key waits for it: see the log of vigild");
  if (record.state.keys.phase == KeyPhase::settled || status.problems.full()) return;
  std::string text = "the cluster key is being rotated to key " + std::to_string(record.state.keys.next) + "; it waits for:";
  for (const NodeId node : record.view.members - record.state.keys.done) text += " " + config.nodes[node].name.str();
  status.problems.push(std::string_view(text));
}

}  // namespace vigil
