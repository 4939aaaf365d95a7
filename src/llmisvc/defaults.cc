#include "llmisvc/defaults.h"

#include <algorithm>

#include "json/path.h"
#include "llmisvc/accelerators.h"
#include "llmisvc/child_name.h"
#include "llmisvc/convert_version.h"
#include "llmisvc/labels.h"
#include "llmisvc/route_group.h"
#include "llmisvc/service.h"

namespace llmd::llmisvc {
namespace {

using Text = std::string_view;

json::Object* object_in(json::Object& object, Text path) {
  json::Object* current = &object;
  for (std::size_t begin = 0; begin <= path.size();) {
    const std::size_t dot = std::min(path.find('.', begin), path.size());
    const Text step = path.substr(begin, dot - begin);
    auto* member = current->if_contains(boost::json::string_view(step.data(), step.size()));
    if (member == nullptr || !member->is_object()) {
      return nullptr;
    }
    current = &member->get_object();
    begin = dot + 1;
  }
  return current;
}

void set_if_absent(json::Object& object, Text key, json::Value value) {
  auto& member = object[boost::json::string_view(key.data(), key.size())];
  if (member.is_null()) {
    member = std::move(value);
  }
}

void pool_defaults(json::Object& spec, const std::string& name) {
  json::Object* pool = object_in(spec, "router.scheduler.pool.spec");
  if (pool == nullptr) {
    return;
  }
  *pool = pool_spec_v1(*pool);  // from here on there is one spelling
  json::Object* labels = object_in(*pool, "selector.matchLabels");
  if (labels == nullptr || labels->empty()) {
    (*pool)["selector"] = json::Object{{"matchLabels",
                                        {{"app.kubernetes.io/name", name},
                                         {"app.kubernetes.io/part-of", "llminferenceservice"},
                                         {"kserve.io/component", "workload"}}}};
  }
  set_if_absent(*pool, "targetPorts", json::Array{json::Object{{"number", 8000}}});
  set_if_absent(*pool, "endpointPickerRef", json::Object());
  json::Object& picker = (*pool)["endpointPickerRef"].as_object();
  set_if_absent(picker, "kind", "Service");
  set_if_absent(picker, "name", text_value(child_name(name, "-epp-service")));
  if (picker["kind"] == "Service") {
    set_if_absent(picker, "port", json::Object{{"number", 9002}});
  }
  set_if_absent(picker, "failureMode", "FailOpen");
}

// 3. Where a rule sends requests when it does not say so.
json::Object default_backend(const Service& service, const Facts& facts) {
  const bool has_pools = facts.has_inference_pool_v1 || facts.has_inference_pool_v1alpha2;
  if (service.router && service.router->scheduler && has_pools) {
    const auto& reference = service.router->scheduler->pool_ref;
    return {{"group",
             facts.has_inference_pool_v1 ? "inference.networking.k8s.io" : "inference.networking.x-k8s.io"},
            {"kind", "InferencePool"},
            {"name", reference ? *reference : child_name(service.name, "-inference-pool")},
            {"port", 8000},
            {"weight", 1}};
  }
  return {{"group", ""},
          {"kind", "Service"},
          {"name", child_name(service.name, "-kserve-workload-svc")},
          {"port", 8000},
          {"weight", 1}};
}

void rewrite_backend(json::Value& backend, const Service& service, const Facts& facts) {
  auto* object = backend.if_object();
  const auto* kind = object != nullptr ? object->if_contains("kind") : nullptr;
  const auto* name = object != nullptr ? object->if_contains("name") : nullptr;
  if (kind == nullptr || name == nullptr || *kind != "InferencePool" ||
      *name != text_value(child_name(service.name, "-inference-pool"))) {
    return;
  }
  json::Object replacement = default_backend(service, facts);
  for (const char* keep : {"port", "weight"}) {
    if (const auto* value = object->if_contains(keep)) {
      replacement[keep] = *value;
    }
  }
  *object = std::move(replacement);
}

// A rule that only matches a path prefix serves the API under it: the prefix is cut off.
void default_rewrite(json::Object& rule) {
  const auto* matches = rule.if_contains("matches");
  if (rule.contains("filters") || matches == nullptr || !matches->is_array() ||
      matches->get_array().size() != 1) {
    return;
  }
  const json::Value& match = matches->get_array()[0];
  const auto path = json::string_at(match, "path.value").value_or("/");
  if (json::string_at(match, "path.type").value_or("PathPrefix") != "PathPrefix" || path == "/") {
    return;
  }
  rule["filters"] = json::Array{json::Object{
      {"type", "URLRewrite"},
      {"urlRewrite", {{"path", {{"type", "ReplacePrefixMatch"}, {"replacePrefixMatch", "/"}}}}}}};
}

json::Array parents_of(const Router& router) {
  json::Array parents;
  for (const Reference& gateway : router.gateways) {
    json::Object parent{{"group", "gateway.networking.k8s.io"}, {"kind", "Gateway"}, {"name", gateway.name}};
    if (!gateway.name_space.empty()) {
      parent["namespace"] = gateway.name_space;
    }
    if (!gateway.section.empty()) {
      parent["sectionName"] = gateway.section;
    }
    parents.emplace_back(std::move(parent));
  }
  return parents;
}

bool has_model_header(const json::Value& match, const std::string& header) {
  const auto* headers = json::array_at(match, "headers");
  return headers != nullptr && std::ranges::any_of(*headers, [&](const json::Value& one) {
           return json::string_at(one, "name").value_or("") == header;
         });
}

// Without model-based routing the matches on its header go, and rules that match nothing else with them.
void drop_model_matches(json::Array& rules, const std::string& header) {
  for (auto rule = rules.begin(); rule != rules.end();) {
    auto* matches = rule->is_object() ? rule->get_object().if_contains("matches") : nullptr;
    if (matches == nullptr || !matches->is_array() || matches->get_array().empty()) {
      ++rule;
      continue;
    }
    auto& list = matches->get_array();
    for (auto match = list.begin(); match != list.end();) {
      match = has_model_header(*match, header) ? list.erase(match) : match + 1;
    }
    rule = list.empty() ? rules.erase(rule) : rule + 1;
  }
}

// Every match on the model header is repeated for each adapter.
void add_adapter_matches(json::Array& rules, const Service& service, const std::string& header) {
  for (json::Value& rule : rules) {
    auto* matches = rule.is_object() ? rule.get_object().if_contains("matches") : nullptr;
    if (matches == nullptr || !matches->is_array()) {
      continue;
    }
    const json::Array originals = matches->get_array();
    for (const Adapter& adapter : service.model.adapters) {
      for (json::Value match : originals) {
        if (!has_model_header(match, header)) {
          continue;
        }
        for (json::Value& one : match.at("headers").get_array()) {
          if (json::string_at(one, "name").value_or("") == header) {
            one.get_object()["value"] =
                text_value(fmt::format("publishers/{}/models/{}", service.name_space, adapter.name));
          }
        }
        matches->get_array().push_back(std::move(match));
      }
    }
  }
}

// The wish stands with the pods that know their model by its long name; a Gateway may not want to route so.
bool routes_by_model(const json::Object& spec, const json::Object& route, const Service& service,
                     const Facts& facts) {
  const bool wished =
      json::string_at(json::Value(spec), fmt::format("annotations[{}]", kModelRouting)) == "true";
  if (!wished || facts.model_header.empty() || facts.model_routing != ModelRouting::Enabled) {
    return wished && !facts.model_header.empty() && facts.model_routing == ModelRouting::Forced;
  }
  const json::Value value(route);
  const auto* parents = json::array_at(value, "parentRefs");
  return parents == nullptr || std::ranges::none_of(*parents, [&](const json::Value& parent) {
           const std::string key =
               fmt::format("{}/{}", json::string_at(parent, "namespace").value_or(service.name_space),
                           json::string_at(parent, "name").value_or(""));
           return facts.gateways_without_model_routing.contains(key);
         });
}

void route_defaults(json::Object& spec, const Service& service, const Facts& facts) {
  json::Object* route = object_in(spec, "router.route.http.spec");
  if (route == nullptr || !service.router) {
    return;
  }
  if (!service.router->gateways.empty()) {
    (*route)["parentRefs"] = parents_of(*service.router);
  }
  auto* rules = route->if_contains("rules");
  if (rules == nullptr || !rules->is_array()) {
    return;
  }
  if (routes_by_model(spec, *route, service, facts)) {
    add_adapter_matches(rules->get_array(), service, facts.model_header);
  } else {
    drop_model_matches(rules->get_array(), facts.model_header);
  }
  for (json::Value& rule : rules->get_array()) {
    if (!rule.is_object()) {
      continue;
    }
    auto& object = rule.get_object();
    auto& backends = object["backendRefs"];
    if (!backends.is_array() || backends.get_array().empty()) {
      backends = json::Array{default_backend(service, facts)};
      default_rewrite(object);
    } else {
      for (json::Value& backend : backends.get_array()) {
        rewrite_backend(backend, service, facts);
      }
    }
  }
  add_group_backends(rules->get_array(), service, facts);
}

// 4.
void resolve_config(json::Object& spec, const Service& service, const Facts& facts, Findings& findings) {
  json::Object* config = object_in(spec, "router.scheduler.config");
  json::Object* reference = config != nullptr ? object_in(*config, "ref") : nullptr;
  if (reference == nullptr) {
    return;
  }
  const json::Value value(*reference);
  const std::string name(json::string_at(value, "name").value_or(""));
  std::string key(json::string_at(value, "key").value_or(""));
  key = key.empty() ? "epp" : key;
  auto map = facts.config_maps.find(service.name_space + "/" + name);
  if (map == facts.config_maps.end() && name.starts_with("config-scheduler-")) {
    map = facts.config_maps.find(facts.system_namespace + "/" + name);
  }
  const std::string path = "spec.router.scheduler.config.ref";
  if (map == facts.config_maps.end()) {
    findings.push_back(
        {.code = "config-map-not-found",
         .path = path + ".name",
         .sentence = fmt::format("ConfigMap '{}' does not exist in namespace '{}'", name, service.name_space),
         .fix = "create it, or write the configuration under config.inline"});
    return;
  }
  const auto text = map->second.find(key);
  if (text == map->second.end()) {
    findings.push_back({.code = "config-map-key",
                        .path = path + ".key",
                        .sentence = fmt::format("ConfigMap '{}' has no key '{}'", name, key)});
    return;
  }
  config->erase("ref");
  (*config)["inline"] = text_value(text->second);
}

}  // namespace

void set_name_defaults(json::Object& object) {
  auto& spec = object["spec"].as_object();
  set_if_absent(spec, "model", json::Object());
  if (auto* model = spec["model"].if_object()) {
    set_if_absent(*model, "name",
                  text_value(json::string_at(json::Value(object), "metadata.name").value_or("")));
  }
}

void set_defaults(json::Object& object, const Facts& facts, Findings& findings) {
  const Service service = view_of(object);
  auto& spec = object["spec"].as_object();
  pool_defaults(spec, service.name);
  if (json::Object* pod = object_in(spec, "router.scheduler.template")) {
    set_if_absent(*pod, "serviceAccountName", text_value(child_name(service.name, "-epp-sa")));
  }
  route_defaults(spec, service, facts);
  resolve_config(spec, service, facts, findings);
  set_accelerators(spec, service, findings);
}

}  // namespace llmd::llmisvc
