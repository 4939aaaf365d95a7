#include "llmisvc/compose.h"

#include "json/path.h"
#include "llmisvc/check_parts.h"
#include "llmisvc/defaults.h"
#include "llmisvc/expand.h"
#include "llmisvc/merge.h"
#include "llmisvc/presets.h"
#include "llmisvc/schema.h"

namespace llmd::llmisvc {
namespace {

json::Object spec_of(const json::Object& service) {
  const auto* spec = service.if_contains("spec");
  json::Value copy = spec != nullptr && spec->is_object() ? *spec : json::Value(json::Object());
  strip_markers(copy);
  return copy.get_object();
}

std::string full_name_of(const json::Object& service, const std::string& name_space) {
  const json::Value value(service);
  return fmt::format("{}/{}", name_space, json::string_at(value, "metadata.name").value_or(""));
}

struct Layers {
  std::vector<FoundConfig> bases;
  std::vector<FoundConfig> presets;
};

std::vector<std::string> base_names(const json::Object& spec) {
  std::vector<std::string> names;
  const json::Value value(spec);
  if (const auto* references = json::array_at(value, "baseRefs")) {
    for (const json::Value& reference : *references) {
      names.emplace_back(json::string_at(reference, "name").value_or(""));
    }
  }
  return names;
}

void find_bases(const json::Object& spec, std::string_view name_space, const Facts& facts, Layers& layers,
                Findings& findings) {
  const auto names = base_names(spec);
  for (std::size_t i = 0; i < names.size(); ++i) {
    auto found = find_config(names[i], name_space, facts);
    const std::string path = fmt::format("spec.baseRefs[{}].name", i);
    if (!found) {
      findings.push_back({.code = "config-not-found",
                          .path = path,
                          .sentence = found.error().message,
                          .fix = found.error().advice.empty() ? "create it, or remove the reference"
                                                              : found.error().advice});
      continue;
    }
    if (found->spec.contains("baseRefs")) {
      findings.push_back({.code = "nested-base-refs",
                          .path = path,
                          .sentence = fmt::format("config '{}' has baseRefs of its own", names[i]),
                          .fix = "list all configs in the service, in order"});
      found->spec.erase("baseRefs");
    }
    layers.bases.push_back(std::move(*found));
  }
}

void find_presets(const json::Object& service, const json::Object& own, std::string_view name_space,
                  const Facts& facts, Layers& layers, Findings& findings) {
  // The same merge that gives the result decides which presets apply; presets never switch on another preset.
  json::Object merged;
  for (const FoundConfig& base : layers.bases) {
    merged = merge(merged, base.spec);
  }
  merged = merge(merged, own);
  for (const std::string& suffix : presets_for(merged)) {
    const std::string name = config_name_of(suffix, service, facts);
    auto found = find_config(name, name_space, facts);
    if (!found && name != facts.config_prefix + suffix) {
      findings.push_back({.code = "config-not-found",
                          .path = "spec",
                          .sentence = found.error().message + "; the service was first rendered with it",
                          .fix = fmt::format("bring it back, or remove the annotation serving.kserve.io/{} "
                                             "from the service's status to go on with {}{}",
                                             suffix, facts.config_prefix, suffix)});
      continue;
    }
    if (!found) {
      findings.push_back({.code = "config-not-found",
                          .path = "spec",
                          .sentence = found.error().message,
                          .fix = found.error().advice});
      continue;
    }
    layers.presets.push_back(std::move(*found));
  }
}

}  // namespace

Composition compose(const json::Object& service, const Facts& facts) {
  Composition result;
  const json::Value whole(service);
  const std::string name_space(json::string_at(whole, "metadata.namespace").value_or("default"));
  const json::Object own = spec_of(service);
  Layers layers;
  find_bases(own, name_space, facts, layers, result.findings);
  find_presets(service, own, name_space, facts, layers, result.findings);

  std::vector<TemplateOrigin> origins;
  json::Object merged;
  const auto add = [&](const FoundConfig& config, bool is_preset) {
    const std::string full_name = config.name_space + "/" + config.name;
    check_schema(config_spec_schema(), json::Value(config.spec), full_name + " spec", result.findings);
    merged = merge(merged, mark_templates(config.spec, full_name, origins));
    result.applied.push_back({.name = config.name, .name_space = config.name_space, .is_preset = is_preset});
    result.layers.push_back({.kind = is_preset ? Layer::Kind::Preset : Layer::Kind::BaseRef,
                             .name = full_name,
                             .source = config.source,
                             .spec = config.spec});
  };
  for (const FoundConfig& preset : layers.presets) {
    add(preset, true);
  }
  for (const FoundConfig& base : layers.bases) {
    add(base, false);
  }
  merged = merge(merged, own);
  merged.erase("baseRefs");
  result.layers.push_back(
      {.kind = Layer::Kind::Service, .name = full_name_of(service, name_space), .spec = own});

  result.object = service;
  result.object["spec"] = std::move(merged);
  if (!result.object.contains("metadata")) {
    result.object["metadata"] = json::Object();
  }
  result.object["metadata"].as_object()["namespace"] = name_space;
  set_name_defaults(result.object);
  if (has_errors(result.findings)) {
    return result;
  }
  for (Finding& finding : expand(result.object, origins, facts)) {
    result.findings.push_back(std::move(finding));
  }
  check_scheduler_config(result.object["spec"], result.findings);
  if (!has_errors(result.findings)) {
    set_defaults(result.object, facts, result.findings);
  }
  return result;
}

}  // namespace llmd::llmisvc
