// Everything between typed messages and links: sealing, sessions, fragments, and the choice of links.
//
// Heartbeats leave by the link that the core names. Messages leave by every datagram link that the peer
// says it hears, so that one broken network costs nothing; by serial lines only when no datagram link is
// known to work. Nothing is repeated here: the core repeats what is not answered.
//
// It also keeps the list of who is refused (refusals.hpp) and can be muted.
#pragma once

#include <array>
#include <memory>
#include <string>

#include "drivers/link.hpp"
#include "runtime/base/cluster.hpp"
#include "runtime/base/message.hpp"
#include "runtime/node/log.hpp"
#include "runtime/node/refusals.hpp"
#include "runtime/wire/fragment.hpp"
#include "runtime/wire/message_codec.hpp"
#include "runtime/wire/session.hpp"

namespace vigil {

class TransportListener {
 public:
  virtual ~TransportListener() = default;
  virtual void on_heartbeat(NodeId from, LinkIndex by, const Heartbeat& heartbeat, Instant arrived) = 0;
  virtual void on_ack(NodeId from, LinkIndex by, const Incarnation& incarnation, const HeartbeatAck& ack,
                      Instant arrived) = 0;
  virtual void on_message(NodeId from, const Incarnation& incarnation, const Message& message) = 0;
  // What a peer said of itself, in its current incarnation.
  virtual void on_hello(NodeId, Instant, const wire::Hello&) {}
  // Somebody is kept out, and it is worth a line; every refusal that proves a second machine of our own id.
  virtual void on_refused(const Refusal&) {}
  virtual void on_own_id_taken(bool /*yield: it is we who must stay out*/) {}
  // A serial line opened or hung up. (Network interfaces: netif tells.)
  virtual void on_line_state(AdapterIndex adapter, bool usable) = 0;
};

class Transport : private FrameSink {
 public:
  Transport(const ClusterConfig& config, NodeId self, const Incarnation& incarnation, const wire::KeyRing& keys,
            Log& log, TransportListener& listener);

  // Opens every link; those that cannot be opened now are said, and tried again by retry(). With a `quiet` ring,
  // heartbeats come when that one is drained, and by look().
  Status open(Ring& ring, Ring* quiet = nullptr);
  void look();
  void close();
  // Once a second or so: reopens links that are not usable.
  void retry();
  // The interface of this adapter is new, or up again.
  void reopen(AdapterIndex adapter);
  // A new life of this node.
  void renew(const Incarnation& incarnation);
  bool usable(LinkIndex link) const { return links_[link] && links_[link]->usable(); }
  // While muted, only hellos are sent and answered: for a node that must not disturb the other one of its id.
  void mute(bool muted) { muted_ = muted; }
  bool muted() const { return muted_; }

  // What hellos say of this node.
  void set_standing(wire::Standing standing) { session_.set_standing(standing); }
  void set_wall_offset(Duration offset) { session_.set_wall_offset(offset); }
  // Tells everybody, unasked.
  void greet(Instant now);

  void send_heartbeat(LinkIndex link, const Heartbeat& heartbeat);
  void send_ack(NodeId to, LinkIndex by, const HeartbeatAck& ack);
  void send_message(NodeId to, const Message& message);
  // To every peer whose session is current.
  void send_to_all(const Message& message);

  const wire::Session& session() const { return session_; }
  // Once a second or so: refusals that are over are said to be.
  void expire_refusals(Instant now);
  const Refusals& refusals() const { return refusals_; }
  // One line about it, with the way out.
  std::string describe(const Refusal& refusal) const;
  std::uint64_t malformed() const { return malformed_ + decoded_.malformed; }

 private:
  void on_frame(LinkIndex by, std::span<const std::byte> bytes, Instant received, Instant arrived,
                const LinkSource& source) override;
  void on_link_state(LinkIndex by, bool usable) override;
  void complain(const wire::Verdict& verdict, LinkIndex by, Instant received, const LinkSource& source);
  bool carries_greetings(LinkIndex link) const;
  void deliver(const wire::Delivered& delivered, LinkIndex by, Instant arrived);
  void send_sealed(wire::FrameType type, NodeId to, LinkIndex link, wire::Bytes body);

  const ClusterConfig& config_;
  NodeId self_;
  Log& log_;
  TransportListener& listener_;
  wire::Session session_;
  wire::Fragmenter fragmenter_;
  wire::Reassembler reassembler_;
  std::array<std::unique_ptr<Link>, limits::max_links> links_;
  std::array<bool, limits::max_links> said_unusable_{};
  // Of my links, those that the peer said it hears, bit i for link i.
  std::array<std::uint8_t, limits::max_nodes> peer_hears_{};
  wire::DecodeCounters decoded_;
  std::uint64_t malformed_ = 0;
  Refusals refusals_;
  bool muted_ = false;
  bool closing_ = false;
  std::array<std::uint8_t, limits::message_bytes> message_bytes_{};
  Message message_;  // of a received message: large, so not on the stack of every frame
};

}  // namespace vigil
