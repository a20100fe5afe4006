// The cluster's shared key: 32 bytes that authenticate every frame. Whoever reads it can speak for
// any node, so a file that others than root can read is refused, and the bytes stay in locked memory
// that is zeroed when the key goes.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "runtime/base/result.hpp"

namespace vigil {

inline constexpr std::size_t cluster_key_bytes = 32;

// Moves, is never copied. The memory comes from libsodium: locked, kept out of core dumps, between
// guard pages, zeroed when freed.
class ClusterKey {
 public:
  using Bytes = std::span<const std::uint8_t, cluster_key_bytes>;

  // Copies the bytes; the caller wipes its own copy.
  static Result<ClusterKey> from_bytes(Bytes bytes);

  ClusterKey(ClusterKey&& other) noexcept;
  ClusterKey& operator=(ClusterKey&& other) noexcept;
  ClusterKey(const ClusterKey&) = delete;
  ClusterKey& operator=(const ClusterKey&) = delete;
  ~ClusterKey();

  Bytes bytes() const;

 private:
  explicit ClusterKey(std::uint8_t* memory) : memory_(memory) {}
  std::uint8_t* memory_;
};

// Reads a key of 32 raw bytes or 64 hexadecimal digits (white space around them is allowed). The file
// must be a regular file, no symbolic link, owned by `owner`, and closed to group and others.
Result<ClusterKey> load_key(const std::string& path, uid_t owner = 0);

// Makes a new random key as 64 hexadecimal digits, mode 0600, on stable storage before it returns.
// Never replaces a file.
Status generate_key(const std::string& path);

}  // namespace vigil
