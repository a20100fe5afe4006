// Each document is built member by member in the order of README.md, which says what they mean.
#include "tools/ctl/json.hpp"

#include <nlohmann/json.hpp>

#include "runtime/config/names.hpp"
#include "runtime/events/environment.hpp"
#include "runtime/events/journal_json.hpp"
#include "tools/ctl/health.hpp"
#include "tools/ctl/quorum.hpp"
#include "tools/ctl/sentence.hpp"
#include "tools/ctl/words.hpp"

namespace vigil::ctl {

namespace {

using Json = nlohmann::ordered_json;
using control::reply::Adapter;
using control::reply::Group;
using control::reply::GroupAddress;
using control::reply::Link;
using control::reply::Node;

std::string printed(const Json& json, int indent) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

Json name_or_null(const ClusterPicture& picture, NodeId node) {
  return node == no_node ? Json() : Json(picture.name_of(node));
}

Json text_or_null(const std::string& text) { return text.empty() ? Json() : Json(text); }

Json epoch_json(const ClusterPicture& picture, const Epoch& epoch) {
  return {{"counter", epoch.counter}, {"proposer", name_or_null(picture, epoch.proposer)}};
}

// null where no rule is.
Json rule_json(const ClusterPicture& picture, const QuorumRule& rule) {
  if (!rule.exists()) return {};
  return {{"kind", word(rule.kind)},
          {"needed", rule.needed},
          {"votes", rule.votes_of(rule.voters)},
          {"voters", picture.names_of(rule.voters)},
          {"tie_breaker", rule.tie_breaker}};
}

Json budget_json(const Budget& budget) {
  return {{"detect", budget.detect_us / 1000.0},
          {"agree", budget.agree_us / 1000.0},
          {"fence", budget.fence_us / 1000.0},
          {"storage", budget.storage_us / 1000.0},
          {"address", budget.address_us / 1000.0},
          {"application", budget.application_us / 1000.0},
          {"total", static_cast<double>(total_us(budget)) / 1000.0}};
}

Json node_json(const ClusterPicture& picture, const Node& node) {
  Json networks = Json::array();
  for (std::size_t i = 0; i < picture.cluster.networks.size(); ++i)
    if ((node.networks_up >> i) & 1) networks.push_back(picture.cluster.networks[i].str());
  Json groups = Json::array();
  for (const Group& group : picture.groups)
    if (group.state.owner == node.id) groups.push_back(group.name.str());
  return {{"name", node.name.str()},
          {"id", node.id + 1},
          {"self", node.self},
          {"state", node_word(picture, node)},
          {"member", node.member},
          {"ready", node.ready},
          {"standby", node.standby},
          {"leaving", node.leaving},
          {"unfenced", node.unfenced},
          {"heard", node.heard},
          {"suspected", node.suspected},
          {"config_matches", node.config_matches},
          {"networks_up", networks},
          {"groups", groups},
          {"lateness_ms", node.lateness_ms},
          {"boot_id", hex_text(node.incarnation.boot_id)},
          {"start_id", hex_text(node.incarnation.start_id)}};
}

Json group_json(const ClusterPicture& picture, const Group& group) {
  const GroupState& state = group.state;
  Json nodes = Json::array();
  for (NodeId id : group.nodes) nodes.push_back(picture.name_of(id));
  Json addresses = Json::array();
  for (const GroupAddress& address : group.addresses)
    addresses.push_back({{"address", format_address(address.address)},
                         {"network", address.network.str()},
                         {"device", text_or_null(address.device.str())}});
  return {{"name", group.name.str()},
          {"phase", word(state.phase)},
          {"owner", name_or_null(picture, state.owner)},
          {"previous", name_or_null(picture, state.previous)},
          {"reason", word(state.reason)},
          {"reason_text", because(state.reason, picture.name_of(state.previous))},
          {"generation", state.generation},
          {"wanted", state.wanted},
          {"pinned", name_or_null(picture, state.pinned)},
          {"unproven", picture.names_of(state.unproven)},
          {"failed_on", picture.names_of(state.failed_on)},
          {"blocked_text", blocked_text(picture, group)},
          {"step_text", group.step_text.str()},
          {"policy", word(group.policy)},
          {"fallback", group.fallback},
          {"priority", group.priority},
          {"nodes", nodes},
          {"addresses", addresses},
          {"application", group.has_application ? Json(group.application.str()) : Json()},
          {"restarts", state.restarts},
          {"budget_ms", budget_json(state.last)},
          {"last_takeover_unix_ms", state.last_wall_ns / 1'000'000}};
}

Json link_json(const Node& peer, const Link& link) {
  const double all = static_cast<double>(link.received) + static_cast<double>(link.lost);
  return {{"peer", peer.name.str()},
          {"kind", word(link.kind)},
          {"device", link.device.str()},
          {"network", link.network.str()},
          {"by", link.by},
          {"link", link.link},
          {"state", word(link.state)},
          {"last_heard_ms", link.received > 0 ? Json(link.last_heard_ago.ms()) : Json()},
          {"received", link.received},
          {"lost", link.lost},
          {"loss_percent", all > 0 ? 100.0 * static_cast<double>(link.lost) / all : 0.0},
          {"duplicated", link.duplicated},
          {"reordered", link.reordered},
          {"jitter_ms", link.jitter_us / 1000.0},
          {"round_trip_ms", link.round_trip_us / 1000.0},
          {"flaps", link.flaps}};
}

Json links_array(const ClusterPicture& picture) {
  Json links = Json::array();
  for (const Node& node : picture.nodes)
    for (const Link& link : node.links) links.push_back(link_json(node, link));
  return links;
}

Json adapters_array(const ClusterPicture& picture) {
  Json adapters = Json::array();
  for (const Adapter& adapter : picture.adapters)
    adapters.push_back({{"device", adapter.device.str()},
                        {"network", adapter.network.str()},
                        {"role", word(adapter.role)},
                        {"address", adapter.address.family == 0 ? Json() : Json(format_address(adapter.address))},
                        {"usable", adapter.usable},
                        {"healthy", adapter.healthy}});
  return adapters;
}

// The members that the journal files of runtime/events have too, under the same names.
Json entry_json(const control::reply::Journal& journal) {
  const JournalEntry& entry = journal.entry;
  Json json;
  json["sequence"] = entry.sequence;
  json["node"] = entry.node + 1;
  json["node_name"] = journal.node.str();
  json["time"] = events::time_text(entry.wall_ns);
  json["wall_ns"] = entry.wall_ns;
  json["boot_ns"] = entry.boot_ns;
  json["kind"] = word(entry.kind);
  if (entry.event != EventName::none) json["event"] = to_string(entry.event);
  json["epoch"] = entry.stamp.epoch.counter;
  if (entry.stamp.epoch.proposer != no_node) json["proposer"] = entry.stamp.epoch.proposer + 1;
  json["record"] = entry.stamp.version;
  if (entry.group != no_index) {
    json["group"] = entry.group;
    json["group_name"] = journal.group.str();
    json["generation"] = entry.generation;
  }
  if (entry.subject != no_node) {
    json["subject"] = entry.subject + 1;
    json["subject_name"] = journal.subject.str();
  }
  if (entry.network != no_index) {
    json["network"] = entry.network;
    json["network_name"] = journal.network.str();
  }
  if (entry.adapter != no_index) {
    json["adapter"] = entry.adapter;
    json["device"] = journal.device.str();
  }
  if (entry.duration_us >= 0) json["duration_us"] = entry.duration_us;
  json["text"] = entry.text.str();
  json["sentence"] = sentence(journal);
  if (entry.view.step != ViewStep::none) {
    json["view"] = Json::parse(events::to_json(entry.view));
    for (std::size_t i = 0; i < journal.links.size() && i < json["view"]["links"].size(); ++i) {
      json["view"]["links"][i]["device"] = journal.links[i].device.str();
      json["view"]["links"][i]["kind"] = word(journal.links[i].kind);
      json["view"]["links"][i]["network_name"] = journal.links[i].network.str();
    }
  }
  return json;
}

Json timeline_json(const std::vector<Journal>& entries, std::int64_t zero_wall_ns) {
  Json timeline = Json::array();
  for (const Journal& entry : entries) {
    Json step = entry_json(entry);
    step["at_ms"] = static_cast<double>(entry.entry.wall_ns - zero_wall_ns) / 1e6;
    timeline.push_back(step);
  }
  return timeline;
}

Json takeover_json(const Takeover& takeover) {
  Json incidents = Json::array();
  for (const Incident& incident : takeover.incidents)
    incidents.push_back({{"zero_wall_ns", incident.zero_wall_ns},
                         {"timeline", timeline_json(incident.entries, incident.zero_wall_ns)}});
  return {{"generation", takeover.generation},
          {"from", text_or_null(takeover.from)},
          {"to", text_or_null(takeover.to)},
          {"reason", word(takeover.reason)},
          {"reason_text", because(takeover.reason, takeover.from)},
          {"phase", word(takeover.phase)},
          {"complete", takeover.budget.has_value()},
          {"zero_wall_ns", takeover.zero_wall_ns},
          {"zero_is_last_sign_of_life", takeover.zero_is_last_sign},
          {"budget_ms", takeover.budget ? budget_json(*takeover.budget) : Json()},
          {"timeline", timeline_json(takeover.entries, takeover.zero_wall_ns)},
          {"incidents", incidents}};
}

Json arrivals_json(const std::vector<Arrival>& arrivals) {
  Json list = Json::array();
  for (const Arrival& each : arrivals) list.push_back({{"node", each.node}, {"reason_text", each.why}});
  return list;
}

Json us_or_null(std::uint32_t us, std::uint32_t null) { return us == null ? Json() : Json(us / 1000.0); }

Json accusation_json(const ClusterPicture& picture, const ViewChange& change, const Journal& journal) {
  const JournalEntry& entry = journal.entry;
  Json links = Json::array();
  for (std::size_t i = 0; i < entry.view.links.size() && i < journal.links.size(); ++i)
    links.push_back({{"device", journal.links[i].device.str()},
                     {"kind", word(journal.links[i].kind)},
                     {"network", journal.links[i].network.str()},
                     {"last_heartbeat_ms", us_or_null(entry.view.links[i].silent_us, LinkSilence::never)}});
  return {{"by", journal.node.str()},
          {"node", journal.subject.str()},
          {"why", events::to_string(entry.view.why)},
          {"at_ms", static_cast<double>(entry.wall_ns - change.zero_wall_ns) / 1e6},
          {"silent_ms", entry.duration_us < 0 ? Json() : Json(static_cast<double>(entry.duration_us) / 1000.0)},
          {"own_lateness_ms", entry.view.late_us / 1000.0},
          {"heard_by", picture.names_of(entry.view.hearing)},
          {"hears", picture.names_of(entry.view.heard)},
          {"links", links}};
}

Json refusal_json(const ClusterPicture& picture, const ViewChange& change, const Journal& journal) {
  return {{"candidate", journal.node.str()},
          {"node", journal.subject.str()},
          {"reason", events::to_string(journal.entry.view.reason)},
          {"at_ms", static_cast<double>(journal.entry.wall_ns - change.zero_wall_ns) / 1e6},
          {"still_heard", picture.names_of(journal.entry.view.heard)}};
}

Json votes_json(const ViewChange& change) {
  static constexpr const char* answers[] = {"promised", "refused", "none"};
  Json votes = Json::array();
  for (const Vote& vote : change.votes)
    votes.push_back({{"node", vote.node},
                     {"answer", answers[static_cast<std::size_t>(vote.answer)]},
                     {"reason", vote.reason ? Json(events::to_string(*vote.reason)) : Json()},
                     {"accepted", vote.accepted}});
  return votes;
}

Json steps_json(const ViewChange& change) {
  if (!change.steps) return {};
  const auto ms = [](std::int64_t us) { return static_cast<double>(us) / 1000.0; };
  const auto after_decision = [&change](std::int64_t wall_ns) {
    return static_cast<double>(wall_ns - change.decided_wall_ns) / 1e6;
  };
  return {{"decide", ms(change.steps->decide_us)},
          {"promise", ms(change.steps->promise_us)},
          {"accept", ms(change.steps->accept_us)},
          {"install", change.installed_wall_ns == 0 ? Json() : Json(after_decision(change.installed_wall_ns))},
          {"leases_over", change.leases_over_wall_ns ? Json(after_decision(*change.leases_over_wall_ns)) : Json()}};
}

Json view_change_json(const ClusterPicture& picture, const ViewChange& change) {
  const auto epoch_or_null = [&picture](const Epoch& epoch) {
    return epoch.is_genesis() ? Json() : epoch_json(picture, epoch);
  };
  Json json = {{"epoch", epoch_or_null(change.epoch)},
               {"before", epoch_or_null(change.before)},
               {"coordinator", text_or_null(change.coordinator)},
               {"members", change.members},
               {"left", arrivals_json(change.left)},
               {"joined", arrivals_json(change.joined)},
               {"zero_wall_ns", change.zero_wall_ns},
               {"zero_is_last_sign_of_life", change.zero_is_last_sign},
               {"last_sign_of", text_or_null(change.last_sign_of)},
               {"accusations", Json::array()},
               {"refusals", Json::array()},
               {"votes", votes_json(change)},
               {"rounds", change.rounds},
               {"steps_ms", steps_json(change)},
               {"installed", Json::array()}};
  for (const Journal& each : change.entries) {
    if (each.entry.view.step == ViewStep::accused)
      json["accusations"].push_back(accusation_json(picture, change, each));
    if (each.entry.view.step == ViewStep::refused) json["refusals"].push_back(refusal_json(picture, change, each));
    if (each.entry.view.step != ViewStep::installed) continue;
    json["installed"].push_back({{"node", each.node.str()},
                                 {"at_ms", static_cast<double>(each.entry.wall_ns - change.zero_wall_ns) / 1e6},
                                 {"leases_left_ms", each.entry.view.lease_us / 1000.0}});
  }
  json["timeline"] = timeline_json(change.entries, change.zero_wall_ns);
  return json;
}

}  // namespace

std::string status_json(const ClusterPicture& picture) {
  const auto& c = picture.cluster;
  Json json;
  json["schema"] = 1;
  json["cluster"] = c.name.str();
  json["config_hash"] = hex_text(c.config_hash);
  json["config_version"] = c.config_version;
  json["profile"] = word(c.profile);
  json["timing_ms"] = {{"interval", c.interval.ms()}, {"detection", c.detection.ms()}, {"lease", c.lease.ms()}};
  json["self"] = picture.name_of(c.self);
  json["role"] = word(c.role);
  json["role_text"] = c.role_text.str();
  json["quorate"] = c.quorate;
  json["epoch"] = epoch_json(picture, c.epoch);
  json["record_version"] = c.record_version;
  json["coordinator"] = name_or_null(picture, c.coordinator);
  json["members"] = picture.names_of(c.members);
  json["voters"] = picture.names_of(c.voters);
  json["votes_needed"] = c.votes_needed;
  json["view_changing"] = c.changing;
  json["lease_left_ms"] = c.lease_left.ms();
  json["lease_gaps"] = c.lease_gaps;
  json["late_count"] = c.late_count;
  json["worst_lateness_ms"] = c.worst_lateness.ms();
  const KeyState& keys = picture.keys;
  json["key"] = {{"phase", word(keys.phase)},
                 {"active", keys.active == 0 ? Json() : Json(keys.active)},
                 {"next", keys.next == 0 ? Json() : Json(keys.next)},
                 {"done", picture.names_of(keys.done)}};
  const auto problems = problems_of(picture);
  json["healthy"] = problems.empty();
  json["problems"] = problems;
  json["nodes"] = Json::array();
  for (const Node& node : picture.nodes) json["nodes"].push_back(node_json(picture, node));
  json["groups"] = Json::array();
  for (const Group& group : picture.groups) json["groups"].push_back(group_json(picture, group));
  json["links"] = links_array(picture);
  json["adapters"] = adapters_array(picture);
  return printed(json, 2) + '\n';
}

std::string links_json(const ClusterPicture& picture) {
  Json json;
  json["schema"] = 1;
  json["self"] = picture.name_of(picture.cluster.self);
  json["links"] = links_array(picture);
  json["adapters"] = adapters_array(picture);
  return printed(json, 2) + '\n';
}

std::string quorum_json(const ClusterPicture& picture, const std::vector<control::reply::Journal>& journal) {
  const control::reply::Quorum& quorum = picture.quorum;
  const QuorumStatus& counted = quorum.counted;
  const QuorumFacts facts = quorum_facts(picture);
  Json json;
  json["schema"] = 1;
  json["cluster"] = picture.cluster.name.str();
  json["self"] = picture.name_of(picture.cluster.self);
  json["epoch"] = epoch_json(picture, picture.cluster.epoch);
  json["quorate"] = picture.cluster.quorate;
  json["policy"] = word(quorum.policy);
  json["wait_for_all"] = quorum.wait_for_all;
  json["tie_breaker"] = text_or_null(quorum.tie_breaker.str());
  json["rule"] = rule_json(picture, counted.rule);
  json["rule_before"] = rule_json(picture, counted.also);
  json["rule_configured"] = rule_json(picture, counted.configured);
  json["votes_needed"] = facts.needed;
  json["votes_counted"] = facts.counted;
  json["votes_spare"] = facts.spare;
  json["stops_without"] = picture.names_of(facts.stops_without);
  json["tie_without"] = picture.names_of(facts.tie_without);
  json["enough_with"] = picture.names_of(facts.enough_with);
  json["can_tie"] = facts.can_tie;
  json["by_tie_breaker"] = facts.by_tie_breaker;
  json["start_needs_every_voter"] = counted.start_needs_every_voter;
  json["start_lacks"] = picture.names_of(facts.start_lacks);
  json["vouched_down"] = picture.names_of(counted.vouched);
  json["text"] = quorum_sentences(picture);
  json["nodes"] = Json::array();
  for (const Node& node : picture.nodes)
    json["nodes"].push_back({{"name", node.name.str()},
                             {"id", node.id + 1},
                             {"votes", counted.configured.votes_of(NodeSet::of(node.id))},
                             {"arbiter", quorum.arbiters.has(node.id)},
                             {"member", node.member},
                             {"heard", node.heard},
                             {"counts", facts.counting.has(node.id)}});
  json["changes"] = Json::array();
  for (const control::reply::Journal& change : rule_changes(journal)) json["changes"].push_back(entry_json(change));
  return printed(json, 2) + '\n';
}

std::string why_json(const std::string& group, const std::vector<Takeover>& takeovers) {
  Json json;
  json["schema"] = 1;
  json["group"] = group;
  json["takeovers"] = Json::array();
  for (const Takeover& takeover : takeovers) json["takeovers"].push_back(takeover_json(takeover));
  return printed(json, 2) + '\n';
}

std::string views_json(const ClusterPicture& picture, const std::vector<ViewChange>& changes,
                       const std::vector<control::reply::Told>& nodes) {
  Json json;
  json["schema"] = 1;
  json["cluster"] = picture.cluster.name.str();
  json["self"] = picture.name_of(picture.cluster.self);
  json["nodes"] = Json::array();
  for (const auto& node : nodes)
    json["nodes"].push_back({{"name", node.node.str()},
                             {"reached", node.reached},
                             {"entries", node.entries},
                             {"newest_wall_ns", node.entries == 0 ? Json() : Json(node.newest_wall_ns)}});
  json["changes"] = Json::array();
  for (const ViewChange& change : changes) json["changes"].push_back(view_change_json(picture, change));
  return printed(json, 2) + '\n';
}

std::string journal_json(const control::reply::Journal& entry) { return printed(entry_json(entry), -1); }

}  // namespace vigil::ctl
