// `vigil why` and `vigil events`: what the nodes wrote down.
#include <algorithm>
#include <cstdio>
#include <ctime>

#include "tools/ctl/commands.hpp"
#include "tools/ctl/exit_code.hpp"
#include "tools/ctl/json.hpp"
#include "tools/ctl/sentence.hpp"
#include "tools/ctl/table.hpp"
#include "tools/ctl/view_text.hpp"
#include "tools/ctl/words.hpp"

namespace vigil::ctl {

namespace {

constexpr std::size_t changes_told = 10;

std::string no_such_group(const ClusterPicture& picture, const std::string& name) {
  std::vector<std::string> names;
  for (const auto& group : picture.groups) names.push_back(group.name.str());
  return "there is no group '" + name + "' in cluster " + picture.cluster.name.str() + "; there is " +
         joined(names, "none");
}

// Printed at once: a follower's reader may be a pipe.
bool print_event(const Journal& entry, bool json, bool colours) {
  const std::string line = (json ? journal_json(entry) : event_line(entry, colours)) + '\n';
  return std::fputs(line.c_str(), stdout) >= 0 && std::fflush(stdout) == 0;
}

int why_membership(const std::string& socket, const WhyOptions& options) {
  ViewStoryOptions wanted;
  if (!options.since.empty()) {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    const auto since = time_of(options.since, std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec);
    if (!since) {
      complain("--since '" + options.since + "' is no time; write 90s, 10min, 6h, 3d, 2026-11-22 or 2026-11-22T10:00");
      return exit_usage;
    }
    wanted.since_wall_ns = *since;
  }
  if (options.last > 0 || options.since.empty()) wanted.last = options.last > 0 ? options.last : changes_told;
  Result<control::Client> client = control::Client::connect(socket);
  if (!client) return gave_up(client.error());
  const Result<ClusterPicture> picture = client->status();
  if (!picture) return gave_up(picture.error());
  Result<control::ViewEntries> told = client->views();
  if (!told) return gave_up(told.error());
  const auto changes = view_changes_of(*picture, std::move(told->entries), wanted);
  const std::string page = options.json ? views_json(*picture, changes, told->nodes)
                                        : views_text(*picture, changes, told->nodes, stdout_wants_colour());
  std::fputs(page.c_str(), stdout);
  return exit_ok;
}

}  // namespace

int run_why(const std::string& socket, const WhyOptions& options) {
  if (options.membership) return why_membership(socket, options);
  Result<control::Client> client = control::Client::connect(socket);
  if (!client) return gave_up(client.error());
  const Result<ClusterPicture> picture = client->status();
  if (!picture) return gave_up(picture.error());
  const control::reply::Group* group = picture->group(options.group);
  if (group == nullptr) {
    complain(no_such_group(*picture, options.group));
    return exit_failed;
  }
  Result<std::vector<Journal>> entries = client->journal({Name(options.group), 0, 0});
  if (!entries) return gave_up(entries.error());
  const auto takeovers = takeovers_of(*picture, *group, std::move(entries).value(), std::max(options.last, 1u));
  const std::string page =
      options.json ? why_json(options.group, takeovers) : why_text(*picture, *group, takeovers, stdout_wants_colour());
  std::fputs(page.c_str(), stdout);
  return exit_ok;
}

int run_events(const std::string& socket, const EventsOptions& options) {
  if (!is_name_length(options.group)) return exit_usage;
  Result<control::Client> client = control::Client::connect(socket);
  if (!client) return gave_up(client.error());
  const bool colours = stdout_wants_colour();
  if (options.follow) {
    const auto each = [&](const Journal& entry) { return print_event(entry, options.json, colours); };
    const Status ended = client->follow({Name(options.group), options.last}, each);
    return ended ? exit_failed : gave_up(ended.error());  // ok: standard output went away
  }
  const Result<std::vector<Journal>> entries = client->journal({Name(options.group), 0, options.last});
  if (!entries) return gave_up(entries.error());
  for (const Journal& entry : *entries)
    if (!print_event(entry, options.json, colours)) return exit_failed;
  return exit_ok;
}

}  // namespace vigil::ctl
