// Facts about a cluster from its objects, as `kubectl get -o yaml` writes them: for `--facts DIR`.
#pragma once

#include <span>

#include "json/yaml.h"
#include "llmisvc/facts.h"

namespace llmd::llmisvc {

// Adds what the documents say; Lists count as their items.
//   LLMInferenceServiceConfig, ConfigMap, Secret, ServiceAccount   what services refer to
//   ConfigMap inferenceservice-config                              the default Gateway, TLS, the download
//   image CustomResourceDefinition                                       which optional kinds exist: one is
//   enough to mean
//                                                                  that all of them are listed
//   Gateway                                                        whether it opts out of routing by model
Facts with_documents(Facts facts, std::span<const json::YamlDocument> documents);

}  // namespace llmd::llmisvc
