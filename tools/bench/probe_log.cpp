#include "tools/bench/probe_log.hpp"

#include <algorithm>

namespace vigil::bench {

void ProbeLog::sent(std::int64_t now_ns) { requests_.push_back({now_ns, -1}); }

int ProbeLog::index_of(std::string_view server) {
  const auto found = std::find(servers_.begin(), servers_.end(), server);
  if (found != servers_.end()) return static_cast<int>(found - servers_.begin());
  servers_.emplace_back(server);
  return static_cast<int>(servers_.size()) - 1;
}

bool ProbeLog::answered(std::uint64_t sequence, std::string_view server, std::int64_t now_ns) {
  if (sequence >= requests_.size()) return false;
  Request& request = requests_[sequence];
  const int index = index_of(server);
  if (runs_.empty() || runs_.back().server != index) runs_.push_back({index, now_ns, now_ns, 0});
  runs_.back().end_ns = now_ns;
  ++runs_.back().answers;
  if (now_ns - request.sent_ns > rules_.answer_limit_ns) {
    ++late_;
  } else if (request.server >= 0) {
    ++duplicates_;
  } else {
    request.server = index;
    ++answered_;
  }
  return true;
}

std::vector<Outage> ProbeLog::outages(std::int64_t now_ns) const {
  std::vector<Outage> outages;
  Outage current;
  bool seen = false;  // an answered request before: silence before the first answer is no outage
  for (const Request& request : requests_) {
    if (request.server < 0) {
      if (request.sent_ns + rules_.answer_limit_ns <= now_ns) ++current.lost;
      continue;
    }
    if (seen && current.lost >= rules_.min_lost) {
      current.length_ns = request.sent_ns - current.start_ns;
      current.to = request.server;
      outages.push_back(current);
    }
    seen = true;
    current = {request.sent_ns, 0, 0, request.server, -1};
  }
  if (seen && current.lost >= rules_.min_lost) {
    current.length_ns = now_ns - current.start_ns;
    outages.push_back(current);
  }
  return outages;
}

std::vector<Run> ProbeLog::violations() const {
  std::vector<Run> broken;
  for (std::size_t i = 1; i + 1 < runs_.size(); ++i)
    if (runs_[i].end_ns - runs_[i].start_ns < rules_.shortest_run_ns) broken.push_back(runs_[i]);
  return broken;
}

}  // namespace vigil::bench
