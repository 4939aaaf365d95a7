// Result<T>: a value or an Error. The two macros below are the only control-flow macros of the project.
#pragma once

#include <expected>

#include "base/error.h"

namespace llmd {

template <typename T = void>
using Result = std::expected<T, Error>;

}  // namespace llmd

#define LLMD_CONCAT_INNER(a, b) a##b
#define LLMD_CONCAT(a, b) LLMD_CONCAT_INNER(a, b)

// LLMD_TRY(const auto config, parse(text));   returns the error from the enclosing function, or declares the
// value. LLMD_CO_TRY is the same inside a coroutine: LLMD_CO_TRY(auto body, co_await read_all(stream));
#define LLMD_TRY(declaration, ...) \
  LLMD_TRY_INNER(return, LLMD_CONCAT(llmd_try_, __LINE__), declaration, __VA_ARGS__)
#define LLMD_CO_TRY(declaration, ...) \
  LLMD_TRY_INNER(co_return, LLMD_CONCAT(llmd_try_, __LINE__), declaration, __VA_ARGS__)
#define LLMD_TRY_INNER(leave, name, declaration, ...) \
  auto name = (__VA_ARGS__);                          \
  if (!name) {                                        \
    leave std::unexpected(std::move(name).error());   \
  }                                                   \
  declaration = std::move(*name)

// The forms for Result<void>, where there is no value to declare.
#define LLMD_TRY_VOID(...) LLMD_TRY_VOID_INNER(return, LLMD_CONCAT(llmd_try_, __LINE__), __VA_ARGS__)
#define LLMD_CO_TRY_VOID(...) LLMD_TRY_VOID_INNER(co_return, LLMD_CONCAT(llmd_try_, __LINE__), __VA_ARGS__)
#define LLMD_TRY_VOID_INNER(leave, name, ...)         \
  do {                                                \
    auto name = (__VA_ARGS__);                        \
    if (!name) {                                      \
      leave std::unexpected(std::move(name).error()); \
    }                                                 \
  } while (false)
