// Keys are read in both forms, refused when others could read them, and never overwritten.
#include "runtime/config/key_file.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <utility>

#include "tests/unit/cmocka.hpp"

namespace {

using namespace vigil;

struct Directory {
  std::string path;
  Directory() {
    char name[] = "/tmp/vigil-key-test-XXXXXX";
    path = mkdtemp(name) == nullptr ? "" : name;
  }
  ~Directory() {
    for (const char* file : {"/key", "/link"}) unlink((path + file).c_str());
    rmdir(path.c_str());
  }
};

// What load_key() says about a file with this content and mode.
std::string outcome(const std::string& content, mode_t mode, uid_t owner) {
  const Directory directory;
  const std::string path = directory.path + "/key";
  std::ofstream(path, std::ios::binary) << content;
  chmod(path.c_str(), mode);
  const Result<ClusterKey> key = load_key(path, owner);
  if (key.ok()) return "ok " + std::to_string(key.value().bytes()[0]) + " " + std::to_string(key.value().bytes()[31]);
  std::string message = key.error().message;
  for (std::size_t at = message.find(path); at != std::string::npos; at = message.find(path))
    message.replace(at, path.size(), "K");
  return message;
}

const std::string hex = "0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1fff";

void both_forms_are_read(void**) {
  std::string raw(32, 'x');
  raw[0] = 9;
  raw[31] = 7;
  const uid_t me = geteuid();
  assert_string_equal(outcome(raw, 0600, me).c_str(), "ok 9 7");
  assert_string_equal(outcome(hex, 0600, me).c_str(), "ok 1 255");
  assert_string_equal(outcome(hex + "\n", 0400, me).c_str(), "ok 1 255");
}

void everything_else_is_refused(void**) {
  const uid_t me = geteuid();
  const std::string no_key = "cluster key 'K' holds no key (";
  const std::string expected = " bytes); expected 32 raw bytes or 64 hexadecimal digits";
  assert_string_equal(outcome(hex, 0640, me).c_str(),
                      "cluster key 'K' has mode 0640, wider than 0600; run: chmod 600 'K'");
  assert_string_equal(outcome(hex, 0604, me).c_str(),
                      "cluster key 'K' has mode 0604, wider than 0600; run: chmod 600 'K'");
  const std::string foreign = "cluster key 'K' belongs to user " + std::to_string(me) + ", not to user " +
                              std::to_string(me + 1) + "; run: chown " + std::to_string(me + 1) + " 'K'";
  assert_string_equal(outcome(hex, 0600, me + 1).c_str(), foreign.c_str());
  assert_string_equal(outcome("", 0600, me).c_str(), (no_key + "0" + expected).c_str());
  assert_string_equal(outcome(hex.substr(1), 0600, me).c_str(), (no_key + "63" + expected).c_str());
  assert_string_equal(outcome(hex + "00", 0600, me).c_str(), (no_key + "66" + expected).c_str());
  assert_string_equal(outcome(std::string(4096, '1'), 0600, me).c_str(), (no_key + "129" + expected).c_str());
  assert_string_equal(outcome(std::string(32, '\0'), 0600, me).c_str(),
                      "cluster key 'K' is all zeros; make a random one");
}

void a_symbolic_link_is_refused(void**) {
  const Directory directory;
  std::ofstream(directory.path + "/key") << hex;
  chmod((directory.path + "/key").c_str(), 0600);
  assert_int_equal(symlink("key", (directory.path + "/link").c_str()), 0);
  const Result<ClusterKey> key = load_key(directory.path + "/link", geteuid());
  assert_false(key.ok());
  assert_non_null(strstr(key.error().message.c_str(), "it is a symbolic link"));
}

void a_new_key_is_private_random_and_never_replaced(void**) {
  const Directory directory;
  const std::string path = directory.path + "/key";
  assert_true(generate_key(path).ok());
  struct stat info {};
  assert_int_equal(stat(path.c_str(), &info), 0);
  assert_int_equal(info.st_mode & 07777, 0600);
  const Result<ClusterKey> first = load_key(path, geteuid());
  assert_true(first.ok());
  const Status again = generate_key(path);
  assert_false(again.ok());
  assert_non_null(strstr(again.error().message.c_str(), "it exists already"));
  unlink(path.c_str());
  assert_true(generate_key(path).ok());
  const Result<ClusterKey> second = load_key(path, geteuid());
  assert_true(second.ok());
  assert_memory_not_equal(first.value().bytes().data(), second.value().bytes().data(), cluster_key_bytes);
}

void a_key_moves(void**) {
  std::array<std::uint8_t, cluster_key_bytes> bytes{};
  bytes.fill(5);
  Result<ClusterKey> made = ClusterKey::from_bytes(bytes);
  assert_true(made.ok());
  ClusterKey moved = std::move(made).value();
  ClusterKey again = std::move(moved);
  assert_int_equal(again.bytes()[17], 5);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(both_forms_are_read),
      cmocka_unit_test(everything_else_is_refused),
      cmocka_unit_test(a_symbolic_link_is_refused),
      cmocka_unit_test(a_new_key_is_private_random_and_never_replaced),
      cmocka_unit_test(a_key_moves),
  };
  return cmocka_run_group_tests_name("config/key_file", tests, nullptr, nullptr);
}
