// Keeps this node's cluster keys, and does its part in a rotation: makes the next key when the operator asks,
// fetches it from a member when the cluster has decided on it, stores it, accepts frames under it, sends under it
// when all hold it, and forgets the old one when nobody sends under that any more. What phase is in force, the
// committed record says (core/key_rotation.hpp); this class only follows it, and repeats its word until the
// record shows it.
//
// A key goes from member to member sealed to a one-time public key, and only to members of the view in force: to
// whoever merely knows the old key it is not given, since a key is rotated because somebody else may know it. A
// node that was away gets the file from the operator.
//
// Key material is never in a log, the journal, an error or the state file, and leaves this process only in the
// key file and sealed.
#pragma once

#include <array>
#include <functional>
#include <optional>
#include <string>

#include "runtime/base/message.hpp"
#include "runtime/core/status.hpp"
#include "runtime/node/key_store.hpp"
#include "runtime/node/log.hpp"
#include "runtime/wire/session.hpp"

namespace vigil {

// What this node is in the cluster now.
struct KeyContext {
  Instant now;
  NodeId self = no_node;
  bool member = false;  // with a lease
  bool in_view = false;  // of the record, in this life
  const Record* committed = nullptr;
  KeyState stored;  // of the newest record that this node will know after a power cut
};

class KeyListener {
 public:
  virtual ~KeyListener() = default;
  virtual void send_of_keys(NodeId to, const Message& message) = 0;  // perhaps to ourselves
  virtual void on_rotation_answer(std::uint64_t operation, bool accepted, std::string_view text) = 0;
  // The file was written: follow() has something to do.
  virtual void on_keys_changed() = 0;
};

// Lets the ring accept every key of a file, and send under its active one.
Status accept_keys(const KeySet& keys, wire::KeyRing& ring);

class KeyKeeper : private KeyStoreListener {
 public:
  // `ring` accepts these keys already (accept_keys), and follows from now on.
  KeyKeeper(const std::string& path, KeySet keys, wire::KeyRing& ring, Log& log, KeyListener& listener);
  ~KeyKeeper() override;

  Status attach(Ring& ring) { return store_.attach(ring); }
  void detach() { store_.detach(); }

  // An operator wants a new key: this one, or with `given` empty a random one. Answered by on_rotation_answer().
  void rotate(std::uint64_t operation, std::span<const std::uint8_t> given, const KeyContext& context);
  // A record was committed, or time has passed.
  void follow(const KeyContext& context);
  void on_ask(NodeId from, const KeyAsk& ask, const KeyContext& context);
  void on_offer(const KeyOffer& offer, const KeyContext& context);
  // A node without a lease sends under the key under which it hears those that know more, if it holds that.
  // `not_ahead`: the peers that tell of no newer record.
  void follow_frames(const KeyContext& context, NodeSet not_ahead, const wire::Session& session);
  void describe(const ClusterConfig& config, const KeyContext& context, NodeStatus& status) const;

 private:
  struct Begun {
    std::uint64_t operation = 0;
    std::uint8_t id = 0;
    std::uint64_t print = 0;
    Instant give_up;
  };

  bool holds(std::uint8_t id, std::uint64_t print) const;
  // Key and record are on the disk: what the others do on this node's word still holds when all start anew from what they stored.
  bool may_be_told(const KeyContext& context) const;
  static bool led_to(std::uint8_t next, const KeyContext& context, NodeSet not_ahead, const wire::Session& session);
  bool stored() const { return stored_ == changes_; }
  Status add(std::uint8_t id, ClusterKey::Bytes bytes);
  void forget(std::uint8_t id);
  void changed();
  void seal_under(std::uint8_t id, Instant now);
  void send_under(std::uint8_t id, Instant now);
  void follow_begun(const KeyContext& context);
  void follow_spreading(const KeyContext& context);
  void follow_switching(const KeyContext& context);
  void follow_settled(const KeyContext& context);
  void ask(const KeyContext& context);
  void tell(const KeyContext& context, KeyStep step, std::uint8_t id, std::uint64_t print);
  void on_keys_stored(std::string_view why) override;

  KeySet keys_;
  wire::KeyRing& ring_;
  Log& log_;
  KeyListener& listener_;
  std::uint64_t changes_ = 0;  // of keys_
  std::uint64_t stored_ = 0;   // the newest that is on the disk
  std::uint64_t storing_ = 0;
  bool failed_ = false;        // the last write
  std::optional<Begun> begun_;
  Instant next_word_;  // not before this, unless something changed
  Instant next_try_;   // to write the file
  Stamp followed_;
  Instant sealing_since_;  // under the present key
  // One-time keys of the asking under way.
  std::array<std::uint8_t, 32> public_key_{};
  std::array<std::uint8_t, 32> secret_key_{};
  bool asking_ = false;
  KeyStore store_;  // last: its thread ends first
};

}  // namespace vigil
