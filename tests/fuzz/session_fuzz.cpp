// Sessions. Two nodes with two links talk as the input says, are restarted, and time passes; an
// attacker without the key holds every frame, plays any of them to anyone on any link, and damages
// them. First byte odd: it has the key as well, and seals what it likes (then only crashes count).
//
// Checked: nothing damaged is delivered; nothing is delivered twice to one life of a receiver by one
// own link; nothing from before that life is delivered to it; only the current incarnation is; only a
// life that answered within the life of a challenge becomes current.
#include <memory>
#include <set>
#include <vector>

#include "runtime/wire/session.hpp"
#include "tests/fuzz/wire_fuzz.hpp"

namespace {

using namespace vigil;

constexpr NodeId node_count = 2;
constexpr std::uint8_t link_count = 2;

struct Recorded {
  std::vector<std::uint8_t> bytes;
  NodeId from = 0;
  std::uint64_t start_id = 0;
};

class World {
 public:
  explicit World(bool attacker_has_key) : attacker_has_key_(attacker_has_key) {
    for (NodeId node = 0; node < node_count; ++node) restart(node);
  }

  void step(fuzz::Input& input) {
    const std::uint8_t what = input.byte();
    const auto node = static_cast<NodeId>(what >> 3 & 1);
    const auto link = static_cast<LinkIndex>(what >> 4 & 1);
    switch (what & 7) {
      case 0:
      case 1: send(node, link, input.byte()); break;
      case 2: deliver(recent(input.byte()), node, link, false, 0); break;
      case 3: deliver(recent(input.byte()), node, link, true, input.byte()); break;
      case 4: now_ = now_ + Duration::from_us(std::int64_t{1} << (input.byte() % 25)); break;
      case 5: restart(node); break;
      case 6: heal(); break;
      default: forge(input, node, link); break;
    }
  }

 private:
  static wire::SessionOptions options_for(NodeId self, std::uint64_t start_id) {
    wire::SessionOptions options;
    options.self = self;
    options.incarnation = {7, start_id};
    options.link_count = link_count;
    options.configured = NodeSet::from_bits(3);
    options.name_hashes = {1, 2};
    for (auto& links : options.reach) links.fill(0xff);
    return options;
  }

  void restart(NodeId node) {
    died_at_.resize(next_start_id_ + 1, now_);
    if (start_ids_[node] != 0) died_at_[start_ids_[node]] = now_;
    start_ids_[node] = next_start_id_++;
    born_at_[node] = tape_.size();
    sessions_[node] = std::make_unique<wire::Session>(options_for(node, start_ids_[node]), fuzz::known_keys());
  }

  void send(NodeId node, LinkIndex link, std::uint8_t shape) {
    const std::array<std::uint8_t, 2> body{1, shape};
    std::array<std::uint8_t, limits::frame_bytes> frame;
    const auto type = static_cast<wire::FrameType>(1 + shape % 3);
    const std::size_t size = sessions_[node]->seal(type, wire::broadcast_node, link, body, frame);
    record(node, wire::Bytes(frame).first(size));
  }

  void record(NodeId node, wire::Bytes frame) {
    if (tape_.size() < 250) tape_.push_back({{frame.begin(), frame.end()}, node, start_ids_[node]});
  }

  std::size_t recent(std::uint8_t back) const { return tape_.empty() ? 0 : tape_.size() - 1 - back % tape_.size(); }

  void deliver(std::size_t which, NodeId to, LinkIndex by, bool damage, std::uint8_t how) {
    if (tape_.empty()) return;
    Recorded frame = tape_[which];
    if (damage) frame.bytes[how % frame.bytes.size()] ^= static_cast<std::uint8_t>(1u << how % 8);
    const wire::Verdict verdict = sessions_[to]->on_frame(now_, frame.bytes, by);
    if (!attacker_has_key_) check(verdict, frame, which, to, by, damage);
    if (!verdict.reply.empty()) record(to, verdict.reply);
  }

