// Names in an operator's request, and who may send one.
#include "tools/client/resolve.hpp"

#include "tests/unit/tools/sample.hpp"
#include "tools/client/control_peer.hpp"

// Last: its macros clash with the standard library.
// clang-format off
#include "tests/unit/cmocka.hpp"
// clang-format on

namespace {

using namespace vigil;
using namespace vigil::control;

void names_become_indexes_or_a_refusal(void**) {
  struct Case {
    request::Operate asked;
    bool ok;
    GroupIndex group;
    NodeId node;
    const char* refusal;
  };
  const Case cases[] = {
      {{OperatorVerb::move_group, "db", "gamma"}, true, 1, 2, ""},
      {{OperatorVerb::group_offline, "web", ""}, true, 0, no_node, ""},
      {{OperatorVerb::node_standby, "", "beta"}, true, no_index, 1, ""},
      {{OperatorVerb::confirm_down, "ignored", "alpha"}, true, no_index, 0, ""},
      {{OperatorVerb::move_group, "wbe", "beta"},
       false,
       0,
       0,
       "there is no group 'wbe' in cluster demo; did you mean 'web'?"},
      {{OperatorVerb::move_group, "web", "bta"},
       false,
       0,
       0,
       "there is no node 'bta' in cluster demo; did you mean 'beta'?"},
      {{OperatorVerb::node_stop, "", "zeppelin"},
       false,
       0,
       0,
       "there is no node 'zeppelin' in cluster demo; there is alpha, beta, gamma"},
      {{OperatorVerb::group_clear, "", ""}, false, 0, 0, "there is no group '' in cluster demo; there is web, db"},
  };
  const auto config = sample::config();
  for (const Case& each : cases) {
    OperatorCommand command;
    reply::Refused refused;
    const bool ok = resolve(*config, each.asked, command, refused);
    assert_int_equal(ok, each.ok);
    assert_string_equal(refused.text.c_str(), each.refusal);
    if (!ok) continue;
    assert_int_equal(command.group, each.group);
    assert_int_equal(command.node, each.node);
    assert_true(command.verb == each.asked.verb);
  }
}

void an_empty_filter_is_no_filter(void**) {
  const auto config = sample::config();
  GroupIndex index = 0;
  reply::Refused refused;
  assert_true(resolve_filter(*config, "", index, refused));
  assert_int_equal(index, no_index);
  assert_true(resolve_filter(*config, "db", index, refused));
  assert_int_equal(index, 1);
  assert_false(resolve_filter(*config, "nothing-like-it", index, refused));
}

void the_largest_cluster_does_not_overflow_the_refusal(void**) {
  auto config = sample::config();
  while (!config->nodes.full()) {
    NodeConfig node;
    node.name.assign(std::string(limits::name_length, 'x'));
    config->nodes.push(node);
  }
  OperatorCommand command;
  reply::Refused refused;
  assert_false(
      resolve(*config, {OperatorVerb::node_stop, "", Name(std::string(limits::name_length, 'q'))}, command, refused));
  assert_int_equal(refused.text.size(), decltype(refused.text)::capacity());
}

void only_root_commands(void**) {
  const Right root = right_of(ucred{1, 0, 0});
  const Right member = right_of(ucred{1, 1000, 1000});
  assert_true(permits(root, request::Operate{}));
  assert_false(permits(member, request::Operate{}));
  assert_true(permits(member, request::GetStatus{}));
  assert_true(permits(member, request::GetJournal{}));
  assert_true(permits(member, request::Follow{}));
  assert_true(permits(member, request::GetNames{}));
  assert_true(permits(member, request::GetVersion{}));
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(names_become_indexes_or_a_refusal),
      cmocka_unit_test(an_empty_filter_is_no_filter),
      cmocka_unit_test(the_largest_cluster_does_not_overflow_the_refusal),
      cmocka_unit_test(only_root_commands),
  };
  return cmocka_run_group_tests_name("tools/resolve", tests, nullptr, nullptr);
}
