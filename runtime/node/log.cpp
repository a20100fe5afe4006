#include "runtime/node/log.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdio>

namespace vigil {

Log::Log(std::string_view name)
    : name_(name), wake_(::eventfd(0, EFD_CLOEXEC)), thread_(SideThread::small_stack, &Log::run, this) {}

Log::~Log() {
  stopping_.store(true, std::memory_order_release);
  ring_bell(wake_.get());
}

void Log::write(LogLevel level, std::initializer_list<std::string_view> parts) {
  Line* line = lines_.claim();
  if (line == nullptr) return;
  line->level = level;
  std::array<char, 301> text;
  std::size_t size = 0;
  for (std::string_view part : parts)
    for (char character : part)
      if (size < text.size() - 1) text[size++] = character;
  line->text.assign({text.data(), size});
  lines_.publish();
  ring_bell(wake_.get());
}

void Log::drain() {
  while (const Line* line = lines_.next()) {
    // systemd reads the level from the prefix (sd-daemon(3)).
    std::fprintf(stderr, "<%d>%s: %.*s\n", static_cast<int>(line->level), name_.c_str(),
                 static_cast<int>(line->text.size()), line->text.view().data());
    lines_.release();
  }
  if (const std::uint64_t lost = lines_.take_lost(); lost > 0)
    std::fprintf(stderr, "<4>%s: %llu log lines were lost: standard error is too slow\n", name_.c_str(),
                 static_cast<unsigned long long>(lost));
}

void* Log::run(void* argument) {
  Log& log = *static_cast<Log*>(argument);
  while (!log.stopping_.load(std::memory_order_acquire)) {
    std::uint64_t count = 0;
    (void)!::read(log.wake_.get(), &count, sizeof count);
    log.drain();
  }
  log.drain();
  return nullptr;
}

}  // namespace vigil
