// The lease gate's kernel side as an object: the BPF programs of netif/bpf/gate.bpf.c, loaded, with
// their maps mapped into this process. It decides nothing: Gate fills the maps, GateFilters puts the
// programs on interfaces.
//
// The kernel keeps programs and maps for as long as a filter uses them, whether this process lives or not.
#pragma once

#include <memory>
#include <span>

#include "netif/bpf/gate_map.h"
#include "netif/types.hpp"
#include "runtime/base/result.hpp"

struct bpf_object;

namespace vigil::netif {

enum class Direction : std::uint8_t { ingress, egress };
inline constexpr std::array<Direction, 2> both_directions = {Direction::ingress, Direction::egress};

// What stands before the network header on a device.
enum class LinkLayer : std::uint8_t { ethernet, bare };

// Every program's name, and so every filter's, begins with this.
inline constexpr std::string_view gate_program_prefix = "vigil_gate";

struct LoadedProgram {
  int fd = -1;
  std::uint32_t id = 0;
  BoundedString<15> name;
};

class GateProgram {
 public:
  // Loads the programs into the kernel and maps the lease memory. Needs root (CAP_BPF and CAP_NET_ADMIN).
  static Result<GateProgram> load();

  const LoadedProgram& program(Direction direction, LinkLayer layer) const {
    return programs_[static_cast<std::size_t>(direction)][static_cast<std::size_t>(layer)];
  }

  // From now on packets of `key` are judged by the entry of `reference`. One system call.
  Status insert(const vigil_gate_key& key, const vigil_gate_reference& reference);
  // Packets of `key` are judged no more; a key that is not there is success.
  Status erase(const vigil_gate_key& key);

  vigil_gate_entry& entry(std::uint32_t slot) { return leases_.get()[slot]; }
  const vigil_gate_entry& entry(std::uint32_t slot) const { return leases_.get()[slot]; }
  vigil_gate_drops& drops(std::uint32_t slot) { return drops_.get()[slot]; }
  const vigil_gate_drops& drops(std::uint32_t slot) const { return drops_.get()[slot]; }

  // Runs the program on one frame, without any interface: true when it would be dropped.
  Result<bool> would_drop(std::span<const std::uint8_t> frame, Direction direction) const;

 private:
  struct CloseObject {
    void operator()(bpf_object* object) const;
  };
  struct Unmap {
    std::size_t bytes;
    void operator()(void* memory) const;
  };
  template <typename T>
  using Mapped = std::unique_ptr<T, Unmap>;
  template <typename T>
  Status map_array(const char* name, Mapped<T>& memory);
  Status find_programs();

  std::unique_ptr<bpf_object, CloseObject> object_;
  std::array<std::array<LoadedProgram, 2>, 2> programs_;
  int index_fd_ = -1;  // owned by object_
  Mapped<vigil_gate_entry> leases_;
  Mapped<vigil_gate_drops> drops_;
};

}  // namespace vigil::netif
