// Holds the wire format still. tests/fuzz/corpus has bodies, messages, fragments, hellos and stored
// images made from fixed seeds, one file each; this program makes them again and compares. They are
// also what the fuzz targets start from. A difference means that nodes of the last release no longer
// understand this one: add a revision, kind or type instead (runtime/wire/revision.hpp).
//
// Run from the top of the repository. VIGIL_WRITE_CORPUS=1 writes the files instead.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "runtime/wire/fragment.hpp"
#include "runtime/wire/heartbeat.hpp"
#include "runtime/wire/hello.hpp"
#include "runtime/wire/message_codec.hpp"
#include "runtime/wire/store.hpp"
#include "tests/unit/wire/random_messages.hpp"

#include "tests/unit/cmocka.hpp"

namespace {

using namespace vigil;

using Bytes = std::vector<std::uint8_t>;
using Corpus = std::map<std::string, Bytes>;  // by path below tests/fuzz/corpus

// Puts what the fuzz target expects first (a type, a mode) before what `encode` writes.
template <typename Encode>
Bytes made(std::initializer_list<std::uint8_t> first, Encode encode) {
  Bytes bytes(wire::store_bytes);
  wire::ByteWriter writer(bytes);
  for (const std::uint8_t byte : first) writer.put_u8(byte);
  encode(writer);
  assert_true(writer.ok());
  bytes.resize(writer.size());
  return bytes;
}

void add_frames(Corpus& corpus) {
  for (const std::size_t nodes : {3u, 64u}) {
    test::RandomMessages make(nodes, nodes, 1);
    const Heartbeat heartbeat = make.heartbeat({1, 2}, 0);
    const HeartbeatAck ack = make.ack();
    const std::string suffix = "_" + std::to_string(nodes);
    corpus["frame/heartbeat" + suffix] = made({1}, [&](auto& writer) { wire::encode_heartbeat(writer, heartbeat); });
    corpus["frame/ack" + suffix] = made({2}, [&](auto& writer) { wire::encode_ack(writer, ack); });
  }
  wire::Hello hello;
  hello.protocol_oldest = hello.protocol_newest = 1;
  hello.boot_id = 2;
  hello.config_hash = 3;
  hello.name_hash = 4;
  hello.challenge = 5;
  hello.echo_start_id = 6;
  hello.echo_challenge = 7;
  hello.next_sequence.push(8);
  hello.next_sequence.push(900);
  corpus["frame/hello"] = made({5}, [&](auto& writer) { wire::encode_hello(writer, hello); });

  wire::KeyRing keys;
  assert_true(keys.add(9, std::array<std::uint8_t, wire::key_bytes>{1, 2, 3}).ok());
  wire::FrameHeader header;
  header.cluster_id = 4;
  header.from = 5;
  header.link = 6;
  header.start_id = 7;
  header.sequence = 8;
  std::array<std::uint8_t, limits::frame_bytes> frame;
  const std::array<std::uint8_t, 5> body{1, 2, 3, 4, 5};
  const std::size_t size = wire::seal(keys, header, body, frame);
  corpus["frame/sealed"] = made({0}, [&](auto& writer) { writer.put_bytes(wire::Bytes(frame).first(size)); });
}

void add_messages(Corpus& corpus) {
  for (std::size_t kind = 0; kind < std::variant_size_v<Message>; ++kind) {
    test::RandomMessages make(kind, 3, 2);
    Bytes bytes(limits::message_bytes);
    bytes.resize(wire::encode_message(make.message(kind), bytes));
    corpus["message/kind_" + std::to_string(kind + 1)] = bytes;
  }
}

void add_fragments(Corpus& corpus) {
  Bytes message(300);
  for (std::size_t i = 0; i < message.size(); ++i) message[i] = static_cast<std::uint8_t>(i);
  wire::Fragmenter fragmenter;
  const wire::FragmentPlan plan = fragmenter.plan(1, message);
  corpus["fragment/message_of_3"] = made({0}, [&](auto& writer) {
    for (std::size_t i = 0; i < plan.count; ++i) {
      std::array<std::uint8_t, wire::body_bytes_max> body;
      const std::size_t size = wire::write_fragment(plan, i, body);
      writer.put_u8(static_cast<std::uint8_t>(size));
      writer.put_u8(1);
      writer.put_bytes(wire::Bytes(body).first(size));
    }
  });
  corpus["fragment/two_sends"] = made({1, 200, 200, 100, 1, 2}, [](auto& writer) {
    for (std::uint8_t i = 0; i < 8; ++i) {
      writer.put_u8(static_cast<std::uint8_t>(100 + i));
      writer.put_u8(i);
    }
  });
}

void add_stores(Corpus& corpus) {
  test::RandomMessages make(1, 3, 1);
  const wire::StoredImage image = make.image();
  std::array<std::uint8_t, wire::slot_bytes> slot;
  wire::encode_slot({7, 1}, 2, image, slot);
  wire::ByteReader reader(slot);
  reader.get_bytes(wire::slot_header_bytes - 32 - 4);
  const std::size_t length = reader.get_u32();
  const wire::Bytes used = wire::Bytes(slot).first(wire::slot_header_bytes + length);
  corpus["store/slot"] = made({0}, [&](auto& writer) { writer.put_bytes(used); });
  corpus["store/payload"] = made({1}, [&](auto& writer) { writer.put_bytes(used.subspan(wire::slot_header_bytes)); });
}

// Not a format: histories for the session target (send, deliver, heal, restart, play again).
void add_sessions(Corpus& corpus) {
  corpus["session/meet_and_talk"] = {0, 6, 0, 1, 10, 0, 8, 2, 2, 0, 16, 3, 26, 0};
  corpus["session/restart_and_replay"] = {0, 6, 5, 6, 10, 9, 10, 20, 13, 2, 3, 2, 30, 6, 10, 40};
  corpus["session/damage"] = {0, 6, 0, 0, 11, 0, 77, 11, 0, 3, 4, 20, 10, 0};
  corpus["session/with_the_key"] = {1, 6, 15, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 4, 1, 2, 3, 4};
}

Corpus make_corpus() {
  Corpus corpus;
  add_frames(corpus);
  add_messages(corpus);
  add_fragments(corpus);
  add_stores(corpus);
  add_sessions(corpus);
  return corpus;
}

bool write(const std::filesystem::path& path, const Bytes& bytes) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  return file.good();
}

bool matches(const std::filesystem::path& path, const Bytes& bytes) {
  std::ifstream file(path, std::ios::binary);
  const Bytes kept{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (kept == bytes) return true;
  print_error("%s differs (%zu bytes kept, %zu made)\n", path.c_str(), kept.size(), bytes.size());
  return false;
}

int files_that_differ() {
  const bool writes = std::getenv("VIGIL_WRITE_CORPUS") != nullptr;
  int differing = 0;
  for (const auto& [name, bytes] : make_corpus()) {
    const std::filesystem::path path = std::filesystem::path("tests/fuzz/corpus") / name;
    if (!(writes ? write(path, bytes) : matches(path, bytes))) ++differing;
  }
  return differing;
}

void the_format_is_what_it_was(void**) { assert_int_equal(files_that_differ(), 0); }

}  // namespace

int main() {
  if (!wire::prepare_cryptography().ok()) return 1;
  const CMUnitTest tests[] = {cmocka_unit_test(the_format_is_what_it_was)};
  return cmocka_run_group_tests_name("wire/corpus", tests, nullptr, nullptr);
}
