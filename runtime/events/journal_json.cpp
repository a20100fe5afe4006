#include "runtime/events/journal_json.hpp"

#include <array>
#include <nlohmann/json.hpp>

#include "runtime/base/message.hpp"
#include "runtime/events/environment.hpp"

namespace vigil::events {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::array<std::string_view, 8> kinds = {"observed", "accused", "voted",  "decided",
                                                   "started",  "done",    "failed", "waiting"};

constexpr std::array<std::string_view, 6> steps = {"none",     "accused",   "refused",
                                                   "given_up", "committed", "installed"};
constexpr std::array<std::string_view, 5> accusations = {"silent", "one_way", "restarted", "never_heard",
                                                         "other_configuration"};
constexpr std::array<std::string_view, 5> refusals = {"epoch_too_low", "still_hear_suspect", "not_ready",
                                                      "not_in_proposal", "stale_base"};
static_assert(refusals.size() == static_cast<std::size_t>(NackReason::stale_base) + 1);

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

template <typename Enum, std::size_t N>
bool read_word(const std::string& text, const std::array<std::string_view, N>& words, Enum& out) {
  for (std::size_t i = 0; i < N; ++i)
    if (words[i] == text) {
      out = static_cast<Enum>(i);
      return true;
    }
  return false;
}

template <typename Enum, std::size_t N>
std::string_view word_of(Enum value, const std::array<std::string_view, N>& words) {
  const auto index = static_cast<std::size_t>(value);
  return index < N ? words[index] : "unknown";
}

// As read_number, of a word; absent: the first.
template <typename Enum, std::size_t N>
bool read_member_word(const Json& json, const char* name, const std::array<std::string_view, N>& words, Enum& out) {
  std::string text(words[0]);
  return read_text(json, name, text) && read_word(text, words, out);
}

bool read_nodes(const Json& json, const char* name, NodeSet& out) {
  out = NodeSet{};
  const auto found = json.find(name);
  if (found == json.end()) return true;
  if (!found->is_array()) return false;
  for (const Json& id : *found) {
    if (!id.is_number_unsigned() || id.get<std::uint64_t>() - 1 >= limits::max_nodes) return false;
    out.add(static_cast<NodeId>(id.get<std::uint64_t>() - 1));
  }
  return true;
}

void put_nodes(Json& json, const char* name, NodeSet nodes) {
  json[name] = Json::array();
  for (const NodeId node : nodes) json[name].push_back(node + 1);
}

void put_epoch(Json& json, const char* name, const char* proposer, const Epoch& epoch) {
  json[name] = epoch.counter;
  if (epoch.proposer != no_node) json[proposer] = epoch.proposer + 1;
}

Json links_json(const ViewFacts& facts) {
  Json links = Json::array();
  for (const LinkSilence& each : facts.links) {
    Json link = {{"link", each.link}, {"by", each.by}};
    if (each.silent_us != LinkSilence::never) link["silent_us"] = each.silent_us;
    links.push_back(link);
  }
  return links;
}

// What each step fills in, and nothing else.
Json view_json(const ViewFacts& facts) {
  Json json;
  json["step"] = to_string(facts.step);
  if (facts.step != ViewStep::accused) put_epoch(json, "epoch", "proposer", facts.epoch);
  put_epoch(json, "before", "before_proposer", facts.before);
  if (facts.step == ViewStep::accused) {
    json["why"] = to_string(facts.why);
    put_nodes(json, "hearing", facts.hearing);
    put_nodes(json, "heard", facts.heard);
    json["late_us"] = facts.late_us;
    json["links"] = links_json(facts);
  } else if (facts.step == ViewStep::refused) {
    json["reason"] = to_string(facts.reason);
    put_nodes(json, "heard", facts.heard);
  } else if (facts.step == ViewStep::installed) {
    put_nodes(json, "members", facts.members);
    json["lease_us"] = facts.lease_us;
  } else {
    put_nodes(json, "members", facts.members);
    put_nodes(json, "promised", facts.promised);
    put_nodes(json, "refused", facts.refused);
    put_nodes(json, "accepted", facts.accepted);
    json["round"] = facts.round;
    json["decide_us"] = facts.decide_us;
    if (facts.promise_us != UINT32_MAX) json["promise_us"] = facts.promise_us;
    if (facts.accept_us != UINT32_MAX) json["accept_us"] = facts.accept_us;
  }
  return json;
}

bool read_links(const Json& json, ViewFacts& facts) {
  const auto links = json.find("links");
  if (links == json.end()) return true;
  if (!links->is_array() || links->size() > limits::max_links) return false;
  for (const Json& each : *links) {
    LinkSilence link;
    if (!each.is_object() || !read_number<LinkIndex>(each, "link", limits::max_links - 1, 0, link.link) ||
        !read_number<LinkIndex>(each, "by", limits::max_links - 1, 0, link.by) ||
        !read_number<std::uint32_t>(each, "silent_us", UINT32_MAX, LinkSilence::never, link.silent_us))
      return false;
    facts.links.push(link);
  }
  return true;
}

bool read_view(const Json& json, ViewFacts& facts) {
  if (!json.is_object()) return false;
  const auto number = [&json](const char* name, std::uint32_t missing, std::uint32_t& out) {
    return read_number<std::uint32_t>(json, name, UINT32_MAX, missing, out);
  };
  const bool is_round = json.value("step", Json()) == "given_up" || json.value("step", Json()) == "committed";
  const std::uint32_t never = is_round ? UINT32_MAX : 0;
  return read_member_word(json, "step", steps, facts.step) && read_member_word(json, "why", accusations, facts.why) &&
         read_member_word(json, "reason", refusals, facts.reason) &&
         read_number<std::uint64_t>(json, "epoch", UINT64_MAX, 0, facts.epoch.counter) &&
         read_node(json, "proposer", facts.epoch.proposer) &&
         read_number<std::uint64_t>(json, "before", UINT64_MAX, 0, facts.before.counter) &&
         read_node(json, "before_proposer", facts.before.proposer) && read_nodes(json, "members", facts.members) &&
         read_nodes(json, "promised", facts.promised) && read_nodes(json, "refused", facts.refused) &&
         read_nodes(json, "accepted", facts.accepted) && read_nodes(json, "hearing", facts.hearing) &&
         read_nodes(json, "heard", facts.heard) && number("round", 0, facts.round) &&
         number("decide_us", 0, facts.decide_us) && number("promise_us", never, facts.promise_us) &&
         number("accept_us", never, facts.accept_us) && number("lease_us", 0, facts.lease_us) &&
         number("late_us", 0, facts.late_us) && read_links(json, facts);
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

std::string_view to_string(JournalKind kind) { return word_of(kind, kinds); }
std::string_view to_string(ViewStep step) { return word_of(step, steps); }
std::string_view to_string(Accusation why) { return word_of(why, accusations); }
std::string_view to_string(NackReason reason) { return word_of(reason, refusals); }

std::string to_json(const ViewFacts& facts) { return view_json(facts).dump(); }

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
  if (entry.view.step != ViewStep::none) json["view"] = view_json(entry.view);
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
  if (!read_text(json, "kind", kind) || !read_word(kind, kinds, entry.kind)) return malformed("kind");
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
  if (const auto view = json.find("view"); view != json.end() && !read_view(*view, entry.view)) return malformed("view");
  return entry;
}

}  // namespace vigil::events
