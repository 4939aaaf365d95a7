#include "llmisvc/tree.h"

#include <vector>

#include "json/path.h"
#include "llmisvc/accelerators.h"
#include "llmisvc/plan.h"

namespace llmd::llmisvc {
namespace {

std::string text_at(const json::Value& root, std::string_view path) {
  return std::string(json::string_at(root, path).value_or(""));
}

struct Node {
  std::string text;
  std::vector<Node> children = {};
};

void draw(const std::vector<Node>& nodes, const std::string& indent, std::string& out) {
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const bool is_last = i + 1 == nodes.size();
    out += indent + (is_last ? "└─ " : "├─ ") + nodes[i].text + "\n";
    draw(nodes[i].children, indent + (is_last ? "   " : "│  "), out);
  }
}

std::string counted(long long count, std::string_view what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

std::string ports_of(const json::Value& container) {
  std::string text;
  const auto* ports = json::array_at(container, "ports");
  for (const json::Value& port : ports != nullptr ? *ports : json::Array()) {
    text += fmt::format("{}{}", text.empty() ? "" : ", ", json::int_at(port, "containerPort").value_or(0));
  }
  return text.empty() ? text : (text.find(',') == std::string::npos ? ", port " : ", ports ") + text;
}

void add_containers(const json::Value& pod, std::vector<Node>& nodes) {
  const auto* init = json::array_at(pod, "initContainers");
  for (const json::Value& container : init != nullptr ? *init : json::Array()) {
    const bool stays = text_at(container, "restartPolicy") == "Always";
    nodes.push_back({fmt::format("Init: {} ({}){}", text_at(container, "name"),
                                 stays ? "keeps running" : "runs once", stays ? ports_of(container) : "")});
  }
  const auto gpus = pod.is_object() ? accelerators_of(pod.get_object()).value_or(0) : 0;
  const auto* containers = json::array_at(pod, "containers");
  for (const json::Value& container : containers != nullptr ? *containers : json::Array()) {
    const bool has_gpus = text_at(container, "name") == "main" && gpus > 0;
    nodes.push_back({fmt::format("Container: {}{}{}", text_at(container, "name"), ports_of(container),
                                 has_gpus ? ", " + counted(gpus, "GPU") : "")});
  }
}

Node pod_node(const json::Value& object, std::string_view path, std::string title) {
  Node node{std::move(title)};
  if (const auto* pod = json::find(object, std::string(path) + ".spec")) {
    add_containers(*pod, node.children);
  }
  return node;
}

std::vector<Node> pods_of(const json::Value& object, const WorkloadPlan& plan) {
  const std::string total = plan.accelerators() > 0 ? ", " + counted(plan.accelerators(), "GPU") : "";
  if (text_at(object, "kind") == "Deployment") {
    return {pod_node(object, "spec.template",
                     fmt::format("{} ({}){}", counted(plan.pods, "pod"), plan.role, total))};
  }
  const long long size = json::int_at(object, "spec.leaderWorkerTemplate.size").value_or(1);
  std::vector<Node> nodes{pod_node(
      object, "spec.leaderWorkerTemplate.leaderTemplate",
      fmt::format("{} ({}, leader of a group of {})", counted(plan.replicas, "pod"), plan.role, size))};
  if (size > 1) {
    nodes.push_back(pod_node(object, "spec.leaderWorkerTemplate.workerTemplate",
                             fmt::format("{} (worker)", counted(plan.replicas * (size - 1), "pod"))));
  }
  nodes.push_back({fmt::format("{} in all{}", counted(plan.pods, "pod"), total)});
  return nodes;
}

}  // namespace

std::string objects_as_tree(const Compiled& compiled) {
  const Plan plan = plan_of(compiled);
  std::string text =
      fmt::format("LLMInferenceService {}/{}: {}, {}\n", compiled.service.name_space, compiled.service.name,
                  counted(plan.pods(), "pod"), counted(plan.accelerators(), "GPU"));
  std::vector<Node> nodes;
  std::size_t workload = 0;
  for (const json::Object& object : compiled.objects) {
    const json::Value value(object);
    const std::string kind = text_at(value, "kind");
    Node node{fmt::format("{} {}", kind, text_at(value, "metadata.name"))};
    if (kind == "Deployment" || kind == "LeaderWorkerSet") {
      node.children = pods_of(value, plan.workloads.at(workload++));
    }
    nodes.push_back(std::move(node));
  }
  draw(nodes, "", text);
  return text;
}

}  // namespace llmd::llmisvc
