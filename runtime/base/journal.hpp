// One entry of the causal journal: what happened, where, in which epoch, to whom, and how long it took.
#pragma once

#include <cstdint>

#include "runtime/base/event_name.hpp"
#include "runtime/base/record.hpp"
#include "runtime/base/view_facts.hpp"

namespace vigil {

enum class JournalKind : std::uint8_t {
  observed,   // something was seen (a link fell silent, an application died)
  accused,    // a node was suspected
  voted,      // a vote was given or refused
  decided,    // a record was committed
  started,    // a step of an action began
  done,       // … ended well
  failed,     // … ended badly; text says why
  waiting,    // … waits for a proof; text says which
};

struct JournalEntry {
  std::uint64_t sequence = 0;      // per node and incarnation, from 1
  NodeId node = no_node;           // who writes
  std::int64_t wall_ns = 0;        // CLOCK_REALTIME, filled in by the shell
  std::int64_t boot_ns = 0;        // the writer's Instant
  JournalKind kind = JournalKind::observed;
  EventName event = EventName::none;
  Stamp stamp;                     // the record in force
  GroupIndex group = no_index;
  std::uint32_t generation = 0;
  NodeId subject = no_node;        // whom it is about
  NetworkIndex network = no_index;
  AdapterIndex adapter = no_index;
  std::int64_t duration_us = -1;   // -1: not measured
  BoundedString<95> text;          // one line for people, no trailing full stop
  ViewFacts view;                  // of a view change
};

// What `vigil why --membership` tells of: kept and asked for apart from the rest, so that an application that
// dies every second does not push it out.
constexpr bool about_membership(const JournalEntry& entry) {
  if (entry.view.step != ViewStep::none) return true;
  if (entry.group != no_index) return false;
  switch (entry.event) {
    case EventName::node_up:
    case EventName::node_down:
    case EventName::node_down_complete:
    case EventName::view_change:
    case EventName::quorum_lost:
    case EventName::quorum_regained:
    case EventName::quorum_rule:
    case EventName::config_mismatch:
    case EventName::node_refused:
    case EventName::clock_apart:
    case EventName::late:
      return true;
    default:
      return false;
  }
}

}  // namespace vigil
