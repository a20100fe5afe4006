#include "runtime/config/key_file.hpp"

#include <fcntl.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <string_view>
#include <utility>

namespace vigil {

namespace {

// Every key that a set holds, and room for the white space that editors add.
constexpr std::size_t largest_file_bytes = KeySet::text_bytes_max + 64;

struct Descriptor {
  int fd;
  explicit Descriptor(int value) : fd(value) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd >= 0) close(fd);
  }
};

// File content that is wiped on every way out.
struct Content {
  std::array<char, largest_file_bytes + 1> bytes{};
  std::size_t size = 0;
  ~Content() { sodium_memzero(bytes.data(), bytes.size()); }
};

Status check_file(int fd, const std::string& path, uid_t owner) {
  struct stat info {};
  if (fstat(fd, &info) != 0) return Error::from_errno("examine the cluster key '" + path + "'", errno);
  if (!S_ISREG(info.st_mode))
    return Error::of("cluster key '" + path +
                     "' is no regular file; expected one of 32 bytes or 64 hexadecimal digits");
  if (info.st_uid != owner && info.st_uid != 0)
    return Error::of("cluster key '" + path + "' belongs to user " + std::to_string(info.st_uid) + ", not to user " +
                     std::to_string(owner) + "; run: chown " + std::to_string(owner) + " '" + path + "'");
  if ((info.st_mode & 0177) != 0) {
    std::array<char, 8> mode{};
    for (int i = 0; i < 4; ++i)
      mode[static_cast<std::size_t>(i)] = static_cast<char>('0' + ((info.st_mode >> (9 - 3 * i)) & 7));
    return Error::of("cluster key '" + path + "' has mode " + mode.data() + ", wider than 0600; run: chmod 600 '" +
                     path + "'");
  }
  return {};
}

Status read_all(int fd, const std::string& path, Content& content) {
  while (content.size < content.bytes.size()) {
    const ssize_t got = read(fd, content.bytes.data() + content.size, content.bytes.size() - content.size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Error::from_errno("read the cluster key '" + path + "'", errno);
    if (got == 0) return {};
    content.size += static_cast<std::size_t>(got);
  }
  return {};
}

Status write_all(int fd, const char* data, std::size_t size, const std::string& path) {
  while (size > 0) {
    const ssize_t put = write(fd, data, size);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return Error::from_errno("write the cluster key '" + path + "'", errno);
    data += put;
    size -= static_cast<std::size_t>(put);
  }
  return {};
}

Status initialise_sodium() {
  if (sodium_init() < 0) return Error::of("initialise libsodium: no source of randomness; check /dev/urandom");
  return {};
}

}  // namespace

Result<ClusterKey> ClusterKey::from_bytes(Bytes bytes) {
  if (const Status ready = initialise_sodium(); !ready.ok()) return ready.error();
  auto* memory = static_cast<std::uint8_t*>(sodium_malloc(cluster_key_bytes));
  if (memory == nullptr) return Error::from_errno("allocate protected memory for the cluster key", errno);
  std::memcpy(memory, bytes.data(), cluster_key_bytes);
  // sodium_malloc locks what it can; a refused lock (RLIMIT_MEMLOCK) must not pass in silence.
  if (sodium_mlock(memory, cluster_key_bytes) != 0) {
    const int code = errno;
    sodium_free(memory);
    return Error::from_errno("lock the cluster key in memory (raise RLIMIT_MEMLOCK: ulimit -l)", code);
  }
  return ClusterKey(memory);
}

ClusterKey::ClusterKey(ClusterKey&& other) noexcept : memory_(std::exchange(other.memory_, nullptr)) {}

ClusterKey& ClusterKey::operator=(ClusterKey&& other) noexcept {
  std::swap(memory_, other.memory_);
  return *this;
}

ClusterKey::~ClusterKey() { sodium_free(memory_); }

ClusterKey::Bytes ClusterKey::bytes() const {
  VIGIL_ASSERT(memory_ != nullptr);
  return Bytes(memory_, cluster_key_bytes);
}

// ---- One key or several -----------------------------------------------------------------------------

namespace {

struct KeyBytes {
  std::array<std::uint8_t, cluster_key_bytes> bytes{};
  ~KeyBytes() { sodium_memzero(bytes.data(), bytes.size()); }
};

constexpr std::string_view header_line = "vigil keys";
constexpr std::string_view active_word = " active";

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view space = " \t\r\n";
  const std::size_t from = text.find_first_not_of(space);
  if (from == std::string_view::npos) return {};
  return text.substr(from, text.find_last_not_of(space) - from + 1);
}

