#include "runtime/node/control_server.hpp"

#include <grp.h>
#include <sodium.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "runtime/wire/frame.hpp"
#include "tools/client/resolve.hpp"

namespace vigil {

namespace {

constexpr std::uint32_t listener_tag = 0xffff;

}  // namespace

Result<std::unique_ptr<ControlServer>> ControlServer::open(const std::string& path, const ClusterConfig& config,
                                                           const Journal& journal, Log& log, ControlSource& source) {
  std::unique_ptr<ControlServer> server(new ControlServer(config, journal, log, source));
  if (const Status status = server->set_up(path); !status) return status.error();
  return server;
}

Status ControlServer::set_up(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return Error::of("the control socket's path is too long: " + path);
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  listener_ = Fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!listener_) return Error::from_errno("make the control socket", errno);
  ::unlink(path.c_str());
  // Closed until owner and mode are right: the file takes the socket's mode. (A umask would be other threads' too.)
  if (::fchmod(listener_.get(), 0) != 0) return Error::from_errno("close the control socket " + path, errno);
  if (::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return Error::from_errno("bind the control socket " + path, errno);
  path_ = path;
  if (const group* readers = ::getgrnam(control::control_group_name))
    if (::chown(path.c_str(), 0, readers->gr_gid) != 0)
      log_.write(LogLevel::warning, "control socket: group vigil may not read it: chown failed");
  if (::chmod(path.c_str(), control::control_socket_mode) != 0) return Error::from_errno("chmod " + path, errno);
  if (::listen(listener_.get(), max_clients) != 0) return Error::from_errno("listen on " + path, errno);
  for (Client& client : clients_) client.status = std::make_unique<NodeStatus>();
  return {};
}

ControlServer::~ControlServer() {
  if (!path_.empty()) ::unlink(path_.c_str());
}

void ControlServer::detach() {
  for (Client& client : clients_)
    if (client.fd) drop(client);
  listening_.drop();
  listener_.reset();
  if (!path_.empty()) ::unlink(path_.c_str());
  path_.clear();  // another server may have it next
}

Status ControlServer::attach(Ring& ring) {
  ring_ = &ring;
  return listening_.hold(ring, ring.watch(listener_.get(), EPOLLIN, *this, listener_tag));
}

void ControlServer::accept_clients() {
  for (;;) {
    Fd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!fd) return;
    ucred peer{};
    socklen_t size = sizeof peer;
    if (::getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) continue;
    std::size_t slot = 0;
    while (slot < clients_.size() && clients_[slot].fd) ++slot;
    if (slot == clients_.size()) {
      std::array<std::byte, control::packet_bytes> packet;
      const std::size_t length = control::encode(
          control::Reply(control::reply::Refused{control::reply::Refusal::busy, "too many clients; try again in a moment"}), packet);
      (void)!::send(fd.get(), packet.data(), length, MSG_DONTWAIT | MSG_NOSIGNAL);
      continue;
    }
    Client& client = clients_[slot];
    const auto source = ring_->watch(fd.get(), EPOLLIN | EPOLLOUT, *this, static_cast<std::uint32_t>(slot));
    if (!source) continue;
    client.fd = std::move(fd);
    client.source = *source;
    client.right = control::right_of(peer);
    client.answer = std::monostate{};
    client.pending = false;
  }
}

void ControlServer::drop(Client& client) {
  ring_->remove(client.source);
  client.fd.reset();
  client.answer = std::monostate{};
}

void ControlServer::on_ready(std::uint32_t tag, std::uint32_t events) {
  if (tag == listener_tag) return accept_clients();
  Client& client = clients_[tag];
  if (!client.fd) return;
  if ((events & (EPOLLERR | EPOLLHUP)) != 0) return drop(client);
  if ((events & EPOLLIN) != 0) read(client);
  if (client.fd) pump(client);
}

