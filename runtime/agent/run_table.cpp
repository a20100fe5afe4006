#include "runtime/agent/run_table.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <utility>

namespace vigil::agent {

namespace {

// Reserved by the agent, not yet taken by the new process: nobody's process id.
constexpr std::int32_t reserved = -1;

std::string hex(std::uint64_t number) {
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(number));
  return text;
}

Result<std::uint64_t> draw_life() {
  std::uint64_t life = 0;
  if (::getrandom(&life, sizeof life, 0) == static_cast<ssize_t>(sizeof life)) return life;
  return Error::from_errno("drawing a number for the table of running commands (getrandom)", errno);
}

}  // namespace

RunTable::RunTable(RunTable&& other) noexcept
    : fd_(std::move(other.fd_)), shared_(std::exchange(other.shared_, nullptr)), path_(std::move(other.path_)) {}

RunTable& RunTable::operator=(RunTable&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(shared_, other.shared_);
  std::swap(path_, other.path_);
  return *this;
}

RunTable::~RunTable() {
  if (shared_ != nullptr) ::munmap(shared_, sizeof(Shared));
}

Result<RunTable> RunTable::create(const std::string& directory) {
  const Result<std::uint64_t> life = draw_life();
  if (!life) return life.error();
  if (::mkdir(directory.c_str(), 0750) != 0 && errno != EEXIST)
    return Error::from_errno("making the state directory " + directory, errno);
  const std::string path = directory + "/" + std::string(file_prefix) + hex(*life);
  OwnedFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd.valid()) return Error::from_errno("creating the table of running commands " + path, errno);
  // All of it now: a full disk that is found later is a signal, not an error.
  int code = ::flock(fd.get(), LOCK_EX | LOCK_NB) != 0 ? errno : 0;
  if (code == 0) code = ::posix_fallocate(fd.get(), 0, sizeof(Shared));
  Result<RunTable> table = Error::from_errno("reserving the table of running commands " + path, code);
  if (code == 0) table = attach(std::move(fd));
  if (!table) {
    ::unlink(path.c_str());
    return table;
  }
  table->path_ = path;
  table->shared_->life = *life;
  return table;
}

Result<RunTable> RunTable::create_in_memory() {
  const Result<std::uint64_t> life = draw_life();
  if (!life) return life.error();
  OwnedFd fd(::memfd_create("vigil-runs", MFD_CLOEXEC));
  if (!fd.valid()) return Error::from_errno("creating the table of running commands (memfd_create)", errno);
  if (::ftruncate(fd.get(), sizeof(Shared)) != 0)
    return Error::from_errno("sizing the table of running commands (ftruncate)", errno);
  Result<RunTable> table = attach(std::move(fd));
  if (table) table->shared_->life = *life;
  return table;
}

Result<RunTable> RunTable::attach(OwnedFd fd) {
  struct stat facts {};
  if (::fstat(fd.get(), &facts) != 0 || facts.st_size != static_cast<off_t>(sizeof(Shared)))
    return Error::of(
        "mapping the table of running commands: the descriptor is not such a table; start vigil-agent "
        "through vigild of the same release");
  void* memory = ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (memory == MAP_FAILED) return Error::from_errno("mapping the table of running commands (mmap)", errno);
  RunTable table;
  table.fd_ = std::move(fd);
  // Fresh memory is zero, and zero is a free slot of lock-free atomics.
  table.shared_ = static_cast<Shared*>(memory);
  return table;
}

std::string RunTable::mark_of(std::uint32_t session, std::uint32_t number) const {
  return hex(shared_->life) + "." + std::to_string(session) + "." + std::to_string(number);
}

RunTable::Slot* RunTable::reserve(std::uint32_t session, std::uint32_t number) {
  for (Slot& slot : slots()) {
    if (slot.leader.load() != 0) continue;
    slot.session.store(session);
    slot.number.store(number);
    slot.leader.store(reserved);
    return &slot;
  }
  return nullptr;
}

void RunTable::release(Slot& slot) { slot.leader.store(0); }

void RunTable::remove_file() {
  if (!path_.empty()) ::unlink(path_.c_str());
  path_.clear();
}

}  // namespace vigil::agent
