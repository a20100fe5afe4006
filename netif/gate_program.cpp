#include "netif/gate_program.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/pkt_cls.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>

// The compiled netif/bpf/gate.bpf.c, put into this program by the build.
extern "C" {
extern const unsigned char vigil_gate_object[];
extern const unsigned char vigil_gate_object_end[];
}

namespace vigil::netif {
namespace {

// libbpf reports through one callback a process, and says why only there. While a program is being
// loaded the last complaint is kept for our own error; at all other times it is silent.
thread_local BoundedString<255>* complaint = nullptr;

int keep_complaint(libbpf_print_level level, const char* format, va_list arguments) {
  if (complaint == nullptr || level != LIBBPF_WARN) return 0;
  char text[256];
  const int length = std::vsnprintf(text, sizeof text, format, arguments);
  std::string_view line(text, length < 0 ? 0 : std::min(static_cast<std::size_t>(length), sizeof text - 1));
  while (line.ends_with('\n')) line.remove_suffix(1);
  if (!line.empty() && complaint->empty()) complaint->assign(line);  // the first is the cause
  return 0;
}

class KeepComplaint {
 public:
  KeepComplaint() : previous_(libbpf_set_print(keep_complaint)) { complaint = &text_; }
  ~KeepComplaint() {
    complaint = nullptr;
    libbpf_set_print(previous_);
  }
  KeepComplaint(const KeepComplaint&) = delete;
  KeepComplaint& operator=(const KeepComplaint&) = delete;

  Error error(const char* tried) const {
    const int code = errno;
    Error result = Error::from_errno(tried, code);
    if (!text_.empty()) result.message += " (" + text_.str() + ")";
    if (code == EPERM) result.message += "; run as root, or with CAP_BPF and CAP_NET_ADMIN";
    return result;
  }

 private:
  BoundedString<255> text_;
  libbpf_print_fn_t previous_;
};

std::size_t whole_pages(std::size_t bytes) {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return (bytes + page - 1) / page * page;
}

static_assert(sizeof(vigil_gate_entry) == 64);
static_assert(offsetof(vigil_gate_entry, lease_until_ns) == 0);
static_assert(sizeof(vigil_gate_drops) % 8 == 0, "the kernel rounds array values up to eight bytes");
static_assert(VIGIL_GATE_SLOTS == limits::max_addresses);

constexpr const char* program_names[2][2] = {{"vigil_gate_in", "vigil_gate_in3"},
                                             {"vigil_gate_out", "vigil_gate_out3"}};

}  // namespace

void GateProgram::CloseObject::operator()(bpf_object* object) const { bpf_object__close(object); }

void GateProgram::Unmap::operator()(void* memory) const { ::munmap(memory, bytes); }

template <typename T>
Status GateProgram::map_array(const char* name, Mapped<T>& memory) {
  const int fd = bpf_object__find_map_fd_by_name(object_.get(), name);
  if (fd < 0) return Error::of(std::string("the lease gate's object has no map ") + name + "; rebuild Vigil");
  const std::size_t bytes = whole_pages(sizeof(T) * VIGIL_GATE_SLOTS);
  void* mapped = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
  if (mapped == MAP_FAILED) return Error::from_errno(std::string("mapping the lease gate's ") + name, errno);
  memory = Mapped<T>(static_cast<T*>(mapped), Unmap{bytes});
  return {};
}

Status GateProgram::find_programs() {
  for (std::size_t direction = 0; direction < 2; ++direction) {
    for (std::size_t layer = 0; layer < 2; ++layer) {
      LoadedProgram& loaded = programs_[direction][layer];
      loaded.name.assign(program_names[direction][layer]);
      const bpf_program* program = bpf_object__find_program_by_name(object_.get(), loaded.name.c_str());
      if (program == nullptr)
        return Error::of("the lease gate's object has no program " + loaded.name.str() + "; rebuild Vigil");
      loaded.fd = bpf_program__fd(program);
      bpf_prog_info info{};
      std::uint32_t size = sizeof info;
      if (bpf_obj_get_info_by_fd(loaded.fd, &info, &size) != 0)
        return Error::from_errno("asking the kernel for the id of " + loaded.name.str(), errno);
      loaded.id = info.id;
    }
  }
  return {};
}

Result<GateProgram> GateProgram::load() {
  const KeepComplaint said;
  GateProgram result;
  LIBBPF_OPTS(bpf_object_open_opts, options, .object_name = "vigil_gate");
  const auto size = static_cast<std::size_t>(vigil_gate_object_end - vigil_gate_object);
  result.object_.reset(bpf_object__open_mem(vigil_gate_object, size, &options));
  if (!result.object_) return said.error("reading the lease gate's program");
  if (bpf_object__load(result.object_.get()) != 0)
    return said.error("loading the lease gate's program into the kernel");
  result.index_fd_ = bpf_object__find_map_fd_by_name(result.object_.get(), "vigil_index");
  if (result.index_fd_ < 0) return Error::of("the lease gate's object has no map vigil_index; rebuild Vigil");
  Status done = result.find_programs();
  if (done) done = result.map_array("vigil_leases", result.leases_);
  if (done) done = result.map_array("vigil_drops", result.drops_);
  if (!done) return done.error();
  return result;
}

Status GateProgram::insert(const vigil_gate_key& key, const vigil_gate_reference& reference) {
  if (bpf_map_update_elem(index_fd_, &key, &reference, BPF_ANY) == 0) return {};
  return Error::from_errno("entering an address into the lease gate's index", errno);
}

Status GateProgram::erase(const vigil_gate_key& key) {
  if (bpf_map_delete_elem(index_fd_, &key) == 0 || errno == ENOENT) return {};
  return Error::from_errno("taking an address out of the lease gate's index", errno);
}

Result<bool> GateProgram::would_drop(std::span<const std::uint8_t> frame, Direction direction) const {
  LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = frame.data(), .data_size_in = static_cast<std::uint32_t>(frame.size()),
              .repeat = 1);
  if (bpf_prog_test_run_opts(program(direction, LinkLayer::ethernet).fd, &run) != 0)
    return Error::from_errno("running the lease gate's program on a trial frame", errno);
  const auto verdict = static_cast<int>(run.retval);
  if (verdict != TC_ACT_SHOT && verdict != TC_ACT_UNSPEC)
    return Error::of("the lease gate's program answered " + std::to_string(verdict) +
                     ", which is neither drop nor pass");
  return verdict == TC_ACT_SHOT;
}

}  // namespace vigil::netif