  void check(const wire::Verdict& verdict, const Recorded& frame, std::size_t which, NodeId to, LinkIndex by,
             bool damaged) {
    fuzz::require(!damaged || (!verdict.is_delivered() && !verdict.became_current && verdict.reply.empty()),
                  "nothing damaged is believed or answered");
    if (verdict.became_current) {
      const bool alive = start_ids_[frame.from] == frame.start_id;
      const Duration gone = alive ? Duration{} : now_ - died_at_[frame.start_id];
      fuzz::require(gone <= Duration::from_s(10), "only who lives or lived just now becomes current");
    }
    fuzz::require(verdict.drop != wire::Drop::duplicate_node_id || now_ - died_at_[frame.start_id] <= Duration::from_s(10),
                  "a recording is no second node");
    if (!verdict.is_delivered()) return;
    fuzz::require(verdict.delivered.from == frame.from && frame.from != to, "the sender is who sent it");
    fuzz::require(verdict.delivered.incarnation.start_id == frame.start_id, "in the life in which it was sent");
    fuzz::require(sessions_[to]->current(frame.from).start_id == frame.start_id, "which is current");
    fuzz::require(which >= born_at_[to], "nothing from before the receiver's life is delivered");
    fuzz::require(delivered_.insert({start_ids_[to], which * link_count + by}).second, "nothing is delivered twice");
  }

  // A few rounds of undisturbed traffic: the two must know each other afterwards.
  void heal() {
    for (int round = 0; round < 8; ++round) {
      now_ = now_ + Duration::from_s(2);
      for (NodeId node = 0; node < node_count; ++node) {
        send(node, 0, 0);
        if (tape_.size() >= 240) return;
        for (int hop = 0; hop < 4; ++hop) {
          const std::size_t which = tape_.size() - 1;
          deliver(which, static_cast<NodeId>(1 - tape_[which].from), 0, false, 0);
          if (tape_.size() - 1 == which) break;
        }
      }
    }
    if (attacker_has_key_) return;
    fuzz::require(sessions_[0]->current(1).start_id == start_ids_[1], "node 0 knows node 1 after undisturbed traffic");
    fuzz::require(sessions_[1]->current(0).start_id == start_ids_[0], "node 1 knows node 0 after undisturbed traffic");
  }

  void forge(fuzz::Input& input, NodeId to, LinkIndex by) {
    if (!attacker_has_key_) {
      sessions_[to]->on_frame(now_, input.bytes(input.byte()), by);
      return;
    }
    wire::FrameHeader header;
    header.type = static_cast<wire::FrameType>(input.byte());
    header.from = input.byte() % 4;
    header.to = input.byte() % 2 == 0 ? wire::broadcast_node : to;
    header.link = input.byte() % 9;
    header.start_id = input.byte() + 1u;
    header.sequence = input.word() | 1;
    std::array<std::uint8_t, wire::body_bytes_max> body{};
    const wire::Bytes given = input.bytes(std::min<std::size_t>(input.byte(), body.size()));
    std::copy(given.begin(), given.end(), body.begin());
    std::array<std::uint8_t, limits::frame_bytes> frame;
    const std::size_t size = wire::seal(fuzz::known_keys(), header,
                                        wire::Bytes(body).first(std::max(given.size(), wire::body_bytes_min)), frame);
    const wire::Verdict verdict = sessions_[to]->on_frame(now_, wire::Bytes(frame).first(size), by);
    if (!verdict.reply.empty()) record(to, verdict.reply);
  }

  bool attacker_has_key_;
  Instant now_{1'000'000'000};
  std::uint64_t next_start_id_ = 1;
  std::array<std::uint64_t, node_count> start_ids_{};
  std::array<std::unique_ptr<wire::Session>, node_count> sessions_;
  std::array<std::size_t, node_count> born_at_{};  // length of the tape then
  std::vector<Instant> died_at_;                   // by start_id
  std::vector<Recorded> tape_;
  std::set<std::pair<std::uint64_t, std::size_t>> delivered_;  // receiver's life, frame and own link
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(wire::Bytes(data, size));
  World world(input.byte() % 2 == 1);
  for (int steps = 0; !input.empty() && steps < 120; ++steps) world.step(input);
  return 0;
}
