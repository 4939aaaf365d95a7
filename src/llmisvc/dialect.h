// Which manifests are ours, and the dialects they are written in. KServe's v1alpha1 and v1alpha2 share one
// schema (the union, see schema.h) and need no conversion; llm-d.ai/v1alpha1 describes the server instead of
// the model and is translated.
#pragma once

#include <string_view>

#include "base/result.h"
#include "json/value.h"
#include "llmisvc/finding.h"

namespace llmd::llmisvc {

enum class Kind { Service, Config, Other };
Kind kind_of(const json::Object& object);

// True for llm-d.ai/v1alpha1, whose spec has inferenceServer.
bool is_server_dialect(const json::Object& object);

// The same service as serving.kserve.io/v1alpha1; findings are about the input. An object of another dialect
// is returned as it is.
json::Object to_kserve(const json::Object& object, Findings& findings);

}  // namespace llmd::llmisvc
