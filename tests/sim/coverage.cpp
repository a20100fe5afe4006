// The tables of what there is to reach, and the judgement. See coverage.hpp.
#include "tests/sim/coverage.hpp"

#include <cstdio>
#include <iterator>

#include "tests/sim/votes.hpp"

namespace vigil::sim {

namespace {

// One row per state that is left, one column per state that is entered:
//   +  a run of seeds_that_cover seeds must reach it     o  possible, too rare to be asked for     .  never seen
// Measured, then thought about: what is marked '.' has no way within one step, or none at all.
struct MachineTable {
  const char* name;
  std::size_t states;
  std::array<const char*, Coverage::states> state;
  std::array<const char*, Coverage::states> row;
};

constexpr std::array<MachineTable, Coverage::machines> tables = {{
    {"voter",
     5,
     {"not clean", "waiting", "no storage", "ready", "holds a vote"},
     {".+.+.", "..++.", ".o.+.", "..+.+", "..o+."}},
    {"candidacy",
     5,
     {"idle", "leads", "prepares", "proposes a view", "proposes a state"},
     {".o+o.", "+.+o+", "+o.+o", "+++.+", "+++.."}},
    {"membership", 4, {"outside", "member", "said goodbye", "over"}, {".+.+", "o.++", "...+", "...."}},
    {"lease", 4, {"never had", "runs", "gap", "lost"}, {".+..", "..+.", ".+.+", ".+.."}},
    {"peer", 4, {"unknown", "heard both ways", "heard one way", "silent"}, {".++.", "..++", ".+.+", ".++."}},
    {"holder",
     10,
     {"idle", "awaits proof", "awaits a hook", "adds addresses", "starts", "serves", "restarts", "stops",
      "removes addresses", "stop failed"},
     {".++++.....", "+.+++.....", "oo.++..oo.", "+o+.++..+.", "oo...+o+o.", "oo....+++.", "o...+..o..", "++o+o...++",
      "++oo.....o", ".......o.."}},
    {"group", 5, {"offline", "acquiring", "online", "blocked", "error"}, {".+++o", "+.+++", "++.+o", "o+o.o", "o+oo."}},
    {"rule",
     6,
     {"none", "all voters", "the members", "changes", "an operator's word", "half and the tie-breaker"},
     {".+++++", "..+.++", ".+.+o+", ".++.oo", ".o.+.o", ".+++o."}},
    {"tie-breaker",
     5,
     {"read", "gone for", "ours", "another's", "failed"},
     {"..+o+", "..+++", ".....", ".....", "....."}},
}};

constexpr const char* kind_names[] = {
    "Prepare",      "Promise",         "Nack",   "Accept",    "Accepted",        "Commit",
    "Fetch",        "CommittedRecord", "Report", "ReportAck", "OperatorRequest", "OperatorReply",
    "JournalShare", "KeyReport",       "KeyAsk", "KeyOffer",  "JournalAsk",      "JournalPage"};
static_assert(std::size(kind_names) == Coverage::kinds, "each kind of message has a name here");

// For each message kind, a column per state of the receiver's voter, candidacy, membership.
constexpr const char* message_rows[][Coverage::message_machines] = {
    {"+++++", "+++++", "++o."},  // Prepare
    {"+++++", "+++++", "++o."},  // Promise
    {"+++++", "+++++", "++o."},  // Nack
    {"+++++", "+++++", "+++."},  // Accept
    {"o++++", "+++++", "+++."},  // Accepted
    {"oo+++", "+++++", "+++."},  // Commit
    {"+++++", "+++++", "+++."},  // Fetch
    {"++++o", "+++++", "+++."},  // CommittedRecord
    {"++++o", "+++++", "++o."},  // Report
    {"oo++o", "++ooo", "o+o."},  // ReportAck
    {"++++o", "+++++", "++o."},  // OperatorRequest
    {"oo++o", "+oooo", "o++."},  // OperatorReply
    {".....", ".....", "...."},  // JournalShare: the shell's
    {"oo++o", "+++++", "o+oo"},  // KeyReport
    {".....", ".....", "...."},  // KeyAsk: the shell's, as KeyOffer
    {".....", ".....", "...."},  // KeyOffer
    {".....", ".....", "...."},  // JournalAsk: the shell's
    {".....", ".....", "...."},  // JournalPage
};
static_assert(std::size(message_rows) == Coverage::kinds, "each kind of message has a row here");

std::size_t message_cell(std::size_t machine, std::size_t kind, std::size_t state) {
  return Coverage::first_message_cell + (machine * Coverage::kinds + kind) * Coverage::states + state;
}

void judge_cell(CoverageReport& report, char mark, std::uint64_t count, const std::string& name) {
  if (mark == '+') {
    ++report.wanted;
    if (count != 0)
      ++report.reached;
    else
      report.missing.push_back(name);
  } else if (mark == '.' && count != 0) {
    report.unexpected.push_back(name);
  }
  char line[160];
  if (mark == '.' && count == 0) return;
  std::snprintf(line, sizeof line, "  %12llu %c %s\n", static_cast<unsigned long long>(count), mark, name.c_str());
  report.table += line;
}

}  // namespace

void Coverage::stepped(const NodePhases& before, const NodePhases& after, std::size_t nodes, std::size_t groups) {
  const auto at = [](auto phase) { return static_cast<std::size_t>(phase); };
  transition(Watched::voter, at(before.voter), at(after.voter));
  transition(Watched::candidacy, at(before.candidacy), at(after.candidacy));
  transition(Watched::membership, at(before.membership), at(after.membership));
  transition(Watched::lease, at(before.lease), at(after.lease));
  for (std::size_t i = 0; i < nodes; ++i) transition(Watched::peer, at(before.peer[i]), at(after.peer[i]));
  for (std::size_t i = 0; i < groups; ++i) transition(Watched::holder, before.holder[i], after.holder[i]);
}

namespace {

std::size_t rule_of(const View& view) {
  if (view.members.empty()) return 0;
  if (!view.also.voters.empty()) return 3;
  if (!decides(view, view.members, false)) return 5;
  if (view.rule.kind == QuorumKind::majority) return 1;
  return view.rule.kind == QuorumKind::last_man_standing ? 2 : 4;
}

}  // namespace

void Coverage::view_changed(const View& before, const View& after) {
  transition(Watched::rule, rule_of(before), rule_of(after));
}

void Coverage::tie_breaker_used(const effect::UseTieBreaker& use, bool ok, Epoch held, const View& view) {
  const bool ours = use.win ? held == use.epoch : view.members.has(held.proposer);
  transition(Watched::tie_breaker, use.win ? 1 : 0, !ok ? 4 : ours ? 2 : 3);
}

void Coverage::message(const Message& message, const NodePhases& receiver) {
  const std::size_t kind = message.index();
  ++counts_[message_cell(0, kind, static_cast<std::size_t>(receiver.voter))];
  ++counts_[message_cell(1, kind, static_cast<std::size_t>(receiver.candidacy))];
  ++counts_[message_cell(2, kind, static_cast<std::size_t>(receiver.membership))];
}

CoverageReport judge(const Coverage::Counts& counts) {
  CoverageReport report;
  for (std::size_t m = 0; m < tables.size(); ++m) {
    const MachineTable& machine = tables[m];
    for (std::size_t from = 0; from < machine.states; ++from)
      for (std::size_t to = 0; to < machine.states; ++to)
        judge_cell(report, machine.row[from][to], counts[(m * Coverage::states + from) * Coverage::states + to],
                   std::string(machine.name) + ": " + machine.state[from] + " -> " + machine.state[to]);
  }
  for (std::size_t m = 0; m < Coverage::message_machines; ++m)
    for (std::size_t kind = 0; kind < Coverage::kinds; ++kind)
      for (std::size_t state = 0; state < tables[m].states; ++state)
        judge_cell(report, message_rows[kind][m][state], counts[message_cell(m, kind, state)],
                   std::string(kind_names[kind]) + " meets " + tables[m].name + ": " + tables[m].state[state]);
  return report;
}

}  // namespace vigil::sim
