// Wording in three layers: the writer's own sentence where it wrote one, else a phrase for what
// happens often, else a verb for the kind of entry and a noun for its event.
#include "tools/ctl/sentence.hpp"

#include <array>

#include "tools/ctl/health.hpp"
#include "tools/ctl/table.hpp"
#include "tools/ctl/words.hpp"

namespace vigil::ctl {

namespace {

// What an event is called in the middle of a sentence. {s} is whom it is about, {g} the group,
// {n} the network, {d} the adapter's device.
struct Noun {
  EventName event;
  const char* text;
};
constexpr std::array<Noun, 37> nouns = {{
    {EventName::none, "{g}"},
    {EventName::node_up, "the arrival of {s}"},
    {EventName::node_up_complete, "the placement of groups after the arrival of {s}"},
    {EventName::node_down, "the loss of {s}"},
    {EventName::node_down_complete, "the takeover of all that {s} had"},
    {EventName::network_up, "the return of network {n}"},
    {EventName::network_down, "the failure of network {n} on {s}"},
    {EventName::network_one_way, "network {n} carrying one direction only on {s}"},
    {EventName::fail_standby, "the failure of standby adapter {d}"},
    {EventName::join_standby, "the return of standby adapter {d}"},
    {EventName::swap_adapter, "the swap of the service adapter"},
    {EventName::fail_service, "the failure of service adapter {d}"},
    {EventName::join_service, "the return of service adapter {d}"},
    {EventName::acquire_service_addr, "taking over the service address of {g}"},
    {EventName::release_service_addr, "giving up the service address of {g}"},
    {EventName::start_server, "starting the application of {g}"},
    {EventName::stop_server, "stopping the application of {g}"},
    {EventName::server_restart, "restarting the application of {g} in place"},
    {EventName::server_down, "the death of the application of {g}"},
    {EventName::resource_group_online, "bringing {g} online"},
    {EventName::resource_group_offline, "taking {g} offline"},
    {EventName::resource_group_blocked, "a block on {g}"},
    {EventName::rg_move, "the move of {g}"},
    {EventName::rg_fallback, "the return of {g} to a better node"},
    {EventName::quorum_lost, "the loss of the quorum"},
    {EventName::quorum_regained, "the return of the quorum"},
    {EventName::lease_gap, "a gap in its own lease"},
    {EventName::view_change, "a new view of the cluster"},
    {EventName::config_mismatch, "another configuration on {s}"},
    {EventName::config_too_long, "a command that exceeded its time"},
    {EventName::event_error, "a command that failed"},
    {EventName::duplicate_address, "another machine with the address of {g}"},
    {EventName::late, "a late wake-up of its own loop"},
    {EventName::node_refused, "keeping {s} out"},
    {EventName::clock_apart, "the wall clock of {s}"},
    {EventName::key_rotation, "the rotation of the cluster key"},
    {EventName::quorum_rule, "another rule of the quorum"},
}};
static_assert(nouns.size() == static_cast<std::size_t>(EventName::count_));

// Where verb and noun alone would sound odd.
struct Phrase {
  JournalKind kind;
  EventName event;
  const char* text;
  bool whole = false;  // says all that the writer's own text says
};
constexpr Phrase phrases[] = {
    {JournalKind::accused, EventName::node_down, "suspects {s}: silent on every link", true},
    {JournalKind::voted, EventName::node_down, "asked {s} to vote"},
    {JournalKind::voted, EventName::view_change, "asked for a new view"},
    {JournalKind::decided, EventName::node_down, "the cluster goes on without {s}"},
    {JournalKind::decided, EventName::node_up, "the cluster lets {s} in"},
    {JournalKind::decided, EventName::view_change, "a new view is in force, led by {s}", true},
    {JournalKind::decided, EventName::quorum_rule, "votes are counted anew"},
    {JournalKind::decided, EventName::rg_move, "{g} is given to {s}"},
    {JournalKind::decided, EventName::rg_fallback, "{g} is to return to {s}"},
    {JournalKind::decided, EventName::resource_group_offline, "{g} is to be offline"},
    {JournalKind::decided, EventName::resource_group_online, "{g} is to be online"},
    {JournalKind::decided, EventName::resource_group_blocked, "{g} is blocked"},
    {JournalKind::observed, EventName::server_down, "the application of {g} died"},
    {JournalKind::observed, EventName::lease_gap, "its own lease ran out for a moment; its addresses were silent",
     true},
    {JournalKind::observed, EventName::late, "its own loop woke up late; it accuses nobody for that", true},
    {JournalKind::observed, EventName::quorum_lost, "lost the quorum, and stops serving", true},
    {JournalKind::observed, EventName::quorum_regained, "has the quorum again", true},
    {JournalKind::observed, EventName::quorum_rule, "is told of {s}"},
    {JournalKind::observed, EventName::node_down, "hears {s} no more"},
    {JournalKind::observed, EventName::node_up, "hears {s}"},
    {JournalKind::observed, EventName::config_mismatch, "{s} runs another configuration"},
    {JournalKind::observed, EventName::node_refused, "keeps {s} out"},
    {JournalKind::observed, EventName::clock_apart, "{s} has another time"},
    {JournalKind::observed, EventName::network_one_way, "network {n} carries one direction only"},
    {JournalKind::done, EventName::node_down_complete, "{s} has stopped everything"},
    {JournalKind::done, EventName::acquire_service_addr, "serves the address of {g}"},
    {JournalKind::done, EventName::release_service_addr, "no longer serves the address of {g}"},
    {JournalKind::done, EventName::start_server, "the application of {g} runs"},
    {JournalKind::done, EventName::stop_server, "the application of {g} is stopped"},
    {JournalKind::done, EventName::resource_group_online, "{g} is online"},
    {JournalKind::done, EventName::resource_group_offline, "{g} is offline"},
    {JournalKind::done, EventName::swap_adapter, "the service address is on another adapter"},
    {JournalKind::waiting, EventName::acquire_service_addr, "waits before it takes the address of {g}"},
    {JournalKind::waiting, EventName::start_server, "waits before it starts the application of {g}"},
    {JournalKind::waiting, EventName::resource_group_blocked, "waits: {g} is blocked"},
};

const char* verb_of(JournalKind kind) {
  switch (kind) {
    case JournalKind::observed:
      return "sees ";
    case JournalKind::accused:
      return "suspects {s}: ";
    case JournalKind::voted:
      return "votes on ";
    case JournalKind::decided:
      return "decided: ";
    case JournalKind::started:
      return "begins ";
    case JournalKind::done:
      return "is done with ";
    case JournalKind::failed:
      return "FAILED at ";
    case JournalKind::waiting:
      return "waits with ";
  }
  return "";
}

std::string filled(std::string_view pattern, const Journal& entry) {
  const auto or_else = [](std::string text, const char* otherwise) { return text.empty() ? otherwise : text; };
  std::string out;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] != '{') {
      out += pattern[i];
      continue;
    }
    switch (pattern[i + 1]) {
      case 's':
        out += or_else(entry.subject.str(), "a node");
        break;
      case 'g':
        out += or_else(entry.group.str(), "the cluster");
        break;
      case 'n':
        out += or_else(entry.network.str(), "?");
        break;
      default:
        out += or_else(entry.device.str(), "?");
        break;
    }
    i += 2;
  }
  return out;
}

