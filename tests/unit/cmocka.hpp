// cmocka 1.1.5's header wants these included first, and C linkage. It fails by longjmp past
// destructors: assert in the outer body of a test, on plain values.
#pragma once

// clang-format off
extern "C" {
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
}
// clang-format on
