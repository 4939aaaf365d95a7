// `routing` of a values file: the sidecar, and what charts up to 0.2 said about routes, pools and the picker.
#include "base/strings.h"
#include "json/path.h"
#include "llmisvc/labels.h"
#include "llmisvc/object_edit.h"
#include "llmisvc/values_parts.h"

namespace llmd::llmisvc {
namespace {

// Charts before 0.3 rendered the route themselves.
void convert_old_route(ValuesReader& values, json::Object& router) {
  if (const auto* parents = values.take("routing.parentRefs"); parents != nullptr && parents->is_array()) {
    json::Array references;
    for (const json::Value& parent : parents->get_array()) {
      json::Object reference;
      for (const char* key : {"name", "namespace", "sectionName"}) {
        if (const auto* value = json::find(parent, key)) {
          reference[key] = *value;
        }
      }
      references.emplace_back(std::move(reference));
    }
    router["gateway"] = json::Object{{"refs", std::move(references)}};
  }
  const auto create = values.flag("routing.httpRoute.create");
  const auto* matches = values.take("routing.httpRoute.matches");
  const auto* timeouts = values.take("routing.httpRoute.timeouts");
  if (create == false) {
    router.stable_erase("route");
    return;
  }
  if (matches != nullptr || timeouts != nullptr) {
    json::Object rule;
    if (matches != nullptr) {
      rule["matches"] = *matches;
    }
    if (timeouts != nullptr) {
      rule["timeouts"] = *timeouts;
    }
    router["route"] = json::Object{{"http", {{"spec", {{"rules", json::Array{rule}}}}}}};
  }
}

void convert_old_picker(ValuesReader& values, json::Object& router) {
  if (values.flag("routing.inferencePool.create") == false || values.flag("routing.epp.create") == false) {
    router.stable_erase("scheduler");
  }
  values.done("routing.inferencePool.apiGroup");
  json::Object container{{"name", "main"}};
  const std::string image = values.text("routing.epp.image");
  if (!image.empty()) {
    container["image"] = text_value(image);
  }
  if (const auto* env = values.take("routing.epp.env"); env != nullptr && env->is_array()) {
    container["env"] = *env;
  }
  json::Object* scheduler = find_object(router, "scheduler");
  if (scheduler == nullptr) {
    return;
  }
  if (const auto replicas = values.integer("routing.epp.replicas")) {
    (*scheduler)["replicas"] = *replicas;
  }
  if (container.size() > 1) {
    (*scheduler)["template"] = json::Object{{"containers", json::Array{container}}};
  }
}

std::string connector_named(const std::string& connector) {
  return connector == "nixl" ? "nixlv2" : connector;
}

}  // namespace

json::Object convert_routing(ValuesReader& values, const ValuesContext& context, json::Object& model) {
  json::Object router{{"gateway", json::Object()}, {"route", json::Object()}, {"scheduler", json::Object()}};
  if (values.integer("routing.servicePort").value_or(8000) != 8000) {
    values.skipped("routing.servicePort", fmt::format("pods listen on 8000, not on {}", context.service_port),
                   "whatever addresses the pods directly must use 8000");
  }
  const bool is_old =
      values.look("routing.parentRefs") != nullptr || values.look("routing.httpRoute") != nullptr ||
      values.look("routing.inferencePool") != nullptr || values.look("routing.epp") != nullptr;
  convert_old_route(values, router);
  convert_old_picker(values, router);
  if (const std::string name = values.text("routing.modelName"); !name.empty()) {
    model["name"] = text_value(name);
  }
  const std::string criticality = values.text("routing.inferenceModel.criticality");
  values.done("routing.inferenceModel.create");
  if (!criticality.empty()) {
    model["criticality"] = text_value(criticality);
  }
  if (!is_old) {
    values.remark(
        "routing",
        "the chart left Gateway, route and picker to other charts; here they are the service's own");
  }
  if (!context.has_prefill) {
    values.note("routing.proxy", "without prefill pods there is nothing for a sidecar to do; none is made");
  }
  return router;
}

std::optional<json::Object> convert_proxy(ValuesReader& values, const ValuesContext& context) {
  if (!context.has_proxy) {
    values.skipped("routing.proxy.enabled", "the sidecar stays: it is what asks the prefill pods");
  }
  json::Object proxy{{"name", "llm-d-routing-sidecar"}};
  if (const std::string image = values.text("routing.proxy.image"); !image.empty()) {
    proxy["image"] = text_value(image);
  }
  if (const std::string policy = values.text("routing.proxy.imagePullPolicy"); !policy.empty()) {
    proxy["imagePullPolicy"] = text_value(policy);
  }
  json::Array args;
  const auto add = [&](std::string_view flag, const std::string& value) {
    if (!value.empty()) {
      args.push_back(text_value(fmt::format("{}={}", flag, value)));
    }
  };
  const std::string connector = connector_named(values.text("routing.proxy.connector"));
  add("--kv-connector", connector == "nixlv2" ? "" : connector);
  const auto secure = values.flag("routing.proxy.secure");
  add("--secure-proxy", secure == true ? "true" : "");
  const auto prefill_tls = values.flag("routing.proxy.prefillerUseTLS");
  add("--prefiller-use-tls", prefill_tls == true ? "true" : "");
  add("--cert-path", values.text("routing.proxy.certPath"));
  for (const auto& [key, flag] : {std::pair{"zapDevel", "--zap-devel"},
                                  {"zapEncoder", "--zap-encoder"},
                                  {"zapLogLevel", "--zap-log-level"},
                                  {"zapStacktraceLevel", "--zap-stacktrace-level"},
                                  {"zapTimeEncoding", "--zap-time-encoding"}}) {
    add(flag, values.text(fmt::format("routing.proxy.{}", key)));
  }
  if (const std::string level = values.text("routing.proxy.debugLevel"); !level.empty()) {
    add("-v", level);
  }
  values.done("routing.proxy.targetPort");
  if (!args.empty()) {
    proxy["args"] = std::move(args);
  }
  return proxy.size() > 1 ? std::optional(std::move(proxy)) : std::nullopt;
}

}  // namespace llmd::llmisvc
