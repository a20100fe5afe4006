// Which processes of an earlier life are killed, and which are left alone.
#include "runtime/agent/leftover_runs.hpp"

#include <sys/prctl.h>
#include <sys/wait.h>

#include "runtime/agent/processes.hpp"
#include "tests/unit/agent/fixture.hpp"
// Last: cmocka's macros (fail, …) bite the standard library.
#include "tests/unit/cmocka.hpp"

using namespace vigil;
using namespace vigil::agent;
using test::Directory;
using test::lives;
using test::wait_for;

namespace {

constexpr Duration patience = Duration::from_s(5);

// `sh -c script` with this mark, in a session of its own; its pid.
pid_t marked(const std::string& mark, const std::string& script) {
  const std::string variable = std::string(run_mark_name) + "=" + mark;
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  ::setsid();
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const char* const arguments[] = {"sh", "-c", script.c_str(), nullptr};
  const char* const environment[] = {variable.c_str(), "PATH=/usr/bin:/bin", nullptr};
  ::execve("/bin/sh", const_cast<char* const*>(arguments), const_cast<char* const*>(environment));
  ::_exit(127);
}

bool gone(pid_t pid) {
  return wait_for([pid] { return ::waitpid(pid, nullptr, WNOHANG) == pid; });
}

void end(pid_t pid) {
  ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
}

std::size_t tables_in(const Directory& dir) {
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(dir.path()))
    count += entry.path().filename().string().starts_with(RunTable::file_prefix);
  return count;
}

void what_was_running_is_killed_with_all_that_it_started(void**) {
  Directory dir;
  Result<RunTable> table = RunTable::create(dir.path());
  assert_true(table.ok());
  const std::string running = table->mark_of(*table->reserve(3, 7));
  RunTable::Slot* over = table->reserve(3, 8);
  const std::string ended = table->mark_of(*over);
  RunTable::release(*over);
  const pid_t start = marked(running, "env -i sh -c 'echo $$ > " + (dir / "bare") + "; exec sleep 60' & exec sleep 60");
  const pid_t application = marked(ended, "exec sleep 60");
  const pid_t stranger = marked("3.7", "exec sleep 60");
  assert_true(wait_for([&] { return test::pid_in(dir / "bare") > 0; }));
  const pid_t bare = test::pid_in(dir / "bare");

  // As long as its life lasts nobody touches them.
  assert_true(kill_leftover_runs(dir.path(), patience).ok());
  assert_true(lives(start));
  assert_int_equal(tables_in(dir), 1);

  { const RunTable gone_with_its_life = std::move(*table); }
  assert_true(kill_leftover_runs(dir.path(), patience).ok());
  const bool killed = !lives(start) && !lives(bare);
  const bool left_alone = lives(application) && lives(stranger);
  end(application);
  end(stranger);
  assert_true(gone(start));
  assert_true(killed);
  assert_true(left_alone);
  assert_int_equal(tables_in(dir), 0);
}

void a_life_that_ran_nothing_leaves_nothing(void**) {
  Directory dir;
  { const Result<RunTable> table = RunTable::create(dir.path()); }
  std::ofstream(dir / "runs.unfinished") << "x";
  assert_int_equal(tables_in(dir), 2);
  assert_true(kill_leftover_runs(dir.path(), patience).ok());
  assert_int_equal(tables_in(dir), 0);
  Result<RunTable> kept = RunTable::create(dir.path());
  kept->remove_file();
  assert_int_equal(tables_in(dir), 0);
}

// What may have run is not known: that is an error, not nothing.
void what_cannot_be_read_is_told(void**) {
  Directory dir;
  std::filesystem::create_directory(dir / "runs.directory");
  assert_false(kill_leftover_runs(dir.path(), patience).ok());
  assert_false(kill_leftover_runs(dir / "missing", patience).ok());
}

// A hook that starts vigild anew must not be the end of it.
void whom_the_caller_descends_from_is_spared(void**) {
  Directory dir;
  Result<RunTable> table = RunTable::create(dir.path());
  assert_true(table.ok());
  const std::string mark = table->mark_of(*table->reserve(1, 1));
  { const RunTable gone_with_its_life = std::move(*table); }
  ::setenv(std::string(run_mark_name).c_str(), mark.c_str(), 1);
  const pid_t child = ::fork();
  if (child == 0) {
    // The environment that /proc shows is that of the exec: this one has the mark, and so has its child.
    const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
    ::execl(self.c_str(), self.c_str(), "--sweep", dir.path().c_str(), nullptr);
    ::_exit(127);
  }
  ::unsetenv(std::string(run_mark_name).c_str());
  int status = -1;
  ::waitpid(child, &status, 0);
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), 0);
}

// With the mark: sweeps in a child of its own, which has it too; 0 when both live on.
int sweep(const char* directory) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(kill_leftover_runs(directory, patience).ok() ? 0 : 1);
  int status = -1;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 2;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 3 && std::string(argv[1]) == "--sweep") return sweep(argv[2]);
  const CMUnitTest tests[] = {cmocka_unit_test(what_was_running_is_killed_with_all_that_it_started),
                              cmocka_unit_test(a_life_that_ran_nothing_leaves_nothing),
                              cmocka_unit_test(what_cannot_be_read_is_told),
                              cmocka_unit_test(whom_the_caller_descends_from_is_spared)};
  return cmocka_run_group_tests_name("agent/leftover_runs", tests, nullptr, nullptr);
}
