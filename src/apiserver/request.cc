#include "apiserver/request.h"

#include <algorithm>
#include <cctype>

#include "base/strings.h"

namespace llmd::apiserver {

namespace {

constexpr std::size_t kMaxManager = 128;
constexpr std::size_t kMaxQueryFields = 200;

std::string decode(std::string_view text) {
  std::string spaced(text);
  std::ranges::replace(spaced, '+', ' ');
  return http::percent_decode(spaced);
}

std::string_view options_kind(std::string_view method) {
  return method == "POST"    ? "CreateOptions"
         : method == "PUT"   ? "UpdateOptions"
         : method == "PATCH" ? "PatchOptions"
                             : "DeleteOptions";
}

Answer<> read_manager(Request& request, const http::RequestHead& head) {
  request.manager = request.query.find("fieldManager");
  if (request.manager.empty()) {
    const std::string_view agent = head.headers.find("User-Agent").value_or("unknown");
    request.manager = agent.substr(0, std::min(agent.find('/'), agent.size())).substr(0, kMaxManager);
  }
  const bool printable =
      std::ranges::all_of(request.manager, [](char c) { return static_cast<unsigned char>(c) >= 32; });
  if (request.manager.size() > kMaxManager || !printable) {
    return std::unexpected(
        invalid_option(options_kind(request.method),
                       invalid_value("fieldManager", go_quoted(request.manager),
                                     "may not be longer than 128 and only of printable characters")));
  }
  return {};
}

}  // namespace

Query::Query(std::string_view text) {
  if (text.empty()) {
    return;
  }
  for (const std::string_view field : split(text, '&')) {
    const std::size_t sign = field.find('=');
    if (fields_.size() < kMaxQueryFields && !field.empty()) {
      fields_.emplace_back(decode(field.substr(0, sign)), sign == std::string_view::npos
                                                              ? std::string("true")
                                                              : decode(field.substr(sign + 1)));
    }
  }
}

std::string_view Query::find(std::string_view name) const {
  const auto found = std::ranges::find_if(fields_, [&](const auto& field) { return field.first == name; });
  return found == fields_.end() ? std::string_view() : std::string_view(found->second);
}

bool Query::has(std::string_view name) const {
  return std::ranges::any_of(fields_, [&](const auto& field) { return field.first == name; });
}

bool Query::flag(std::string_view name) const {
  const std::string_view value = find(name);
  return value == "true" || value == "1" || (has(name) && value.empty());
}

std::vector<std::string> Query::all(std::string_view name) const {
  std::vector<std::string> values;
  for (const auto& [key, value] : fields_) {
    if (key == name) {
      values.push_back(value);
    }
  }
  return values;
}

void Query::add_missing(std::string_view name, std::string_view value) {
  if (!has(name)) {
    fields_.emplace_back(name, value);
  }
}

std::optional<ResourcePath> parse_resource_path(std::string_view path) {
  std::vector<std::string> parts;
  for (const std::string_view part : split(path.substr(std::min<std::size_t>(1, path.size())), '/')) {
    parts.push_back(http::percent_decode(part));
  }
  if (!parts.empty() && parts.back().empty()) {
    parts.pop_back();
  }
  const bool core = !parts.empty() && parts.front() == "api";
  const std::size_t start = core ? 2 : 3;
  if (parts.size() <= start || (!core && parts.front() != "apis")) {
    return std::nullopt;
  }
  const std::string group = core ? "" : parts[1];
  const std::string version = core ? parts[1] : parts[2];
  std::span<const std::string> rest = std::span(parts).subspan(start);
  ResourcePath result;
  // "namespaces/x" is the object x, "namespaces/x/pods" a collection in it, "namespaces/x/status" a
  // subresource.
  const bool namespace_itself = rest.size() == 3 && (rest[2] == "status" || rest[2] == "finalize") && core;
  if (rest.size() >= 3 && rest[0] == "namespaces" && !namespace_itself) {
    result.key.name_space = rest[1];
    rest = rest.subspan(2);
  }
  result.kind = find_kind(group, version, rest[0]);
  if (!result.kind || rest.size() > 3 ||
      (!result.kind->resource.namespaced && !result.key.name_space.empty())) {
    return std::nullopt;
  }
  if (rest.size() > 1) {
    result.key.name = rest[1];
    if (result.kind->resource.namespaced && result.key.name_space.empty()) {
      return std::nullopt;
    }
  }
  if (rest.size() > 2) {
    result.subresource = rest[2];
  }
  return result;
}

Answer<> read_options(Request& request, const http::RequestHead& head) {
  request.query = Query(head.query());
  request.accept = head.headers.find("Accept").value_or("");
  const std::string_view type = head.headers.find("Content-Type").value_or("");
  request.content_type = to_lower(trim(type.substr(0, type.find(';'))));
  for (const std::string& value : request.query.all("dryRun")) {
    if (value != "All") {
      return std::unexpected(invalid_option(
          options_kind(request.method),
          Cause{"FieldValueNotSupported",
                fmt::format("Unsupported value: []string{{{}}}: supported values: \"All\"", go_quoted(value)),
                "dryRun"}));
    }
    request.dry_run = true;
  }
  const std::string_view validation = request.query.find("fieldValidation");
  if (validation == "Strict") {
    request.validation = FieldValidation::Strict;
  } else if (validation == "Ignore") {
    request.validation = FieldValidation::Ignore;
  } else if (!validation.empty() && validation != "Warn") {
    return std::unexpected(
        invalid_option(options_kind(request.method),
                       unsupported_value("fieldValidation", validation, {"", "Ignore", "Strict", "Warn"})));
  }
  return read_manager(request, head);
}

}  // namespace llmd::apiserver
