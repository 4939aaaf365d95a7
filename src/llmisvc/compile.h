// From a manifest to Kubernetes objects in one call: what `llmd render`, `llmd check`, `llmd up` and the
// operator do.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "json/value.h"
#include "json/yaml.h"
#include "llmisvc/compose.h"
#include "llmisvc/facts.h"
#include "llmisvc/finding.h"
#include "llmisvc/service.h"

namespace llmd::llmisvc {

struct Compiled {
  Service service;                     // what takes effect
  std::vector<AppliedConfig> applied;  // in merge order
  Findings findings;
  std::vector<json::Object> objects;  // empty when a finding is an error
};

// One LLMInferenceService of any dialect.
Compiled compile(const json::Object& service, const Facts& facts);

// A file: its services, the configs they use (added to the facts), and everything else as it is. A List
// counts as its items, each with its lines.
struct Manifest {
  std::vector<json::YamlDocument> services;
  std::vector<json::YamlDocument> configs;
  std::vector<json::YamlDocument> others;
};
// The error is the YAML's: "service.yaml:3:5: ...". Namespaces are settled (see there).
Result<Manifest> parse_manifest(std::string_view yaml, std::string_view source_name);

// Documents without a namespace are taken to be in that of the others, where those that state one agree: a
// file that describes a service and its config in pieces means one place.
void settle_namespaces(std::vector<json::YamlDocument>& documents);

// Relative file:// URIs (model and adapters) mean files beside the manifest: makes them absolute. `folder` is
// the manifest's, absolute.
void resolve_file_uris(json::Object& service, std::string_view folder);

// The facts with the manifest's configs and ConfigMaps added.
Facts with_configs(Facts facts, const Manifest& manifest);

}  // namespace llmd::llmisvc
