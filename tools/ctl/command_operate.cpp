// The commands that change something: asks the coordinator through the local vigild, prints its
// answer, then watches until the cluster has got there.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <iostream>
#include <optional>
#include <string>
#include <thread>

#include "tools/client/client.hpp"
#include "tools/ctl/commands.hpp"
#include "tools/ctl/exit_code.hpp"
#include "tools/ctl/goal.hpp"
#include "tools/ctl/quorum.hpp"
#include "tools/ctl/table.hpp"
#include "tools/ctl/words.hpp"

namespace vigil::ctl {

namespace {

using std::chrono::steady_clock;

constexpr auto poll_interval = std::chrono::milliseconds(100);
// A picture may be older than the coordinator's answer by a round trip and a commit.
constexpr auto failure_must_last = std::chrono::seconds(1);

std::string fence_warning(const std::string& node) {
  return "You vouch that " + node +
         " is powered off, or otherwise cannot touch any disk, address or\n"
         "application of this cluster, and will not come back by itself before you let it.\n"
         "Vigil will start elsewhere what ran there. If you are wrong, data may be lost.\n";
}

// The operator's word replaces a fence, or votes: it must be given knowingly. nullopt: it was.
std::optional<int> ask_to_vouch(const std::string& warning, const std::string& what, bool yes) {
  if (yes) return std::nullopt;
  if (isatty(STDIN_FILENO) != 1) {
    complain("standard input is no terminal to ask on; give --yes if you vouch that " + what);
    return exit_usage;
  }
  std::fprintf(stderr, "%sType 'yes' to confirm: ", warning.c_str());
  std::string answer;
  if (std::getline(std::cin, answer) && answer == "yes") return std::nullopt;
  complain("not confirmed; nothing was done");
  return exit_failed;
}

// Where words were given in two places that knew nothing of each other, the one by the later clock holds.
std::string clock_warning() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return "The clock here says " + time_text(std::chrono::duration_cast<std::chrono::nanoseconds>(now).count()) +
         ". Set it right first: a word that was given\nelsewhere by a later clock would win over this one.\n";
}

// Names to the operator whom an override counts as down, and has exactly these vouched for.
std::optional<int> ask_for_override(control::Client& client, bool yes, control::request::Operate& asked) {
  const Result<ClusterPicture> picture = client.status();
  if (!picture) return gave_up(picture.error());
  if (picture->cluster.quorate) {
    complain("refused: this node has a quorum and decides with it: there is nothing to override; see: vigil quorum");
    return exit_failed;
  }
  asked.vouched = quorum_facts(*picture).silent;
  if (asked.vouched.empty()) {
    complain("refused: every other node is heard here, so nobody is to be vouched for; see: vigil quorum");
    return exit_failed;
  }
  const std::string names = joined(picture->names_of(asked.vouched));
  return ask_to_vouch(override_warning(*picture) + clock_warning(), names + (asked.vouched.count() == 1 ? " is down" : " are down"), yes);
}

class Waiter {
 public:
  Waiter(std::string socket, const control::request::Operate& asked, double timeout_s, bool stops_self)
      : socket_(std::move(socket)),
        asked_(asked),
        stops_self_(stops_self),
        start_(steady_clock::now()),
        end_(start_ + std::chrono::duration_cast<steady_clock::duration>(std::chrono::duration<double>(timeout_s))) {}

  int wait(std::optional<control::Client> client) {
    for (;;) {
      if (!client) {
        Result<control::Client> again = control::Client::connect(socket_);
        if (again)
          client.emplace(std::move(again).value());
        else if (stops_self_)
          return ended("vigild on this node has stopped", exit_ok);
        else
          say("vigild on this node does not answer; still trying");
      }
      if (client) {
        const Result<ClusterPicture> picture = client->status();
        if (picture) {
          if (const std::optional<int> code = look(*picture)) return *code;
        } else {
          client.reset();
          if (stops_self_) continue;  // at once: it is gone, or it is another life of it
        }
      }
      if (steady_clock::now() >= end_) {
        complain("not done within the time allowed; it goes on (" + last_ + "); see: vigil status");
        return exit_timed_out;
      }
      std::this_thread::sleep_for(poll_interval);
    }
  }

 private:
  std::optional<int> look(const ClusterPicture& picture) {
    const Progress progress = progress_of(asked_, picture);
    if (progress.state == Progress::reached) return ended(progress.text, exit_ok);
    if (progress.state == Progress::pending) {
      failing_since_.reset();
      say(progress.text);
      return std::nullopt;
    }
    if (!failing_since_) failing_since_ = steady_clock::now();
    if (steady_clock::now() - *failing_since_ < failure_must_last) return std::nullopt;
    complain(progress.text);
    return exit_failed;
  }

  void say(const std::string& text) {
    if (text == last_) return;
    last_ = text;
    const auto elapsed = std::chrono::duration_cast<std::chrono::nanoseconds>(steady_clock::now() - start_);
    std::printf("%10s  %s\n", duration_text(Duration::from_ns(elapsed.count())).c_str(), text.c_str());
    std::fflush(stdout);
  }

  int ended(const std::string& text, int code) {
    if (!text.empty()) say(text);
    return code;
  }

  std::string socket_;
  control::request::Operate asked_;
  bool stops_self_;
  steady_clock::time_point start_;
  steady_clock::time_point end_;
  std::optional<steady_clock::time_point> failing_since_;
  std::string last_;
};

bool nothing_to_wait_for(OperatorVerb verb) {
  return verb == OperatorVerb::group_clear || verb == OperatorVerb::confirm_down;
}

}  // namespace

int run_operate(const std::string& socket, const OperateOptions& options) {
  if (!is_name_length(options.group) || !is_name_length(options.node)) return exit_usage;
  control::request::Operate asked{options.verb, Name(options.group), Name(options.node), {}};
  if (options.verb == OperatorVerb::confirm_down)
    if (const auto code = ask_to_vouch(fence_warning(options.node), options.node + " is down", options.yes)) return *code;
  Result<control::Client> client = control::Client::connect(socket);
  if (!client) return gave_up(client.error());
  if (options.verb == OperatorVerb::quorum_override)
    if (const auto code = ask_for_override(*client, options.yes, asked)) return *code;
  bool stops_self = false;
  if (options.verb == OperatorVerb::node_stop) {
    const Result<ClusterPicture> picture = client->status();
    if (!picture) return gave_up(picture.error());
    stops_self = picture->name_of(picture->cluster.self) == options.node;
  }
  const Result<control::reply::Answer> answer = client->operate(asked);
  if (!answer) return gave_up(answer.error());
  if (!answer->accepted) {
    complain("refused: " + (answer->text.empty() ? std::string("the coordinator gave no reason") : answer->text.str()));
    return exit_failed;
  }
  std::printf("%s\n", answer->text.empty() ? "accepted" : answer->text.c_str());
  std::fflush(stdout);
  if (!options.wait || nothing_to_wait_for(options.verb)) return exit_ok;
  return Waiter(socket, asked, options.timeout_s, stops_self).wait(std::move(client).value());
}

}  // namespace vigil::ctl
