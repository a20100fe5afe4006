// Turns what happened into what a command is given: environment variables, and one JSON document on
// standard input. Both say the same; a hook reads whichever suits it. Pure.
//
// The environment is built from nothing (the daemon's own is not inherited), so that a command
// behaves the same under systemd, in a demo and by hand. Every VIGIL_ variable is always set, empty
// where it does not apply, so that scripts with `set -u` work:
//
//   PATH HOME LANG        fixed: PATH=/usr/local/sbin:…:/bin, HOME=/, LANG=C.UTF-8
//   VIGIL_ACTION          hook | start | stop | monitor
//   VIGIL_EVENT           the event's name; empty for monitors
//   VIGIL_STAGE           pre | command | post | notify | recovery
//   VIGIL_CLUSTER         the cluster's name
//   VIGIL_NODE            the node that runs this; VIGIL_NODE_ID its id in the configuration file
//   VIGIL_SUBJECT         the node that the event is about
//   VIGIL_GROUP           resource group; VIGIL_APPLICATION its application
//   VIGIL_GENERATION      grows with every change of the group's owner
//   VIGIL_NETWORK         network; VIGIL_ADAPTER the device of the subject (else of this node)
//   VIGIL_ADDRESS         the service address concerned, with its prefix length
//   VIGIL_ADDRESSES       all service addresses of the group, separated by spaces
//   VIGIL_EPOCH           counter of the epoch in force; VIGIL_RECORD the record within it
//   VIGIL_REASON          one line for people
//   VIGIL_TIME            UTC, RFC 3339 with microseconds; VIGIL_TIME_NS the same in ns since 1970
//   VIGIL_FAILED_COMMAND, VIGIL_FAILED_STAGE, VIGIL_FAILED_OUTCOME (failed | timed_out),
//   VIGIL_FAILED_STATUS   recovery hooks: what went wrong
//
// The JSON document, one line, members always in this order, null where one does not apply:
//
//   {"version":1, "action":"hook", "event":"node_down", "stage":"post", "cluster":"demo",
//    "node":{"name":"alpha","id":1}, "subject":{"name":"beta","id":2},
//    "group":{"name":"web","generation":3,"application":"httpd","addresses":["10.77.1.100/24"]},
//    "network":"public", "adapter":"eth0", "address":"10.77.1.100/24",
//    "epoch":{"counter":5,"proposer":"alpha"}, "record":2, "reason":"…",
//    "time":"2025-01-02T03:04:05.000006Z", "wall_ns":…, "boot_ns":…,
//    "failed":{"command":"…","stage":"pre","outcome":"timed_out","exit_status":143}}
//
// Members may be added; `version` changes when one changes its meaning or goes.
#pragma once

#include <string>
#include <vector>

#include "runtime/events/event_context.hpp"

namespace vigil::events {

// "NAME=value" each, in the order above.
std::vector<std::string> environment_of(const ClusterConfig& config, const EventContext& context);

// The document, with a newline at its end.
std::string document_of(const ClusterConfig& config, const EventContext& context);

// "10.77.1.100/24", "fd00::1/64"; empty for family 0.
std::string text_of(const IpAddress& address);

// RFC 3339, UTC, microseconds. `wall_ns`: ns since 1970.
std::string time_text(std::int64_t wall_ns);

}  // namespace vigil::events
