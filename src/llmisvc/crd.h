// CustomResourceDefinitions of our kinds, generated from the schema. config/crd holds the result; a test
// compares.
#pragma once

#include <vector>

#include "json/value.h"

namespace llmd::llmisvc {

// LLMInferenceService and LLMInferenceServiceConfig; both versions served, v1alpha2 stored, one schema.
std::vector<json::Object> crds();

}  // namespace llmd::llmisvc
