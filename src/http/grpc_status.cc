#include "http/grpc_status.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/strings.h"
#include "http/message.h"

namespace llmd::http {
namespace {

constexpr std::array<std::pair<ErrorKind, GrpcCode>, 14> kCodes = {{
    {ErrorKind::InvalidArgument, GrpcCode::InvalidArgument},
    {ErrorKind::NotFound, GrpcCode::NotFound},
    {ErrorKind::AlreadyExists, GrpcCode::AlreadyExists},
    {ErrorKind::Conflict, GrpcCode::Aborted},
    {ErrorKind::Unauthenticated, GrpcCode::Unauthenticated},
    {ErrorKind::PermissionDenied, GrpcCode::PermissionDenied},
    {ErrorKind::ResourceExhausted, GrpcCode::ResourceExhausted},
    {ErrorKind::FailedPrecondition, GrpcCode::FailedPrecondition},
    {ErrorKind::Unavailable, GrpcCode::Unavailable},
    {ErrorKind::DeadlineExceeded, GrpcCode::DeadlineExceeded},
    {ErrorKind::Cancelled, GrpcCode::Cancelled},
    {ErrorKind::Unimplemented, GrpcCode::Unimplemented},
    {ErrorKind::DataLoss, GrpcCode::DataLoss},
    {ErrorKind::Internal, GrpcCode::Internal},
}};

constexpr std::size_t kTimeoutDigits = 8;
constexpr std::array<std::pair<char, std::int64_t>, 6> kUnits = {{
    {'n', 1},
    {'u', 1'000},
    {'m', 1'000'000},
    {'S', 1'000'000'000},
    {'M', 60'000'000'000},
    {'H', 3'600'000'000'000},
}};

}  // namespace

GrpcStatus grpc_status(const Error& error) {
  for (const auto& [kind, code] : kCodes) {
    if (kind == error.kind) {
      return {code, error.text()};
    }
  }
  return {GrpcCode::Unknown, error.text()};
}

Error grpc_error(const GrpcStatus& status) {
  for (const auto& [kind, code] : kCodes) {
    if (code == status.code) {
      return {kind, status.message, {}};
    }
  }
  return internal_error("{}", status.message);
}

std::string encode_grpc_message(std::string_view text) {
  static constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte <= 0x7e && c != '%') {
      out += c;
    } else {
      out += '%';
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    }
  }
  return out;
}

std::string decode_grpc_message(std::string_view text) {
  return percent_decode(text);
}

std::optional<Duration> parse_grpc_timeout(std::string_view text) {
  if (text.size() < 2 || text.size() > kTimeoutDigits + 1) {
    return std::nullopt;
  }
  const auto number = parse_integer(text.substr(0, text.size() - 1));
  const auto unit = std::ranges::find(kUnits, text.back(), &std::pair<char, std::int64_t>::first);
  if (!number || *number < 0 || text.front() == '+' || unit == kUnits.end()) {
    return std::nullopt;
  }
  // 99999999 hours are more than a Duration holds, and more than anybody waits.
  constexpr std::int64_t kLongest = std::int64_t{365} * 24 * 3600 * 1'000'000'000;
  const std::int64_t nanoseconds = *number > kLongest / unit->second ? kLongest : *number * unit->second;
  return std::chrono::duration_cast<Duration>(std::chrono::nanoseconds(nanoseconds));
}

std::string format_grpc_timeout(Duration timeout) {
  const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(timeout).count();
  if (milliseconds < 100'000'000) {
    return std::to_string(std::max<std::int64_t>(milliseconds, 0)) + "m";
  }
  return std::to_string(std::min<std::int64_t>(milliseconds / 1000, 99'999'999)) + "S";
}

}  // namespace llmd::http
