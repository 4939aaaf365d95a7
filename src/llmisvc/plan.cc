#include "llmisvc/plan.h"

#include <algorithm>
#include <array>

#include "base/strings.h"
#include "json/path.h"
#include "json/yaml.h"
#include "llmisvc/accelerators.h"
#include "llmisvc/labels.h"

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
    (stays ? plan.sidecars : plan.init_containers).push_back(text_at(container, "name"));
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

void add_memory(const Compiled& compiled, const ModelShape& shape, const MemoryQuestion& question,
                WorkloadPlan& plan) {
  if (plan.accelerators_per_pod < 1) {
    return;
  }
  const Service& service = compiled.service;
  const Workload& workload = plan.role == "prefill" && service.prefill ? *service.prefill : service.main;
  const EngineMemory engine = engine_memory(workload);
  plan.need = memory_need(shape, workload.parallelism, engine, question.traffic);
  if (question.gpu) {
    plan.fit = memory_fit(*plan.need, *question.gpu, workload.parallelism, engine, question.traffic);
  }
}

// The users' guide's table "best practices". A model called 70B has a little more than 70 billion parameters.
std::vector<std::string> advice_for(double parameters) {
  constexpr double kSmall = 13e9;
  constexpr double kLarge = 72e9;
  if (parameters < kSmall) {
    return {"2 to 3 replicas of 1 GPU; no parallelism or prefill needed, scheduler optional"};
  }
  if (parameters <= kLarge) {
    return {"4 to 8 replicas, tensor 2 to 8; 2 to 4 prefill pods and a scheduler"};
  }
  return {"8 to 16 replicas, tensor 8; 4 to 8 prefill pods, a scheduler, and groups over several nodes"};
}

std::string joined(const std::vector<std::string>& names) {
  return join(names, ", ");
}

std::string container_text(const WorkloadPlan& workload) {
  std::vector<std::string> names = workload.containers;
  names.insert(names.end(), workload.sidecars.begin(), workload.sidecars.end());
  return joined(names);
}

// Columns as wide as their widest cell.
std::string table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths(rows.front().size());
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], row[i].size());
    }
  }
  std::string text;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      line += fmt::format("{:<{}}", row[i], widths[i] + 2);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

std::string workload_table(const Plan& plan) {
  std::vector<std::vector<std::string>> rows{{"ROLE", "PODS", "GPUS/POD", "GPUS", "INIT", "RUNNING", "NAME"}};
  for (const WorkloadPlan& workload : plan.workloads) {
    rows.push_back({workload.role, fmt::format("{}", workload.pods),
                    fmt::format("{}", workload.accelerators_per_pod),
                    fmt::format("{}", workload.accelerators()),
                    workload.init_containers.empty() ? "-" : joined(workload.init_containers),
                    container_text(workload), workload.name});
  }
  rows.push_back(
      {"total", fmt::format("{}", plan.pods()), "", fmt::format("{}", plan.accelerators()), "", "", ""});
  return table(rows);
}

std::string memory_lines(const Plan& plan) {
  std::string text;
  for (const WorkloadPlan& workload : plan.workloads) {
    if (!workload.need) {
      continue;
    }
    const MemoryNeed& need = *workload.need;
    const std::string longest =
        need.length > 0 ? fmt::format("a sequence of {} tokens", need.length) : std::string("a mean request");
    text += fmt::format("{}: per GPU weights {}, activations {}, {} {}: at least {}\n", workload.role,
                        gib(need.weights), gib(need.activations), longest, gib(need.one_sequence),
                        gib(need.at_least));
    if (workload.fit) {
      text += workload.fit->fits
                  ? fmt::format(
                        "  {}: {} for the cache; {} KV tokens and {} requests at once in all {} replicas\n",
                        plan.gpu, gib(workload.fit->for_cache), workload.kv_tokens(), workload.requests(),
                        workload.replicas)
                  : fmt::format("  {}: does not fit ({} left for the cache)\n", plan.gpu,
                                gib(workload.fit->for_cache));
    }
  }
  return text;
}

json::Object memory_json(const WorkloadPlan& workload) {
  const MemoryNeed& need = *workload.need;
  json::Object memory{{"weightsBytes", need.weights},
                      {"activationsBytes", need.activations},
                      {"kvBytesPerToken", need.kv_per_token},
                      {"longestSequence", need.length},
                      {"longestSequenceBytes", need.one_sequence},
                      {"atLeastBytes", need.at_least}};
  if (workload.fit) {
    memory["fits"] = workload.fit->fits;
    memory["forCacheBytes"] = workload.fit->for_cache;
    memory["kvTokens"] = workload.kv_tokens();
    memory["concurrentRequests"] = workload.requests();
  }
  return memory;
}

json::Object workload_json(const WorkloadPlan& workload) {
  json::Object object{{"name", text_value(workload.name)},
                      {"role", text_value(workload.role)},
                      {"replicas", workload.replicas},
                      {"pods", workload.pods},
                      {"containers", text_list(workload.containers)},
                      {"sidecars", text_list(workload.sidecars)},
                      {"initContainers", text_list(workload.init_containers)},
                      {"gpusPerPod", workload.accelerators_per_pod},
                      {"gpus", workload.accelerators()}};
  if (workload.need) {
    object["memoryPerGpu"] = memory_json(workload);
  }
  return object;
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

Plan plan_of(const Compiled& compiled, const MemoryQuestion& question) {
  Plan plan{.service = compiled.service.name_space + "/" + compiled.service.name,
            .uri = compiled.service.model.uri,
            .model = shape_of_model(compiled.service, question.shapes),
            .gpu = question.gpu ? question.gpu->name : std::string()};
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
  if (plan.model) {
    for (WorkloadPlan& workload : plan.workloads) {
      add_memory(compiled, *plan.model, question, workload);
    }
    plan.advice = advice_for(plan.model->parameters);
  }
  return plan;
}

std::string plan_as_text(const Plan& plan) {
  std::string text = plan.service;
  if (plan.model) {
    text += fmt::format("  {}  {:.3g} billion parameters, {}", plan.uri, plan.model->parameters / 1e9,
                        gib(plan.model->weight_bytes));
  } else {
    text += fmt::format("  {}  sizes unknown: no memory is computed", plan.uri);
  }
  text += "\n" + workload_table(plan) + memory_lines(plan);
  for (const std::string& line : plan.advice) {
    text += "usual for this size: " + line + "\n";
  }
  return text;
}

json::Object plan_as_json(const Plan& plan) {
  json::Array workloads;
  for (const WorkloadPlan& workload : plan.workloads) {
    workloads.push_back(workload_json(workload));
  }
  json::Object object{{"service", text_value(plan.service)},
                      {"model", {{"uri", text_value(plan.uri)}}},
                      {"pods", plan.pods()},
                      {"gpus", plan.accelerators()},
                      {"workloads", std::move(workloads)},
                      {"advice", text_list(plan.advice)}};
  if (plan.model) {
    json::Object& model = object["model"].get_object();
    model["parameters"] = plan.model->parameters;
    model["weightBytes"] = plan.model->weight_bytes;
  }
  if (!plan.gpu.empty()) {
    object["gpu"] = text_value(plan.gpu);
  }
  return object;
}

std::string objects_as_yaml(const std::vector<json::Object>& objects) {
  std::string text;
  for (const json::Object& object : objects) {
    text += text.empty() ? "" : "---\n";
    text += json::write_yaml(json::Value(object));
  }
  return text;
}

}  // namespace llmd::llmisvc
