#include "llmisvc/presets.h"

#include <algorithm>
#include <map>
#include <mutex>

#include "base/assert.h"
#include "base/strings.h"
#include "json/path.h"
#include "json/yaml.h"
#include "llmisvc/preset_files.h"
#include "llmisvc/service.h"

namespace llmd::llmisvc {
namespace {

json::Object parse_preset(const PresetFile& file) {
  auto documents = json::parse_yaml(file.text, file.name);
  LLMD_ASSERT(documents && documents->size() == 1 && documents->front().value.is_object(),
              "a preset file holds one object");
  const auto* spec = json::object_at(documents->front().value, "spec");
  LLMD_ASSERT(spec != nullptr, "a preset has a spec");
  return *spec;
}

struct BuiltIn {
  const PresetFile* file = nullptr;
  std::once_flag parsed = {};
  json::Object spec = {};
};

// Parsed when somebody needs it, and once; a preset that does not parse is a bug that every test of this
// library meets.
const json::Object* built_in(std::string_view name) {
  static auto* presets = [] {
    auto* map = new std::map<std::string, BuiltIn, std::less<>>();
    for (const PresetFile& file : preset_files()) {
      (*map)[std::string(file.name)].file = &file;
    }
    return map;
  }();
  const auto found = presets->find(name);
  if (found == presets->end()) {
    return nullptr;
  }
  BuiltIn& preset = found->second;
  std::call_once(preset.parsed, [&] { preset.spec = parse_preset(*preset.file); });
  return &preset.spec;
}

enum class Spread { SinglePod, DataParallel, Pipeline, Unknown };

Spread spread_of(const Workload& workload) {
  if (!workload.worker) {
    return Spread::SinglePod;
  }
  if (workload.parallelism.is_data_parallel()) {
    return Spread::DataParallel;
  }
  // A tensor that is wider than a pod is a pipeline of one stage.
  return workload.parallelism.pipeline || workload.parallelism.tensor ? Spread::Pipeline : Spread::Unknown;
}

void add_workload_preset(std::vector<std::string>& names, std::string_view role, Spread spread) {
  switch (spread) {
    case Spread::SinglePod:
      names.push_back(fmt::format("config-llm-{}template", role));
      break;
    case Spread::DataParallel:
      names.push_back(fmt::format("config-llm-{}worker-data-parallel", role));
      break;
    case Spread::Pipeline:
      names.push_back(fmt::format("config-llm-{}worker-pipeline-parallel", role));
      break;
    case Spread::Unknown:
      break;
  }
}

}  // namespace

std::vector<std::string> presets_for(const json::Object& spec) {
  const Service service = view_of({{"spec", spec}});
  std::vector<std::string> names;
  if (service.router && service.router->scheduler && !service.router->scheduler->pool_ref) {
    names.emplace_back("config-llm-scheduler");
  }
  if (service.router && service.router->has_route && service.router->routes.empty()) {
    names.emplace_back("config-llm-router-route");
  }
  if (service.tracing) {
    names.emplace_back("config-llm-tracing");
  }
  if (service.prefill) {
    add_workload_preset(names, "prefill-", spread_of(*service.prefill));
  }
  add_workload_preset(names, service.prefill ? "decode-" : "", spread_of(service.main));
  return names;
}

namespace {

constexpr std::string_view kRoutePreset = "config-llm-router-route";

std::string pin_of(std::string_view suffix) {
  return fmt::format("serving.kserve.io/{}", suffix);
}

}  // namespace

json::Object with_pins(const json::Object& service, const Facts& facts) {
  const json::Value whole(service);
  const auto* stored = json::object_at(whole, "status.annotations");
  json::Object annotations = stored != nullptr ? *stored : json::Object();
  if (!facts.pins_presets) {
    return annotations;
  }
  for (const PresetFile& file : preset_files()) {
    if (file.name != kRoutePreset) {
      annotations.emplace(pin_of(file.name), json::String(config_name_of(file.name, service, facts)));
    }
  }
  return annotations;
}

std::string config_name_of(std::string_view suffix, const json::Object& service, const Facts& facts) {
  const json::Value whole(service);
  const auto pin = suffix == kRoutePreset
                       ? std::nullopt
                       : json::string_at(whole, fmt::format("status.annotations[{}]", pin_of(suffix)));
  return pin && !pin->empty() ? std::string(*pin) : fmt::format("{}{}", facts.config_prefix, suffix);
}

Result<FoundConfig> find_config(std::string_view name, std::string_view name_space, const Facts& facts) {
  for (const std::string_view where : {name_space, std::string_view(facts.system_namespace)}) {
    if (const auto found = facts.configs.find(fmt::format("{}/{}", where, name));
        found != facts.configs.end()) {
      const auto* spec = found->second.object.if_contains("spec");
      return FoundConfig{.name = std::string(name),
                         .name_space = std::string(where),
                         .spec = spec != nullptr && spec->is_object() ? spec->get_object() : json::Object(),
                         .source = found->second.source};
    }
  }
  if (name.starts_with(facts.config_prefix)) {
    if (const json::Object* spec = built_in(name.substr(facts.config_prefix.size()))) {
      return FoundConfig{.name = std::string(name),
                         .name_space = facts.system_namespace,
                         .spec = *spec,
                         .source = "built in"};
    }
  }
  std::vector<std::string_view> known;
  for (const auto& [key, config] : facts.configs) {
    const std::size_t slash = key.find('/');
    known.push_back(std::string_view(key).substr(slash + 1));
    if (known.back() == name) {
      return not_found("LLMInferenceServiceConfig '{}' exists neither in namespace '{}' nor in '{}'", name,
                       name_space, facts.system_namespace)
          .hint(fmt::format("there is one in namespace '{}': services use configs of their own namespace",
                            key.substr(0, slash)));
    }
  }
  return not_found("LLMInferenceServiceConfig '{}' exists neither in namespace '{}' nor in '{}'", name,
                   name_space, facts.system_namespace)
      .hint(did_you_mean(name, known));
}

std::vector<json::Object> preset_objects(const Facts& facts) {
  std::vector<json::Object> objects;
  for (const PresetFile& file : preset_files()) {
    objects.push_back(
        {{"apiVersion", "serving.kserve.io/v1alpha1"},
         {"kind", "LLMInferenceServiceConfig"},
         {"metadata",
          {{"name", facts.config_prefix + std::string(file.name)}, {"namespace", facts.system_namespace}}},
         {"spec", *built_in(file.name)}});
  }
  return objects;
}

}  // namespace llmd::llmisvc
