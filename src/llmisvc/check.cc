#include "llmisvc/check.h"

#include <algorithm>
#include <set>

#include "base/strings.h"
#include "json/path.h"
#include "llmisvc/accelerators.h"
#include "llmisvc/storage.h"

namespace llmd::llmisvc {
namespace {

void add(Findings& findings, std::string_view code, std::string path, std::string sentence,
         std::string fix = {}, Severity severity = Severity::Error) {
  findings.push_back({.code = std::string(code),
                      .severity = severity,
                      .path = std::move(path),
                      .sentence = std::move(sentence),
                      .fix = std::move(fix)});
}

void check_uri(const std::string& uri, const std::string& path, const Facts& facts, Findings& findings) {
  if (const auto parsed = parse_model_uri(uri, facts.platform); !parsed) {
    add(findings, "model-uri", path, parsed.error().message, parsed.error().advice);
  }
}

void check_model(const Service& service, const Facts& facts, Findings& findings) {
  const Model& model = service.model;
  if (model.uri.empty()) {
    add(findings, "missing-field", "spec.model.uri", "no model: neither the service nor a config names one",
        "write where the model is, for example uri: hf://meta-llama/Llama-3.1-8B-Instruct");
  } else {
    check_uri(model.uri, "spec.model.uri", facts, findings);
  }
  std::set<std::string> names;
  for (const Adapter& adapter : model.adapters) {
    const std::string path = "spec.model.lora.adapters";
    if (adapter.name.empty() || adapter.name == "." || adapter.name == "..") {
      add(findings, "adapter-name", path, fmt::format("the adapter from {} has no usable name", adapter.uri),
          "give it the name clients will ask for");
    } else if (adapter.name == model.name) {
      add(findings, "adapter-name", path, fmt::format("adapter '{}' has the model's name", adapter.name));
    } else if (!names.insert(adapter_folder(adapter.name)).second) {
      add(findings, "adapter-name", path,
          fmt::format("two adapters would be stored in {}", adapter_folder(adapter.name)),
          "rename one of them");
    }
    check_uri(adapter.uri, path, facts, findings);
  }
  if (!model.criticality.empty() && !(service.router && service.router->scheduler)) {
    add(findings, "criticality-without-scheduler", "spec.model.criticality",
        "nothing looks at criticality without a scheduler", "add router.scheduler: {}", Severity::Warning);
  }
}

void check_parallelism(const Workload& workload, Findings& findings) {
  const Parallelism& p = workload.parallelism;
  const std::string path = workload.path + ".parallelism";
  if (p.pipeline && p.is_data_parallel()) {
    add(findings, "parallelism", path, "pipeline and data parallelism exclude each other",
        "keep pipeline, or data with dataLocal");
  }
  if (p.data.has_value() != p.data_local.has_value()) {
    add(findings, "parallelism", path,
        p.data ? "data needs dataLocal: how many of the copies run in one pod"
               : "dataLocal needs data: how many copies there are",
        p.data ? fmt::format("add dataLocal: {}", *p.data) : fmt::format("add data: {}", *p.data_local));
  } else if (p.data && *p.data % *p.data_local != 0) {
    add(findings, "parallelism", path,
        fmt::format("data {} is not a multiple of dataLocal {}", *p.data, *p.data_local));
  }
  if (workload.worker && !p.pipeline && !p.is_data_parallel()) {
    add(findings, "parallelism", workload.path + ".worker",
        "a group of pods needs to know how the model is spread over it",
        "add parallelism.pipeline, or parallelism.data with dataLocal");
  }
}

void check_scaling(const Workload& workload, Findings& findings) {
  if (!workload.scaling) {
    return;
  }
  const json::Value scaling(*workload.scaling);
  const std::string path = workload.path + ".scaling";
  const auto least = json::int_at(scaling, "minReplicas").value_or(1);
  const auto most = json::int_at(scaling, "maxReplicas");
  const bool hpa = json::object_at(scaling, "wva.hpa") != nullptr;
  const bool keda = json::object_at(scaling, "wva.keda") != nullptr;
  if (workload.replicas) {
    add(findings, "scaling", path, "replicas and scaling exclude each other", "remove replicas");
  }
  if (most && least > *most) {
    add(findings, "scaling", path + ".minReplicas",
        fmt::format("{} is more than maxReplicas {}", least, *most));
  }
  if (json::object_at(scaling, "wva") == nullptr) {
    add(findings, "scaling", path + ".wva", "must be set", "add wva: {hpa: {}} or wva: {keda: {}}");
  } else if (hpa == keda) {
    add(findings, "scaling", path + ".wva",
        hpa ? "hpa and keda exclude each other" : "one of hpa and keda must be set");
  }
  if (const auto idle = json::int_at(scaling, "wva.keda.idleReplicaCount"); idle && *idle >= least) {
    add(findings, "scaling", path + ".wva.keda.idleReplicaCount",
        fmt::format("{} must be lower than minReplicas {}", *idle, least));
  }
}

void check_workload(const Workload& workload, Findings& findings) {
  check_parallelism(workload, findings);
  check_accelerators(workload, findings);
  check_scaling(workload, findings);
}

void check_router(const Service& service, Findings& findings) {
  if (!service.router) {
    return;
  }
  const Router& router = *service.router;
  if (!router.routes.empty() && router.has_gateway && router.gateways.empty()) {
    add(findings, "router", "spec.router.route.http.refs", "routes of your own need gateways of your own",
        "list them under router.gateway.refs, or remove router.gateway");
  }
  const json::Value spec(service.spec);
  const bool group = json::string_at(spec, "router.route.group").has_value();
  const bool weight = json::int_at(spec, "router.route.weight").has_value();
  if (group != weight) {
    add(findings, "router", "spec.router.route", group ? "group needs weight" : "weight needs group",
        group ? "add weight: 1" : "add group, the name of the services that share traffic");
  }
  if (group && (router.has_ingress || !router.routes.empty())) {
    add(findings, "router", "spec.router.route.group", "a group works only with a managed HTTPRoute");
  }
  if (router.scheduler) {
    const bool inline_config = json::find(spec, "router.scheduler.config.inline") != nullptr;
    const bool config = json::object_at(spec, "router.scheduler.config") != nullptr;
    if (config && !inline_config) {
      add(findings, "scheduler-config", "spec.router.scheduler.config", "one of inline and ref must be set");
    }
  }
}

// Long names still work, but what LeaderWorkerSet appends to them does not fit into labels any more.
void check_name(const Service& service, Findings& findings) {
  if (service.main.worker && service.name.size() > 40) {
    add(findings, "name-length", "metadata.name",
        fmt::format("'{}' has {} characters; names of pods in groups grow beyond a label's 63", service.name,
                    service.name.size()),
        "use at most 40 characters");
  }
}

}  // namespace

Findings check(const Service& service, const Facts& facts) {
  Findings findings;
  check_name(service, findings);
  check_model(service, facts, findings);
  check_workload(service.main, findings);
  if (service.prefill) {
    check_workload(*service.prefill, findings);
  }
  check_router(service, findings);
  return findings;
}

}  // namespace llmd::llmisvc
