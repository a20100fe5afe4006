#include "runtime/node/arbiter_opener.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/base/assert.hpp"

namespace vigil {

namespace {

// The parser of cluster.toml nests.
constexpr std::size_t stack_bytes = 1024 * 1024;

DaemonOptions options_of(const ArbiterFile& file, const ArbiterOptions& options) {
  DaemonOptions own;
  own.self = file.self;
  own.boot_id = options.boot_id;
  own.state_directory = directory_of(options, *file.config);
  own.control_path = options.run_directory + "/" + file.config->name.str() + ".sock";
  return own;
}

std::string line_name(const ClusterConfig& config) { return "vigil-arbiter: " + config.name.str(); }

}  // namespace

std::string directory_of(const ArbiterOptions& options, const ClusterConfig& config) {
  return options.state_directory + "/" + config.name.str();
}

ArbiterSeat::ArbiterSeat(ArbiterFile which, std::unique_ptr<wire::KeyRing> keys, const ArbiterOptions& options)
    : file(std::move(which)),
      identity(identity_of(file)),
      log(line_name(config())),
      key_ring(std::move(keys)),
      machine(config(), file.self, directory_of(options, config()), line_name(config()), log),
      node(config(), options_of(file, options), *key_ring, machine, log) {}

ArbiterOpener::ArbiterOpener(const ArbiterOptions& options, OpenerListener& listener)
    : options_(options),
      listener_(listener),
      asked_(::eventfd(0, EFD_CLOEXEC)),
      done_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      thread_(stack_bytes, &ArbiterOpener::run, this) {}

ArbiterOpener::~ArbiterOpener() {
  stopping_.store(true, std::memory_order_release);
  ring_bell(asked_.get());
}

Status ArbiterOpener::attach(Ring& ring) { return source_.hold(ring, ring.watch(done_.get(), EPOLLIN, *this)); }

void ArbiterOpener::begin(ArbiterJob job) {
  VIGIL_ASSERT(!busy());
  job_ = std::move(job);
  state_.store(State::asked, std::memory_order_release);
  ring_bell(asked_.get());
}

void* ArbiterOpener::run(void* opener) {
  static_cast<ArbiterOpener*>(opener)->work();
  return nullptr;
}

void ArbiterOpener::work() {
  while (!stopping_.load(std::memory_order_acquire)) {
    std::uint64_t count = 0;
    (void)!::read(asked_.get(), &count, sizeof count);
    if (state_.load(std::memory_order_acquire) != State::asked) continue;
    news_ = do_job();
    state_.store(State::done, std::memory_order_release);
    ring_bell(done_.get());
  }
}

void ArbiterOpener::on_ready(std::uint32_t, std::uint32_t) {
  std::uint64_t count = 0;
  (void)!::read(done_.get(), &count, sizeof count);
  if (state_.load(std::memory_order_acquire) != State::done) return;
  ArbiterNews news = std::move(news_);
  news_ = {};
  state_.store(State::idle, std::memory_order_release);
  listener_.on_news(std::move(news));
}

// ---- the thread's ----------------------------------------------------------------------------------

void ArbiterOpener::say(ArbiterNews& news, LogLevel level, const std::string& text) {
  if (said_.insert(text).second) news.lines.push_back({level, text});
}

ArbiterNews ArbiterOpener::do_job() {
  ArbiterNews news;
  job_.ended.clear();
  if (job_.reread) {
    said_.clear();
    found_ = find_cluster_files(options_.arguments);
  }
  ArbiterReading reading = read_cluster_files(found_, job_.running, options_.host);
  for (const std::string& line : reading.problems) say(news, LogLevel::error, line);
  for (const std::string& line : reading.warnings) say(news, LogLevel::warning, line);
  const ClusterPlan plan = plan_clusters(reading, job_.running);
  for (const std::size_t i : plan.start) open_cluster(std::move(reading.clusters[i]), news);
  news.missing = news.missing || !reading.unreadable.empty();
  // What runs is left alone until somebody asks for it: a file may be half written.
  if (!job_.reread) return news;
  news.leave = plan.leave;
  for (const std::string& name : plan.kept)
    say(news, LogLevel::warning, "cluster '" + name + "' goes on as it is until its file can be used again");
  return news;
}

void ArbiterOpener::open_cluster(ArbiterFile file, ArbiterNews& news) {
  const std::string where = file.path + ": cluster '" + file.config->name.str() + "' is not served: ";
  const std::string directory = directory_of(options_, *file.config);
  const auto refuse = [&](const std::string& why) {
    news.missing = true;
    say(news, LogLevel::error, where + why);
  };
  if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST)
    return refuse(Error::from_errno("make the directory " + directory, errno).message);
  Result<KeySet> keys = load_keys(file.config->key_file.str(), ::geteuid());
  if (!keys) return refuse(keys.error().message);
  auto key_ring = std::make_unique<wire::KeyRing>();
  if (const Status accepted = accept_keys(*keys, *key_ring); !accepted) return refuse(accepted.error().message);
  auto seat = std::make_unique<ArbiterSeat>(std::move(file), std::move(key_ring), options_);
  if (const Status opened = seat->node.open(std::move(keys).value()); !opened) return refuse(opened.error().message);
  news.opened.push_back(std::move(seat));
}

}  // namespace vigil
