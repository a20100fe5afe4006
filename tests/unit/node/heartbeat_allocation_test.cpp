// The heartbeat path allocates nothing after start. Three whole stacks (loop, transport, core, log, journal)
// in this process talk over UDP on the loopback of a network namespace of their own: they form a view, one
// of them serves an address under a lease, and then every allocation by this thread is counted, from
// operator new down to malloc, while a thousand heartbeats of each node and all their acknowledgements and
// renewals go round. A takeover is counted too: nothing in it may wait for memory either.
#include <execinfo.h>
#include <sched.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <vector>

#include "runtime/core/node_core.hpp"
#include "runtime/loop/clock.hpp"
#include "runtime/loop/lateness.hpp"
#include "runtime/loop/ring.hpp"
#include "runtime/node/journal.hpp"
#include "runtime/node/transport.hpp"
// Last: cmocka's macros (fail, …) bite the standard library.
#include "tests/unit/cmocka.hpp"

namespace {

// Of this thread, and only while it asks for it: the log's thread may do as it likes.
thread_local bool counting = false;
unsigned long allocations = 0;
void* first_places[24];
int first_depth = 0;

void note_allocation() {
  if (!counting) return;
  counting = false;
  if (allocations++ == 0) first_depth = ::backtrace(first_places, 24);
  counting = true;
}

}  // namespace

// Under a sanitizer the allocator is not ours to wrap; there operator new alone is counted.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
void* operator new(std::size_t size) {
  note_allocation();
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  std::abort();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
#else
// glibc's own entry points, beneath every other: operator new ends here, and so does the C of libraries.
extern "C" {
void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t count, std::size_t size);
void* __libc_realloc(void* memory, std::size_t size);
void* __libc_memalign(std::size_t alignment, std::size_t size);

void* malloc(std::size_t size) noexcept {
  note_allocation();
  return __libc_malloc(size);
}
void* calloc(std::size_t count, std::size_t size) noexcept {
  note_allocation();
  return __libc_calloc(count, size);
}
void* realloc(void* memory, std::size_t size) noexcept {
  note_allocation();
  return __libc_realloc(memory, size);
}
void* aligned_alloc(std::size_t alignment, std::size_t size) noexcept {
  note_allocation();
  return __libc_memalign(alignment, size);
}
int posix_memalign(void** memory, std::size_t alignment, std::size_t size) noexcept {
  note_allocation();
  *memory = __libc_memalign(alignment, size);
  return *memory == nullptr ? 12 : 0;
}
}
#endif

