// The journal on disk: bounded by rotation, tolerant of a cut line, filtered when read.
#include "runtime/agent/journal_file.hpp"

#include <sys/resource.h>

#include <csignal>

#include "tests/unit/agent/fixture.hpp"
#include "tests/unit/events/sample.hpp"
// Last: cmocka's macros (fail, …) bite the standard library.
#include "tests/unit/cmocka.hpp"

using namespace vigil;
using namespace vigil::agent;
using test::Directory;

namespace {

JournalEntry entry_of(std::uint64_t sequence, GroupIndex group = no_index) {
  JournalEntry entry;
  entry.sequence = sequence;
  entry.node = 0;
  entry.wall_ns = static_cast<std::int64_t>(sequence) * 1000;
  entry.group = group;
  entry.event = group == no_index ? EventName::node_up : EventName::rg_move;
  entry.text = "something happened";
  return entry;
}

// Sequence numbers of what is read, "skipped" behind a slash.
std::string sequences(const Directory& dir, const JournalFilter& filter = {}) {
  const Result<JournalRead> read = read_journal(dir.path(), filter);
  if (!read) return read.error().message;
  std::string text;
  for (const JournalEntry& entry : read->entries) text += (text.empty() ? "" : " ") + std::to_string(entry.sequence);
  return text + "/" + std::to_string(read->skipped_lines);
}

bool append(JournalFile& file, std::uint64_t sequence, GroupIndex group = no_index) {
  return file.append(entry_of(sequence, group), nullptr).ok();
}

void appended_and_read(void**) {
  const Directory dir;
  assert_string_equal(sequences(dir).c_str(), "/0");
  Result<JournalFile> file = JournalFile::open(dir.path());
  assert_true(file.ok());
  for (std::uint64_t i = 1; i <= 6; ++i) assert_true(append(*file, i, i % 2 == 0 ? 3 : no_index));
  assert_string_equal(sequences(dir).c_str(), "1 2 3 4 5 6/0");
  JournalFilter filter;
  filter.group = 3;
  assert_string_equal(sequences(dir, filter).c_str(), "2 4 6/0");
  filter.newest = 2;
  assert_string_equal(sequences(dir, filter).c_str(), "4 6/0");
  filter = {};
  filter.since_wall_ns = 5000;
  assert_string_equal(sequences(dir, filter).c_str(), "5 6/0");
  filter = {};
  filter.event = EventName::node_up;
  assert_string_equal(sequences(dir, filter).c_str(), "1 3 5/0");
  filter = {};
  filter.node = 9;
  assert_string_equal(sequences(dir, filter).c_str(), "/0");
}

void rotation_bounds_both_files(void**) {
  const Directory dir;
  const std::uint64_t bound = 2000;
  Result<JournalFile> file = JournalFile::open(dir.path(), bound);
  assert_true(file.ok());
  for (std::uint64_t i = 1; i <= 200; ++i) assert_true(append(*file, i));
  const std::string now = test::content(dir / journal_name);
  const std::string before = test::content(dir / journal_old_name);
  assert_true(now.size() <= bound && before.size() <= bound && before.size() > bound / 2);
  // The newest are there, without a gap, oldest first.
  const Result<JournalRead> read = read_journal(dir.path(), {});
  assert_true(read.ok());
  assert_int_equal(read->entries.back().sequence, 200);
  for (std::size_t i = 1; i < read->entries.size(); ++i)
    assert_int_equal(read->entries[i].sequence, read->entries[i - 1].sequence + 1);
}

// Nothing outlives two files of that age each, also over a restart.
void age_bounds_both_files(void**) {
  const Directory dir;
  const Duration age = Duration::from_us(5);  // entries are one microsecond apart
  {
    Result<JournalFile> file = JournalFile::open(dir.path(), 1'000'000, age);
    assert_true(file.ok());
    for (std::uint64_t i = 1; i <= 4; ++i) assert_true(append(*file, i));
  }
  Result<JournalFile> file = JournalFile::open(dir.path(), 1'000'000, age);
  assert_true(file.ok());
  for (std::uint64_t i = 5; i <= 6; ++i) assert_true(append(*file, i));
  assert_false(std::filesystem::exists(dir / journal_old_name));
  assert_true(append(*file, 7));
  assert_string_equal(sequences(dir).c_str(), "1 2 3 4 5 6 7/0");
  assert_true(append(*file, 13));
  assert_string_equal(sequences(dir).c_str(), "7 13/0");
}

// A write that does not fit fails, whole or cut; when there is room again nothing but that is missing.
void a_full_disk_costs_what_did_not_fit(void**) {
  const Directory dir;
  Result<JournalFile> file = JournalFile::open(dir.path());
  assert_true(file.ok());
  assert_true(append(*file, 1));
  rlimit before{};
  assert_int_equal(::getrlimit(RLIMIT_FSIZE, &before), 0);
  ::signal(SIGXFSZ, SIG_IGN);
  // A second line fits half: its rest is lost, and so is all until there is room again.
  for (const std::uint64_t spare : {std::uint64_t{40}, std::uint64_t{0}}) {
    const rlimit tight{file->size_bytes() + spare, before.rlim_max};
    assert_int_equal(::setrlimit(RLIMIT_FSIZE, &tight), 0);
    const bool second = append(*file, 2);
    const bool third = append(*file, 3);
    assert_int_equal(::setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_false(second);
    assert_false(third);
    assert_true(append(*file, 4));
  }
  ::signal(SIGXFSZ, SIG_DFL);
  assert_string_equal(sequences(dir).c_str(), "1 4 4/1");
}

void a_cut_line_is_skipped_and_closed_off(void**) {
  const Directory dir;
  {
    Result<JournalFile> file = JournalFile::open(dir.path());
    assert_true(file.ok());
    for (std::uint64_t i = 1; i <= 3; ++i) assert_true(append(*file, i));
  }
  const std::string path = dir / journal_name;
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 20);
  assert_string_equal(sequences(dir).c_str(), "1 2/1");
  Result<JournalFile> file = JournalFile::open(dir.path());
  assert_true(file.ok());
  assert_true(append(*file, 4));
  assert_string_equal(sequences(dir).c_str(), "1 2 4/1");
}

void garbage_is_skipped(void**) {
  const Directory dir;
  std::ofstream(dir / journal_name) << "not json\n\n{\"sequence\":1}\n" << std::string(100'000, 'x') << "\n";
  Result<JournalFile> file = JournalFile::open(dir.path());
  assert_true(file.ok());
  assert_true(append(*file, 9));
  assert_string_equal(sequences(dir).c_str(), "9/3");
}

void a_missing_directory_is_told(void**) {
  const Result<JournalFile> file = JournalFile::open("/nonexistent/vigil");
  assert_false(file.ok());
  assert_non_null(std::strstr(file.error().message.c_str(), "/nonexistent/vigil"));
}

void the_writer_loses_nothing_when_it_ends(void**) {
  const Directory dir;
  const auto config = test::sample_config();
  {
    Result<JournalFile> file = JournalFile::open(dir.path());
    assert_true(file.ok());
    JournalWriter writer(std::move(*file), *config);
    for (std::uint64_t i = 1; i <= 1000; ++i) writer.append(entry_of(i));
  }
  const Result<JournalRead> read = read_journal(dir.path(), {});
  assert_true(read.ok());
  assert_int_equal(read->entries.size(), 1000);
  assert_int_equal(read->skipped_lines, 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(appended_and_read),
                              cmocka_unit_test(rotation_bounds_both_files),
                              cmocka_unit_test(age_bounds_both_files),
                              cmocka_unit_test(a_full_disk_costs_what_did_not_fit),
                              cmocka_unit_test(a_cut_line_is_skipped_and_closed_off),
                              cmocka_unit_test(garbage_is_skipped),
                              cmocka_unit_test(a_missing_directory_is_told),
                              cmocka_unit_test(the_writer_loses_nothing_when_it_ends)};
  return cmocka_run_group_tests_name("agent/journal_file", tests, nullptr, nullptr);
}
