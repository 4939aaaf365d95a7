#include "base/error.h"

#include <array>
#include <cerrno>
#include <system_error>

#include "base/assert.h"

namespace llmd {
namespace {

struct KindRow {
  ErrorKind kind;
  std::string_view name;
  int http_status;
  int exit_code;  // 2 is usage, as shells and argparse have it; the others are distinct so that scripts can
                  // tell
};

constexpr std::array kKinds{
    KindRow{ErrorKind::InvalidArgument, "invalid argument", 400, 2},
    KindRow{ErrorKind::NotFound, "not found", 404, 3},
    KindRow{ErrorKind::AlreadyExists, "already exists", 409, 4},
    KindRow{ErrorKind::Conflict, "conflict", 409, 5},
    KindRow{ErrorKind::Unauthenticated, "unauthenticated", 401, 6},
    KindRow{ErrorKind::PermissionDenied, "permission denied", 403, 7},
    KindRow{ErrorKind::ResourceExhausted, "resource exhausted", 429, 8},
    KindRow{ErrorKind::FailedPrecondition, "failed precondition", 412, 9},
    KindRow{ErrorKind::Unavailable, "unavailable", 503, 10},
    KindRow{ErrorKind::DeadlineExceeded, "deadline exceeded", 504, 11},
    KindRow{ErrorKind::Cancelled, "cancelled", 499, 12},
    KindRow{ErrorKind::Unimplemented, "unimplemented", 501, 13},
    KindRow{ErrorKind::DataLoss, "data loss", 502, 14},
    KindRow{ErrorKind::Internal, "internal error", 500, 1},
};

const KindRow& row(ErrorKind kind) {
  for (const KindRow& candidate : kKinds) {
    if (candidate.kind == kind) {
      return candidate;
    }
  }
  LLMD_ASSERT(false, "every ErrorKind has a row");
}

}  // namespace

std::string_view to_string(ErrorKind kind) {
  return row(kind).name;
}
int http_status(ErrorKind kind) {
  return row(kind).http_status;
}
int exit_code(ErrorKind kind) {
  return row(kind).exit_code;
}

ErrorKind kind_of_http_status(int status) {
  for (const KindRow& candidate : kKinds) {
    if (candidate.http_status == status) {
      return candidate.kind;
    }
  }
  switch (status) {
    case 408:
      return ErrorKind::DeadlineExceeded;
    case 410:
      return ErrorKind::FailedPrecondition;
    case 413:
      return ErrorKind::ResourceExhausted;
    case 502:
      return ErrorKind::Unavailable;
    default:
      return status >= 400 && status < 500 ? ErrorKind::InvalidArgument : ErrorKind::Internal;
  }
}

Error system_error(int error_number, std::string_view what) {
  const ErrorKind kind = [error_number] {
    switch (error_number) {
      case ENOENT:
        return ErrorKind::NotFound;
      case EEXIST:
        return ErrorKind::AlreadyExists;
      case EACCES:
      case EPERM:
        return ErrorKind::PermissionDenied;
      case ENOSPC:
      case EDQUOT:
      case EMFILE:
      case ENFILE:
      case ENOMEM:
        return ErrorKind::ResourceExhausted;
      case ECONNREFUSED:
      case ECONNRESET:
      case EPIPE:
      case ENETUNREACH:
      case EHOSTUNREACH:
      case ECONNABORTED:
      case EADDRINUSE:
        return ErrorKind::Unavailable;
      case ETIMEDOUT:
        return ErrorKind::DeadlineExceeded;
      case ECANCELED:
        return ErrorKind::Cancelled;
      case EINVAL:
      case EISDIR:
      case ENOTDIR:
        return ErrorKind::InvalidArgument;
      default:
        return ErrorKind::Internal;
    }
  }();
  return {kind, fmt::format("{}: {}", what, std::generic_category().message(error_number)), {}};
}

}  // namespace llmd
