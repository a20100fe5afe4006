// `vigil key rotate`: the key itself is never an argument and never printed. A given one is read from a file that
// nobody else can read, and handed to vigild over its socket, which is root's.
#include <sys/prctl.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <optional>
#include <string>
#include <thread>

#include "runtime/config/key_file.hpp"
#include "tools/client/client.hpp"
#include "tools/ctl/commands.hpp"
#include "tools/ctl/exit_code.hpp"

namespace vigil::ctl {

namespace {

using std::chrono::steady_clock;

constexpr auto poll_interval = std::chrono::milliseconds(100);

const char* phase_text(KeyPhase phase) {
  switch (phase) {
    case KeyPhase::spreading:
      return "every member fetches and stores the new key";
    case KeyPhase::switching:
      return "every member holds the new key, and begins to send under it";
    case KeyPhase::settled:
      return "the old key is refused";
  }
  return "";
}

// Watches the phases until they are through. The rotation has begun, so a state that is settled when it is first
// looked at is through already.
int watch(const std::string& socket, double timeout_s) {
  const auto end = steady_clock::now() + std::chrono::duration<double>(timeout_s);
  std::optional<KeyPhase> told;
  std::uint8_t next = 0;
  for (;;) {
    if (Result<control::Client> client = control::Client::connect(socket)) {
      if (const Result<control::ClusterPicture> picture = client->status()) {
        const KeyState& keys = picture->keys;
        if (next == 0) next = keys.phase == KeyPhase::settled ? keys.active : keys.next;
        if (told != keys.phase) std::printf("%s\n", phase_text(keys.phase));
        std::fflush(stdout);
        told = keys.phase;
        if (keys.phase == KeyPhase::settled && keys.active == next) return exit_ok;
        if (keys.phase == KeyPhase::settled) {
          complain("the rotation was given up: no member that holds the new key is left; see: vigil events");
          return exit_failed;
        }
      }
    }
    if (steady_clock::now() >= end) {
      complain("not done within the time allowed; it goes on, and 'vigil status' says for whom it waits");
      return exit_timed_out;
    }
    std::this_thread::sleep_for(poll_interval);
  }
}

}  // namespace

int run_key_rotate(const std::string& socket, const RotateOptions& options) {
  prctl(PR_SET_DUMPABLE, 0);
  Result<control::Client> client = control::Client::connect(socket);
  if (!client) return gave_up(client.error());
  Result<control::reply::Answer> answer = Error::of("nothing was asked");
  if (options.from_file.empty()) {
    answer = client->rotate_key({});
  } else {
    const Result<ClusterKey> key = load_key(options.from_file, geteuid());
    if (!key) {
      complain(key.error().message);
      return exit_failed;
    }
    answer = client->rotate_key(key->bytes());
  }
  if (!answer) return gave_up(answer.error());
  if (!answer->accepted) {
    complain("refused: " + answer->text.str());
    return exit_failed;
  }
  std::printf("%s\n", answer->text.c_str());
  if (!options.wait) return exit_ok;
  return watch(socket, options.timeout_s);
}

}  // namespace vigil::ctl
