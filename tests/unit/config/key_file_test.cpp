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

#include "tests/unit/directory.hpp"
#include "tests/unit/cmocka.hpp"

namespace {

using namespace vigil;
using test::Directory;

constexpr uid_t foreigner = 54321;

// What load_key() says about a file with this content and mode.
std::string outcome(const std::string& content, mode_t mode, uid_t owner) {
  const Directory directory;
  const std::string path = directory.path() + "/key";
  std::ofstream(path, std::ios::binary) << content;
  chmod(path.c_str(), mode);
  // Root may own anybody's key file; whoever else may not.
  if (owner != geteuid() && geteuid() == 0) assert_int_equal(chown(path.c_str(), foreigner, foreigner), 0);
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
  const std::string foreign = "cluster key 'K' belongs to user " + std::to_string(me == 0 ? foreigner : me) + ", not to user " +
                              std::to_string(me + 1) + "; run: chown " + std::to_string(me + 1) + " 'K'";
  assert_string_equal(outcome(hex, 0600, me + 1).c_str(), foreign.c_str());
  assert_string_equal(outcome("", 0600, me).c_str(), (no_key + "0" + expected).c_str());
  assert_string_equal(outcome(hex.substr(1), 0600, me).c_str(), (no_key + "63" + expected).c_str());
  assert_string_equal(outcome(hex + "00", 0600, me).c_str(), (no_key + "66" + expected).c_str());
  assert_string_equal(outcome(std::string(4096, '1'), 0600, me).c_str(), (no_key + "381" + expected).c_str());
  assert_string_equal(outcome(std::string(32, '\0'), 0600, me).c_str(),
                      "cluster key 'K': the key is all zeros; make a random one");
}

std::string hex_of(char digit) { return std::string(64, digit); }

std::string parsed(const std::string& text) {
  const Result<KeySet> keys = parse_keys(text, "K");
  if (!keys) return keys.error().message;
  std::string found;
  keys->each([&](std::uint8_t id, const ClusterKey& key) {
    found += std::to_string(id) + (id == keys->active() ? "*" : "") + ":" + std::to_string(key.bytes()[0]) + " ";
  });
  return found;
}

void several_keys_are_read(void**) {
  assert_string_equal(parsed(hex_of('1')).c_str(), "1*:17 ");
  assert_string_equal(parsed("vigil keys\n7 " + hex_of('2') + " active\n").c_str(), "7*:34 ");
  assert_string_equal(parsed("vigil keys\n1 " + hex_of('1') + "\n\n2 " + hex_of('2') + " active\n").c_str(), "1:17 2*:34 ");
  const std::string expected =
      "cluster key 'K', line 2: expected 'ID HEXADECIMAL' or 'ID HEXADECIMAL active', an id of 1 to 255, 64 digits";
  for (const std::string& line : {std::string("x"), "0 " + hex_of('1'), "256 " + hex_of('1'), "1" + hex_of('1'),
                                  "1 " + hex_of('1') + "1", "1 " + hex_of('g'), "-1 " + hex_of('1'),
                                  "1 " + hex_of('1') + " activ"})
    assert_string_equal(parsed("vigil keys\n" + line).c_str(), expected.c_str());
  assert_string_equal(parsed("vigil keys\n1 " + hex_of('1')).c_str(),
                      "cluster key 'K': one of its keys must be marked active, and 0 are");
  assert_string_equal(parsed("vigil keys\n").c_str(), "cluster key 'K': one of its keys must be marked active, and 0 are");
  assert_string_equal(parsed("vigil keys\n1 " + hex_of('1') + " active\n1 " + hex_of('2') + "\n").c_str(),
                      "cluster key 'K', line 3: key 1 is there already");
  assert_string_equal(parsed("vigil keys\n1 " + hex_of('1') + " active\n2 " + hex_of('1') + "\n").c_str(),
                      "cluster key 'K', line 3: it is the same key as key 1");
  std::string many = "vigil keys\n";
  for (char digit = '1'; digit <= '5'; ++digit) many += std::string(1, digit) + " " + hex_of(digit) + "\n";
  assert_string_equal(parsed(many).c_str(), "cluster key 'K', line 6: there are more than 4 keys");
}

void a_set_is_written_as_it_is_read(void**) {
  Result<KeySet> keys = parse_keys(hex, "K");
  assert_true(keys.ok());
  std::array<std::uint8_t, cluster_key_bytes> next{};
  for (const int id : {2, 200, 255}) {
    next.fill(static_cast<std::uint8_t>(id));
    assert_true(keys->add(static_cast<std::uint8_t>(id), next).ok());
  }
  keys->activate(200);
  keys->remove(1);
  std::array<char, KeySet::text_bytes_max> text;
  const std::size_t size = keys->write(text);
  assert_string_equal(parsed({text.data(), size}).c_str(), "2:2 200*:200 255:255 ");
  assert_int_not_equal(fingerprint(2, keys->find(2)->bytes()), fingerprint(200, keys->find(200)->bytes()));
}

// Whatever is there before, the file is whole and private afterwards, and nothing is left beside it.
void a_file_is_replaced_whole(void**) {
  const Directory directory;
  const std::string path = directory.path() + "/key";
  std::ofstream(path) << hex;
  chmod(path.c_str(), 0600);
  std::ofstream(path + ".new") << "half of a";
  const std::string content = "vigil keys\n9 " + hex_of('9') + " active\n";
  assert_true(replace_key_file(path, content).ok());
  struct stat info {};
  assert_int_equal(stat(path.c_str(), &info), 0);
  assert_int_equal(info.st_mode & 07777, 0600);
  assert_int_equal(access((path + ".new").c_str(), F_OK), -1);
  const Result<KeySet> keys = load_keys(path, geteuid());
  assert_true(keys.ok());
  assert_int_equal(keys->active(), 9);
  const Status nowhere = replace_key_file(directory.path() + "/none/key", content);
  assert_false(nowhere.ok());
  assert_null(strstr(nowhere.error().message.c_str(), "9999"));  // an error never quotes a key
}

void a_symbolic_link_is_refused(void**) {
  const Directory directory;
  std::ofstream(directory.path() + "/key") << hex;
  chmod((directory.path() + "/key").c_str(), 0600);
  assert_int_equal(symlink("key", (directory.path() + "/link").c_str()), 0);
  const Result<ClusterKey> key = load_key(directory.path() + "/link", geteuid());
  assert_false(key.ok());
  assert_non_null(strstr(key.error().message.c_str(), "it is a symbolic link"));
}

void a_new_key_is_private_random_and_never_replaced(void**) {
  const Directory directory;
  const std::string path = directory.path() + "/key";
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
      cmocka_unit_test(several_keys_are_read),
      cmocka_unit_test(a_set_is_written_as_it_is_read),
      cmocka_unit_test(a_file_is_replaced_whole),
      cmocka_unit_test(a_symbolic_link_is_refused),
      cmocka_unit_test(a_new_key_is_private_random_and_never_replaced),
      cmocka_unit_test(a_key_moves),
  };
  return cmocka_run_group_tests_name("config/key_file", tests, nullptr, nullptr);
}
