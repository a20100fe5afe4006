// The control socket from end to end: the daemon's server on its loop in one thread, the tools' client in
// another, a real socket between them. And clients that behave badly, byte by byte.
#include "runtime/node/control_server.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <deque>
#include <functional>
#include <future>
#include <mutex>
#include <optional>
#include <thread>

#include "tests/unit/node/fixture.hpp"
#include "tests/unit/tools/sample.hpp"
#include "tools/client/client.hpp"
// Last: cmocka's macros (fail, …) bite the standard library.
#include "tests/unit/cmocka.hpp"

using namespace vigil;
using namespace vigil::test;

namespace {

// A daemon as far as its control socket goes. Everything of it happens in its own thread.
class Server : private ControlSource {
 public:
  explicit Server(bool with_sample_journal = true)
      : path(directory / "control.sock"), config_(sample::config()), status_(sample::status()) {
    if (with_sample_journal)
      for (const JournalEntry& entry : sample::journal()) journal_.add(entry);
    if (with_sample_journal)
      for (const JournalEntry& entry : sample::journal())
        if (about_membership(entry)) views_.add(entry);
    std::promise<std::string> started;
    std::future<std::string> result = started.get_future();
    thread_ = std::thread([this, &started] { serve(started); });
    error = result.get();
  }
  ~Server() { stop(); }

  // Runs this in the daemon's thread, and waits until it is done.
  void inside(const std::function<void()>& work) {
    std::promise<void> done;
    {
      const std::scoped_lock lock(mutex_);
      work_.push_back([&] {
        work();
        done.set_value();
      });
    }
    done.get_future().wait();
  }
  void add(const JournalEntry& entry) {
    inside([&] {
      journal_.add(entry);
      server_->on_journal();
    });
  }
  // Many at once, of which the followers hear together.
  void add_many(const std::vector<JournalEntry>& entries) {
    inside([&] {
      for (const JournalEntry& entry : entries) journal_.add(entry);
      server_->on_journal();
    });
  }
  void merged(NodeSet reached) {
    inside([&] { server_->on_views(reached); });
  }
  void answer(std::uint64_t id, bool accepted, std::string_view text) {
    inside([&] { server_->answer(id, accepted, text); });
  }
  void stop() {
    over_ = true;
    if (thread_.joinable()) thread_.join();
  }
  const ClusterConfig& config() const { return *config_; }

  Directory directory;
  const std::string path;
  std::string error;
  std::atomic<int> asked{0};
  std::atomic<std::uint64_t> last_id{0};
  OperatorCommand last_command;
  std::vector<std::uint8_t> given_key;
  std::atomic<bool> answer_at_once{true};
  std::atomic<int> merges{0};
  std::atomic<bool> merge_at_once{true};

 private:
  void serve(std::promise<std::string>& started) {
    Result<std::unique_ptr<Ring>> ring = Ring::create();
    if (!ring) return started.set_value(ring.error().message);
    Log log;
    Result<std::unique_ptr<ControlServer>> server = ControlServer::open(path, *config_, journal_, log, *this);
    if (!server) return started.set_value(server.error().message);
    server_ = std::move(server).value();
    if (const Status attached = server_->attach(**ring); !attached) return started.set_value(attached.error().message);
    started.set_value({});
    while (!over_) {
      if (!(*ring)->run_once(boottime_now() + Duration::from_ms(2))) return;
      for (;;) {
        std::function<void()> work;
        {
          const std::scoped_lock lock(mutex_);
          if (work_.empty()) break;
          work = std::move(work_.front());
          work_.pop_front();
        }
        work();
      }
    }
    server_.reset();
  }
  void describe(NodeStatus& status) override { status = *status_; }
  void on_operator(std::uint64_t id, const OperatorCommand& command) override {
    last_command = command;
    last_id = id;
    ++asked;
    if (answer_at_once) server_->answer(id, true, "web moves to gamma");
  }
  void on_rotate(std::uint64_t id, std::span<const std::uint8_t> given) override {
    given_key.assign(given.begin(), given.end());
    ++asked;
    server_->answer(id, true, "key 2 is made");
  }
  const Journal& views() const override { return views_; }
  void merge_views() override {
    ++merges;
    if (merge_at_once) server_->on_views(NodeSet::of(0) | NodeSet::of(1));
  }

