// The table in runtime/events/README.md says what the catalogue says, for every event, in its order.
#include "runtime/events/event_catalog.hpp"

#include <fstream>
#include <sstream>
#include <string>

#include "tests/unit/cmocka.hpp"

using namespace vigil;

namespace {

std::string readme() {
  // Tests run from the repository's root or with the path that they were compiled with.
  std::string own = __FILE__;
  const std::string root = own.substr(0, own.size() - std::string("tests/unit/events/event_catalog_test.cpp").size());
  std::ifstream file(root + "runtime/events/README.md");
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

void every_event_is_in_the_readme(void**) {
  const std::string text = readme();
  assert_true(!text.empty());
  std::size_t at = text.find("## The events");
  assert_true(at != std::string::npos);
  for (int i = 1; i < static_cast<int>(EventName::count_); ++i) {
    const auto event = static_cast<EventName>(i);
    const events::EventInfo info = events::describe(event);
    const std::string row = "\n| `" + std::string(to_string(event)) + "` | " + std::string(info.when) + " | " +
                            std::string(info.fields) + " |";
    const std::size_t found = text.find(row, at);
    if (found == std::string::npos) print_error("missing or out of order: %s\n", row.c_str());
    assert_true(found != std::string::npos);
    at = found;
  }
}

void numbers_without_an_event_have_no_text(void**) {
  assert_true(events::describe(EventName::none).when.empty());
  assert_true(events::describe(EventName::count_).when.empty());
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(every_event_is_in_the_readme),
                              cmocka_unit_test(numbers_without_an_event_have_no_text)};
  return cmocka_run_group_tests_name("events/event_catalog", tests, nullptr, nullptr);
}