void ControlServer::read(Client& client) {
  std::array<std::byte, control::packet_bytes + 1> packet;
  for (;;) {
    const ssize_t size = ::recv(client.fd.get(), packet.data(), packet.size(), MSG_DONTWAIT);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
    if (size <= 0) return drop(client);
    if (!std::holds_alternative<std::monostate>(client.answer)) return drop(client);  // one request at a time
    control::Request request;
    const control::Fault fault = control::decode({packet.data(), static_cast<std::size_t>(size)}, request);
    if (fault == control::Fault::other_version)
      refuse(client, control::reply::Refusal::version, "this vigild speaks another version of the control protocol; use the vigil command of its release");
    else if (fault != control::Fault::none)
      refuse(client, control::reply::Refusal::malformed, control::to_string(fault));
    else if (!control::permits(client.right, request))
      refuse(client, control::reply::Refusal::not_permitted, control::not_permitted_text);
    else
      begin(client, request);
    if (auto* rotate = std::get_if<control::request::RotateKey>(&request)) {  // it may hold a key
      sodium_memzero(rotate->key.data(), rotate->key.size());
      sodium_memzero(packet.data(), packet.size());
    }
    pump(client);
    if (!client.fd) return;
  }
}

void ControlServer::refuse(Client& client, control::reply::Refusal why, std::string_view text) {
  client.answer = Single{control::reply::Refused{why, text}};
}

std::uint64_t ControlServer::start_of(std::uint32_t limit, GroupIndex group, std::int64_t since_wall_ns) const {
  if (limit == 0) return journal_.first();
  std::uint64_t position = journal_.end();
  std::uint32_t found = 0;
  while (position > journal_.first() && found < limit)
    if (control::journal_matches(journal_.at(--position), group, since_wall_ns)) ++found;
  return position;
}

void ControlServer::begin(Client& client, const control::Request& request) {
  control::reply::Refused refused;
  if (std::holds_alternative<control::request::GetStatus>(request)) {
    *client.status = NodeStatus{};
    source_.describe(*client.status);
    client.answer = control::StatusStream(config_, *client.status);
  } else if (const auto* journal = std::get_if<control::request::GetJournal>(&request)) {
    Entries entries;
    if (!control::resolve_filter(config_, journal->group, entries.group, refused)) {
      client.answer = Single{refused};
      return;
    }
    entries.since_wall_ns = journal->since_wall_ns;
    entries.next = start_of(journal->limit, entries.group, entries.since_wall_ns);
    entries.end = journal_.end();
    client.answer = entries;
  } else if (const auto* follow = std::get_if<control::request::Follow>(&request)) {
    Entries entries;
    if (!control::resolve_filter(config_, follow->group, entries.group, refused)) {
      client.answer = Single{refused};
      return;
    }
    entries.next = follow->history == 0 ? journal_.end() : start_of(follow->history, entries.group, 0);
    entries.follow = true;
    client.answer = entries;
  } else if (const auto* operate = std::get_if<control::request::Operate>(&request)) {
    OperatorCommand command;
    if (!control::resolve(config_, *operate, command, refused)) {
      client.answer = Single{refused};
      return;
    }
    const std::uint64_t id = next_id_++;
    client.answer = Waiting{id};
    source_.on_operator(id, command);
  } else if (const auto* rotate = std::get_if<control::request::RotateKey>(&request)) {
    const std::uint64_t id = next_id_++;
    client.answer = Waiting{id};
    source_.on_rotate(id, std::span(rotate->key).first(rotate->given ? rotate->key.size() : 0));
  } else if (std::holds_alternative<control::request::GetViews>(request)) {
    client.answer = Views{};
    source_.merge_views();
  } else if (std::holds_alternative<control::request::GetNames>(request)) {
    client.answer = control::NamesStream(config_);
  } else {
    client.answer = Single{control::reply::Version{control::release, wire::frame_version}};
  }
}

void ControlServer::answer(std::uint64_t id, bool accepted, std::string_view text) {
  for (Client& client : clients_) {
    const auto* waiting = std::get_if<Waiting>(&client.answer);
    if (!client.fd || waiting == nullptr || waiting->id != id) continue;
    client.answer = Single{control::reply::Answer{accepted, text}};
    pump(client);
  }
}

