// Starts vigil-agent and keeps it running, on behalf of vigild, which must never fork once it is
// real-time: vigild forks this small process early, and it starts the agent, again and again.
//
//   vigild ── socket pair ── launcher ── (the same end, inherited) ── vigil-agent
//
// The launcher holds the agent's end for all its successors, so vigild's descriptor stays the same for
// life; a new agent is told from an old one by its session (protocol.hpp). The launcher reads nothing
// from the socket; it writes AgentDown when an agent died, having killed the commands that one was
// running. Applications that daemonised go on; the next agent, or `clean`, deals with them.
//
// Who dies, and what follows:
//   agent      AgentDown, then a new one: at once, or after 100 ms doubling to 5 s when they die young
//   vigild     the socket ends; the agent stops its applications and exits; then the launcher exits.
//              An agent that crashes in this is started again, three times, to finish it
//   launcher   the agent gets SIGTERM (parent-death signal), stops its applications and exits;
//              vigild sees the pidfd become readable, and the end of the socket once the agent is gone
//
// Launcher and agent run at normal priority, unlocked, unpinned, in a session of their own: nothing
// of vigild's real-time settings or open files goes on to them.
#pragma once

#include <cstdint>
#include <string>

#include "runtime/agent/owned_fd.hpp"
#include "runtime/base/result.hpp"

namespace vigil::agent {

struct LaunchOptions {
  std::string agent_path;         // empty: vigil-agent in the directory of this program
  std::string config_path;        // read once, here: later agents see what vigild saw at its start
  std::uint64_t config_hash = 0;  // ClusterConfig::hash as vigild loaded it; 0: not compared
  std::string node;               // this node's name
  std::string state_directory;
};

struct Launched {
  OwnedFd socket;    // SOCK_SEQPACKET, blocking, close-on-exec: use MSG_DONTWAIT, or io_uring
  OwnedFd pidfd;     // readable when the launcher is dead
  int launcher = 0;  // its process id; a child of the caller, to be reaped by it
};

// To be called while the process has one thread and before it becomes real-time. Fails when the agent's
// program cannot be executed, the configuration cannot be read or changed meanwhile, or no process or
// socket can be made.
Result<Launched> launch(const LaunchOptions& options);

}  // namespace vigil::agent