namespace {

using namespace vigil;

constexpr std::size_t node_count = 3;

std::unique_ptr<ClusterConfig> loopback_cluster() {
  auto config = std::make_unique<ClusterConfig>();
  config->name = "allocation";
  config->cluster_id = 0x0a110c;
  config->hash = 5;
  config->profile = Profile::fast;
  config->timing = timing_of(Profile::fast);
  NetworkConfig network;
  network.name = "loopback";
  network.heartbeat_raw = false;
  network.heartbeat_udp = true;
  network.udp_port = 7410;
  config->networks.push(network);
  for (std::size_t i = 0; i < node_count; ++i) {
    NodeConfig node;
    node.id = static_cast<NodeId>(i);
    node.name = std::string_view("n" + std::to_string(i));
    AdapterConfig adapter;
    adapter.network = 0;
    adapter.device = "lo";
    adapter.address.family = 4;
    adapter.address.prefix = 8;
    adapter.address.bytes = {127, 0, 0, static_cast<std::uint8_t>(i + 1)};
    node.adapters.push(adapter);
    node.links.push({LinkKind::udp, 0, true});
    config->nodes.push(node);
  }
  GroupConfig group;
  group.name = "web";
  for (std::size_t i = 0; i < node_count; ++i) group.nodes.push(static_cast<NodeId>(i));
  AddressConfig address;
  address.network = 0;
  address.address.family = 4;
  address.address.prefix = 24;
  address.address.bytes = {10, 77, 1, 100};
  group.addresses.push(address);
  config->groups.push(group);
  return config;
}

// What the daemon is without the kernel's addresses, the agent and the disk: those answer at once.
class Stack : private TransportListener, private WakeListener {
 public:
  Stack(const ClusterConfig& config, NodeId self, const wire::KeyRing& keys, Log& log)
      : config_(config),
        self_(self),
        incarnation_{std::uint64_t{100} + self, std::uint64_t{7} + self},
        lateness_(config.timing.interval),
        transport_(config, self, incarnation_, keys, log, *this),
        effects_(std::make_unique<Effects>()) {
    waiting_.reserve(64);
  }
  Status open() {
    for (std::unique_ptr<Ring>* made : {&ring_, &quiet_}) {
      Result<std::unique_ptr<Ring>> ring = Ring::create();
      if (!ring) return ring.error();
      *made = std::move(ring).value();
    }
    ring_->set_wake_listener(this);
    NodeOptions options;
    options.self = self_;
    options.incarnation = incarnation_;
    options.stored.longest_acknowledged = config_.timing.lease;
    core_ = std::make_unique<NodeCore>(config_, options, boottime_now());
    if (Status opened = transport_.open(*ring_, quiet_.get()); !opened) return opened;
    if (!transport_.usable(0)) return Error::of("the UDP link on the loopback cannot be opened");
    feed(event::AdapterChanged{0, true});
    feed(event::AgentState{true});
    feed(event::Cleaned{true});
    return {};
  }
  // One turn that does not sleep.
  bool turn() {
    if (!ring_->run_once(boottime_now()) || !healthy_) return false;
    if (boottime_now() >= core_->next_deadline()) feed(event::Tick{});
    return true;
  }
  Instant next_deadline() const { return core_->next_deadline(); }
  bool quorate() const {
    return core_->committed().view.holds(self_, core_->incarnation()) && boottime_now() < core_->lease_until();
  }
  bool serves() const { return address_ && boottime_now() < lease_until_; }
  NodeSet members() const { return core_->committed().view.members; }
  unsigned long beats() const { return beats_; }
  unsigned long acks() const { return acks_; }
  unsigned long renewals() const { return renewals_; }
  std::uint64_t journal_end() const { return journal_.end(); }

 private:
  void feed(const Event& event) {
    if (stepping_) {
      waiting_.push_back(event);
      return;
    }
    process(event);
    for (std::size_t i = 0; i < waiting_.size(); ++i) process(waiting_[i]);
    waiting_.clear();
  }
  void process(const Event& event) {
    stepping_ = true;
    effects_->clear();
    core_->step(boottime_now(), event, *effects_);
    for (const Effect& effect : effects_->items()) carry_out(effect);
    stepping_ = false;
  }
  void hear(const Event& event) {
    heard_ = stepping_ = true;
    effects_->clear();
    core_->hear(boottime_now(), event, *effects_);
    for (const Effect& effect : effects_->items()) carry_out(effect);
    stepping_ = false;
  }
  void carry_out(const Effect& effect) {
    if (const auto* heartbeat = std::get_if<effect::SendHeartbeat>(&effect)) {
      ++beats_;
      transport_.send_heartbeat(heartbeat->link, heartbeat->heartbeat);
    } else if (const auto* ack = std::get_if<effect::SendAck>(&effect)) {
      transport_.send_ack(ack->to, ack->by, ack->ack);
    } else if (const auto* message = std::get_if<effect::SendMessage>(&effect)) {
      transport_.send_message(message->to, message->message);
    } else if (const auto* lease = std::get_if<effect::RenewLease>(&effect)) {
      ++renewals_;
      lease_until_ = lease->until;
    } else if (const auto* persist = std::get_if<effect::Persist>(&effect)) {
      feed(event::Persisted{persist->token, true});
    } else if (const auto* add = std::get_if<effect::AddAddress>(&effect)) {
      address_ = true;
      feed(event::AddressDone{add->group, add->address, true, true, {}});
    } else if (const auto* remove = std::get_if<effect::RemoveAddress>(&effect)) {
      address_ = false;
      feed(event::AddressDone{remove->group, remove->address, false, true, {}});
    } else if (const auto* run = std::get_if<effect::RunAgent>(&effect)) {
      feed(event::AgentDone{run->request, event::AgentOutcome::ok, 0, {}});
    } else if (const auto* entry = std::get_if<effect::Journal>(&effect)) {
      journal_.add(entry->entry);
      transport_.send_to_all(JournalShare{entry->entry});
    } else if (std::holds_alternative<effect::StartAfresh>(effect) || std::holds_alternative<effect::Left>(effect)) {
      over_ = true;
    }
  }

