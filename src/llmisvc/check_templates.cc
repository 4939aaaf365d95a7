// Templates of configs, tried before a service needs them.
#include <array>
#include <map>

#include "json/path.h"
#include "llmisvc/check.h"
#include "llmisvc/compose.h"
#include "llmisvc/labels.h"
#include "llmisvc/object_edit.h"

namespace llmd::llmisvc {
namespace {

struct Topology {
  std::string_view name;
  std::string_view spec;
};
constexpr std::array kTopologies{
    Topology{"one pod", R"({"model": {"uri": "hf://organisation/model"}})"},
    Topology{"a scheduler", R"({"model": {"uri": "hf://organisation/model", "criticality": "Critical"},
      "parallelism": {"tensor": 2}, "router": {"gateway": {}, "route": {}, "scheduler": {}}})"},
    Topology{"prefill and decode",
             R"({"model": {"uri": "hf://organisation/model"}, "parallelism": {"tensor": 1},
      "prefill": {"replicas": 1, "parallelism": {"tensor": 2}},
      "router": {"gateway": {}, "route": {}, "scheduler": {}}})"},
    Topology{"data-parallel groups", R"({"model": {"uri": "hf://organisation/model"}, "worker": {},
      "parallelism": {"data": 4, "dataLocal": 2, "tensor": 1, "expert": true}})"},
    Topology{"pipeline groups", R"({"model": {"uri": "hf://organisation/model"}, "worker": {},
      "parallelism": {"pipeline": 2, "tensor": 2}})"},
    Topology{"adapters", R"({"model": {"uri": "hf://organisation/model",
      "lora": {"adapters": [{"name": "adapter", "uri": "hf://organisation/adapter"}]}}})"},
};

json::Object sample(const Topology& topology, std::string_view name_space, std::string_view config) {
  json::Object spec = *json::parse_object(topology.spec);
  spec["baseRefs"] = json::Array{json::Object{{"name", text_value(config)}}};
  return {{"apiVersion", "serving.kserve.io/v1alpha2"},
          {"kind", "LLMInferenceService"},
          {"metadata", {{"name", "sample"}, {"namespace", text_value(name_space)}}},
          {"spec", std::move(spec)}};
}

bool has_templates(const json::Value& value) {
  if (const auto* object = value.if_object()) {
    for (const auto& entry : *object) {
      if (has_templates(entry.value())) {
        return true;
      }
    }
  }
  if (const auto* list = value.if_array()) {
    for (const json::Value& item : *list) {
      if (has_templates(item)) {
        return true;
      }
    }
  }
  return text_view(value).find("{{") != std::string_view::npos;
}

}  // namespace

Findings check_templates(const json::Object& config, const Facts& facts) {
  const json::Value value(config);
  const std::string name(json::string_at(value, "metadata.name").value_or(""));
  const std::string name_space(json::string_at(value, "metadata.namespace").value_or("default"));
  const auto* spec = json::find(value, "spec");
  if (name.empty() || spec == nullptr || !has_templates(*spec)) {
    return {};
  }
  Facts with_config = facts;
  with_config.configs[name_space + "/" + name] = {.object = config};
  const std::string ours = fmt::format("in config {}/{}: ", name_space, name);
  std::map<std::string, Finding> failed;  // by path
  std::map<std::string, std::vector<std::string>> where;
  for (const Topology& topology : kTopologies) {
    for (Finding& finding : compose(sample(topology, name_space, name), with_config).findings) {
      if (finding.code == "template" && finding.sentence.starts_with(ours)) {
        where[finding.path].emplace_back(topology.name);
        failed.emplace(finding.path, std::move(finding));
      }
    }
  }
  Findings findings;
  for (auto& [path, finding] : failed) {
    const auto& names = where[path];
    if (names.size() < kTopologies.size()) {
      std::string list;
      for (const std::string& one : names) {
        list += (list.empty() ? "" : ", ") + one;
      }
      finding.severity = Severity::Warning;
      finding.sentence += fmt::format(" (for services with {})", list);
    }
    findings.push_back(std::move(finding));
  }
  return findings;
}

}  // namespace llmd::llmisvc
