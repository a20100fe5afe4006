// Rotations by real key files and real rings, between nodes whose messages the test carries, and whose cluster
// decides with the real rules. Messages are lost, disks fail, the maker of the key dies.
#include "runtime/node/key_keeper.hpp"

#include <algorithm>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "runtime/base/random.hpp"
#include "runtime/core/key_rotation.hpp"
#include "tests/unit/node/fixture.hpp"

// Last: its macros clash with the standard library.
#include "tests/unit/cmocka.hpp"

namespace {

using namespace vigil;

constexpr std::size_t node_count = 3;

struct Mail {
  NodeId from = no_node;
  NodeId to = no_node;
  Message message;
};

struct Cluster;

struct Node : private KeyListener {
  Node(Cluster& of, NodeId id, const std::string& path);
  KeyContext context() const;
  std::string file() const { return test::content(path_); }

  Cluster& cluster;
  NodeId self;
  std::string path_;
  Log log;
  wire::KeyRing ring;
  std::unique_ptr<Ring> loop;
  std::unique_ptr<KeyKeeper> keeper;
  bool alive = true;
  std::vector<std::string> answers;
  std::vector<bool> accepted;

 private:
  void send_of_keys(NodeId to, const Message& message) override;
  void on_rotation_answer(std::uint64_t, bool good, std::string_view text) override {
    answers.emplace_back(text);
    accepted.push_back(good);
  }
  void on_keys_changed() override { keeper->follow(context()); }
};

struct Cluster {
  Cluster() {
    record.stamp = {{1, 0}, 1};
    record.view.coordinator = 0;
    for (NodeId id = 0; id < node_count; ++id) {
      record.view.members.add(id);
      const std::string directory_of = directory / ("n" + std::to_string(id));
      std::filesystem::create_directory(directory_of);
      test::put(directory_of + "/key", std::string(64, 'a'));
      std::filesystem::permissions(directory_of + "/key", std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
      nodes.push_back(std::make_unique<Node>(*this, id, directory_of + "/key"));
    }
  }
  // The coordinator's part: a committed record for each change.
  void decide(const KeyState& keys) {
    if (keys == record.state.keys) return;
    record.state.keys = keys;
    ++record.stamp.version;
    if (phases.empty() || phases.back() != keys.phase) phases.push_back(keys.phase);
  }
  // Nobody sends under a key that another member does not accept: at every moment of every test.
  void watch() {
    for (const auto& sender : nodes)
      for (const auto& receiver : nodes)
        if (sender->alive && receiver->alive) mixed = mixed || !receiver->ring.has(sender->ring.active());
  }
  void turn() {
    for (const auto& node : nodes) {
      if (!node->alive) continue;
      (void)node->loop->run_once(boottime_now());
      node->keeper->follow(node->context());
      watch();
    }
    for (std::size_t rest = mails.size(); rest > 0; --rest) {
      const Mail mail = mails.front();
      mails.pop_front();
      if (!nodes[mail.from]->alive || !nodes[mail.to]->alive) continue;
      if (random.chance(lost_percent)) continue;
      KeyState draft = record.state.keys;
      if (const auto* report = std::get_if<KeyReport>(&mail.message)) apply_key_report(mail.from, *report, draft);
      if (const auto* ask = std::get_if<KeyAsk>(&mail.message))
        nodes[mail.to]->keeper->on_ask(mail.from, *ask, nodes[mail.to]->context());
      if (const auto* offer = std::get_if<KeyOffer>(&mail.message))
        nodes[mail.to]->keeper->on_offer(*offer, nodes[mail.to]->context());
      decide(draft);
    }
    KeyState draft = record.state.keys;
    advance_keys(record.view.members, draft);
    decide(draft);
    watch();
    ::usleep(500);
  }
  template <typename Condition>
  bool run_until(Condition condition, Duration limit = Duration::from_s(10)) {
    const Instant end = boottime_now() + limit;
    while (!condition() && boottime_now() < end) turn();
    return condition();
  }
  // All that live hold this key alone, in their rings and their files.
  bool settled_on(std::uint8_t id) {
    if (record.state.keys.phase != KeyPhase::settled) return false;
    std::string text;
    for (const auto& node : nodes) {
      if (!node->alive) continue;
      if (text.empty()) text = node->file();
      for (int other = 1; other < 256; ++other)
        if (node->ring.has(static_cast<std::uint8_t>(other)) != (other == id)) return false;
      if (node->file() != text) return false;
    }
    return text.starts_with("vigil keys\n" + std::to_string(id) + " ") && std::count(text.begin(), text.end(), '\n') == 2;
  }

  test::Directory directory;
  Record record;
  std::vector<std::unique_ptr<Node>> nodes;
  std::deque<Mail> mails;
  std::vector<KeyPhase> phases;
  Duration ahead;  // of the real clock
  unsigned lost_percent = 0;
  Random random{7};
  bool mixed = false;
};

Node::Node(Cluster& of, NodeId id, const std::string& path) : cluster(of), self(id), path_(path) {
  loop = std::move(Ring::create()).value();
  KeySet keys = std::move(load_keys(path, ::geteuid())).value();
  VIGIL_ASSERT(accept_keys(keys, ring).ok());
  keeper = std::make_unique<KeyKeeper>(path, std::move(keys), ring, log, static_cast<KeyListener&>(*this));
  VIGIL_ASSERT(keeper->attach(*loop).ok());
}

KeyContext Node::context() const {
  const bool member = cluster.record.view.members.has(self);
  return {boottime_now() + cluster.ahead, self, member, member, &cluster.record, cluster.record.state.keys};
}

void Node::send_of_keys(NodeId to, const Message& message) { cluster.mails.push_back({self, to, message}); }

void a_rotation_goes_through_its_phases(void**) {
  Cluster c;
  c.nodes[1]->keeper->rotate(1, {}, c.nodes[1]->context());
  assert_true(c.run_until([&] { return c.settled_on(2); }));
  assert_true((c.phases == std::vector{KeyPhase::spreading, KeyPhase::switching, KeyPhase::settled}));
  assert_false(c.mixed);
  assert_int_equal(c.nodes[1]->accepted.size(), 1);
  assert_true(c.nodes[1]->accepted[0]);
  // And again, with a key of the operator's.
  std::array<std::uint8_t, 32> key{};
  key.fill(0xbb);
  c.nodes[2]->keeper->rotate(2, key, c.nodes[2]->context());
  assert_true(c.run_until([&] { return c.settled_on(3); }));
  // The file follows, by the thread that may wait for the disk.
  const std::string only_the_new_one = "vigil keys\n3 " + std::string(64, 'b') + " active\n";
  assert_true(c.run_until([&] { return c.nodes[0]->file() == only_the_new_one; }));
  assert_false(c.mixed);
}

void what_is_lost_is_said_again(void**) {
  Cluster c;
  c.lost_percent = 60;
  c.nodes[0]->keeper->rotate(1, {}, c.nodes[0]->context());
  assert_true(c.run_until([&] { return c.settled_on(2); }, Duration::from_s(20)));
  assert_false(c.mixed);
}

// A node that cannot store the key holds the rotation up, says so, and goes on when it can.
void a_full_disk_is_waited_for(void**) {
  Cluster c;
  const std::string place = c.directory / "n2";
  std::filesystem::rename(place, place + "-away");
  c.nodes[0]->keeper->rotate(1, {}, c.nodes[0]->context());
  assert_false(c.run_until([&] { return c.record.state.keys.phase == KeyPhase::switching; }, Duration::from_s(1)));
  assert_int_equal(c.record.state.keys.phase, KeyPhase::spreading);
  assert_false(c.record.state.keys.done.has(2));
  ClusterConfig config;
  for (const char* name : {"alpha", "beta", "gamma"}) {
    NodeConfig node;
    node.name = name;
    config.nodes.push(node);
  }
  NodeStatus status;
  c.nodes[2]->keeper->describe(config, c.nodes[2]->context(), status);
  assert_int_equal(status.problems.size(), 2);
  assert_non_null(strstr(status.problems[0].c_str(), "key file cannot be written"));
  assert_string_equal(status.problems[1].c_str(), "the cluster key is being rotated to key 2; it waits for: gamma");
  std::filesystem::rename(place + "-away", place);
  assert_true(c.run_until([&] { return c.settled_on(2); }));
  assert_false(c.mixed);
}

// Nobody has fetched the key of the node that made it and died: the others go on with theirs.
void a_maker_that_dies_takes_its_key_along(void**) {
  Cluster c;
  c.nodes[1]->keeper->rotate(1, {}, c.nodes[1]->context());
  assert_true(c.run_until([&] { return c.record.state.keys.phase == KeyPhase::spreading; }));
  c.nodes[1]->alive = false;
  c.mails.clear();
  c.record.view.members.remove(1);
  ++c.record.stamp.version;
  assert_true(c.run_until([&] { return c.record.state.keys.phase == KeyPhase::settled; }));
  assert_int_equal(c.record.state.keys.active, 1);
  assert_int_equal(c.nodes[0]->ring.active(), 1);
  // It is started again with both in its file: the rest of the given-up one is taken out of it, and a new one succeeds.
  const std::string path = c.nodes[1]->path_;
  c.nodes[1].reset();
  c.nodes[1] = std::make_unique<Node>(c, NodeId{1}, path);
  assert_true(c.nodes[1]->ring.has(2));
  c.record.view.members.add(1);
  ++c.record.stamp.version;
  assert_true(c.run_until([&] { return !c.nodes[1]->ring.has(2); }));
  c.nodes[0]->keeper->rotate(2, {}, c.nodes[0]->context());
  assert_true(c.run_until([&] { return c.settled_on(2); }));
  assert_false(c.mixed);
}

void only_what_was_decided_is_given_and_taken(void**) {
  Cluster c;
  const auto mailed = [&] { return c.mails.size(); };
  Node& n = *c.nodes[0];
  n.keeper->on_ask(1, {1, {}}, n.context());  // no rotation: the key in force is given to nobody
  assert_int_equal(mailed(), 0);
  n.keeper->rotate(1, {}, n.context());
  assert_true(c.run_until([&] { return n.accepted.size() == 1; }));
  assert_int_equal(c.record.state.keys.phase, KeyPhase::spreading);
  c.mails.clear();
  n.keeper->on_ask(1, {1, {}}, n.context());
  assert_int_equal(mailed(), 0);
  c.nodes[1]->keeper->on_offer({2, {}}, c.nodes[1]->context());  // sealed to nobody
  assert_false(c.nodes[1]->ring.has(2));
  n.keeper->rotate(2, {}, n.context());
  assert_int_equal(n.accepted.size(), 2);
  assert_false(n.accepted[1]);  // one at a time
  assert_true(c.run_until([&] { return c.settled_on(2); }));
  // Nobody commits what this one begins: it gives up, and keeps nothing of it.
  c.lost_percent = 100;
  n.keeper->rotate(3, {}, n.context());
  assert_false(c.run_until([&] { return n.accepted.size() == 3; }, Duration::from_ms(300)));
  c.ahead = Duration::from_s(10);
  assert_true(c.run_until([&] { return n.accepted.size() == 3; }));
  assert_false(n.accepted[2]);
  assert_true(c.run_until([&] { return c.settled_on(2); }));
}

}  // namespace

int main() {
  if (!wire::prepare_cryptography().ok()) return 1;
  const CMUnitTest tests[] = {
      cmocka_unit_test(a_rotation_goes_through_its_phases),
      cmocka_unit_test(what_is_lost_is_said_again),
      cmocka_unit_test(a_full_disk_is_waited_for),
      cmocka_unit_test(a_maker_that_dies_takes_its_key_along),
      cmocka_unit_test(only_what_was_decided_is_given_and_taken),
  };
  return cmocka_run_group_tests_name("node/key_keeper", tests, nullptr, nullptr);
}
