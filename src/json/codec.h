// Typed codec: described structs from and to JSON.
//
//   struct Probe { int periodSeconds = 10; std::optional<int> port; std::string namespace_; };
//   BOOST_DESCRIBE_STRUCT(Probe, (), (periodSeconds, port, namespace_))      // wire names: periodSeconds
//   port namespace void validate(const Probe& probe, json::Report& report) {                // optional,
//   found by its namespace
//     if (probe.periodSeconds <= 0) report.add("periodSeconds", "must be positive, got {}",
//     probe.periodSeconds);
//   }
//   LLMD_TRY(const auto probe, json::decode<Probe>(value));
//
// Members may be bool, integers (range-checked), float/double, std::string, Duration ("1m30s"), described
// enums, described structs, std::optional, std::vector, std::map<std::string, T>, and raw Value / Object /
// Array.
// * Absent and null members keep the struct's default; what must be given is an optional that validate()
// demands.
// * Wire names are the member's or enumerator's name without one trailing underscore. Other names: an
// overload
//   `std::string_view wire_name(const T*, std::string_view member)` or `std::string_view wire_name(Enum)`
//   beside the type.
// * Other shapes (integer or string, quantities): `void json_decode(const Value&, T&, json::Report&)` and
//   `json::Value json_encode(const T&)` beside the type.
//
// The templates cost compile time: decode and encode each type in ONE .cc file, behind a function such as
// `Result<Probe> parse_probe(const json::Value&)`, and never include this header in another header.
#pragma once

#include <array>
#include <boost/describe.hpp>
#include <concepts>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "json/path.h"
#include "json/report.h"
#include "json/value.h"

namespace llmd::json {

struct EncodeOptions {
  // Leaves out empty strings, lists, maps and structs (not an optional that holds one): Kubernetes'
  // omitempty. Numbers and booleans are always written; make them optional where absence means something.
  bool omit_empty = false;
};

template <typename T>
struct Decoded {
  T value;                        // what could be read; defaults elsewhere
  std::vector<Mistake> mistakes;  // in document order; empty means that all is well
};

}  // namespace llmd::json

#include "json/codec_impl.h"

namespace llmd::json {

// Every mistake of the document.
template <typename T>
Decoded<T> decode_all(const Value& value, DecodeOptions options = {}) {
  Report report(std::move(options));
  Decoded<T> decoded{};
  detail::decode_value(value, decoded.value, report);
  decoded.mistakes = std::move(report).take();
  return decoded;
}

// The value, or InvalidArgument with the first mistake: "spec.replicas: expected an integer, got a string".
template <typename T>
Result<T> decode(const Value& value, DecodeOptions options = {}) {
  Decoded<T> decoded = decode_all<T>(value, std::move(options));
  if (!decoded.mistakes.empty()) {
    return std::unexpected(decoded.mistakes.front().error());
  }
  return std::move(decoded.value);
}

// Reads over a value that already has defaults of its own; on error `into` is partly changed.
template <typename T>
Result<void> decode_into(const Value& value, T& into, DecodeOptions options = {}) {
  Report report(std::move(options));
  detail::decode_value(value, into, report);
  if (!report.mistakes().empty()) {
    return std::unexpected(report.mistakes().front().error());
  }
  return {};
}

template <typename T>
Value encode(const T& value, const EncodeOptions& options = {}) {
  return detail::encode_value(value, options);
}

}  // namespace llmd::json
