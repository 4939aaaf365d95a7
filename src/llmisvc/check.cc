#include "llmisvc/check.h"

#include <algorithm>
#include <set>

#include "base/strings.h"
#include "json/path.h"
#include "llmisvc/accelerators.h"
#include "llmisvc/check_parts.h"
#include "llmisvc/child_name.h"
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

void check_model(const Service& service, const Facts& facts, Findings& findings) {
  const Model& model = service.model;
  if (model.uri.empty()) {
    add(findings, "missing-field", "spec.model.uri", "no model: neither the service nor a config names one",
        "write where the model is, for example uri: hf://meta-llama/Llama-3.1-8B-Instruct");
  } else {
    check_uri(model.uri, "spec.model.uri", facts.platform, findings);
  }
  std::set<std::string> names;
  for (const Adapter& adapter : model.adapters) {
    const std::string path = "spec.model.lora.adapters";
    if (adapter.name.empty() || adapter.name == "." || adapter.name == "..") {
      add(findings, "adapter-name", path, fmt::format("the adapter from {} has no usable name", adapter.uri),
          "give it the name clients will ask for");
    } else if (adapter.name == model.name) {
      add(findings, "adapter-name", path, fmt::format("adapter '{}' has the model's name", adapter.name),
          "give one of them another name");
    } else if (!names.insert(adapter_folder(adapter.name)).second) {
      add(findings, "adapter-name", path,
          fmt::format("two adapters would be stored in {}", adapter_folder(adapter.name)),
          "rename one of them");
    }
    check_uri(adapter.uri, path, facts.platform, findings);
  }
  if (!model.criticality.empty() && !(service.router && service.router->scheduler)) {
    add(findings, "criticality-without-scheduler", "spec.model.criticality",
        "nothing looks at criticality without a scheduler", "add router.scheduler: {}", Severity::Warning);
  }
}

// A 1 says no more than nothing: documentation writes all of them out.
bool is_split(const std::optional<long long>& size) {
  return size.value_or(1) > 1;
}

void check_parallelism(const Workload& workload, Findings& findings) {
  const Parallelism& p = workload.parallelism;
  const std::string path = workload.path + ".parallelism";
  if (is_split(p.pipeline) && (is_split(p.data) || is_split(p.data_local))) {
    add(findings, "parallelism", path, "pipeline and data parallelism exclude each other",
        "keep pipeline, or data with dataLocal");
  }
  if (is_split(p.data) && !p.data_local) {
    add(findings, "parallelism", path, "data needs dataLocal: how many of the copies run in one pod",
        fmt::format("add dataLocal: {}", *p.data));
  } else if (is_split(p.data_local) && !p.data) {
    add(findings, "parallelism", path, "dataLocal needs data: how many copies there are",
        fmt::format("add data: {}", *p.data_local));
  } else if (p.data && p.data_local && *p.data % *p.data_local != 0) {
    add(findings, "parallelism", path,
        fmt::format("data {} is not a multiple of dataLocal {}", *p.data, *p.data_local),
        "let every pod run the same number of copies");
  }
  if (workload.worker && !p.pipeline && !p.tensor && !p.is_data_parallel()) {
    add(findings, "parallelism", workload.path + ".worker",
        "a group of pods needs to know how the model is spread over it",
        "add parallelism.pipeline, parallelism.data with dataLocal, or a tensor wider than a pod");
  }
}

void check_workload(const Workload& workload, Findings& findings) {
  check_parallelism(workload, findings);
  check_accelerators(workload, findings);
  check_scaling(workload, findings);
  check_cache_tiers(workload, findings);
  check_devices(workload, findings);
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
    add(findings, "router", "spec.router.route.group", "a group works only with a managed HTTPRoute",
        "remove router.ingress and router.route.http.refs, or the group");
  }
}

// What LeaderWorkerSet appends to its name must fit into labels: "-GROUP-WORKER" of a pod, and of a
// StatefulSet (one per group) "-GROUP" with the hash of its revision.
void check_group_name(const Service& service, const Workload& workload, Findings& findings) {
  if (!workload.worker) {
    return;
  }
  constexpr std::size_t kLabel = 63;
  constexpr std::size_t kHash = 11;  // with its dash
  const std::string_view suffix = workload.path == "spec" ? "-kserve-mn" : "-kserve-mn-prefill";
  const std::size_t group = std::to_string(std::max(0LL, workload.replicas.value_or(1) - 1)).size() + 1;
  const std::size_t longest = kLabel - kHash - group - suffix.size();
  if (service.name.size() > longest) {
    add(findings, "name-length", "metadata.name",
        fmt::format("'{}' has {} characters; names of pods in groups grow beyond a label's 63", service.name,
                    service.name.size()),
        fmt::format("use at most {} characters", longest));
  }
}

void check_name(const Service& service, Findings& findings) {
  check_group_name(service, service.main, findings);
  if (service.prefill) {
    check_group_name(service, *service.prefill, findings);
  }
  // The longest name that people look for.
  constexpr std::string_view kSuffix = "-kserve-router-scheduler";
  const std::string child = child_name(service.name, kSuffix);
  if (child != service.name + std::string(kSuffix) && !has_errors(findings)) {
    add(findings, "name-shortened", "metadata.name",
        fmt::format("names of its objects do not fit into 63 characters and are shortened: {}", child),
        fmt::format("use at most {} characters to keep them readable", 63 - kSuffix.size()), Severity::Note);
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
  check_actuators(service, findings);
  check_router(service, findings);
  check_confidential(service, findings);
  check_device_claims(service, findings);
  return findings;
}

namespace {

std::optional<long long> group_size(const Workload& workload) {
  return workload.worker ? std::optional(group_size_of(workload)) : std::nullopt;
}

void check_size(std::optional<long long> before, const Workload& after, Findings& findings) {
  const auto now = group_size(after);
  if (before && now && *before != *now) {
    add(findings, "group-size-changed", after.path + ".parallelism",
        fmt::format("the size of a group cannot be changed in place: {} pods before, {} pods now", *before,
                    *now),
        "delete the service and create it anew, or create one of another name");
  }
}

}  // namespace

GroupSizes group_sizes_of(const Service& service) {
  return {.main = group_size(service.main),
          .prefill = service.prefill ? group_size(*service.prefill) : std::nullopt};
}

Findings check_update(const GroupSizes& before, const Service& after) {
  Findings findings;
  check_size(before.main, after.main, findings);
  if (after.prefill) {
    check_size(before.prefill, *after.prefill, findings);
  }
  return findings;
}

}  // namespace llmd::llmisvc
