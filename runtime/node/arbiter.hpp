// vigil-arbiter: the votes of one machine in many clusters, each with its own node, keys, state, journal, control
// socket and life, on one loop. It decides which of them are here: at the start and at SIGHUP as the files say
// (arbiter_files.hpp), and again after a while for those that could not be started. A cluster leaves in good order
// when its file is gone, and starts anew when it has changed; nothing that befalls one of them ends the process.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "runtime/node/arbiter_opener.hpp"
#include "runtime/node/node_loop.hpp"

namespace vigil {

class Arbiter : private OpenerListener, private RingHandler {
 public:
  Arbiter(ArbiterOptions options, Log& log);
  ~Arbiter() override;
  // Everything that must be there before the process turns real-time.
  Status set_up();
  // Until all have left after SIGTERM. The process's exit status.
  int run();

 private:
  using Seats = std::vector<std::unique_ptr<ArbiterSeat>>;

  void on_news(ArbiterNews news) override;
  void on_signal(std::uint32_t tag, const SignalNews& news) override;
  void start(std::unique_ptr<ArbiterSeat> seat);
  void ask_to_leave(ArbiterSeat& seat);
  void tend(Instant now);
  void let_go(std::unique_ptr<ArbiterSeat> seat, Instant now);
  void begin_job(Instant now);
  Instant next_deadline() const;
  bool over() const;

  ArbiterOptions options_;
  Log& log_;
  Seats seats_;                          // on the loop
  Seats retired_;                        // off it; a write of the state file may be under way
  std::vector<RunningCluster> resting_;  // an operator stopped them: they start again when the files are reread
  std::unique_ptr<NodeLoop> loop_;
  std::unique_ptr<ArbiterOpener> opener_;
  bool reread_ = true;  // a job to do
  Instant retry_at_ = Instant::never();
  Instant look_at_ = Instant::never();
  unsigned stops_asked_ = 0;
};

}  // namespace vigil
