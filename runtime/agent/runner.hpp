// Runs commands: /bin/sh -c, each in a session and process group of its own, with a given environment,
// a document on standard input, and a time limit. Decides nothing about what to run, and never waits:
// any number of commands run side by side, and a hanging one costs only its own time.
//
// A command ends when its shell exits. What it left in the background is left alone (that is how
// applications daemonise), unless the command exceeded its time or was cancelled: then everything that
// it started gets SIGTERM, and SIGKILL after the grace, and it ends only when none of it lives any
// more, so that a stop never races with the start before it. Processes that left the group are found
// by descent and mark (processes.hpp).
//
// Timeline of a run that hangs (time limit T, grace G):
//   0        started                          T        SIGTERM to all of it
//   T + G    SIGKILL, repeated                T + G + 3 s   given up on (a process in an uninterruptible
//                                             wait cannot be killed): told in the result's text
// When the whole agent was stopped meanwhile (a frozen node that thaws), its commands were as well: a
// time limit that is noticed late is granted once more, so that the stall accuses nobody.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "runtime/agent/processes.hpp"
#include "runtime/agent/protocol.hpp"
#include "runtime/agent/reactor.hpp"
#include "runtime/agent/run_table.hpp"

namespace vigil::agent {

using RunId = std::uint32_t;  // 0: none

struct RunSpec {
  std::string name;                      // for messages: "start of web"
  std::string command;                   // for /bin/sh -c
  std::vector<std::string> environment;  // all of it; the mark is added
  std::string input;                     // standard input
  Duration timeout = Duration::from_s(30);
  Duration grace = Duration::from_s(2);
};

struct RunResult {
  Outcome outcome = Outcome::ok;
  bool started = true;  // false: could not even be started; text says why
  int exit_status = 0;  // of the shell; 128 + signal when killed
  Duration took;
  std::string text;  // last line of standard error, else of standard output, else what went wrong
};

// The last line of what a command writes, of bounded length, whatever it writes.
class LastLine {
 public:
  void feed(std::string_view bytes);
  // The last line that is not blank, without its newline and control characters.
  std::string text() const;

 private:
  static constexpr std::size_t limit = 400;
  static void keep(std::string& line, std::string_view bytes);
  std::string complete_;
  std::string current_;
};

class Runner {
 public:
  using Done = std::function<void(const RunResult&)>;

  // `session`: first half of the runs' marks. `reactor` and `table` must outlive the runner.
  Runner(Reactor& reactor, RunTable& table, std::uint32_t session);
  ~Runner();
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  // Makes this process a subreaper and starts to listen for SIGCHLD, which it blocks.
  Status open();

  // `done` is called once, from the reactor, never from within start().
  RunId start(RunSpec spec, Done done);
  // Ends a run early: SIGTERM, grace, SIGKILL; its outcome is `killed`. Unknown ids are ignored.
  void cancel(RunId id, Duration grace = Duration::from_s(1));
  // As cancel(), for all.
  void cancel_all();
  // A cancelled run is active until nothing of it lives.
  bool idle() const { return runs_.empty(); }
  std::size_t active() const { return runs_.size(); }

 private:
  enum class Phase : std::uint8_t { running, terminating, killing };
  struct Stream {
    OwnedFd fd;
    WatchId watch = 0;
    LastLine last;
  };
  struct Run {
    RunSpec spec;
    Done done;
    Phase phase = Phase::running;
    RunIdentity identity;
    bool reaped = false;
    int status = 0;                // as waitpid tells
    Outcome forced = Outcome::ok;  // when terminating: why
    bool granted_again = false;
    bool spawn_failed = false;
    std::string spawn_error;
    Instant began;
    Instant phase_ends;  // terminating, killing
    Duration recheck = Duration::from_ms(5);
    TimerId timer = 0;
    RunTable::Slot* slot = nullptr;
    Stream output;
    Stream errors;
  };
  struct Pipes;

  Status spawn(Run& run);
  void listen(RunId id, Run& run);
  void arm_timeout(RunId id, Run& run, Duration timeout);
  void on_children();
  void on_timeout(RunId id, Duration lateness);
  void terminate(RunId id, Run& run, Outcome outcome, Duration grace);
  void check(RunId id);
  void finish(RunId id, Run& run, std::string remark);
  // Reads what is there; false at the end of the stream.
  static bool drain(Stream& stream);
  void leave_open(const std::string& name, Stream stream);

  Reactor& reactor_;
  RunTable& table_;
  std::uint32_t session_;
  RunId next_id_ = 1;
  OwnedFd signal_fd_;
  WatchId signal_watch_ = 0;
  std::map<RunId, Run> runs_;
  std::map<pid_t, RunId> run_of_leader_;
  // Output of what stayed in the background: read on, so that it never blocks or gets SIGPIPE.
  std::map<int, Stream> left_open_;
};

}  // namespace vigil::agent
