#include "runtime/agent/run_table.hpp"

#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <utility>

namespace vigil::agent {

namespace {
// Reserved by the agent, not yet taken by the new process: nobody's process id.
constexpr std::int32_t reserved = -1;
}  // namespace

RunTable::RunTable(RunTable&& other) noexcept
    : fd_(std::move(other.fd_)), slots_(std::exchange(other.slots_, nullptr)) {}

RunTable& RunTable::operator=(RunTable&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(slots_, other.slots_);
  return *this;
}

RunTable::~RunTable() {
  if (slots_ != nullptr) ::munmap(slots_, sizeof(Slots));
}

Result<RunTable> RunTable::create() {
  OwnedFd fd(::memfd_create("vigil-runs", MFD_CLOEXEC));
  if (!fd.valid()) return Error::from_errno("creating the table of running commands (memfd_create)", errno);
  if (::ftruncate(fd.get(), sizeof(Slots)) != 0)
    return Error::from_errno("sizing the table of running commands (ftruncate)", errno);
  return attach(std::move(fd));
}

Result<RunTable> RunTable::attach(OwnedFd fd) {
  struct stat facts {};
  if (::fstat(fd.get(), &facts) != 0 || facts.st_size != static_cast<off_t>(sizeof(Slots)))
    return Error::of(
        "mapping the table of running commands: the descriptor is not such a table; start vigil-agent "
        "through vigild of the same release");
  void* memory = ::mmap(nullptr, sizeof(Slots), PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (memory == MAP_FAILED) return Error::from_errno("mapping the table of running commands (mmap)", errno);
  RunTable table;
  table.fd_ = std::move(fd);
  // Fresh memory is zero, and zero is a free slot of lock-free atomics.
  table.slots_ = static_cast<Slots*>(memory);
  return table;
}

RunTable::Slot* RunTable::reserve(std::uint32_t number) {
  for (Slot& slot : *slots_) {
    if (slot.leader.load() != 0) continue;
    slot.number.store(number);
    slot.leader.store(reserved);
    return &slot;
  }
  return nullptr;
}

void RunTable::release(Slot& slot) { slot.leader.store(0); }

}  // namespace vigil::agent
