#include "llmisvc/accelerators.h"

#include <algorithm>
#include <array>

#include "base/strings.h"
#include "json/path.h"
#include "llmisvc/labels.h"
#include "llmisvc/pod_edit.h"

namespace llmd::llmisvc {
namespace {

constexpr const char* kDefaultResource = "nvidia.com/gpu";

bool is_accelerator(std::string_view name) {
  static constexpr std::array<std::string_view, 5> kOthers{
      "gpu.intel.com/i915", "gpu.intel.com/xe", "habana.ai/gaudi", "google.com/tpu", "rebellions.ai/ATOM"};
  return name.ends_with("/gpu") || std::ranges::find(kOthers, name) != kOthers.end();
}

std::optional<long long> count_of(const json::Value& value) {
  if (value.is_string()) {
    return parse_integer(std::string_view(value.get_string()));
  }
  const auto number = json::as_integer(value);
  return number ? std::optional<long long>(*number) : std::nullopt;
}

json::Object& object_in(json::Object& object, std::string_view key) {
  json::Value& value = object[boost::json::string_view(key.data(), key.size())];
  if (!value.is_object()) {
    value = json::Object();
  }
  return value.get_object();
}

// Rule 2 for one direction; true when `from` names an accelerator.
bool copy_accelerators(json::Object& resources, std::string_view from, std::string_view to) {
  const auto* source = resources.if_contains(boost::json::string_view(from.data(), from.size()));
  if (source == nullptr || !source->is_object()) {
    return false;
  }
  bool found = false;
  const json::Object copy = source->get_object();
  for (const auto& member : copy) {
    if (is_accelerator({member.key().data(), member.key().size()})) {
      found = true;
      json::Object& target = object_in(resources, to);
      if (!target.contains(member.key())) {
        target[member.key()] = member.value();
      }
    }
  }
  return found;
}

void set_container(json::Object& container, std::optional<long long> needed) {
  json::Object& resources = object_in(container, "resources");
  const bool in_requests = copy_accelerators(resources, "requests", "limits");
  const bool in_limits = copy_accelerators(resources, "limits", "requests");
  if (!in_requests && !in_limits && needed) {
    for (const char* which : {"limits", "requests"}) {
      object_in(resources, which)[kDefaultResource] = text_value(fmt::format("{}", *needed));
    }
  }
  if (resources.empty()) {
    container.erase("resources");
  }
}

// Devices that are claimed (KServe's DRA annotations) are not counted as well.
bool claims_devices(const Service& service) {
  const json::Value metadata(service.metadata);
  return json::string_at(metadata, "annotations[serving.kserve.io/exp-dra-device-class]").has_value();
}

constexpr long long kPods = 2;  // a leader and a worker: how the guide draws a group

// Rule 3 for a group that says only how wide its tensors are; what each of its pods needs.
std::optional<long long> share_of_tensor(json::Object& owner, const Workload& workload,
                                         std::optional<long long> stated, Findings& findings) {
  const Parallelism& p = workload.parallelism;
  if (!workload.worker || !p.tensor || p.pipeline || p.is_data_parallel()) {
    return std::nullopt;
  }
  const long long share =
      std::max(1LL, stated.value_or(*p.tensor % kPods == 0 ? *p.tensor / kPods : *p.tensor));
  const long long pods = std::max(1LL, *p.tensor / share);
  object_in(owner, "parallelism")["pipeline"] = 1;
  findings.push_back(
      {.code = "tensor-across-pods",
       .severity = Severity::Warning,
       .path = workload.path + ".parallelism",
       .sentence =
           fmt::format("tensor {} over pods of {} GPUs{} makes groups of {}; every layer waits for the "
                       "network between them",
                       *p.tensor, share, stated ? "" : " (not stated: a leader and a worker share it)", pods),
       .fix =
           fmt::format("pipeline: {} with tensor: {} needs less of the network; if the tensor is meant, add "
                       "pipeline: 1 and request {} GPUs in leader and worker",
                       pods, share, share)});
  return share;
}

void set_workload(json::Object& owner, const Workload& workload, bool claims, Findings& findings) {
  Parallelism p = workload.parallelism;
  const auto stated = workload.pod ? accelerators_of(*workload.pod) : std::nullopt;
  const auto share = share_of_tensor(owner, workload, stated, findings);
  if (workload.worker && p.pipeline && !p.tensor && stated && !p.is_data_parallel()) {
    p.tensor = std::max(1LL, kPods * *stated / *p.pipeline);
    object_in(owner, "parallelism")["tensor"] = *p.tensor;
    findings.push_back(
        {.code = "tensor-derived",
         .severity = Severity::Warning,
         .path = workload.path + ".parallelism",
         .sentence = fmt::format("tensor is not set; {} stages over a leader and a worker of {} GPUs "
                                 "each give tensor {}",
                                 *p.pipeline, *stated, *p.tensor),
         .fix = fmt::format("add tensor: {}", *p.tensor)});
  }
  const bool in_one_pod = !workload.worker;
  const bool says_something = p.tensor || p.data_local || (p.pipeline && in_one_pod);
  const auto needed = says_something && !claims
                          ? std::optional<long long>(share.value_or(p.accelerators_per_pod(!in_one_pod)))
                          : std::nullopt;
  for (const char* pod : {"template", "worker"}) {
    auto* spec = owner.if_contains(pod);
    json::Object* main =
        spec != nullptr && spec->is_object() ? find_container(spec->get_object(), "main") : nullptr;
    if (main != nullptr) {
      set_container(*main, needed);
    }
  }
}

}  // namespace

void set_accelerators(json::Object& spec, const Service& service, Findings& findings) {
  const bool claims = claims_devices(service);
  set_workload(spec, service.main, claims, findings);
  if (service.prefill) {
    set_workload(object_in(spec, "prefill"), *service.prefill, claims, findings);
  }
}

std::optional<long long> accelerators_of(const json::Object& pod) {
  json::Object copy = pod;
  const json::Object* main = find_container(copy, "main");
  if (main == nullptr) {
    return std::nullopt;
  }
  const json::Value container(*main);
  for (const char* which : {"resources.limits", "resources.requests"}) {
    const auto* list = json::object_at(container, which);
    for (const auto& member : list != nullptr ? *list : json::Object()) {
      if (is_accelerator({member.key().data(), member.key().size()})) {
        return count_of(member.value());
      }
    }
  }
  return std::nullopt;
}

long long group_size_of(const Workload& workload) {
  const Parallelism& p = workload.parallelism;
  if (p.is_data_parallel()) {
    return p.group_size().value_or(1);
  }
  const long long world = p.pipeline.value_or(1) * p.tensor.value_or(1);
  const long long per_pod = workload.pod ? accelerators_of(*workload.pod).value_or(p.tensor.value_or(1)) : 1;
  return std::max(1LL, world / std::max(1LL, per_pod));
}

namespace {

void add_finding(Findings& findings, std::string path, std::string sentence, std::string fix) {
  findings.push_back({.code = "accelerators",
                      .path = std::move(path),
                      .sentence = std::move(sentence),
                      .fix = std::move(fix)});
}

// A group's pods together are the world that pipeline and tensor parallelism are spread over.
void check_group(const Workload& workload, long long stated, Findings& findings) {
  const Parallelism& p = workload.parallelism;
  const long long world = *p.pipeline * p.tensor.value_or(1);
  if (stated < 1 || world % stated != 0 || world < stated) {
    add_finding(findings, workload.path + ".template",
                fmt::format("pods of {} GPUs cannot hold pipeline {} x tensor {} = {} GPUs", stated,
                            *p.pipeline, p.tensor.value_or(1), world),
                "choose a number of GPUs per pod that divides it");
  }
}

void check_worker(const Workload& workload, long long leader, Findings& findings) {
  const auto worker = workload.worker ? accelerators_of(*workload.worker) : std::nullopt;
  if (worker && *worker != leader) {
    add_finding(findings, workload.path + ".worker",
                fmt::format("the leader asks for {} GPUs, each worker for {}", leader, *worker),
                fmt::format("request {} GPUs in both", std::max(leader, *worker)));
  }
}

}  // namespace

void check_accelerators(const Workload& workload, Findings& findings) {
  const Parallelism& p = workload.parallelism;
  const auto stated = workload.pod ? accelerators_of(*workload.pod) : std::nullopt;
  if (!stated) {
    return;
  }
  check_worker(workload, *stated, findings);
  if (workload.worker && p.pipeline && !p.is_data_parallel()) {
    return check_group(workload, *stated, findings);
  }
  if (!p.tensor && !p.data_local && (workload.worker || !p.pipeline)) {
    return;
  }
  const long long needed = p.accelerators_per_pod(workload.worker.has_value());
  if (*stated != needed) {
    add_finding(findings, workload.path + ".template",
                fmt::format("the pod asks for {} GPUs, its parallelism needs {} (tensor {} x dataLocal {}{})",
                            *stated, needed, p.tensor.value_or(1), p.data_local.value_or(1),
                            workload.worker ? "" : fmt::format(" x pipeline {}", p.pipeline.value_or(1))),
                fmt::format("request {} GPUs, or change parallelism", needed));
  }
}

}  // namespace llmd::llmisvc
