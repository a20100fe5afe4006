// `vigil status`, `vigil links` and `vigil quorum`.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <ctime>
#include <thread>

#include "tools/ctl/commands.hpp"
#include "tools/ctl/exit_code.hpp"
#include "tools/ctl/health.hpp"
#include "tools/ctl/json.hpp"
#include "tools/ctl/quorum.hpp"
#include "tools/ctl/status_text.hpp"
#include "tools/ctl/table.hpp"
#include "tools/ctl/words.hpp"

namespace vigil::ctl {

namespace {

Result<ClusterPicture> ask(const std::string& socket) {
  Result<control::Client> client = control::Client::connect(socket);
  if (!client) return client.error();
  return client->status();
}

std::int64_t now_wall_ns() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

// Repaints until interrupted. A vigild that goes away is shown, not given up on.
int watch(const std::string& socket, const StatusOptions& options) {
  const bool colours = stdout_wants_colour();
  const bool terminal = isatty(STDOUT_FILENO) == 1;
  for (;;) {
    const Result<ClusterPicture> picture = ask(socket);
    std::string page;
    if (options.json) {
      page = picture ? status_json(*picture) : "";
    } else {
      page = time_text(now_wall_ns()) + "\n\n" +
             (picture ? status_text(*picture, colours) : picture.error().message + "\n") + (terminal ? "" : "\n");
    }
    if (options.json && !picture) complain(picture.error().message);
    // Home, the page, and only then clear what was below: no flicker.
    if (terminal && !options.json) {
      std::string painted = "\x1b[H";
      for (char c : page) painted += c == '\n' ? "\x1b[K\n" : std::string(1, c);
      page = painted + "\x1b[J";
    }
    if (std::fwrite(page.data(), 1, page.size(), stdout) != page.size() || std::fflush(stdout) != 0) return exit_failed;
    std::this_thread::sleep_for(std::chrono::duration<double>(options.watch_s));
  }
}

}  // namespace

void complain(const std::string& message) { std::fprintf(stderr, "vigil: %s\n", message.c_str()); }

bool is_name_length(const std::string& name) {
  if (name.size() <= limits::name_length) return true;
  complain("'" + name + "' is no name: names have at most " + std::to_string(limits::name_length) + " characters");
  return false;
}

int gave_up(const Error& error) {
  complain(error.message);
  return error.code != 0 ? exit_unreachable : exit_failed;
}

int run_status(const std::string& socket, const StatusOptions& options) {
  if (options.watch_s > 0) return watch(socket, options);
  const Result<ClusterPicture> picture = ask(socket);
  if (!picture) return gave_up(picture.error());
  const std::string page = options.json ? status_json(*picture) : status_text(*picture, stdout_wants_colour());
  std::fputs(page.c_str(), stdout);
  return options.exit_code && !problems_of(*picture).empty() ? exit_degraded : exit_ok;
}

int run_quorum(const std::string& socket, const QuorumOptions& options) {
  Result<control::Client> client = control::Client::connect(socket);
  if (!client) return gave_up(client.error());
  const Result<ClusterPicture> picture = client->status();
  if (!picture) return gave_up(picture.error());
  const Result<control::ViewEntries> views = client->views();
  if (!views) return gave_up(views.error());
  const std::string page = options.json ? quorum_json(*picture, views->entries)
                                        : quorum_text(*picture, views->entries, stdout_wants_colour());
  std::fputs(page.c_str(), stdout);
  return exit_ok;
}

int run_links(const std::string& socket, const LinksOptions& options) {
  const Result<ClusterPicture> picture = ask(socket);
  if (!picture) return gave_up(picture.error());
  const std::string page = options.json ? links_json(*picture) : links_text(*picture, stdout_wants_colour());
  std::fputs(page.c_str(), stdout);
  return exit_ok;
}

}  // namespace vigil::ctl
