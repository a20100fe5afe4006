// The containers of fixed size: their edges, and that overflow is an assertion for push, a word for try_push.
#include "runtime/base/bounded.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <functional>
// Last: cmocka's macros (fail, …) bite the standard library.
#include "tests/unit/cmocka.hpp"

using namespace vigil;

namespace {

// Runs `broken` in a child; true when it was ended by an assertion.
bool dies(const std::function<void()>& broken) {
  const pid_t child = ::fork();
  if (child == 0) {
    std::signal(SIGABRT, SIG_DFL);
    (void)!::freopen("/dev/null", "w", stderr);
    broken();
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

void fills_and_empties(void**) {
  BoundedVector<int, 3> items;
  assert_true(items.empty());
  assert_int_equal(items.capacity(), 3);
  for (int i = 0; i < 3; ++i) items.push(i);
  assert_true(items.full());
  assert_false(items.try_push(9));
  assert_int_equal(items.size(), 3);
  assert_int_equal(items.back(), 2);
  items.pop_back();
  assert_true(items.try_push(7));
  assert_int_equal(items[2], 7);
  items.clear();
  assert_true(items.empty());
  assert_true(items.begin() == items.end());
}

void erasing_keeps_the_order(void**) {
  BoundedVector<int, 5> items;
  for (int i = 0; i < 5; ++i) items.push(i);
  items.erase(1);
  items.erase(3);
  items.erase(0);
  assert_int_equal(items.size(), 2);
  assert_int_equal(items[0], 2);
  assert_int_equal(items[1], 3);
}

void resizing_gives_fresh_items(void**) {
  BoundedVector<int, 4> items;
  items.push(5);
  items.push(6);
  items.resize(1);
  items.resize(3);
  assert_int_equal(items[0], 5);
  assert_int_equal(items[1], 0);  // not the 6 that was there
  assert_int_equal(items[2], 0);
}

void equality_is_of_the_items_that_are_there(void**) {
  BoundedVector<int, 3> a;
  BoundedVector<int, 3> b;
  a.push(1);
  a.push(2);
  a.pop_back();
  b.push(1);
  assert_true(a == b);
  b.push(3);
  assert_false(a == b);
}

void overflow_is_our_bug(void**) {
  assert_true(dies([] {
    BoundedVector<int, 1> items;
    items.push(1);
    items.push(2);
  }));
  assert_true(dies([] { BoundedVector<int, 1>().pop_back(); }));
  assert_true(dies([] { (void)BoundedVector<int, 1>()[0]; }));
  assert_true(dies([] { BoundedVector<int, 1>().erase(0); }));
  assert_true(dies([] { BoundedVector<int, 1>().resize(2); }));
  assert_false(dies([] { BoundedVector<int, 1>().push(1); }));
}

void strings_are_cut_and_terminated(void**) {
  BoundedString<4> text("abcdef");
  assert_string_equal(text.c_str(), "abcd");
  assert_int_equal(text.size(), 4);
  text.assign("xy");
  assert_string_equal(text.c_str(), "xy");  // nothing is left of the longer one
  assert_true(text == std::string_view("xy"));
  assert_true(text == BoundedString<4>("xy"));
  text.assign("");
  assert_true(text.empty());
  assert_string_equal(text.c_str(), "");
  text.assign(std::string_view());
  assert_true(text.empty());
  const std::string_view with_zero("a\0b", 3);
  text.assign(with_zero);
  assert_int_equal(text.size(), 3);
  assert_true(text.view() == with_zero);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(fills_and_empties),          cmocka_unit_test(erasing_keeps_the_order),
      cmocka_unit_test(resizing_gives_fresh_items), cmocka_unit_test(equality_is_of_the_items_that_are_there),
      cmocka_unit_test(overflow_is_our_bug),        cmocka_unit_test(strings_are_cut_and_terminated),
  };
  return cmocka_run_group_tests_name("base/bounded", tests, nullptr, nullptr);
}
