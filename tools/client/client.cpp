// Sockets and the order of records in an answer.
#include "tools/client/client.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

namespace vigil::control {

namespace {

// The longest answer is an operator's command that finds no coordinator: vigild gives up before this.
constexpr int answer_timeout_s = 15;

Error connect_error(const std::string& path, int code) {
  switch (code) {
    case ENOENT:
      return {"vigild is not running on this node (no " + path + "); start it with: systemctl start vigild", code};
    case ECONNREFUSED:
      return {
          "vigild is not running on this node (nobody listens on " + path + "); start it with: systemctl start vigild",
          code};
    case EACCES:
    case EPERM:
      return {"may not open " + path + ": you must be root or in group vigil", code};
    default:
      return Error::from_errno("cannot connect to vigild on " + path, code);
  }
}

Error damaged(const std::string& path, Fault fault) {
  if (fault == Fault::other_version)
    return {"vigild on " + path + " speaks another version of the control protocol than this vigil (" +
                std::to_string(protocol_version) + "): use the vigil that was installed with it",
            EPROTO};
  return {"vigild on " + path + " sent a record that is " + std::string(to_string(fault)) +
              ": its version differs from this vigil's; see: vigil version",
          EPROTO};
}

Error out_of_place(const std::string& path) {
  return {"vigild on " + path + " answered with a record that does not belong to the question; see: vigil version",
          EPROTO};
}

// An answer in which every record is a T.
template <typename T>
auto collect(std::vector<T>& items) {
  return [&items](const Reply& reply) {
    const T* item = std::get_if<T>(&reply);
    if (item != nullptr) items.push_back(*item);
    return item != nullptr;
  };
}

}  // namespace

const reply::Node* ClusterPicture::node(NodeId id) const {
  for (const reply::Node& each : nodes)
    if (each.id == id) return &each;
  return nullptr;
}

const reply::Node* ClusterPicture::node(std::string_view name) const {
  for (const reply::Node& each : nodes)
    if (each.name == name) return &each;
  return nullptr;
}

const reply::Group* ClusterPicture::group(std::string_view name) const {
  for (const reply::Group& each : groups)
    if (each.name == name) return &each;
  return nullptr;
}

std::string ClusterPicture::name_of(NodeId id) const {
  if (id == no_node) return "-";
  const reply::Node* found = node(id);
  return found != nullptr ? found->name.str() : "node " + std::to_string(id + 1);
}

std::vector<std::string> ClusterPicture::names_of(NodeSet set) const {
  std::vector<std::string> names;
  for (NodeId id : set) names.push_back(name_of(id));
  return names;
}

Client::~Client() {
  if (fd_ >= 0) close(fd_);
}

Client::Client(Client&& other) noexcept : fd_(std::exchange(other.fd_, -1)), path_(std::move(other.path_)) {}

Client& Client::operator=(Client&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(path_, other.path_);
  return *this;
}

Result<Client> Client::connect(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    return Error{"the socket path " + path + " is longer than the system allows (" +
                     std::to_string(sizeof address.sun_path - 1) + " bytes)",
                 ENAMETOOLONG};
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  if (fd < 0) return Error::from_errno("cannot make a unix socket", errno);
  Client client(fd, path);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return connect_error(path, errno);
  return client;
}

Status Client::send(const Request& request) {
  std::array<std::byte, packet_bytes> packet;
  const std::size_t length = encode(request, packet);
  const ssize_t sent = ::send(fd_, packet.data(), length, MSG_NOSIGNAL);
  explicit_bzero(packet.data(), length);  // it may have held a key
  if (sent == static_cast<ssize_t>(length)) return {};
  if (sent < 0 && (errno == EPIPE || errno == ECONNRESET)) {
    // It may have turned this client away before the question came, and said why.
    Result<Reply> last = receive(1);
    if (!last && last.error().code == 0) return last.error();
    return Error{"vigild on " + path_ + " closed the connection", ECONNRESET};
  }
  return Error::from_errno("cannot ask vigild on " + path_, sent < 0 ? errno : EIO);
}

Result<Reply> Client::receive(int timeout_s) {
  pollfd waiting{fd_, POLLIN, 0};
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(timeout_s);
  for (;;) {
    int left_ms = -1;
    if (timeout_s > 0) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
      left_ms = left.count() > 0 ? static_cast<int>(left.count()) : 0;
    }
    const int ready = poll(&waiting, 1, left_ms);
    if (ready > 0) break;
    if (ready == 0)
      return Error{
          "vigild on " + path_ + " has not answered for " + std::to_string(timeout_s) + " s; see: journalctl -u vigild",
          ETIMEDOUT};
    if (errno != EINTR) return Error::from_errno("cannot wait for vigild on " + path_, errno);
  }
  std::array<std::byte, packet_bytes + 1> packet;  // one more, so that a packet too long shows
  const ssize_t length = recv(fd_, packet.data(), packet.size(), 0);
  if (length < 0) return Error::from_errno("cannot read from vigild on " + path_, errno);
  if (length == 0) return Error{"vigild on " + path_ + " closed the connection", ECONNRESET};
  Reply reply;
  const Fault fault = decode(std::span(packet).first(static_cast<std::size_t>(length)), reply);
  if (fault != Fault::none) return damaged(path_, fault);
  if (const auto* refused = std::get_if<reply::Refused>(&reply)) return Error::of(refused->text.str());
  return reply;
}

