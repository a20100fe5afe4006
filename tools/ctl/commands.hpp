// What each command of `vigil` does, once its arguments are parsed. Each returns an ExitCode, prints
// its result on standard output and its complaints on standard error.
#pragma once

#include <cstdint>
#include <string>

#include "runtime/base/result.hpp"
#include "tools/client/control_protocol.hpp"

namespace vigil::ctl {

struct StatusOptions {
  bool json = false;
  bool exit_code = false;  // exit_degraded when there is a problem
  double watch_s = 0;      // 0: once
};
int run_status(const std::string& socket, const StatusOptions& options);

struct LinksOptions {
  bool json = false;
};
int run_links(const std::string& socket, const LinksOptions& options);

struct QuorumOptions {
  bool json = false;
};
int run_quorum(const std::string& socket, const QuorumOptions& options);

struct WhyOptions {
  std::string group;
  bool json = false;
  bool membership = false;  // of the cluster's views, not of a group
  std::uint32_t last = 0;   // 0: one takeover, ten view changes
  std::string since;        // membership: a time, or how long ago; empty: all that is kept
};
int run_why(const std::string& socket, const WhyOptions& options);

struct EventsOptions {
  bool follow = false;
  bool json = false;
  std::string group;
  std::uint32_t last = 50;
};
int run_events(const std::string& socket, const EventsOptions& options);

struct OperateOptions {
  OperatorVerb verb = OperatorVerb::move_group;
  std::string group;
  std::string node;
  bool wait = true;
  bool yes = false;  // confirm_down and quorum_override: do not ask
  double timeout_s = 60;
};
int run_operate(const std::string& socket, const OperateOptions& options);

int run_check_config(const std::string& path);
int run_key_generate(const std::string& path);

struct RotateOptions {
  std::string from_file;  // empty: vigild makes a random key
  bool wait = true;
  double timeout_s = 60;
};
// Asks for a new cluster key, and watches until every member uses it and the old one is refused.
int run_key_rotate(const std::string& socket, const RotateOptions& options);
int run_version(const std::string& socket, bool json);
int run_completion_bash();
enum class NamesOf { nodes, groups };
int run_names(const std::string& socket, NamesOf what);

// Complains and returns false for text that is too long to be any name.
bool is_name_length(const std::string& name);

// "vigil: message" on standard error.
void complain(const std::string& message);
// Complains; exit_unreachable or exit_failed.
int gave_up(const Error& error);

}  // namespace vigil::ctl
