// Serves the control socket from the loop: a fixed number of clients, one answer at a time for each,
// a packet at a time, as far as the socket takes them. Never waits for a client.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>

#include "runtime/base/cluster.hpp"
#include "runtime/core/event.hpp"
#include "runtime/core/status.hpp"
#include "runtime/loop/registration.hpp"
#include "runtime/node/journal.hpp"
#include "runtime/node/log.hpp"
#include "tools/client/control_peer.hpp"
#include "tools/client/control_protocol.hpp"
#include "tools/client/status_stream.hpp"

namespace vigil {

class ControlSource {
 public:
  virtual ~ControlSource() = default;
  virtual void describe(NodeStatus& status) = 0;
  virtual void on_operator(std::uint64_t id, const OperatorCommand& command) = 0;
  // A new cluster key: the given one, or with `given` empty a random one. Answered as an operator's command.
  virtual void on_rotate(std::uint64_t id, std::span<const std::uint8_t> given) = 0;
  // The entries about membership.
  virtual const Journal& views() const = 0;
  // Brings these up to date from all nodes that can be reached; on_views() is called when that is done,
  // perhaps before this returns.
  virtual void merge_views() = 0;
};

class ControlServer : private RingHandler {
 public:
  static Result<std::unique_ptr<ControlServer>> open(const std::string& path, const ClusterConfig& config,
                                                     const Journal& journal, Log& log, ControlSource& source);
  ~ControlServer();
  Status attach(Ring& ring);
  // Hangs up, and takes the socket away.
  void detach();
  // An operator's command was answered; the client may be gone.
  void answer(std::uint64_t id, bool accepted, std::string_view text);
  // The journal grew: followers hear of it.
  void on_journal();
  // The merge that was asked for is done; these nodes have told all they have.
  void on_views(NodeSet reached);

 private:
  static constexpr std::size_t max_clients = 16;
  struct Entries {  // of the journal
    std::uint64_t next = 0;
    std::uint64_t end = 0;
    GroupIndex group = no_index;
    std::int64_t since_wall_ns = 0;
    bool follow = false;
  };
  struct Views {  // first the entries, then a Told for each node
    bool merged = false;
    std::uint64_t next = 0;
    std::uint64_t end = 0;
    NodeSet reached;
    std::size_t node = 0;
  };
  struct Waiting {  // for the coordinator
    std::uint64_t id = 0;
  };
  struct Single {
    control::Reply reply;
    bool sent = false;
  };
  using Answer = std::variant<std::monostate, control::StatusStream, control::NamesStream, Entries, Views, Waiting, Single>;
  struct Client {
    Fd fd;
    SourceId source;
    control::Right right = control::Right::read;
    Answer answer;
    bool pending = false;  // a packet in `packet` still to be sent
    std::size_t packet_size = 0;
    std::array<std::byte, control::packet_bytes> packet;
    std::unique_ptr<NodeStatus> status;
  };

  ControlServer(const ClusterConfig& config, const Journal& journal, Log& log, ControlSource& source)
      : config_(config), journal_(journal), log_(log), source_(source) {}
  Status set_up(const std::string& path);
  void accept_clients();
  void drop(Client& client);
  void read(Client& client);
  void begin(Client& client, const control::Request& request);
  void refuse(Client& client, control::reply::Refusal why, std::string_view text);
  void pump(Client& client);
  bool next_packet(Client& client);
  bool next_entry(Client& client, Entries& entries);
  bool next_view(Client& client, Views& views);
  std::uint64_t start_of(std::uint32_t limit, GroupIndex group, std::int64_t since_wall_ns) const;
  void on_ready(std::uint32_t tag, std::uint32_t events) override;

  const ClusterConfig& config_;
  const Journal& journal_;
  Log& log_;
  ControlSource& source_;
  Ring* ring_ = nullptr;
  Fd listener_;
  Registration listening_;
  std::string path_;
  std::array<Client, max_clients> clients_;
  std::uint64_t next_id_ = 1;
};

}  // namespace vigil