  void on_heartbeat(NodeId from, LinkIndex by, const Heartbeat& heartbeat, Instant arrived) override {
    acks_ += heartbeat.acks.size();
    hear(event::HeartbeatReceived{from, by, heartbeat, arrived});
  }
  void on_ack(NodeId from, LinkIndex by, const Incarnation& incarnation, const HeartbeatAck& ack,
              Instant arrived) override {
    hear(event::AckReceived{from, by, incarnation, ack, arrived});
  }
  void on_message(NodeId from, const Incarnation& incarnation, const Message& message) override {
    if (const auto* share = std::get_if<JournalShare>(&message)) {
      journal_.add(share->entry);
      return;
    }
    feed(event::MessageReceived{from, incarnation, message});
  }
  void on_line_state(AdapterIndex, bool) override {}
  void on_wake(const WakeUp& wake) override {
    const Duration late = lateness_.observe(wake.slept_from, wake.deadline, wake.woke);
    if (late * 2 >= config_.timing.interval) feed(event::Late{late});
    healthy_ = healthy_ && quiet_->drain().ok();
    transport_.look();
    if (heard_) feed(event::Tick{});
    heard_ = false;
  }

  const ClusterConfig& config_;
  NodeId self_;
  Incarnation incarnation_;
  LatenessMeter lateness_;
  std::unique_ptr<Ring> ring_;
  std::unique_ptr<Ring> quiet_;
  Journal journal_;
  Transport transport_;
  std::unique_ptr<NodeCore> core_;
  std::unique_ptr<Effects> effects_;
  std::vector<Event> waiting_;
  bool stepping_ = false;
  bool heard_ = false;
  bool over_ = false;
  bool healthy_ = true;
  bool address_ = false;
  Instant lease_until_;
  unsigned long beats_ = 0;
  unsigned long acks_ = 0;
  unsigned long renewals_ = 0;
};

struct Loopback {
  Loopback() : config(loopback_cluster()) {
    const std::array<std::uint8_t, wire::key_bytes> key{42};
    good = keys.add(1, key).ok();
    for (NodeId node = 0; node < node_count && good; ++node) {
      stacks[node].emplace(*config, node, keys, log);
      const Status opened = stacks[node]->open();
      if (!opened) print_error("%s\n", opened.error().message.c_str());
      good = opened.ok();
    }
  }
  // Goes on until `condition` holds; false: not within the limit.
  template <typename Condition>
  bool run_until(Condition condition, Duration limit) {
    const Instant end = boottime_now() + limit;
    while (!condition()) {
      const Instant now = boottime_now();
      if (now >= end) return false;
      Instant next = now + Duration::from_us(500);
      for (std::optional<Stack>& stack : stacks) {
        if (!stack) continue;
        if (!stack->turn()) return false;
        next = earlier(next, stack->next_deadline());
      }
      const std::int64_t rest = (next - boottime_now()).us();
      if (rest > 50) ::usleep(static_cast<useconds_t>(rest > 200 ? 200 : rest));
    }
    return true;
  }

