#include "runtime/config/key_file.hpp"

#include <fcntl.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace vigil {

namespace {

// 64 digits, and room for the white space that editors add; one byte more than may be there.
constexpr std::size_t largest_file_bytes = 128;

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
  if (info.st_uid != owner)
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

Result<ClusterKey> load_key(const std::string& path, uid_t owner) {
  if (const Status ready = initialise_sodium(); !ready.ok()) return ready.error();
  const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (file.fd < 0) {
    const std::string tried = "open the cluster key '" + path + "'";
    if (errno == ELOOP) return Error::of(tried + ": it is a symbolic link; expected the file itself");
    return Error::from_errno(tried, errno);
  }
  if (const Status checked = check_file(file.fd, path, owner); !checked.ok()) return checked.error();
  Content content;
  if (const Status done = read_all(file.fd, path, content); !done.ok()) return done.error();
  std::array<std::uint8_t, cluster_key_bytes> key{};
  const std::string expected = "; expected 32 raw bytes or 64 hexadecimal digits";
  if (content.size == cluster_key_bytes) {
    std::memcpy(key.data(), content.bytes.data(), key.size());
  } else {
    std::size_t size = 0;
    const bool hex = content.size <= largest_file_bytes && sodium_hex2bin(key.data(), key.size(), content.bytes.data(),
                                                                          content.size, " \t\r\n", &size, nullptr) == 0;
    if (!hex || size != key.size()) {
      sodium_memzero(key.data(), key.size());
      return Error::of("cluster key '" + path + "' holds no key (" + std::to_string(content.size) + " bytes)" +
                       expected);
    }
  }
  const bool all_zero = sodium_is_zero(key.data(), key.size()) == 1;
  Result<ClusterKey> loaded = ClusterKey::from_bytes(key);
  sodium_memzero(key.data(), key.size());
  if (all_zero) return Error::of("cluster key '" + path + "' is all zeros; make a random one");
  return loaded;
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
