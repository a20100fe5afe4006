#include "runtime/node/transport.hpp"

#include <netinet/in.h>
#include <arpa/inet.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "runtime/wire/heartbeat.hpp"

namespace vigil {

namespace {

static_assert(frame_layout::last_beat_type == static_cast<std::uint8_t>(wire::FrameType::ack) &&
              wire::FrameType::heartbeat < wire::FrameType::ack && wire::FrameType::ack < wire::FrameType::fragment);

wire::Bytes as_bytes(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()};
}

std::span<const std::byte> as_frame(wire::Bytes bytes) { return std::as_bytes(bytes); }

// "02:00:00:00:00:03 on eth0", "10.77.2.3 on eth2", "/dev/ttyS0".
Whence whence_of(LinkKind kind, const LinkSource& source, const Path& device) {
  std::array<char, INET6_ADDRSTRLEN> address{};
  if (kind == LinkKind::ethernet && source.size == 6) {
    const auto byte = [&](std::size_t i) { return std::to_integer<unsigned>(source.bytes[i]); };
    std::snprintf(address.data(), address.size(), "%02x:%02x:%02x:%02x:%02x:%02x", byte(0), byte(1), byte(2), byte(3),
                  byte(4), byte(5));
  } else if (kind == LinkKind::udp) {
    sockaddr_in6 from{};  // the larger of the two
    std::memcpy(&from, source.bytes.data(), std::min<std::size_t>(source.size, sizeof from));
    sockaddr_in v4{};
    std::memcpy(&v4, &from, sizeof v4);
    if (v4.sin_family == AF_INET)
      ::inet_ntop(AF_INET, &v4.sin_addr, address.data(), address.size());
    else
      ::inet_ntop(AF_INET6, &from.sin6_addr, address.data(), address.size());
  }
  const std::string_view place(address.data());
  return std::string_view(place.empty() ? device.str() : std::string(place) + " on " + device.str());
}

}  // namespace

Transport::Transport(const ClusterConfig& config, NodeId self, const Incarnation& incarnation,
                     const wire::KeyRing& keys, Log& log, TransportListener& listener)
    : config_(config),
      self_(self),
      log_(log),
      listener_(listener),
      session_(wire::session_options_of(config, self, incarnation), keys),
      reassembler_(config.nodes.size()) {}

Status Transport::open(Ring& ring, Ring* quiet) {
  const NodeConfig& own = config_.nodes[self_];
  std::size_t usable = 0;
  for (std::size_t i = 0; i < own.links.size(); ++i) {
    Result<std::unique_ptr<Link>> link = make_link(config_, self_, static_cast<LinkIndex>(i));
    if (!link) return link.error();
    links_[i] = std::move(link).value();
    const Status opened = links_[i]->open(ring, *this, quiet);
    if (opened)
      ++usable;
    else
      log_.write(LogLevel::warning, opened.error().message);
  }
  if (usable == 0) log_.write(LogLevel::error, "no heartbeat link could be opened; they are tried again every second");
  return {};
}

void Transport::look() {
  for (auto& link : links_)
    if (link) link->look();
}

void Transport::close() {
  closing_ = true;  // no news
  for (auto& link : links_) link.reset();
  closing_ = false;
}

void Transport::retry() {
  for (auto& link : links_)
    if (link && !link->usable()) (void)link->reopen().ok();
}

void Transport::reopen(AdapterIndex adapter) {
  const NodeConfig& own = config_.nodes[self_];
  for (std::size_t i = 0; i < own.links.size(); ++i)
    if (own.links[i].adapter == adapter && links_[i]) (void)links_[i]->reopen().ok();
}

void Transport::renew(const Incarnation& incarnation) {
  session_.renew(incarnation.start_id);
  fragmenter_ = {};
}

void Transport::on_link_state(LinkIndex by, bool usable) {
  if (closing_) return;
  const LinkConfig& link = config_.nodes[self_].links[by];
  const AdapterConfig& adapter = config_.nodes[self_].adapters[link.adapter];
  if (usable || !said_unusable_[by])
    log_.write(LogLevel::notice, usable ? "link opened: " : "link lost: ", adapter.device.view());
  said_unusable_[by] = !usable;
  if (link.kind == LinkKind::serial) listener_.on_line_state(link.adapter, usable);
}

