#include "gateway/matches.h"

#include <algorithm>

#include "base/strings.h"
#include "gateway/fields.h"

namespace llmd::gateway {
namespace {

using kube::find_string;

constexpr std::string_view kRegex = "RegularExpression";

// Of equal names only the first counts; header names are equal whatever their case.
Result<std::vector<ValueMatch>> values_of(const kube::Object& match, std::string_view member) {
  std::vector<ValueMatch> values;
  for (const kube::Object* item : objects_in(match, member)) {
    ValueMatch value{std::string(find_string(*item, "name")), std::string(find_string(*item, "value"))};
    const auto same_name = [&](const ValueMatch& other) {
      return equals_ignoring_case(other.name, value.name);
    };
    if (std::ranges::any_of(values, same_name)) {
      continue;
    }
    const std::string_view type = string_or(*item, "type", "Exact");
    if (type == kRegex) {
      LLMD_TRY(value.pattern, Pattern::compile(value.value));
    } else if (type != "Exact") {
      return invalid_argument("{}: type {} is not supported", member, type);
    }
    values.push_back(std::move(value));
  }
  return values;
}

Result<Match> set_path(Match match, std::string_view type, std::string_view path) {
  match.path = path;
  if (type == "Exact") {
    match.kind = Match::Path::Exact;
  } else if (type == kRegex) {
    match.kind = Match::Path::Regex;
    LLMD_TRY(match.pattern, Pattern::compile(path));
  } else if (type != "PathPrefix") {
    return invalid_argument("path: type {} is not supported", type);
  }
  return match;
}

Result<Match> http_match(const kube::Object& object) {
  LLMD_TRY(Match match,
           set_path({}, string_or(object, "path.type", "PathPrefix"), string_or(object, "path.value", "/")));
  match.method = find_string(object, "method");
  LLMD_TRY(match.query, values_of(object, "queryParams"));
  return match;
}

std::string escaped(std::string_view text) {
  std::string pattern;
  for (const char c : text) {
    if (std::string_view(".+*?()[]{}|^$\\").find(c) != std::string_view::npos) {
      pattern += '\\';
    }
    pattern += c;
  }
  return pattern;
}

// Either part may be left out and stands for all then.
Result<Match> grpc_match(const kube::Object& object) {
  const std::string_view type = string_or(object, "method.type", "Exact");
  const std::string_view service = find_string(object, "method.service");
  const std::string_view method = find_string(object, "method.method");
  if (type == kRegex) {
    const auto part = [](std::string_view pattern) {
      return pattern.empty() ? std::string("[^/]+") : fmt::format("(?:{})", pattern);
    };
    return set_path({}, kRegex, fmt::format("/{}/{}", part(service), part(method)));
  }
  if (type != "Exact") {
    return invalid_argument("method: type {} is not supported", type);
  }
  if (service.empty() && !method.empty()) {
    return set_path({}, kRegex, "/[^/]+/" + escaped(method));
  }
  return set_path({}, method.empty() ? "PathPrefix" : "Exact",
                  method.empty() ? fmt::format("/{}", service) : fmt::format("/{}/{}", service, method));
}

using ParseMatch = Result<Match> (*)(const kube::Object&);

ParsedMatches parse_with(const kube::Object& rule, ParseMatch parse) {
  ParsedMatches parsed;
  const auto written = objects_in(rule, "matches");
  if (written.empty()) {
    parsed.matches.emplace_back();
  }
  for (const kube::Object* object : written) {
    auto match = parse(*object);
    auto headers = values_of(*object, "headers");
    if (!match || !headers) {
      parsed.problem = !match ? match.error().text() : headers.error().text();
      continue;
    }
    match->headers = std::move(*headers);
    parsed.matches.push_back(std::move(*match));
  }
  return parsed;
}

}  // namespace

ParsedMatches parse_matches(const kube::Object& rule) {
  return parse_with(rule, http_match);
}

ParsedMatches parse_grpc_matches(const kube::Object& rule) {
  return parse_with(rule, grpc_match);
}

}  // namespace llmd::gateway
