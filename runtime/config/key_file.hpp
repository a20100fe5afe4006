// The cluster's shared key: 32 bytes that authenticate every frame. Whoever reads it can speak for
// any node, so a file that others than root can read is refused, and the bytes stay in locked memory
// that is zeroed when the key goes.
//
// A file holds one key as 32 raw bytes or 64 hexadecimal digits (that is key 1), or, once it was rotated, lines:
//
//     vigil keys
//     ID HEXADECIMAL active      the one that is sent under
//     ID HEXADECIMAL             accepted too, while a rotation is under way
//
// Rotation replaces the file as a whole: what a power cut leaves is the old file or the new one.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "runtime/base/bounded.hpp"
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

// The keys of a file by their ids, 1 … 255, one of them active.
class KeySet {
 public:
  static constexpr std::size_t capacity = 4;
  static constexpr std::size_t text_bytes_max = 12 + capacity * (4 + 2 * cluster_key_bytes + 8);

  // The first one added is active. Fails when the id or the bytes are held already, or it is full.
  Status add(std::uint8_t id, ClusterKey::Bytes bytes);
  void remove(std::uint8_t id);        // not the active one
  void activate(std::uint8_t id);      // one that is held
  bool has(std::uint8_t id) const { return find(id) != nullptr; }
  const ClusterKey* find(std::uint8_t id) const;
  std::uint8_t active() const { return active_; }
  template <typename Visit>
  void each(Visit visit) const {
    for (const std::optional<Entry>& entry : entries_)
      if (entry) visit(entry->id, entry->key);
  }
  // What the file says; `text` has room for text_bytes_max and is the caller's to wipe. Returns the length.
  std::size_t write(std::span<char> text) const;

 private:
  struct Entry {
    std::uint8_t id;
    ClusterKey key;
  };
  std::array<std::optional<Entry>, capacity> entries_;
  std::uint8_t active_ = 0;
};

// Tells keys apart without telling them: 64 bits derived from it, one way.
std::uint64_t fingerprint(std::uint8_t id, ClusterKey::Bytes bytes);

// What a key file says, in any of its forms. `label` names it in errors, which never quote the content.
Result<KeySet> parse_keys(std::span<const char> content, const std::string& label);

// Reads a file that passes the checks of load_key(); root may own it, or `owner`.
Result<KeySet> load_keys(const std::string& path, uid_t owner = 0);

// Replaces the file by one with this content, mode 0600, and returns once that is on stable storage. The file
// before stays whole until then.
Status replace_key_file(const std::string& path, std::span<const char> content);

// Reads a key of 32 raw bytes or 64 hexadecimal digits (white space around them is allowed). The file
// must be a regular file, no symbolic link, owned by `owner`, and closed to group and others.
Result<ClusterKey> load_key(const std::string& path, uid_t owner = 0);

// Makes a new random key as 64 hexadecimal digits, mode 0600, on stable storage before it returns.
// Never replaces a file.
Status generate_key(const std::string& path);

}  // namespace vigil
