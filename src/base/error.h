// Errors are values. An Error says what kind of failure it was (which decides HTTP status, exit code and
// whether a retry makes sense), what happened with the path that led there, and what the reader can do about
// it.
//
// Made by the functions named after each kind:   return invalid_argument("{}: must be positive, got {}",
// path, n); Context is added on the way up:                 return
// std::unexpected(std::move(error).within("loading x.yaml")); A hint is added where somebody knows the cure:
// .hint("did you mean 'replicas'?")
#pragma once

#include <fmt/format.h>

#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace llmd {

enum class ErrorKind {
  InvalidArgument,     // the caller's input is wrong; the same call can never succeed
  NotFound,            // the named thing does not exist
  AlreadyExists,       // the name is taken
  Conflict,            // somebody else changed it first; read again and retry
  Unauthenticated,     // no or bad credentials
  PermissionDenied,    // good credentials, not allowed
  ResourceExhausted,   // a limit was reached: queue, body size, disk, memory
  FailedPrecondition,  // right call, wrong state
  Unavailable,         // refused, reset, not ready: a retry elsewhere or later may succeed
  DeadlineExceeded,    // a bound on waiting passed; the message names who was waited for
  Cancelled,           // the caller no longer wants it
  Unimplemented,       // known, deliberately not supported
  DataLoss,            // a hash, a length or a format did not match: the bytes are wrong
  Internal,            // our own fault
};

std::string_view to_string(ErrorKind kind);

// The one table from kinds to the outside world. openai::, kube:: and cli build their bodies from it.
int http_status(ErrorKind kind);
int exit_code(ErrorKind kind);
// The inverse, for answers of servers: 404 -> NotFound, 429 -> ResourceExhausted, 503 -> Unavailable, ...
ErrorKind kind_of_http_status(int status);

struct [[nodiscard]] Error {
  ErrorKind kind = ErrorKind::Internal;
  std::string message;
  std::string advice;  // what to do; empty when nobody knows

  // Prefixes the message with where it happened: "loading x.yaml: ...".
  Error within(std::string_view where) && {
    message = fmt::format("{}: {}", where, message);
    return std::move(*this);
  }
  Error hint(std::string text) && {
    advice = std::move(text);
    return std::move(*this);
  }
  // Message and advice in one line, for logs and terminals.
  std::string text() const { return advice.empty() ? message : message + " (" + advice + ")"; }

  // Lets `return not_found(...)` convert to any Result<T>.
  template <typename T>
  operator std::expected<T, Error>() && {
    return std::unexpected(std::move(*this));
  }

  bool operator==(const Error&) const = default;
};

#define LLMD_ERROR_MAKER(function, kind_name)                                            \
  template <typename... Args>                                                            \
  Error function(fmt::format_string<Args...> format, Args&&... args) {                   \
    return {ErrorKind::kind_name, fmt::format(format, std::forward<Args>(args)...), {}}; \
  }
LLMD_ERROR_MAKER(invalid_argument, InvalidArgument)
LLMD_ERROR_MAKER(not_found, NotFound)
LLMD_ERROR_MAKER(already_exists, AlreadyExists)
LLMD_ERROR_MAKER(conflict, Conflict)
LLMD_ERROR_MAKER(unauthenticated, Unauthenticated)
LLMD_ERROR_MAKER(permission_denied, PermissionDenied)
LLMD_ERROR_MAKER(resource_exhausted, ResourceExhausted)
LLMD_ERROR_MAKER(failed_precondition, FailedPrecondition)
LLMD_ERROR_MAKER(unavailable, Unavailable)
LLMD_ERROR_MAKER(deadline_exceeded, DeadlineExceeded)
LLMD_ERROR_MAKER(cancelled, Cancelled)
LLMD_ERROR_MAKER(unimplemented, Unimplemented)
LLMD_ERROR_MAKER(data_loss, DataLoss)
LLMD_ERROR_MAKER(internal_error, Internal)
#undef LLMD_ERROR_MAKER

// The error of a failed system call: kind from errno, message "open /x/y: No such file or directory".
Error system_error(int error_number, std::string_view what);

}  // namespace llmd