void ControlServer::on_journal() {
  for (Client& client : clients_)
    if (client.fd && std::holds_alternative<Entries>(client.answer)) pump(client);
}

bool ControlServer::next_entry(Client& client, Entries& entries) {
  if (entries.next < journal_.first()) entries.next = journal_.first();
  const std::uint64_t end = entries.follow ? journal_.end() : entries.end;
  while (entries.next < end) {
    const JournalEntry& entry = journal_.at(entries.next++);
    if (!control::journal_matches(entry, entries.group, entries.since_wall_ns)) continue;
    client.packet_size = control::encode(control::Reply(control::journal_reply(config_, entry)), client.packet);
    return true;
  }
  if (entries.follow) return false;
  client.packet_size = control::encode(control::Reply(control::reply::End{}), client.packet);
  client.answer = std::monostate{};
  return true;
}

void ControlServer::on_views(NodeSet reached) {
  const Journal& journal = source_.views();
  for (Client& client : clients_) {
    auto* views = std::get_if<Views>(&client.answer);
    if (!client.fd || views == nullptr || views->merged) continue;
    *views = {true, journal.first(), journal.end(), reached, 0};
    pump(client);
  }
}

bool ControlServer::next_view(Client& client, Views& views) {
  if (!views.merged) return false;
  const Journal& journal = source_.views();
  if (views.next < journal.first()) views.next = journal.first();
  if (views.next < views.end) {
    const control::Reply entry(control::journal_reply(config_, journal.at(views.next++)));
    client.packet_size = control::encode(entry, client.packet);
    return true;
  }
  if (views.node < config_.nodes.size()) {
    const auto node = static_cast<NodeId>(views.node++);
    control::reply::Told told{config_.nodes[node].name, views.reached.has(node), 0, 0};
    for (std::uint64_t at = journal.first(); at < journal.end(); ++at) {
      const JournalEntry& entry = journal.at(at);
      if (entry.node != node) continue;
      ++told.entries;
      if (entry.wall_ns > told.newest_wall_ns) told.newest_wall_ns = entry.wall_ns;
    }
    client.packet_size = control::encode(control::Reply(told), client.packet);
    return true;
  }
  client.packet_size = control::encode(control::Reply(control::reply::End{}), client.packet);
  client.answer = std::monostate{};
  return true;
}

// Writes the next packet of the answer under way; false: there is none now.
bool ControlServer::next_packet(Client& client) {
  if (auto* status = std::get_if<control::StatusStream>(&client.answer)) {
    if (status->next(client.packet, client.packet_size)) return true;
  } else if (auto* names = std::get_if<control::NamesStream>(&client.answer)) {
    if (names->next(client.packet, client.packet_size)) return true;
  } else if (auto* entries = std::get_if<Entries>(&client.answer)) {
    return next_entry(client, *entries);
  } else if (auto* views = std::get_if<Views>(&client.answer)) {
    return next_view(client, *views);
  } else if (auto* single = std::get_if<Single>(&client.answer)) {
    const bool refused = std::holds_alternative<control::reply::Refused>(single->reply);
    if (!single->sent) {
      client.packet_size = control::encode(single->reply, client.packet);
      single->sent = true;
      if (refused) client.answer = std::monostate{};
      return true;
    }
    client.packet_size = control::encode(control::Reply(control::reply::End{}), client.packet);
    client.answer = std::monostate{};
    return true;
  } else {
    return false;
  }
  client.answer = std::monostate{};
  return false;
}

void ControlServer::pump(Client& client) {
  // Bounded work at a time: the loop has heartbeats to send.
  for (int packets = 0; packets < 64; ++packets) {
    if (!client.pending) {
      if (!next_packet(client)) return;
      client.pending = true;
    }
    if (::send(client.fd.get(), client.packet.data(), client.packet_size, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
      if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR && errno != ENOBUFS) drop(client);
      return;  // EPOLLOUT calls again
    }
    client.pending = false;
  }
  ring_->again(client.source);
}

}  // namespace vigil
