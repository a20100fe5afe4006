// The trace's lines.
#include "tests/sim/trace.hpp"

#include <cstdarg>
#include <cstdio>

namespace vigil::sim {

namespace {

std::string set_text(NodeSet set) {
  std::string text = "{";
  for (const NodeId node : set) text += (text.size() > 1 ? "," : "") + std::to_string(node + 1);
  return text + "}";
}

std::string epoch_text(Epoch epoch) {
  return std::to_string(epoch.counter) + "." + (epoch.proposer == no_node ? "-" : std::to_string(epoch.proposer + 1));
}

std::string stamp_text(Stamp stamp) { return epoch_text(stamp.epoch) + "/" + std::to_string(stamp.version); }

std::string leases_text(const LeasesLeft& leases) {
  std::string text;
  for (const LeaseLeft& lease : leases)
    text += " lease[" + std::to_string(lease.node + 1) + "]=" + std::to_string(lease.left.us()) + "us";
  return text;
}

std::string report_text(const Report& report) {
  static constexpr const char* kinds[] = {"acquired",           "released",     "start_failed", "stop_failed",
                                          "application_failed", "network_lost", "restarted",    "conflict"};
  return "Report group " + std::to_string(report.group) + " generation " + std::to_string(report.generation) + " " +
         kinds[static_cast<std::size_t>(report.kind)];
}

struct Describe {
  std::string operator()(const Prepare& m) const {
    return "Prepare " + epoch_text(m.epoch) + " members " + set_text(m.members) + " expel " + set_text(m.expel) +
           " base " + stamp_text(m.base);
  }
  std::string operator()(const Promise& m) const {
    return "Promise " + epoch_text(m.epoch) + (m.recovering ? " recovering" : "") + " accepted " +
           stamp_text(m.accepted.stamp) + leases_text(m.leases);
  }
  std::string operator()(const Nack& m) const {
    static constexpr const char* reasons[] = {"epoch_too_low", "still_hear_suspect", "not_ready", "not_in_proposal",
                                              "stale_base"};
    return "Nack " + epoch_text(m.epoch) + " " + reasons[static_cast<std::size_t>(m.reason)] + " promised " +
           epoch_text(m.promised) + " hears " + set_text(m.suspects_heard);
  }
  std::string operator()(const Accept& m) const {
    return "Accept " + stamp_text(m.record.stamp) + " members " + set_text(m.record.view.members) +
           (m.record.joint()
                ? " replacing " + epoch_text(m.record.previous.epoch) + " expelled " + set_text(m.record.expelled)
                : "") +
           leases_text(m.leases);
  }
  std::string operator()(const Accepted& m) const { return "Accepted " + stamp_text(m.stamp); }
  std::string operator()(const Commit& m) const { return "Commit " + stamp_text(m.stamp) + leases_text(m.leases); }
  std::string operator()(const Fetch& m) const { return "Fetch, has " + stamp_text(m.have); }
  std::string operator()(const CommittedRecord& m) const {
    return "CommittedRecord " + stamp_text(m.record.stamp) + leases_text(m.leases);
  }
  std::string operator()(const Report& m) const { return report_text(m); }
  std::string operator()(const ReportAck& m) const { return "ReportAck " + std::to_string(m.serial); }
  std::string operator()(const OperatorRequest& m) const { return "OperatorRequest " + std::to_string(m.id); }
  std::string operator()(const OperatorReply& m) const {
    return "OperatorReply " + std::to_string(m.id) + (m.accepted ? " accepted: " : " refused: ") + m.text.str();
  }
  std::string operator()(const JournalShare&) const { return "JournalShare"; }
  std::string operator()(const KeyReport& m) const { return "KeyReport " + std::to_string(m.id); }
  std::string operator()(const KeyAsk& m) const { return "KeyAsk " + std::to_string(m.id); }
  std::string operator()(const KeyOffer& m) const { return "KeyOffer " + std::to_string(m.id); }
  std::string operator()(const JournalAsk&) const { return "JournalAsk"; }
  std::string operator()(const JournalPage&) const { return "JournalPage"; }
};

}  // namespace

std::string describe(const Message& message) { return std::visit(Describe{}, message); }

std::string describe(const Record& record, std::size_t groups) {
  static constexpr const char* phases[] = {"offline", "acquiring", "online", "blocked", "error"};
  std::string text =
      stamp_text(record.stamp) + " members " + set_text(record.view.members) + " of " + epoch_text(record.view.epoch);
  if (record.joint())
    text += " replacing " + epoch_text(record.previous.epoch) + " expelled " + set_text(record.expelled);
  const View& view = record.view;
  const bool plain = view.rule.kind == QuorumKind::majority && !view.also.exists();
  if (!plain) text += " counting " + set_text(view.rule.voters);
  if (view.also.exists()) text += " and " + set_text(view.also.voters);
  const ClusterState& state = record.state;
  if (!state.standby.empty()) text += " standby " + set_text(state.standby);
  if (!state.leaving.empty()) text += " leaving " + set_text(state.leaving);
  if (!state.unfenced.empty()) text += " unfenced " + set_text(state.unfenced);
  for (std::size_t i = 0; i < groups; ++i) {
    const GroupState& group = state.groups[i];
    text += "; g" + std::to_string(i) + " " + phases[static_cast<std::size_t>(group.phase)];
    if (group.owner != no_node) text += "@" + std::to_string(group.owner + 1);
    text += " #" + std::to_string(group.generation) + " r" + std::to_string(static_cast<int>(group.reason));
    if (!group.unproven.empty()) text += " unproven " + set_text(group.unproven);
    if (!group.failed_on.empty()) text += " failed_on " + set_text(group.failed_on);
    if (!group.wanted) text += " unwanted";
  }
  return text;
}

void Trace::line(SimTime now, NodeId node, const char* format, ...) {
  if (!wanted()) return;
  char buffer[1200];
  const int head =
      node == no_node
          ? std::snprintf(buffer, sizeof buffer, "%12.3f ms  world   ", static_cast<double>(now) / 1e6)
          : std::snprintf(buffer, sizeof buffer, "%12.3f ms  node %-2d ", static_cast<double>(now) / 1e6, node + 1);
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(buffer + head, sizeof buffer - static_cast<std::size_t>(head), format, arguments);
  va_end(arguments);
  if (mode_ == TraceMode::print || (mode_ == TraceMode::story && told_++ < story_lines)) {
    std::puts(buffer);
    return;
  }
  tail_.emplace_back(buffer);
  if (tail_.size() > (mode_ == TraceMode::story ? story_end_lines : tail_lines)) tail_.pop_front();
}

void Trace::journal(SimTime now, NodeId node, const JournalEntry& entry) {
  if (!wanted() || mode_ == TraceMode::story) return;
  line(now, node, "journal: %s: %s (group %d, subject %d)", std::string(to_string(entry.event)).c_str(),
       entry.text.c_str(), entry.group == no_index ? -1 : entry.group, entry.subject == no_node ? -1 : entry.subject + 1);
}

void Trace::message(SimTime now, NodeId node, NodeId to, const Message& message) {
  if (!wanted()) return;
  const std::string text = "sends to " + std::to_string(to + 1) + ": " + describe(message);
  if (mode_ == TraceMode::story && !said_.insert(std::to_string(node) + text).second) return;
  line(now, node, "%s", text.c_str());
}

void Trace::print_tail() const {
  if (mode_ == TraceMode::story && told_ > story_lines + tail_.size())
    std::printf("      … %zu lines …\n", told_ - story_lines - tail_.size());
  for (const std::string& text : tail_) std::puts(text.c_str());
}

}  // namespace vigil::sim
