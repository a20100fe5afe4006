#include "runtime/node/log.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdio>

#include "runtime/base/assert.hpp"

namespace vigil {

namespace {

// Locked memory is counted in full: the default stack would be a quarter of the daemon.
constexpr std::size_t stack_bytes = 128 * 1024;

}  // namespace

Log::Log() : wake_(::eventfd(0, EFD_CLOEXEC)) {
  pthread_attr_t attributes;
  VIGIL_ASSERT(::pthread_attr_init(&attributes) == 0);
  VIGIL_ASSERT(::pthread_attr_setstacksize(&attributes, stack_bytes) == 0);
  VIGIL_ASSERT(::pthread_create(&thread_, &attributes, &Log::run, this) == 0);
  ::pthread_attr_destroy(&attributes);
}

Log::~Log() {
  stopping_.store(true, std::memory_order_release);
  const std::uint64_t one = 1;
  (void)!::write(wake_, &one, sizeof one);
  ::pthread_join(thread_, nullptr);
  ::close(wake_);
}

void Log::write(LogLevel level, std::initializer_list<std::string_view> parts) {
  const std::uint64_t position = written_.load(std::memory_order_relaxed);
  if (position - read_.load(std::memory_order_acquire) >= capacity) {
    lost_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  Line& line = lines_[position % capacity];
  line.level = level;
  std::array<char, 301> text;
  std::size_t size = 0;
  for (std::string_view part : parts)
    for (char character : part)
      if (size < text.size() - 1) text[size++] = character;
  line.text.assign({text.data(), size});
  written_.store(position + 1, std::memory_order_release);
  const std::uint64_t one = 1;
  (void)!::write(wake_, &one, sizeof one);
}

void Log::drain() {
  const std::uint64_t end = written_.load(std::memory_order_acquire);
  for (std::uint64_t position = read_.load(std::memory_order_relaxed); position < end; ++position) {
    const Line& line = lines_[position % capacity];
    // systemd reads the level from the prefix (sd-daemon(3)).
    std::fprintf(stderr, "<%d>vigild: %.*s\n", static_cast<int>(line.level), static_cast<int>(line.text.size()),
                 line.text.view().data());
    read_.store(position + 1, std::memory_order_release);
  }
  if (const std::uint64_t lost = lost_.exchange(0, std::memory_order_relaxed); lost > 0)
    std::fprintf(stderr, "<4>vigild: %llu log lines were lost: standard error is too slow\n",
                 static_cast<unsigned long long>(lost));
}

void* Log::run(void* argument) {
  Log& log = *static_cast<Log*>(argument);
  while (!log.stopping_.load(std::memory_order_acquire)) {
    std::uint64_t count = 0;
    (void)!::read(log.wake_, &count, sizeof count);
    log.drain();
  }
  log.drain();
  return nullptr;
}

}  // namespace vigil