bool from_hex(std::string_view digits, KeyBytes& key) {
  std::size_t size = 0;
  return digits.size() == 2 * cluster_key_bytes &&
         sodium_hex2bin(key.bytes.data(), key.bytes.size(), digits.data(), digits.size(), nullptr, &size, nullptr) == 0 &&
         size == key.bytes.size();
}

// "ID HEX[ active]".
bool read_line(std::string_view line, std::uint8_t& id, KeyBytes& key, bool& active) {
  active = line.ends_with(active_word);
  if (active) line.remove_suffix(active_word.size());
  unsigned value = 0;
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), value);
  if (error != std::errc{} || value == 0 || value > 255) return false;
  id = static_cast<std::uint8_t>(value);
  line.remove_prefix(static_cast<std::size_t>(end - line.data()));
  return line.starts_with(' ') && from_hex(line.substr(1), key);
}

Status read_lines(std::string_view text, const std::string& label, KeySet& keys) {
  unsigned actives = 0;
  for (unsigned number = 2; !text.empty(); ++number) {
    const std::size_t end = text.find('\n');
    const std::string_view line = trimmed(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.empty()) continue;
    std::uint8_t id = 0;
    KeyBytes key;
    bool active = false;
    const std::string place = "cluster key '" + label + "', line " + std::to_string(number) + ": ";
    if (!read_line(line, id, key, active))
      return Error::of(place + "expected 'ID HEXADECIMAL' or 'ID HEXADECIMAL active', an id of 1 to 255, 64 digits");
    if (const Status added = keys.add(id, key.bytes); !added) return Error::of(place + added.error().message);
    if (active) {
      keys.activate(id);
      ++actives;
    }
  }
  if (actives == 1) return {};
  return Error::of("cluster key '" + label + "': one of its keys must be marked active, and " + std::to_string(actives) +
                   " are");
}

}  // namespace

const ClusterKey* KeySet::find(std::uint8_t id) const {
  for (const std::optional<Entry>& entry : entries_)
    if (entry && entry->id == id) return &entry->key;
  return nullptr;
}

Status KeySet::add(std::uint8_t id, ClusterKey::Bytes bytes) {
  VIGIL_ASSERT(id != 0);
  std::optional<Entry>* room = nullptr;
  for (std::optional<Entry>& entry : entries_) {
    if (!entry && room == nullptr) room = &entry;
    if (entry && entry->id == id) return Error::of("key " + std::to_string(id) + " is there already");
    if (entry && sodium_memcmp(entry->key.bytes().data(), bytes.data(), bytes.size()) == 0)
      return Error::of("it is the same key as key " + std::to_string(entry->id));
  }
  if (room == nullptr) return Error::of("there are more than " + std::to_string(capacity) + " keys");
  if (sodium_is_zero(bytes.data(), bytes.size()) == 1) return Error::of("the key is all zeros; make a random one");
  Result<ClusterKey> key = ClusterKey::from_bytes(bytes);
  if (!key) return key.error();
  room->emplace(Entry{id, std::move(key).value()});
  if (active_ == 0) active_ = id;
  return {};
}

void KeySet::remove(std::uint8_t id) {
  VIGIL_ASSERT(id != active_);
  for (std::optional<Entry>& entry : entries_)
    if (entry && entry->id == id) entry.reset();
}

void KeySet::activate(std::uint8_t id) {
  VIGIL_ASSERT(has(id));
  active_ = id;
}

std::size_t KeySet::write(std::span<char> text) const {
  VIGIL_ASSERT(text.size() >= text_bytes_max);
  std::size_t size = 0;
  const auto put = [&](std::string_view part) {
    std::memcpy(text.data() + size, part.data(), part.size());
    size += part.size();
  };
  put(header_line);
  put("\n");
  each([&](std::uint8_t id, const ClusterKey& key) {
    char number[4];
    put({number, static_cast<std::size_t>(std::to_chars(number, number + sizeof number, id).ptr - number)});
    put(" ");
    std::array<char, 2 * cluster_key_bytes + 1> hex;
    put(sodium_bin2hex(hex.data(), hex.size(), key.bytes().data(), cluster_key_bytes));
    sodium_memzero(hex.data(), hex.size());
    if (id == active_) put(active_word);
    put("\n");
  });
  return size;
}

