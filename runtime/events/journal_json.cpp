#include "runtime/events/journal_json.hpp"

#include <array>
#include <nlohmann/json.hpp>

#include "runtime/events/environment.hpp"

namespace vigil::events {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::array<std::string_view, 8> kinds = {"observed", "accused", "voted",  "decided",
                                                   "started",  "done",    "failed", "waiting"};

// An unsigned number of at most `most`, or `missing` where there is none. False: present but wrong.
template <typename T>
bool read_number(const Json& json, const char* name, std::uint64_t most, T missing, T& out) {
  const auto found = json.find(name);
  if (found == json.end()) {
    out = missing;
    return true;
  }
  if (!found->is_number_unsigned()) return false;
  const auto value = found->get<std::uint64_t>();
  if (value > most) return false;
  out = static_cast<T>(value);
  return true;
}

bool read_signed(const Json& json, const char* name, std::int64_t missing, std::int64_t& out) {
  const auto found = json.find(name);
  if (found == json.end()) {
    out = missing;
    return true;
  }
  if (!found->is_number_integer()) return false;
  out = found->get<std::int64_t>();
  return true;
}

// Ids are counted from 1 in the file and from 0 in memory.
bool read_node(const Json& json, const char* name, NodeId& out) {
  std::uint64_t id = 0;
  if (!read_number<std::uint64_t>(json, name, limits::max_nodes, 0, id)) return false;
  out = id == 0 ? no_node : static_cast<NodeId>(id - 1);
  return true;
}

bool read_text(const Json& json, const char* name, std::string& out) {
  const auto found = json.find(name);
  if (found == json.end()) return true;
  if (!found->is_string()) return false;
  out = found->get<std::string>();
  return true;
}

bool read_kind(const std::string& text, JournalKind& out) {
  for (std::size_t i = 0; i < kinds.size(); ++i)
    if (kinds[i] == text) {
      out = static_cast<JournalKind>(i);
      return true;
    }
  return false;
}

void put_node(Json& json, const char* name, const char* named, NodeId node, const ClusterConfig* config) {
  if (node == no_node) return;
  json[name] = node + 1;
  if (config != nullptr && node < config->nodes.size()) json[named] = config->nodes[node].name.str();
}

Error malformed(const char* member) {
  return Error::of(std::string("reading a journal entry: member '") + member +
                   "' is missing or has the wrong type or range; the line was not written by this release");
}

}  // namespace

std::string_view to_string(JournalKind kind) {
  const auto index = static_cast<std::size_t>(kind);
  return index < kinds.size() ? kinds[index] : "unknown";
}

std::string to_json(const JournalEntry& entry, const ClusterConfig* config) {
  Json json;
  json["sequence"] = entry.sequence;
  put_node(json, "node", "node_name", entry.node, config);
  json["time"] = time_text(entry.wall_ns);
  json["wall_ns"] = entry.wall_ns;
  json["boot_ns"] = entry.boot_ns;
  json["kind"] = to_string(entry.kind);
  if (entry.event != EventName::none) json["event"] = vigil::to_string(entry.event);
  json["epoch"] = entry.stamp.epoch.counter;
  if (entry.stamp.epoch.proposer != no_node) json["proposer"] = entry.stamp.epoch.proposer + 1;
  json["record"] = entry.stamp.version;
  if (entry.group != no_index) {
    json["group"] = entry.group;
    if (config != nullptr && entry.group < config->groups.size())
      json["group_name"] = config->groups[entry.group].name.str();
    json["generation"] = entry.generation;
  }
  put_node(json, "subject", "subject_name", entry.subject, config);
  if (entry.network != no_index) {
    json["network"] = entry.network;
    if (config != nullptr && entry.network < config->networks.size())
      json["network_name"] = config->networks[entry.network].name.str();
  }
  if (entry.adapter != no_index) json["adapter"] = entry.adapter;
  if (entry.duration_us >= 0) json["duration_us"] = entry.duration_us;
  json["text"] = entry.text.view();
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<JournalEntry> journal_from_json(std::string_view text) {
  const Json json = Json::parse(text.begin(), text.end(), nullptr, false);
  if (!json.is_object())
    return Error::of("reading a journal entry: the line is not a JSON object; it was cut, or is not a journal's");
  JournalEntry entry;
  std::string kind;
  std::string event;
  std::string words;
  if (json.find("sequence") == json.end() ||
      !read_number<std::uint64_t>(json, "sequence", UINT64_MAX, 0, entry.sequence))
    return malformed("sequence");
  if (!read_node(json, "node", entry.node)) return malformed("node");
  if (!read_signed(json, "wall_ns", 0, entry.wall_ns)) return malformed("wall_ns");
  if (!read_signed(json, "boot_ns", 0, entry.boot_ns)) return malformed("boot_ns");
  if (!read_text(json, "kind", kind) || !read_kind(kind, entry.kind)) return malformed("kind");
  if (!read_text(json, "event", event)) return malformed("event");
  if (!event.empty()) {
    const auto name = event_from_string(event);
    if (!name) return malformed("event");
    entry.event = *name;
  }
  if (!read_number<std::uint64_t>(json, "epoch", UINT64_MAX, 0, entry.stamp.epoch.counter)) return malformed("epoch");
  if (!read_node(json, "proposer", entry.stamp.epoch.proposer)) return malformed("proposer");
  if (!read_number<std::uint32_t>(json, "record", UINT32_MAX, 0, entry.stamp.version)) return malformed("record");
  if (!read_number<GroupIndex>(json, "group", no_index, no_index, entry.group)) return malformed("group");
  if (!read_number<std::uint32_t>(json, "generation", UINT32_MAX, 0, entry.generation)) return malformed("generation");
  if (!read_node(json, "subject", entry.subject)) return malformed("subject");
  if (!read_number<NetworkIndex>(json, "network", no_index, no_index, entry.network)) return malformed("network");
  if (!read_number<AdapterIndex>(json, "adapter", no_index, no_index, entry.adapter)) return malformed("adapter");
  if (!read_signed(json, "duration_us", -1, entry.duration_us)) return malformed("duration_us");
  if (!read_text(json, "text", words)) return malformed("text");
  entry.text.assign(words);
  return entry;
}

}  // namespace vigil::events
