#include "llmisvc/check_routes.h"

#include <vector>

#include "base/strings.h"
#include "json/path.h"
#include "llmisvc/object_edit.h"

namespace llmd::llmisvc {
namespace {

std::string text_at(const json::Value& value, std::string_view path, std::string_view otherwise = "") {
  return std::string(json::string_at(value, path).value_or(otherwise));
}

std::vector<std::string> gateways_of(const json::Value& route, const std::string& name_space) {
  std::vector<std::string> gateways;
  const auto* parents = json::array_at(route, "spec.parentRefs");
  for (const json::Value& parent : parents != nullptr ? *parents : json::Array()) {
    gateways.push_back(fmt::format("{}/{}{}", text_at(parent, "namespace", name_space),
                                   text_at(parent, "name"), text_at(parent, "sectionName")));
  }
  return gateways;
}

std::vector<std::string> hosts_of(const json::Value& route) {
  std::vector<std::string> hosts;
  const auto* list = json::array_at(route, "spec.hostnames");
  for (const json::Value& host : list != nullptr ? *list : json::Array()) {
    hosts.emplace_back(text_view(host));
  }
  return hosts.empty() ? std::vector<std::string>{"*"} : hosts;
}

// "PathPrefix /api" and whatever else narrows the match.
std::string match_text(const json::Value& match) {
  std::string path = text_at(match, "path.value", "/");
  while (path.size() > 1 && path.ends_with('/')) {
    path.pop_back();
  }
  std::string text = text_at(match, "path.type", "PathPrefix") + " " + path;
  for (const char* key : {"method", "headers", "queryParams"}) {
    if (const auto* value = json::find(match, key)) {
      text += fmt::format(", {} {}", key, json::write(*value));
    }
  }
  return text;
}

}  // namespace

Findings RouteTable::add(const json::Object& route, const std::string& path) {
  Findings findings;
  const json::Value value(route);
  const std::string name_space = text_at(value, "metadata.namespace", "default");
  const std::string name = name_space + "/" + text_at(value, "metadata.name");
  const auto gateways = gateways_of(value, name_space);
  const auto hosts = hosts_of(value);
  const auto* rules = json::array_at(value, "spec.rules");
  for (std::size_t i = 0; rules != nullptr && i < rules->size(); ++i) {
    const json::Value& rule = (*rules)[i];
    const auto* own = json::array_at(rule, "matches");
    const json::Array matches = own != nullptr && !own->empty() ? *own : json::Array{json::Object()};
    const auto* backends = json::find(rule, "backendRefs");
    for (const json::Value& match : matches) {
      bool reported = false;
      for (const std::string& gateway : gateways) {
        for (const std::string& host : hosts) {
          const std::string text = match_text(match);
          const Owner owner{.route = name, .backends = backends != nullptr ? *backends : json::Value()};
          const auto [found, is_new] = taken_.emplace(fmt::format("{}|{}|{}", gateway, host, text), owner);
          if (is_new || reported || found->second.backends == owner.backends) {
            continue;
          }
          reported = true;
          findings.push_back(
              {.code = "path-conflict",
               .path = path.empty() ? fmt::format("spec.rules[{}]", i) : path,
               .sentence = fmt::format("{} on Gateway {} already leads to another backend (HTTPRoute {})",
                                       text, gateway, found->second.route),
               .fix = "give each its own path, host or Gateway; or share traffic with router.route.group"});
        }
      }
    }
  }
  return findings;
}

Findings check_backends(const json::Object& route) {
  Findings findings;
  const json::Value value(route);
  const auto* rules = json::array_at(value, "spec.rules");
  for (std::size_t i = 0; rules != nullptr && i < rules->size(); ++i) {
    const auto* backends = json::array_at((*rules)[i], "backendRefs");
    for (std::size_t j = 0; backends != nullptr && j < backends->size(); ++j) {
      const std::string name = text_at((*backends)[j], "name");
      if (text_at((*backends)[j], "kind", "Service") != "Service" ||
          !(name.ends_with("-epp") || name.ends_with("-epp-service"))) {
        continue;
      }
      const std::string pool = name.substr(0, name.rfind("-epp"));
      findings.push_back(
          {.code = "picker-as-backend",
           .severity = Severity::Warning,
           .path = fmt::format("spec.rules[{}].backendRefs[{}]", i, j),
           .sentence = fmt::format("'{}' looks like an endpoint picker, which answers gateways only", name),
           .fix = fmt::format("route to its pool: {{group: inference.networking.k8s.io, kind: "
                              "InferencePool, name: {}}}",
                              pool)});
    }
  }
  return findings;
}

}  // namespace llmd::llmisvc
