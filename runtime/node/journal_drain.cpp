#include "runtime/node/journal_drain.hpp"

#include <sys/eventfd.h>

#include <cstdio>

namespace vigil {

Result<std::unique_ptr<JournalDrain>> JournalDrain::open(const std::string& directory, std::string_view name,
                                                         const ClusterConfig& config) {
  Result<agent::JournalFile> file = agent::JournalFile::open(directory);
  if (!file) return file.error();
  return std::unique_ptr<JournalDrain>(new JournalDrain(std::move(file).value(), name, config));
}

JournalDrain::JournalDrain(agent::JournalFile file, std::string_view name, const ClusterConfig& config)
    : file_(std::move(file)),
      name_(name),
      config_(config),
      wake_(::eventfd(0, EFD_CLOEXEC)),
      thread_(stack_bytes, &JournalDrain::run, this) {}

JournalDrain::~JournalDrain() {
  stopping_.store(true, std::memory_order_release);
  ring_bell(wake_.get());
}

void JournalDrain::append(const JournalEntry& entry) {
  JournalEntry* place = entries_.claim();
  if (place == nullptr) return;
  *place = entry;
  entries_.publish();
  ring_bell(wake_.get());
}

void JournalDrain::say(const std::string& text) const {
  std::fprintf(stderr, "<4>%s: %s\n", name_.c_str(), text.c_str());
}

void JournalDrain::write_all() {
  while (const JournalEntry* entry = entries_.next()) {
    const Status written = file_.append(*entry, &config_);
    entries_.release();
    if (!written && !failing_) say(written.error().message + "; entries are lost until that is repaired");
    if (written && failing_) say("the journal can be written again");
    failing_ = !written;
  }
  if (const std::uint64_t lost = entries_.take_lost(); lost > 0)
    say(std::to_string(lost) + " journal entries were lost: the disk was too slow");
}

void* JournalDrain::run(void* argument) {
  JournalDrain& drain = *static_cast<JournalDrain*>(argument);
  while (!drain.stopping_.load(std::memory_order_acquire)) {
    std::uint64_t count = 0;
    (void)!::read(drain.wake_.get(), &count, sizeof count);
    drain.write_all();
  }
  drain.write_all();
  return nullptr;
}

}  // namespace vigil
