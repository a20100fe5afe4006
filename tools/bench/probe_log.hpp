// What a client saw: from requests and answers to outages, to who served when, and to the one thing
// that must never be seen, two nodes serving at once. Pure; fed by the probe, tested by tables.
//
// A request counts as answered when its answer came within `answer_limit`. An answer behind that is
// late: a thawed node that works off its queue must not make an outage look shorter.
//
// An outage is at least `min_lost` requests in a row without an answer. It lasts from the sending of
// the last answered request before to the sending of the first answered one behind. A stall of the
// probe itself sends nothing and so makes no outage.
//
// A run is the answers of one server, in the order of arrival, without another's between. A run that
// is shorter than `shortest_run` and has another server's runs on both sides is a violation: two
// nodes served in turns.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace vigil::bench {

struct ProbeRules {
  std::int64_t answer_limit_ns = 50'000'000;
  std::uint64_t min_lost = 2;
  std::int64_t shortest_run_ns = 100'000'000;
};

struct Outage {
  std::int64_t start_ns = 0;   // when the last answered request before it was sent
  std::int64_t length_ns = 0;  // to the sending of the first answered one behind it, or to `now` while it lasts
  std::uint64_t lost = 0;      // requests
  int from = -1;               // server before, index into servers(); -1: none yet
  int to = -1;                 // server behind; -1: it lasts
};

struct Run {
  int server = 0;
  std::int64_t start_ns = 0;  // arrival of its first and last answer
  std::int64_t end_ns = 0;
  std::uint64_t answers = 0;
};

class ProbeLog {
 public:
  explicit ProbeLog(ProbeRules rules) : rules_(rules) {}

  // Request number `sequence` (counted from 0 without gaps) was sent. All times are of one clock.
  void sent(std::int64_t now_ns);
  // An answer to `sequence` came. Returns false for a number that was never sent.
  bool answered(std::uint64_t sequence, std::string_view server, std::int64_t now_ns);

  std::uint64_t sent_count() const { return requests_.size(); }
  std::uint64_t answered_count() const { return answered_; }
  std::uint64_t late_count() const { return late_; }
  std::uint64_t duplicate_count() const { return duplicates_; }
  const std::vector<std::string>& servers() const { return servers_; }
  const std::vector<Run>& runs() const { return runs_; }
  // Requests whose time for an answer is not over at `now` are left out.
  std::vector<Outage> outages(std::int64_t now_ns) const;
  // The runs that break the rule above.
  std::vector<Run> violations() const;

 private:
  struct Request {
    std::int64_t sent_ns = 0;
    int server = -1;  // -1: no answer in time
  };
  int index_of(std::string_view server);

  ProbeRules rules_;
  std::vector<Request> requests_;
  std::vector<std::string> servers_;
  std::vector<Run> runs_;
  std::uint64_t answered_ = 0;
  std::uint64_t late_ = 0;
  std::uint64_t duplicates_ = 0;
};

}  // namespace vigil::bench
