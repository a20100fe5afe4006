#include "disk/tie_breaker_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>
#include <utility>

#include "disk/tie_breaker_record.hpp"

namespace vigil::disk {

namespace {

Instant now() {
  timespec time{};
  ::clock_gettime(CLOCK_BOOTTIME, &time);
  return Instant{time.tv_sec * 1'000'000'000 + time.tv_nsec};
}

// The file while it is open: its lock lasts as long.
class OpenFile {
 public:
  explicit OpenFile(const std::string& path) : path_(path) {}
  ~OpenFile() {
    if (fd_ >= 0) ::close(fd_);
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;

  // Opened anew for each use, so that what is mounted there now is what counts.
  Status open() {
    // Past the cache, which on a shared disk shows what this node read last; some file systems have no such thing.
    fd_ = ::open(path_.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK | O_DIRECT);
    if (fd_ < 0 && errno == EINVAL) fd_ = ::open(path_.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (fd_ < 0 && errno == ENOENT)
      return failed("opening", "there is no such file: mount what the nodes share, or make it once with truncate -s 8192");
    if (fd_ < 0) return failed("opening", errno);
    struct stat status{};
    if (::fstat(fd_, &status) != 0) return failed("looking at", errno);
    if (!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode))
      return failed("opening", "neither a file nor a block device");
    if (S_ISREG(status.st_mode) && static_cast<std::size_t>(status.st_size) > tie_breaker_bytes)
      return failed("reading", "longer than any tie-breaker: is it another file?");
    return {};
  }

  Status lock(short type) {
    struct flock whole{};
    whole.l_type = type;
    whole.l_whence = SEEK_SET;
    while (::fcntl(fd_, F_OFD_SETLKW, &whole) != 0)
      if (errno != EINTR) return failed("locking", errno);
    return {};
  }

  Result<LoadedTieBreaker> load(std::uint32_t cluster_id) {
    bytes_.fill(0);
    ::posix_fadvise(fd_, 0, 0, POSIX_FADV_DONTNEED);  // where O_DIRECT was refused
    for (std::size_t size = 0; size < bytes_.size();) {
      const ssize_t got = ::pread(fd_, bytes_.data() + size, bytes_.size() - size, static_cast<off_t>(size));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return failed("reading", errno).error();
      if (got == 0) break;
      size += static_cast<std::size_t>(got);
    }
    Result<LoadedTieBreaker> loaded = load_tie_breaker(cluster_id, bytes_);
    if (!loaded) return failed("reading", loaded.error().message).error();
    return loaded;
  }

  // Both slots, the first one synced before the second is touched.
  Status store(std::uint32_t cluster_id, const TieBreakerRecord& record, std::size_t first_slot) {
    encode_tie_breaker(cluster_id, record, std::span(bytes_).first<tie_breaker_slot_bytes>());
    for (const std::size_t slot : {first_slot, 1 - first_slot}) {
      const auto offset = static_cast<off_t>(slot * tie_breaker_slot_bytes);
      const ssize_t written = ::pwrite(fd_, bytes_.data(), tie_breaker_slot_bytes, offset);
      if (written < 0) return failed("writing", errno);
      if (static_cast<std::size_t>(written) != tie_breaker_slot_bytes) return failed("writing", "cut short: is the disk full?");
      if (::fdatasync(fd_) != 0) return failed("syncing", errno);
    }
    return {};
  }

  Status failed(const char* what, int code) const {
    return Error::from_errno(std::string(what) + " the tie-breaker " + path_, code);
  }
  Status failed(const char* what, const std::string& why) const {
    return Error::of(std::string(what) + " the tie-breaker " + path_ + ": " + why);
  }

 private:
  const std::string& path_;
  int fd_ = -1;
  // Aligned as O_DIRECT wants it.
  alignas(tie_breaker_slot_bytes) std::array<std::uint8_t, tie_breaker_bytes> bytes_{};
};

}  // namespace

Result<Epoch> TieBreakerFile::read() {
  OpenFile file(path_);
  if (const Status opened = file.open(); !opened) return opened.error();
  Result<LoadedTieBreaker> loaded = file.load(cluster_id_);
  if (!loaded) {
    if (const Status locked = file.lock(F_RDLCK); !locked) return locked.error();
    loaded = file.load(cluster_id_);
  }
  if (!loaded) return loaded.error();
  return loaded->record.held;
}

Result<Epoch> TieBreakerFile::win(const Epoch& epoch, const Epoch& known, Instant deadline) {
  OpenFile file(path_);
  if (const Status opened = file.open(); !opened) return opened.error();
  if (const Status locked = file.lock(F_WRLCK); !locked) return locked.error();
  const Result<LoadedTieBreaker> before = file.load(cluster_id_);
  if (!before) return before.error();
  const Epoch held = before->record.held;
  if (held == epoch || held > known) return held;
  if (now() >= deadline) return file.failed("winning", "its lock came too late").error();
  const TieBreakerRecord won{before->record.generation + 1, epoch};
  if (const Status stored = file.store(cluster_id_, won, before->first_slot); !stored) return stored.error();
  const Result<LoadedTieBreaker> after = file.load(cluster_id_);
  if (!after) return after.error();
  if (after->record.generation != won.generation || after->record.held != epoch)
    return file.failed("winning", "what was read back is not what was written: is it really shared, with locks that hold?")
        .error();
  return epoch;
}

}  // namespace vigil::disk
