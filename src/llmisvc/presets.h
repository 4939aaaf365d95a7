// The well-known configs: which exist, and which apply to a spec.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "json/value.h"
#include "llmisvc/facts.h"

namespace llmd::llmisvc {

// Suffixes ("config-llm-template") of the presets that apply to `spec`, in merge order.
std::vector<std::string> presets_for(const json::Object& spec);

// KServe's pins: annotations of a service's status, "serving.kserve.io/config-llm-template: NAME", name the
// config that a preset was first rendered with. An operator that was upgraded and brings presets of another
// prefix goes on with those, so that running pods stay as they are. Presets of routes are not pinned: they
// follow the gateway.
//
// The status' annotations with a pin for every preset that has none; as they are where pins are switched off.
json::Object with_pins(const json::Object& service, const Facts& facts);
// The name of the config behind a suffix: its pin, else the prefix and the suffix.
std::string config_name_of(std::string_view suffix, const json::Object& service, const Facts& facts);

struct FoundConfig {
  std::string name;
  std::string name_space;
  json::Object spec;
  std::string source;  // for messages: a file, "cluster", "built in"
};

// Looks in `name_space`, then in the system namespace, then (for presets) among the built-in ones. NotFound
// names the namespaces and the nearest names.
Result<FoundConfig> find_config(std::string_view name, std::string_view name_space, const Facts& facts);

// All built-in presets as LLMInferenceServiceConfig objects, for installing on a cluster.
std::vector<json::Object> preset_objects(const Facts& facts);

}  // namespace llmd::llmisvc