Colour colour_of(JournalKind kind) {
  switch (kind) {
    case JournalKind::accused:
    case JournalKind::failed:
      return Colour::bad;
    case JournalKind::waiting:
      return Colour::warn;
    case JournalKind::decided:
      return Colour::bold;
    case JournalKind::done:
      return Colour::good;
    default:
      return Colour::plain;
  }
}

std::string heading(const control::reply::Group& group, const Takeover& takeover, bool colours) {
  std::string what = group.name.str() + ": ";
  if (takeover.to.empty())
    what += takeover.from.empty() ? "without a node" : "left " + takeover.from;
  else if (takeover.from.empty() || takeover.from == takeover.to)
    what += (takeover.from.empty() ? "to " : "again on ") + takeover.to;
  else
    what += "from " + takeover.from + " to " + takeover.to;
  const std::string why = because(takeover.reason, takeover.from);
  std::string out = paint(what, Colour::bold, colours);
  if (!why.empty()) out += ", because " + why;
  if (takeover.zero_wall_ns != 0) out += " (" + time_text(takeover.zero_wall_ns) + ")";
  return out + '\n';
}

using Rows = std::vector<std::vector<Cell>>;

void add_step(Rows& rows, std::int64_t zero_ns, std::int64_t wall_ns, Cell who, Cell what) {
  const double ms = static_cast<double>(wall_ns - zero_ns) / 1e6;
  rows.push_back({Cell("  " + ms_text(ms) + " ms", Colour::dim, true), std::move(who), std::move(what)});
}

void add_entries(Rows& rows, std::int64_t zero_ns, const std::vector<Journal>& entries) {
  for (const Journal& each : entries)
    add_step(rows, zero_ns, each.entry.wall_ns, each.node.str(), Cell(sentence(each), colour_of(each.entry.kind)));
}

