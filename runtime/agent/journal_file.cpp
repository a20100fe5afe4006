#include "runtime/agent/journal_file.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <string_view>

#include "runtime/agent/log.hpp"
#include "runtime/events/journal_json.hpp"

namespace vigil::agent {

namespace {

bool matches(const JournalEntry& entry, const JournalFilter& filter) {
  if (filter.group && entry.group != *filter.group) return false;
  if (filter.node && entry.node != *filter.node && entry.subject != *filter.node) return false;
  if (filter.event && entry.event != *filter.event) return false;
  return entry.wall_ns >= filter.since_wall_ns;
}

void read_line(std::string_view line, const JournalFilter& filter, JournalRead& read) {
  if (line.empty()) return;
  const Result<JournalEntry> entry = events::journal_from_json(line);
  if (!entry) {
    ++read.skipped_lines;
    return;
  }
  if (matches(*entry, filter)) read.entries.push_back(*entry);
}

Status read_file(const std::string& path, const JournalFilter& filter, JournalRead& read) {
  const OwnedFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) {
    if (errno == ENOENT) return {};
    return Error::from_errno("reading the journal " + path, errno);
  }
  std::string rest;
  std::array<char, 65536> buffer{};
  while (true) {
    const ssize_t got = ::read(fd.get(), buffer.data(), buffer.size());
    if (got < 0) return Error::from_errno("reading the journal " + path, errno);
    if (got == 0) break;
    rest.append(buffer.data(), static_cast<std::size_t>(got));
    std::size_t begin = 0;
    for (std::size_t end = rest.find('\n'); end != std::string::npos; end = rest.find('\n', begin)) {
      read_line(std::string_view(rest).substr(begin, end - begin), filter, read);
      begin = end + 1;
    }
    rest.erase(0, begin);
  }
  // No newline: being written at this moment, or cut by a crash.
  if (!rest.empty()) ++read.skipped_lines;
  return {};
}

// Of the first entry in the file; 0: it cannot be read.
std::int64_t first_wall_ns(int fd) {
  std::array<char, 4096> buffer{};
  const ssize_t got = ::pread(fd, buffer.data(), buffer.size(), 0);
  if (got <= 0) return 0;
  const std::string_view text(buffer.data(), static_cast<std::size_t>(got));
  const Result<JournalEntry> entry = events::journal_from_json(text.substr(0, text.find('\n')));
  return entry ? entry->wall_ns : 0;
}

}  // namespace

Result<JournalFile> JournalFile::open(const std::string& directory, std::uint64_t max_bytes, Duration max_age) {
  JournalFile file;
  file.directory_ = directory;
  file.max_bytes_ = max_bytes;
  file.max_age_ = max_age;
  if (Status opened = file.reopen(); !opened) return opened.error();
  return file;
}

Status JournalFile::reopen() {
  const std::string path = directory_ + "/" + journal_name;
  fd_ = OwnedFd(::open(path.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0640));
  struct stat facts {};
  if (!fd_.valid() || ::fstat(fd_.get(), &facts) != 0)
    return Error::from_errno("opening the journal " + path + " (is the state directory there and writable?)", errno);
  size_ = static_cast<std::uint64_t>(facts.st_size);
  oldest_wall_ns_ = 0;
  if (size_ == 0) return {};
  char last = '\n';
  if (::pread(fd_.get(), &last, 1, facts.st_size - 1) == 1 && last != '\n') {
    if (::write(fd_.get(), "\n", 1) != 1) {
      const Error error = Error::from_errno("closing off the cut last line of " + path, errno);
      fd_.reset();  // what is written next must not hang on to it
      return error;
    }
    ++size_;
  }
  oldest_wall_ns_ = first_wall_ns(fd_.get());
  return {};
}

Status JournalFile::rotate() {
  const std::string path = directory_ + "/" + journal_name;
  if (::rename(path.c_str(), (directory_ + "/" + journal_old_name).c_str()) != 0 && errno != ENOENT)
    return Error::from_errno("putting the full journal " + path + " aside (rename)", errno);
  return reopen();
}

Status JournalFile::append(const JournalEntry& entry, const ClusterConfig* config) {
  if (!fd_.valid())
    if (Status opened = reopen(); !opened) return opened;
  const std::string line = events::to_json(entry, config) + "\n";
  const bool is_old = oldest_wall_ns_ != 0 && entry.wall_ns - oldest_wall_ns_ > max_age_.ns;
  if (size_ > 0 && (size_ + line.size() > max_bytes_ || is_old))
    if (Status rotated = rotate(); !rotated) return rotated;
  const ssize_t written = ::write(fd_.get(), line.data(), line.size());
  if (written == static_cast<ssize_t>(line.size())) {
    size_ += line.size();
    if (oldest_wall_ns_ == 0) oldest_wall_ns_ = entry.wall_ns;
    return {};
  }
  const int code = written < 0 ? errno : ENOSPC;
  // A part of the line may stand there: opening anew closes it off.
  fd_.reset();
  return Error::from_errno("writing the journal in " + directory_ + " (is the disk full?)", code);
}

JournalWriter::JournalWriter(JournalFile file, const ClusterConfig& config) : shared_(std::make_shared<Shared>()) {
  // The agent's signals are for its own thread: this one inherits a mask that blocks all of them.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread(
      [shared = shared_, moved = std::move(file), &config]() mutable { write_all(shared, std::move(moved), &config); });
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

JournalWriter::~JournalWriter() {
  std::unique_lock lock(shared_->mutex);
  shared_->closing = true;
  shared_->wake.notify_one();
  const bool closed = shared_->ended.wait_for(lock, std::chrono::seconds(2), [this] { return shared_->closed; });
  lock.unlock();
  if (closed)
    thread_.join();
  else
    thread_.detach();  // the disk hangs; the process is about to end, and takes the thread with it
}

void JournalWriter::append(const JournalEntry& entry) {
  const std::lock_guard lock(shared_->mutex);
  if (shared_->queue.size() >= queue_limit) {
    ++shared_->dropped;
    return;
  }
  shared_->queue.push_back(entry);
  shared_->wake.notify_one();
}

void JournalWriter::write_all(const std::shared_ptr<Shared>& shared, JournalFile file, const ClusterConfig* config) {
  bool failing = false;
  std::unique_lock lock(shared->mutex);
  while (true) {
    shared->wake.wait(lock, [&shared] { return shared->closing || !shared->queue.empty(); });
    if (shared->queue.empty()) break;
    const JournalEntry entry = shared->queue.front();
    shared->queue.pop_front();
    const std::uint64_t dropped = std::exchange(shared->dropped, 0);
    lock.unlock();
    const Status written = file.append(entry, config);
    if (!written && !failing) log_line(written.error().message + "; entries are lost until that is repaired");
    if (written && failing) log_line("the journal can be written again");
    if (dropped > 0) log_line(std::to_string(dropped) + " journal entries were lost: the disk was too slow");
    failing = !written;
    lock.lock();
  }
  shared->closed = true;
  shared->ended.notify_all();
}

Result<JournalRead> read_journal(const std::string& directory, const JournalFilter& filter) {
  JournalRead read;
  for (const char* name : {journal_old_name, journal_name})
    if (Status status = read_file(directory + "/" + name, filter, read); !status) return status.error();
  if (filter.newest > 0 && read.entries.size() > filter.newest)
    read.entries.erase(read.entries.begin(), read.entries.end() - static_cast<std::ptrdiff_t>(filter.newest));
  return read;
}

}  // namespace vigil::agent
