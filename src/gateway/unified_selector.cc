#include "gateway/unified_selector.h"

#include <algorithm>
#include <array>

#include "base/strings.h"

namespace llmd::gateway {
namespace {

using openai::ApiError;
using openai::TopLevelMember;

constexpr std::array<std::string_view, 4> kMembers{"model", "owned_by", "engine", "inference_server"};
constexpr std::array<std::string_view, 3> kOwners{"owned_by", "engine", "inference_server"};

bool is_owner_name(std::string_view name) {
  return std::ranges::find(kOwners, name) != kOwners.end();
}

// The field `model` of multipart/form-data (audio uploads); empty when there is none.
std::string model_of_form(std::string_view body) {
  constexpr std::string_view kName = "name=\"model\"";
  const std::size_t at = body.find(kName);
  const std::size_t begin = at == std::string_view::npos ? at : body.find("\r\n\r\n", at);
  if (begin == std::string_view::npos) {
    return {};
  }
  const std::string_view value = body.substr(begin + 4);
  return std::string(value.substr(0, value.find("\r\n")));
}

void say_owner(UnifiedSelector& selector, std::optional<std::string_view> owner) {
  if (!owner || trim(*owner).empty()) {
    return;
  }
  std::string lower = to_lower(trim(*owner));
  if (std::ranges::find(selector.owners, lower) == selector.owners.end()) {
    selector.owners.push_back(std::move(lower));
  }
}

void read_members(std::vector<TopLevelMember> members, UnifiedSelector& selector) {
  for (const std::string_view name : kOwners) {
    // The last of a name counts, as in Python's json.
    const TopLevelMember* last = nullptr;
    for (const TopLevelMember& member : members) {
      last = member.name == name ? &member : last;
    }
    if (last != nullptr && last->text) {
      say_owner(selector, *last->text);
    }
  }
  for (TopLevelMember& member : members) {
    if (member.name != "model") {
      selector.to_remove.push_back(std::move(member));
    } else if (member.text) {
      selector.model = *member.text;
      selector.in_body = std::move(member);
    }
  }
}

ApiError bad_request(std::string message, std::string_view param) {
  return {.status = 400, .code = {}, .message = std::move(message), .param = param};
}

}  // namespace

std::expected<UnifiedSelector, ApiError> read_selector(const http::RequestHead& head, std::string_view body,
                                                       bool strict) {
  UnifiedSelector selector;
  const std::string_view type = head.headers.find("content-type").value_or("");
  if (type.starts_with("multipart/form-data")) {
    selector.model = model_of_form(body);
  } else if (!body.empty()) {
    auto members = openai::find_top_level_members(body, kMembers);
    if (!members) {
      return std::unexpected(bad_request("The request body is not a JSON object.", {}));
    }
    read_members(std::move(*members), selector);
  }
  say_owner(selector, head.headers.find("x-owned-by"));
  for (const std::string_view name : kOwners) {
    say_owner(selector, head.query_parameter(name));
  }
  if (selector.model.empty()) {
    selector.model = head.headers.find("x-model").value_or("");
  }
  if (selector.model.empty()) {
    selector.model = head.query_parameter("model").value_or("");
  }
  if (selector.model.empty()) {
    return std::unexpected(
        bad_request("The request names no model: \"model\" is missing. GET /v1/models lists them.", "model"));
  }
  if (strict && selector.owners.size() > 1) {
    return std::unexpected(bad_request(
        fmt::format("The request names different owners: {}.", join(selector.owners, ", ")), "owned_by"));
  }
  if (!selector.owners.empty()) {
    selector.owner = selector.owners.front();
  }
  return selector;
}

std::string without_selector(std::string_view target) {
  const std::size_t begin = target.find('?');
  if (begin == std::string_view::npos) {
    return std::string(target);
  }
  std::string kept(target.substr(0, begin));
  char separator = '?';
  for (const std::string_view parameter : split(target.substr(begin + 1), '&')) {
    if (!is_owner_name(http::percent_decode(parameter.substr(0, parameter.find('='))))) {
      kept += separator;
      kept += parameter;
      separator = '&';
    }
  }
  return kept;
}

}  // namespace llmd::gateway
