// The standard headers that nearly every file reads, compiled once for a build (see PCH in the Makefile).
// It saves time only: each file includes what it uses, and `make PCH=` shows that.
#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>