std::uint64_t fingerprint(std::uint8_t id, ClusterKey::Bytes bytes) {
  static_assert(cluster_key_bytes == crypto_kdf_KEYBYTES);
  std::array<std::uint8_t, crypto_kdf_BYTES_MIN> derived{};
  crypto_kdf_derive_from_key(derived.data(), derived.size(), id, "vigilprt", bytes.data());
  std::uint64_t print = 0;
  std::memcpy(&print, derived.data(), sizeof print);
  return print;
}

Result<KeySet> parse_keys(std::span<const char> content, const std::string& label) {
  if (const Status ready = initialise_sodium(); !ready.ok()) return ready.error();
  const std::string_view text(content.data(), content.size());
  KeySet keys;
  if (text.starts_with(header_line)) {
    const std::size_t end = text.find('\n');
    if (trimmed(text.substr(0, end)) == header_line && end != std::string_view::npos) {
      if (const Status read = read_lines(text.substr(end + 1), label, keys); !read) return read.error();
      return keys;
    }
  }
  KeyBytes key;
  if (content.size() == cluster_key_bytes)
    std::memcpy(key.bytes.data(), content.data(), key.bytes.size());
  else if (!from_hex(trimmed(text), key))
    return Error::of("cluster key '" + label + "' holds no key (" + std::to_string(content.size()) +
                     " bytes); expected 32 raw bytes or 64 hexadecimal digits");
  if (const Status added = keys.add(1, key.bytes); !added)
    return Error::of("cluster key '" + label + "': " + added.error().message);
  return keys;
}

Result<KeySet> load_keys(const std::string& path, uid_t owner) {
  const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (file.fd < 0) {
    const std::string tried = "open the cluster key '" + path + "'";
    if (errno == ELOOP) return Error::of(tried + ": it is a symbolic link; expected the file itself");
    return Error::from_errno(tried, errno);
  }
  if (const Status checked = check_file(file.fd, path, owner); !checked.ok()) return checked.error();
  Content content;
  if (const Status done = read_all(file.fd, path, content); !done.ok()) return done.error();
  return parse_keys({content.bytes.data(), content.size}, path);
}

Result<ClusterKey> load_key(const std::string& path, uid_t owner) {
  Result<KeySet> keys = load_keys(path, owner);
  if (!keys) return keys.error();
  return ClusterKey::from_bytes(keys->find(keys->active())->bytes());
}

Status replace_key_file(const std::string& path, std::span<const char> content) {
  const std::string fresh = path + ".new";
  unlink(fresh.c_str());  // of an attempt that a power cut ended
  const Descriptor file(open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (file.fd < 0) return Error::from_errno("make '" + fresh + "', which is to become the cluster key", errno);
  Status written = write_all(file.fd, content.data(), content.size(), fresh);
  if (written.ok() && fsync(file.fd) != 0) written = Error::from_errno("store '" + fresh + "'", errno);
  if (written.ok() && rename(fresh.c_str(), path.c_str()) != 0)
    written = Error::from_errno("rename '" + fresh + "' to '" + path + "'", errno);
  if (!written.ok()) {
    unlink(fresh.c_str());
    return written;
  }
  const std::size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const Descriptor parent(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (parent.fd < 0 || fsync(parent.fd) != 0) return Error::from_errno("store the name of '" + path + "'", errno);
  return {};
}

Status generate_key(const std::string& path) {
  if (const Status ready = initialise_sodium(); !ready.ok()) return ready.error();
  const Descriptor file(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (file.fd < 0) {
    const std::string tried = "make the cluster key '" + path + "'";
    if (errno == EEXIST)
      return Error::of(tried + ": it exists already; remove it first if every node gets the new one");
    return Error::from_errno(tried, errno);
  }
  std::array<std::uint8_t, cluster_key_bytes> key{};
  std::array<char, cluster_key_bytes * 2 + 1> text{};
  randombytes_buf(key.data(), key.size());
  sodium_bin2hex(text.data(), text.size(), key.data(), key.size());
  text.back() = '\n';
  Status written = write_all(file.fd, text.data(), text.size(), path);
  sodium_memzero(key.data(), key.size());
  sodium_memzero(text.data(), text.size());
  if (written.ok() && fsync(file.fd) != 0) written = Error::from_errno("store the cluster key '" + path + "'", errno);
  if (!written.ok()) unlink(path.c_str());
  return written;
}

}  // namespace vigil
