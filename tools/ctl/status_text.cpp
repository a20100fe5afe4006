// Each part of a page is a table of its own, so that columns align within it and no further.
#include "tools/ctl/status_text.hpp"

#include <cstdio>

#include "runtime/config/names.hpp"
#include "tools/ctl/health.hpp"
#include "tools/ctl/table.hpp"
#include "tools/ctl/words.hpp"

namespace vigil::ctl {

namespace {

using control::reply::Adapter;
using control::reply::Group;
using control::reply::GroupAddress;
using control::reply::Link;
using control::reply::Node;
using Rows = std::vector<std::vector<Cell>>;

Colour colour_of(GroupPhase phase) {
  switch (phase) {
    case GroupPhase::online:
      return Colour::good;
    case GroupPhase::acquiring:
      return Colour::warn;
    case GroupPhase::blocked:
    case GroupPhase::error:
      return Colour::bad;
    case GroupPhase::offline:
      return Colour::dim;
  }
  return Colour::plain;
}

Colour colour_of(LinkState state) {
  switch (state) {
    case LinkState::up:
      return Colour::good;
    case LinkState::unknown:
      return Colour::dim;
    case LinkState::down:
      return Colour::bad;
    default:
      return Colour::warn;
  }
}

Colour colour_of_node(const Node& node) {
  if (!node.member) return node.heard ? Colour::warn : Colour::bad;
  return node.suspected || node.standby || node.leaving ? Colour::warn : Colour::good;
}

std::string head(const ClusterPicture& picture, bool colours) {
  const auto& c = picture.cluster;
  const std::string self = picture.name_of(c.self);
  std::string role(word(c.role));
  if (c.role == NodeRole::no_quorum) role = "no quorum";
  std::string node = self + ", " + role;
  node += c.lease_left.ns > 0 ? ", lease " + duration_text(c.lease_left) + " left" : ", no lease";
  if (c.lease_gaps > 0) node += ", " + std::to_string(c.lease_gaps) + " lease gaps";
  std::string view = "none yet";
  if (!c.members.empty()) {
    view = "epoch " + std::to_string(c.epoch.counter) + " by " + picture.name_of(c.epoch.proposer) + ", coordinator " +
           picture.name_of(c.coordinator) + ", " + std::to_string(c.members.count()) + " of " +
           std::to_string(picture.nodes.size()) + " nodes in, " + std::to_string(c.votes_needed) + " votes needed";
    if (c.changing) view += ", changing";
  }
  Rows rows;
  rows.push_back({Cell("Cluster", Colour::dim), Cell(c.name.str(), Colour::bold)});
  rows.push_back({Cell("Timing", Colour::dim), std::string(word(c.profile)) + ": heartbeat " +
                                                   duration_text(c.interval) + ", detection " +
                                                   duration_text(c.detection) + ", lease " + duration_text(c.lease)});
  rows.push_back({Cell("Configuration", Colour::dim), hex_text(c.config_hash)});
  rows.push_back({Cell("View", Colour::dim), view});
  rows.push_back({Cell("This node", Colour::dim), node});
  return table(rows, colours);
}

// "2/3": links that are up of links that exist.
Cell links_cell(const Node& node) {
  if (node.self) return {"", Colour::plain, true};
  std::size_t up = 0;
  for (const Link& link : node.links) up += link.state == LinkState::up ? 1 : 0;
  return {std::to_string(up) + "/" + std::to_string(node.links.size()),
          up == node.links.size() ? Colour::plain : Colour::warn, true};
}

std::string node_note(const ClusterPicture& picture, const Node& node) {
  std::vector<std::string> notes;
  if (node.self) notes.push_back("this node");
  if (node.id == picture.cluster.coordinator) notes.push_back("coordinator");
  if (node.standby && (node.leaving || !node.member)) notes.push_back("standby");
  if (node.unfenced) notes.push_back("expelled, not seen clean since");
  if (!node.config_matches) notes.push_back("other configuration");
  if (!node.heard && !node.links.empty()) {
    Duration newest = node.links[0].last_heard_ago;
    bool ever = false;
    for (const Link& link : node.links) {
      if (link.received == 0) continue;
      newest = ever ? shorter(newest, link.last_heard_ago) : link.last_heard_ago;
      ever = true;
    }
    notes.push_back(ever ? "last heard " + duration_text(newest) + " ago" : "never heard");
  }
  std::string out;
  for (const std::string& note : notes) out += (out.empty() ? "" : ", ") + note;
  return out;
}

std::string nodes_part(const ClusterPicture& picture, bool colours) {
  Rows rows;
  rows.push_back({Cell("NODE", Colour::dim), Cell("STATE", Colour::dim), Cell("LINKS", Colour::dim, true),
                  Cell("LATE", Colour::dim, true), Cell("GROUPS", Colour::dim), Cell("NOTE", Colour::dim)});
  for (const Node& node : picture.nodes) {
    std::string groups;
    for (const Group& group : picture.groups)
      if (group.state.owner == node.id) groups += (groups.empty() ? "" : " ") + group.name.str();
    rows.push_back({node.name.str(), Cell(node_word(picture, node), colour_of_node(node)), links_cell(node),
                    Cell(node.heard ? std::to_string(node.lateness_ms) + " ms" : "", Colour::plain, true),
                    groups.empty() ? "-" : groups, Cell(node_note(picture, node), Colour::dim)});
  }
  return table(rows, colours);
}

std::string takeover_text(const Budget& budget) {
  const std::int64_t total_us = std::int64_t{budget.detect_us} + budget.agree_us + budget.fence_us + budget.storage_us +
                                budget.address_us + budget.application_us;
  return total_us == 0 ? "-" : duration_text(Duration::from_us(total_us));
}

std::string parts_text(const Group& group) {
  std::string out;
  for (const GroupAddress& address : group.addresses) {
    out += (out.empty() ? "" : ", ") + format_address(address.address);
    if (!address.device.empty()) out += " on " + address.device.str();
  }
  if (group.has_application) out += (out.empty() ? "" : ", ") + group.application.str();
  return out;
}

std::string groups_part(const ClusterPicture& picture, bool colours) {
  Rows rows;
  rows.push_back({Cell("GROUP", Colour::dim), Cell("STATE", Colour::dim), Cell("NODE", Colour::dim),
                  Cell("TAKEOVER", Colour::dim, true), Cell("BECAUSE", Colour::dim), Cell("PARTS", Colour::dim)});
  for (const Group& group : picture.groups) {
    const GroupState& state = group.state;
    const std::string why = because(state.reason, picture.name_of(state.previous));
    rows.push_back({group.name.str(), Cell(std::string(word(state.phase)), colour_of(state.phase)),
                    picture.name_of(state.owner), Cell(takeover_text(state.last), Colour::plain, true),
                    why.empty() ? "-" : why, parts_text(group)});
  }
  return table(rows, colours);
}

std::string loss_text(const Link& link) {
  const double all = static_cast<double>(link.received) + static_cast<double>(link.lost);
  char text[48];
  std::snprintf(text, sizeof text, "%llu (%.2f %%)", static_cast<unsigned long long>(link.lost),
                all > 0 ? 100.0 * static_cast<double>(link.lost) / all : 0.0);
  return text;
}

std::string adapters_part(const ClusterPicture& picture, bool colours) {
  Rows rows;
  rows.push_back({Cell("ADAPTER", Colour::dim), Cell("NETWORK", Colour::dim), Cell("ROLE", Colour::dim),
                  Cell("STATE", Colour::dim), Cell("BOOT ADDRESS", Colour::dim)});
  for (const Adapter& adapter : picture.adapters) {
    const Cell state = !adapter.usable                                           ? Cell("down", Colour::bad)
                       : !adapter.healthy && adapter.role != AdapterRole::serial ? Cell("silent", Colour::warn)
                                                                                 : Cell("ok", Colour::good);
    rows.push_back({adapter.device.str(), adapter.network.str(), std::string(word(adapter.role)), state,
                    format_address(adapter.address)});
  }
  return table(rows, colours);
}

}  // namespace

std::string status_text(const ClusterPicture& picture, bool colours) {
  std::string out = head(picture, colours) + '\n' + nodes_part(picture, colours);
  if (!picture.groups.empty()) out += '\n' + groups_part(picture, colours);
  const auto problems = problems_of(picture);
  if (problems.empty()) {
    out += '\n' + paint("All is well.", Colour::good, colours) + '\n';
  } else {
    out += '\n';
    for (const std::string& problem : problems) out += paint("! ", Colour::bad, colours) + problem + '\n';
  }
  return out;
}

std::string links_text(const ClusterPicture& picture, bool colours) {
  Rows rows;
  rows.push_back(
      {Cell("PEER", Colour::dim), Cell("LINK", Colour::dim), Cell("DEVICE", Colour::dim), Cell("NETWORK", Colour::dim),
       Cell("STATE", Colour::dim), Cell("HEARD AGO", Colour::dim, true), Cell("ROUND TRIP", Colour::dim, true),
       Cell("JITTER", Colour::dim, true), Cell("RECEIVED", Colour::dim, true), Cell("LOST", Colour::dim, true),
       Cell("TWICE", Colour::dim, true), Cell("SWAPPED", Colour::dim, true), Cell("FLAPS", Colour::dim, true)});
  const auto number = [](std::uint64_t value) { return Cell(std::to_string(value), Colour::plain, true); };
  for (const Node& node : picture.nodes)
    for (const Link& link : node.links) {
      const bool ever = link.received > 0;
      rows.push_back({node.name.str(), std::string(word(link.kind)), link.device.str(), link.network.str(),
                      Cell(std::string(word(link.state)), colour_of(link.state)),
                      Cell(ever ? duration_text(link.last_heard_ago) : "never", Colour::plain, true),
                      Cell(duration_text(Duration::from_us(link.round_trip_us)), Colour::plain, true),
                      Cell(duration_text(Duration::from_us(link.jitter_us)), Colour::plain, true),
                      number(link.received), Cell(loss_text(link), Colour::plain, true), number(link.duplicated),
                      number(link.reordered), number(link.flaps)});
    }
  return "Links as " + picture.name_of(picture.cluster.self) + " hears them\n\n" + table(rows, colours) + '\n' +
         adapters_part(picture, colours);
}

}  // namespace vigil::ctl
