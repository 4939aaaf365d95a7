#include "proxy/forwarding.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <random>

#include "base/strings.h"

namespace llmd::proxy {
namespace {

constexpr std::array<std::string_view, 9> kHopByHop{
    "connection", "keep-alive", "proxy-connection",   "transfer-encoding",  "te",
    "trailer",    "upgrade",    "proxy-authenticate", "proxy-authorization"};

bool is_hop_by_hop(std::string_view name) {
  switch (name.size()) {  // most names are told apart by their length
    case 2:
    case 7:
    case 10:
    case 16:
    case 17:
    case 18:
    case 19:
      break;
    default:
      return false;
  }
  for (const std::string_view known : kHopByHop) {
    if (equals_ignoring_case(known, name)) {
      return true;
    }
  }
  return false;
}

// Names that Connection declares to belong to this hop; nearly always none.
std::string_view named_by_connection(const http::Headers& headers) {
  const std::string_view value = headers.find("connection").value_or("");
  return equals_ignoring_case(value, "keep-alive") || equals_ignoring_case(value, "close")
             ? std::string_view()
             : value;
}

bool lists(std::string_view names, std::string_view name) {
  if (names.empty()) {
    return false;
  }
  for (const std::string_view item : split(names, ',')) {
    if (equals_ignoring_case(trim(item), name)) {
      return true;
    }
  }
  return false;
}

}  // namespace

http::Headers forwarded_request_headers(const http::Headers& arrived, const Forwarded& forwarded) {
  http::Headers headers;
  const std::string_view dropped = named_by_connection(arrived);
  std::string forwarded_for;
  bool has_id = false;
  bool has_proto = false;
  bool has_host = false;
  std::string_view host;
  for (const auto& [name, value] : arrived) {
    if (is_hop_by_hop(name) || lists(dropped, name) || equals_ignoring_case(name, "content-length") ||
        equals_ignoring_case(name, "expect")) {
      continue;
    }
    if (equals_ignoring_case(name, "x-forwarded-for")) {
      forwarded_for += value + ", ";
      continue;
    }
    has_id = has_id || equals_ignoring_case(name, "x-request-id");
    has_proto = has_proto || equals_ignoring_case(name, "x-forwarded-proto");
    has_host = has_host || equals_ignoring_case(name, "x-forwarded-host");
    if (equals_ignoring_case(name, "host")) {
      host = value;
    }
    headers.add(name, value);
  }
  headers.add("X-Forwarded-For", forwarded_for + forwarded.client.host);
  if (!has_proto) {
    headers.add("X-Forwarded-Proto", std::string(forwarded.scheme));
  }
  if (!has_host && !host.empty()) {
    headers.add("X-Forwarded-Host", std::string(host));
  }
  if (!has_id) {
    headers.add("X-Request-Id", std::string(forwarded.request_id));
  }
  return headers;
}

http::Headers forwarded_response_headers(const http::Headers& arrived) {
  http::Headers headers;
  const std::string_view dropped = named_by_connection(arrived);
  for (const auto& [name, value] : arrived) {
    if (!is_hop_by_hop(name) && !lists(dropped, name)) {
      headers.add(name, value);
    }
  }
  return headers;
}

http::Headers forwarded_trailers(const http::Headers& arrived) {
  constexpr auto kOnlyInHeads = std::to_array<std::string_view>({"content-length",
                                                                 "content-encoding",
                                                                 "content-type",
                                                                 "content-range",
                                                                 "host",
                                                                 "authorization",
                                                                 "cookie",
                                                                 "set-cookie",
                                                                 "www-authenticate",
                                                                 "cache-control",
                                                                 "expect",
                                                                 "max-forwards",
                                                                 "pragma",
                                                                 "range",
                                                                 "age",
                                                                 "expires",
                                                                 "date",
                                                                 "location",
                                                                 "retry-after",
                                                                 "vary",
                                                                 "warning",
                                                                 "x-request-id"});
  http::Headers trailers;
  for (const auto& [name, value] : arrived) {
    const bool only_in_heads = std::ranges::any_of(
        kOnlyInHeads, [&name](std::string_view each) { return equals_ignoring_case(each, name); });
    if (!is_hop_by_hop(name) && !only_in_heads) {
      trailers.add(name, value);
    }
  }
  return trailers;
}

std::string make_request_id() {
  thread_local std::mt19937_64 random{std::random_device{}()};
  return fmt::format("{:016x}{:016x}", random(), random());
}

}  // namespace llmd::proxy
