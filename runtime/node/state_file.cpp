#include "runtime/node/state_file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

namespace vigil {

namespace {

// A new file has its whole size, and its name is on stable storage, before anybody relies on it: a later write
// needs no new block, and cannot be the one that a power cut takes the name away from.
Status prepare_file(int file, const std::string& path) {
  struct stat status{};
  if (::fstat(file, &status) != 0) return Error::from_errno("look at the state file " + path, errno);
  if (status.st_size != 0) return {};
  constexpr auto size = static_cast<off_t>(wire::store_bytes);
  if (const int error = ::posix_fallocate(file, 0, size); error != 0 && ::ftruncate(file, size) != 0)
    return Error::from_errno("make room for the state file " + path + " (is the disk full?)", error);
  if (::fsync(file) != 0) return Error::from_errno("sync the state file " + path, errno);
  const std::string directory = path.substr(0, path.find_last_of('/') + 1);
  const Fd parent(::open(directory.empty() ? "." : directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!parent || ::fsync(parent.get()) != 0) return Error::from_errno("sync the directory of " + path, errno);
  return {};
}

// One life at a time: two that vote from one file could promise an epoch twice. What a killed process had under way
// in the kernel may hold its file a little longer than it lives.
Status lock(int file, const std::string& path) {
  constexpr int tries = 50;
  constexpr useconds_t pause_us = 20'000;
  for (int i = 0; i < tries; ++i) {
    if (::flock(file, LOCK_EX | LOCK_NB) == 0) return {};
    if (errno != EWOULDBLOCK && errno != EINTR) break;
    ::usleep(pause_us);
  }
  return Error::from_errno("lock the state file " + path + " (does another process run as this node? stop it, or give " +
                               "this one a --state-dir of its own)", errno);
}

}  // namespace

Result<std::unique_ptr<StateFile>> StateFile::open(const std::string& path, const wire::StoreOwner& owner) {
  std::unique_ptr<StateFile> file(new StateFile());
  file->owner_ = owner;
  file->file_ = Fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (file->file_.get() < 0) return Error::from_errno("open the state file " + path, errno);
  if (const Status locked = lock(file->file_.get(), path); !locked) return locked.error();
  if (const Status prepared = prepare_file(file->file_.get(), path); !prepared) return prepared.error();
  std::vector<std::uint8_t> bytes(wire::store_bytes + 1);
  std::size_t size = 0;
  for (;;) {
    const ssize_t got = ::pread(file->file_.get(), bytes.data() + size, bytes.size() - size, static_cast<off_t>(size));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Error::from_errno("read the state file " + path, errno);
    if (got == 0) break;
    size += static_cast<std::size_t>(got);
  }
  Result<wire::LoadedStore> loaded = wire::load_store(owner, wire::Bytes(bytes.data(), size));
  if (!loaded) return Error::of(path + ": " + loaded.error().message);
  file->generation_ = loaded->generation;
  file->other_slot_damaged_ = loaded->other_slot_damaged;
  file->stored_.epoch_ceiling = loaded->image.epoch_ceiling;
  file->stored_.accepted = loaded->image.accepted;
  file->stored_.longest_acknowledged = loaded->image.longest_acknowledged;
  return file;
}

StateFile::~StateFile() {
  if (file_ && !writing_) ::flock(file_.get(), LOCK_UN);
}

void StateFile::save(std::uint64_t token, const StoredState& state) {
  wanted_ = Wanted{token, state};
  stored_ = state;
  if (!writing_) write_next();
}

void StateFile::write_next() {
  if (!wanted_) return;
  const wire::StoredImage image{wanted_->state.epoch_ceiling, wanted_->state.longest_acknowledged,
                                wanted_->state.accepted};
  const std::uint64_t generation = generation_ + 1;
  wire::encode_slot(owner_, generation, image, slot_);
  writing_ = wanted_->token;
  wanted_.reset();
  const auto offset = wire::slot_of(generation) * wire::slot_bytes;
  const auto started = ring_->write_and_sync(file_.get(), std::as_bytes(std::span(slot_)), offset, *this);
  if (!started) on_saved(0, EIO);
}

void StateFile::on_saved(std::uint32_t, int error) {
  const std::uint64_t token = *writing_;
  writing_.reset();
  if (error == 0) ++generation_;
  listener_->on_stored(token, error == 0);
  write_next();
}

}  // namespace vigil
