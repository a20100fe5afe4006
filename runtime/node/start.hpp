// What the mains of vigild and vigil-arbiter need to know of the machine before they start.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "runtime/base/result.hpp"

namespace vigil {

// Without its domain.
std::string host_name();
// 64 bits of the kernel's boot id, or of the synthetic one given for namespaces that share a kernel.
Result<std::uint64_t> boot_id_of(const std::string& given);
Status make_directory(const std::string& path, mode_t mode);
// No core file and no debugger but root's, since the process holds keys; the libraries' first use, which allocates.
Status prepare_process();

}  // namespace vigil
