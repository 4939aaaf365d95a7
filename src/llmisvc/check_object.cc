#include <algorithm>
#include <array>
#include <set>
#include <tuple>

#include "base/strings.h"
#include "json/path.h"
#include "llmisvc/check.h"
#include "llmisvc/dialect.h"
#include "llmisvc/dns_name.h"
#include "llmisvc/schema.h"

namespace llmd::llmisvc {
namespace {

void check_metadata(const json::Object& object, Findings& findings) {
  const json::Value value(object);
  const auto* metadata = json::object_at(value, "metadata");
  const std::string_view name = json::string_at(value, "metadata.name").value_or("");
  if (metadata == nullptr || name.empty()) {
    findings.push_back({.code = "missing-field",
                        .path = metadata == nullptr ? "" : "metadata",
                        .sentence = "metadata.name is required",
                        .fix = "add metadata: {name: my-llm}"});
    return;
  }
  if (kind_of(object) == Kind::Service && !is_dns_label(name)) {
    findings.push_back(
        {.code = "bad-name",
         .path = "metadata.name",
         .sentence = fmt::format("'{}' cannot be part of a host name: lower case letters, digits and '-', "
                                 "at most 63, the first one a letter",
                                 name),
         .fix = fmt::format("for example {}", repaired_name(name))});
  }
}

using Parent = std::tuple<std::string, std::string, std::string>;
std::set<Parent> parents_at(const json::Value& root, std::string_view path) {
  std::set<Parent> parents;
  const auto* list = json::array_at(root, path);
  for (const json::Value& item : list != nullptr ? *list : json::Array()) {
    const auto text = [&](std::string_view key) {
      return std::string(json::string_at(item, key).value_or(""));
    };
    parents.emplace(text("namespace"), text("name"), text("sectionName"));
  }
  return parents;
}

void check_contradictions(const json::Value& root, Findings& findings) {
  const std::string http = "spec.router.route.http";
  if (json::array_at(root, http + ".refs") != nullptr && json::object_at(root, http + ".spec") != nullptr) {
    findings.push_back({.code = "router",
                        .path = http + ".refs",
                        .sentence = "refs and spec exclude each other: either your routes or a managed one",
                        .fix = "remove one of them"});
  }
  const auto parents = parents_at(root, http + ".spec.parentRefs");
  const auto gateways = parents_at(root, "spec.router.gateway.refs");
  if (!parents.empty() && !gateways.empty()) {
    const bool same = parents == gateways;
    findings.push_back({.code = "router",
                        .severity = same ? Severity::Warning : Severity::Error,
                        .path = http + ".spec.parentRefs",
                        .sentence = same ? "the same as router.gateway.refs"
                                         : "names other Gateways than router.gateway.refs",
                        .fix = "leave parentRefs out: router.gateway.refs sets them"});
  }
}

}  // namespace

Findings check_object(const json::Object& object) {
  Findings findings;
  const json::Value root(object);
  if (json::string_at(root, "apiVersion").value_or("").empty()) {
    findings.push_back({.code = "no-api-version",
                        .severity = Severity::Warning,
                        .path = "kind",
                        .sentence = "no apiVersion; taken for serving.kserve.io",
                        .fix = "add apiVersion: serving.kserve.io/v1alpha2, which kubectl needs"});
  }
  check_metadata(object, findings);
  static constexpr std::array<std::string_view, 5> kTop{"apiVersion", "kind", "metadata", "spec", "status"};
  for (const auto& member : object) {
    const std::string_view name(member.key().data(), member.key().size());
    if (std::ranges::find(kTop, name) == kTop.end()) {
      findings.push_back({.code = "unknown-field",
                          .path = std::string(name),
                          .sentence = "unknown field",
                          .fix = did_you_mean(name, kTop)});
    }
  }
  const auto* spec = json::find(root, "spec");
  if (spec == nullptr) {
    findings.push_back({.code = "missing-field", .sentence = "spec is required"});
    return findings;
  }
  const bool is_config = kind_of(object) == Kind::Config;
  check_schema(is_config ? config_spec_schema() : service_spec_schema(), *spec, "spec", findings);
  if (is_config && json::array_at(root, "spec.baseRefs") != nullptr) {
    findings.push_back({.code = "nested-base-refs",
                        .path = "spec.baseRefs",
                        .sentence = "a config cannot start from other configs",
                        .fix = "list all configs in the service, in order"});
  }
  if (!is_config) {
    check_contradictions(root, findings);
  }
  return findings;
}

}  // namespace llmd::llmisvc
