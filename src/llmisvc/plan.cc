#include "llmisvc/plan.h"

#include <algorithm>

#include "json/path.h"
#include "json/yaml.h"
#include "llmisvc/accelerators.h"

namespace llmd::llmisvc {
namespace {

std::string text_at(const json::Value& root, std::string_view path) {
  return std::string(json::string_at(root, path).value_or(""));
}

std::string role_of(const json::Value& labels) {
  if (text_at(labels, "[app.kubernetes.io/component]").ends_with("scheduler")) {
    return "scheduler";
  }
  const std::string role = text_at(labels, "[llm-d.ai/role]");
  return role.empty() || role == "both" ? "serving" : role;
}

void add_containers(const json::Value& pod, WorkloadPlan& plan) {
  const auto* containers = json::array_at(pod, "containers");
  for (const json::Value& container : containers != nullptr ? *containers : json::Array()) {
    plan.containers.push_back(text_at(container, "name"));
  }
  const auto* init = json::array_at(pod, "initContainers");
  for (const json::Value& container : init != nullptr ? *init : json::Array()) {
    const bool stays = text_at(container, "restartPolicy") == "Always";
    (stays ? plan.containers : plan.init_containers).push_back(text_at(container, "name"));
  }
}

WorkloadPlan workload_plan(const json::Value& object, std::string_view pod_path, long long pods_per_replica) {
  WorkloadPlan plan{.name = text_at(object, "metadata.name"),
                    .role = {},
                    .replicas = json::int_at(object, "spec.replicas").value_or(1)};
  plan.pods = plan.replicas * pods_per_replica;
  const json::Value* pod = json::find(object, std::string(pod_path) + ".spec");
  const json::Value* labels = json::find(object, std::string(pod_path) + ".metadata.labels");
  if (labels != nullptr) {
    plan.role = role_of(*labels);
  }
  if (pod != nullptr && pod->is_object()) {
    add_containers(*pod, plan);
    plan.accelerators_per_pod = accelerators_of(pod->get_object()).value_or(0);
  }
  return plan;
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) {
    text += (text.empty() ? "" : ", ") + name;
  }
  return text;
}

std::string workload_lines(const WorkloadPlan& plan) {
  std::string text = fmt::format("   pods {} ({})", plan.pods, plan.role);
  if (plan.accelerators_per_pod > 0) {
    text += fmt::format(", {} GPUs each, {} in all", plan.accelerators_per_pod, plan.accelerators());
  }
  if (!plan.init_containers.empty()) {
    text += "\n   init " + joined(plan.init_containers);
  }
  return text + "\n   run  " + joined(plan.containers) + "\n";
}

}  // namespace

long long Plan::pods() const {
  long long sum = 0;
  for (const WorkloadPlan& workload : workloads) {
    sum += workload.pods;
  }
  return sum;
}

long long Plan::accelerators() const {
  long long sum = 0;
  for (const WorkloadPlan& workload : workloads) {
    sum += workload.accelerators();
  }
  return sum;
}

Plan plan_of(const Compiled& compiled) {
  Plan plan;
  for (const json::Object& object : compiled.objects) {
    const json::Value value(object);
    const std::string kind = text_at(value, "kind");
    if (kind == "Deployment") {
      plan.workloads.push_back(workload_plan(value, "spec.template", 1));
    } else if (kind == "LeaderWorkerSet") {
      const auto size = json::int_at(value, "spec.leaderWorkerTemplate.size").value_or(1);
      plan.workloads.push_back(workload_plan(value, "spec.leaderWorkerTemplate.leaderTemplate", size));
    }
  }
  return plan;
}

std::string objects_as_yaml(const std::vector<json::Object>& objects) {
  std::string text;
  for (const json::Object& object : objects) {
    text += text.empty() ? "" : "---\n";
    text += json::write_yaml(json::Value(object));
  }
  return text;
}

std::string objects_as_tree(const Compiled& compiled) {
  const Plan plan = plan_of(compiled);
  std::string text = fmt::format("LLMInferenceService {}/{}: {} pods, {} GPUs\n", compiled.service.name_space,
                                 compiled.service.name, plan.pods(), plan.accelerators());
  for (const json::Object& object : compiled.objects) {
    const json::Value value(object);
    text += fmt::format("├─ {} {}\n", text_at(value, "kind"), text_at(value, "metadata.name"));
    const auto workload =
        std::ranges::find(plan.workloads, text_at(value, "metadata.name"), &WorkloadPlan::name);
    const std::string kind = text_at(value, "kind");
    if (workload != plan.workloads.end() && (kind == "Deployment" || kind == "LeaderWorkerSet")) {
      text += workload_lines(*workload);
    }
  }
  return text;
}

}  // namespace llmd::llmisvc
