// Golden environment and JSON document of a hook, and that nothing in them can break out of its line.
#include "runtime/events/environment.hpp"

#include <algorithm>
#include <string>

#include "tests/unit/events/sample.hpp"
// Last: cmocka's macros (fail, …) bite the standard library.
#include "tests/unit/cmocka.hpp"

using namespace vigil;
using namespace vigil::events;

namespace {

EventContext sample_context() {
  EventContext context;
  context.event = EventName::node_down;
  context.stage = HookStage::post;
  context.node = 0;
  context.subject = 1;
  context.group = 0;
  context.generation = 3;
  context.network = 0;
  context.adapter = 0;
  context.address = 1;
  context.stamp = Stamp{Epoch{5, 0}, 2};
  context.wall_ns = 1'735'787'045'000'006'789;
  context.boot_ns = 42;
  context.reason = "silent on every link";
  return context;
}

std::string joined(const ClusterConfig& config, const EventContext& context) {
  std::string text;
  for (const std::string& variable : environment_of(config, context)) text += variable + "\n";
  return text;
}

void environment_is_golden(void**) {
  const auto config = test::sample_config();
  assert_string_equal(joined(*config, sample_context()).c_str(),
                      "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"
                      "HOME=/\n"
                      "LANG=C.UTF-8\n"
                      "VIGIL_ACTION=hook\n"
                      "VIGIL_EVENT=node_down\n"
                      "VIGIL_STAGE=post\n"
                      "VIGIL_CLUSTER=demo\n"
                      "VIGIL_NODE=alpha\n"
                      "VIGIL_NODE_ID=1\n"
                      "VIGIL_SUBJECT=beta\n"
                      "VIGIL_GROUP=web\n"
                      "VIGIL_APPLICATION=httpd\n"
                      "VIGIL_GENERATION=3\n"
                      "VIGIL_NETWORK=public\n"
                      "VIGIL_ADAPTER=eth7\n"
                      "VIGIL_ADDRESS=fd00::1/64\n"
                      "VIGIL_ADDRESSES=10.77.1.100/24 fd00::1/64\n"
                      "VIGIL_EPOCH=5\n"
                      "VIGIL_RECORD=2\n"
                      "VIGIL_REASON=silent on every link\n"
                      "VIGIL_TIME=2025-01-02T03:04:05.000006Z\n"
                      "VIGIL_TIME_NS=1735787045000006789\n"
                      "VIGIL_FAILED_COMMAND=\n"
                      "VIGIL_FAILED_STAGE=\n"
                      "VIGIL_FAILED_OUTCOME=\n"
                      "VIGIL_FAILED_STATUS=\n");
}

void document_is_golden(void**) {
  const auto config = test::sample_config();
  EventContext context = sample_context();
  assert_string_equal(
      document_of(*config, context).c_str(),
      R"({"version":1,"action":"hook","event":"node_down","stage":"post","cluster":"demo","node":{"name":"alpha","id":1},)"
      R"("subject":{"name":"beta","id":2},"group":{"name":"web","generation":3,"application":"httpd",)"
      R"("addresses":["10.77.1.100/24","fd00::1/64"]},"network":"public","adapter":"eth7","address":"fd00::1/64",)"
      R"("epoch":{"counter":5,"proposer":"alpha"},"record":2,"reason":"silent on every link",)"
      R"("time":"2025-01-02T03:04:05.000006Z","wall_ns":1735787045000006789,"boot_ns":42,"failed":null})"
      "\n");
  context.stage = HookStage::recovery;
  context.failed = FailedHook{"/bin/x \"y\"", HookStage::pre, true, 143};
  const std::string document = document_of(*config, context);
  assert_non_null(
      std::strstr(document.c_str(),
                  R"("failed":{"command":"/bin/x \"y\"","stage":"pre","outcome":"timed_out","exit_status":143}})"));
}

void what_does_not_apply_is_empty(void**) {
  const auto config = test::sample_config();
  EventContext context;
  context.node = 0;
  const std::string environment = joined(*config, context);
  for (const char* line : {"VIGIL_EVENT=\n", "VIGIL_SUBJECT=\n", "VIGIL_GROUP=\n", "VIGIL_GENERATION=\n",
                           "VIGIL_NETWORK=\n", "VIGIL_ADAPTER=\n", "VIGIL_ADDRESS=\n", "VIGIL_ADDRESSES=\n"})
    assert_non_null(std::strstr(environment.c_str(), line));
  const std::string document = document_of(*config, context);
  for (const char* member : {R"("event":null)", R"("subject":null)", R"("group":null)", R"("network":null)",
                             R"("adapter":null)", R"("address":null)", R"("proposer":null)"})
    assert_non_null(std::strstr(document.c_str(), member));
}

void hostile_text_stays_in_its_place(void**) {
  const auto config = test::sample_config();
  EventContext context = sample_context();
  context.reason = "one\nPATH=/evil\x01 \xff end";
  std::size_t newlines = 0;
  for (const std::string& variable : environment_of(*config, context))
    newlines += static_cast<std::size_t>(std::count(variable.begin(), variable.end(), '\n'));
  assert_int_equal(newlines, 0);
  const std::string document = document_of(*config, context);
  assert_int_equal(std::count(document.begin(), document.end(), '\n'), 1);
}

void times_before_1970_are_still_times(void**) {
  assert_string_equal(time_text(0).c_str(), "1970-01-01T00:00:00.000000Z");
  assert_string_equal(time_text(-1'000).c_str(), "1969-12-31T23:59:59.999999Z");
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(environment_is_golden), cmocka_unit_test(document_is_golden),
                              cmocka_unit_test(what_does_not_apply_is_empty),
                              cmocka_unit_test(hostile_text_stays_in_its_place),
                              cmocka_unit_test(times_before_1970_are_still_times)};
  return cmocka_run_group_tests_name("events/environment", tests, nullptr, nullptr);
}
