// A null-modem cable between two pseudo-terminals: what is written to one end comes out of the other.
// Stands for a serial line where there is none. SIGUSR1 cuts the cable (bytes are lost, as on a real
// one), SIGUSR2 mends it; SIGTERM or SIGINT ends it and removes the links. With --baud it carries that
// many bits a second each way, ten bits a byte. It never blocks: a reader that does not read loses
// bytes, and not the line.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

namespace {

// One end: the master we pump, and the slave, held open so that the master sees no hang-up while
// nobody else has it.
struct End {
  int master = -1;
  int slave = -1;
  std::string link;
};

struct Direction {
  End* from = nullptr;
  End* to = nullptr;
  std::array<char, 256> bytes{};
  std::size_t size = 0;
  std::size_t done = 0;
  std::int64_t next_ns = 0;  // when the line is free for the next byte
};

int usage() {
  std::fputs(
      "usage: nullmodem [--baud N] LINK-A LINK-B\n"
      "Makes two pseudo-terminals, joined, with symbolic links LINK-A and LINK-B to them.\n"
      "SIGUSR1 cuts the line, SIGUSR2 mends it, SIGTERM removes it.\n",
      stderr);
  return 2;
}

std::int64_t now_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

bool open_end(const char* link, End& end) {
  end.link = link;
  end.master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
  if (end.master < 0 || grantpt(end.master) != 0 || unlockpt(end.master) != 0) return false;
  std::array<char, 128> name{};
  if (ptsname_r(end.master, name.data(), name.size()) != 0) return false;
  end.slave = open(name.data(), O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
  termios settings{};
  if (end.slave < 0 || tcgetattr(end.slave, &settings) != 0) return false;
  cfmakeraw(&settings);
  if (tcsetattr(end.slave, TCSANOW, &settings) != 0) return false;
  unlink(link);
  return symlink(name.data(), link) == 0;
}

// Moves what may go at `now`. Returns when it wants to be called again, or -1 for "when bytes come".
std::int64_t pump(Direction& way, bool cut, std::int64_t byte_ns, std::int64_t now) {
  if (way.done == way.size) {
    const ssize_t got = read(way.from->master, way.bytes.data(), way.bytes.size());
    if (got <= 0) return -1;
    way.size = static_cast<std::size_t>(got);
    way.done = 0;
    way.next_ns = std::max(way.next_ns, now + byte_ns);
  }
  std::size_t ready = way.size - way.done;
  if (byte_ns > 0) {
    if (now < way.next_ns) return way.next_ns;
    ready = std::min<std::size_t>(ready, static_cast<std::size_t>((now - way.next_ns) / byte_ns) + 1);
    way.next_ns += static_cast<std::int64_t>(ready) * byte_ns;
  }
  // A full reader loses them, as an overrun UART does.
  if (!cut && write(way.to->master, way.bytes.data() + way.done, ready) < 0 && errno != EAGAIN) return -1;
  way.done += ready;
  return way.done < way.size ? way.next_ns : now;
}

// Until SIGTERM or SIGINT.
void run(std::array<End, 2>& ends, std::int64_t byte_ns, int signals) {
  std::array<Direction, 2> ways;
  ways[0].from = ways[1].to = &ends[0];
  ways[0].to = ways[1].from = &ends[1];
  bool cut = false;
  for (;;) {
    const std::int64_t now = now_ns();
    std::int64_t next = -1;
    std::array<pollfd, 3> waiting = {{{-1, POLLIN, 0}, {-1, POLLIN, 0}, {signals, POLLIN, 0}}};
    for (std::size_t i = 0; i < ways.size(); ++i) {
      const std::int64_t again = pump(ways[i], cut, byte_ns, now);
      if (again < 0)
        waiting[i].fd = ways[i].from->master;
      else
        next = next < 0 ? again : std::min(next, again);
    }
    const std::int64_t rest = std::max<std::int64_t>(0, next - now);
    const timespec timeout{rest / 1'000'000'000, rest % 1'000'000'000};
    if (ppoll(waiting.data(), waiting.size(), next < 0 ? nullptr : &timeout, nullptr) < 0 && errno != EINTR) return;
    signalfd_siginfo info{};
    while (read(signals, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
      if (info.ssi_signo != SIGUSR1 && info.ssi_signo != SIGUSR2) return;
      cut = info.ssi_signo == SIGUSR1;
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::int64_t baud = 0;
  int first = 1;
  if (argc > 2 && std::string_view(argv[1]) == "--baud") {
    const std::string_view text = argv[2];
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), baud);
    if (failed != std::errc{} || end != text.data() + text.size() || baud < 50 || baud > 10'000'000) return usage();
    first = 3;
  }
  if (argc - first != 2) return usage();
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGUSR1, SIGUSR2, SIGTERM, SIGINT}) sigaddset(&set, signal);
  sigprocmask(SIG_BLOCK, &set, nullptr);
  const int signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
  std::array<End, 2> ends;
  for (std::size_t i = 0; i < ends.size(); ++i) {
    const char* link = argv[first + static_cast<int>(i)];
    if (signals < 0 || !open_end(link, ends[i])) {
      std::fprintf(stderr, "nullmodem: make the pseudo-terminal '%s': %s\n", link, std::strerror(errno));
      return 1;
    }
  }
  run(ends, baud > 0 ? 10'000'000'000 / baud : 0, signals);
  for (const End& end : ends) unlink(end.link.c_str());
  return 0;
}
