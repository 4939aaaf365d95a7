// Which layer set each field of a service that takes effect: a preset, a config from baseRefs, the service
// itself, or a default of llmd. What `llmd explain-config` prints.
#pragma once

#include <string>
#include <vector>

#include "llmisvc/compose.h"

namespace llmd::llmisvc {

struct FieldOrigin {
  std::string path;   // spec.template.containers[0].image
  json::Value value;  // as it takes effect, templates expanded
  std::string layer;  // "preset kserve/kserve-config-llm-template", "baseRef default/x", "service", "default"
  std::string source = {};                   // of the layer, where it has one
  std::vector<std::string> overridden = {};  // layers below that set it, too; the lowest first
};

// Every leaf of the effective spec, in its order. Empty objects and lists are leaves. Of a composition with
// errors there is nothing to explain.
std::vector<FieldOrigin> explain(const Composition& composition);

}  // namespace llmd::llmisvc
