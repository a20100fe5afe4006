// USDT probes (sys/sdt.h): a nop each until a tracer asks. tools/perf/ has the scripts that read them.
#pragma once

#include <sys/sdt.h>

#define VIGIL_PROBE1(name, a) DTRACE_PROBE1(vigil, name, a)
#define VIGIL_PROBE2(name, a, b) DTRACE_PROBE2(vigil, name, a, b)
#define VIGIL_PROBE3(name, a, b, c) DTRACE_PROBE3(vigil, name, a, b, c)