// ---- out -------------------------------------------------------------------------------------------

void Transport::send_sealed(wire::FrameType type, NodeId to, LinkIndex link, wire::Bytes body) {
  if (muted_ || link >= links_.size() || !links_[link]) return;
  std::array<std::uint8_t, limits::frame_bytes> frame;
  const NodeId destination = to == everyone ? wire::broadcast_node : to;
  const std::size_t size = session_.seal(type, destination, link, body, frame);
  (void)links_[link]->send(as_frame({frame.data(), size}), to);
}

void Transport::send_heartbeat(LinkIndex link, const Heartbeat& heartbeat) {
  std::array<std::uint8_t, wire::heartbeat_body_max> body;
  wire::ByteWriter writer(body);
  wire::encode_heartbeat(writer, heartbeat);
  send_sealed(wire::FrameType::heartbeat, everyone, link, writer.written());
}

void Transport::send_ack(NodeId to, LinkIndex by, const HeartbeatAck& ack) {
  std::array<std::uint8_t, wire::ack_body_max> body;
  wire::ByteWriter writer(body);
  wire::encode_ack(writer, ack);
  send_sealed(wire::FrameType::ack, to, by, writer.written());
}

void Transport::send_message(NodeId to, const Message& message) {
  if (to >= config_.nodes.size() || to == self_) return;
  const std::size_t size = wire::encode_message(message, message_bytes_);
  const wire::FragmentPlan plan = fragmenter_.plan(to, {message_bytes_.data(), size});
  const NodeConfig& own = config_.nodes[self_];
  bool datagram_works = false;
  for (std::size_t i = 0; i < own.links.size(); ++i)
    datagram_works = datagram_works || (own.links[i].kind != LinkKind::serial && links_[i] && links_[i]->reaches(to) &&
                                        links_[i]->usable() && (peer_hears_[to] >> i & 1) != 0);
  std::array<std::uint8_t, wire::body_bytes_max> body;
  for (std::size_t part = 0; part < plan.count; ++part) {
    const std::size_t length = wire::write_fragment(plan, part, body);
    for (std::size_t i = 0; i < own.links.size(); ++i) {
      if (!links_[i] || !links_[i]->reaches(to) || !links_[i]->usable()) continue;
      if (own.links[i].kind == LinkKind::serial && datagram_works) continue;
      send_sealed(wire::FrameType::fragment, to, static_cast<LinkIndex>(i), {body.data(), length});
    }
  }
}

void Transport::send_to_all(const Message& message) {
  for (std::size_t node = 0; node < config_.nodes.size(); ++node)
    if (node != self_ && session_.current(static_cast<NodeId>(node)).known())
      send_message(static_cast<NodeId>(node), message);
}

// ---- in --------------------------------------------------------------------------------------------

// Refusals have their own list; what is left is weather, of which the session says when a line is due.
void Transport::complain(const wire::Verdict& verdict, LinkIndex by, Instant received, const LinkSource& source) {
  const NodeConfig& own = config_.nodes[self_];
  const Path& device = own.adapters[own.links[by].adapter].device;
  if (Refusals::is_refusal(verdict.drop)) {
    const Refusals::Noted noted = refusals_.note(received, verdict.drop, verdict.sender);
    if (noted.refusal != nullptr) {
      noted.refusal->yield = verdict.yield;
      if (noted.refusal->whence.empty()) noted.refusal->whence = whence_of(own.links[by].kind, source, device);
      if (noted.tell) listener_.on_refused(*noted.refusal);
    }
    if (verdict.drop == wire::Drop::duplicate_node_id && verdict.sender == self_) listener_.on_own_id_taken(verdict.yield);
    return;
  }
  if (!verdict.worth_logging) return;
  const std::string_view sender =
      verdict.sender < config_.nodes.size() ? config_.nodes[verdict.sender].name.view() : std::string_view("unknown node");
  log_.write(LogLevel::warning, wire::to_string(verdict.drop), " (from ", sender, " on ", device.view(), "): ",
             wire::explain(verdict.drop));
}

