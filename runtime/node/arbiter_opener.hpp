// Reads the files of vigil-arbiter and gets clusters ready, on a thread of its own: files, keys, state files and
// journals wait for disks, and the loop has the heartbeats of other clusters to send. It also ends what has left the
// loop, since that waits for threads. One job at a time; neither side ever waits for the other.
#pragma once

#include <atomic>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "runtime/loop/registration.hpp"
#include "runtime/node/arbiter_files.hpp"
#include "runtime/node/bare_machine.hpp"
#include "runtime/node/daemon.hpp"
#include "runtime/node/side_thread.hpp"

namespace vigil {

struct ArbiterOptions {
  std::vector<std::string> arguments;  // files and directories
  std::string state_directory;         // one directory in it for each cluster
  std::string run_directory;           // CLUSTER.sock in it
  std::string host;
  std::uint64_t boot_id = 0;
};

// All that one cluster has in this process.
struct ArbiterSeat {
  ArbiterFile file;
  std::uint64_t identity = 0;
  Log log;
  std::unique_ptr<wire::KeyRing> key_ring;
  BareMachine machine;
  Daemon node;
  bool leaving = false;
  Instant leave_by = Instant::never();

  // `keys` has the cluster's.
  ArbiterSeat(ArbiterFile which, std::unique_ptr<wire::KeyRing> keys, const ArbiterOptions& options);
  const ClusterConfig& config() const { return *file.config; }
  RunningCluster running() const { return {file.path, config().name.str(), identity, leaving}; }
};

std::string directory_of(const ArbiterOptions& options, const ClusterConfig& config);

struct ArbiterJob {
  bool reread = false;  // the files anew; otherwise what was read last, for what does not run
  std::vector<RunningCluster> running;
  std::vector<std::unique_ptr<ArbiterSeat>> ended;
};

struct ArbiterNews {
  struct Line {
    LogLevel level;
    std::string text;
  };
  std::vector<std::unique_ptr<ArbiterSeat>> opened;  // to be attached
  std::vector<std::string> leave;                    // names
  std::vector<Line> lines;
  bool missing = false;  // a cluster that should run does not
};

class OpenerListener {
 public:
  virtual ~OpenerListener() = default;
  virtual void on_news(ArbiterNews news) = 0;
};

class ArbiterOpener : private RingHandler {
 public:
  // The thread starts here: before the process turns real-time.
  ArbiterOpener(const ArbiterOptions& options, OpenerListener& listener);
  // Waits for a job under way.
  ~ArbiterOpener() override;
  ArbiterOpener(const ArbiterOpener&) = delete;
  ArbiterOpener& operator=(const ArbiterOpener&) = delete;

  Status attach(Ring& ring);
  void detach() { source_.drop(); }
  bool busy() const { return state_.load(std::memory_order_acquire) != State::idle; }
  // Only when not busy. Answered by on_news().
  void begin(ArbiterJob job);

 private:
  enum class State : std::uint8_t { idle, asked, done };

  static void* run(void* opener);
  void work();
  ArbiterNews do_job();
  void open_cluster(ArbiterFile file, ArbiterNews& news);
  void say(ArbiterNews& news, LogLevel level, const std::string& text);
  void on_ready(std::uint32_t tag, std::uint32_t events) override;

  const ArbiterOptions& options_;
  OpenerListener& listener_;
  ArbiterJob job_;              // the thread's while asked, else the loop's
  ArbiterNews news_;            // the same
  FoundFiles found_;            // the thread's
  std::set<std::string> said_;  // since the files were read: a cluster is tried again and again
  std::atomic<State> state_{State::idle};
  std::atomic<bool> stopping_{false};
  Fd asked_;  // eventfd to the thread
  Fd done_;   // eventfd to the loop
  Registration source_;
  SideThread thread_;  // last: it ends first
};

}  // namespace vigil
