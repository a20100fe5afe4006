// The whole simulated world: machines, wires, shells around the real cores, faults, the operator, and
// the one agenda that orders everything. The same scenario always gives the same run: every choice comes
// from one seeded generator, and nothing reads a clock.
#pragma once

#include <array>

#include "tests/sim/checker.hpp"
#include "tests/sim/codec.hpp"
#include "tests/sim/coverage.hpp"
#include "tests/sim/heap.hpp"
#include "tests/sim/host.hpp"
#include "tests/sim/network.hpp"
#include "tests/sim/scenario.hpp"
#include "tests/sim/trace.hpp"
#include "tests/sim/trial.hpp"

namespace vigil::sim {

struct RunResult {
  Violation violation;
  SimTime simulated_ns = 0;  // of the world; times nodes: node-time
  std::uint64_t steps = 0;   // of all cores
  std::uint64_t trace_hash = 0;
  std::size_t commits = 0;
  SimTime converged_ns = 0;   // from the end of the faults
  double converged_part = 0;  // of the bound
  double takeover_part = 0;   // of the exam's bound; 0: no exam
  TrialFigures trial;
};

class World {
 public:
  World();
  RunResult run(const Scenario& scenario, TraceMode mode);
  const Trace& trace() const { return trace_; }
  Coverage& coverage() { return coverage_; }

 private:
  // world.cpp: the agenda
  void prepare(const Scenario& scenario);
  void dispatch(const Entry& entry);
  void dispatch_local(const Entry& entry);
  void at(SimTime when, What what, NodeId node, std::uint32_t slot = 0, std::uint8_t link = 0);
  SimTime about(SimTime usual);
  bool chance(double percent) { return random_.chance(percent); }

  // frames.cpp: what travels
  template <typename Frame>
  void spread(Pool<Frame>& pool, std::uint32_t slot, What what, const Host& host, LinkIndex link, Network::Ear ear,
              std::size_t bytes, SimTime leaves);
  template <typename Frame>
  void encode_now_and_then(const Host& host, Frame& frame);
  void send_heartbeat(Host& host, const effect::SendHeartbeat& send);
  void send_ack(Host& host, const effect::SendAck& send);
  void send_message(Host& host, const effect::SendMessage& send);
  void arrive(const Entry& entry);
  void see(Host& host);
  void hear(Host& host, const Entry& entry);
  void hand_over(Host& host, const Entry& entry);
  void tell(Host& host, const Entry& entry);
  void notice(Host& host, What what, std::uint8_t link, std::uint32_t slot);
  bool believed(Host& host, NodeId from, std::uint32_t start, Incarnation incarnation);
  void drop_frame(const Entry& entry);
  SimTime send_off(Host& host, const Load& load);
  void take_in(Host& host, const Entry& entry);
  const Load& load_of(const Entry& entry);
  bool introduced(Host& host, const Entry& entry);

  // shell.cpp: a daemon's loop around its core
  void step(Host& host, const Event& event);
  void observe(Host& host);
  void observe_promise(Host& host);
  void observe_phases(Host& host);
  void arm(Host& host);
  void timer(Host& host);
  void carry_out(Host& host);
  void carry_out_one(Host& host, const Effect& effect);
  bool blocked(const Host& host) const { return host.paused || machines_[host.id].stopped; }
  void drain(Host& host);
  void pause(Host& host, SimTime length);
  void resume(Host& host);
  void stands_still(const Host& host, SimTime length);
  void wake(Host& host);
  void stop_machine(Host& host, SimTime length);
  void machine_goes_on(const Entry& entry);
  void let_machine_go_on(Host& host);
  void persist(Host& host, const effect::Persist& write);
  void persisted(const Entry& entry);
  void write_done(Host& host, std::uint64_t token, bool ok);
  void renew(Host& host, const effect::RenewLease& renewal);

  // jobs.cpp: what kernel and agent do for a daemon, and answer
  void begin_address(Host& host, AddressJob job);
  void address_begins(Host& host, std::uint32_t slot);
  void address_ended(const Entry& entry);
  void run_agent(Host& host, const effect::RunAgent& work);
  void script_begins(Host& host, std::uint32_t slot);
  void script_ended(const Entry& entry);
  void watch_application(Host& host, std::uint8_t group);
  void monitor(const Entry& entry);
  void agent_dies(Host& host);
  void agent_returns(Host& host);
  void application_dies(Host& host, std::uint8_t group);

  // register.cpp: the tie-breaker
  void use_register(Host& host, const effect::UseTieBreaker& use);
  void register_used(const Entry& entry);
  void register_answered(const Entry& entry);
  void register_fails(Host& host);
  void strike_register(Host& host);