std::string timeline(const Takeover& takeover, bool colours) {
  Rows rows;
  if (takeover.zero_is_last_sign)
    add_step(rows, takeover.zero_wall_ns, takeover.zero_wall_ns, takeover.from, Cell("last sign of life", Colour::bad));
  add_entries(rows, takeover.zero_wall_ns, takeover.entries);
  return table(rows, colours);
}

std::string later(const Takeover& takeover, bool colours) {
  std::string out;
  for (const Incident& incident : takeover.incidents) {
    Rows rows;
    add_entries(rows, incident.zero_wall_ns, incident.entries);
    out += "\nSince then, on the same node (" + time_text(incident.zero_wall_ns) + ")\n" + table(rows, colours);
  }
  return out;
}

std::string outcome(const ClusterPicture& picture, const control::reply::Group& group, const Takeover& takeover,
                    bool is_newest, bool colours) {
  if (takeover.budget) return "  " + paint("Budget: ", Colour::bold, colours) + budget_text(*takeover.budget) + '\n';
  if (!is_newest) return "  Not completed: the next change came first.\n";
  const std::string open = blocked_text(picture, group);
  return "  " + paint("Not running: ", Colour::bad, colours) +
         (open.empty() ? because(group.state.reason, picture.name_of(group.state.previous)) : open) + '\n';
}

}  // namespace

std::string sentence(const Journal& journal) {
  const JournalEntry& entry = journal.entry;
  const Phrase* phrase = nullptr;
  for (const Phrase& each : phrases)
    if (each.kind == entry.kind && each.event == entry.event) phrase = &each;
  static constexpr Phrase accuses{JournalKind::accused, EventName::node_down, "accuses {s}"};
  if (entry.view.step == ViewStep::accused && entry.view.why != Accusation::silent) phrase = &accuses;
  std::string out;
  if (!entry.text.empty() && (entry.group != no_index || entry.event == EventName::none)) {
    // What holds a group writes whole sentences: "adds 10.77.1.100/24 to eth1 (public)".
    if (entry.kind == JournalKind::failed) out = "FAILED: ";
    if (entry.kind == JournalKind::waiting && !entry.text.view().starts_with("wait")) out = "waits: ";
    out += entry.text.str();
  } else {
    out = phrase != nullptr ? filled(phrase->text, journal)
                            : filled(verb_of(entry.kind), journal) +
                                  filled(nouns[static_cast<std::size_t>(entry.event)].text, journal);
    if (!entry.text.empty() && (phrase == nullptr || !phrase->whole)) out += ": " + entry.text.str();
  }
  if (entry.duration_us >= 0) {
    const std::string took = duration_text(Duration::from_us(entry.duration_us));
    out += entry.kind == JournalKind::accused ? " for " + took : " (" + took + ")";
  }
  return out;
}

std::string budget_text(const Budget& budget) {
  const auto part = [](const char* name, std::uint32_t us) { return std::string(name) + " " + ms_text(us / 1000.0); };
  // Nobody was suspected: the proof was the old owner's release, not the end of its lease.
  const char* fence = budget.detect_us > 0 ? "fence (lease)" : "fence (release)";
  return part("detect", budget.detect_us) + " + " + part("agree", budget.agree_us) + " + " +
         part(fence, budget.fence_us) + " + " + part("storage", budget.storage_us) + " + " +
         part("address", budget.address_us) + " + " + part("application", budget.application_us) + " = " +
         ms_text(static_cast<double>(total_us(budget)) / 1000.0) + " ms";
}

std::string why_text(const ClusterPicture& picture, const control::reply::Group& group,
                     const std::vector<Takeover>& takeovers, bool colours) {
  if (takeovers.empty())
    return group.name.str() + " has never run since this cluster started" +
           (group.state.wanted ? "" : ", and is not wanted: start it with: vigil group online " + group.name.str()) +
           ".\n";
  std::string out;
  for (std::size_t i = 0; i < takeovers.size(); ++i) {
    if (i > 0) out += '\n';
    out += heading(group, takeovers[i], colours);
    out += takeovers[i].entries.empty() ? "  The journal of this node no longer has its entries.\n"
                                        : timeline(takeovers[i], colours);
    out += outcome(picture, group, takeovers[i], i + 1 == takeovers.size(), colours);
    out += later(takeovers[i], colours);
  }
  return out;
}

std::string event_line(const Journal& journal, bool colours) {
  const JournalEntry& entry = journal.entry;
  std::string out = paint(time_text(entry.wall_ns), Colour::dim, colours) + "  " + journal.node.str() + "  " +
                    std::string(word(entry.kind));
  if (entry.event != EventName::none) out += " " + std::string(to_string(entry.event));
  return out + "  " + paint(sentence(journal), colour_of(entry.kind), colours);
}

}  // namespace vigil::ctl