Status Client::exchange(const Request& request, const std::function<bool(const Reply&)>& take) {
  if (Status sent = send(request); !sent) return sent;
  for (;;) {
    Result<Reply> reply = receive(answer_timeout_s);
    if (!reply) return reply.error();
    if (std::holds_alternative<reply::End>(*reply)) return {};
    if (!take(*reply)) return out_of_place(path_);
  }
}

Result<ClusterPicture> Client::status() {
  ClusterPicture picture;
  bool has_cluster = false;
  const auto take = [&](const Reply& reply) {
    if (const auto* cluster = std::get_if<reply::Cluster>(&reply)) {
      picture.cluster = *cluster;
      return !std::exchange(has_cluster, true);
    }
    if (const auto* node = std::get_if<reply::Node>(&reply)) return picture.nodes.push_back(*node), true;
    if (const auto* adapter = std::get_if<reply::Adapter>(&reply)) return picture.adapters.push_back(*adapter), true;
    if (const auto* group = std::get_if<reply::Group>(&reply)) return picture.groups.push_back(*group), true;
    if (const auto* problem = std::get_if<reply::Problem>(&reply))
      return picture.problems.push_back(problem->text.str()), true;
    if (const auto* keys = std::get_if<reply::Keys>(&reply)) return picture.keys = keys->state, true;
    if (const auto* quorum = std::get_if<reply::Quorum>(&reply)) return picture.quorum = *quorum, true;
    return false;
  };
  if (Status done = exchange(request::GetStatus{}, take); !done) return done.error();
  if (!has_cluster) return out_of_place(path_);
  return picture;
}

Result<std::vector<reply::Journal>> Client::journal(const request::GetJournal& request) {
  std::vector<reply::Journal> entries;
  if (Status done = exchange(request, collect(entries)); !done) return done.error();
  return entries;
}

Result<ViewEntries> Client::views() {
  ViewEntries views;
  const auto take = [&](const Reply& reply) {
    if (const auto* entry = std::get_if<reply::Journal>(&reply)) return views.entries.push_back(*entry), true;
    if (const auto* told = std::get_if<reply::Told>(&reply)) return views.nodes.push_back(*told), true;
    return false;
  };
  if (Status done = exchange(request::GetViews{}, take); !done) return done.error();
  return views;
}

Status Client::follow(const request::Follow& request, const std::function<bool(const reply::Journal&)>& each) {
  if (Status sent = send(request); !sent) return sent;
  for (;;) {
    Result<Reply> reply = receive(0);
    if (!reply) return reply.error();
    const auto* entry = std::get_if<reply::Journal>(&*reply);
    if (entry == nullptr) return out_of_place(path_);
    if (!each(*entry)) return {};
  }
}

Result<reply::Answer> Client::operate(const request::Operate& request) {
  std::vector<reply::Answer> answers;
  if (Status done = exchange(request, collect(answers)); !done) return done.error();
  if (answers.size() != 1) return out_of_place(path_);
  return answers.front();
}

Result<reply::Answer> Client::rotate_key(std::span<const std::uint8_t> given) {
  request::RotateKey request;
  request.given = given.size() == request.key.size();
  if (request.given) std::copy(given.begin(), given.end(), request.key.begin());
  Request asked = request;
  std::vector<reply::Answer> answers;
  const Status done = exchange(asked, collect(answers));
  explicit_bzero(request.key.data(), request.key.size());
  explicit_bzero(std::get<request::RotateKey>(asked).key.data(), request.key.size());
  if (!done) return done.error();
  if (answers.size() != 1) return out_of_place(path_);
  return answers.front();
}

Result<NameList> Client::names() {
  std::vector<reply::NameItem> items;
  if (Status done = exchange(request::GetNames{}, collect(items)); !done) return done.error();
  NameList names;
  for (const reply::NameItem& item : items) {
    switch (item.what) {
      case reply::NameOf::cluster:
        names.cluster = item.name.str();
        break;
      case reply::NameOf::node:
        names.nodes.push_back(item.name.str());
        break;
      case reply::NameOf::group:
        names.groups.push_back(item.name.str());
        break;
      case reply::NameOf::network:
        names.networks.push_back(item.name.str());
        break;
    }
  }
  return names;
}

Result<reply::Version> Client::version() {
  std::vector<reply::Version> versions;
  if (Status done = exchange(request::GetVersion{}, collect(versions)); !done) return done.error();
  if (versions.size() != 1) return out_of_place(path_);
  return versions.front();
}

}  // namespace vigil::control
