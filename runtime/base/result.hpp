// Expected failures as values. An Error says what was tried, on what, why it failed and what to do
// next, in one line without a trailing full stop. (GCC 12's <expected> is unreadable to clang 14,
// which the fuzzers and clang-tidy need, hence our own small one.)
#pragma once

#include <string>
#include <type_traits>
#include <utility>
#include <variant>

#include "runtime/base/assert.hpp"

namespace vigil {

struct Error {
  std::string message;
  int code = 0;  // an errno value where one caused it, else 0

  static Error of(std::string message) { return Error{std::move(message), 0}; }
  // "tried: strerror(code)"
  static Error from_errno(std::string tried, int code);
};

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : content_(std::in_place_index<0>, std::move(value)) {}  // NOLINT: implicit by design
  Result(Error error) : content_(std::in_place_index<1>, std::move(error)) {}  // NOLINT

  bool ok() const { return content_.index() == 0; }
  explicit operator bool() const { return ok(); }
  T& value() & {
    VIGIL_ASSERT(ok());
    return std::get<0>(content_);
  }
  const T& value() const& {
    VIGIL_ASSERT(ok());
    return std::get<0>(content_);
  }
  T&& value() && {
    VIGIL_ASSERT(ok());
    return std::get<0>(std::move(content_));
  }
  const Error& error() const {
    VIGIL_ASSERT(!ok());
    return std::get<1>(content_);
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

 private:
  std::variant<T, Error> content_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)), failed_(true) {}  // NOLINT

  bool ok() const { return !failed_; }
  explicit operator bool() const { return ok(); }
  const Error& error() const {
    VIGIL_ASSERT(failed_);
    return error_;
  }

 private:
  Error error_;
  bool failed_ = false;
};

using Status = Result<void>;

}  // namespace vigil