  std::unique_ptr<ClusterConfig> config_;
  std::unique_ptr<NodeStatus> status_;
  Journal journal_;
  Journal views_;
  std::unique_ptr<ControlServer> server_;
  std::mutex mutex_;
  std::deque<std::function<void()>> work_;
  std::atomic<bool> over_{false};
  std::thread thread_;
};

// A client without manners.
struct Raw {
  explicit Raw(const std::string& path) : fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    connected = ::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  bool send(std::span<const std::byte> bytes) {
    return ::send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size());
  }
  bool ask(const control::Request& request) {
    std::array<std::byte, control::packet_bytes> packet;
    return send(std::span(packet).first(control::encode(request, packet)));
  }
  // The next record; false: the connection ended, or nothing came for two seconds.
  bool hear(control::Reply& reply) {
    pollfd waiting{fd.get(), POLLIN, 0};
    if (::poll(&waiting, 1, 2'000) <= 0) return false;
    std::array<std::byte, control::packet_bytes> packet;
    const ssize_t size = ::recv(fd.get(), packet.data(), packet.size(), 0);
    return size > 0 &&
           control::decode(std::span(packet).first(static_cast<std::size_t>(size)), reply) == control::Fault::none;
  }
  // Why it was refused; nullopt: it was not.
  std::optional<control::reply::Refusal> refusal() {
    control::Reply reply;
    if (!hear(reply)) return std::nullopt;
    const auto* refused = std::get_if<control::reply::Refused>(&reply);
    return refused == nullptr ? std::nullopt : std::optional(refused->why);
  }
  bool ended() {
    pollfd waiting{fd.get(), POLLIN, 0};
    char byte = 0;
    return ::poll(&waiting, 1, 2'000) > 0 && ::recv(fd.get(), &byte, 1, 0) <= 0;
  }
  Fd fd;
  bool connected = false;
};

std::vector<JournalEntry> entries_from(std::uint64_t sequence, std::size_t count) {
  std::vector<JournalEntry> entries(count, sample::journal().front());
  for (JournalEntry& entry : entries) {
    entry.sequence = sequence++;
    entry.text = std::string_view("entry number " + std::to_string(entry.sequence));
  }
  return entries;
}

// ---- questions and answers --------------------------------------------------------------------------

void the_status_arrives_whole(void**) {
  Server server;
  assert_string_equal(server.error.c_str(), "");
  auto client = control::Client::connect(server.path);
  assert_true(client.ok());
  const auto picture = client->status();
  assert_true(picture.ok());
  const control::ClusterPicture expected = sample::picture(server.config(), *sample::status());
  assert_true(picture->cluster == expected.cluster);
  assert_int_equal(picture->nodes.size(), 3);
  assert_int_equal(picture->groups.size(), 2);
  assert_true(picture->nodes == expected.nodes);
  assert_true(picture->groups == expected.groups);
  assert_true(picture->adapters == expected.adapters);
  // Again, and something else, over the same connection.
  assert_true(client->status().ok());
  const auto names = client->names();
  assert_true(names.ok());
  assert_string_equal(names->cluster.c_str(), "demo");
  assert_int_equal(names->nodes.size(), 3);
  assert_int_equal(names->groups.size(), 2);
  assert_int_equal(names->networks.size(), 3);
  const auto version = client->version();
  assert_true(version.ok());
  assert_true(version->release == control::release);
}

void the_journal_is_filtered(void**) {
  Server server;
  auto client = control::Client::connect(server.path);
  assert_true(client.ok());
  const std::vector<JournalEntry> all = sample::journal();
  struct Row {
    control::request::GetJournal request;
    std::size_t entries;
  };
  std::size_t about_web = 0;
  for (const JournalEntry& entry : all) about_web += entry.group == 0 || entry.group == no_index;
  std::size_t since = 0;
  for (const JournalEntry& entry : all) since += entry.wall_ns >= sample::wall_ns;
  const Row rows[] = {
      {{}, all.size()},   {{"web", 0, 0}, about_web},   {{"", sample::wall_ns, 0}, since}, {{"", 0, 3}, 3},
      {{"web", 0, 2}, 2}, {{"", 0, 1'000}, all.size()}, {{"", sample::wall_ns * 2, 0}, 0},
  };
  for (const Row& row : rows) {
    const auto entries = client->journal(row.request);
    assert_true(entries.ok());
    assert_int_equal(entries->size(), row.entries);
  }
  const auto last = client->journal({"", 0, 1});
  assert_true(last.ok());
  assert_true((*last)[0].entry.text == all.back().text);
  assert_string_equal((*last)[0].node.c_str(), "beta");
}

void view_changes_are_answered_when_they_are_merged(void**) {
  Server server;
  auto client = control::Client::connect(server.path);
  assert_true(client.ok());
  std::size_t about = 0;
  for (const JournalEntry& entry : sample::journal()) about += about_membership(entry);
  auto told = client->views();
  assert_true(told.ok());
  assert_int_equal(server.merges, 1);
  assert_int_equal(told->entries.size(), about);
  assert_int_equal(told->nodes.size(), 3);
  assert_true(told->nodes[1].reached);
  assert_false(told->nodes[2].reached);
  assert_string_equal(told->nodes[2].node.c_str(), "gamma");
  assert_int_equal(told->nodes[0].entries + told->nodes[1].entries + told->nodes[2].entries, about);
  // Not before: others who ask meanwhile wait with the first one, and are answered together.
  server.merge_at_once = false;
  Raw first(server.path);
  Raw second(server.path);
  assert_true(first.ask(control::request::GetViews{}) && second.ask(control::request::GetViews{}));
  for (int turns = 0; server.merges < 3 && turns < 2'000; ++turns) ::usleep(1'000);
  assert_int_equal(server.merges, 3);
  pollfd waiting{first.fd.get(), POLLIN, 0};
  assert_int_equal(::poll(&waiting, 1, 20), 0);
  server.merged(NodeSet::of(1));
  for (Raw* each : {&first, &second}) {
    control::Reply reply;
    std::size_t records = 0;
    bool ended = false;
    while (!ended && each->hear(reply)) {
      ++records;
      ended = std::holds_alternative<control::reply::End>(reply);
    }
    assert_true(ended);
    assert_int_equal(records, about + 3 + 1);
  }
}

// Many packets, a bounded number of them at each turn of the loop.
void a_long_journal_arrives_whole(void**) {
  Server server(false);
  server.add_many(entries_from(1'000'001, 3'000));
  auto client = control::Client::connect(server.path);
  assert_true(client.ok());
  const auto entries = client->journal({});
  assert_true(entries.ok());
  assert_int_equal(entries->size(), 3'000);
  for (std::size_t i = 0; i < entries->size(); ++i) assert_int_equal((*entries)[i].entry.sequence, 1'000'001 + i);
}

void a_follower_hears_what_happens(void**) {
  Server server;
  std::promise<void> caught_up;
  std::vector<std::string> heard;
  std::thread follower([&] {
    auto client = control::Client::connect(server.path);
    if (!client) return caught_up.set_value();
    (void)client->follow({"", 2}, [&](const control::reply::Journal& each) {
      heard.push_back(each.entry.text.str());
      if (heard.size() == 2) caught_up.set_value();
      return heard.size() < 5;
    });
  });
  caught_up.get_future().wait();
  JournalEntry entry = sample::journal().front();
  for (std::uint64_t i = 1; i <= 3; ++i) {
    entry.sequence = 500'000 + i;
    entry.text = std::string_view("news " + std::to_string(i));
    server.add(entry);
  }
  follower.join();
  assert_int_equal(heard.size(), 5);
  assert_string_equal(heard[1].c_str(), sample::journal().back().text.c_str());
  assert_string_equal(heard[2].c_str(), "news 1");
  assert_string_equal(heard[4].c_str(), "news 3");
}

void a_follower_of_one_group_hears_nothing_of_others(void**) {
  Server server;
  Raw follower(server.path);
  assert_true(follower.ask(control::request::Follow{"web", 1}));
  control::Reply reply;
  assert_true(follower.hear(reply));  // the newest there was: now it follows
  JournalEntry entry = sample::journal().front();
  entry.sequence = 600'001;
  entry.group = 1;
  entry.text = "about db";
  server.add(entry);
  entry.sequence = 600'002;
  entry.group = 0;
  entry.text = "about web";
  server.add(entry);
  assert_true(follower.hear(reply));
  const auto* told = std::get_if<control::reply::Journal>(&reply);
  assert_non_null(told);
  assert_string_equal(told->entry.text.c_str(), "about web");
}

// ---- operators --------------------------------------------------------------------------------------

void an_operators_word_goes_to_the_core_and_back(void**) {
  Server server;
  auto client = control::Client::connect(server.path);
  assert_true(client.ok());
  const auto answer = client->operate({OperatorVerb::move_group, "web", "gamma"});
  assert_true(answer.ok());
  assert_true(answer->accepted);
  assert_string_equal(answer->text.c_str(), "web moves to gamma");
  assert_int_equal(server.asked, 1);
  assert_int_equal(server.last_command.verb, OperatorVerb::move_group);
  assert_int_equal(server.last_command.group, 0);
  assert_int_equal(server.last_command.node, 2);
}

void a_new_key_goes_to_the_daemon(void**) {
  Server server;
  auto client = control::Client::connect(server.path);
  assert_true(client.ok());
  auto answer = client->rotate_key({});
  assert_true(answer.ok());
  assert_true(answer->accepted);
  assert_int_equal(server.given_key.size(), 0);
  std::array<std::uint8_t, 32> key{};
  key.fill(7);
  answer = client->rotate_key(key);
  assert_true(answer.ok());
  assert_string_equal(answer->text.c_str(), "key 2 is made");
  assert_int_equal(server.given_key.size(), key.size());
  assert_memory_equal(server.given_key.data(), key.data(), key.size());
  // Members of the group may look, and may not ask for this.
  assert_false(control::permits(control::Right::read, control::request::RotateKey{}));
}

void an_answer_may_take_its_time(void**) {
  Server server;
  server.answer_at_once = false;
  std::thread coordinator([&] {
    while (server.asked == 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));
    server.answer(server.last_id + 50, true, "somebody else's");
    server.answer(server.last_id, false, "beta is standby");
  });
  auto client = control::Client::connect(server.path);
  assert_true(client.ok());
  const auto answer = client->operate({OperatorVerb::move_group, "web", "beta"});
  coordinator.join();
  assert_true(answer.ok());
  assert_false(answer->accepted);
  assert_string_equal(answer->text.c_str(), "beta is standby");
}

void an_answer_for_nobody_harms_nobody(void**) {
  Server server;
  server.answer_at_once = false;
  {
    Raw impatient(server.path);
    assert_true(impatient.ask(control::request::Operate{OperatorVerb::group_offline, "web", ""}));
    while (server.asked == 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  server.answer(server.last_id, true, "too late");
  // Its place is somebody else's now, who did not ask.
  Raw other(server.path);
  server.answer(server.last_id, true, "too late again");
  assert_true(other.ask(control::request::GetVersion{}));
  control::Reply reply;
  assert_true(other.hear(reply));
  assert_true(std::holds_alternative<control::reply::Version>(reply));
}

void unknown_names_are_refused_with_a_word(void**) {
  Server server;
  auto client = control::Client::connect(server.path);
  assert_true(client.ok());
  const auto answer = client->operate({OperatorVerb::move_group, "wbe", "gamma"});
  assert_false(answer.ok());
  assert_int_equal(answer.error().code, 0);
  assert_non_null(std::strstr(answer.error().message.c_str(), "wbe"));
  assert_int_equal(server.asked, 0);
  assert_false(client->journal({"nothing", 0, 0}).ok());
  assert_true(client->status().ok());  // the connection goes on
}

// ---- bad manners ------------------------------------------------------------------------------------

void packets_that_are_none_are_refused(void**) {
  Server server;
  std::array<std::byte, control::packet_bytes> packet{};
  const std::size_t size = control::encode(control::Request(control::request::GetVersion{}), packet);
  struct Row {
    const char* what;
    std::vector<std::byte> bytes;
    control::reply::Refusal why;
  };
  std::vector<std::byte> good(packet.begin(), packet.begin() + static_cast<std::ptrdiff_t>(size));
  std::vector<std::byte> other_version = good;
  other_version[0] = std::byte{9};
  std::vector<std::byte> longer = good;
  longer.push_back(std::byte{0});
  const Row rows[] = {
      {"one byte", {std::byte{control::protocol_version}}, control::reply::Refusal::malformed},
      {"an unknown kind", {std::byte{control::protocol_version}, std::byte{99}}, control::reply::Refusal::malformed},
      {"something left over", longer, control::reply::Refusal::malformed},
      {"another version", other_version, control::reply::Refusal::version},
      {"larger than any", std::vector<std::byte>(control::packet_bytes + 500, std::byte{control::protocol_version}),
       control::reply::Refusal::malformed},
  };
  for (const Row& row : rows) {
    Raw client(server.path);
    assert_true(client.send(row.bytes));
    const auto why = client.refusal();
    if (why != row.why) print_error("not refused as it should be: %s\n", row.what);
    assert_true(why.has_value());
    assert_int_equal(*why, row.why);
    assert_true(client.ask(control::request::GetVersion{}));  // and it may go on
    control::Reply reply;
    assert_true(client.hear(reply));
    assert_true(std::holds_alternative<control::reply::Version>(reply));
  }
}

void a_second_question_before_the_answer_ends_it(void**) {
  Server server;
  server.answer_at_once = false;
  Raw client(server.path);
  assert_true(client.ask(control::request::Operate{OperatorVerb::group_offline, "web", ""}));
  assert_true(client.ask(control::request::GetVersion{}));
  assert_true(client.ended());
}

void there_is_room_for_sixteen(void**) {
  Server server;
  std::vector<std::unique_ptr<Raw>> clients;
  for (int i = 0; i < 16; ++i) {
    clients.push_back(std::make_unique<Raw>(server.path));
    assert_true(clients.back()->connected);
    assert_true(clients.back()->ask(control::request::Follow{"", 1}));
    control::Reply reply;
    assert_true(clients.back()->hear(reply));
  }
  Raw late(server.path);
  const auto why = late.refusal();
  assert_true(why.has_value());
  assert_int_equal(*why, control::reply::Refusal::busy);
  clients.erase(clients.begin() + 3);
  server.inside([] {});
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  Raw again(server.path);
  assert_true(again.ask(control::request::GetVersion{}));
  control::Reply reply;
  assert_true(again.hear(reply));
  assert_true(std::holds_alternative<control::reply::Version>(reply));
}

// A follower that never reads: the journal overtakes it, the others do not wait, the loop goes on.
void a_client_that_does_not_read_holds_up_nobody(void**) {
  Server server;
  Raw lazy(server.path);
  assert_true(lazy.ask(control::request::Follow{"", 1}));
  control::Reply reply;
  assert_true(lazy.hear(reply));
  for (std::uint64_t i = 0; i < 60; ++i) server.add_many(entries_from(700'001 + i * 100, 100));
  auto client = control::Client::connect(server.path);
  assert_true(client.ok());
  assert_true(client->status().ok());
  // When it reads at last it gets what is still there, in order, the newest included.
  std::uint64_t last = 0;
  while (last < 706'000 && lazy.hear(reply)) {
    const auto* told = std::get_if<control::reply::Journal>(&reply);
    assert_non_null(told);
    assert_true(told->entry.sequence > last);
    last = told->entry.sequence;
  }
  assert_int_equal(last, 706'000);
}

// ---- the socket itself ------------------------------------------------------------------------------

void the_socket_is_for_root_and_the_group_alone(void**) {
  Server server;
  struct stat about {};
  assert_int_equal(::stat(server.path.c_str(), &about), 0);
  assert_true(S_ISSOCK(about.st_mode));
  assert_int_equal(about.st_mode & 0777, control::control_socket_mode);
}

void the_socket_goes_with_the_daemon(void**) {
  Server server;
  auto client = control::Client::connect(server.path);
  assert_true(client.ok());
  server.stop();
  struct stat about {};
  assert_int_not_equal(::stat(server.path.c_str(), &about), 0);
  const auto status = client->status();
  assert_false(status.ok());
  assert_int_not_equal(status.error().code, 0);  // not an answer
  assert_false(control::Client::connect(server.path).ok());
}

class Nobody : public ControlSource {
 public:
  void describe(NodeStatus&) override {}
  void on_operator(std::uint64_t, const OperatorCommand&) override {}
  void on_rotate(std::uint64_t, std::span<const std::uint8_t>) override {}
  const Journal& views() const override { return views_; }
  void merge_views() override {}

 private:
  Journal views_;
};

void what_an_earlier_daemon_left_is_replaced(void**) {
  Directory directory;
  const auto config = sample::config();
  Journal journal;
  Log log;
  Nobody nobody;
  put(directory / "control.sock", "stale");
  auto server = ControlServer::open(directory / "control.sock", *config, journal, log, nobody);
  assert_true(server.ok());
  struct stat about {};
  assert_int_equal(::stat((directory / "control.sock").c_str(), &about), 0);
  assert_true(S_ISSOCK(about.st_mode));
}

void paths_that_cannot_be_are_told(void**) {
  const auto config = sample::config();
  Journal journal;
  Log log;
  Nobody nobody;
  for (const std::string& path : {"/tmp/" + std::string(200, 'x'), std::string("/nonexistent/vigil/control.sock")}) {
    auto server = ControlServer::open(path, *config, journal, log, nobody);
    assert_false(server.ok());
    assert_non_null(std::strstr(server.error().message.c_str(), path.c_str()));
  }
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(the_status_arrives_whole),
      cmocka_unit_test(the_journal_is_filtered),
      cmocka_unit_test(view_changes_are_answered_when_they_are_merged),
      cmocka_unit_test(a_long_journal_arrives_whole),
      cmocka_unit_test(a_follower_hears_what_happens),
      cmocka_unit_test(a_follower_of_one_group_hears_nothing_of_others),
      cmocka_unit_test(an_operators_word_goes_to_the_core_and_back),
      cmocka_unit_test(a_new_key_goes_to_the_daemon),
      cmocka_unit_test(an_answer_may_take_its_time),
      cmocka_unit_test(an_answer_for_nobody_harms_nobody),
      cmocka_unit_test(unknown_names_are_refused_with_a_word),
      cmocka_unit_test(packets_that_are_none_are_refused),
      cmocka_unit_test(a_second_question_before_the_answer_ends_it),
      cmocka_unit_test(there_is_room_for_sixteen),
      cmocka_unit_test(a_client_that_does_not_read_holds_up_nobody),
      cmocka_unit_test(the_socket_is_for_root_and_the_group_alone),
      cmocka_unit_test(the_socket_goes_with_the_daemon),
      cmocka_unit_test(what_an_earlier_daemon_left_is_replaced),
      cmocka_unit_test(paths_that_cannot_be_are_told),
  };
  return cmocka_run_group_tests_name("node/control_server", tests, nullptr, nullptr);
}
