// The wire allocates nothing after start: operator new counts, and the whole path of a heartbeat, an
// acknowledgement, a fragmented message and a stored image is walked. Prints what it cost.
#include <chrono>
#include <cstdlib>
#include <memory>
#include <new>

#include "runtime/wire/fragment.hpp"
#include "runtime/wire/heartbeat.hpp"
#include "runtime/wire/message_codec.hpp"
#include "runtime/wire/session.hpp"
#include "runtime/wire/store.hpp"
#include "tests/unit/wire/random_messages.hpp"

#include "tests/unit/cmocka.hpp"

namespace {
std::size_t allocations = 0;
}

void* operator new(std::size_t size) {
  ++allocations;
  if (void* const memory = std::malloc(size == 0 ? 1 : size)) return memory;
  std::abort();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace {

using namespace vigil;

constexpr Incarnation alpha{1, 11};
constexpr Incarnation beta{2, 22};
constexpr std::array<std::uint8_t, wire::key_bytes> cluster_key{42};

wire::SessionOptions options_for(NodeId self, const Incarnation& incarnation) {
  wire::SessionOptions options;
  options.self = self;
  options.incarnation = incarnation;
  options.link_count = 1;
  options.configured = NodeSet::from_bits(3);
  options.name_hashes = {1, 2};
  for (auto& links : options.reach) links.fill(0xff);
  return options;
}

// Two nodes that know each other.
struct Pair {
  Pair() {
    assert_true(keys.add(1, cluster_key).ok());
    a = std::make_unique<wire::Session>(options_for(0, alpha), keys);
    b = std::make_unique<wire::Session>(options_for(1, beta), keys);
    const std::array<std::uint8_t, 2> hi{1, 1};
    std::array<std::uint8_t, limits::frame_bytes> frame;
    const std::size_t size = a->seal(wire::FrameType::heartbeat, wire::broadcast_node, 0, hi, frame);
    const wire::Verdict asked = b->on_frame(now, wire::Bytes(frame).first(size), 0);
    const wire::Verdict answered = a->on_frame(now, asked.reply, 0);
    const wire::Verdict proven = b->on_frame(now, answered.reply, 0);
    a->on_frame(now, proven.reply, 0);
    assert_true(a->current(1).known());
    assert_true(b->current(0).known());
  }
  Instant now{1'000'000'000};
  wire::KeyRing keys;
  std::unique_ptr<wire::Session> a;
  std::unique_ptr<wire::Session> b;
};

class Stopwatch {
 public:
  double us_each(int count) const {
    const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - start_;
    return took.count() / count;
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

void heartbeats_allocate_nothing(void**) {
  Pair pair;
  test::RandomMessages make(1, 3, 1);
  const Heartbeat heartbeat = make.heartbeat(alpha, 0);
  std::array<std::uint8_t, wire::body_bytes_max> body;
  std::array<std::uint8_t, limits::frame_bytes> frame;
  Heartbeat received;
  constexpr int rounds = 20'000;
  int delivered = 0;
  const std::size_t before = allocations;
  const Stopwatch watch;
  for (int i = 0; i < rounds; ++i) {
    wire::ByteWriter writer(body);
    wire::encode_heartbeat(writer, heartbeat);
    const std::size_t size =
        pair.a->seal(wire::FrameType::heartbeat, wire::broadcast_node, 0, writer.written(), frame);
    const wire::Verdict verdict = pair.b->on_frame(pair.now, wire::Bytes(frame).first(size), 0);
    if (!verdict.is_delivered()) continue;
    delivered += wire::decode_heartbeat(verdict.delivered.body, verdict.delivered.peer_link,
                                        verdict.delivered.incarnation, received)
                     ? 1
                     : 0;
  }
  const double cost = watch.us_each(rounds);
  assert_int_equal(allocations - before, 0);
  assert_int_equal(delivered, rounds);
  print_message("heartbeat of 3 nodes, encode + seal + open + judge + decode: %.2f us\n", cost);
}

void sealing_and_opening_allocate_nothing(void**) {
  Pair pair;
  const std::array<std::uint8_t, wire::body_bytes_max> body{};
  std::array<std::uint8_t, wire::body_bytes_max> opened;
  std::array<std::uint8_t, limits::frame_bytes> frame;
  wire::FrameHeader header;
  header.from = 1;
  header.start_id = 1;
  std::size_t size = 0;
  constexpr int rounds = 50'000;
  const std::size_t before = allocations;
  const Stopwatch sealing;
  for (header.sequence = 1; header.sequence <= rounds; ++header.sequence) wire::seal(pair.keys, header, body, frame);
  const double seal_cost = sealing.us_each(rounds);
  const Stopwatch opening;
  int opens = 0;
  for (int i = 0; i < rounds; ++i) opens += wire::open(pair.keys, frame, opened, size) ? 1 : 0;
  const double open_cost = opening.us_each(rounds);
  assert_int_equal(allocations - before, 0);
  assert_int_equal(opens, rounds);
  print_message("frame of 200 bytes: seal %.2f us, open %.2f us\n", seal_cost, open_cost);
}

void messages_allocate_nothing(void**) {
  for (const std::size_t nodes : {3u, 64u}) {
    Pair pair;
    test::RandomMessages make(2, nodes, nodes / 2);
    const Message message = make.message(3);  // Accept
    wire::Fragmenter fragmenter;
    wire::Reassembler reassembler(2);
    auto bytes = std::make_unique<std::array<std::uint8_t, limits::message_bytes>>();
    auto received = std::make_unique<Message>();
    std::array<std::uint8_t, wire::body_bytes_max> body;
    std::array<std::uint8_t, limits::frame_bytes> frame;
    constexpr int rounds = 500;
    int decoded = 0;
    std::size_t length = 0;
    const std::size_t before = allocations;
    const Stopwatch watch;
    for (int i = 0; i < rounds; ++i) {
      length = wire::encode_message(message, *bytes);
      const wire::FragmentPlan plan = fragmenter.plan(1, wire::Bytes(*bytes).first(length));
      for (std::size_t index = 0; index < plan.count; ++index) {
        const std::size_t cut = wire::write_fragment(plan, index, body);
        const std::size_t size = pair.a->seal(wire::FrameType::fragment, 1, 0, wire::Bytes(body).first(cut), frame);
        const wire::Verdict verdict = pair.b->on_frame(pair.now, wire::Bytes(frame).first(size), 0);
        const wire::Assembled assembled =
            reassembler.add(verdict.delivered.from, verdict.delivered.incarnation.start_id, verdict.delivered.body);
        if (assembled.status != wire::FragmentStatus::complete) continue;
        if (wire::decode_message(assembled.message, *received) == wire::DecodeStatus::decoded) ++decoded;
      }
    }
    const double cost = watch.us_each(rounds);
    assert_int_equal(allocations - before, 0);
    assert_int_equal(decoded, rounds);
    print_message("accept of %zu bytes (%zu nodes, %zu groups), sender to receiver: %.1f us\n", length, nodes,
                  nodes / 2, cost);
  }
}

void state_files_allocate_nothing(void**) {
  test::RandomMessages make(3, 64, 32);
  const wire::StoredImage image = make.image();
  auto file = std::make_unique<std::array<std::uint8_t, wire::store_bytes>>();
  const std::size_t before = allocations;
  wire::encode_slot({1, 2}, 2, image, std::span(*file).first<wire::slot_bytes>());
  const Result<wire::LoadedStore> loaded = wire::load_store({1, 2}, *file);
  assert_int_equal(allocations - before, 0);
  assert_true(loaded.ok());
  assert_true(loaded->image == image);
}

// What every refusal costs is on the receive path too.
void refusals_allocate_nothing(void**) {
  Pair pair;
  Random random(4);
  std::array<std::uint8_t, limits::frame_bytes> frame;
  const std::array<std::uint8_t, 2> body{1, 1};
  const std::size_t before = allocations;
  for (int i = 0; i < 20'000; ++i) {
    const std::size_t size = pair.a->seal(wire::FrameType::heartbeat, 1, 0, body, frame);
    frame[random.below(size)] ^= static_cast<std::uint8_t>(1 + random.below(255));
    pair.b->on_frame(pair.now, wire::Bytes(frame).first(random.below(size + 1)), 0);
  }
  assert_int_equal(allocations - before, 0);
}

}  // namespace

int main() {
  if (!wire::prepare_cryptography().ok()) return 1;
  const CMUnitTest tests[] = {
      cmocka_unit_test(heartbeats_allocate_nothing), cmocka_unit_test(sealing_and_opening_allocate_nothing),
      cmocka_unit_test(messages_allocate_nothing),   cmocka_unit_test(state_files_allocate_nothing),
      cmocka_unit_test(refusals_allocate_nothing),
  };
  return cmocka_run_group_tests_name("wire/allocation", tests, nullptr, nullptr);
}
