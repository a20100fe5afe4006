#include "runtime/node/start.hpp"

#include <sodium.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>

namespace vigil {

std::string host_name() {
  char name[256] = {};
  ::gethostname(name, sizeof name - 1);
  std::string text(name);
  return text.substr(0, text.find('.'));
}

Result<std::uint64_t> boot_id_of(const std::string& given) {
  std::string text = given;
  if (text.empty()) {
    std::ifstream file("/proc/sys/kernel/random/boot_id");
    if (!std::getline(file, text)) return Error::of("read /proc/sys/kernel/random/boot_id: cannot; give --boot-id");
  }
  std::array<unsigned char, crypto_generichash_BYTES_MIN> digest{};
  crypto_generichash(digest.data(), digest.size(), reinterpret_cast<const unsigned char*>(text.data()), text.size(),
                     nullptr, 0);
  std::uint64_t id = 0;
  std::memcpy(&id, digest.data(), sizeof id);
  return id;
}

Status make_directory(const std::string& path, mode_t mode) {
  if (::mkdir(path.c_str(), mode) == 0 || errno == EEXIST) return {};
  return Error::from_errno("make the directory " + path, errno);
}

Status prepare_process() {
  if (::prctl(PR_SET_DUMPABLE, 0) != 0) return Error::of("cannot switch core files off (prctl PR_SET_DUMPABLE)");
  if (sodium_init() < 0) return Error::of("libsodium cannot be initialised");
  return {};
}

}  // namespace vigil
