// One node of one cluster, put together: its pure core between the loop, the links, the machine, the state
// file, the keys and the control socket. It turns what happens into events for the core, carries out the
// effects in order, and decides nothing itself. vigild runs one of these, vigil-arbiter one for each cluster;
// a NodeLoop gives them their turns.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/core/node_core.hpp"
#include "runtime/loop/lateness.hpp"
#include "runtime/loop/ring.hpp"
#include "runtime/node/control_server.hpp"
#include "runtime/node/journal.hpp"
#include "runtime/node/journal_merge.hpp"
#include "runtime/node/key_keeper.hpp"
#include "runtime/node/log.hpp"
#include "runtime/node/machine.hpp"
#include "runtime/node/state_file.hpp"
#include "runtime/node/transport.hpp"

namespace vigil {

struct DaemonOptions {
  NodeId self = no_node;
  std::uint64_t boot_id = 0;
  std::string state_directory;
  std::string control_path;
};

class Daemon : private TransportListener,
               private MachineListener,
               private StateFileListener,
               private ControlSource,
               private KeyListener,
               private MergeListener,
               public RingHandler,
               public WakeListener {
 public:
  // `key_ring` accepts the keys of the file (accept_keys), and outlives the daemon.
  Daemon(const ClusterConfig& config, const DaemonOptions& options, wire::KeyRing& key_ring, Machine& machine, Log& log);
  ~Daemon() override;

  // Reads and opens what it needs, and may wait for disks meanwhile. An error says what to do about it.
  Status open(KeySet keys);
  // Starts: from now on it has its turns, until it ended. Heartbeats come by `quiet`.
  Status attach(Ring& ring, Ring& quiet);
  Instant next_deadline() const;
  void on_timer(Instant now);
  void on_wake(const WakeUp& wake) override;
  // The quiet ring was drained: what follows from all that was heard.
  void conclude();

  // Leaves in good order; asked again, at once.
  void ask_to_stop();
  // The node has left, or must not go on.
  bool ended() const { return end_ != End::none; }
  bool left() const { return end_ == End::left; }
  // After its end: nothing of it stays in the loop but a write of the state file, if one is under way.
  void detach();
  bool writing() const { return state_->writing(); }

  const ClusterConfig& config() const { return config_; }

 private:
  enum class End : std::uint8_t { none, left, failed };

  // Events come from handlers in the middle of a step, too: they wait their turn.
  void feed(const Event& event);
  void process(const Event& event);
  void hear(const Event& event);
  void carry_out(const Effect& effect);
  void start_core();
  void start_afresh(std::string_view why);
  void ask_clean();
  void record(JournalEntry entry);
  void keep(const JournalEntry& entry);
  void share_entries(unsigned most);
  void advance_journal(Instant now);
  void keep_house(Instant now);
  void tell_time(Instant now);
  void follow_keys();
  KeyContext key_context() const;
  void log_entry(const JournalEntry& entry);
  void load_journal();

  // TransportListener
  void on_heartbeat(NodeId from, LinkIndex by, const Heartbeat& heartbeat, Instant arrived) override;
  void on_ack(NodeId from, LinkIndex by, const Incarnation& incarnation, const HeartbeatAck& ack,
              Instant arrived) override;
  void on_message(NodeId from, const Incarnation& incarnation, const Message& message) override;
  void on_hello(NodeId from, Instant received, const wire::Hello& hello) override;
  void on_refused(const Refusal& refusal) override;
  void on_own_id_taken(bool yield) override;
  void on_line_state(AdapterIndex adapter, bool usable) override;
  // AddressListener
  void on_address_event(const Event& event) override;
  void on_adapter_back(AdapterIndex adapter) override;
  // AgentListener
  void on_agent_event(const Event& event) override;
  void on_agent_ready() override;
  void on_agent_cleaned(bool ok) override;
  void on_hook_problem(EventName problem, EventName event, GroupIndex group, std::string_view text) override;
  void on_launcher_gone() override;
  // StateFileListener
  void on_stored(std::uint64_t token, bool ok) override;
  // ControlSource
  void describe(NodeStatus& status) override;
  void on_operator(std::uint64_t id, const OperatorCommand& command) override;
  void on_rotate(std::uint64_t id, std::span<const std::uint8_t> given) override;
  // KeyListener
  void send_of_keys(NodeId to, const Message& message) override;
  void on_rotation_answer(std::uint64_t operation, bool accepted, std::string_view text) override;
  void on_keys_changed() override;
  const Journal& views() const override { return views_; }
  void merge_views() override;
  // MergeListener
  void send_ask(NodeId to, const JournalAsk& ask) override;
  void on_merged_entry(const JournalEntry& entry) override;
  void on_merged(NodeSet reached) override;
  // RingHandler
  void on_signal(std::uint32_t tag, const SignalNews& news) override;

  const ClusterConfig& config_;
  DaemonOptions options_;
  Log& log_;
  Incarnation incarnation_;
  LatenessMeter lateness_;
  Journal journal_;
  Journal views_;                   // entries about membership, those of others that a merge brought too
  std::uint64_t run_;               // of this process: positions in views_ mean something within one
  JournalMerge merge_;
  Instant merge_at_ = Instant::never();
  std::uint64_t next_share_ = 0;    // position in journal_
  Instant share_at_ = Instant::never();
  std::unique_ptr<StateFile> state_;
  wire::KeyRing& key_ring_;
  std::unique_ptr<KeyKeeper> keys_;
  Stamp keys_followed_;
  KeyState keys_stored_;
  Transport transport_;
  Machine& machine_;
  std::unique_ptr<ControlServer> control_;
  std::unique_ptr<NodeCore> core_;
  std::unique_ptr<Effects> effects_;
  std::size_t waiting_limit_;
  std::vector<Event> waiting_;      // what steps caused, in order; reserved once
  std::size_t processed_ = 0;       // of these
  bool stepping_ = false;
  bool heard_ = false;              // something that no step has concluded from
  bool afresh_wanted_ = false;
  BoundedString<95> afresh_why_;
  bool cleaned_ = false;            // nothing of an earlier life runs
  Instant next_housekeeping_;
  Instant settled_at_;              // by then this life has listened whether its id is taken
  Duration told_offset_;            // of the wall clock, when it was last told to everybody
  Instant next_greeting_;
  Instant own_id_taken_;            // when another machine last proved to run under our id
  Instant clean_again_ = Instant::never();
  std::uint64_t life_ = 0;          // counts cores: an answer to an earlier one's write is not for this one
  std::uint64_t own_journal_ = 0;   // numbers entries that the shell itself writes
  unsigned stops_asked_ = 0;
  End end_ = End::none;
};

}  // namespace vigil
