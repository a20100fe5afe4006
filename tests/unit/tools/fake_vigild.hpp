// A control socket in a directory of its own, served by a thread in the way the daemon serves it: the
// sample's configuration, status and journal, through the streams, the name resolution and the rights
// of tools/client. Tests change the status under the lock, and say how an operator's word is taken.
#pragma once

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tests/unit/tools/sample.hpp"
#include "tools/client/control_peer.hpp"
#include "tools/client/resolve.hpp"

namespace vigil::sample {

class FakeVigild {
 public:
  using OnCommand = std::function<control::reply::Answer(const OperatorCommand&, NodeStatus&)>;

  FakeVigild() : config_(config()), status_(sample::status()), journal_(sample::journal()) {
    directory_ = (std::filesystem::temp_directory_path() / "vigil-control-XXXXXX").string();
    if (mkdtemp(directory_.data()) == nullptr) return;
    path_ = directory_ + "/control.sock";
    listener_ = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path_.c_str(), path_.size() + 1);
    ready_ = bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 && listen(listener_, 8) == 0;
    thread_ = std::thread([this] { serve(); });
  }
  ~FakeVigild() {
    stop();
    rmdir(directory_.c_str());
  }
  FakeVigild(const FakeVigild&) = delete;
  FakeVigild& operator=(const FakeVigild&) = delete;

  // As when the daemon ends: connections close, the socket file goes.
  void stop() {
    over_ = true;
    if (thread_.joinable()) thread_.join();
    if (listener_ >= 0) close(listener_);
    listener_ = -1;
    unlink(path_.c_str());
  }

  bool ready() const { return ready_; }
  const std::string& path() const { return path_; }
  void on_command(OnCommand take) { on_command_ = std::move(take); }
  // The peer is root's in the tests' world; a reader's in this one.
  void treat_peers_as_readers() { right_ = control::Right::read; }
  // Sends these bytes in answer to everything.
  void answer_with(std::vector<std::byte> bytes) { canned_ = std::move(bytes); }
  void change(const std::function<void(NodeStatus&)>& how) {
    const std::lock_guard lock(mutex_);
    how(*status_);
  }

 private:
  void serve() {
    std::vector<int> clients;
    while (!over_) {
      std::vector<pollfd> waiting{{listener_, POLLIN, 0}};
      for (int fd : clients) waiting.push_back({fd, POLLIN, 0});
      if (poll(waiting.data(), waiting.size(), 5) <= 0) continue;
      for (std::size_t i = waiting.size() - 1; i > 0; --i) {
        if (waiting[i].revents == 0 || serve_request(waiting[i].fd)) continue;
        close(waiting[i].fd);
        clients.erase(clients.begin() + static_cast<std::ptrdiff_t>(i) - 1);
      }
      if (waiting[0].revents != 0) clients.push_back(accept(listener_, nullptr, nullptr));
    }
    for (int fd : clients) close(fd);
  }

  // False: the client is gone.
  bool serve_request(int fd) {
    std::array<std::byte, control::packet_bytes> packet;
    const ssize_t length = recv(fd, packet.data(), packet.size(), 0);
    if (length <= 0) return false;
    if (!canned_.empty()) return ::send(fd, canned_.data(), canned_.size(), MSG_NOSIGNAL) > 0;
    control::Request request;
    const control::Fault fault = control::decode(std::span(packet).first(static_cast<std::size_t>(length)), request);
    if (fault != control::Fault::none)
      return reply(fd, control::reply::Refused{control::reply::Refusal::malformed, control::to_string(fault)});
    if (!control::permits(right_, request))
      return reply(fd, control::reply::Refused{control::reply::Refusal::not_permitted, control::not_permitted_text});
    const std::lock_guard lock(mutex_);
    std::visit([&](const auto& asked) { answer(fd, asked); }, request);
    return true;
  }

  bool reply(int fd, const control::Reply& record) {
    std::array<std::byte, control::packet_bytes> packet;
    const std::size_t length = control::encode(record, packet);
    return ::send(fd, packet.data(), length, MSG_NOSIGNAL) == static_cast<ssize_t>(length);
  }
  template <typename Stream>
  void stream(int fd, Stream packets) {
    std::array<std::byte, control::packet_bytes> packet;
    std::size_t length = 0;
    while (packets.next(packet, length))
      if (::send(fd, packet.data(), length, MSG_NOSIGNAL) < 0) return;
  }

  void answer(int fd, const control::request::GetStatus&) { stream(fd, control::StatusStream(*config_, *status_)); }
  void answer(int fd, const control::request::GetNames&) { stream(fd, control::NamesStream(*config_)); }
  void answer(int fd, const control::request::GetVersion&) {
    reply(fd, control::reply::Version{control::release, 1});
    reply(fd, control::reply::End{});
  }
  // False: the filter named no group, and the client knows it.
  bool send_journal(int fd, const Name& group, std::int64_t since_wall_ns, std::uint32_t newest) {
    GroupIndex filter = no_index;
    control::reply::Refused refused;
    if (!control::resolve_filter(*config_, group, filter, refused)) return reply(fd, refused), false;
    std::vector<JournalEntry> matching;
    for (const JournalEntry& entry : journal_)
      if (control::journal_matches(entry, filter, since_wall_ns)) matching.push_back(entry);
    const std::size_t skip = newest > 0 && matching.size() > newest ? matching.size() - newest : 0;
    for (std::size_t i = skip; i < matching.size(); ++i) reply(fd, control::journal_reply(*config_, matching[i]));
    return true;
  }
  void answer(int fd, const control::request::GetJournal& get) {
    if (send_journal(fd, get.group, get.since_wall_ns, get.limit)) reply(fd, control::reply::End{});
  }
  void answer(int fd, const control::request::GetViews&) {
    for (const JournalEntry& entry : sample::views()) reply(fd, control::journal_reply(*config_, entry));
    for (const auto& told : sample::told(*config_)) reply(fd, told);
    reply(fd, control::reply::End{});
  }
  // History, then one entry "as it happens", then the daemon goes away from this client.
  void answer(int fd, const control::request::Follow& follow) {
    const std::int64_t since = follow.history > 0 ? 0 : INT64_MAX;
    if (!send_journal(fd, follow.group, since, follow.history)) return;
    const JournalEntry now = entry({20'000'000, 2, JournalKind::observed, EventName::node_up, 0});
    reply(fd, control::journal_reply(*config_, now));
    shutdown(fd, SHUT_RDWR);
  }
  void answer(int fd, const control::request::RotateKey&) {
    reply(fd, control::reply::Answer{true, "key 2 is made; every member fetches it"});
    reply(fd, control::reply::End{});
    status_->committed.state.keys = {KeyPhase::settled, 2, 0, 0, {}};  // and is through with it at once
  }
  void answer(int fd, const control::request::Operate& operate) {
    OperatorCommand command;
    control::reply::Refused refused;
    if (!control::resolve(*config_, operate, command, refused)) {
      reply(fd, refused);
      return;
    }
    reply(fd, on_command_ ? on_command_(command, *status_) : control::reply::Answer{true, "so be it"});
    reply(fd, control::reply::End{});
  }

  std::unique_ptr<ClusterConfig> config_;
  std::unique_ptr<NodeStatus> status_;
  std::vector<JournalEntry> journal_;
  std::mutex mutex_;
  OnCommand on_command_;
  control::Right right_ = control::Right::command;
  std::vector<std::byte> canned_;
  std::string directory_;
  std::string path_;
  int listener_ = -1;
  bool ready_ = false;
  std::atomic<bool> over_ = false;
  std::thread thread_;
};

}  // namespace vigil::sample
