// gRPC's status codes, and the header fields they and deadlines travel in. Pure.
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"

namespace llmd::http {

enum class GrpcCode {
  Ok = 0,
  Cancelled = 1,
  Unknown = 2,
  InvalidArgument = 3,
  DeadlineExceeded = 4,
  NotFound = 5,
  AlreadyExists = 6,
  PermissionDenied = 7,
  ResourceExhausted = 8,
  FailedPrecondition = 9,
  Aborted = 10,
  Unimplemented = 12,
  Internal = 13,
  Unavailable = 14,
  DataLoss = 15,
  Unauthenticated = 16,
};

struct GrpcStatus {
  GrpcCode code = GrpcCode::Ok;
  std::string message;
  bool ok() const { return code == GrpcCode::Ok; }
};

GrpcStatus grpc_status(const Error& error);
// The other way; `status` is not Ok.
Error grpc_error(const GrpcStatus& status);

// grpc-message: percent-encoded outside of printable ASCII.
std::string encode_grpc_message(std::string_view text);
std::string decode_grpc_message(std::string_view text);
// grpc-timeout: at most eight digits and a unit (H M S m u n). nullopt: malformed.
std::optional<Duration> parse_grpc_timeout(std::string_view text);
std::string format_grpc_timeout(Duration timeout);

}  // namespace llmd::http