  // keys.cpp: the cluster key and its rotation
  bool serves_by_key(const Host& host) const;
  void keys_start(Host& host);
  void keys_end(Host& host);
  void key_changed(Host& host);
  void write_keys(Host& host);
  void keys_stored(const Entry& entry);
  void keys_told(Host& host);
  void rotate_key(Host& host);
  bool may_tell_of_key(const Host& host, const KeyState& state) const;
  void tell_of_key(Host& host, KeyStep step, SimKey key);
  void follow_keys(Host& host);
  void follow_begun(Host& host, const KeyState& state);
  void follow_settled(Host& host, const KeyState& state);
  void send_under(Host& host, std::uint8_t id);
  void ask_for_key(Host& host, const KeyState& state);
  bool heard_of_key(Host& host, NodeId from, Incarnation incarnation, const Message& message);
  SimKey sealing_key(const Host& host) const;
  bool opens(Host& host, NodeId from, SimKey key);
  bool readable(Host& host, NodeId from, SimKey key) { return !scenario_.rotates || opens(host, from, key); }
  bool led_to(const Host& host, std::uint8_t next) const;
  void start_in_hearing(Host& host, const Host& other);
  void follow_frames(Host& host);
  void key_tick(Host& host);
  void copy_key_files(const Record& record);
  bool keys_are_settled(const Record& record, std::string& why) const;

  // wall_clocks.cpp
  std::int64_t wall_clock(const Host& host) const;
  void tell_own_clock(Host& host);
  void notice_clock(Host& host, NodeId of, Duration offset);
  void hear_clock(const Entry& entry);
  void greet(Host& host);
  void greet_again(Host& host);
  void set_clock(Host& host, std::int64_t error_ns);
  std::int64_t some_error();

  // life.cpp: starts and ends
  void power_on(Host& host);
  void start_daemon(Host& host);
  void gates_cleaned(Host& host);
  void cleaned(Host& host);
  void end_daemon(Host& host);
  void daemon_crash(Host& host, SimTime down);
  void machine_crash(Host& host, SimTime down);
  void start_afresh(Host& host, const effect::StartAfresh& afresh);
  void settle_writes(Host& host, bool all);
  void lose_writes(Host& host);

  // faults.cpp: what goes wrong
  void strike(const PlannedFault& fault);
  void strike(Fault fault);
  void strike_network(Fault fault);
  void spring_ambush(Host& host);
  bool ambushed_at(Host& host, const Message& message);
  void leave_survivors();
  void doom(NodeSet nodes);
  bool decides_alone(const Host& host) const;
  void strike_host(Fault fault, Host& host);
  void tell_carriers();
  void begin_network_fault(NetworkFault fault, SimTime length);
  void calm();
  SimTime some_time();
  SimTime any_time();
  SimTime work_time(const Host& host, SimTime usual);
  void use_other_file(Host& host);
  void roll_out_next_file();
  void change_file(Host& host);
  void strike_disk(Fault fault, Host& host);
  Host& some_host();
  NodeSet all_nodes() const;

  // operator.cpp: commands, and the question whether all is well
  void operate();
  void ask(Host& host, OperatorCommand command);
  void vouch(Host& host);
  void keep_down(const Host& host, const OperatorCommand& command);
  bool rule_is_settled(const Record& record) const;
  Host& some_dead_host();
  bool truthful(const OperatorCommand& command) const;
  void answered(Host& host, const effect::OperatorAnswer& answer);
  void look();
  void set_right();
  void reboot(Host& host);
  bool converged(std::string& why) const;

  // exam.cpp: one clean takeover at the end
  bool can_be_taken_over(std::size_t group, const Record& record) const;
  bool a_disk_failed_lately();
  SimTime tie_break_ns() const;
  bool begin_exam();
  void grade();

  // trial.cpp: a cluster of any size, taken through its changes one after another
  void look_at_trial();
  void begin_trial_step();
  void end_trial_step();
  void put_down(NodeSet nodes);
  void bring_back(NodeSet nodes);
  void part(NodeSet away);
  NodeSet pick(std::size_t count);
  void mark_trial();
  bool trial_step_done() const;

  bool group_serves(std::size_t group, const GroupState& state, std::string& why) const;

  Scenario scenario_;
  ClusterConfig other_file_;  // the same cluster by another version of its file
  Codec codec_;
  Machines machines_;
  Soundness soundness_;
  Checker checker_;
  Network network_;
  Trace trace_;
  Random random_{0};
  Agenda agenda_;
  SimTime now_ = 0;
  std::array<Host, max_sim_nodes> hosts_;
  std::size_t hosts_used_ = 0;  // by the last run
  Pool<HeartbeatFrame> heartbeats_;
  Pool<AckFrame> acks_;
  std::vector<Entry> seen_;  // by the look under way
  Pool<MessageFrame> messages_;
  Pool<PendingWrite> writes_;
  Pool<AddressJob> address_jobs_;
  Pool<AgentJob> agent_jobs_;
  Pool<RegisterUse> register_uses_;
  Epoch register_;  // for which the tie-breaker is won
  Effects effects_;
  Event event_;
  Event heartbeat_event_ = event::HeartbeatReceived{};  // most events by far: filled in place
  bool calm_ = false;
  bool other_file_in_force_ = false;  // to which all nodes come in the end
  enum class Ambush : std::uint8_t { none, at_accept, at_commit, at_win };
  Ambush ambush_ = Ambush::none;
  SimTime calm_at_ = 0;
  bool done_ = false;
  SimTime converged_at_ = 0;
  SimTime exam_began_ = 0;
  SimTime exam_taken_ = 0;
  SimTime exam_bound_ = 1;
  NodeId exam_owner_ = no_node;
  std::uint32_t exam_groups_ = 0;  // bit i: group i is asked about
  Trial trial_;
  Coverage coverage_;
  std::uint64_t steps_ = 0;
};

}  // namespace vigil::sim
