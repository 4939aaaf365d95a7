// Structural schemas (OpenAPI v3 as CRDs carry it) of the kinds this library reads. The same schema checks a
// manifest here and, in config/crd, on an API server.
#pragma once

#include "json/value.h"
#include "llmisvc/finding.h"

namespace llmd::llmisvc {

// Schema of `spec`, the union of v1alpha1, v1alpha2 and the guide's looser form: one for both served
// versions, so that converting between them is a change of the version and loses nothing.
const json::Value& service_spec_schema();
// The same for LLMInferenceServiceConfig, where every string may hold {{ }} and nothing is required.
const json::Value& config_spec_schema();

// Appends a finding for every place where `value` does not fit: unknown field (with the nearest known name),
// wrong type, value out of bounds, missing required field. null removes what a base set; an API server keeps
// it in fields that are `nullable`, drops it in others (a warning), and refuses it where something is
// required.
void check_schema(const json::Value& schema, const json::Value& value, const std::string& path,
                  Findings& findings);

// The schema of a field below `schema` by its wire path ("model.lora.adapters"), ignoring case; null when
// unknown. Lists are passed through to their items.
const json::Value* find_schema(const json::Value& schema, std::string_view path);

}  // namespace llmd::llmisvc