  std::unique_ptr<ClusterConfig> config;
  wire::KeyRing keys;
  Log log;
  std::array<std::optional<Stack>, node_count> stacks;
  bool good = false;
};

std::string why_not;  // no network of our own

void tell_first_allocation() {
  if (allocations == 0) return;
  print_error("%lu allocations; the first one came from:\n", allocations);
  ::backtrace_symbols_fd(first_places, first_depth, STDERR_FILENO);
}

void heartbeats_and_takeover_allocate_nothing(void**) {
  if (!why_not.empty()) {
    print_message("skipped: %s\n", why_not.c_str());
    skip();
  }
  // cmocka leaves a failing test by a jump: what owns threads and rings lives until the end of main().
  static std::optional<Loopback> net;
  net.emplace();
  assert_true(net->good);
  auto& stacks = net->stacks;
  const auto all_serve = [&] {
    bool quorate = true;
    for (const auto& stack : stacks) quorate = quorate && stack->quorate() && stack->members().count() == 3;
    return quorate && stacks[0]->serves();
  };
  assert_true(net->run_until(all_serve, Duration::from_s(20)));
  (void)net->run_until([] { return false; }, Duration::from_ms(100));  // what follows the first view

  // A thousand heartbeats of each, and all that they bring.
  unsigned long beats[node_count];
  unsigned long acks[node_count];
  unsigned long renewals[node_count];
  for (std::size_t i = 0; i < node_count; ++i) {
    beats[i] = stacks[i]->beats();
    acks[i] = stacks[i]->acks();
    renewals[i] = stacks[i]->renewals();
  }
  counting = true;
  const bool went_round = net->run_until(
      [&] {
        for (std::size_t i = 0; i < node_count; ++i)
          if (stacks[i]->beats() < beats[i] + 1'000) return false;
        return true;
      },
      Duration::from_s(30));
  counting = false;
  tell_first_allocation();
  assert_true(went_round);
  assert_int_equal(allocations, 0);
  for (std::size_t i = 0; i < node_count; ++i) {
    // A busy machine may lose some: most of them must have come, or this has proved nothing.
    assert_true(stacks[i]->acks() - acks[i] > 1'000);
    assert_true(stacks[i]->renewals() - renewals[i] > 500);
  }
  print_message("1,000 heartbeats of each node, %lu acknowledgements, %lu renewals: no allocation\n",
                stacks[0]->acks() - acks[0], stacks[0]->renewals() - renewals[0]);

  // The owner is gone: suspicion, agreement, the wait for its lease, the takeover.
  const std::uint64_t told = stacks[1]->journal_end();
  stacks[0].reset();
  counting = true;
  const bool taken_over =
      net->run_until([&] { return stacks[1]->serves() || stacks[2]->serves(); }, Duration::from_s(10));
  counting = false;
  tell_first_allocation();
  assert_true(taken_over);
  assert_true(stacks[1]->journal_end() > told);
  assert_int_equal(allocations, 0);
}

// The counters count: without this the zero above would mean nothing.
void the_counters_count(void**) {
  allocations = 0;
  counting = true;
  delete new int(1);
  void* const memory = std::malloc(10);
  counting = false;
  std::free(memory);
  const unsigned long seen = allocations;
  allocations = 0;
  first_depth = 0;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  assert_int_equal(seen, 1);
#else
  assert_int_equal(seen, 2);
#endif
}

}  // namespace

int main() {
  void* warm[4];
  (void)::backtrace(warm, 4);  // loads what it needs, and allocates for that
  if (::geteuid() != 0)
    why_not = "needs root for a network namespace of its own";
  else if (::unshare(CLONE_NEWNET) != 0)
    why_not = "this kernel gives no network namespace";
  else if (std::system("ip link set lo up >/dev/null 2>&1") != 0)
    why_not = "needs iproute2";
  if (!wire::prepare_cryptography().ok()) return 1;
  const CMUnitTest tests[] = {
      cmocka_unit_test(the_counters_count),
      cmocka_unit_test(heartbeats_and_takeover_allocate_nothing),
  };
  return cmocka_run_group_tests_name("node/heartbeat_allocation", tests, nullptr, nullptr);
}
