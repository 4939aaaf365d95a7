// Template variables. Only strings that came from a LLMInferenceServiceConfig are templates; a user's own
// strings keep their braces. Each string is expanded by itself against the merged object and its result is
// placed as data, so nothing a value contains can break out.
//
// Before merging, mark_templates() hides a config's templates behind a marker that survives the merge;
// afterwards expand() finds them wherever they ended up.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "json/value.h"
#include "llmisvc/facts.h"
#include "llmisvc/finding.h"

namespace llmd::llmisvc {

struct TemplateOrigin {
  std::string config;  // namespace/name
  std::string path;    // in the config: spec.template.containers[0].args[1]
  std::string text;
};

// Replaces every string of `spec` that holds "{{" by a marker and appends its origin.
json::Object mark_templates(json::Object spec, const std::string& config,
                            std::vector<TemplateOrigin>& origins);

// Expands the marked strings of `object` (metadata and merged spec). Findings name the config, the path in
// it, the variable and the nearest name.
Findings expand(json::Object& object, const std::vector<TemplateOrigin>& origins, const Facts& facts);

// A spec from a user's hands with the marker characters removed, so that nobody can forge one.
void strip_markers(json::Value& value);

}  // namespace llmd::llmisvc
