// values.yaml of the llm-d-modelservice chart (0.2 to 0.4) as a LLMInferenceService.
//
// What the chart's templates would have said becomes what the service says: the model's URI, replicas,
// parallelism, the engine container (as `main`), labels, token, volumes, scheduling. Generated arguments are
// left to the presets unless the file launches its engine itself (modelCommand: custom) or uses a cache on a
// volume (pvc+hf://). Nothing is dropped silently: every key without counterpart is a finding with its line.
#pragma once

#include <string>
#include <vector>

#include "json/yaml.h"
#include "llmisvc/finding.h"

namespace llmd::llmisvc {

struct ValuesOptions {
  std::string name = {};        // of the service; empty: from the release or the model's name
  std::string name_space = {};  // empty: none is written
};

struct ConvertedValues {
  std::vector<json::Object> objects;  // the service (v1alpha2), then extraObjects
  Findings findings;                  // placed
};

// Whether a document is such a file: no kind, and keys that only the chart has.
bool is_values(const json::Object& object);
// Values of the charts around it (inferencepool, inference extension), which have nothing to convert.
bool is_pool_values(const json::Object& object);

ConvertedValues convert_values(const json::YamlDocument& document, const ValuesOptions& options = {});

}  // namespace llmd::llmisvc
