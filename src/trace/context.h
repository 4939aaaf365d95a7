// W3C Trace Context (https://www.w3.org/TR/trace-context/): who a request belongs to, as it travels in the
// header `traceparent`:
//
//   00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
//
// `tracestate` and `baggage` are passed on as they came and never looked at. Pure; values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace llmd::trace {

inline constexpr std::string_view kTraceparent = "traceparent";
inline constexpr std::string_view kTracestate = "tracestate";
inline constexpr std::string_view kBaggage = "baggage";

struct TraceId {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  bool operator==(const TraceId&) const = default;
};

struct TraceContext {
  TraceId trace;
  std::uint64_t span = 0;
  bool sampled = false;
  bool operator==(const TraceContext&) const = default;
};

// nullopt for what the standard calls invalid: then a new trace begins. Versions after 00 are read as far as
// 00 goes.
std::optional<TraceContext> parse_traceparent(std::string_view header);
std::string format_traceparent(const TraceContext& context);

std::string to_hex(const TraceId& trace);  // 32 digits
std::string to_hex(std::uint64_t span);    // 16 digits

}  // namespace llmd::trace
