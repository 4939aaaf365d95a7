#include "trace/context.h"

#include <fmt/format.h>

namespace llmd::trace {
namespace {

// Lower-case digits only, as the standard demands.
std::optional<std::uint64_t> hex_number(std::string_view text) {
  std::uint64_t value = 0;
  for (const char c : text) {
    const bool digit = c >= '0' && c <= '9';
    if (!digit && (c < 'a' || c > 'f')) {
      return std::nullopt;
    }
    value = value << 4 | static_cast<std::uint64_t>(digit ? c - '0' : c - 'a' + 10);
  }
  return value;
}

}  // namespace

std::optional<TraceContext> parse_traceparent(std::string_view header) {
  constexpr std::size_t kLength = 55;
  if (header.size() < kLength || header[2] != '-' || header[35] != '-' || header[52] != '-') {
    return std::nullopt;
  }
  const auto version = hex_number(header.substr(0, 2));
  const auto high = hex_number(header.substr(3, 16));
  const auto low = hex_number(header.substr(19, 16));
  const auto span = hex_number(header.substr(36, 16));
  const auto flags = hex_number(header.substr(53, 2));
  if (!version || !high || !low || !span || !flags || *version == 0xff) {
    return std::nullopt;
  }
  const bool more = header.size() > kLength;
  if (more && (*version == 0 || header[kLength] != '-')) {
    return std::nullopt;
  }
  if ((*high == 0 && *low == 0) || *span == 0) {
    return std::nullopt;
  }
  return TraceContext{.trace = {*high, *low}, .span = *span, .sampled = (*flags & 1) != 0};
}

std::string format_traceparent(const TraceContext& context) {
  return fmt::format("00-{:016x}{:016x}-{:016x}-{:02x}", context.trace.high, context.trace.low, context.span,
                     context.sampled ? 1 : 0);
}

std::string to_hex(const TraceId& trace) {
  return fmt::format("{:016x}{:016x}", trace.high, trace.low);
}

std::string to_hex(std::uint64_t span) {
  return fmt::format("{:016x}", span);
}

}  // namespace llmd::trace
