// The tools' side of the control socket: connects, asks, and gathers the packets of an answer into
// one value. Blocking, with a time limit on every answer but a follower's. Never used by vigild.
//
// An Error with code != 0 means that vigild could not be reached or understood; code 0 means that it
// answered, and refused.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.hpp"
#include "tools/client/control_protocol.hpp"

namespace vigil::control {

// What one node knows of its cluster: the answer to GetStatus, whole.
struct ClusterPicture {
  reply::Cluster cluster;
  std::vector<reply::Node> nodes;        // every configured node, by id
  std::vector<reply::Adapter> adapters;  // of the node that answered
  std::vector<reply::Group> groups;      // every configured group
  KeyState keys;
  reply::Quorum quorum;
  std::vector<std::string> problems;     // what the node that answered says is wrong, beyond what these show

  const reply::Node* node(NodeId id) const;
  const reply::Node* node(std::string_view name) const;
  const reply::Group* group(std::string_view name) const;
  // "-" for no_node.
  std::string name_of(NodeId id) const;
  std::vector<std::string> names_of(NodeSet nodes) const;
};

struct NameList {
  std::string cluster;
  std::vector<std::string> nodes;
  std::vector<std::string> groups;
  std::vector<std::string> networks;
};

// The entries about membership, and who could be asked for them.
struct ViewEntries {
  std::vector<reply::Journal> entries;
  std::vector<reply::Told> nodes;
};

class Client {
 public:
  // `path`: the control socket of the vigild on this node.
  static Result<Client> connect(const std::string& path);
  ~Client();
  Client(Client&& other) noexcept;
  Client& operator=(Client&& other) noexcept;
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  Result<ClusterPicture> status();
  Result<std::vector<reply::Journal>> journal(const request::GetJournal& request);
  Result<ViewEntries> views();
  // Calls `each` for every entry until it returns false (then ok) or vigild goes away (an Error).
  Status follow(const request::Follow& request, const std::function<bool(const reply::Journal&)>& each);
  // The coordinator's word; accepted == false is an answer, not an Error.
  Result<reply::Answer> operate(const request::Operate& request);
  // As operate(). `given`: 32 bytes, or none for a random key.
  Result<reply::Answer> rotate_key(std::span<const std::uint8_t> given);
  Result<NameList> names();
  Result<reply::Version> version();

 private:
  Client(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}

  Status send(const Request& request);
  // timeout_s 0: waits for ever.
  Result<Reply> receive(int timeout_s);
  // Sends, then hands every record before End to `take`, which returns false for one that does not
  // belong to this answer.
  Status exchange(const Request& request, const std::function<bool(const Reply&)>& take);

  int fd_ = -1;
  std::string path_;
};

}  // namespace vigil::control