std::string Transport::describe(const Refusal& refusal) const {
  std::string who = "node id " + std::to_string(refusal.sender + 1);
  if (refusal.sender < config_.nodes.size()) who = config_.nodes[refusal.sender].name.str();
  if (refusal.sender == self_) who += " (this node's id)";
  return who + " is refused (" + refusal.whence.str() + "): " + std::string(wire::explain(refusal.cause));
}

void Transport::expire_refusals(Instant now) {
  refusals_.expire(now, [this](const Refusal& over) {
    const std::string_view sender = over.sender < config_.nodes.size() ? config_.nodes[over.sender].name.view()
                                                                       : std::string_view("unknown node");
    log_.write(LogLevel::notice, "no longer seen: ", wire::to_string(over.cause), " (from ", sender, ", ",
               over.whence.view(), ")");
  });
}

// A greeting would hold up the heartbeats of a slow line, and whoever is at its other end has other paths.
bool Transport::carries_greetings(LinkIndex link) const {
  const auto& links = config_.nodes[self_].links;
  if (links[link].kind != LinkKind::serial) return true;
  return std::all_of(links.begin(), links.end(), [](const LinkConfig& one) { return one.kind == LinkKind::serial; });
}

void Transport::greet(Instant now) {
  for (std::size_t i = 0; i < config_.nodes[self_].links.size(); ++i) {
    if (!links_[i] || !links_[i]->usable() || !carries_greetings(static_cast<LinkIndex>(i))) continue;
    std::array<std::uint8_t, limits::frame_bytes> frame;
    const std::size_t size = session_.greet(now, static_cast<LinkIndex>(i), frame);
    (void)links_[i]->send(as_frame({frame.data(), size}), everyone);
  }
}

void Transport::on_frame(LinkIndex by, std::span<const std::byte> bytes, Instant received, Instant arrived,
                         const LinkSource& source) {
  const wire::Verdict verdict = session_.on_frame(received, as_bytes(bytes), by);
  if (!verdict.reply.empty()) {
    // Our own id, or one that we do not know, is not reached by name; and a life that is not current may be on
    // another machine than the one whose hardware address was learnt.
    const bool by_name = verdict.reply_to != self_ && verdict.reply_to < config_.nodes.size() &&
                         links_[by]->kind() != LinkKind::ethernet;
    (void)links_[by]->send(as_frame(verdict.reply), by_name ? verdict.reply_to : everyone);
  }
  if (verdict.hello != nullptr) listener_.on_hello(verdict.sender, received, *verdict.hello);
  if (!verdict.is_delivered()) return complain(verdict, by, received, source);
  links_[by]->learn(verdict.delivered.from, source);
  deliver(verdict.delivered, by, arrived);
}

void Transport::deliver(const wire::Delivered& delivered, LinkIndex by, Instant arrived) {
  const NodeId from = delivered.from;
  if (delivered.type == wire::FrameType::heartbeat) {
    Heartbeat heartbeat;
    if (!wire::decode_heartbeat(delivered.body, delivered.peer_link, delivered.incarnation, heartbeat)) {
      ++malformed_;
      return;
    }
    peer_hears_[from] = heartbeat.heard_links[self_];
    listener_.on_heartbeat(from, by, heartbeat, arrived);
  } else if (delivered.type == wire::FrameType::ack) {
    HeartbeatAck ack;
    if (!wire::decode_ack(delivered.body, ack)) {
      ++malformed_;
      return;
    }
    listener_.on_ack(from, by, delivered.incarnation, ack, arrived);
  } else {
    const wire::Assembled whole = reassembler_.add(from, delivered.incarnation.start_id, delivered.body);
    if (whole.status != wire::FragmentStatus::complete) return;
    const wire::DecodeStatus status = wire::decode_message(whole.message, message_);
    decoded_.note(status);
    if (status == wire::DecodeStatus::decoded) listener_.on_message(from, delivered.incarnation, message_);
  }
}

}  // namespace vigil
