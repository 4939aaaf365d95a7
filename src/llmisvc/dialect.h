// Which manifests are ours, and the dialects they are written in. KServe's v1alpha1 and v1alpha2 share one
// schema (the union, see schema.h); llm-d.ai/v1alpha1 describes the server instead of the model and is
// translated.
#pragma once

#include <string_view>

#include "base/result.h"
#include "json/value.h"
#include "llmisvc/finding.h"

namespace llmd::llmisvc {

// Ours: serving.kserve.io and llm-d.ai, also without an apiVersion, which documentation leaves out.
enum class Kind { Service, Config, Other };
Kind kind_of(const json::Object& object);

// True for llm-d.ai/v1alpha1, whose spec has inferenceServer.
bool is_server_dialect(const json::Object& object);

// The same service as merging and checking want it: serving.kserve.io, with the fields that a conversion
// between its versions kept in annotations back in their place. Findings are about the input.
//
// Of the server dialect, inferenceServer becomes container `main` (its type, image, command, args and every
// other field of a container); its arguments give model.uri and model.name, parallelism and the port.
// Everything else in the spec is KServe's and stays.
json::Object to_kserve(const json::Object& object, Findings& findings);

// Findings about a translated service, with their paths as its author wrote them: spec.inferenceServer
// instead of spec.template.containers[0].
void use_server_paths(Findings& findings);

}  // namespace llmd::llmisvc
